//! The part of the data thread that works with others: divides the work, takes in what they have opened, and hands over
//! what they are to seal.

use std::net::SocketAddr;

use peerbound_node::{Sealing, UnsealedTransmit};

use crate::clock;
use crate::crew::arrivals::{Arrival, Arrivals};
use crate::crew::{Division, Word};
use crate::data_thread::{DATAGRAMS_PER_FLUSH, DataThread};

/// Things heard from workers in one turn, so that timers and commands stay prompt: each is at most what one call
/// receives.
const WORDS_PER_TURN: usize = 16;

impl DataThread {
    /// Lets others help when one thread is not enough, and no longer. While every datagram is to be seen as it comes and
    /// goes, nobody does.
    pub(super) fn divide_work(&mut self) {
        let may_begin = self.crew.is_shared() || !self.lane.is_blocked();
        let may_share = may_begin && self.observer.is_none() && !self.taps.want_datagrams();
        match self.crew.judge(may_share, clock::now()) {
            None => {}
            Some(Division::Alone) => self.work_alone(),
            Some(Division::Shared) => {
                tracing::debug!("One thread is not enough: the work is shared");
                // What was sealed so far leaves before anything that others seal.
                self.flush();
                self.node.set_sealing(Sealing::Later);
                self.crew.share(self.poll.registry());
            }
        }
    }

    /// Does everything on this thread from here on.
    pub(super) fn work_alone(&mut self) {
        if self.crew.is_shared() {
            tracing::debug!("One thread is enough again");
            self.node.set_sealing(Sealing::AtOnce);
            self.crew.gather(self.poll.registry(), &mut self.lane);
            if let Some(batch) = self.crew.take_held() {
                self.seal_and_send(batch);
            }
            // It came before what is at the sockets.
            while self.crew.has_spoken() {
                self.hear_crew();
            }
        }
    }

    /// Takes in what workers have opened and received, and takes back what they have sent.
    pub(super) fn hear_crew(&mut self) {
        for _ in 0..WORDS_PER_TURN {
            match self.crew.hear() {
                None => return,
                Some((index, Word::Sent(bytes, list))) => {
                    self.crew.on_sent(index, (bytes, list), &mut self.node);
                }
                Some((index, Word::Left(lane))) => self.crew.take_back(index, *lane, self.poll.registry()),
                Some((index, Word::Arrived(arrivals))) => self.take_in_arrivals(index, arrivals),
            }
        }
    }

    fn take_in_arrivals(&mut self, index: usize, mut arrivals: Arrivals) {
        let mut unflushed = 0;
        let mut now = clock::now();
        let mut met = None;
        self.packets.read_from(index + 1);
        arrivals.for_each(|arrival, bytes| {
            match arrival {
                Arrival::Received(arrived) => self.node.handle_wait(clock::waited_since(arrived)),
                Arrival::Opened(from, opened) => {
                    self.node.handle_opened(from, &opened, bytes, now);
                }
                Arrival::Datagram(from) => {
                    self.take_in_one(from, bytes, now);
                    self.meet(index, from, &mut met);
                }
                Arrival::Stood(packets) => self.packets.note_stood(packets),
                Arrival::Packet { continues: true } => self.packets.send_next(&mut self.node, bytes, now),
                Arrival::Packet { continues: false } => self.packets.send(&mut self.node, bytes, now),
            }
            unflushed += 1;
            if self.node.has_waiting() || unflushed >= DATAGRAMS_PER_FLUSH {
                self.flush();
                unflushed = 0;
                now = clock::now();
            }
        });
        self.crew.give_back(index, arrivals);
        self.flush();
    }

    /// Gives a worker the key for an address, once for what it received at a time.
    fn meet(&mut self, index: usize, from: SocketAddr, met: &mut Option<SocketAddr>) {
        if met.replace(from) != Some(from) {
            self.crew.meet(index, from, &self.node);
        }
    }

    /// Hands the next batch to whoever sends to its destination, or sends it; returns whether there was one.
    pub(super) fn hand_next_batch(&mut self) -> bool {
        let Some(batch) = self.node.poll_unsealed() else { return false };
        if let Some(batch) = self.crew.hand(batch) {
            self.seal_and_send(batch);
        }
        true
    }

    fn seal_and_send(&mut self, batch: UnsealedTransmit) {
        let (batch, list) = batch.seal();
        self.node.recycle_list(list);
        self.send_batch(batch);
    }
}
