//! What is renamed is there at once for whoever renamed it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tidewater_security::{Grant, Grantee, Object, Policy, PolicyChange, Privilege, Resource, Role, SecurityError};

use super::*;
use crate::policy::PolicySource;

/// A policy that is another one when it is asked for.
#[derive(Debug)]
struct Hears {
    authorizer: Authorizer,
    next: Mutex<Option<Policy>>,
}

#[async_trait]
impl PolicySource for Hears {
    fn authorizer(&self) -> Result<&Authorizer, SecurityError> {
        Ok(&self.authorizer)
    }

    async fn refresh(&self) -> Result<(), EngineError> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(policy) = next {
            self.authorizer.update(policy);
        }
        Ok(())
    }

    async fn change(&self, _: &PolicyChange) -> Result<(), EngineError> {
        Ok(())
    }
}

/// A policy by which `ana` may do everything with one table or view, which is called so.
fn known(version: u64, uuid: Uuid, name: &str) -> Policy {
    let id = Uuid::from_u128(1);
    Policy {
        version,
        in_force: true,
        objects: vec![Object {
            id,
            uuid,
            namespace: vec!["gold".into()],
            name: name.into(),
        }],
        grants: vec![Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Object(id),
            privileges: Privilege::Admin.into(),
        }],
        ..Policy::default()
    }
}

/// The uuid of what bears a name, if anything does.
async fn uuid(service: &QueryService, name: &str) -> Option<Uuid> {
    let name = name.parse().expect("a name");
    let catalog = service.0.engine.catalog();
    match catalog.load_table(&name).await.expect("an answer") {
        Some(table) => Some(table.metadata.uuid()),
        None => catalog.load_view(&name).await.expect("an answer").map(|view| view.uuid),
    }
}

async fn done(service: &QueryService, user: &str, sql: &str) {
    let done = service.change(&Principal::named(user), &Statement::new(sql)).await;
    let done = done.unwrap_or_else(|error| panic!("{user}: {sql}: {}", error.chain()));
    assert!(done.is_some(), "{sql} is a query");
}

// Goal: grants on a table or view are good for its new name when the statement that renames it has ended. Method: a user who was granted one
// thing renames, reads and drops it, each at once; the policy has the new name when it is asked for, and not before.
#[tokio::test]
async fn what_is_renamed_is_there_at_once() {
    for (what, name) in [("TABLE", "numbers"), ("VIEW", "seen"), ("TABLE", "seen")] {
        let lake = Lake::new().await;
        let user = |name: &str, role| UserSettings {
            name: name.into(),
            password_hash: String::new(),
            scram: None,
            role,
        };
        let (service, authorizer) = lake.for_users(vec![user("ana", Role::Writer), user("root", Role::Admin)]);
        let hears = Arc::new(Hears {
            authorizer,
            next: Mutex::default(),
        });
        let service = service.govern(hears.clone());
        done(&service, "root", "CREATE VIEW gold.seen AS SELECT 1 AS x").await;
        let bears = uuid(&service, &format!("gold.{name}")).await.expect("it is there");
        hears.authorizer.update(known(1, bears, name));
        *hears.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(known(2, bears, "moved"));

        done(&service, "ana", &format!("ALTER {what} gold.{name} RENAME TO moved")).await;
        let sql = "SELECT count(*) FROM gold.moved";
        let read = service.run(&Principal::named("ana"), &Statement::new(sql)).await;
        read.map(|_| ())
            .unwrap_or_else(|error| panic!("{what} {name}: {}", error.chain()));
        let kind = if name == "seen" { "VIEW" } else { "TABLE" };
        done(&service, "ana", &format!("DROP {kind} IF EXISTS gold.moved")).await;
        assert_eq!(uuid(&service, "gold.moved").await, None, "{what} {name}");
    }
}
