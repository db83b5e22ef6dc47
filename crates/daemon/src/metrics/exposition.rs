//! What a node counts, in the text format of OpenMetrics, as Prometheus scrapes it.
//!
//! Made anew from a look at the node for each scrape, so that there is one place that counts.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use peerbound_dtls::DiscardCounts;
use peerbound_node::{
    DatagramDrop, Direction, FrameDrop, InnerState, InnerView, Lock, NeighbourView, QueueView,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::crew::Workforce;
use crate::daemon::Status;
use crate::packets::PacketDrop;

/// The type of what [`exposition`] writes.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A look at a node.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) status: Status,
    /// The queues to all neighbours.
    pub(super) queues: Vec<QueueView>,
    /// The inner sessions, each with the name of the node at its other end.
    pub(super) inner: Vec<(String, InnerView)>,
    /// Nodes to which there is a learned way.
    pub(super) reachable: usize,
    /// Until when our certificate is good, in seconds since 1970.
    pub(super) certificate_expires: Option<i64>,
    /// When it was looked at.
    pub(super) at: Instant,
    pub(super) started: Instant,
}

/// Writes a look as text.
///
/// # Errors
/// Never, as text takes everything.
pub(super) fn exposition(look: Look) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("peerbound");
    registry.register_collector(Box::new(look));
    let mut body = String::new();
    text::encode(&mut body, &registry)?;
    Ok(body)
}

impl Collector for Look {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.node(&mut page)?;
        self.drops(&mut page)?;
        self.neighbours(&mut page)?;
        self.queues(&mut page)?;
        self.inner_sessions(&mut page)
    }
}

impl Look {
    fn node(&self, page: &mut Page<'_>) -> fmt::Result {
        let Status { counters, socket, packets, forwards, .. } = &self.status;
        let up = self.at.saturating_duration_since(self.started).as_secs();
        page.gauge("uptime_seconds", "How long the node has run", to_signed(up))?;
        if let Some(expires) = self.certificate_expires {
            let help = "When the node's certificate expires, in seconds since 1970";
            page.gauge("certificate_expiry_timestamp_seconds", help, expires)?;
        }
        let Workforce { threads, at_work, shared, .. } = self.status.workforce;
        page.gauge("threads", "Threads that can carry data", count(threads))?;
        page.gauge("threads_at_work", "Threads that carry data at this moment", count(at_work))?;
        page.counter(
            "work_shared",
            "Times that one thread could not do it all and others began to help",
            shared,
        )?;
        page.gauge("destinations_reachable", "Nodes to which there is a learned way", count(self.reachable))?;
        for (name, help, value) in [
            ("datagrams_received", "Datagrams that arrived", counters.datagrams_received),
            (
                "hellos_challenged",
                "ClientHellos answered with a demand for a cookie",
                counters.hellos_challenged,
            ),
            ("peers_refused", "Peers whose certificate was refused", counters.peers_refused),
            ("frames_received", "Frames that came out of link sessions", counters.frames_received),
            ("frames_originated", "Frames that were made here", counters.frames_originated),
            ("frames_sent", "Frames that went into link sessions", counters.frames_sent),
            ("frames_delivered", "Frames that found their end here", counters.frames_delivered),
            ("packets_sent", "IP packets that went into the overlay", packets.sent),
            ("packets_delivered", "IP packets that somebody on this host took", packets.delivered),
            ("socket_receive_calls", "Batches received by one system call each", socket.receive_calls),
            ("socket_send_calls", "Batches sent by one system call each", socket.send_calls),
            ("socket_send_errors", "Batches that the kernel refused to send", socket.send_errors),
            ("events_dropped", "Events that nobody took in time", self.status.events_dropped),
        ] {
            page.counter(name, help, value)?;
        }
        if let Some(forwards) = forwards {
            for (name, help, value) in [
                ("forward_connections", "TCP connections joined", forwards.connections),
                ("forward_connections_refused", "TCP connections refused", forwards.connections_refused),
                ("forward_connections_failed", "TCP connections that broke", forwards.connections_failed),
                ("forward_datagrams", "UDP datagrams carried", forwards.datagrams),
                ("forward_datagrams_dropped", "UDP datagrams dropped", forwards.datagrams_dropped),
                ("forward_packets_overflowed", "Packets that came too fast", forwards.packets_overflowed),
            ] {
                page.counter(name, help, value)?;
            }
        }
        // Received and originated frames against all others: anything but 0 is a fault of the program.
        let lost = i64::from(!counters.is_conserved());
        page.gauge("frames_lost_count_of", "1 if frames were lost count of", lost)
    }

