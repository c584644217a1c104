//! Tables that are made under a uuid which no other has.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{Command, DropOp, DropTerms, Expect, Ident, Op, Outcome, Pointer, Refusal, TableChange};

fn name(name: &str) -> Ident {
    Ident {
        namespace: vec!["bronze".into()],
        name: name.into(),
    }
}

/// A table, another metadata file over it, its drop and its return.
fn commands() -> Vec<Command> {
    let change = |expect, version: u64| Op::Commit {
        changes: vec![TableChange {
            table: name("users"),
            expect,
            pointer: Pointer {
                uuid: Uuid::from_u128(8),
                location: "file:///lake/bronze/users".into(),
                metadata_location: format!("file:///lake/bronze/users/metadata/{version}.json"),
                snapshot_id: None,
            },
        }],
    };
    let (id, other) = (Uuid::from_u128(7), Uuid::from_u128(9));
    let ops = [
        Op::CreateNamespace {
            namespace: vec!["bronze".into()],
            properties: BTreeMap::new(),
        },
        change(Expect::New { id }, 1),
        change(Expect::Replaced { id: other }, 2),
        Op::Drop(DropOp::Table {
            table: name("users"),
            id: Some(id),
            job: Uuid::from_u128(101),
            terms: DropTerms {
                keep_ms: 600_000,
                purge: false,
            },
        }),
        Op::Drop(DropOp::BringBack {
            table: name("users"),
            id: None,
            to: name("back"),
        }),
    ];
    ops.map(|op| Command::new(1_000, op)).into()
}

// Goal: a log entry with tables of a uuid of their own is understood as it was first written. Method: its bytes from a file against what they stood
// for; every command goes through.
#[test]
fn a_log_entry_about_uuids() {
    let entry = entry(commands());
    assert_eq!(golden("entry-uuids-1.hex", &entry), entry);
    let state = applied(commands()).state;
    assert_eq!(state.table(&name("back")).map(|row| row.version), Some(2));
}

// Goal: the refusal of a second table of a uuid is understood as it was first written. Method: its bytes from a file against what they stood for.
#[test]
fn answers_about_uuids() {
    let refusal = Refusal::UuidTaken {
        uuid: Uuid::from_u128(8),
        by: name("users"),
    };
    let outcomes = vec![Outcome::Refused(refusal)];
    assert_eq!(golden("outcomes-uuids-1.hex", &outcomes), outcomes);
}
