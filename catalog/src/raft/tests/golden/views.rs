//! Views.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{Command, Expect, Ident, Op, Pointer, TableChange};

/// The commands that views brought, on a state with a namespace.
fn view_commands() -> Vec<Command> {
    let (id, view) = (
        Uuid::from_u128(9),
        Ident {
            namespace: vec!["bronze".into()],
            name: "adults".into(),
        },
    );
    let change = |expect, version| TableChange {
        table: view.clone(),
        expect,
        pointer: Pointer {
            uuid: Uuid::from_u128(10),
            location: "file:///lake/bronze/adults".into(),
            metadata_location: format!("file:///lake/bronze/adults/metadata/{version}.json"),
            snapshot_id: None,
        },
    };
    let second = Uuid::from_u128(11);
    let other = TableChange {
        table: Ident {
            name: "minors".into(),
            ..view.clone()
        },
        expect: Expect::Absent { id: second },
        pointer: Pointer {
            uuid: second,
            location: "file:///lake/bronze/minors".into(),
            metadata_location: "file:///lake/bronze/minors/metadata/1.json".into(),
            snapshot_id: None,
        },
    };
    let ops = [
        Op::CreateNamespace {
            namespace: vec!["bronze".into()],
            properties: BTreeMap::new(),
        },
        Op::CommitView {
            change: change(Expect::Absent { id }, 1),
        },
        Op::CommitView {
            change: change(Expect::Version { id, version: 1 }, 2),
        },
        Op::CommitView { change: other.clone() },
        Op::RenameView {
            from: view.clone(),
            to: Ident {
                name: "grown_ups".into(),
                ..view
            },
        },
        Op::DropView { view: other.table },
    ];
    let keyed = ops.into_iter().zip(1u64..);
    keyed
        .map(|(op, n)| Command::once(Uuid::from_u128(u128::MAX - u128::from(n)), n, 1_000, op))
        .collect()
}

// Goal: a log entry about views is understood as it was first written. Method: its bytes from a file against what they stood for.
#[test]
fn a_log_entry_about_views() {
    let entry = entry(view_commands());
    assert_eq!(golden("entry-views-1.hex", &entry), entry);
}

// Goal: a snapshot with views is understood as it was first written. Method: its bytes from a file against what they stood for; every command went through.
#[test]
fn a_snapshot_with_views() {
    let machine = applied(view_commands());
    assert_eq!(machine.state.views_count(), 1);
    let read = golden("snapshot-views-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}
