//! `ping`: asks a node to answer, and says of each question what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use peerbound_node::Event;
use peerbound_wire::{ErrorCode as FrameError, FlowId, HOP_LIMIT_DEFAULT, NodeId, PacketId};
use serde::Deserialize;
use serde_json::Value;

use crate::clock;
use crate::control::answers::{PingAnswer, PingSummary};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{LOOK, Parameters, answered, flow_and_token, in_range, microseconds};
use crate::daemon::CommandError;
use crate::name_book::called;
use crate::watch::Watch;

/// Pings of one request: a day of one each second, and 700 kB of round trips.
pub(crate) const PINGS_MAX: u32 = 86_400;

/// Answers that may wait to be told.
const ANSWERS_WAITING_MAX: usize = 1024;

/// Bytes of payload of a ping without padding: its token.
const SIZE_BYTES_MIN: u16 = 8;

/// The longest and the shortest time between two pings, and the longest wait for an answer.
const INTERVAL_MS_MIN: u64 = 5;
const INTERVAL_MS_MAX: u64 = 60_000;
const WAIT_MS_MAX: u64 = 60_000;

/// The parameters of `ping`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Who is to answer, by name or id.
    to: String,
    /// How many times.
    #[serde(default = "five")]
    count: u32,
    /// Bytes of payload.
    #[serde(default = "least_size")]
    size: u16,
    /// The time between two, in milliseconds.
    #[serde(default = "a_second")]
    interval_ms: u64,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "a_second")]
    wait_ms: u64,
}

fn five() -> u32 {
    5
}

fn least_size() -> u16 {
    SIZE_BYTES_MIN
}

fn a_second() -> u64 {
    1000
}

impl Asked {
    fn check(&self) -> Result<(), Refusal> {
        in_range("count", self.count.into(), 1..=PINGS_MAX.into())?;
        in_range("size", self.size.into(), SIZE_BYTES_MIN.into()..=u16::MAX.into())?;
        in_range("interval_ms", self.interval_ms, INTERVAL_MS_MIN..=INTERVAL_MS_MAX)?;
        in_range("wait_ms", self.wait_ms, 1..=WAIT_MS_MAX)
    }
}

/// Something that happened to one of the pings.
enum Heard {
    Back { token: u64, at: Instant, links: u8, path_mtu: u16 },
    Error { packet: PacketId, reason: String },
}

/// A ping on its way.
struct OnItsWay {
    sequence: u32,
    packet: PacketId,
    sent_at: Instant,
}

/// All pings of one request.
struct Pinging<'a, 'b> {
    desk: &'a Desk,
    asked: &'a Asked,
    to: NodeId,
    flow: FlowId,
    heard: Watch<Heard>,
    on_their_way: BTreeMap<u64, OnItsWay>,
    round_trips_us: Vec<u64>,
    replies: &'a mut Replies<'b>,
}

pub(crate) fn answer(
    desk: &Desk,
    parameters: Parameters,
    replies: &mut Replies<'_>,
) -> Result<Value, Refusal> {
    let asked: Asked = parameters.read()?;
    asked.check()?;
    let to = desk.find(&asked.to)?;
    let (flow, first_token) = flow_and_token()?;
    let heard = listen(desk, to, flow)?;
    let mut pinging = Pinging {
        desk,
        asked: &asked,
        to,
        flow,
        heard,
        on_their_way: BTreeMap::new(),
        round_trips_us: Vec::new(),
        replies,
    };
    pinging.run(first_token)?;
    answered(&PingAnswer::Done(pinging.summary()))
}

fn listen(desk: &Desk, to: NodeId, flow: FlowId) -> Result<Watch<Heard>, Refusal> {
    let names = desk.names();
    let watch = desk.handle.watch(ANSWERS_WAITING_MAX, move |event, at| match event {
        Event::Pong { from, token, header } if *from == to && header.flow == flow => Some(Heard::Back {
            token: *token,
            at,
            links: HOP_LIMIT_DEFAULT.0.saturating_sub(header.hop_limit.0).saturating_add(1),
            path_mtu: header.path_mtu,
        }),
        Event::Error { reporter, message } if message.offending.flow == flow => {
            let problem = match message.code {
                FrameError::NoRoute => "has no way to it".to_owned(),
                FrameError::HopLimit => "saw it pass too many relays".to_owned(),
                FrameError::TooBig => {
                    format!("cannot send it on: the next link takes frames of {} bytes", message.mtu)
                }
                FrameError::NoSession | FrameError::ClearRefused | FrameError::InnerRefused => {
                    "takes pings in sessions from end to end alone".to_owned()
                }
            };
            let reason = format!("{} {problem}", called(&names, reporter));
            Some(Heard::Error { packet: message.offending.packet, reason })
        }
        _ => None,
    })?;
    Ok(watch)
}

