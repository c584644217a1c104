//! What is given to whoever makes something.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tidewater_security::{
    Grant, Grantee, Policy, PolicyChange, Privilege, PrivilegeSet, Resource, Role, SecurityError,
};

use super::*;
use crate::policy::PolicySource;

/// A policy that stays as it is, and what it was asked to become.
#[derive(Debug)]
struct Listens {
    authorizer: Authorizer,
    changes: Mutex<Vec<PolicyChange>>,
}

impl Listens {
    /// How often it was asked since somebody looked.
    fn taken(&self) -> usize {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *changes).len()
    }
}

#[async_trait]
impl PolicySource for Listens {
    fn authorizer(&self) -> Result<&Authorizer, SecurityError> {
        Ok(&self.authorizer)
    }

    async fn change(&self, change: &PolicyChange) -> Result<(), EngineError> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(change.clone());
        Ok(())
    }
}

// Goal: what somebody makes is theirs, and what was there before is not, whatever the statement says if it is. Method: a user who may do
// everything in a schema but give it to others makes tables, views and schemas of names that are free, and of names that are not.
#[tokio::test]
async fn what_was_there_is_given_to_nobody() {
    let lake = Lake::new().await;
    let user = |name: &str, role| UserSettings {
        name: name.into(),
        password_hash: String::new(),
        scram: None,
        role,
    };
    let (service, authorizer) = lake.for_users(vec![user("ana", Role::Writer), user("root", Role::Admin)]);
    let may = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Delete,
        Privilege::Create,
        Privilege::Alter,
        Privilege::Drop,
    ];
    let may: PrivilegeSet = may.into_iter().collect();
    let grant = |on, privileges| Grant {
        to: Grantee::User("ana".into()),
        on,
        privileges,
    };
    authorizer.update(Policy {
        version: 1,
        in_force: true,
        grants: vec![
            grant(Resource::Namespace(vec!["gold".into()]), may),
            grant(Resource::Warehouse, Privilege::Create.into()),
        ],
        ..Policy::default()
    });
    let asked = Arc::new(Listens {
        authorizer,
        changes: Mutex::default(),
    });
    let service = service.govern(asked.clone());
    let change = async |user: &str, sql: &str| {
        let done = service.change(&Principal::named(user), &Statement::new(sql)).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        asked.taken()
    };
    assert_eq!(change("root", "CREATE VIEW gold.seen AS SELECT 1 AS x").await, 0);
    for there in [
        "CREATE TABLE IF NOT EXISTS gold.numbers (id bigint)",
        "CREATE TABLE IF NOT EXISTS gold.numbers AS SELECT 1 AS id",
        "CREATE OR REPLACE TABLE gold.numbers AS SELECT 1 AS id",
        "CREATE VIEW IF NOT EXISTS gold.seen AS SELECT 2 AS x",
        "CREATE OR REPLACE VIEW gold.seen AS SELECT 3 AS x",
        "CREATE SCHEMA IF NOT EXISTS gold",
    ] {
        assert_eq!(change("ana", there).await, 0, "{there}");
    }
    for free in [
        "CREATE TABLE gold.a (id bigint)",
        "CREATE TABLE IF NOT EXISTS gold.b AS SELECT 1 AS id",
        "CREATE OR REPLACE TABLE gold.c (id bigint)",
        "CREATE VIEW gold.d AS SELECT 1 AS x",
        "CREATE OR REPLACE VIEW gold.e AS SELECT 1 AS x",
        "CREATE SCHEMA IF NOT EXISTS silver",
    ] {
        assert_eq!(change("ana", free).await, 1, "{free}");
    }
}
