//! The thread that owns a socket and a node, and runs each datagram to completion: receive a batch,
//! open, decide, seal, send a batch.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mio::{Events, Poll};
use peerbound_node::{Event, Node, Transmit};
use tracing::error;

use crate::clock;
use crate::crew::Crew;
use crate::daemon::{Command, Report, Status};
use crate::forwards::Meter;
use crate::lane::Lane;
use crate::observe::Observer;
use crate::packets::{PacketPort, PacketSwitch};
use crate::socket::{Received, SocketCounters};
use crate::taps::Taps;
use crate::tun::{Departing, Outgoing, Tun};
use crate::watch::Watchers;

mod courtesy;
mod pace;
mod precedence;
mod sharing;

pub use pace::Favour;

use pace::Pace;

/// Datagrams taken in before what they caused is sent and delivered: of a batch of 2 MiB as much as the caches hold,
/// 256 x 1400 bytes = 360 kB.
const DATAGRAMS_PER_FLUSH: usize = 256;

/// Commands carried out in one turn.
const COMMANDS_PER_TURN: usize = 256;

/// Packets taken from the interface before what they caused is sent: as many as one call sends at once.
const PACKETS_PER_FLUSH: usize = 64;

/// How long farewells may wait for room in the kernel's buffer.
const FAREWELL_WAIT: Duration = Duration::from_millis(100);

/// Everything the data thread owns.
pub(crate) struct DataThread {
    pub(crate) node: Node,
    commands: Receiver<Command>,
    events: Sender<Event>,
    poll: Poll,
    /// What is ours to serve, whoever else works.
    lane: Lane,
    crew: Crew,
    /// How much the node was told that it may seal.
    room_told: usize,
    events_dropped: u64,
    /// In an experiment: who is told of everything.
    observer: Option<Observer>,
    packets: PacketSwitch,
    taps: Taps,
    watchers: Watchers,
    forwards: Option<Arc<Meter>>,
    pace: Pace,
}

