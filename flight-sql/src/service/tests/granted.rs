//! A lake for the user `ana`, whose rights to its table come and go.

use async_trait::async_trait;
use tidewater_security::{Grant, Grantee, Object, Policy, PolicyChange, Privilege, Resource, Role, SecurityError};

use super::*;
use crate::held::{Ended, Look};
use crate::policy::PolicySource;

#[derive(Debug)]
struct Told(Authorizer);

#[async_trait]
impl PolicySource for Told {
    fn authorizer(&self) -> Result<&Authorizer, SecurityError> {
        Ok(&self.0)
    }

    async fn refresh(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn change(&self, _: &PolicyChange) -> Result<(), EngineError> {
        Ok(())
    }
}

/// What `ana` may do.
pub(crate) struct Rights {
    policy: Arc<Told>,
    table: Uuid,
}

impl Rights {
    /// From now on this on the table, and nothing else.
    pub(crate) fn are(&self, privileges: &[Privilege]) {
        self.are_on(self.table, privileges);
    }

    fn are_on(&self, uuid: Uuid, privileges: &[Privilege]) {
        let id = Uuid::from_u128(1);
        self.policy.0.update(Policy {
            version: self.policy.0.policy().version + 1,
            in_force: true,
            objects: vec![Object {
                id,
                uuid,
                namespace: vec!["gold".into()],
                name: "numbers".into(),
            }],
            grants: vec![Grant {
                to: Grantee::User("ana".into()),
                on: Resource::Object(id),
                privileges: privileges.iter().copied().collect(),
            }],
            ..Policy::default()
        });
    }
}

async fn uuid_now(lake: &Lake) -> Uuid {
    let name = "gold.numbers".parse().expect("a name");
    let loaded = lake.engine().load(&name).await.expect("the table");
    loaded.metadata.uuid()
}

/// The lake where `ana` may do nothing yet, and `root` everything.
pub(crate) async fn lake() -> (Lake, Rights) {
    let lake = Lake::new().await;
    let user = |name: &str, role| UserSettings {
        name: name.into(),
        password_hash: String::new(),
        scram: None,
        role,
    };
    let users = vec![user("ana", Role::Reader), user("root", Role::Admin)];
    let (service, authorizer) = lake.for_users(users);
    let policy = Arc::new(Told(authorizer));
    let service = service.govern(policy.clone());
    let table = uuid_now(&lake).await;
    let rights = Rights { policy, table };
    rights.are(&[]);
    (Lake { service, ..lake }, rights)
}

// Goal: rows are kept for others by the rights that their plan was made by, not by those of the moment that they are looked up in. Method: a
// statement that is planned by all rights to the table and asked of the cache after they were taken; the keys before and after.
#[tokio::test]
async fn rows_are_kept_by_the_rights_of_their_plan() {
    let (lake, rights) = lake().await;
    let ana = Principal::named("ana");
    rights.are(&[Privilege::Select]);
    let planned = lake.service.plan(&ana, "SELECT count(*) FROM numbers").await;
    let (session, plan) = planned.expect("a plan");
    let asked = Asked {
        session,
        wire: wire_schema(plan.schema().as_arrow()),
        plan,
        deadline: Duration::from_secs(60),
        since: None,
        cached: true,
    };
    let key = || {
        let question = lake.service.question(&ana, &asked, &asked.wire);
        question.expect("it may be kept").key
    };
    let before = key();
    rights.are(&[Privilege::Insert]);
    assert_eq!(key(), before);
}

/// Rows of a statement of `ana` that are held.
async fn held(service: &QueryService, id: Uuid, sql: &str) -> Look {
    let ana = Principal::named("ana");
    service.held().begin(&ana, id, None).expect("room");
    let whole = async {
        let results = service.run(&ana, &Statement::new(sql)).await?;
        Ended::collect(results, |_| ()).await
    };
    service.held().hold(id, whole, |_| ()).await;
    let look = service.held().look(&ana, id).expect("it is held");
    service.still_theirs(&ana, id, look).await.expect("it is theirs")
}

// Goal: a list of what there is is of what could be known of when it was made. Method: one that is held, and other rights.
#[tokio::test]
async fn lists_are_let_go_when_rights_change() {
    let (lake, rights) = lake().await;
    let (ana, id) = (Principal::named("ana"), Uuid::from_u128(1));
    rights.are(&[Privilege::Select]);
    let sql = "SELECT table_name FROM information_schema.tables";
    let look = held(&lake.service, id, sql).await;
    rights.are(&[Privilege::Select, Privilege::Insert]);
    let refused = lake.service.still_theirs(&ana, id, look).await;
    assert_eq!(refused.expect_err("it may be another list").code(), "SQL-0022");
}

// Goal: what was read is told by the table and not by its name. Method: rows that are held, and a table of that name which their owner may read.
#[tokio::test]
async fn another_table_of_the_name_gives_no_right() {
    let (lake, rights) = lake().await;
    let (ana, id) = (Principal::named("ana"), Uuid::from_u128(1));
    rights.are(&[Privilege::Select]);
    let service = &lake.service;
    let look = held(service, id, "SELECT id FROM numbers").await;
    for change in ["DROP TABLE gold.numbers", "CREATE TABLE gold.numbers (id bigint)"] {
        let done = service.change(&Principal::named("root"), &Statement::new(change)).await;
        done.expect("it goes").expect("a change");
    }
    let another = uuid_now(&lake).await;
    assert_ne!(another, rights.table);
    rights.are_on(another, &[Privilege::Select]);
    let now = service.run(&ana, &Statement::new("SELECT id FROM numbers")).await;
    now.expect("this one is theirs");
    let refused = service.still_theirs(&ana, id, look).await.expect_err("another table");
    assert_eq!(refused.code(), "SEC-0008");
    let gone = service.held().look(&ana, id).expect_err("it is let go");
    assert_eq!(gone.code(), "SQL-0022");
}

// Goal: what rows were made of is counted with them. Method: a statement with a long value, which its text and its plan have.
#[tokio::test]
async fn what_rows_were_made_of_is_counted() {
    let (lake, rights) = lake().await;
    rights.are(&[Privilege::Select]);
    let long = 1 << 20;
    let sql = format!("SELECT id FROM numbers WHERE name <> '{}'", "x".repeat(long));
    let look = held(&lake.service, Uuid::from_u128(1), &sql).await;
    let Look::Done(ended @ Ended::Rows { bytes, .. }, _) = &look else {
        panic!("it failed");
    };
    assert_eq!(ended.rows(), 10);
    assert!(*bytes >= 2 * long, "{bytes}");
}
