//! Whether something has happened that a step waits for.

use crate::judge::Judge;
use crate::run::routes::has_session;
use crate::run::talks::Talks;
use crate::scenario::{LinkPlan, Occasion};

/// Returns whether it has happened, ever; `has_all_routes` is asked only where it matters.
pub(crate) fn has_come(
    occasion: &Occasion,
    judge: &Judge,
    talks: &Talks,
    links: &[LinkPlan],
    has_all_routes: impl Fn() -> bool,
) -> bool {
    let standing = judge.standing();
    match occasion {
        Occasion::Up => are_all_up(judge, links),
        Occasion::LinkUp(between) => standing.is_up(*between),
        Occasion::LinkDown([host, neighbour]) => standing.has_lost(*host, *neighbour),
        Occasion::Replaced(between) => standing.was_replaced(*between),
        Occasion::Delivered(label) => match talks.answered(label) {
            Some(answered) => answered,
            None => judge.messages_called(&label.0).any(|message| message.delivered().is_some()),
        },
        Occasion::Arrived(label) => {
            judge.datagrams_called(&label.0).iter().any(|datagram| judge.end_of(*datagram).is_some())
        }
        Occasion::Captured(label) => judge.captured(&label.0).is_some(),
        Occasion::DialFailed(host) => standing.has_failed_to_dial(*host),
        Occasion::StrangerFailed(host) => standing.has_refused_a_stranger(*host),
        Occasion::Converged => are_all_up(judge, links) && has_all_routes(),
    }
}

fn are_all_up(judge: &Judge, links: &[LinkPlan]) -> bool {
    links.iter().filter(|link| has_session(link)).all(|link| judge.standing().is_up(link.between))
}
