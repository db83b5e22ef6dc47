//! A thread that helps the data thread: it receives and opens, seals and sends, and moves packets to and from this host's
//! kernel. It decides nothing, and knows of sessions nothing but their keys.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use mio::{Events, Poll};
use peerbound_dtls::{Opener, Unsealed};
use tracing::error;

use crate::clock;
use crate::crew::arrivals::Arrivals;
use crate::crew::bell::Bell;
use crate::crew::deliveries::Deliveries;
use crate::crew::post::{Gauge, Handover, Word};
use crate::crew::times::ThreadTimes;
use crate::lane::{self, Lane};
use crate::tun::{Departing, Outgoing, Tun, TunPort};

/// Addresses whose keys a worker holds at most: those of four times as many neighbours as a node may have.
const OPENERS_MAX: usize = 4096;

/// Packets taken from the interface in one turn.
const PACKETS_PER_TURN: usize = 128;

/// How often a worker says how busy it was.
const LOOK_TIME: Duration = Duration::from_millis(10);

/// One helping thread.
pub(crate) struct Worker {
    poll: Poll,
    gauge: Arc<Gauge>,
    home: Arc<Bell>,
    handovers: Receiver<Handover>,
    words: Sender<Word>,
    delivered: Sender<Deliveries>,
    lane: Option<Box<Lane>>,
    /// Gives packets to this host's kernel by the lane's queue.
    port: Option<TunPort>,
    openers: BTreeMap<SocketAddr, Opener>,
    /// Buffers for what arrives. Without one nothing is received.
    room: Vec<Arrivals>,
    lists: Vec<Unsealed>,
    /// Whether something was left for the data thread in this turn.
    has_spoken: bool,
}

/// The ends of a worker's channels.
pub(crate) struct Channels {
    pub(crate) handovers: Receiver<Handover>,
    pub(crate) words: Sender<Word>,
    pub(crate) delivered: Sender<Deliveries>,
}

impl Worker {
    /// Makes one that has nothing to do yet; `home` wakes the data thread.
    pub(crate) fn new(home: Arc<Bell>, channels: Channels) -> io::Result<Self> {
        let (poll, waker) = lane::poller()?;
        let Channels { handovers, words, delivered } = channels;
        Ok(Self {
            poll,
            gauge: Arc::new(Gauge::new(Bell::new(waker))),
            home,
            handovers,
            words,
            delivered,
            lane: None,
            port: None,
            openers: BTreeMap::new(),
            room: Vec::new(),
            lists: Vec::new(),
            has_spoken: false,
        })
    }

    pub(crate) fn gauge(&self) -> Arc<Gauge> {
        Arc::clone(&self.gauge)
    }

