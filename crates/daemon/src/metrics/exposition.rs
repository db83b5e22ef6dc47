//! What a node counts, in the text format of OpenMetrics, as Prometheus scrapes it.
//!
//! Made anew from a look at the node for each scrape, so that there is one place that counts.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use peerbound_dtls::DiscardCounts;
use peerbound_node::{DatagramDrop, Direction, Lock, NeighbourView};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::daemon::Status;

/// The type of what [`exposition`] writes.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A look at a node.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) status: Status,
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
        self.neighbours(&mut page)
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
        let datagrams = counters.datagrams_dropped.iter().map(|(why, count)| (why.name(), *count));
        let datagrams = datagrams.chain([("from-port-zero", socket.from_port_zero)]);
        let help = "Datagrams dropped before a session judged them, or before they were sent";
        page.by("reason", "datagrams_dropped", help, datagrams)?;
        let records = counters.records_discarded.iter().map(|(why, count)| (why.name(), count));
        page.by("reason", "records_discarded", "Records that link sessions discarded", records)?;
        let frames = counters.frames_dropped.iter().map(|(why, count)| (why.name(), *count));
        page.by("reason", "frames_dropped", "Frames that went no further", frames)?;
        let packets = packets.dropped.iter().map(|(why, count)| (why.name(), *count));
        page.by("reason", "packets_dropped", "IP packets that went no further", packets)?;
        let locks = self.locks();
        let locks = locks.iter().map(|(lock, count)| (lock.name(), *count));
        page.by("lock", "datagrams_locked_out", "What was held up, by the lock that did", locks)
    }

    /// Counts by lock what was dropped under finer reasons. The kernel's own filter tells nobody.
    fn locks(&self) -> BTreeMap<Lock, u64> {
        let counters = &self.status.counters;
        let mut locks = locks_of(&counters.records_discarded);
        let mut add = |lock, count| *locks.entry(lock).or_default() += count;
        let of = |reason| counters.datagrams_dropped.get(&reason).copied().unwrap_or_default();
        add(Lock::Demux, of(DatagramDrop::NoSession));
        add(Lock::Gate, of(DatagramDrop::HelloRefused) + of(DatagramDrop::HelloThrottled));
        add(Lock::Gate, of(DatagramDrop::HalfOpenFull));
        add(Lock::Identity, counters.peers_refused);
        locks
    }

    fn neighbours(&self, page: &mut Page<'_>) -> fmt::Result {
        let views = &self.status.neighbours;
        let is_up = |view: &NeighbourView| Some(i64::from(view.is_usable));
        page.for_each(views, "neighbour_up", "1 if frames pass both ways", is_up)?;
        page.for_each(views, "neighbour_hears", "1 if we hear it", |view| {
            Some(i64::from(view.hears(self.at) == Direction::Works))
        })?;
        page.for_each(views, "neighbour_heard", "1 if it hears us", |view| {
            Some(i64::from(view.is_heard(self.at) == Direction::Works))
        })?;
        let help = "The smoothed round trip to it, in microseconds";
        page.for_each(views, "neighbour_round_trip_microseconds", help, |view| {
            view.round_trip.map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
        })?;
        let help = "The largest frame that goes to it whole, in bytes";
        page.for_each(views, "neighbour_frame_bytes_max", help, |view| view.frame_bytes_max.map(count))?;
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

    /// A gauge for each neighbour that has one.
    fn for_each(
        &mut self,
        views: &[NeighbourView],
        name: &str,
        help: &str,
        value: impl Fn(&NeighbourView) -> Option<i64>,
    ) -> fmt::Result {
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for view in views {
            if let Some(value) = value(view) {
                let labels = [("neighbour", view.name.as_str())];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
