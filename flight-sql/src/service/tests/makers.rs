//! What is given to whoever makes something, and what a name gives that nothing bears.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream;
use tidewater_engine::{BulkLoad, IfExists};
use tidewater_security::{
    Grant, Grantee, Policy, PolicyChange, Privilege, PrivilegeSet, Resource, Role, SecurityError, Target,
};

use super::*;
use crate::policy::PolicySource;
use crate::service::authorise::Verdict;

/// A policy that stays as it is, and what it was asked to become.
#[derive(Debug)]
pub(super) struct Listens {
    authorizer: Authorizer,
    changes: Mutex<Vec<PolicyChange>>,
}

impl Listens {
    /// What it was asked since somebody looked.
    fn taken(&self) -> Vec<PolicyChange> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *changes)
    }
}

#[async_trait]
impl PolicySource for Listens {
    fn authorizer(&self) -> Result<&Authorizer, SecurityError> {
        Ok(&self.authorizer)
    }

    async fn refresh(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn change(&self, change: &PolicyChange) -> Result<(), EngineError> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(change.clone());
        Ok(())
    }
}

/// The lake for the administrator `root` and for `ana`, to whom this was granted.
pub(super) async fn governed(granted: Vec<(Resource, PrivilegeSet)>) -> (Lake, QueryService, Arc<Listens>) {
    let lake = Lake::new().await;
    let user = |name: &str, role| UserSettings {
        name: name.into(),
        password_hash: String::new(),
        scram: None,
        role,
    };
    let (service, authorizer) = lake.for_users(vec![user("ana", Role::Writer), user("root", Role::Admin)]);
    let grants = granted.into_iter().map(|(on, privileges)| Grant {
        to: Grantee::User("ana".into()),
        on,
        privileges,
    });
    authorizer.update(Policy {
        version: 1,
        in_force: true,
        grants: grants.collect(),
        ..Policy::default()
    });
    let listens = Arc::new(Listens {
        authorizer,
        changes: Mutex::default(),
    });
    let service = service.govern(listens.clone());
    (lake, service, listens)
}

fn gold() -> Resource {
    Resource::Namespace(vec!["gold".into()])
}

/// Looks that one thing was given, and that of a table or view the uuid of what bears the name was told.
async fn one_was_given(service: &QueryService, given: &[PolicyChange], what: &str) {
    let [PolicyChange::Grant { on, uuid, .. }] = given else {
        panic!("{what}: {given:?}");
    };
    let bears = match on {
        Target::Object { namespace, name } => {
            let name = format!("{}.{name}", namespace.join(".")).parse().expect("a name");
            let catalog = service.0.engine.catalog();
            match catalog.load_table(&name).await.expect("an answer") {
                Some(table) => Some(table.metadata.uuid()),
                None => Some(catalog.load_view(&name).await.expect("an answer").expect("a view").uuid),
            }
        }
        _ => None,
    };
    assert_eq!(*uuid, bears, "{what}");
}

// Goal: what somebody makes is theirs, and what was there before is not, whatever the statement says if it is. Method: a user who may do
// everything in a schema but give it to others makes tables, views and schemas of names that are free, and of names that are not; of what is
// given the uuid is told too.
#[tokio::test]
async fn what_was_there_is_given_to_nobody() {
    let may = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Delete,
        Privilege::Create,
        Privilege::Alter,
        Privilege::Drop,
    ];
    let granted = vec![
        (gold(), may.into_iter().collect()),
        (Resource::Warehouse, Privilege::Create.into()),
    ];
    let (_lake, service, listens) = governed(granted).await;
    let change = async |user: &str, sql: &str| {
        let done = service.change(&Principal::named(user), &Statement::new(sql)).await;
        done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        listens.taken()
    };
    assert!(
        change("root", "CREATE VIEW gold.seen AS SELECT 1 AS x")
            .await
            .is_empty()
    );
    for there in [
        "CREATE TABLE IF NOT EXISTS gold.numbers (id bigint)",
        "CREATE TABLE IF NOT EXISTS gold.numbers AS SELECT 1 AS id",
        "CREATE OR REPLACE TABLE gold.numbers AS SELECT 1 AS id",
        "CREATE VIEW IF NOT EXISTS gold.seen AS SELECT 2 AS x",
        "CREATE OR REPLACE VIEW gold.seen AS SELECT 3 AS x",
        "CREATE SCHEMA IF NOT EXISTS gold",
    ] {
        let given = change("ana", there).await;
        assert!(given.is_empty(), "{there}: {given:?}");
    }
    for free in [
        "CREATE TABLE gold.a (id bigint)",
        "CREATE TABLE IF NOT EXISTS gold.b AS SELECT 1 AS id",
        "CREATE OR REPLACE TABLE gold.c (id bigint)",
        "CREATE VIEW gold.d AS SELECT 1 AS x",
        "CREATE OR REPLACE VIEW gold.e AS SELECT 1 AS x",
        "CREATE SCHEMA IF NOT EXISTS silver",
    ] {
        one_was_given(&service, &change("ana", free).await, free).await;
    }
}

