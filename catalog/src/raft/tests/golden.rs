//! What older versions wrote must stay readable: files with the bytes of a log entry and of a snapshot, as first
//! written.
//!
//! A field that is added to a command needs `#[serde(default)]`; then these files need no change, and a new one beside
//! them shows the new form: `TIDEWATER_GOLDEN=write` makes those that are missing, and never replaces one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use openraft::{CommittedLeaderId, EntryPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::backup::Manifest;
use crate::command::{
    AppendChange, Batch, Command, DropJobProblem, DropOp, DropTerms, Expect, Ident, IngestChange, IngestRefusal,
    JobPhase, JobPut, LeaseGrant, LeaseRequest, OffsetRange, Op, Outcome, PartitionId, Pointer, ProducerRange,
    PurgeProgress, PurgeStage, Refusal, TableChange, TableRef,
};
use crate::raft::record::{seal, unseal};
use crate::raft::state_store::Machine;
use crate::raft::types::{Entry, LogId, Membership, Vote};
use crate::raft::{Fence, GroupIdentity, PeerAddress};
use tidewater_core::NodeId;

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
    if !path.try_exists().unwrap() && std::env::var("TIDEWATER_GOLDEN").is_ok_and(|word| word == "write") {
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
// a command. Method: as above.
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

// Goal: what stands in the log beside entries is understood: votes, given and won, and marks. Method: as above.
#[test]
fn marks_of_the_log() {
    assert_eq!(golden("vote-1.hex", &Vote::new(4, 2)), Vote::new(4, 2));
    assert_eq!(
        golden("vote-won-1.hex", &Vote::new_committed(4, 2)),
        Vote::new_committed(4, 2)
    );
    assert_eq!(golden("mark-1.hex", &log_id()), log_id());
}

// Goal: a snapshot of the second version is understood, members and numbers of nodes included. Method: as above.
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

// Goal: every answer that an idempotency key can keep is understood. Method: as above, one of each kind; each is kept and
// given again by a state.
#[test]
fn answers_of_idempotency_keys() {
    let (id, table) = (
        Uuid::from_u128(7),
        Ident {
            namespace: vec!["bronze".into()],
            name: "users".into(),
        },
    );
    let reference = TableRef {
        id,
        version: 3,
        metadata_location: "file:///lake/bronze/users/metadata/3.json".into(),
    };
    let partition = PartitionId {
        topic: "cdc.users".into(),
        partition: 3,
    };
    let refusals = [
        Refusal::NamespaceExists,
        Refusal::NoSuchNamespace {
            namespace: vec!["a".into(), "b".into()],
        },
        Refusal::NamespaceNotEmpty,
        Refusal::TableExists(table.clone()),
        Refusal::NoSuchTable(table.clone()),
        Refusal::Stale(table.clone()),
        Refusal::LocationTaken {
            location: "file:///lake/bronze/users".into(),
            by: table,
        },
        Refusal::Repeated,
        Refusal::Ingest(IngestRefusal::Fenced {
            partition: partition.clone(),
            epoch: 4,
        }),
        Refusal::Ingest(IngestRefusal::Gap {
            partition: partition.clone(),
            expected: -1,
        }),
        Refusal::JobVersion { version: 2 },
        Refusal::Full { limit: "tables".into() },
        Refusal::KeyReused,
        Refusal::Remembered {
            status: 409,
            kind: "CommitFailedException".into(),
            message: "no".into(),
        },
    ];
    let outcomes: Vec<Outcome> = [
        Outcome::Done,
        Outcome::NamespaceUpdated {
            updated: vec!["a".into()],
            removed: vec!["b".into()],
            missing: vec!["c".into()],
        },
        Outcome::Committed(vec![reference.clone()]),
        Outcome::Dropped(reference),
        Outcome::AlreadyIngested,
        Outcome::Leases(vec![LeaseGrant {
            partition,
            granted: true,
            epoch: 2,
            expires_at_ms: 9_000,
            owner: "ingest-1".into(),
            next_offset: Some(10),
        }]),
        Outcome::Job { version: 5 },
        Outcome::Node { id: 4 },
    ]
    .into_iter()
    .chain(refusals.map(Outcome::Refused))
    .collect();
    assert_eq!(golden("outcomes-1.hex", &outcomes), outcomes);
}

// Goal: the files beside log and snapshot are understood: who a node is, and what a backup says. Method: their text as
// first written.
#[test]
fn texts_of_version_1() {
    let identity: GroupIdentity = serde_json::from_str(
        r#"{"node": 7, "address": {"raft": "10.0.0.7:8182", "api": "http://10.0.0.7:8181"},
            "members": {"1": {"raft": "10.0.0.1:8182", "api": "http://10.0.0.1:8181"}}}"#,
    )
    .unwrap();
    assert_eq!((identity.node.0, identity.members.len()), (7, 1));
    assert_eq!(identity.members[&NodeId(1)].raft, "10.0.0.1:8182");
    let manifest: Manifest = serde_json::from_str(
        r#"{"format": 1, "position": {"term": 3, "node": 1, "index": 42}, "state_time_ms": 1000,
            "snapshot_bytes": 512, "namespaces_count": 1, "tables": [{"namespace": ["bronze"], "name": "users",
            "uuid": "00000000-0000-0000-0000-000000000008", "version": 3, "snapshot_id": -5,
            "metadata_location": "file:///lake/bronze/users/metadata/3.json"}]}"#,
    )
    .unwrap();
    assert_eq!(
        (manifest.position.index, manifest.tables[0].snapshot_id),
        (42, Some(-5))
    );
}

