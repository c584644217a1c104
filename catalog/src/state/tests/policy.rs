//! Roles and grants in the state.

use super::*;
use crate::command::{GrantOn, PolicyOp, PolicyRefusal};
use tidewater_security::{Access, Grantee, Privilege, Readable, Resource, TOKEN_TTL_MS_MAX, TokenRow};

fn apply(state: &mut State, op: Op) -> Outcome {
    let index = state.index() + 1;
    state.apply(index, Command::new(10, op))
}

fn change(state: &mut State, op: PolicyOp) -> Outcome {
    apply(state, Op::Policy(op))
}

fn role(name: &str) -> Grantee {
    Grantee::Role(name.into())
}

fn grant(on: Resource, one: Privilege, to: Grantee) -> PolicyOp {
    PolicyOp::Grant {
        grants: vec![GrantOn {
            on,
            privileges: one.into(),
        }],
        to: vec![to],
    }
}

fn on(id: u128) -> Resource {
    Resource::Object(Uuid::from_u128(id))
}

fn may_read(state: &State, user: &str, name: &str) -> bool {
    let access = Access::compile(&state.policy(), user);
    access.readable(&["a".to_owned()], name, Some(Uuid::from_u128(7))) == Readable::All
}

// Goal: grants on a table go with its name, come back with it, and never pass to another table; those on a namespace end with it.
// Method: rename, drop, undrop, drop for good and make anew, each followed by the question.
#[test]
fn grants_go_with_the_table() {
    let mut state = with_namespace();
    commit(&mut state, vec![create("t", 1)]);
    assert!(!state.policy().in_force && may_read(&state, "eve", "t"));
    let ana = Grantee::User("ana".into());
    assert_eq!(
        change(&mut state, grant(on(1), Privilege::Select, ana.clone())),
        Outcome::Done
    );
    assert!(may_read(&state, "ana", "t") && !may_read(&state, "eve", "t"));
    let version = state.policy_version();
    let (from, to) = (ident("a", "t"), ident("a", "moved"));
    apply(&mut state, Op::RenameTable { from, to });
    assert!(
        state.policy_version() > version,
        "who compiled the policy has to hear of it"
    );
    assert!(may_read(&state, "ana", "moved") && !may_read(&state, "ana", "t"));
    let drop = |name: &str, keep_ms| {
        Op::Drop(DropOp::Table {
            table: ident("a", name),
            id: None,
            job: Uuid::from_u128(99),
            terms: DropTerms { keep_ms, purge: false },
        })
    };
    apply(&mut state, drop("moved", 600_000));
    assert!(!may_read(&state, "ana", "moved"));
    // Another change in between must not lose what may come back.
    change(
        &mut state,
        PolicyOp::CreateRole {
            role: "r".into(),
            if_not_exists: false,
        },
    );
    let undrop = DropOp::Undrop {
        table: ident("a", "moved"),
        id: None,
        to: ident("a", "back"),
    };
    apply(&mut state, Op::Drop(undrop));
    assert!(may_read(&state, "ana", "back"));
    apply(&mut state, drop("back", 0));
    commit(&mut state, vec![create("back", 2)]);
    assert!(!may_read(&state, "ana", "back"));
    change(
        &mut state,
        PolicyOp::CreateRole {
            role: "s".into(),
            if_not_exists: false,
        },
    );
    assert!(state.policy().grants.is_empty());
    assert_eq!(
        change(&mut state, grant(on(1), Privilege::Select, ana.clone())),
        Outcome::Refused(
            PolicyRefusal::Gone {
                object: Uuid::from_u128(1)
            }
            .into()
        )
    );
    let namespace = Resource::Namespace(vec!["a".into()]);
    change(&mut state, grant(namespace, Privilege::Select, ana));
    assert!(may_read(&state, "ana", "back"));
    apply(&mut state, drop("back", 0));
    assert_eq!(
        apply(
            &mut state,
            Op::DropNamespace {
                namespace: vec!["a".into()]
            }
        ),
        Outcome::Done
    );
    let op = Op::CreateNamespace {
        namespace: vec!["a".into()],
        properties: Default::default(),
    };
    apply(&mut state, op);
    assert!(!may_read(&state, "ana", "back") && state.policy().grants.is_empty());
    assert!(state.policy().in_force, "without any grant, nobody may do anything");
}