// Goal: a table that a bulk load makes is its maker's, and one that was there is not. Method: rows for a name that is free, and more of them.
#[tokio::test]
async fn what_a_bulk_load_makes_is_its_makers() {
    let may = [Privilege::Create, Privilege::Insert].into_iter().collect();
    let (_lake, service, listens) = governed(vec![(gold(), may)]).await;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
    let load = BulkLoad {
        table: "gold.loaded".parse().expect("a name"),
        schema: batch.schema(),
        create: true,
        if_exists: IfExists::Append,
    };
    for is_new in [true, false] {
        let rows = stream::iter([Ok(batch.clone())]);
        let loaded = service.load(&Principal::named("ana"), &load, rows).await;
        assert_eq!(loaded.expect("a load"), 3);
        let given = listens.taken();
        match is_new {
            true => one_was_given(&service, &given, "a bulk load").await,
            false => assert!(given.is_empty(), "{given:?}"),
        }
    }
}

// Goal: a bulk load into a table that its user may not know of is answered as one into a table that is not there, whatever the load says of a table
// that is. Method: a user who may do nothing, one who may read, and one who may write; loads that make no table, each into a table and into none.
#[tokio::test]
async fn a_bulk_load_tells_nobody_of_a_table() {
    for (may, there, nowhere) in [
        (PrivilegeSet::default(), "ENG-0001", "ENG-0001"),
        (PrivilegeSet::from(Privilege::Select), "SEC-0008", "ENG-0001"),
    ] {
        let (_lake, service, _) = governed(vec![(gold(), may)]).await;
        let ana = Principal::named("ana");
        let options = service
            .seen_by(&ana, SessionOptions::default())
            .expect("they are let in");
        for if_exists in [IfExists::Append, IfExists::Replace, IfExists::Fail] {
            for (table, code) in [("gold.numbers", there), ("gold.nothing", nowhere)] {
                let load = BulkLoad {
                    table: table.parse().expect("a name"),
                    schema: Arc::new(Schema::empty()),
                    create: false,
                    if_exists,
                };
                let refused = service.may_load(&ana, &options, &load).await.expect_err(table);
                assert_eq!(refused.code(), code, "{table}: {if_exists:?}");
            }
        }
    }
    let (_lake, service, _) = governed(vec![(gold(), Privilege::Insert.into())]).await;
    let options = service
        .seen_by(&Principal::named("ana"), SessionOptions::default())
        .expect("they are let in");
    for (if_exists, goes) in [
        (IfExists::Append, true),
        (IfExists::Replace, false),
        (IfExists::Fail, true),
    ] {
        let load = BulkLoad {
            table: "gold.numbers".parse().expect("a name"),
            schema: Arc::new(Schema::empty()),
            create: false,
            if_exists,
        };
        let may = service.may_load(&Principal::named("ana"), &options, &load).await;
        assert_eq!(may.is_ok(), goes, "{if_exists:?}");
    }
}

