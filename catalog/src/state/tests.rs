//! The state against its promises: deterministic, all or nothing, idempotent; offsets and leases that cannot be got around.

mod policy;
mod producers;
mod users;
mod uuids;
mod views;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::command::{
    DropOp, DropTerms, Expect, Ident, IngestChange, IngestRefusal, JobPhase, JobPut, LeaseRequest, OffsetRange,
    PartitionId, Pointer, Relation, TableChange,
};
use crate::raft::Fence;
use tidewater_core::NodeId;

fn ident(namespace: &str, name: &str) -> Ident {
    Ident {
        namespace: vec![namespace.into()],
        name: name.into(),
    }
}

fn pointer(place: &str, file: u64) -> Pointer {
    Pointer {
        uuid: Uuid::from_u128(7),
        location: format!("file:///lake/{place}"),
        metadata_location: format!("file:///lake/{place}/metadata/{file}.metadata.json"),
        snapshot_id: Some(i64::try_from(file).expect("small")),
    }
}

fn create(name: &str, id: u128) -> TableChange {
    TableChange {
        table: ident("a", name),
        expect: Expect::Absent {
            id: Uuid::from_u128(id),
        },
        pointer: pointer(name, 0),
    }
}

fn swap(name: &str, id: u128, version: u64) -> TableChange {
    TableChange {
        table: ident("a", name),
        expect: Expect::Version {
            id: Uuid::from_u128(id),
            version,
        },
        pointer: pointer(name, version),
    }
}

fn with_namespace() -> State {
    let mut state = State::default();
    let op = Op::CreateNamespace {
        namespace: vec!["a".into()],
        properties: [("owner".into(), "x".into())].into(),
    };
    assert_eq!(state.apply(1, Command::new(10, op)), Outcome::Done);
    state
}

fn commit(state: &mut State, changes: Vec<TableChange>) -> Outcome {
    let index = state.index() + 1;
    state.apply(index, Command::new(10, Op::Commit { changes }))
}

// Goal: a commit over several tables moves all or none. Method: one good and one stale change, in both orders.
#[test]
fn commits_are_all_or_nothing() {
    let mut state = with_namespace();
    assert!(matches!(
        commit(&mut state, vec![create("t", 1), create("u", 2)]),
        Outcome::Committed(_)
    ));
    let before = state.clone();
    for changes in [
        vec![swap("t", 1, 1), swap("u", 2, 9)],
        vec![swap("u", 2, 9), swap("t", 1, 1)],
        vec![swap("t", 1, 1), create("u", 3)],
        vec![swap("t", 1, 1), swap("t", 1, 1)],
        vec![create("v", 4), swap("missing", 5, 1)],
    ] {
        assert!(matches!(commit(&mut state, changes), Outcome::Refused(_)));
        let mut unmoved = state.clone();
        unmoved.index = before.index;
        assert_eq!(unmoved, before);
    }
    assert!(matches!(
        commit(&mut state, vec![swap("t", 1, 1), swap("u", 2, 1), create("v", 4)]),
        Outcome::Committed(_)
    ));
    assert_eq!(state.table(&ident("a", "t")).map(|row| row.version), Some(2));
    assert_eq!(state.tables_in(&["a".into()], Some("t")).count(), 2);
}

// Goal: no table's files are in another table's reach. Method: locations that are, hold or lie in a taken one, and look-alikes.
#[test]
fn locations_do_not_overlap() {
    let mut state = with_namespace();
    commit(&mut state, vec![create("t/deep", 1)]);
    for (place, uuid, fits) in [
        ("t/deep", 8, false),
        ("t/deep", 7, true),
        ("t/deep/er", 7, false),
        ("t", 7, false),
        ("t/deeper", 8, true),
        ("t/dee", 8, true),
    ] {
        let mut other = state.clone();
        let mut change = create("other", 2);
        change.pointer.location = format!("file:///lake/{place}");
        change.pointer.uuid = Uuid::from_u128(uuid);
        let outcome = commit(&mut other, vec![change]);
        assert_eq!(matches!(outcome, Outcome::Committed(_)), fits, "{place} {outcome:?}");
    }
}

