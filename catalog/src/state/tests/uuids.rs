//! One table, one name: no two tables of one uuid come about, and those that earlier versions let in are served.

use super::*;

fn made(name: &str, place: &str, id: u128, uuid: u128) -> TableChange {
    TableChange {
        table: ident("a", name),
        expect: Expect::New {
            id: Uuid::from_u128(id),
        },
        pointer: of_uuid(place, uuid),
    }
}

fn of_uuid(place: &str, uuid: u128) -> Pointer {
    Pointer {
        uuid: Uuid::from_u128(uuid),
        ..pointer(place, 0)
    }
}

/// As registering with `overwrite` asks for it.
fn put_over(name: &str, pointer: Pointer, id: u128) -> TableChange {
    TableChange {
        table: ident("a", name),
        expect: Expect::Replaced {
            id: Uuid::from_u128(id),
        },
        pointer,
    }
}

fn taken(uuid: u128, by: &str) -> Outcome {
    Outcome::Refused(Refusal::UuidTaken {
        uuid: Uuid::from_u128(uuid),
        by: ident("a", by),
    })
}

fn apply(state: &mut State, op: Op) -> Outcome {
    let index = state.index() + 1;
    state.apply(index, Command::new(10, op))
}

fn drop_kept(name: &str) -> Op {
    Op::Drop(DropOp::Table {
        table: ident("a", name),
        id: None,
        job: Uuid::from_u128(99),
        terms: DropTerms {
            keep_ms: 600_000,
            purge: false,
        },
    })
}

fn bring_back(name: &str, to: &str) -> Op {
    Op::Drop(DropOp::BringBack {
        table: ident("a", name),
        id: None,
        to: ident("a", to),
    })
}

// Goal: a uuid is one table's, wherever the second would lie, also within one commit; renames take it along, a drop and what is put over a table
// let it go. Method: each way to make a second one, at the same place, another and within one transaction; then each way for the uuid to be free.
#[test]
fn a_uuid_is_one_tables() {
    let mut state = with_namespace();
    assert!(matches!(
        commit(&mut state, vec![made("t", "t", 1, 70), made("u", "u", 2, 71)]),
        Outcome::Committed(_)
    ));
    for place in ["t", "elsewhere"] {
        assert_eq!(commit(&mut state, vec![made("v", place, 3, 70)]), taken(70, "t"));
        let over_nothing = put_over("v", of_uuid(place, 70), 3);
        assert_eq!(commit(&mut state, vec![over_nothing]), taken(70, "t"));
        let over_another = put_over("u", of_uuid(place, 70), 3);
        assert_eq!(commit(&mut state, vec![over_another]), taken(70, "t"));
    }
    let twins = vec![made("v", "v", 3, 72), made("w", "w", 4, 72)];
    assert_eq!(commit(&mut state, twins), taken(72, "v"));
    assert!(state.table(&ident("a", "v")).is_none());

    let (from, to) = (ident("a", "t"), ident("a", "moved"));
    assert_eq!(apply(&mut state, Op::RenameTable { from, to }), Outcome::Done);
    assert_eq!(commit(&mut state, vec![made("v", "t", 3, 70)]), taken(70, "moved"));
    // The same table over itself, then another one over it.
    let again = put_over("moved", of_uuid("t", 70), 3);
    assert!(matches!(commit(&mut state, vec![again]), Outcome::Committed(_)));
    let another = put_over("moved", of_uuid("t", 73), 3);
    assert!(matches!(commit(&mut state, vec![another]), Outcome::Committed(_)));
    assert!(matches!(
        commit(&mut state, vec![made("v", "v", 3, 70)]),
        Outcome::Committed(_)
    ));
    assert_eq!(commit(&mut state, vec![made("w", "w", 4, 73)]), taken(73, "moved"));
    let drop = Op::DropTable {
        table: ident("a", "moved"),
        id: None,
    };
    assert!(matches!(apply(&mut state, drop), Outcome::Dropped(_)));
    assert!(matches!(
        commit(&mut state, vec![made("w", "w", 4, 73)]),
        Outcome::Committed(_)
    ));
}

// Goal: a dropped table that was registered again comes back only when the other one has gone. Method: drop, make it anew under another name, ask for it
// back before and after that one's drop.
#[test]
fn no_table_comes_back_beside_itself() {
    let mut state = with_namespace();
    commit(&mut state, vec![made("t", "t", 1, 70)]);
    assert!(matches!(apply(&mut state, drop_kept("t")), Outcome::Dropped(_)));
    assert!(matches!(
        commit(&mut state, vec![made("u", "t", 2, 70)]),
        Outcome::Committed(_)
    ));
    assert_eq!(apply(&mut state, bring_back("t", "t")), taken(70, "u"));
    assert!(matches!(apply(&mut state, drop_kept("u")), Outcome::Dropped(_)));
    assert!(matches!(apply(&mut state, bring_back("t", "t")), Outcome::Committed(_)));
    assert_eq!(apply(&mut state, bring_back("u", "u")), taken(70, "t"));
}

