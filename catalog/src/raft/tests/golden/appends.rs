//! Appends of producers.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{AppendChange, Command, Expect, Ident, Op, Outcome, Pointer, ProducerRange, Refusal, TableChange};

/// What appends of producers brought, on a state with a table.
fn append_commands() -> Vec<Command> {
    let (id, table) = (
        Uuid::from_u128(7),
        Ident {
            namespace: vec!["bronze".into()],
            name: "users".into(),
        },
    );
    let change = |expect, version: u64| TableChange {
        table: table.clone(),
        expect,
        pointer: Pointer {
            uuid: Uuid::from_u128(8),
            location: "file:///lake/bronze/users".into(),
            metadata_location: format!("file:///lake/bronze/users/metadata/{version}.json"),
            snapshot_id: (version > 1).then_some(-5),
        },
    };
    let range = |producer: &str, from, to| ProducerRange {
        producer: producer.into(),
        from,
        to,
    };
    let ops = [
        Op::CreateNamespace {
            namespace: vec!["bronze".into()],
            properties: BTreeMap::new(),
        },
        Op::Commit {
            changes: vec![change(Expect::Absent { id }, 1)],
        },
        Op::Append(AppendChange {
            change: change(Expect::Version { id, version: 1 }, 2),
            snapshot_id: -5,
            sequence: 4,
            ranges: vec![
                range("ward-1", 0, 10),
                range("ward-2", 5, u64::MAX),
                range("ward-1", 20, 30),
            ],
        }),
    ];
    ops.map(|op| Command::new(1_000, op)).into()
}

// Goal: a log entry about appends is understood as it was first written. Method: its bytes from a file against what they stood for.
#[test]
fn a_log_entry_about_appends() {
    let entry = entry(append_commands());
    assert_eq!(golden("entry-appends-1.hex", &entry), entry);
}

// Goal: a snapshot with producers is understood as it was first written, and so is a refusal. Method: its bytes from a file against what they stood for; every command went
// through.
#[test]
fn a_snapshot_with_producers() {
    let machine = applied(append_commands());
    assert_eq!(machine.state.producers_count(), 2);
    let read = golden("snapshot-appends-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
    let refusal = Outcome::Refused(Refusal::AppendOverlap {
        producer: "ward-1".into(),
        from: 20,
        to: 30,
    });
    assert_eq!(golden("outcomes-appends-1.hex", &refusal), refusal);
}