// Goal: a name that changed hands is not committed to by mistake. Method: drop and make again, rename, then commit by the old id.
#[test]
fn pointers_move_only_for_their_table() {
    let mut state = with_namespace();
    commit(&mut state, vec![create("t", 1)]);
    let rename = Op::RenameTable {
        from: ident("a", "t"),
        to: ident("a", "u"),
    };
    assert_eq!(state.apply(9, Command::new(10, rename)), Outcome::Done);
    assert_eq!(
        commit(&mut state, vec![swap("t", 1, 1)]),
        Outcome::Refused(Refusal::NoSuchTable(ident("a", "t")))
    );
    let mut again = create("t", 2);
    again.pointer.location = "file:///lake/elsewhere".into();
    commit(&mut state, vec![again]);
    assert_eq!(
        commit(&mut state, vec![swap("t", 1, 1)]),
        Outcome::Refused(Refusal::Stale(ident("a", "t")))
    );
    let drop = |id| Op::DropTable {
        table: ident("a", "t"),
        id: Some(Uuid::from_u128(id)),
    };
    assert!(matches!(
        state.apply(11, Command::new(10, drop(1))),
        Outcome::Refused(_)
    ));
    assert!(matches!(
        state.apply(12, Command::new(10, drop(2))),
        Outcome::Dropped(_)
    ));
    let namespace = Op::DropNamespace {
        namespace: vec!["a".into()],
    };
    let refused = Outcome::Refused(Refusal::NamespaceNotEmpty);
    assert_eq!(state.apply(13, Command::new(10, namespace)), refused);
}

// Goal: a request applies once. Method: the same key again, with another print, after a recorded refusal, and after the lifetime.
#[test]
fn keys_replay() {
    let mut state = with_namespace();
    let command = |at_ms, print| Command {
        key: 5,
        print,
        at_ms,
        op: Op::Commit {
            changes: vec![create("t", 1)],
        },
    };
    let first = state.apply(2, command(10, 1));
    assert!(matches!(first, Outcome::Committed(_)));
    assert_eq!(state.apply(3, command(11, 1)), first);
    assert_eq!(state.apply(4, command(11, 2)), Outcome::Refused(Refusal::KeyReused));
    let remember = Op::Remember {
        status: 409,
        kind: "CommitFailedException".into(),
        message: "late".into(),
    };
    let remembered = Command {
        op: remember.clone(),
        ..command(11, 1)
    };
    assert_eq!(
        state.apply(5, remembered),
        first,
        "what was applied is not refused afterwards"
    );
    let refused = Command {
        key: 6,
        op: remember,
        ..command(11, 1)
    };
    let refusal = state.apply(6, refused);
    assert!(matches!(refusal, Outcome::Refused(Refusal::Remembered { .. })));
    assert_eq!(
        state.apply(
            7,
            Command {
                key: 6,
                ..command(12, 1)
            }
        ),
        refusal,
        "what was refused is not applied afterwards"
    );
    let late = 11 + IDEMPOTENCY_LIFETIME_MS + 1;
    assert_eq!(
        state.apply(8, command(late, 1)),
        Outcome::Refused(Refusal::TableExists(ident("a", "t")))
    );
    // A refusal that was not recorded leaves the key free.
    assert!(state.replay(5, 1).is_none());
}

fn lease(owner: &str, at_ms: i64) -> Command {
    let request = LeaseRequest {
        owner: owner.into(),
        ttl_ms: 100,
        acquire: vec![partition()],
        release: Vec::new(),
    };
    Command::new(at_ms, Op::Lease(request))
}

fn partition() -> PartitionId {
    PartitionId {
        topic: "users".into(),
        partition: 0,
    }
}

fn ingest(epoch: u64, from: i64, to: i64, changes: Vec<TableChange>) -> Command {
    let range = OffsetRange {
        partition: partition(),
        epoch,
        from,
        to,
    };
    let ranges = vec![range];
    Command::new(10, Op::Ingest(IngestChange { ranges, changes }))
}

