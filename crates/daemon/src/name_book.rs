//! What people call nodes, as the configuration says it at this moment. A reload writes it anew, and whoever
//! shows or finds a name asks here each time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peerbound_wire::NodeId;

use crate::daemon::Nodes;

/// The names, shared by all threads that show some.
#[derive(Debug)]
pub(crate) struct NameBook {
    editions: Mutex<Editions>,
}

#[derive(Debug)]
struct Editions {
    current: Arc<Nodes>,
    /// What held before: a node that has just lost its name is still told of by it.
    former: Arc<Nodes>,
}

impl NameBook {
    pub(crate) fn new(names: Nodes) -> Self {
        Self { editions: Mutex::new(Editions { current: Arc::new(names), former: Arc::default() }) }
    }

    /// Returns the names as they are.
    pub(crate) fn current(&self) -> Arc<Nodes> {
        Arc::clone(&self.editions().current)
    }

    /// Takes other names in place of all there are.
    pub(crate) fn set(&self, names: Nodes) {
        let mut editions = self.editions();
        if *editions.current != names {
            editions.former = std::mem::replace(&mut editions.current, Arc::new(names));
        }
    }

    /// Names a node of which something is told: by its name; by the one that it had, if that is nobody else's,
    /// for what happened to it at its removal is told after it; else by its short id.
    pub(crate) fn name_of(&self, id: &NodeId) -> String {
        let editions = self.editions();
        let former = || editions.former.get(id).filter(|name| !editions.current.values().any(|n| n == *name));
        editions.current.get(id).or_else(former).cloned().unwrap_or_else(|| id.short())
    }

    fn editions(&self) -> MutexGuard<'_, Editions> {
        // What is in it is replaced as a whole.
        self.editions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names a node: by its name, else by its short id.
pub(crate) fn called(names: &Nodes, id: &NodeId) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);

    #[test]
    fn a_node_that_has_lost_its_name_is_told_of_by_it_until_another_has_it() {
        let book = NameBook::new([(A, "hill".to_owned())].into());

        book.set(Nodes::new());
        assert_eq!(book.name_of(&A), "hill");
        assert!(book.current().is_empty());

        book.set([(B, "hill".to_owned())].into());
        assert_eq!((book.name_of(&A), book.name_of(&B)), (A.short(), "hill".to_owned()));
    }
}
