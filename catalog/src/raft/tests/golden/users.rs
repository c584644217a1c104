//! Users and service accounts.

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{Command, Op, Outcome, PolicyOp, PolicyRefusal, Refusal};
use tidewater_security::{StoredPassword, UserAction, UserChange};

fn password(of: &str) -> StoredPassword {
    StoredPassword {
        hash: format!("$argon2id$v=19${of}"),
        scram: format!("SCRAM-SHA-256$4096:{of}"),
    }
}

/// Every change of a user.
fn user_commands() -> Vec<Command> {
    let add = |id: u128, password: Option<StoredPassword>, roles: &[&str]| UserAction::Add {
        id: Uuid::from_u128(id),
        password,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let another = UserAction::SetPassword {
        password: password("two"),
    };
    let changes = [
        ("ben", add(1, Some(password("one")), &["analyst"])),
        ("robot", add(2, None, &[])),
        ("gone", add(3, None, &[])),
        ("ben", another),
        ("ben", UserAction::Disable),
        ("robot", UserAction::Disable),
        ("ben", UserAction::Enable),
        ("gone", UserAction::Drop),
    ];
    let changes = changes.map(|(user, action)| {
        PolicyOp::User(UserChange {
            user: user.into(),
            action,
        })
    });
    let make = PolicyOp::CreateRole {
        role: "analyst".into(),
        if_not_exists: true,
    };
    let ops = [make].into_iter().chain(changes).map(Op::Policy);
    ops.map(|op| Command::new(1_000, op)).collect()
}

// Goal: a log entry about users is understood as it was first written. Method: its bytes from a file against what they stood for.
#[test]
fn a_log_entry_about_users() {
    let entry = entry(user_commands());
    assert_eq!(golden("entry-users-1.hex", &entry), entry);
}

// Goal: a snapshot with users is understood as it was first written. Method: its bytes from a file against what they stood for; every command went through.
#[test]
fn a_snapshot_with_users() {
    let machine = applied(user_commands());
    let policy = machine.state.policy();
    assert_eq!((policy.users.len(), policy.members.len()), (2, 1));
    let read = golden("snapshot-users-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}

// Goal: refusals about users are understood as they were first written. Method: its bytes from a file against what they stood for.
#[test]
fn answers_about_users() {
    let user = || "ben".to_owned();
    let outcomes: Vec<Outcome> = [
        PolicyRefusal::UserExists { user: user() },
        PolicyRefusal::NoSuchUser { user: user() },
    ]
    .map(|refusal| Outcome::Refused(Refusal::Policy(refusal)))
    .into();
    assert_eq!(golden("outcomes-users-1.hex", &outcomes), outcomes);
}
