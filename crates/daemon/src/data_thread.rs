//! The thread that owns a socket and a node, and runs each datagram to completion: receive a batch,
//! open, decide, seal, send a batch.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use peerbound_node::{Event, Node, Transmit};
use tracing::error;

use crate::clock;
use crate::daemon::{Command, Report, Status};
use crate::forwards::Meter;
use crate::kernel_buffer::KernelBuffer;
use crate::observe::Observer;
use crate::packets::{PacketPort, PacketSwitch};
use crate::socket::{BatchSocket, Received};
use crate::taps::Taps;
use crate::tun::{Outgoing, Tun};
use crate::watch::Watchers;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
const TUN: Token = Token(2);

/// Batches received in one turn, so that timers and commands stay prompt under load: 8 batches x 32
/// buffers x 64 KiB of coalesced datagrams = 16 MiB, at the worst a tenth of a second of work, where
/// neighbours wait for hellos for 1.75 s.
const RECEIVE_BATCHES_PER_TURN: usize = 8;

/// Datagrams taken in before what they caused is sent and delivered: of a batch of 2 MiB as much as the caches hold,
/// 256 x 1400 bytes = 360 kB.
const DATAGRAMS_PER_FLUSH: usize = 256;

/// Commands carried out in one turn.
const COMMANDS_PER_TURN: usize = 256;

/// Packets taken from the interface in one turn, each segment of a larger one counted, so that timers and commands stay prompt: 256 x 5 us of work.
const PACKETS_PER_TURN: usize = 256;

/// Packets taken from the interface before what they caused is sent: as many as one call sends at once.
const PACKETS_PER_FLUSH: usize = 64;

/// How long farewells may wait for room in the kernel's buffer.
const FAREWELL_WAIT: Duration = Duration::from_millis(100);

/// Everything the data thread owns.
pub(crate) struct DataThread {
    pub(crate) node: Node,
    pub(crate) socket: BatchSocket,
    pub(crate) commands: Receiver<Command>,
    pub(crate) events: Sender<Event>,
    poll: Poll,
    /// A batch that found the kernel's buffer full, and how much of it is sent.
    blocked: Option<(Transmit, usize)>,
    kernel: KernelBuffer,
    /// How much the node was told that it may seal.
    room_told: usize,
    /// Whether the poller reports room in the kernel's buffer.
    watches_for_room: bool,
    events_dropped: u64,
    /// In an experiment: who is told of everything.
    observer: Option<Observer>,
    packets: PacketSwitch,
    taps: Taps,
    watchers: Watchers,
    /// The interface of this host.
    tun: Option<Tun>,
    /// Whether packets may wait at the interface.
    tun_is_readable: bool,
    forwards: Option<Arc<Meter>>,
}

/// Whom a data thread serves besides its neighbours.
pub(crate) struct Local {
    /// In an experiment: who is told of everything.
    pub(crate) observer: Option<Observer>,
    pub(crate) packets: PacketSwitch,
    pub(crate) tun: Option<Tun>,
}

enum Turn {
    Go,
    /// Somebody waits for what was asked so far to have left.
    Settle(Sender<()>),
    Stop,
    Abort,
}

impl DataThread {
    pub(crate) fn new(
        node: Node,
        mut socket: BatchSocket,
        commands: Receiver<Command>,
        events: Sender<Event>,
        Local { observer, packets, tun }: Local,
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let taps = Taps::new(node.observes_sessions());
        if let Some(tun) = &tun {
            poll.registry().register(&mut SourceFd(&tun.descriptor()), TUN, Interest::READABLE)?;
        }
        let mut kernel = KernelBuffer::new(node.mtu());
        kernel.note_limit(socket.limit_send_buffer(kernel.limit()));
        let thread = Self {
            node,
            socket,
            commands,
            events,
            poll,
            blocked: None,
            kernel,
            room_told: usize::MAX,
            watches_for_room: false,
            events_dropped: 0,
            observer,
            packets,
            taps,
            tun_is_readable: tun.is_some(),
            tun,
            forwards: None,
            watchers: Watchers::default(),
        };
        Ok((thread, waker))
    }

