//! Users and service accounts in the state.

use std::collections::BTreeMap;

use super::*;
use crate::command::{GrantOn, PolicyOp, PolicyRefusal};
use tidewater_security::policy::STORED_BYTES_MAX;
use tidewater_security::{
    Grantee, Membership, Privilege, Resource, StoredPassword, TokenRow, UserAction, UserChange, UserRow,
};

fn change_at(state: &mut State, at_ms: i64, op: PolicyOp) -> Outcome {
    let index = state.index() + 1;
    state.apply(index, Command::new(at_ms, Op::Policy(op)))
}

fn change(state: &mut State, user: &str, action: UserAction) -> Outcome {
    let change = UserChange {
        user: user.into(),
        action,
    };
    change_at(state, 10, PolicyOp::User(change))
}

fn password(text: &str) -> StoredPassword {
    StoredPassword {
        hash: format!("hash of {text}"),
        scram: format!("verifier of {text}"),
    }
}

fn add(id: u128, roles: &[&str]) -> UserAction {
    UserAction::Add {
        id: Uuid::from_u128(id),
        password: Some(password("one")),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    }
}

fn row(state: &State, user: &str) -> Option<UserRow> {
    state.policy().users.get(user).cloned()
}

// Goal: users can be made, changed and dropped, and what they had goes with them. Method: each change once, looked at in the policy; a
// grant, a role and a token of theirs beside those of another user.
#[test]
fn users_come_and_go() {
    let mut state = State::default();
    let make = PolicyOp::CreateRole {
        role: "analyst".into(),
        if_not_exists: false,
    };
    change_at(&mut state, 10, make);
    let version = state.policy_version();
    assert_eq!(change(&mut state, "ana", add(1, &["analyst"])), Outcome::Done);
    assert!(state.policy_version() > version, "fronts have to hear of it");
    let account = UserAction::Add {
        id: Uuid::from_u128(2),
        password: None,
        roles: Vec::new(),
    };
    assert_eq!(change(&mut state, "robot", account), Outcome::Done);
    let ana = row(&state, "ana").expect("ana");
    assert_eq!((ana.id, ana.made_ms, ana.disabled), (Uuid::from_u128(1), 10, false));
    assert!(row(&state, "robot").expect("robot").password.is_none());
    let another = UserAction::SetPassword {
        password: password("two"),
    };
    assert_eq!(change(&mut state, "ana", another), Outcome::Done);
    assert_eq!(row(&state, "ana").expect("ana").password, Some(password("two")));
    for action in [UserAction::Disable, UserAction::Disable] {
        assert_eq!(change(&mut state, "ana", action), Outcome::Done);
        assert!(!row(&state, "ana").expect("ana").heeds_token_of(i64::MAX));
    }
    let enable = UserChange {
        user: "ana".into(),
        action: UserAction::Enable,
    };
    for at_ms in [20, 30] {
        change_at(&mut state, at_ms, PolicyOp::User(enable.clone()));
        let ana = row(&state, "ana").expect("ana");
        assert_eq!((ana.disabled, ana.enabled_ms), (false, Some(20)));
        assert!(!ana.heeds_token_of(20) && ana.heeds_token_of(21));
    }
    for (id, user) in [(1, "ana"), (2, "robot")] {
        let grant = PolicyOp::Grant {
            grants: vec![GrantOn {
                on: Resource::Warehouse,
                privileges: Privilege::Select.into(),
            }],
            to: vec![Grantee::User(user.into())],
        };
        change_at(&mut state, 30, grant);
        let token = TokenRow {
            id: Uuid::from_u128(id),
            subject: user.into(),
            issued_ms: 30,
            until_ms: 1_000,
            revoked: false,
        };
        change_at(&mut state, 30, PolicyOp::NoteToken(token));
    }
    assert_eq!(change(&mut state, "ana", UserAction::Drop), Outcome::Done);
    let policy = state.policy();
    assert_eq!(policy.users.keys().collect::<Vec<_>>(), ["robot"]);
    assert!(policy.members.is_empty() && policy.grants.len() == 1);
    let revoked = policy.tokens.iter().map(|row| (row.subject.as_str(), row.revoked));
    assert_eq!(revoked.collect::<Vec<_>>(), [("ana", true), ("robot", false)]);
    assert_eq!(change(&mut state, "ana", add(3, &[])), Outcome::Done);
    assert_eq!(row(&state, "ana").expect("ana").id, Uuid::from_u128(3));
    assert!(state.policy().members.is_empty());
}