/// What drops that can be taken back brought, on a state with five tables and a namespace in a namespace.
fn drop_commands() -> Vec<Command> {
    let name = |name: &str| Ident {
        namespace: vec!["bronze".into()],
        name: name.into(),
    };
    let changes = (1..=5u128).map(|number| TableChange {
        table: name(&format!("t{number}")),
        expect: Expect::Absent {
            id: Uuid::from_u128(number),
        },
        pointer: Pointer {
            uuid: Uuid::from_u128(number),
            location: format!("file:///lake/bronze/t{number}"),
            metadata_location: format!("file:///lake/bronze/t{number}/metadata/1.json"),
            snapshot_id: Some(4),
        },
    });
    let create = |levels: &[&str]| Op::CreateNamespace {
        namespace: levels.iter().map(|level| (*level).to_owned()).collect(),
        properties: BTreeMap::new(),
    };
    let drop = |number: u128, keep_ms, purge| DropOp::Table {
        table: name(&format!("t{number}")),
        id: Some(Uuid::from_u128(number)),
        job: Uuid::from_u128(100 + number),
        terms: DropTerms { keep_ms, purge },
    };
    let job = |number| Uuid::from_u128(number);
    let fence = Fence {
        term: 3,
        node: NodeId(1),
    };
    let drops = [
        drop(1, 600_000, false),
        drop(2, 600_000, true),
        drop(3, 0, true),
        drop(4, 0, true),
        DropOp::Undrop {
            table: name("t1"),
            id: Some(Uuid::from_u128(1)),
            to: name("back"),
        },
        drop(5, 600_000, false),
        DropOp::Claim { job: job(103), fence },
        DropOp::Progress {
            job: job(103),
            fence,
            progress: PurgeProgress {
                stage: PurgeStage::Manifests,
                manifests_done: 1,
                manifests_count: 2,
                entries_done: 3,
                deleted: 4,
                left: 5,
            },
        },
        DropOp::Report {
            job: job(103),
            fence,
            ended: false,
            problem: Some("no store".into()),
        },
        DropOp::Claim { job: job(104), fence },
        DropOp::Report {
            job: job(104),
            fence,
            ended: true,
            problem: None,
        },
        DropOp::Namespace {
            namespace: vec!["bronze".into(), "old".into()],
            job: job(200),
            terms: DropTerms {
                keep_ms: 600_000,
                purge: false,
            },
        },
        DropOp::Claim { job: job(200), fence },
        DropOp::Step {
            job: job(200),
            fence,
            limit: 1,
        },
        DropOp::Namespace {
            namespace: vec!["bronze".into()],
            job: job(201),
            terms: DropTerms {
                keep_ms: 600_000,
                purge: true,
            },
        },
    ];
    let changes = changes.collect();
    let before = [create(&["bronze"]), create(&["bronze", "old"]), Op::Commit { changes }];
    let ops = before.into_iter().chain(drops.into_iter().map(Op::Drop));
    ops.map(|op| Command::new(1_000, op)).collect()
}

// Goal: a log entry about drops and their jobs is understood as it was first written. Method: as above.
#[test]
fn a_log_entry_about_drops() {
    let entry = Entry {
        log_id: log_id(),
        payload: EntryPayload::Normal(Batch(drop_commands())),
    };
    assert_eq!(golden("entry-drops-1.hex", &entry), entry);
}

// Goal: a snapshot with dropped tables and jobs is understood as it was first written. Method: as above; every command went through.
#[test]
fn a_snapshot_with_drops() {
    let mut machine = Machine {
        applied: Some(log_id()),
        ..Machine::default()
    };
    for command in drop_commands() {
        let outcome = machine.state.apply(42, command);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
    assert_eq!(
        (machine.state.dropped_count(), machine.state.drop_jobs().count()),
        (3, 5)
    );
    let read = golden("snapshot-drops-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}

// Goal: answers about drops are understood as they were first written. Method: as above.
#[test]
fn answers_about_drops() {
    let (id, table) = (
        Uuid::from_u128(7),
        Ident {
            namespace: vec!["bronze".into()],
            name: "users".into(),
        },
    );
    let problems = [
        DropJobProblem::Unknown,
        DropJobProblem::Ended,
        DropJobProblem::NotDue,
        DropJobProblem::Fenced,
    ];
    let refusals = problems.map(|problem| Refusal::DropJob { job: id, problem });
    let outcomes: Vec<Outcome> = [Refusal::NotDropped(table.clone()), Refusal::PurgeBegun(table)]
        .into_iter()
        .chain(refusals)
        .map(Outcome::Refused)
        .chain([Outcome::DropJob { id }])
        .collect();
    assert_eq!(golden("outcomes-drops-1.hex", &outcomes), outcomes);
}

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

// Goal: a log entry about appends is understood as it was first written. Method: as above.
#[test]
fn a_log_entry_about_appends() {
    let entry = Entry {
        log_id: log_id(),
        payload: EntryPayload::Normal(Batch(append_commands())),
    };
    assert_eq!(golden("entry-appends-1.hex", &entry), entry);
}

// Goal: a snapshot with producers is understood as it was first written, and so is a refusal. Method: as above; every command went
// through.
#[test]
fn a_snapshot_with_producers() {
    let mut machine = Machine {
        applied: Some(log_id()),
        ..Machine::default()
    };
    for command in append_commands() {
        let outcome = machine.state.apply(42, command);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
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