    fn drops(&self, page: &mut Page<'_>) -> fmt::Result {
        let Status { counters, packets, socket, .. } = &self.status;
        let datagrams =
            DatagramDrop::ALL.iter().map(|why| (why.name(), of(&counters.datagrams_dropped, why)));
        let datagrams = datagrams.chain([("from-port-zero", socket.from_port_zero)]);
        let help = "Datagrams dropped before a session judged them, or before they were sent";
        page.by("reason", "datagrams_dropped", help, datagrams)?;
        let records = counters.records_discarded.iter().map(|(why, count)| (why.name(), count));
        page.by("reason", "records_discarded", "Records that link sessions discarded", records)?;
        let frames = FrameDrop::ALL.iter().map(|why| (why.name(), of(&counters.frames_dropped, why)));
        page.by("reason", "frames_dropped", "Frames that went no further", frames)?;
        let packets = PacketDrop::ALL.iter().map(|why| (why.name(), of(&packets.dropped, why)));
        page.by("reason", "packets_dropped", "IP packets that went no further", packets)?;
        let locks = self.locks();
        // The kernel's own filter tells nobody.
        let told = Lock::ALL.iter().filter(|lock| **lock != Lock::Kernel);
        let locks = told.map(|lock| (lock.name(), of(&locks, lock)));
        page.by("lock", "datagrams_locked_out", "What was held up, by the lock that did", locks)
    }

    /// Counts by lock what was dropped under finer reasons.
    fn locks(&self) -> BTreeMap<Lock, u64> {
        let counters = &self.status.counters;
        let mut locks = locks_of(&counters.records_discarded);
        let mut add = |lock, count| *locks.entry(lock).or_default() += count;
        let dropped = |reason| of(&counters.datagrams_dropped, &reason);
        add(Lock::Demux, dropped(DatagramDrop::NoSession));
        add(Lock::Gate, dropped(DatagramDrop::HelloRefused) + dropped(DatagramDrop::HelloThrottled));
        add(Lock::Gate, dropped(DatagramDrop::HalfOpenFull));
        add(Lock::Identity, counters.peers_refused);
        locks
    }

    fn neighbours(&self, page: &mut Page<'_>) -> fmt::Result {
        let views = &self.status.neighbours;
        let is_up = |view: &NeighbourView| Some(i64::from(view.is_usable));
        let mut each = |name, help, value: &dyn Fn(&NeighbourView) -> Option<i64>| {
            let values = views.iter().filter_map(|view| Some((view.name.as_str(), value(view)?)));
            page.gauges("neighbour", name, help, values)
        };
        each("neighbour_up", "1 if frames pass both ways", &is_up)?;
        let hears = |view: &NeighbourView| Some(i64::from(view.hears(self.at) == Direction::Works));
        each("neighbour_hears", "1 if we hear it", &hears)?;
        let is_heard = |view: &NeighbourView| Some(i64::from(view.is_heard(self.at) == Direction::Works));
        each("neighbour_heard", "1 if it hears us", &is_heard)?;
        let help = "The smoothed round trip to it, in microseconds";
        each("neighbour_round_trip_microseconds", help, &|view| view.round_trip.map(micros))?;
        let help = "The largest frame that goes to it whole, in bytes";
        each("neighbour_frame_bytes_max", help, &|view| view.frame_bytes_max.map(count))?;
        let name = |view: &NeighbourView| view.name.clone();
        let traffic = |pick: fn(&NeighbourView) -> u64| {
            views.iter().map(move |view| (name(view), pick(view))).collect::<Vec<_>>()
        };
        for (metric, help, values) in [
            ("neighbour_frames_received", "Frames from it", traffic(|view| view.traffic.frames_received)),
            ("neighbour_frames_sent", "Frames to it", traffic(|view| view.traffic.frames_sent)),
            (
                "neighbour_bytes_received",
                "Bytes of frames from it",
                traffic(|view| view.traffic.bytes_received),
            ),
            ("neighbour_bytes_sent", "Bytes of frames to it", traffic(|view| view.traffic.bytes_sent)),
        ] {
            let values = values.iter().map(|(name, value)| (name.as_str(), *value));
            page.by("neighbour", metric, help, values)?;
        }
        let locked: Vec<_> = views
            .iter()
            .flat_map(|view| {
                let locks = locks_of(&view.discards).into_iter();
                locks.map(|(lock, count)| ([("neighbour", view.name.as_str()), ("lock", lock.name())], count))
            })
            .collect();
        page.labelled("neighbour_records_locked_out", "Records of it held up, by the lock that did", &locked)
    }
}