    /// Gives the packets that arrive to the forwards, as far as they want them.
    pub(crate) fn attach(&mut self, port: Box<dyn PacketPort>, forwards: Arc<Meter>) {
        self.packets.attach(port);
        self.forwards = Some(forwards);
    }

    /// Runs until it is told to stop, or until nobody is left to tell it.
    pub(crate) fn run(mut self) -> Report {
        let mut ready = Events::with_capacity(8);
        let mut is_readable = true;
        loop {
            is_readable = is_readable && self.receive();
            self.receive_packets();
            self.run_timers();
            match self.carry_out_commands() {
                Turn::Go => {}
                Turn::Settle(outcome) => {
                    self.flush();
                    let _ = outcome.try_send(());
                }
                Turn::Stop => return self.stop(),
                Turn::Abort => return Report { status: self.status() },
            }
            self.flush();
            let wait = if is_readable || self.takes_packets() || !self.commands.is_empty() {
                Some(Duration::ZERO)
            } else {
                self.time_left()
            };
            if let Err(error) = self.poll.poll(&mut ready, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                error!(%error, "The poller failed; the node stops");
                return self.stop();
            }
            for event in ready.iter().filter(|event| event.is_readable()) {
                is_readable |= event.token() == SOCKET;
                self.tun_is_readable |= event.token() == TUN;
            }
        }
    }

