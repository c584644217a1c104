//! What older versions wrote must stay readable: files with the bytes of a log entry and of a snapshot, as first
//! written.
//!
//! A field that is added to a command needs `#[serde(default)]`; then these files need no change, and a new one beside
//! them shows the new form. Before the first release the files may be made anew: `TIDEWATER_GOLDEN=write`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use openraft::{CommittedLeaderId, EntryPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::command::{
    Batch, Command, Expect, Ident, IngestChange, JobPhase, JobPut, LeaseRequest, OffsetRange, Op, Outcome, PartitionId,
    Pointer, TableChange,
};
use crate::raft::record::{seal, unseal};
use crate::raft::state_store::Machine;
use crate::raft::types::{Entry, LogId};

/// One command of every kind, with every kind of value.
fn commands() -> Vec<Command> {
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

fn log_id() -> LogId {
    LogId::new(CommittedLeaderId::new(3, 1), 42)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/raft/tests/golden")
        .join(name)
}

/// Reads the file, which holds lines of hexadecimal digits; makes it first when asked to.
fn golden<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> T {
    let path = file(name);
    if std::env::var("TIDEWATER_GOLDEN").is_ok_and(|word| word == "write") {
        let digits: String = seal(value).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<_> = digits
            .as_bytes()
            .chunks(120)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let digits: Vec<u8> = fs::read(&path)
        .unwrap()
        .into_iter()
        .filter(u8::is_ascii_hexdigit)
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    unseal(&bytes).unwrap_or_else(|e| panic!("{name} can no longer be read: {e}"))
}

// Goal: a log of the first version is understood. Method: its bytes from a file against the entry they stood for.
#[test]
fn a_log_entry_of_version_1() {
    let entry = Entry {
        log_id: log_id(),
        payload: EntryPayload::Normal(Batch(commands())),
    };
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

// Goal: a log entry about views is understood as it was first written. Method: as above.
#[test]
fn a_log_entry_about_views() {
    let entry = Entry {
        log_id: log_id(),
        payload: EntryPayload::Normal(Batch(view_commands())),
    };
    assert_eq!(golden("entry-views-1.hex", &entry), entry);
}

// Goal: a snapshot with views is understood as it was first written. Method: as above; every command went through.
#[test]
fn a_snapshot_with_views() {
    let mut machine = Machine {
        applied: Some(log_id()),
        ..Machine::default()
    };
    for command in view_commands() {
        let outcome = machine.state.apply(42, command);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
    assert_eq!(machine.state.views_count(), 1);
    let read = golden("snapshot-views-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}