// Goal: the uuid of a dropped table is known as long as it can come back, also behind a snapshot. Method: before and after a drop, in a serialised copy, after
// its return there, and here when its time is over.
#[test]
fn a_dropped_tables_uuid_is_known() {
    let mut state = with_namespace();
    commit(&mut state, vec![made("t", "t", 1, 70), made("u", "u", 2, 71)]);
    let holder = |state: &State| {
        let dropped = state.dropped_of_uuid(Uuid::from_u128(70));
        dropped.map(|dropped| dropped.row.name.clone())
    };
    assert_eq!(holder(&state), None);
    assert!(matches!(apply(&mut state, drop_kept("t")), Outcome::Dropped(_)));
    assert_eq!(holder(&state), Some(ident("a", "t")));
    let bytes = serde_json::to_vec(&state).expect("a state is JSON");
    let mut read: State = serde_json::from_slice(&bytes).expect("its own JSON");
    assert_eq!(read, state);
    assert_eq!(holder(&read), Some(ident("a", "t")));
    assert!(matches!(apply(&mut read, bring_back("t", "t")), Outcome::Committed(_)));
    assert_eq!(holder(&read), None);
    let index = state.index() + 1;
    let later = Command::new(600_010, drop_kept("u"));
    assert!(matches!(state.apply(index, later), Outcome::Dropped(_)));
    assert_eq!(holder(&state), None);
}

// Goal: entries of earlier versions apply as they did, and what they made is read from a snapshot, served, changed and dropped; a third one does not come to
// it. Method: the earlier forms of making, of registering over something and of bringing back; then commits to both twins, over a serialised copy.
#[test]
fn twins_of_earlier_versions_are_served() {
    let mut state = with_namespace();
    let twin = |name: &str, id: u128| TableChange {
        pointer: of_uuid("t", 70),
        ..create(name, id)
    };
    assert!(matches!(
        commit(&mut state, vec![twin("t", 1), twin("u", 2)]),
        Outcome::Committed(_)
    ));
    let over = TableChange {
        expect: Expect::Any { id: Uuid::from_u128(3) },
        ..twin("v", 3)
    };
    assert!(matches!(commit(&mut state, vec![over]), Outcome::Committed(_)));
    assert!(matches!(apply(&mut state, drop_kept("v")), Outcome::Dropped(_)));
    let undrop = DropOp::Undrop {
        table: ident("a", "v"),
        id: None,
        to: ident("a", "v"),
    };
    assert!(matches!(apply(&mut state, Op::Drop(undrop)), Outcome::Committed(_)));

    let bytes = serde_json::to_vec(&state).expect("a state is JSON");
    let mut read: State = serde_json::from_slice(&bytes).expect("its own JSON");
    assert_eq!(read, state);
    for name in ["t", "u", "v"] {
        let row = read.table(&ident("a", name)).expect("it is served").clone();
        let moved = TableChange {
            table: row.name.clone(),
            expect: Expect::Version {
                id: row.id,
                version: row.version,
            },
            pointer: Pointer {
                metadata_location: format!("file:///lake/t/metadata/{name}.metadata.json"),
                ..row.pointer
            },
        };
        assert!(
            matches!(commit(&mut read, vec![moved]), Outcome::Committed(_)),
            "{name}"
        );
        // Over itself, nothing more is shared than was.
        let again = put_over(name, of_uuid("t", 70), 4);
        assert!(
            matches!(commit(&mut read, vec![again]), Outcome::Committed(_)),
            "{name}"
        );
    }
    assert_eq!(commit(&mut read, vec![made("w", "t", 4, 70)]), taken(70, "t"));
    for name in ["t", "u"] {
        assert!(matches!(apply(&mut read, drop_kept(name)), Outcome::Dropped(_)));
    }
    assert_eq!(commit(&mut read, vec![made("w", "t", 4, 70)]), taken(70, "v"));
    assert!(matches!(apply(&mut read, drop_kept("v")), Outcome::Dropped(_)));
    assert!(matches!(
        commit(&mut read, vec![made("w", "t", 4, 70)]),
        Outcome::Committed(_)
    ));
}