    /// Runs until the data thread has gone.
    pub(crate) fn run(mut self) {
        let mut ready = Events::with_capacity(8);
        let times = ThreadTimes::of_this_thread();
        let mut looked_at = clock::now();
        while self.turn().is_continue() {
            let now = clock::now();
            if now.saturating_duration_since(looked_at) >= LOOK_TIME {
                looked_at = now;
                self.gauge.show_times(times.read());
            }
            let gauge = Arc::clone(&self.gauge);
            gauge.bell.goes_to_sleep();
            let wait = if self.has_work() { Some(Duration::ZERO) } else { None };
            let polled = self.poll.poll(&mut ready, wait);
            gauge.bell.is_awake();
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                error!(%error, "The poller of a worker failed; the worker ends");
                return;
            }
            if let Some(lane) = &mut self.lane {
                ready.iter().for_each(|event| lane.note(event));
            }
        }
    }

    /// Whether something is left to do without anything more happening.
    fn has_work(&self) -> bool {
        let may_receive = |lane: &Lane| lane.is_readable || lane.takes_packets();
        !self.handovers.is_empty() || !self.room.is_empty() && self.lane.as_deref().is_some_and(may_receive)
    }

    fn turn(&mut self) -> ControlFlow<()> {
        self.carry_out()?;
        if let Some(mut lane) = self.lane.take() {
            self.send_waiting(&mut lane);
            self.receive(&mut lane);
            self.receive_packets(&mut lane);
            lane.watch_for_room(self.poll.registry());
            let refused = self.port.as_mut().map_or(0, TunPort::flush);
            self.gauge.show(lane.room(), refused);
            self.lane = Some(lane);
        }
        if std::mem::take(&mut self.has_spoken) {
            self.home.ring();
        }
        ControlFlow::Continue(())
    }

    fn carry_out(&mut self) -> ControlFlow<()> {
        loop {
            match self.handovers.try_recv() {
                Ok(Handover::Take(lane)) => self.take(lane),
                Ok(Handover::Send(batch)) => {
                    let (batch, list) = batch.seal();
                    self.lists.push(list);
                    if let Some(mut lane) = self.lane.take() {
                        lane.send(batch, |bytes| self.tell_sent(bytes));
                        self.lane = Some(lane);
                    }
                }
                Ok(Handover::Open(from, opener)) => {
                    if self.openers.len() < OPENERS_MAX || self.openers.contains_key(&from) {
                        self.openers.insert(from, opener);
                    }
                }
                Ok(Handover::Deliver(packets)) => self.deliver(packets),
                Ok(Handover::Room(arrivals)) => self.room.push(arrivals),
                Ok(Handover::Leave) => self.leave(),
                Ok(Handover::End) | Err(TryRecvError::Disconnected) => return ControlFlow::Break(()),
                Err(TryRecvError::Empty) => return ControlFlow::Continue(()),
            }
        }
    }

    fn take(&mut self, mut lane: Box<Lane>) {
        if let Err(error) = lane.register(self.poll.registry()) {
            // Given back as it came: the data thread serves it as before.
            error!(%error, "The poller of a worker does not take its socket");
            return self.tell(Word::Left(lane));
        }
        self.port = lane.tun.as_ref().map(Tun::port);
        self.lane = Some(lane);
    }

    fn leave(&mut self) {
        let refused = self.port.take().map_or(0, |mut port| port.flush());
        self.openers.clear();
        self.gauge.show(usize::MAX, refused);
        if let Some(mut lane) = self.lane.take() {
            lane.deregister(self.poll.registry());
            self.tell(Word::Left(lane));
        }
    }

    fn deliver(&mut self, mut packets: Deliveries) {
        if let Some(port) = &mut self.port {
            packets.iter().for_each(|packet| port.put(packet));
        }
        packets.clear();
        let _ = self.delivered.try_send(packets);
    }

    fn send_waiting(&mut self, lane: &mut Lane) {
        lane.resume(|bytes| self.tell_sent(bytes));
        lane.note_idle();
    }

    /// Receives one batch and opens of it what can be opened.
    fn receive(&mut self, lane: &mut Lane) {
        if !lane.is_readable {
            return;
        }
        let Some(mut arrivals) = self.room.pop() else { return };
        match lane.socket.receive_batch() {
            Ok(received) => {
                lane.is_readable = received.is_full();
                for (from, arrived, datagrams) in received.groups() {
                    let key = self.openers.get(&from).and_then(Opener::ready);
                    arrivals.add_time(arrived);
                    datagrams.for_each(|datagram| arrivals.add_datagram(from, datagram, key.as_ref()));
                }
                lane.socket.give_back(received);
            }
            Err(error) => {
                lane.is_readable = error.kind() != io::ErrorKind::WouldBlock;
                tracing::trace!(%error, "Nothing is received");
            }
        }
        self.tell_arrived(arrivals);
    }

    /// Takes some packets that this host sends into the overlay.
    fn receive_packets(&mut self, lane: &mut Lane) {
        if !lane.takes_packets() {
            return;
        }
        let Some(mut arrivals) = self.room.pop() else { return };
        let Lane { tun, tun_is_readable, .. } = lane;
        if let Some(tun) = tun {
            let now = clock::now();
            for _ in 0..PACKETS_PER_TURN {
                match tun.receive(now) {
                    Ok(Departing { outgoing: Outgoing { bytes, continues }, .. }) => {
                        arrivals.add_packet(bytes, continues);
                    }
                    Err(error) => {
                        // As EIO while somebody has set the interface down; the poller tells when it is back.
                        tracing::trace!(%error, "The interface gives no packet");
                        *tun_is_readable = false;
                        break;
                    }
                }
            }
            arrivals.add_stood(tun.take_dropped());
        }
        self.tell_arrived(arrivals);
    }

    fn tell_arrived(&mut self, arrivals: Arrivals) {
        if arrivals.is_empty() {
            self.room.push(arrivals);
        } else {
            self.tell(Word::Arrived(arrivals));
        }
    }

    fn tell_sent(&mut self, bytes: Vec<u8>) {
        let list = self.lists.pop().unwrap_or_default();
        self.tell(Word::Sent(bytes, list));
    }

    fn tell(&mut self, word: Word) {
        // There is room for all that can be under way; only a data thread that is gone takes nothing.
        let _ = self.words.try_send(word);
        self.has_spoken = true;
    }
}
