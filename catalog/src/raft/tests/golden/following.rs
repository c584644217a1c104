//! Commits that were planned on one under way.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{Command, Expect, Ident, Op, Pointer, TableChange};

/// A table, a commit, and one that follows it.
fn following_commands() -> Vec<Command> {
    let (id, file) = (Uuid::from_u128(7), |version: u64| {
        format!("file:///lake/bronze/users/metadata/{version}.json")
    });
    let change = |expect, version| Op::Commit {
        changes: vec![TableChange {
            table: Ident {
                namespace: vec!["bronze".into()],
                name: "users".into(),
            },
            expect,
            pointer: Pointer {
                uuid: Uuid::from_u128(8),
                location: "file:///lake/bronze/users".into(),
                metadata_location: file(version),
                snapshot_id: None,
            },
        }],
    };
    let after = Expect::After {
        id,
        version: 2,
        metadata_location: file(2),
    };
    let ops = [
        Op::CreateNamespace {
            namespace: vec!["bronze".into()],
            properties: BTreeMap::new(),
        },
        change(Expect::Absent { id }, 1),
        change(Expect::Version { id, version: 1 }, 2),
        change(after, 3),
    ];
    ops.map(|op| Command::new(1_000, op)).into()
}

// Goal: a log entry with a commit that follows another is understood as it was first written. Method: its bytes from a file against what
// they stood for; every command goes through.
#[test]
fn a_log_entry_about_following() {
    let entry = entry(following_commands());
    assert_eq!(golden("entry-following-1.hex", &entry), entry);
    let state = applied(following_commands()).state;
    let table = Ident {
        namespace: vec!["bronze".into()],
        name: "users".into(),
    };
    assert_eq!(state.table(&table).map(|row| row.version), Some(3));
}