// Goal: roles can be made, given, taken and dropped, and refusals leave everything as it was. Method: each once, with each refusal.
#[test]
fn roles_and_refusals() {
    let mut state = with_namespace();
    commit(&mut state, vec![create("t", 1)]);
    let make = |role: &str, if_not_exists| PolicyOp::CreateRole {
        role: role.into(),
        if_not_exists,
    };
    let give = |roles: &[&str], to: Grantee| PolicyOp::AddMember {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        to: vec![to],
    };
    assert_eq!(change(&mut state, make("a", false)), Outcome::Done);
    assert_eq!(change(&mut state, make("b", false)), Outcome::Done);
    assert_eq!(change(&mut state, make("a", true)), Outcome::Done);
    assert_eq!(change(&mut state, give(&["a"], role("b"))), Outcome::Done);
    assert_eq!(
        change(&mut state, give(&["b"], Grantee::User("ana".into()))),
        Outcome::Done
    );
    assert_eq!(
        change(&mut state, grant(on(1), Privilege::Select, role("a"))),
        Outcome::Done
    );
    assert!(may_read(&state, "ana", "t"));
    let before = state.policy();
    for (op, refusal) in [
        (make("a", false), PolicyRefusal::RoleExists { role: "a".into() }),
        (
            make("public", false),
            PolicyRefusal::RoleExists { role: "public".into() },
        ),
        (give(&["c"], role("a")), PolicyRefusal::NoSuchRole { role: "c".into() }),
        (give(&["a"], role("c")), PolicyRefusal::NoSuchRole { role: "c".into() }),
        (
            give(&["a", "b"], role("a")),
            PolicyRefusal::Circle {
                role: "a".into(),
                member: "a".into(),
            },
        ),
        (
            give(&["b"], role("a")),
            PolicyRefusal::Circle {
                role: "b".into(),
                member: "a".into(),
            },
        ),
        (
            grant(on(1), Privilege::Drop, role("c")),
            PolicyRefusal::NoSuchRole { role: "c".into() },
        ),
        (
            PolicyOp::DropRole {
                role: "c".into(),
                if_exists: false,
            },
            PolicyRefusal::NoSuchRole { role: "c".into() },
        ),
    ] {
        assert_eq!(
            change(&mut state, op.clone()),
            Outcome::Refused(refusal.into()),
            "{op:?}"
        );
        assert_eq!(state.policy(), before, "{op:?}");
    }
    let none = Resource::Namespace(vec!["none".into()]);
    assert!(matches!(
        change(&mut state, grant(none, Privilege::Select, role("a"))),
        Outcome::Refused(Refusal::NoSuchNamespace { .. })
    ));
    let long = "x".repeat(GRANTEE_BYTES_MAX + 1);
    assert!(matches!(
        change(&mut state, make(&long, false)),
        Outcome::Refused(Refusal::Full { .. })
    ));
    let drop = PolicyOp::DropRole {
        role: "a".into(),
        if_exists: false,
    };
    assert_eq!(change(&mut state, drop), Outcome::Done);
    assert!(!may_read(&state, "ana", "t"));
    assert_eq!((state.policy().grants.len(), state.policy().members.len()), (0, 1));
}

// Goal: what is taken back is gone: a privilege, a table's SELECT with that of its columns, a token, and a user's tokens; rows of tokens
// end with them. Method: each once, with what must stay beside it; time passes.
#[test]
fn what_is_taken_back_is_gone() {
    let mut state = with_namespace();
    commit(&mut state, vec![create("t", 1)]);
    let ana = Grantee::User("ana".into());
    let column = |field| Resource::Column {
        object: Uuid::from_u128(1),
        field,
    };
    for op in [
        grant(column(1), Privilege::Select, ana.clone()),
        grant(column(2), Privilege::Select, ana.clone()),
        grant(on(1), Privilege::Insert, ana.clone()),
        grant(on(1), Privilege::Drop, ana),
    ] {
        assert_eq!(change(&mut state, op), Outcome::Done);
    }
    let take = |on: Resource, privileges: &[Privilege]| PolicyOp::Revoke {
        grants: vec![GrantOn {
            on,
            privileges: privileges.iter().copied().collect(),
        }],
        from: vec![Grantee::User("ana".into())],
    };
    change(&mut state, take(column(2), &[Privilege::Select]));
    assert_eq!(state.policy().grants.len(), 2);
    change(&mut state, take(on(1), &[Privilege::Select, Privilege::Drop]));
    let left = state.policy().grants;
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].on.clone(), left[0].privileges),
        (on(1), Privilege::Insert.into())
    );
    let row = |id: u128, until_ms| TokenRow {
        id: Uuid::from_u128(id),
        subject: "ana".into(),
        issued_ms: 10,
        until_ms,
        revoked: false,
    };
    change(&mut state, PolicyOp::NoteToken(row(1, 1_000)));
    change(&mut state, PolicyOp::NoteToken(row(2, 9_000)));
    let revoke = |id: u128| PolicyOp::RevokeToken {
        id: Uuid::from_u128(id),
        until_ms: i64::MAX,
    };
    change(&mut state, revoke(2));
    change(&mut state, revoke(3));
    change(&mut state, PolicyOp::RevokeTokensOf { user: "ana".into() });
    let policy = state.policy();
    let tokens: Vec<_> = policy
        .tokens
        .iter()
        .map(|row| (row.id.as_u128(), row.revoked))
        .collect();
    assert_eq!(tokens, [(1, false), (2, true), (3, true)]);
    assert_eq!(policy.tokens_from_ms.get("ana"), Some(&10));
    let later = Command::new(5_000, Op::Policy(revoke(4)));
    state.apply(state.index() + 1, later);
    let ids: Vec<_> = state.policy().tokens.iter().map(|row| row.id.as_u128()).collect();
    assert_eq!(ids, [2, 3, 4]);
    let end = Command::new(5_001 + TOKEN_TTL_MS_MAX, Op::Policy(revoke(5)));
    state.apply(state.index() + 1, end);
    let policy = state.policy();
    assert_eq!((policy.tokens.len(), policy.tokens_from_ms.len()), (1, 0));
}

// Goal: the state is bounded. Method: one more role than there may be.
#[test]
fn roles_are_bounded() {
    let mut state = with_namespace();
    for at in 0..=ROLES_MAX {
        let outcome = change(
            &mut state,
            PolicyOp::CreateRole {
                role: format!("r{at}"),
                if_not_exists: false,
            },
        );
        match at < ROLES_MAX {
            true => assert_eq!(outcome, Outcome::Done),
            false => assert!(matches!(outcome, Outcome::Refused(Refusal::Full { .. })), "{outcome:?}"),
        }
    }
    assert_eq!(state.policy().roles.len(), ROLES_MAX);
}
