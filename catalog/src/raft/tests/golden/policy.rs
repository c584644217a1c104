//! Roles, grants and tokens.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{applied, entry, golden};
use crate::command::{
    Command, Expect, GrantOn, Ident, Op, Outcome, Pointer, PolicyOp, PolicyRefusal, Refusal, TableChange,
};
use tidewater_security::{Grantee, Privilege, Resource, TokenRow};

/// Every change of a policy, on a state with a table.
fn policy_commands() -> Vec<Command> {
    let (role, user) = (Grantee::Role("analyst".into()), Grantee::User("ana".into()));
    let object = Uuid::from_u128(1);
    let change = TableChange {
        table: Ident {
            namespace: vec!["gold".into()],
            name: "t".into(),
        },
        expect: Expect::Absent { id: object },
        pointer: Pointer {
            uuid: Uuid::from_u128(2),
            location: "file:///lake/gold/t".into(),
            metadata_location: "file:///lake/gold/t/metadata/1.json".into(),
            snapshot_id: None,
        },
    };
    let all = |on: Resource| GrantOn {
        on,
        privileges: Privilege::ALL.into_iter().collect(),
    };
    let make = |role: &str| PolicyOp::CreateRole {
        role: role.into(),
        if_not_exists: true,
    };
    let ops = [
        make("analyst"),
        make("old"),
        PolicyOp::Grant {
            grants: vec![
                all(Resource::Warehouse),
                all(Resource::Namespace(vec!["gold".into()])),
                all(Resource::Object(object)),
                all(Resource::Column { object, field: 3 }),
            ],
            to: vec![role, user.clone()],
        },
        PolicyOp::Revoke {
            grants: vec![all(Resource::Warehouse)],
            from: vec![user.clone()],
        },
        PolicyOp::AddMember {
            roles: vec!["analyst".into(), "old".into()],
            to: vec![user.clone()],
        },
        PolicyOp::RemoveMember {
            roles: vec!["old".into()],
            from: vec![user],
        },
        PolicyOp::DropRole {
            role: "old".into(),
            if_exists: false,
        },
        PolicyOp::NoteToken(TokenRow {
            id: Uuid::from_u128(3),
            subject: "robot".into(),
            issued_ms: 1_000,
            until_ms: 2_000,
            revoked: false,
        }),
        PolicyOp::RevokeToken {
            id: Uuid::from_u128(4),
            until_ms: 3_000,
        },
        PolicyOp::RevokeTokensOf { user: "ana".into() },
    ];
    let before = [
        Op::CreateNamespace {
            namespace: vec!["gold".into()],
            properties: BTreeMap::new(),
        },
        Op::Commit { changes: vec![change] },
    ];
    let ops = before.into_iter().chain(ops.into_iter().map(Op::Policy));
    ops.map(|op| Command::new(1_000, op)).collect()
}

// Goal: a log entry about roles, grants and tokens is understood as it was first written. Method: its bytes from a file against what they stood for.
#[test]
fn a_log_entry_about_the_policy() {
    let entry = entry(policy_commands());
    assert_eq!(golden("entry-policy-1.hex", &entry), entry);
}

// Goal: a snapshot with a policy is understood as it was first written. Method: its bytes from a file against what they stood for; every command went through.
#[test]
fn a_snapshot_with_a_policy() {
    let machine = applied(policy_commands());
    let policy = machine.state.policy();
    assert_eq!(
        (policy.roles.len(), policy.grants.len(), policy.tokens.len()),
        (1, 7, 2)
    );
    let read = golden("snapshot-policy-1.hex", &machine);
    assert_eq!((read.applied, read.state), (machine.applied, machine.state));
}

// Goal: refusals about roles are understood as they were first written. Method: its bytes from a file against what they stood for.
#[test]
fn answers_about_the_policy() {
    let name = || "analyst".to_owned();
    let outcomes: Vec<Outcome> = [
        PolicyRefusal::RoleExists { role: name() },
        PolicyRefusal::NoSuchRole { role: name() },
        PolicyRefusal::Circle {
            role: name(),
            member: "ana".into(),
        },
        PolicyRefusal::Gone {
            object: Uuid::from_u128(7),
        },
    ]
    .map(|refusal| Outcome::Refused(Refusal::Policy(refusal)))
    .into();
    assert_eq!(golden("outcomes-policy-1.hex", &outcomes), outcomes);
}