    /// Receives some batches; returns whether more may wait.
    fn receive(&mut self) -> bool {
        for _ in 0..RECEIVE_BATCHES_PER_TURN {
            match self.socket.receive_batch() {
                Ok(received) => {
                    let may_wait = received.is_full();
                    self.take_in(&received);
                    self.socket.give_back(received);
                    // What has come since is reported by the poller; to ask costs a lone datagram a system call more.
                    if !may_wait {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    // As ECONNREFUSED, left behind by an earlier datagram to someone else.
                    tracing::debug!(%error, "The kernel reported an error on the socket");
                    if let Some(observer) = &self.observer {
                        observer.on_error(error.kind());
                    }
                }
            }
        }
        true
    }

    /// Hands a batch to the node. What came in goes out before more is taken in, and where the node has sealed as much
    /// as there is room for, before it has to let the rest wait: what has just been received lies in the caches.
    fn take_in(&mut self, received: &Received) {
        let mut unflushed = 0;
        for (from, datagrams) in received.groups() {
            let now = clock::now();
            for datagram in datagrams {
                self.take_in_one(from, datagram, now);
                unflushed += 1;
            }
            if self.node.has_waiting() || unflushed >= DATAGRAMS_PER_FLUSH {
                self.flush();
                unflushed = 0;
            }
        }
        self.flush();
    }

    fn take_in_one(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let Self { node, observer, taps, events, events_dropped, .. } = self;
        match observer {
            None => {
                let verdict = node.handle_datagram(from, datagram, now);
                if taps.want_datagrams() {
                    taps.on_arrival(from, datagram, (verdict, node.last_reason()));
                }
            }
            Some(observer) => {
                for event in observer.handle_datagram(node, from, datagram) {
                    tell(events, event, events_dropped);
                }
            }
        }
    }

    /// Whether packets are taken from the interface. While the kernel has no room for what they became they
    /// wait there, and whoever sends them is slowed down.
    fn takes_packets(&self) -> bool {
        self.tun_is_readable && self.blocked.is_none()
    }

    /// Takes some packets that this host sends into the overlay.
    fn receive_packets(&mut self) {
        let mut now = clock::now();
        for number in 1..=PACKETS_PER_TURN {
            if !self.takes_packets() {
                break;
            }
            let Some(tun) = &mut self.tun else { break };
            match tun.receive() {
                Ok(Outgoing { bytes, continues: true }) => {
                    self.packets.send_next(&mut self.node, bytes, now);
                }
                Ok(Outgoing { bytes, continues: false }) => self.packets.send(&mut self.node, bytes, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.tun_is_readable = false,
                Err(error) => {
                    // As EIO while somebody has set the interface down; the poller tells when it is back.
                    tracing::debug!(%error, "The interface gives no packet");
                    self.tun_is_readable = false;
                }
            }
            if number % PACKETS_PER_FLUSH == 0 {
                self.flush();
                now = clock::now();
            }
        }
    }

    fn run_timers(&mut self) {
        let now = clock::now();
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
        }
    }

    fn carry_out_commands(&mut self) -> Turn {
        for _ in 0..COMMANDS_PER_TURN {
            let now = clock::now();
            match self.commands.try_recv() {
                Ok(Command::Send { destination, flow, is_reply, payload, outcome }) => {
                    let sending = peerbound_node::Sending { destination, flow, is_reply, payload: &payload };
                    let sent = self.node.send(sending, now);
                    if let Some(outcome) = outcome {
                        // The asker may have given up; that changes nothing here.
                        let _ = outcome.try_send(sent);
                    }
                }
                Ok(Command::Ping { destination, flow, token, outcome }) => {
                    let _ = outcome.try_send(self.node.ping(destination, flow, token, now));
                }
                Ok(Command::Rekey { neighbour, outcome }) => {
                    let _ = outcome.try_send(self.node.rekey(neighbour, now));
                }
                Ok(Command::Renegotiate { neighbour, outcome }) => {
                    let _ = outcome.try_send(self.node.renegotiate(neighbour, now));
                }
                Ok(Command::Status { outcome }) => {
                    let _ = outcome.try_send(self.status());
                }
                Ok(Command::Packets(packets)) => {
                    for mut packet in packets {
                        self.packets.send(&mut self.node, &mut packet, now);
                    }
                }
                Ok(Command::Inspect(inspection)) => inspection.carry_out(&mut self.node, now),
                Ok(Command::Tap { options, outcome }) => {
                    let _ = outcome.try_send(self.taps.add(options, &mut self.node));
                }
                Ok(Command::Watch { watcher, outcome }) => {
                    let _ = outcome.try_send(self.watchers.add(watcher));
                }
                Ok(Command::Settle { outcome }) => return Turn::Settle(outcome),
                Ok(Command::Stop) => return Turn::Stop,
                Ok(Command::Abort) => return Turn::Abort,
                Err(crossbeam_channel::TryRecvError::Disconnected) => return Turn::Stop,
                Err(crossbeam_channel::TryRecvError::Empty) => break,
            }
        }
        Turn::Go
    }

    /// Sends what waits and tells what happened.
    fn flush(&mut self) {
        if self.observer.is_some() {
            // Keys are told of before anything leaves that they sealed.
            self.tell_events();
        }
        self.send_waiting();
        self.tell_events();
        if let Some(observer) = &self.observer {
            observer.flush();
        }
        if !self.taps.is_idle() {
            self.taps.take_frames(&mut self.node);
            self.taps.forget_the_gone(&mut self.node);
        }
    }

    fn tell_events(&mut self) {
        let now = clock::now();
        while let Some(packet) = self.node.poll_packet() {
            let bytes = self.packets.deliver(&self.node, packet, now);
            self.node.recycle_packet(bytes);
        }
        self.packets.flush();
        while let Some(event) = self.node.poll_event() {
            if let Event::Error { message, .. } = &event {
                self.packets.on_error(self.node.id(), message, now);
            }
            if let Some(observer) = &self.observer {
                observer.on_event(&event);
            }
            if !self.watchers.is_empty() {
                self.watchers.tell(&event, clock::now());
            }
            let Some(event) = self.taps.take_event(event) else { continue };
            tell(&self.events, event, &mut self.events_dropped);
        }
    }

    fn send_waiting(&mut self) {
        self.tell_room();
        while let Some((batch, sent)) = self.blocked.take().or_else(|| Some((self.next_batch()?, 0))) {
            let outcome = self.socket.send(&batch, sent);
            let taken = outcome.map_or_else(|blocked| blocked.sent, |()| batch.bytes.len()) - sent;
            if taken > 0 {
                self.kernel.on_taken(taken.div_ceil(batch.segment_bytes.max(1)), taken);
            }
            match outcome {
                Ok(()) => self.node.recycle(batch.bytes),
                Err(blocked) => {
                    // The poller reports when there is room; until then the node's queues hold the rest.
                    self.blocked = Some((batch, blocked.sent));
                    if let Some(limit) = self.kernel.on_full(clock::now()) {
                        self.kernel.note_limit(self.socket.limit_send_buffer(limit));
                    }
                    break;
                }
            }
            self.tell_room();
        }
        if self.blocked.is_none() {
            self.kernel.on_idle();
        }
        self.tell_room();
        self.watch_for_room();
    }

    /// Tells the node how much it may seal, and what time it is where something waits for that.
    fn tell_room(&mut self) {
        let room = self.kernel.room();
        if room != self.room_told || self.node.has_waiting() {
            self.room_told = room;
            self.node.handle_room(room, clock::now());
        }
    }

    fn next_batch(&mut self) -> Option<Transmit> {
        let batch = self.node.poll_transmit()?;
        if let Some(observer) = &self.observer {
            observer.on_send(&batch);
        }
        if self.taps.want_datagrams() {
            self.taps.on_send(&batch);
        }
        Some(batch)
    }

    /// Asks the poller to report room in the kernel's buffer while a batch waits for it, and only then:
    /// every datagram that leaves makes room, and the thread would wake up once for each. To ask again
    /// reports at once what is so already, so room that came meanwhile is not missed.
    fn watch_for_room(&mut self) {
        if self.blocked.is_some() == self.watches_for_room {
            return;
        }
        let interest = match self.blocked {
            Some(_) => Interest::READABLE | Interest::WRITABLE,
            None => Interest::READABLE,
        };
        match self.poll.registry().reregister(self.socket.source(), SOCKET, interest) {
            Ok(()) => self.watches_for_room = self.blocked.is_some(),
            // The next turn asks again; a hello is due before long.
            Err(error) => error!(%error, "The poller does not take the socket"),
        }
    }

    fn time_left(&self) -> Option<Duration> {
        self.node.poll_timeout().map(|at| at.saturating_duration_since(clock::now()))
    }

    fn status(&self) -> Status {
        Status {
            id: self.node.id(),
            neighbours: self.node.neighbours(),
            counters: self.node.counters(),
            socket: self.socket.counters(),
            events_dropped: self.events_dropped,
            packets: self.packets.counters(),
            forwards: self.forwards.as_ref().map(|forwards| forwards.counters()),
        }
    }

    fn stop(mut self) -> Report {
        self.node.shutdown(clock::now());
        self.flush();
        let mut ready = Events::with_capacity(8);
        let started = clock::now();
        // By the clock: what goes on coming in ends every wait at once.
        while self.blocked.is_some() {
            let left = FAREWELL_WAIT.saturating_sub(clock::now().saturating_duration_since(started));
            if left.is_zero() {
                break;
            }
            let _ = self.poll.poll(&mut ready, Some(left));
            self.flush();
        }
        Report { status: self.status() }
    }
}

fn tell(events: &Sender<Event>, event: Event, dropped: &mut u64) {
    match events.try_send(event) {
        Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        // The event may hold somebody's payload: it is counted and not logged.
        Err(TrySendError::Full(_)) => *dropped += 1,
    }
}