fn epoch_of(outcome: &Outcome) -> (bool, u64) {
    match outcome {
        Outcome::Leases(grants) => grants.first().map_or((false, 0), |grant| (grant.granted, grant.epoch)),
        _ => (false, 0),
    }
}

// Goal: records are committed once and without holes, and only by the holder of the lease. Method: takeover, gap, overlap, repetition.
#[test]
fn ingest_is_fenced_and_gapless() {
    let mut state = with_namespace();
    assert_eq!(epoch_of(&state.apply(2, lease("one", 1_000))), (true, 1));
    assert_eq!(epoch_of(&state.apply(3, lease("two", 1_050))), (false, 1));
    assert!(matches!(
        state.apply(4, ingest(1, 5, 10, vec![create("t", 1)])),
        Outcome::Committed(_)
    ));
    let gap = |expected| {
        Outcome::Refused(Refusal::Ingest(IngestRefusal::Gap {
            partition: partition(),
            expected,
        }))
    };
    assert_eq!(state.apply(5, ingest(1, 11, 12, vec![])), gap(10));
    assert_eq!(state.apply(6, ingest(1, 9, 12, vec![])), gap(10));
    assert_eq!(state.apply(7, ingest(1, 5, 10, vec![])), Outcome::AlreadyIngested);
    // A stale table refuses the offsets too.
    assert!(matches!(
        state.apply(8, ingest(1, 10, 12, vec![swap("t", 1, 9)])),
        Outcome::Refused(_)
    ));
    assert_eq!(state.partition(&partition()).and_then(|row| row.next_offset), Some(10));
    assert_eq!(
        epoch_of(&state.apply(9, lease("one", 1_060))),
        (true, 1),
        "renewal keeps the epoch"
    );
    assert_eq!(epoch_of(&state.apply(10, lease("two", 1_200))), (true, 2));
    let fenced = Outcome::Refused(Refusal::Ingest(IngestRefusal::Fenced {
        partition: partition(),
        epoch: 2,
    }));
    assert_eq!(state.apply(11, ingest(1, 10, 12, vec![swap("t", 1, 1)])), fenced);
    assert!(matches!(
        state.apply(12, ingest(2, 10, 12, vec![swap("t", 1, 1)])),
        Outcome::Committed(_)
    ));
}

fn put(id: u128, phase: JobPhase, expect_version: Option<u64>) -> Op {
    Op::PutJob(JobPut {
        id: Uuid::from_u128(id),
        expect_version,
        kind: "model".into(),
        phase,
        body: "{}".into(),
    })
}

// Goal: job rows are versioned, bounded, and do not wake again. Method: more ended jobs than are kept; a late report.
#[test]
fn jobs_are_bounded() {
    let mut state = State::default();
    for id in 1..=JOBS_ENDED_MAX as u128 + 5 {
        state.apply(1, Command::new(1, put(id, JobPhase::Running, Some(0))));
        let ended = state.apply(1, Command::new(1, put(id, JobPhase::Succeeded, Some(1))));
        assert_eq!(ended, Outcome::Job { version: 2 });
    }
    assert_eq!(state.jobs().count(), JOBS_ENDED_MAX);
    assert!(state.job(Uuid::from_u128(5)).is_none());
    let woken = state.apply(1, Command::new(1, put(9, JobPhase::Running, None)));
    assert_eq!(woken, Outcome::Refused(Refusal::JobVersion { version: 2 }));
}

// Goal: the feed gives every change once, whole entries only, and says when some are gone. Method: walk it with small pages; overflow it.
#[test]
fn the_feed_is_complete_or_says_so() {
    let mut state = with_namespace();
    commit(&mut state, vec![create("t", 1), create("u", 2)]);
    let page = state.changes_after(0, 1);
    assert_eq!((page.changes.len(), page.cursor, page.lost), (1, 1, false));
    let page = state.changes_after(page.cursor, 1);
    assert_eq!((page.changes.len(), page.cursor, page.lost), (2, 2, false));
    assert!(state.changes_after(page.cursor, 1).changes.is_empty());
    for version in 1..=CHANGES_MAX as u64 {
        commit(&mut state, vec![swap("t", 1, version)]);
    }
    assert!(state.changes_after(1, 1).lost);
    assert!(!state.changes_after(2, 1).lost);
}

