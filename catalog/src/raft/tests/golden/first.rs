//! The first version: a command of every kind, a log entry, a snapshot, answers, and what stands beside them.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{entry, golden, log_id};
use crate::command::{
    Command, Expect, Ident, IngestChange, JobPhase, JobPut, LeaseRequest, OffsetRange, Op, PartitionId, Pointer,
    TableChange,
};
use crate::raft::state_store::Machine;

/// One command of every kind, with every kind of value.
pub(super) fn commands() -> Vec<Command> {
    let (id, table) = (
        Uuid::from_u128(7),
        Ident {
            namespace: vec!["bronze".into()],
            name: "users".into(),
        },
    );
    let pointer = |version| Pointer {
        uuid: Uuid::from_u128(8),
        location: "file:///lake/bronze/users".into(),
        metadata_location: format!("file:///lake/bronze/users/metadata/{version}.json"),
        snapshot_id: (version > 1).then_some(-5),
    };
    let partition = PartitionId {
        topic: "cdc.users".into(),
        partition: 3,
    };
    let change = |expect, version| TableChange {
        table: table.clone(),
        expect,
        pointer: pointer(version),
    };
    let properties = BTreeMap::from([("owner".to_owned(), "ward".to_owned())]);
    let ops = [
        Op::CreateNamespace {
            namespace: vec!["bronze".into()],
            properties: properties.clone(),
        },
        Op::UpdateNamespace {
            namespace: vec!["bronze".into()],
            removals: vec!["a".into()],
            updates: properties,
        },
        Op::CreateNamespace {
            namespace: vec!["silver".into()],
            properties: BTreeMap::new(),
        },
        Op::DropNamespace {
            namespace: vec!["silver".into()],
        },
        Op::Commit {
            changes: vec![change(Expect::Absent { id }, 1)],
        },
        Op::Lease(LeaseRequest {
            owner: "ingest-1".into(),
            ttl_ms: 10_000,
            acquire: vec![partition.clone()],
            release: Vec::new(),
        }),
        Op::Ingest(IngestChange {
            ranges: vec![OffsetRange {
                partition,
                epoch: 1,
                from: 0,
                to: 10,
            }],
            changes: vec![change(Expect::Version { id, version: 1 }, 2)],
        }),
        Op::Commit {
            changes: vec![change(Expect::Any { id }, 3)],
        },
        Op::RenameTable {
            from: table.clone(),
            to: Ident {
                name: "people".into(),
                ..table.clone()
            },
        },
        Op::PutJob(JobPut {
            id,
            expect_version: None,
            kind: "model".into(),
            phase: JobPhase::Running,
            body: "{}".into(),
        }),
        Op::Remember {
            status: 409,
            kind: "CommitFailedException".into(),
            message: "no".into(),
        },
        Op::DropTable { table, id: Some(id) },
    ];
    let keyed = ops.into_iter().zip(1u64..);
    keyed
        .map(|(op, n)| Command::once(Uuid::from_u128(u128::MAX - u128::from(n)), n, 1_000, op))
        .collect()
}

// Goal: a log of the first version is understood. Method: its bytes from a file against the entry they stood for.
#[test]
fn a_log_entry_of_version_1() {
    let entry = entry(commands());
    assert_eq!(golden("entry-1.hex", &entry), entry);
}

// Goal: a snapshot of the first version is understood. Method: its bytes from a file against the state its commands
// give today.
#[test]
fn a_snapshot_of_version_1() {
    let mut machine = Machine {
        applied: Some(log_id()),
        ..Machine::default()
    };
    for command in commands() {
        machine.state.apply(42, command);
    }
    let read = golden("snapshot-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}