// Goal: a user without roles puts no grants in force, one with a role does, as giving the role would. Method: one of each.
#[test]
fn roles_of_a_user_put_grants_in_force() {
    let mut state = State::default();
    change(&mut state, "ana", add(1, &[]));
    assert!(!state.policy().in_force);
    let make = PolicyOp::CreateRole {
        role: "analyst".into(),
        if_not_exists: false,
    };
    change_at(&mut state, 10, make);
    change(&mut state, "ben", add(2, &["analyst"]));
    let policy = state.policy();
    let member = Membership {
        role: "analyst".into(),
        member: Grantee::User("ben".into()),
    };
    assert!(policy.in_force && policy.members.contains(&member));
}

// Goal: what makes no sense is refused, and leaves everything as it was. Method: each refusal on a state with one user.
#[test]
fn refusals_change_nothing() {
    let mut state = State::default();
    change(&mut state, "ana", add(1, &[]));
    let before = state.policy();
    let exists = PolicyRefusal::UserExists { user: "ana".into() };
    let missing = || PolicyRefusal::NoSuchUser { user: "ben".into() };
    let another = UserAction::SetPassword {
        password: password("two"),
    };
    for (user, action, refusal) in [
        ("ana", add(2, &[]), exists),
        ("ben", another, missing()),
        ("ben", UserAction::Disable, missing()),
        ("ben", UserAction::Enable, missing()),
        ("ben", UserAction::Drop, missing()),
        (
            "ben",
            add(2, &["none"]),
            PolicyRefusal::NoSuchRole { role: "none".into() },
        ),
    ] {
        let outcome = change(&mut state, user, action.clone());
        assert_eq!(outcome, Outcome::Refused(refusal.into()), "{user}: {action:?}");
        assert_eq!(state.policy(), before, "{user}: {action:?}");
    }
    let endless = UserAction::SetPassword {
        password: password(&"x".repeat(STORED_BYTES_MAX)),
    };
    let long = "x".repeat(GRANTEE_BYTES_MAX + 1);
    for (user, action) in [("ana", endless), (long.as_str(), add(2, &[])), ("", add(2, &[]))] {
        let outcome = change(&mut state, user, action);
        assert!(
            matches!(outcome, Outcome::Refused(Refusal::Full { .. })),
            "{user}: {outcome:?}"
        );
        assert_eq!(state.policy(), before, "{user}");
    }
}

// Goal: the state is bounded. Method: one more user than there may be.
#[test]
fn users_are_bounded() {
    let mut written = serde_json::to_value(State::default()).expect("JSON");
    let row = UserRow {
        id: Uuid::from_u128(1),
        password: None,
        disabled: false,
        made_ms: 1,
        enabled_ms: None,
    };
    let rows: BTreeMap<String, UserRow> = (1..USERS_MAX).map(|at| (format!("u{at}"), row.clone())).collect();
    written["policy"]["users"] = serde_json::to_value(rows).expect("JSON");
    let mut state: State = serde_json::from_value(written).expect("a state");
    assert_eq!(state.policy().users.len(), USERS_MAX - 1);
    assert_eq!(change(&mut state, "last", add(2, &[])), Outcome::Done);
    let outcome = change(&mut state, "more", add(3, &[]));
    assert!(matches!(outcome, Outcome::Refused(Refusal::Full { .. })), "{outcome:?}");
    assert_eq!(state.policy().users.len(), USERS_MAX);
}
