//! Grants between a plan and its run.

mod commands;
mod counted;

use async_trait::async_trait;
use datafusion::common::tree_node::TreeNodeRecursion;
use tidewater_engine::pg_catalog::Postgres;
use tidewater_security::{
    Authorizer, Grant, Grantee, Grants, Object, Policy, PolicyChange, Privilege, PrivilegeSet, Resource, Role,
    SecurityError, UserRow, UserSettings,
};
use uuid::Uuid;

use super::*;
use crate::policy::PolicySource;

/// A policy that stays as it is.
#[derive(Debug)]
struct Fixed(Authorizer);

#[async_trait]
impl PolicySource for Fixed {
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

fn ana() -> Principal {
    Principal::named("ana")
}

/// The lake for `ana` with these grants on `gold.numbers`: privileges on the table, and columns by field id.
async fn with_grants(privileges: &[Privilege], columns: &[i32]) -> (Lake, QueryService) {
    let lake = Lake::new().await;
    let inner = &lake.service.0;
    let users = vec![UserSettings {
        name: "ana".into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Reader,
    }];
    let users = Authenticator::new(users, inner.key.clone(), SystemClock::shared()).expect("good users");
    let loaded = inner
        .engine
        .load(&"gold.numbers".parse().expect("a name"))
        .await
        .expect("the table");
    let id = Uuid::from_u128(1);
    let mut policy = Policy {
        version: 1,
        in_force: true,
        objects: vec![Object {
            id,
            uuid: loaded.metadata.uuid(),
            namespace: vec!["gold".into()],
            name: "numbers".into(),
        }],
        ..Policy::default()
    };
    let mut grant = |on: Resource, privileges: PrivilegeSet| {
        policy.grants.push(Grant {
            to: Grantee::User("ana".into()),
            on,
            privileges,
        });
    };
    grant(Resource::Object(id), privileges.iter().copied().collect());
    for field in columns {
        let column = Resource::Column {
            object: id,
            field: *field,
        };
        grant(column, Privilege::Select.into());
    }
    let authorizer = Authorizer::new(&users);
    authorizer.update(policy);
    let service = QueryService::new(
        inner.engine.clone(),
        inner.runner.clone(),
        users,
        inner.key.clone(),
        inner.options.clone(),
        inner.sessions.clone(),
    );
    let service = service.govern(Arc::new(Fixed(authorizer)));
    (lake, service)
}

// Goal: who did what is also for those who manage the grants of the warehouse, and not for who may read everything in it. Method: each grant.
#[tokio::test]
async fn who_manages_grants_reads_who_did_what() {
    for (privilege, reads) in [(Privilege::Select, false), (Privilege::ManageGrants, true)] {
        let (_lake, service) = with_grants(&[], &[]).await;
        let policy = service.0.policy.as_ref().expect("it has grants");
        let authorizer = policy.authorizer().expect("they are known");
        let mut granted = Policy::clone(&authorizer.policy());
        granted.version += 1;
        granted.grants.push(Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Warehouse,
            privileges: privilege.into(),
        });
        authorizer.update(granted);
        let seen = service
            .seen_by(&ana(), SessionOptions::default())
            .expect("they are let in");
        assert_eq!(seen.reads_audit, reads, "{privilege:?}");
    }
}

async fn code(service: &QueryService, sql: &str) -> Option<&'static str> {
    service.prepare(&ana(), sql).await.err().map(|error| error.code())
}

/// The lake for the writer `ana` and the administrator `root`, of whom nobody was granted anything.
async fn without_grants(grants: Grants) -> (Lake, QueryService) {
    let user = |name: &str, role| UserSettings {
        name: name.into(),
        password_hash: String::new(),
        scram: None,
        role,
    };
    let lake = Lake::new().await;
    let inner = &lake.service.0;
    let users = vec![user("ana", Role::Writer), user("root", Role::Admin)];
    let users = Authenticator::new(users, inner.key.clone(), SystemClock::shared()).expect("good users");
    let users = users.binding_by(grants);
    let authorizer = Authorizer::new(&users);
    let service = QueryService::new(
        inner.engine.clone(),
        inner.runner.clone(),
        users,
        inner.key.clone(),
        inner.options.clone(),
        inner.sessions.clone(),
    );
    let service = service.govern(Arc::new(Fixed(authorizer)));
    (lake, service)
}

