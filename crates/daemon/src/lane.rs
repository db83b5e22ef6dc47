//! What one thread serves: a socket, how much the kernel holds of what it sends, and a queue of the interface. Every
//! thread has one, and one may be given to another thread.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Registry, Token, Waker};
use peerbound_node::Transmit;
use tracing::error;

use crate::clock;
use crate::kernel_buffer::KernelBuffer;
use crate::socket::BatchSocket;
use crate::tun::Tun;

/// No lane has this token.
const WAKER: Token = Token(usize::MAX);

/// Makes the poller of a thread that serves lanes, and what wakes it.
pub(crate) fn poller() -> io::Result<(Poll, Arc<Waker>)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    Ok((poll, waker))
}

/// A socket with what belongs to it.
pub(crate) struct Lane {
    number: usize,
    pub(crate) socket: BatchSocket,
    pub(crate) tun: Option<Tun>,
    /// Whether datagrams may wait at the socket.
    pub(crate) is_readable: bool,
    /// Whether packets may wait at the interface.
    pub(crate) tun_is_readable: bool,
    kernel: KernelBuffer,
    /// Batches that found the kernel's buffer full, oldest first, and how much of each is sent.
    blocked: VecDeque<(Transmit, usize)>,
    /// Whether the poller reports room in the kernel's buffer.
    watches_for_room: bool,
}

impl Lane {
    /// Makes one for datagrams of up to `mtu` bytes. No other of the node has its number.
    pub(crate) fn new(number: usize, mut socket: BatchSocket, tun: Option<Tun>, mtu: usize) -> Self {
        let mut kernel = KernelBuffer::new(mtu);
        kernel.note_limit(socket.limit_send_buffer(kernel.limit()));
        let blocked = VecDeque::new();
        Self {
            number,
            socket,
            is_readable: true,
            tun_is_readable: tun.is_some(),
            tun,
            kernel,
            blocked,
            watches_for_room: false,
        }
    }

    /// Lets a poller tell what happens at it. What has happened is told at once.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        (self.is_readable, self.tun_is_readable) = (true, self.tun.is_some());
        self.watches_for_room = false;
        if let Some(tun) = &self.tun {
            let descriptor = tun.descriptor();
            registry.register(&mut SourceFd(&descriptor), self.tun_token(), Interest::READABLE)?;
        }
        let token = self.socket_token();
        registry.register(self.socket.source(), token, Interest::READABLE)
    }

    /// Does what [`Self::register`] does, or says in the log why not: what comes by it is lost then.
    pub(crate) fn register_or_tell(&mut self, registry: &Registry) {
        if let Err(error) = self.register(registry) {
            error!(%error, "The poller does not take a socket");
        }
    }

    /// Ends what [`Self::register`] began.
    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // What is not told of any more is not missed.
        let _ = registry.deregister(self.socket.source());
        if let Some(tun) = &self.tun {
            let _ = registry.deregister(&mut SourceFd(&tun.descriptor()));
        }
    }

    /// Notes what the poller tells, if it is about this one.
    pub(crate) fn note(&mut self, event: &Event) {
        if event.is_readable() {
            self.is_readable |= event.token() == self.socket_token();
            self.tun_is_readable |= event.token() == self.tun_token();
        }
    }

    /// Whether packets are taken from the interface. While the kernel has no room for what they became they
    /// wait there, and whoever sends them is slowed down.
    pub(crate) fn takes_packets(&self) -> bool {
        self.tun_is_readable && !self.is_blocked()
    }

    /// Returns how many bytes to prepare at a time.
    pub(crate) fn room(&self) -> usize {
        self.kernel.room()
    }

    /// Whether a batch waits for room in the kernel's buffer.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// Sends a batch, behind those that wait for room; hands the buffers of those that are sent to `recycle`.
    pub(crate) fn send(&mut self, batch: Transmit, recycle: impl FnMut(Vec<u8>)) {
        self.blocked.push_back((batch, 0));
        self.resume(recycle);
    }

    /// Sends what waits for room, as far as there is room; hands the buffers of what is sent to `recycle`.
    pub(crate) fn resume(&mut self, mut recycle: impl FnMut(Vec<u8>)) {
        while let Some((batch, sent)) = self.blocked.pop_front() {
            let outcome = self.socket.send(&batch, sent);
            let taken = outcome.map_or_else(|blocked| blocked.sent, |()| batch.bytes.len()) - sent;
            if taken > 0 {
                self.kernel.on_taken(taken.div_ceil(batch.segment_bytes.max(1)), taken);
            }
            match outcome {
                Ok(()) => recycle(batch.bytes),
                Err(blocked) => {
                    // The poller reports when there is room; until then the node's queues hold the rest.
                    self.blocked.push_front((batch, blocked.sent));
                    if let Some(limit) = self.kernel.on_full(clock::now()) {
                        self.kernel.note_limit(self.socket.limit_send_buffer(limit));
                    }
                    return;
                }
            }
        }
    }

    /// Notes that there is nothing more to send, unless something waits for room.
    pub(crate) fn note_idle(&mut self) {
        if !self.is_blocked() {
            self.kernel.on_idle();
        }
    }

    /// Takes over what waits for room at another, to be sent behind what waits here.
    pub(crate) fn take_blocked(&mut self, other: &mut Self) {
        self.blocked.append(&mut other.blocked);
    }

    /// Asks the poller to report room in the kernel's buffer while a batch waits for it, and only then:
    /// every datagram that leaves makes room, and the thread would wake up once for each. To ask again
    /// reports at once what is so already, so room that came meanwhile is not missed.
    pub(crate) fn watch_for_room(&mut self, registry: &Registry) {
        if self.is_blocked() == self.watches_for_room {
            return;
        }
        let interest =
            if self.is_blocked() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let token = self.socket_token();
        match registry.reregister(self.socket.source(), token, interest) {
            Ok(()) => self.watches_for_room = self.is_blocked(),
            // The next turn asks again; a hello is due before long.
            Err(error) => error!(%error, "The poller does not take the socket"),
        }
    }

    fn socket_token(&self) -> Token {
        Token(2 * self.number)
    }

    fn tun_token(&self) -> Token {
        Token(2 * self.number + 1)
    }
}
