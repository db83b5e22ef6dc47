//! Takes from a thread what it may do beyond its user (capabilities(7)). The kernel keeps that for each
//! thread, and a thread begins with what its maker has: so everything is opened first, then the maker gives up
//! what it has, and then it makes the others.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What a node does with the capabilities of whoever starts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Privileges {
    /// The thread that starts the node keeps what it has, and the node's threads have the same.
    #[default]
    Kept,
    /// Once everything is opened, the thread that starts the node gives up what it has, for good, and every
    /// thread that it makes from there on has nothing. Only the one that keeps the routes of the host, where
    /// there is one, may go on to change networks, and those that carry data, where latency is favoured, to change how
    /// threads are scheduled.
    GivenUp,
}

impl Privileges {
    /// Lets the calling thread give something up, if it is to.
    pub(crate) fn apply(self, give_up: fn() -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Kept => Ok(()),
            Self::GivenUp => give_up(),
        }
    }
}

/// Leaves the calling thread nothing.
pub(crate) fn give_up_all() -> io::Result<()> {
    restrict_to(CapabilitySet::empty())
}

/// Leaves the calling thread what it takes to set routes, if it had that.
pub(crate) fn give_up_all_but_networks() -> io::Result<()> {
    restrict_to(CapabilitySet::NET_ADMIN)
}

/// Leaves the calling thread what it takes to let threads go first, if it had that.
pub(crate) fn give_up_all_but_scheduling() -> io::Result<()> {
    restrict_to(CapabilitySet::SYS_NICE)
}

fn restrict_to(kept: CapabilitySet) -> io::Result<()> {
    // Whatever the thread might come to execute: it has no more there than here.
    set_no_new_privs(true)?;
    let had = capabilities(None)?;
    if had.effective.contains(CapabilitySet::SETPCAP) {
        empty_bounding_set()?;
    }
    if (had.effective | had.permitted | had.inheritable).is_empty() {
        // A container may forbid even the call that would change nothing.
        return Ok(());
    }
    clear_ambient_capability_set()?;
    let kept = had.permitted & kept;
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    Ok(())
}

fn empty_bounding_set() -> io::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The kernel knows no more of them.
            Err(_) => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own: what is given up is gone for good.
    fn after(act: fn() -> io::Result<()>) -> CapabilitySets {
        let acted = std::thread::spawn(move || {
            act().unwrap();
            capabilities(None).unwrap()
        });
        acted.join().unwrap()
    }

    #[test]
    fn a_thread_that_gives_up_has_nothing_and_the_others_keep_what_they_have() {
        let before = capabilities(None).unwrap();

        let none = after(give_up_all);
        let routes = after(give_up_all_but_networks);

        let nothing = CapabilitySet::empty();
        assert_eq!((none.effective, none.permitted, none.inheritable), (nothing, nothing, nothing));
        assert_eq!(routes.permitted, before.permitted & CapabilitySet::NET_ADMIN);
        assert_eq!((routes.effective, routes.inheritable), (routes.permitted, nothing));
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn what_is_given_up_twice_is_given_up() {
        let none = after(|| give_up_all().and_then(|()| give_up_all()));

        assert!(none.permitted.is_empty());
    }
}