// Goal: where nobody says when grants bind, and nobody was granted anything, what a user is refused says so with a hint, alike for what is
// there and what is not; lists are empty, an administrator works, and after a grant so does the user. Method: queries, changes and lists of
// a writer before a grant of the schema, the same query after it.
#[tokio::test]
async fn that_nothing_was_granted_is_said() {
    let (_lake, service) = without_grants(Grants::default()).await;
    let said = |error: QueryError, sql: &str| {
        let told = (error.code(), error.kind());
        assert_eq!(told, ("SEC-0032", ErrorKind::Denied), "{sql}: {}", error.chain());
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("role grant") && hint.contains("when_made"), "{hint}");
        assert!(!error.chain().contains("numbers"), "{}", error.chain());
    };
    for sql in [
        "SELECT id FROM numbers",
        "SELECT id FROM no_such_table",
        "EXPLAIN SELECT id FROM numbers",
    ] {
        said(service.prepare(&ana(), sql).await.expect_err(sql), sql);
        let run = service.run(&ana(), &Statement::new(sql)).await;
        said(run.map(|_| ()).expect_err(sql), sql);
    }
    for sql in [
        "INSERT INTO numbers VALUES (11, 'x', now())",
        "DELETE FROM numbers",
        "DROP TABLE numbers",
        "CREATE SCHEMA mine",
        "GRANT SELECT ON TABLE numbers TO USER ana",
        "CREATE ROLE mine",
    ] {
        let refused = service.change(&ana(), &Statement::new(sql)).await;
        said(refused.map(|_| ()).expect_err(sql), sql);
    }
    assert_eq!(code(&service, "SELECT 1").await, None);
    assert!(service.tables(&ana()).await.expect("a listing").is_empty());
    assert!(service.schemas(&ana()).await.expect("schemas").is_empty());
    assert!(service.relations(&ana()).await.expect("relations").schemas.is_empty());
    let listed = Statement::new("SELECT * FROM information_schema.tables WHERE table_schema = 'gold'");
    let rows = async |user: &Principal| {
        let results = service.run(user, &listed).await;
        let batches = results.unwrap_or_else(|error| panic!("{}", error.chain())).batches;
        let batches: Vec<RecordBatch> = batches.try_collect().await.expect("rows");
        batches.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    let root = Principal::named("root");
    assert_eq!((rows(&ana()).await, rows(&root).await), (0, 1));
    assert!(service.prepare(&root, "SELECT id FROM numbers").await.is_ok());
    let policy = service.0.policy.as_ref().expect("it has grants");
    policy.authorizer().expect("they are known").update(Policy {
        version: 1,
        in_force: true,
        grants: vec![Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Namespace(vec!["gold".into()]),
            privileges: Privilege::Select.into(),
        }],
        ..Policy::default()
    });
    assert_eq!(code(&service, "SELECT id FROM numbers").await, None);
    assert_eq!(rows(&ana()).await, 1);
    let missing = code(&service, "SELECT id FROM no_such_table").await;
    assert!(missing.is_some() && missing != Some("SEC-0032"), "{missing:?}");
}

// Goal: where grants are required a table is not there for who was granted nothing, though nobody was granted anything, and is for an
// administrator; else everybody reads it, but who did what. Method: one statement by both users under both settings, beside a name that
// nothing has.
#[tokio::test]
async fn without_a_grant_nothing_is_there() {
    for (grants, reads) in [(Grants::WhenMade, true), (Grants::Required, false)] {
        let (lake, service) = without_grants(grants).await;
        let missing = code(&service, "SELECT id FROM no_such_table").await;
        assert!(missing.is_some());
        let found = code(&service, "SELECT id FROM numbers").await;
        assert_eq!(found, if reads { None } else { missing }, "{grants:?}");
        let root = Principal::named("root");
        let read = service.prepare(&root, "SELECT id FROM numbers").await;
        assert!(read.is_ok(), "{grants:?}");
        let reads_audit = |service: &QueryService, user: &Principal| {
            let seen = service.seen_by(user, SessionOptions::default());
            seen.expect("they are let in").reads_audit
        };
        assert!(!reads_audit(&service, &ana()), "{grants:?}");
        assert!(reads_audit(&service, &root), "{grants:?}");
        assert!(reads_audit(&lake.service, &ana()), "nobody has to say who they are");
    }
}

// Goal: a user of the catalog who was disabled or dropped after they came in is refused at the next statement, and comes in anew when
// enabled. Method: statements of one who came in, before and after each change of the policy; another one of the name does not help
// them.
#[tokio::test]
async fn who_was_disabled_is_refused_at_the_next_statement() {
    let (_lake, service) = with_grants(&[Privilege::Select], &[]).await;
    let row = |id: u128, disabled| UserRow {
        id: Uuid::from_u128(id),
        password: None,
        disabled,
        made_ms: 1,
        enabled_ms: None,
    };
    let told = |row: Option<UserRow>| {
        let policy = Policy {
            users: row.map(|row| ("ben".to_owned(), row)).into_iter().collect(),
            ..Policy::default()
        };
        service.authenticator().heed(Arc::new(policy));
    };
    told(Some(row(7, false)));
    let ben = service.authenticator().principal("ben").expect("a user");
    let refusal = async || {
        let prepared = service.prepare(&ben, "SELECT 1").await;
        prepared.err().map(|error| error.code())
    };
    assert_eq!(refusal().await, None);
    for gone in [Some(row(7, true)), None, Some(row(8, false))] {
        told(gone);
        assert_eq!(refusal().await, Some("SEC-0027"));
        assert!(service.prepare(&ana(), "SELECT id FROM numbers").await.is_ok());
    }
    let enabled = UserRow {
        enabled_ms: Some(2),
        ..row(7, false)
    };
    told(Some(enabled));
    assert_eq!(refusal().await, Some("SEC-0027"));
    let again = service.authenticator().principal("ben").expect("a user");
    assert!(service.prepare(&again, "SELECT 1").await.is_ok());
}