// Goal: nobody but who may do everything says where a table lies, as it would have the files that others left there. Method: a user with
// everything in the schema, with a place of their own and without one, and the administrator with it.
#[tokio::test]
async fn a_place_of_ones_own_takes_everything() {
    let (_lake, service, _) = governed(vec![(gold(), Privilege::Admin.into())]).await;
    let placed = "CREATE TABLE gold.placed (id bigint) LOCATION 'memory://lake/left'";
    for (user, sql, goes) in [
        ("ana", placed, false),
        ("ana", "CREATE TABLE gold.unplaced (id bigint)", true),
        ("root", placed, true),
    ] {
        match service.change(&Principal::named(user), &Statement::new(sql)).await {
            Ok(_) => assert!(goes, "{user}: {sql}"),
            Err(error) => assert!(
                !goes && error.kind() == ErrorKind::Denied,
                "{user}: {sql}: {}",
                error.chain()
            ),
        }
    }
}

// Goal: no statement is let through to a name that nothing bears, which may be another's table when it is carried out. Method: statements that
// change a table that is not there, of a user who may know of all in the schema, and of one who may change all of it.
#[tokio::test]
async fn a_name_that_is_free_lets_nobody_through() {
    let changes = [Privilege::Insert, Privilege::Delete, Privilege::Alter, Privilege::Drop];
    for (may, goes) in [
        (PrivilegeSet::from(Privilege::Usage), false),
        (changes.into_iter().collect(), true),
    ] {
        let (_lake, service, _) = governed(vec![(gold(), may)]).await;
        let ana = Principal::named("ana");
        let options = service
            .seen_by(&ana, SessionOptions::default())
            .expect("they are let in");
        for sql in [
            "INSERT INTO gold.nothing VALUES (1)",
            "TRUNCATE TABLE gold.nothing",
            "ALTER TABLE gold.nothing DROP COLUMN x",
            "DROP TABLE gold.nothing",
        ] {
            let command = service.command(&Statement::new(sql), &options);
            let command = command.expect(sql).expect("a command");
            match service.may_change(&ana, &options, &command).await {
                Ok(verdict) => assert!(goes && matches!(verdict, Verdict::Goes(_)), "{sql}"),
                Err(error) => assert!(!goes && error.kind() == ErrorKind::NotFound, "{sql}: {}", error.chain()),
            }
        }
        let load = BulkLoad {
            table: "gold.nothing".parse().expect("a name"),
            schema: Arc::new(Schema::empty()),
            create: false,
            if_exists: IfExists::Append,
        };
        let load = service.may_load(&ana, &options, &load).await;
        assert_eq!(load.is_ok(), goes);
    }
}

// Goal: that by which ingest and models know their tables takes ADMIN on the warehouse. Method: a user who may make and alter tables of a schema
// sets and removes it in each statement that can, and a setting; the administrator does the same.
#[tokio::test]
async fn marks_are_not_for_makers() {
    let may = [Privilege::Create, Privilege::Alter];
    let (_lake, service, _listens) = governed(vec![(gold(), may.into_iter().collect())]).await;
    let statements = [
        "CREATE TABLE gold.summary (id int) TBLPROPERTIES ('tidewater.model-kind' = 'table')",
        "ALTER TABLE gold.numbers SET TBLPROPERTIES ('a' = '1', 'tidewater.ingest.topic' = 'x')",
        "ALTER TABLE gold.numbers UNSET TBLPROPERTIES ('tidewater.ingest.topic')",
    ];
    for sql in statements {
        let refused = service.change(&Principal::named("ana"), &Statement::new(sql)).await;
        let refused = refused.expect_err(sql);
        assert_eq!(refused.code(), "SEC-0008", "{sql}");
        assert!(
            refused.chain().contains("ADMIN on the warehouse"),
            "{}",
            refused.chain()
        );
    }
    let setting = "ALTER TABLE gold.numbers SET TBLPROPERTIES ('tidewater.maintenance' = 'true')";
    for (user, sql) in std::iter::once(("ana", setting)).chain(statements.map(|sql| ("root", sql))) {
        let done = service.change(&Principal::named(user), &Statement::new(sql)).await;
        done.unwrap_or_else(|error| panic!("{user}: {sql}: {}", error.chain()));
    }
}
