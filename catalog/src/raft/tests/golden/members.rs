//! The second version: members, numbers of nodes, votes and marks.

use std::collections::BTreeMap;

use openraft::EntryPayload;
use uuid::Uuid;

use super::first::commands;
use super::{golden, log_id};
use crate::command::{Batch, Command, Op};
use crate::raft::PeerAddress;
use crate::raft::state_store::Machine;
use crate::raft::types::{Entry, Membership, Vote};

/// What version 2 added: numbers of nodes.
fn later_commands() -> Vec<Command> {
    let key = Uuid::from_u128(5);
    vec![
        Command::new(1_000, Op::AllocateNode),
        Command::once(key, 9, 2_000, Op::AllocateNode),
    ]
}

fn membership() -> openraft::Membership<u64, PeerAddress> {
    let address = |id: u64| PeerAddress {
        raft: format!("10.0.0.{id}:8182"),
        api: format!("http://10.0.0.{id}:8181"),
    };
    let nodes: BTreeMap<u64, PeerAddress> = [1, 2, 7].into_iter().map(|id| (id, address(id))).collect();
    let (old, new) = ([1, 2].into(), [1, 2, 7].into());
    openraft::Membership::new(vec![old, new], nodes)
}

// Goal: entries of the second version are understood: numbers of nodes, changes of members half-way, and entries without
// a command. Method: its bytes from a file against what they stood for.
#[test]
fn log_entries_of_version_2() {
    let entry = |payload| Entry {
        log_id: log_id(),
        payload,
    };
    for (name, entry) in [
        ("entry-2.hex", entry(EntryPayload::Normal(Batch(later_commands())))),
        ("entry-members-1.hex", entry(EntryPayload::Membership(membership()))),
        ("entry-blank-1.hex", entry(EntryPayload::Blank)),
    ] {
        assert_eq!(golden(name, &entry), entry);
    }
}

// Goal: what stands in the log beside entries is understood: votes, given and won, and marks. Method: its bytes from a file against what they stood for.
#[test]
fn marks_of_the_log() {
    assert_eq!(golden("vote-1.hex", &Vote::new(4, 2)), Vote::new(4, 2));
    assert_eq!(
        golden("vote-won-1.hex", &Vote::new_committed(4, 2)),
        Vote::new_committed(4, 2)
    );
    assert_eq!(golden("mark-1.hex", &log_id()), log_id());
}

// Goal: a snapshot of the second version is understood, members and numbers of nodes included. Method: its bytes from a file against what they stood for.
#[test]
fn a_snapshot_of_version_2() {
    let mut machine = Machine {
        applied: Some(log_id()),
        membership: Membership::new(Some(log_id()), membership()),
        ..Machine::default()
    };
    machine.note_members();
    for command in commands().into_iter().chain(later_commands()) {
        machine.state.apply(42, command);
    }
    let read = golden("snapshot-2.hex", &machine);
    assert_eq!(
        (read.applied, read.membership, read.state),
        (machine.applied, machine.membership, machine.state)
    );
}