impl Pinging<'_, '_> {
    fn run(&mut self, first_token: u64) -> Result<(), Refusal> {
        let interval = Duration::from_millis(self.asked.interval_ms);
        let wait = Duration::from_millis(self.asked.wait_ms);
        let mut next_at = clock::now();
        let mut sequence = 0;
        loop {
            let now = clock::now();
            if self.replies.is_over() {
                return Ok(());
            }
            if sequence < self.asked.count && now >= next_at {
                sequence += 1;
                next_at = now + interval;
                self.send(sequence, first_token.wrapping_add(u64::from(sequence)))?;
            }
            self.give_up(now, wait);
            if sequence == self.asked.count && self.on_their_way.is_empty() {
                return Ok(());
            }
            let oldest = self.on_their_way.values().map(|ping| ping.sent_at + wait).min();
            let next = (sequence < self.asked.count).then_some(next_at);
            let until = oldest.into_iter().chain(next).chain([now + LOOK]).min().unwrap_or(now);
            if let Ok(heard) = self.heard.told().recv_deadline(until) {
                self.hear(heard);
            }
        }
    }

    fn send(&mut self, sequence: u32, token: u64) -> Result<(), Refusal> {
        let (to, flow, padding) = (self.to, self.flow, self.asked.size - SIZE_BYTES_MIN);
        let sent = self.desk.handle.with_node(move |node, now| {
            node.ping_padded(to, flow, token, padding, now).map(|packet| (packet, now))
        });
        match sent {
            Ok(Ok((packet, sent_at))) => {
                self.on_their_way.insert(token, OnItsWay { sequence, packet, sent_at });
            }
            Ok(Err(error)) => self.lose(sequence, error.to_string()),
            Err(error @ CommandError::Busy) => self.lose(sequence, error.to_string()),
            Err(error @ (CommandError::Gone | CommandError::Send(_))) => return Err(error.into()),
        }
        Ok(())
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Back { token, at, links, path_mtu } => {
                // An answer to one that was given up on, or a second one, says nothing.
                let Some(ping) = self.on_their_way.remove(&token) else { return };
                let rtt_us = microseconds(at.saturating_duration_since(ping.sent_at));
                self.round_trips_us.push(rtt_us);
                self.replies.part(&PingAnswer::Back { sequence: ping.sequence, rtt_us, links, path_mtu });
            }
            Heard::Error { packet, reason } => {
                let lost = self.on_their_way.iter().find(|(_, ping)| ping.packet == packet);
                if let Some(ping) =
                    lost.map(|(token, _)| *token).and_then(|token| self.on_their_way.remove(&token))
                {
                    self.lose(ping.sequence, reason);
                }
            }
        }
    }

    fn give_up(&mut self, now: Instant, wait: Duration) {
        let late: Vec<_> = self
            .on_their_way
            .iter()
            .filter(|(_, ping)| now >= ping.sent_at + wait)
            .map(|(token, ping)| (*token, ping.sequence))
            .collect();
        for (token, sequence) in late {
            self.on_their_way.remove(&token);
            self.lose(sequence, format!("no answer within {} ms", self.asked.wait_ms));
        }
    }

    fn lose(&mut self, sequence: u32, reason: String) {
        self.replies.part(&PingAnswer::Lost { sequence, reason });
    }

    fn summary(&self) -> PingSummary {
        let mut sorted = self.round_trips_us.clone();
        sorted.sort_unstable();
        PingSummary {
            to: self.desk.name(&self.to),
            size_bytes: self.asked.size,
            count: self.asked.count,
            back: u32::try_from(sorted.len()).unwrap_or(u32::MAX),
            rtt_min_us: sorted.first().copied(),
            rtt_median_us: rank(&sorted, 50),
            rtt_p99_us: rank(&sorted, 99),
            rtt_max_us: sorted.last().copied(),
        }
    }
}

/// Returns the smallest value that so many of a hundred do not exceed.
fn rank(sorted: &[u64], of_hundred: usize) -> Option<u64> {
    let place = (sorted.len() * of_hundred).div_ceil(100).checked_sub(1)?;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_the_values_themselves() {
        let hundred: Vec<u64> = (1..=100).collect();

        assert_eq!((rank(&hundred, 50), rank(&hundred, 99)), (Some(50), Some(99)));
        assert_eq!((rank(&[7], 50), rank(&[7], 99), rank(&[], 50)), (Some(7), Some(7), None));
    }
}
