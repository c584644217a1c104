//! Which numbers the nodes of the catalog have, had, or were promised.

use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use super::State;
use crate::command::{Outcome, Refusal};
use tidewater_core::NodeId;

/// Numbers given out and not taken yet; the oldest lapses when there are more.
const PROMISED_MAX: usize = 64;

/// The numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Nodes {
    /// The highest number that was ever taken or given out.
    highest: u64,
    /// Given out, not taken yet.
    promised: OrdSet<u64>,
    /// Who takes part, as of the last change of members.
    members: OrdSet<u64>,
}

impl State {
    /// Gives out a number that no node had before.
    pub(super) fn allocate_node(&mut self) -> Result<Outcome, Refusal> {
        let Some(id) = self.nodes.highest.checked_add(1) else {
            return Err(Refusal::Full {
                limit: "numbers of nodes".into(),
            });
        };
        self.nodes.highest = id;
        self.nodes.promised.insert(id);
        if self.nodes.promised.len() > PROMISED_MAX {
            self.nodes.promised.remove_min();
        }
        Ok(Outcome::Node { id })
    }

    /// Notes who takes part after a change of members.
    pub(crate) fn saw_members(&mut self, ids: impl Iterator<Item = u64>) {
        let nodes = &mut self.nodes;
        nodes.members = ids.collect();
        for id in &nodes.members {
            nodes.highest = nodes.highest.max(*id);
            nodes.promised.remove(id);
        }
    }

    /// Whether a node may be added under this number.
    pub fn may_join(&self, node: NodeId) -> bool {
        node.0 > self.nodes.highest || self.nodes.promised.contains(&node.0)
    }

    /// Whether the node with this number has left for good.
    pub fn was_removed(&self, node: NodeId) -> bool {
        !self.may_join(node) && !self.nodes.members.contains(&node.0)
    }

    /// Makes this the beginning of a new history at log entry `index`: whoever followed the old one is told that he has
    /// lost the thread, since the two may differ. Numbers of nodes stay taken.
    pub(crate) fn begin_anew(&mut self, index: u64) {
        self.index = index;
        self.changes.begin_anew(index);
        self.drops.begin_anew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Op};

    // Goal: a number is given out once, and one that left is told from one that has yet to come. Method: give out, take,
    // leave, and a number from outside.
    #[test]
    fn numbers_never_come_back() {
        let mut state = State::default();
        state.saw_members([1, 2, 7].into_iter());
        let allocated = state.apply(1, Command::new(1, Op::AllocateNode));
        assert_eq!(allocated, Outcome::Node { id: 8 });
        assert!(state.may_join(NodeId(8)) && !state.was_removed(NodeId(8)));
        state.saw_members([1, 7, 8].into_iter());
        assert!(!state.may_join(NodeId(8)) && !state.was_removed(NodeId(8)));
        assert!(state.was_removed(NodeId(2)) && !state.may_join(NodeId(2)));
        assert!(state.may_join(NodeId(9)) && !state.was_removed(NodeId(9)));
        let allocated = state.apply(2, Command::new(1, Op::AllocateNode));
        assert_eq!(allocated, Outcome::Node { id: 9 });
    }
}