// Goal: namespaces nest, list level by level, and are found by prefix only where a level ends. Method: siblings that look alike.
#[test]
fn namespaces_nest() {
    let mut state = with_namespace();
    let make = |levels: &[&str]| {
        let namespace = levels.iter().map(|level| (*level).to_owned()).collect();
        let properties = Default::default();
        Op::CreateNamespace { namespace, properties }
    };
    for levels in [&["ab"][..], &["a", "x"], &["a", "x", "deep"], &["a", "y"]] {
        assert_eq!(state.apply(2, Command::new(1, make(levels))), Outcome::Done);
    }
    assert!(matches!(
        state.apply(3, Command::new(1, make(&["none", "x"]))),
        Outcome::Refused(Refusal::NoSuchNamespace { .. })
    ));
    let under =
        |parent: &[String]| -> Vec<String> { state.namespaces_under(parent).map(|row| row.levels.join("/")).collect() };
    assert_eq!(under(&[]), ["a", "ab"]);
    assert_eq!(under(&["a".into()]), ["a/x", "a/y"]);
    assert_eq!(under(&["ab".into()]), Vec::<String>::new());
}

fn any_op() -> impl Strategy<Value = Op> {
    let name = prop_oneof![Just("t"), Just("u"), Just("v")];
    // Of two uuids, so that a table is refused for its own, and becomes another one.
    let change = (name.clone(), 1_u128..4, 0_u64..6, 7_u128..9).prop_map(|(name, id, version, uuid)| {
        let of = Uuid::from_u128(id);
        let mut change = match version {
            0 => create(name, id),
            4 => TableChange {
                expect: Expect::New { id: of },
                ..create(name, id)
            },
            5 => TableChange {
                expect: Expect::Replaced { id: of },
                ..create(name, id)
            },
            version => swap(name, id, version),
        };
        change.pointer.uuid = Uuid::from_u128(uuid);
        change
    });
    prop_oneof![
        any::<bool>().prop_map(|nested| Op::CreateNamespace {
            namespace: if nested {
                vec!["a".into(), "b".into()]
            } else {
                vec!["a".into()]
            },
            properties: Default::default(),
        }),
        Just(Op::DropNamespace {
            namespace: vec!["a".into()]
        }),
        prop::collection::vec(change.clone(), 1..4).prop_map(|changes| Op::Commit { changes }),
        (name.clone(), name.clone()).prop_map(|(from, to)| Op::RenameTable {
            from: ident("a", from),
            to: ident("a", to),
        }),
        name.clone().prop_map(|name| Op::DropTable {
            table: ident("a", name),
            id: None,
        }),
        any_drop(name),
        (prop::collection::vec(change, 0..3), 1_u64..3, 0_i64..6, 1_i64..4).prop_map(
            |(changes, epoch, from, length)| {
                match ingest(epoch, from, from + length, changes).op {
                    Op::Ingest(change) => Op::Ingest(change),
                    other => other,
                }
            }
        ),
        prop_oneof![Just("one"), Just("two")].prop_map(|owner| lease(owner, 0).op),
        (1_u128..5, 0_u64..3).prop_map(|(id, version)| put(id, JobPhase::Running, Some(version))),
    ]
}

