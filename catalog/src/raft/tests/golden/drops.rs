//! Drops that can be taken back, and their jobs.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{
    Command, DropJobProblem, DropOp, DropTerms, Expect, Ident, Op, Outcome, Pointer, PurgeProgress, PurgeStage,
    Refusal, TableChange,
};
use crate::raft::Fence;
use tidewater_core::NodeId;

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

// Goal: a log entry about drops and their jobs is understood as it was first written. Method: its bytes from a file against what they stood for.
#[test]
fn a_log_entry_about_drops() {
    let entry = entry(drop_commands());
    assert_eq!(golden("entry-drops-1.hex", &entry), entry);
}

// Goal: a snapshot with dropped tables and jobs is understood as it was first written. Method: its bytes from a file against what they stood for; every command went through.
#[test]
fn a_snapshot_with_drops() {
    let machine = applied(drop_commands());
    assert_eq!(
        (machine.state.dropped_count(), machine.state.drop_jobs().count()),
        (3, 5)
    );
    let read = golden("snapshot-drops-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}

// Goal: answers about drops are understood as they were first written. Method: its bytes from a file against what they stood for.
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
