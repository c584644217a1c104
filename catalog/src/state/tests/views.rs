//! Views in the state: names and places are shared with tables.

use super::*;

fn view(name: &str, id: u128) -> Op {
    let change = TableChange {
        pointer: Pointer {
            uuid: Uuid::from_u128(id),
            ..pointer(&format!("v-{name}"), 0)
        },
        ..create(name, id)
    };
    Op::CommitView { change }
}

fn apply(state: &mut State, op: Op) -> Outcome {
    let index = state.index() + 1;
    state.apply(index, Command::new(10, op))
}

// Goal: a name and a place are a table's or a view's, never both; a namespace with a view stays. Method: each way to get there, from both sides.
#[test]
fn tables_and_views_share_names_and_places() {
    let mut state = with_namespace();
    let rename = |from: &str, to: &str| (ident("a", from), ident("a", to));
    let taken = |name: &str, by| {
        Outcome::Refused(Refusal::NameTaken {
            name: ident("a", name),
            by,
        })
    };
    assert!(matches!(apply(&mut state, view("v", 1)), Outcome::Committed(_)));
    assert_eq!(commit(&mut state, vec![create("v", 2)]), taken("v", Relation::View));
    assert!(matches!(
        commit(&mut state, vec![create("t", 2)]),
        Outcome::Committed(_)
    ));
    assert_eq!(apply(&mut state, view("t", 3)), taken("t", Relation::Table));
    assert_eq!(
        apply(&mut state, view("v", 3)),
        Outcome::Refused(Refusal::ViewExists(ident("a", "v")))
    );
    let (from, to) = rename("t", "v");
    assert_eq!(
        apply(&mut state, Op::RenameTable { from, to }),
        taken("v", Relation::View)
    );
    let (from, to) = rename("v", "t");
    assert_eq!(
        apply(&mut state, Op::RenameView { from, to }),
        taken("t", Relation::Table)
    );
    let inside = TableChange {
        pointer: pointer("t/data", 0),
        ..create("w", 4)
    };
    let refused = apply(&mut state, Op::CommitView { change: inside });
    assert!(
        matches!(refused, Outcome::Refused(Refusal::LocationTaken { .. })),
        "{refused:?}"
    );
    let around = TableChange {
        pointer: pointer("v-v/x", 0),
        ..create("w", 5)
    };
    let refused = commit(&mut state, vec![around]);
    assert!(
        matches!(refused, Outcome::Refused(Refusal::LocationTaken { .. })),
        "{refused:?}"
    );
    let drop_table = Op::DropTable {
        table: ident("a", "t"),
        id: None,
    };
    assert!(matches!(apply(&mut state, drop_table), Outcome::Dropped(_)));
    let drop = || Op::DropNamespace {
        namespace: vec!["a".into()],
    };
    assert_eq!(apply(&mut state, drop()), Outcome::Refused(Refusal::NamespaceNotEmpty));
    let (from, to) = rename("v", "u");
    assert_eq!(apply(&mut state, Op::RenameView { from, to }), Outcome::Done);
    let gone = Op::DropView { view: ident("a", "v") };
    assert_eq!(
        apply(&mut state, gone),
        Outcome::Refused(Refusal::NoSuchView(ident("a", "v")))
    );
    assert!(matches!(
        apply(&mut state, Op::DropView { view: ident("a", "u") }),
        Outcome::Dropped(_)
    ));
    assert_eq!(apply(&mut state, drop()), Outcome::Done);
    let kinds: Vec<ChangeKind> = state
        .changes_after(0, 100)
        .changes
        .into_iter()
        .map(|change| change.kind)
        .collect();
    let told = |wanted: fn(&ChangeKind) -> bool| kinds.iter().filter(|kind| wanted(kind)).count();
    assert_eq!(
        told(|kind| matches!(kind, ChangeKind::ViewCreated(row) if row.name.name == "v")),
        1
    );
    assert_eq!(
        told(|kind| matches!(kind, ChangeKind::ViewRenamed { view, .. } if view.name.name == "u")),
        1
    );
    assert_eq!(told(|kind| matches!(kind, ChangeKind::ViewDropped(_))), 1);
}