fn any_drop(name: impl Strategy<Value = &'static str> + Clone + 'static) -> impl Strategy<Value = Op> {
    let job = || (100_u128..103).prop_map(Uuid::from_u128);
    let fence = || (1_u64..3).prop_map(|term| Fence { term, node: NodeId(1) });
    let terms = || (0_u64..300, any::<bool>()).prop_map(|(keep_ms, purge)| DropTerms { keep_ms, purge });
    let drop = prop_oneof![
        (name.clone(), job(), terms()).prop_map(|(name, job, terms)| DropOp::Table {
            table: ident("a", name),
            id: None,
            job,
            terms,
        }),
        (name.clone(), name, any::<bool>()).prop_map(|(from, to, alone)| {
            let (table, id, to) = (ident("a", from), None, ident("a", to));
            match alone {
                true => DropOp::BringBack { table, id, to },
                false => DropOp::Undrop { table, id, to },
            }
        }),
        (job(), terms()).prop_map(|(job, terms)| DropOp::Namespace {
            namespace: vec!["a".into()],
            job,
            terms,
        }),
        (job(), fence()).prop_map(|(job, fence)| DropOp::Claim { job, fence }),
        (job(), fence(), 1_u32..3).prop_map(|(job, fence, limit)| DropOp::Step { job, fence, limit }),
        (job(), fence(), any::<bool>()).prop_map(|(job, fence, ended)| DropOp::Report {
            job,
            fence,
            ended,
            problem: None,
        }),
    ];
    drop.prop_map(Op::Drop)
}

fn any_command() -> impl Strategy<Value = Command> {
    (any_op(), 0_u128..6, 0_i64..1_000).prop_map(|(op, key, at_ms)| Command {
        key,
        print: 0,
        at_ms,
        op,
    })
}

/// Everything an outsider can see of the tables must agree.
fn check_indexes(state: &State) {
    let namespaces: Vec<Vec<String>> = state.namespaces().map(|row| row.levels.clone()).collect();
    let mut seen = 0;
    for namespace in &namespaces {
        for row in state.tables_in(namespace, None) {
            assert_eq!(state.table(&row.name), Some(row));
            assert_eq!(state.table_by_id(row.id), Some(row));
            let of_uuid = state.table_of_uuid(row.pointer.uuid, Uuid::nil());
            assert!(of_uuid.is_some_and(|other| other.pointer.uuid == row.pointer.uuid));
            assert!(
                state
                    .location_holder(&row.pointer.location, row.id, Uuid::nil())
                    .is_none_or(|other| other.pointer.uuid == row.pointer.uuid)
            );
            seen += 1;
        }
    }
    assert_eq!(seen, state.tables_count());
    assert_eq!(state.dropped_tables().count(), state.dropped_count());
    for dropped in state.dropped_tables() {
        assert_eq!(state.dropped(dropped.row.id), Some(dropped));
        assert!(state.table_by_id(dropped.row.id).is_none());
        let uuid = dropped.row.pointer.uuid;
        let of_uuid = state.dropped_of_uuid(uuid);
        assert!(of_uuid.is_some_and(|other| other.row.pointer.uuid == uuid));
        assert!(
            dropped
                .purge
                .is_none_or(|job| state.drop_job(job).is_some_and(|job| !job.phase.is_final()))
        );
    }
}

proptest! {
    // Goal: the same log gives the same state (INV-CAT-3), also through a snapshot half-way; refusals change nothing but position, time
    // and remembered answers; indexes agree. Method: random histories applied twice, once over a serialised copy.
    #[test]
    fn applying_is_deterministic(commands in prop::collection::vec(any_command(), 1..60), cut in 0_usize..60) {
        let (mut one, mut two) = (State::default(), State::default());
        for (at, command) in commands.into_iter().enumerate() {
            if at == cut {
                let bytes = serde_json::to_vec(&two).expect("a state is JSON");
                two = serde_json::from_slice(&bytes).expect("its own JSON");
            }
            let before = one.clone();
            let index = at as u64 + 1;
            let outcome = one.apply(index, command.clone());
            prop_assert_eq!(&two.apply(index, command.clone()), &outcome);
            if matches!(outcome, Outcome::Refused(_)) {
                let mut unmoved = one.clone();
                (unmoved.index, unmoved.now_ms) = (before.index, before.now_ms);
                unmoved.idempotency = before.idempotency.clone();
                let mut before = before;
                before.drops.expire(unmoved.now_ms.max(one.now_ms));
                prop_assert_eq!(&unmoved, &before);
            } else if command.key != 0 {
                let mut again = one.clone();
                prop_assert_eq!(again.apply(index, command), outcome);
                prop_assert_eq!(&again, &one);
            }
            check_indexes(&one);
        }
        prop_assert_eq!(one, two);
    }
}
