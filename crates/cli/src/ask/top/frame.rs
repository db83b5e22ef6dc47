//! What `top` shows of one look, and of what has changed since the one before.

use std::collections::BTreeMap;

use peerbound_daemon::control::answers::{NeighbourAnswer, RouteAnswer};

use crate::ask::status::reasons;
use crate::ask::top::Look;
use crate::columns::{paragraph_within, short, table};
use crate::spans::{short_span, span};

/// Columns that a name has on the narrowest screen.
const NAME_WIDTH_MIN: usize = 12;

/// Makes the lines of a frame for a terminal of so many columns and lines. Without a look before, rates are
/// those since the start of the node.
pub(super) fn frame(before: Option<&Look>, seen: &Look, (width, height): (usize, usize)) -> Vec<String> {
    let status = &seen.status;
    let name = status.certificate.as_ref().map_or(&status.id, |certificate| &certificate.name);
    let mut lines = vec![
        format!(
            "{name}  up {}  neighbours {} of {}  reachable {}",
            span(status.uptime_ms),
            status.neighbours.up,
            status.neighbours.configured,
            status.routing.reachable
        ),
        rates(before, seen),
        format!("dropped  frames: {}", reasons(&status.counters.frames_dropped)),
        format!("         datagrams: {}", reasons(&status.counters.datagrams_dropped)),
        format!("         records: {}", reasons(&status.counters.records_discarded)),
    ];
    let warnings = status.warnings.iter();
    lines.extend(warnings.flat_map(|warning| paragraph_within(width, "look at  ", 9, warning)));
    lines.push(String::new());
    // A long name must not push the columns behind it off the screen.
    let name_width = (width / 4).max(NAME_WIDTH_MIN);
    lines.extend(neighbours(before, seen, name_width));
    if !seen.routes.routes.is_empty() {
        lines.push(String::new());
        lines.extend(table(
            &["TO", "VIA", "BY", "STATE", "PATH"],
            seen.routes.routes.iter().map(|it| route(it, name_width)),
        ));
    }
    let hidden = lines.len().saturating_sub(height);
    if hidden > 0 {
        lines.truncate(height.saturating_sub(1));
        lines.push(format!("... and {} lines more", hidden + 1));
    }
    lines.into_iter().map(|line| short(&line, width)).collect()
}

/// Says how many of something there are in a second.
fn rate(before: Option<u64>, seen: u64, milliseconds: u64) -> u64 {
    // A node that was started anew counts from 0 again.
    seen.saturating_sub(before.unwrap_or(0)).saturating_mul(1000) / milliseconds.max(1)
}

fn elapsed_ms(before: Option<&Look>, seen: &Look) -> u64 {
    seen.status.uptime_ms.saturating_sub(before.map_or(0, |look| look.status.uptime_ms))
}

fn rates(before: Option<&Look>, seen: &Look) -> String {
    let elapsed = elapsed_ms(before, seen);
    let counters = |look: &Look| {
        let counters = &look.status.counters;
        let dropped = counters.frames_dropped.values().sum();
        [counters.frames_received, counters.frames_sent, counters.frames_delivered, dropped]
    };
    let before = before.map(counters);
    let [received, sent, delivered, dropped] = counters(seen);
    let of = |place: usize, seen| rate(before.and_then(|before| before.get(place).copied()), seen, elapsed);
    format!(
        "frames/s  {} in, {} out, {} for us, {} dropped",
        of(0, received),
        of(1, sent),
        of(2, delivered),
        of(3, dropped)
    )
}

fn neighbours(before: Option<&Look>, seen: &Look, name_width: usize) -> Vec<String> {
    let elapsed = elapsed_ms(before, seen);
    let earlier: BTreeMap<&str, &NeighbourAnswer> = before
        .iter()
        .flat_map(|look| &look.neighbours.neighbours)
        .map(|neighbour| (neighbour.node.id.as_str(), neighbour))
        .collect();
    let rows = seen.neighbours.neighbours.iter().map(|neighbour| {
        let earlier = earlier.get(neighbour.node.id.as_str());
        vec![
            short(&neighbour.node.name, name_width),
            neighbour.state.clone(),
            neighbour.rtt_us.map_or_else(|| "-".to_owned(), short_span),
            neighbour.tx.clone(),
            neighbour.rx.clone(),
            bytes_per_second(rate(earlier.map(|it| it.bytes_sent), neighbour.bytes_sent, elapsed)),
            bytes_per_second(rate(earlier.map(|it| it.bytes_received), neighbour.bytes_received, elapsed)),
        ]
    });
    table(&["NEIGHBOUR", "STATE", "RTT", "TX", "RX", "OUT", "IN"], rows)
}

fn route(route: &RouteAnswer, name_width: usize) -> Vec<String> {
    let path = route.learned.as_ref().map(|learned| learned.path.join(" ")).unwrap_or_default();
    vec![
        short(&route.destination.name, name_width),
        short(&route.via.name, name_width),
        route.chosen_by.clone(),
        if route.is_usable { "up".to_owned() } else { "down".to_owned() },
        path,
    ]
}

/// Says a number of bytes in a second in three digits or four.
fn bytes_per_second(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} B/s"),
        10_000..=9_999_999 => format!("{} kB/s", bytes / 1000),
        _ => format!("{} MB/s", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_between_two_looks_and_never_negative() {
        assert_eq!(rate(Some(100), 300, 2000), 100);
        assert_eq!(rate(None, 300, 3000), 100);
        assert_eq!(rate(Some(300), 5, 1000), 0);
        assert_eq!(rate(Some(0), 5, 0), 5000);
    }

    #[test]
    fn bytes_are_said_in_few_digits() {
        let said = [0, 9_999, 10_000, 9_999_999, 12_000_000].map(bytes_per_second);
        assert_eq!(said, ["0 B/s", "9999 B/s", "10 kB/s", "9999 kB/s", "12 MB/s"]);
    }
}