/// What waits for each neighbour, what became of what waited, and who speaks with whom inside.
impl Look {
    fn queues(&self, page: &mut Page<'_>) -> fmt::Result {
        let views = self.status.neighbours.iter();
        let names: BTreeMap<_, _> = views.map(|view| (view.id, view.name.as_str())).collect();
        let queues = || self.queues.iter().filter_map(|queue| Some((*names.get(&queue.neighbour)?, queue)));
        for (metric, help, value) in [
            (
                "queue_frames",
                "Frames that wait for it",
                (|queue| count(queue.frames)) as fn(&QueueView) -> i64,
            ),
            ("queue_bytes", "Bytes of frames that wait for it", |queue| count(queue.bytes)),
            ("queue_flows", "Flows with frames that wait for it", |queue| count(queue.flows)),
            ("queue_delay_microseconds", "How long the frame that left last had waited", |queue| {
                micros(queue.sojourn)
            }),
            ("queue_oldest_microseconds", "How long the oldest frame waits", |queue| micros(queue.oldest)),
        ] {
            page.gauges("neighbour", metric, help, queues().map(|(name, queue)| (name, value(queue))))?;
        }
        let passed = queues().map(|(name, queue)| (name, queue.passed));
        page.by("neighbour", "queue_frames_passed", "Frames that had to wait and have left", passed)?;
        let marked = queues().map(|(name, queue)| (name, queue.marked));
        page.by("neighbour", "queue_frames_marked", "Frames that left with a mark of congestion", marked)?;
        let dropped: Vec<_> = queues()
            .flat_map(|(name, queue)| {
                let reasons = queue.dropped.iter();
                reasons.map(move |(why, count)| ([("neighbour", name), ("reason", why.name())], *count))
            })
            .collect();
        page.labelled("queue_frames_dropped", "Frames dropped from it, by reason", &dropped)
    }

    fn inner_sessions(&self, page: &mut Page<'_>) -> fmt::Result {
        let each = |value: fn(&InnerView) -> u64| {
            self.inner.iter().map(move |(peer, view)| (peer.as_str(), value(view)))
        };
        let stands = self.inner.iter();
        let stands =
            stands.map(|(peer, view)| (peer.as_str(), i64::from(view.state == InnerState::Established)));
        page.gauges("peer", "inner_session_established", "1 if payloads pass in it", stands)?;
        for (metric, help, value) in [
            ("inner_bytes_sent", "Bytes of payload to it", (|view| view.bytes.0) as fn(&InnerView) -> u64),
            ("inner_bytes_received", "Bytes of payload from it", |view| view.bytes.1),
        ] {
            page.by("peer", metric, help, each(value))?;
        }
        let counters = &self.status.counters;
        let records = counters.inner_discarded.iter().map(|(why, count)| (why.name(), count));
        page.by("reason", "inner_records_discarded", "Records that inner sessions discarded", records)
    }
}

/// Returns what was counted under a reason.
fn of<R: Ord>(counts: &BTreeMap<R, u64>, reason: &R) -> u64 {
    counts.get(reason).copied().unwrap_or_default()
}

fn locks_of(discards: &DiscardCounts) -> BTreeMap<Lock, u64> {
    let mut locks = BTreeMap::new();
    for (discard, count) in discards.iter() {
        *locks.entry(Lock::from(discard)).or_default() += count;
    }
    locks
}

/// The text that grows, a family of metrics at a time.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    /// A counter for each value of one label.
    fn by<'v>(
        &mut self,
        label: &'static str,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let values: Vec<_> = values.map(|(value, count)| ([(label, value)], count)).collect();
        self.labelled(name, help, &values)
    }

    fn labelled<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: &[([(&'static str, &str); LABELS], u64)],
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            ConstCounter::new(*value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }

    /// A gauge for each value of one label.
    fn gauges<'v>(
        &mut self,
        label: &'static str,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (&'v str, i64)>,
    ) -> fmt::Result {
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (owner, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&[(label, owner)])?)?;
        }
        Ok(())
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn to_signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
