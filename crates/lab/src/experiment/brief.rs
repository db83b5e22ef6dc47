//! Expectations in a word or two, for tables: a lock, a session and its fate. The sentences beside
//! them say the rest.

use crate::prove::Brief;
use crate::run::ExpectationOutcome;
use crate::scenario::{Bounds, End, Expectation, MessageFate, Path, Scenario, Word};
use crate::trace::HostIndex;

/// Says briefly what was expected and observed. What holds was seen as it was expected; where bounds
/// were given, and where it does not hold, the observation speaks for itself.
pub(super) fn brief(scenario: &Scenario, outcome: &ExpectationOutcome) -> Brief {
    let place = outcome.number.checked_sub(1);
    let Some(expectation) = place.and_then(|place| scenario.expectations.get(place)) else {
        return Brief { expected: "every step taken".to_owned(), observed: outcome.observed.clone() };
    };
    let names = Names(scenario);
    let expected = names.expectation(expectation);
    let observed = match expectation {
        _ if !outcome.holds => outcome.observed.clone(),
        _ if is_exact(expectation) => expected.clone(),
        Expectation::Event { kind, .. } => match outcome.observed.split_once(' ') {
            Some((count, _)) => format!("{count} {}", kind.word()),
            None => outcome.observed.clone(),
        },
        Expectation::Ratio { .. } => {
            outcome.observed.rsplit_once("= ").map_or(&*outcome.observed, |(_, ratio)| ratio).to_owned()
        }
        _ => outcome.observed.clone(),
    };
    Brief { expected, observed }
}

/// Whether there is just one thing to see when it holds.
fn is_exact(expectation: &Expectation) -> bool {
    match expectation {
        Expectation::Datagram { .. }
        | Expectation::Session { .. }
        | Expectation::Message {
            fate: MessageFate::Undelivered | MessageFate::Delivered { count: None, .. },
            ..
        }
        | Expectation::Readable { .. }
        | Expectation::Told { .. }
        | Expectation::ReachableAll
        | Expectation::Broken(_) => true,
        Expectation::Message { .. }
        | Expectation::Talked { .. }
        | Expectation::Wire { .. }
        | Expectation::Event { .. }
        | Expectation::Ratio { .. } => false,
    }
}

struct Names<'a>(&'a Scenario);

impl Names<'_> {
    fn expectation(&self, expectation: &Expectation) -> String {
        match expectation {
            Expectation::Datagram { end, .. } => end_word(end),
            Expectation::Session { between, fate } => {
                let [one, other] = between.map(|host| self.host(host));
                format!("{one}-{other} {}", fate.word())
            }
            Expectation::Message { fate: MessageFate::Undelivered, .. } => "not delivered".to_owned(),
            Expectation::Message { fate: MessageFate::Delivered { at, path: None, .. }, .. } => {
                format!("delivered at {}", self.host(*at))
            }
            Expectation::Message { fate: MessageFate::Delivered { path: Some(path), .. }, .. } => {
                let hosts: Vec<_> = path.iter().map(|host| self.host(*host)).collect();
                format!("delivered {}", hosts.join("→"))
            }
            Expectation::Talked { pairs, .. } => format!("{} pairs talk", bounds(*pairs)),
            Expectation::Readable { by, is_readable, .. } => {
                let can = if *is_readable { "reads it" } else { "cannot read it" };
                format!("{} {can}", self.host(*by))
            }
            Expectation::Wire { count, .. } => format!("{} sent", bounds(*count)),
            Expectation::Event { kind, count, .. } => format!("{} {}", bounds(*count), kind.word()),
            Expectation::Told { error, .. } => error.clone(),
            Expectation::Ratio { over, under, at_least, at_most } => {
                let least = at_least.map_or_else(String::new, |least| format!(" >= {least}"));
                let most = at_most.map_or_else(String::new, |most| format!(" <= {most}"));
                format!("{} / {}{least}{most}", self.path(*over), self.path(*under))
            }
            Expectation::ReachableAll => "all routes".to_owned(),
            Expectation::Broken(invariant) => format!("breaks {}", invariant.word()),
        }
    }

    fn path(&self, path: Path) -> String {
        format!("{}>{}", self.host(path.from), self.host(path.to))
    }

    fn host(&self, host: HostIndex) -> String {
        let named = self.0.hosts.get(host.0 as usize);
        named.map_or_else(|| format!("N{}", host.0), |host| host.name.clone())
    }
}

fn end_word(end: &End) -> String {
    match end {
        End::Lock(lock) => lock.name().to_owned(),
        End::Accepted => "accepted".to_owned(),
        End::Killed => "session killed".to_owned(),
        End::Challenged => "challenged".to_owned(),
        End::ReadBy(name) => format!("read by {name}"),
        End::Lost => "lost".to_owned(),
    }
}

fn bounds(bounds: Bounds) -> String {
    match bounds {
        Bounds { at_least, at_most: Some(most) } if at_least == most => most.to_string(),
        Bounds { at_least: 0, at_most: Some(most) } => format!("<= {most}"),
        Bounds { at_least, at_most: None } => format!(">= {at_least}"),
        Bounds { at_least, at_most: Some(most) } => format!("{at_least} to {most}"),
    }
}