/// What a data thread works with, and for whom besides its neighbours.
pub(crate) struct Equipment {
    /// Reports what happens at its lanes.
    pub(crate) poll: Poll,
    pub(crate) lane: Lane,
    /// Who else works.
    pub(crate) crew: Crew,
    pub(crate) packets: PacketSwitch,
    pub(crate) favour: Favour,
    /// In an experiment: who is told of everything.
    pub(crate) observer: Option<Observer>,
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
        commands: Receiver<Command>,
        events: Sender<Event>,
        equipment: Equipment,
    ) -> io::Result<Self> {
        let Equipment { poll, mut lane, mut crew, packets, favour, observer } = equipment;
        lane.register(poll.registry())?;
        crew.lanes().try_for_each(|lane| lane.register(poll.registry()))?;
        let taps = Taps::new(node.observes_sessions());
        Ok(Self {
            node,
            commands,
            events,
            poll,
            lane,
            crew,
            room_told: usize::MAX,
            events_dropped: 0,
            observer,
            packets,
            taps,
            forwards: None,
            watchers: Watchers::default(),
            pace: Pace::new(favour),
        })
    }

    /// Gives the packets that arrive to the forwards, as far as they want them.
    pub(crate) fn attach(&mut self, port: Box<dyn PacketPort>, forwards: Arc<Meter>) {
        self.packets.attach(port);
        self.forwards = Some(forwards);
    }

    /// Runs until it is told to stop, or until nobody is left to tell it.
    pub(crate) fn run(mut self) -> Report {
        let mut ready = Events::with_capacity(32);
        self.crew.start();
        self.pace.begin();
        loop {
            self.divide_work();
            self.receive();
            self.receive_packets();
            self.hear_crew();
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
            self.pace.offer(self.node.frame_counts());
            self.crew.bell().goes_to_sleep();
            let has_work = self.has_work();
            let wait = if has_work { Some(Duration::ZERO) } else { self.time_left() };
            let polled = self.poll.poll(&mut ready, wait);
            if !has_work {
                self.pace.note_slept();
            }
            self.crew.bell().is_awake();
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                error!(%error, "The poller failed; the node stops");
                return self.stop();
            }
            for event in &ready {
                self.lane.note(event);
                self.crew.lanes().for_each(|lane| lane.note(event));
            }
        }
    }

    /// Whether something is left to do without anything more happening.
    fn has_work(&mut self) -> bool {
        let takes_packets = self.takes_packets();
        let may_receive = |lane: &Lane| lane.is_readable || lane.tun_is_readable && takes_packets;
        may_receive(&self.lane)
            || self.crew.lanes().any(|lane| may_receive(lane))
            || self.crew.has_spoken()
            || !self.commands.is_empty()
    }

    /// Whether packets are taken from the interface. While the kernel has no room for what they became they
    /// wait there, and whoever sends them is slowed down.
    fn takes_packets(&self) -> bool {
        !self.lane.is_blocked() && self.crew.room() > 0
    }

    /// Returns a lane that is ours to serve: our own, or one that a worker does not have at this moment.
    fn lane_mut(&mut self, number: usize) -> Option<&mut Lane> {
        lane_of(&mut self.lane, &mut self.crew, number)
    }

    /// Receives some batches from each socket.
    fn receive(&mut self) {
        for number in 0..=self.crew.len() {
            if self.lane_mut(number).is_some_and(|lane| lane.is_readable) {
                self.receive_from(number);
            }
        }
    }

    fn receive_from(&mut self, number: usize) {
        for _ in 0..self.pace.batches {
            let Some(lane) = self.lane_mut(number) else { return };
            match lane.socket.receive_batch() {
                Ok(received) => {
                    // What has come since is reported by the poller; to ask costs a lone datagram a system call more.
                    lane.is_readable = received.is_full();
                    let may_wait = lane.is_readable;
                    self.take_in(&received);
                    if let Some(lane) = self.lane_mut(number) {
                        lane.socket.give_back(received);
                    }
                    if !may_wait {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    lane.is_readable = false;
                    return;
                }
                Err(error) => {
                    // As ECONNREFUSED, left behind by an earlier datagram to someone else.
                    tracing::debug!(%error, "The kernel reported an error on the socket");
                    if let Some(observer) = &self.observer {
                        observer.on_error(error.kind());
                    }
                }
            }
        }
    }

    /// Hands a batch to the node. What came in goes out before more is taken in, and where the node has sealed as much
    /// as there is room for, before it has to let the rest wait: what has just been received lies in the caches.
    fn take_in(&mut self, received: &Received) {
        let mut unflushed = 0;
        for (from, arrived, datagrams) in received.groups() {
            let now = clock::now();
            self.node.handle_wait(clock::waited_since(arrived));
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

    /// Takes some packets that this host sends into the overlay.
    fn receive_packets(&mut self) {
        for number in 0..=self.crew.len() {
            if self.takes_packets() && self.lane_mut(number).is_some_and(|lane| lane.tun_is_readable) {
                self.receive_packets_from(number);
            }
        }
    }

    fn receive_packets_from(&mut self, number: usize) {
        let mut now = clock::now();
        self.packets.read_from(number);
        for count in 1..=self.pace.packets {
            if !self.takes_packets() {
                break;
            }
            let lane = lane_of(&mut self.lane, &mut self.crew, number);
            let Some(Lane { tun: Some(tun), tun_is_readable, .. }) = lane else { break };
            match tun.receive(now) {
                Ok(Departing { outgoing: Outgoing { bytes, continues: true }, .. }) => {
                    self.packets.send_next(&mut self.node, bytes, now);
                }
                Ok(Departing { outgoing: Outgoing { bytes, .. }, packet }) => {
                    self.packets.send_parsed(&mut self.node, packet, bytes, now);
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        // As EIO while somebody has set the interface down; the poller tells when it is back.
                        tracing::debug!(%error, "The interface gives no packet");
                    }
                    *tun_is_readable = false;
                    break;
                }
            }
            if count % PACKETS_PER_FLUSH == 0 {
                self.flush();
                now = clock::now();
            }
        }
        let tun = self.lane_mut(number).and_then(|lane| lane.tun.as_mut());
        let stood = tun.map_or(0, Tun::take_dropped);
        self.packets.note_stood(stood);
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
                    let tap = self.taps.add(options, &mut self.node);
                    self.divide_work();
                    let _ = outcome.try_send(tap);
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
        self.lane.resume(|bytes| self.node.recycle(bytes));
        self.crew.hand_held();
        self.tell_room();
        while !self.lane.is_blocked() && self.crew.room() > 0 && self.send_next_batch() {
            self.tell_room();
        }
        self.lane.note_idle();
        self.tell_room();
        self.lane.watch_for_room(self.poll.registry());
    }

    /// Sends the next batch, or gives it to whoever sends it; returns whether there was one.
    fn send_next_batch(&mut self) -> bool {
        if self.crew.is_shared() {
            return self.hand_next_batch();
        }
        let Some(batch) = self.node.poll_transmit() else { return false };
        if let Some(observer) = &self.observer {
            observer.on_send(&batch);
        }
        if self.taps.want_datagrams() {
            self.taps.on_send(&batch);
        }
        self.send_batch(batch);
        true
    }

    fn send_batch(&mut self, batch: Transmit) {
        self.lane.send(batch, |bytes| self.node.recycle(bytes));
    }

    /// Tells the node how much it may seal, and what time it is where something waits for that.
    fn tell_room(&mut self) {
        let room = self.lane.room().min(self.crew.room());
        if room != self.room_told || self.node.has_waiting() {
            self.room_told = room;
            self.node.handle_room(room, clock::now());
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
            socket: self.socket_counters(),
            workforce: self.crew.workforce(),
            events_dropped: self.events_dropped,
            packets: self.packets.counters(),
            forwards: self.forwards.as_ref().map(|forwards| forwards.counters()),
        }
    }

    fn socket_counters(&self) -> SocketCounters {
        let mut counters = self.lane.socket.counters();
        self.crew.add_counters_to(&mut counters);
        counters
    }

    fn stop(mut self) -> Report {
        self.work_alone();
        self.node.shutdown(clock::now());
        self.flush();
        let mut ready = Events::with_capacity(8);
        let started = clock::now();
        // By the clock: what goes on coming in ends every wait at once.
        while self.lane.is_blocked() {
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

/// Returns the lane with this number, if no worker has it.
fn lane_of<'a>(own: &'a mut Lane, crew: &'a mut Crew, number: usize) -> Option<&'a mut Lane> {
    match number.checked_sub(1) {
        None => Some(own),
        Some(index) => crew.lane(index),
    }
}

fn tell(events: &Sender<Event>, event: Event, dropped: &mut u64) {
    match events.try_send(event) {
        Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        // The event may hold somebody's payload: it is counted and not logged.
        Err(TrySendError::Full(_)) => *dropped += 1,
    }
}
