//! Our end: one session over one loopback socket, driven by hand.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use peerbound_dtls::{
    CloseReason, Context, Doorman, Peer, Plaintexts, Screening, Session, SessionEvent, SessionOptions,
    is_client_hello,
};

use crate::process::PATIENCE;

/// The longest that the socket is waited on before conditions are looked at again.
const GLANCE: Duration = Duration::from_millis(10);

/// The largest UDP payload, so that no datagram is cut.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A loopback socket on which nobody has been met yet.
pub(crate) struct Listener {
    socket: UdpSocket,
    doorman: Doorman,
}

impl Listener {
    pub(crate) fn new() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback socket")?;
        Ok(Self { socket, doorman: Doorman::new([7; 32], Instant::now()) })
    }

    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Waits for a hello with a cookie and starts to answer it; before that there is no state.
    pub(crate) fn accept(self, context: &Context) -> Result<End> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let mut challenges = 0;
        loop {
            ensure!(Instant::now() < deadline, "nobody came with a cookie; {challenges} were given out");
            let Some((count, source)) = receive(&self.socket, &mut buffer, GLANCE)? else {
                continue;
            };
            let now = Instant::now();
            if !is_client_hello(&buffer[..count]) {
                continue; // the last words to whoever had this port before
            }
            match self.doorman.screen(&buffer[..count], source, now)? {
                Screening::Challenge(challenge) => {
                    challenges += 1;
                    self.socket.send_to(&challenge, source)?;
                }
                Screening::Verified(hello) => {
                    ensure!(challenges > 0, "a cookie was shown that nobody gave out");
                    let session = Session::accept(context, &SessionOptions::default(), &hello, now)?;
                    return Ok(End::new(self.socket, source, session));
                }
                Screening::Refused => bail!("the doorman refuses a hello of {count} bytes"),
            }
        }
    }
}

/// A session with the socket it lives on.
pub(crate) struct End {
    socket: UdpSocket,
    peer: SocketAddr,
    session: Session,
    buffer: Vec<u8>,
    plaintexts: Plaintexts,
    received: Vec<u8>,
    closed: Option<CloseReason>,
    datagrams_sent: u64,
}

impl End {
    /// Starts to dial a loopback port.
    pub(crate) fn dial(context: &Context, port: u16) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback socket")?;
        let session = Session::connect(context, &SessionOptions::default(), Instant::now())?;
        Ok(Self::new(socket, (Ipv4Addr::LOCALHOST, port).into(), session))
    }

    fn new(socket: UdpSocket, peer: SocketAddr, session: Session) -> Self {
        Self {
            socket,
            peer,
            session,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
            plaintexts: Plaintexts::new(),
            received: Vec::new(),
            closed: None,
            datagrams_sent: 0,
        }
    }

    /// Returns the session, to ask it things.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns who is at the other end.
    pub(crate) fn peer(&self) -> Result<&Peer> {
        self.session.peer().with_context(|| format!("there is no peer; closed: {:?}", self.closed))
    }

    /// Returns whether the peer's data, put together, has this in it.
    pub(crate) fn has_received(&self, text: &str) -> bool {
        self.received.windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Returns why the session is over, if it is.
    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    /// Returns the port the peer speaks from.
    pub(crate) fn peer_port(&self) -> u16 {
        self.peer.port()
    }

    /// Returns how many datagrams have left.
    pub(crate) fn datagrams_sent(&self) -> u64 {
        self.datagrams_sent
    }

    pub(crate) fn send(&mut self, payload: &str) -> Result<()> {
        self.session.send(payload.as_bytes()).with_context(|| format!("closed: {:?}", self.closed))?;
        self.flush()
    }

    /// Says close_notify.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.session.close();
        self.flush()
    }

    /// Carries datagrams and runs timers until `done`.
    ///
    /// # Errors
    /// When that does not come about in time.
    pub(crate) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.flush()?;
            if done(self) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("waited in vain until {what}; {:?}, closed: {:?}", self.session, self.closed);
            }
            self.step()?;
        }
    }

    /// Waits a moment for one datagram, and lets the timer run if it is due.
    pub(crate) fn step(&mut self) -> Result<()> {
        let now = Instant::now();
        let due = self.session.poll_timeout();
        let wait = due.map_or(GLANCE, |due| due.saturating_duration_since(now).min(GLANCE));
        if let Some((count, source)) = receive(&self.socket, &mut self.buffer, wait)?
            && source == self.peer
        {
            self.plaintexts.clear();
            self.session.handle_datagram(&self.buffer[..count], &mut self.plaintexts, Instant::now());
            self.plaintexts.iter().for_each(|plaintext| self.received.extend_from_slice(plaintext));
        }
        let now = Instant::now();
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now);
        }
        Ok(())
    }

    /// Sends what waits to be sent, then hears what the session has to tell.
    fn flush(&mut self) -> Result<()> {
        while let Some(datagram) = self.session.poll_transmit() {
            self.socket.send_to(datagram, self.peer)?;
            self.datagrams_sent += 1;
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Established(_) => {}
                SessionEvent::Closed(reason) => self.closed = Some(reason),
            }
        }
        Ok(())
    }
}

/// Waits at most `wait` for one datagram.
fn receive(socket: &UdpSocket, buffer: &mut [u8], wait: Duration) -> Result<Option<(usize, SocketAddr)>> {
    // The kernel takes a timeout of zero for none at all.
    socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
    match socket.recv_from(buffer) {
        Ok(received) => Ok(Some(received)),
        // Being stopped and continued, as by a debugger or a frozen machine, interrupts a read that has a
        // timeout, handler or not (signal(7)).
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error).context("the loopback socket failed"),
    }
}
