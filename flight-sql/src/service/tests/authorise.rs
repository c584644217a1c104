//! Grants between a plan and its run.

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

const ALLOWED: &[&str] = &[
    "SELECT id FROM numbers",
    "SELECT n.id AS x FROM gold.numbers n WHERE n.id > 3 ORDER BY n.id LIMIT 2",
    "SELECT count(*) FROM numbers",
    "SELECT 1 FROM numbers",
    "SELECT sum(id) FROM numbers GROUP BY id % 2 HAVING max(id) > 1",
    "SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id",
    "SELECT id FROM numbers a JOIN numbers b USING (id)",
    "SELECT id, row_number() OVER (ORDER BY id) FROM numbers",
    "WITH x AS (SELECT id FROM numbers) SELECT * FROM x",
    "SELECT * FROM (SELECT id FROM numbers) x",
    "SELECT id FROM numbers UNION ALL SELECT id + 1 FROM numbers",
    "SELECT DISTINCT id FROM numbers",
    "SELECT (SELECT max(id) FROM numbers) FROM numbers",
    "SELECT id FROM numbers a WHERE EXISTS (SELECT 1 FROM numbers b WHERE b.id = a.id)",
    "SELECT id FROM numbers WHERE id IN (SELECT id + 1 FROM numbers)",
    "SELECT y.n FROM numbers x, LATERAL (SELECT x.id + 1 AS n) y",
    "EXPLAIN SELECT id FROM numbers",
    "SELECT upper('x')",
    "SELECT * FROM (VALUES (1)) v",
];

const DENIED: &[&str] = &[
    "SELECT * FROM numbers",
    "SELECT name FROM numbers",
    "SELECT id FROM numbers WHERE name = 'n1'",
    "SELECT id FROM numbers ORDER BY name",
    "SELECT count(name) FROM numbers",
    "SELECT count(*) FROM numbers GROUP BY name",
    "SELECT count(*) FROM numbers HAVING max(name) > 'a'",
    "SELECT DISTINCT ON (name) id FROM numbers",
    "SELECT a.id FROM numbers a JOIN numbers b ON a.id = b.id AND a.name = b.name",
    "SELECT a.id FROM numbers a JOIN numbers b USING (name)",
    "SELECT id FROM numbers a NATURAL JOIN numbers b",
    "SELECT id, row_number() OVER (PARTITION BY name ORDER BY id) FROM numbers",
    "WITH x AS (SELECT * FROM numbers) SELECT id FROM x",
    "SELECT id FROM (SELECT id, name FROM numbers) x",
    "SELECT id FROM numbers UNION ALL SELECT length(name) FROM numbers",
    "SELECT (SELECT max(name) FROM numbers)",
    "SELECT (SELECT a.name) FROM numbers a",
    "SELECT id FROM numbers a WHERE EXISTS (SELECT 1 FROM numbers b WHERE b.name = a.name)",
    "SELECT id FROM numbers a WHERE EXISTS (SELECT 1 FROM (VALUES ('n1')) v(x) WHERE v.x = a.name)",
    "SELECT id FROM numbers WHERE 'n1' IN (SELECT name FROM numbers)",
    "SELECT id FROM numbers x CROSS JOIN LATERAL (SELECT x.id, x.name AS z) y",
    "SELECT y.z FROM numbers x, LATERAL (SELECT max(x.name) AS z FROM numbers w WHERE w.id = x.id) y",
    "SELECT CASE WHEN name = 'n1' THEN 1 ELSE 0 END FROM numbers",
    "SELECT array_agg(id ORDER BY name) FROM numbers",
    "SELECT sum(id) FILTER (WHERE name = 'n1') FROM numbers",
    "EXPLAIN SELECT name FROM numbers",
    "EXPLAIN ANALYZE SELECT name FROM numbers",
    "SELECT * FROM \"numbers$files\"",
    "SELECT count(*) FROM \"numbers$snapshots\"",
    "SELECT id FROM numbers x, LATERAL (SELECT x.name) y",
    "SELECT y.n FROM numbers x, LATERAL (SELECT x.name AS n) y",
    "SELECT y.n FROM numbers x LEFT JOIN LATERAL (SELECT z.id, x.name AS n FROM numbers z WHERE z.id = x.id) y ON true",
    "SELECT x.id FROM numbers x, LATERAL (SELECT z.id FROM numbers z WHERE z.id = length(x.name)) y",
];

// Goal: what a statement reads is counted as PostgreSQL counts it: every column that any of its expressions names. Method: a user with
// one column, statements that need no other and statements that need one, in every clause.
#[tokio::test]
async fn columns_are_counted_where_they_are_named() {
    let (_lake, service) = with_grants(&[], &[1]).await;
    let mut wrong = Vec::new();
    for sql in ALLOWED {
        wrong.extend(code(&service, sql).await.map(|code| format!("{sql}: {code}")));
    }
    for sql in DENIED {
        let code = code(&service, sql).await;
        if !matches!(code, Some("SEC-0008" | "ENG-0006" | "ENG-0001" | "ENG-0004")) || code.is_none() {
            wrong.push(format!("{sql}: {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// Goal: a session in another zone counts the same columns, and instants only where they are named. Method: the statements of the test
// above as PostgreSQL's in such a session, and some about the column of instants.
#[tokio::test]
async fn columns_are_counted_in_every_zone() {
    let (_lake, service) = with_grants(&[], &[1]).await;
    let zoned = SessionOptions {
        postgres: Some(Arc::new(Postgres {
            zone: Some("America/New_York".into()),
            ..Postgres::default()
        })),
        ..SessionOptions::default()
    };
    let code = async |sql: &str| {
        let told = service.tell(&ana(), sql, &zoned).await;
        told.err().map(|error| error.code())
    };
    let denied = [
        "SELECT at FROM numbers",
        "SELECT id FROM numbers WHERE at > '2024-01-01'",
        "SELECT max(at) FROM numbers",
    ];
    let mut wrong = Vec::new();
    for sql in ALLOWED {
        wrong.extend(code(sql).await.map(|code| format!("{sql}: {code}")));
    }
    for sql in DENIED.iter().chain(&denied) {
        let code = code(sql).await;
        if !matches!(
            code,
            Some("SEC-0008" | "ENG-0006" | "ENG-0001" | "ENG-0003" | "ENG-0004")
        ) {
            wrong.push(format!("{sql}: {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// Goal: whoever may read the whole table reads all of it, and who has nothing hears that it is not there. Method: every statement of the
// test above by both.
#[tokio::test]
async fn all_or_nothing() {
    let (_lake, reader) = with_grants(&[Privilege::Select], &[]).await;
    let (_other, stranger) = with_grants(&[], &[]).await;
    for sql in ALLOWED.iter().chain(DENIED).filter(|sql| sql.contains("numbers")) {
        let error = reader.prepare(&ana(), sql).await.err().map(|error| error.code());
        assert_ne!(error, Some("SEC-0008"), "{sql}");
        let hidden = stranger.prepare(&ana(), sql).await.expect_err(sql).chain();
        let missing = sql.replace("numbers", "nothing");
        let missing = stranger.prepare(&ana(), &missing).await.expect_err(sql).chain();
        assert_eq!(hidden.replace("numbers", "nothing"), missing, "{sql}");
    }
}

// Goal: listings show what one may know of. Method: tables, schemas and columns for a user with a column, and for one with nothing.
#[tokio::test]
async fn listings_show_what_is_granted() {
    let (_lake, service) = with_grants(&[], &[1]).await;
    let tables = service.tables(&ana()).await.expect("a listing");
    let columns: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.columns.fields())
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(columns, ["id"]);
    let relations = service.relations(&ana()).await.expect("relations");
    assert_eq!(relations.relations.len(), 1);
    assert_eq!(relations.relations[0].columns.len(), 1);
    let sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'gold'";
    let within = service.within(Some("information_schema"));
    for (service, sql, rows) in [
        (&service, sql, vec!["id"]),
        (
            &service,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'gold'",
            vec!["numbers"],
        ),
        (
            &within,
            "SELECT column_name FROM columns WHERE table_schema = 'gold'",
            vec!["id"],
        ),
    ] {
        let results = service
            .run(&ana(), &Statement::new(sql))
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let batches: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
        let text = pretty_format_batches(&batches).expect("printable rows").to_string();
        assert_eq!(cells(&text), rows, "{sql}");
    }
    let (_lake, service) = with_grants(&[], &[]).await;
    assert!(service.tables(&ana()).await.expect("a listing").is_empty());
    assert!(service.schemas(&ana()).await.expect("schemas").is_empty());
    assert!(service.relations(&ana()).await.expect("relations").schemas.is_empty());
}

// Goal: a command takes the privileges for what it changes and SELECT for what it reads. Method: each kind of command with one privilege
// less than it takes, then with all.
#[tokio::test]
async fn commands_take_privileges() {
    use Privilege::{Delete, Insert, Select, Update};
    for (sql, needs) in [
        ("INSERT INTO numbers VALUES (11, 'x', now())", &[Insert][..]),
        ("INSERT INTO numbers SELECT * FROM numbers", &[Insert, Select]),
        ("DELETE FROM numbers", &[Delete]),
        ("TRUNCATE TABLE numbers", &[Delete]),
        ("DELETE FROM numbers WHERE id = 3", &[Delete, Select]),
        ("UPDATE numbers SET name = 'x' WHERE id = 3", &[Update, Select]),
        (
            "INSERT OVERWRITE numbers SELECT id, name, at FROM numbers",
            &[Insert, Delete, Select],
        ),
    ] {
        for missing in needs {
            let mut has: Vec<Privilege> = needs.iter().copied().filter(|one| one != missing).collect();
            has.push(Privilege::Usage);
            let (_lake, service) = with_grants(&has, &[]).await;
            let refused = service.change(&ana(), &Statement::new(sql)).await.expect_err(sql);
            assert_eq!(
                refused.code(),
                "SEC-0008",
                "{sql} without {missing}: {}",
                refused.chain()
            );
        }
        let (_lake, service) = with_grants(needs, &[]).await;
        let changed = service.change(&ana(), &Statement::new(sql)).await;
        assert!(
            changed
                .unwrap_or_else(|error| panic!("{sql}: {}", error.chain()))
                .is_some(),
            "{sql}"
        );
    }
}

// Goal: rows on a branch are the table's: whoever may not write the table writes none of its branches, and who may not know of it hears
// of neither. Method: each way to name a branch, with the privilege, without it and with nothing.
#[tokio::test]
async fn branches_take_the_privileges_of_their_table() {
    use Privilege::{Delete, Insert, Select, Update, Usage};
    let (_lake, reader) = with_grants(&[Usage, Select], &[]).await;
    let (_other, stranger) = with_grants(&[], &[]).await;
    let (_third, writer) = with_grants(&[Usage, Select, Insert, Update, Delete], &[]).await;
    for name in [
        "numbers.branch_audit",
        "gold.numbers.branch_audit",
        "lake.gold.numbers.branch_audit",
        "gold.\"numbers@audit\"",
        "numbers FOR VERSION AS OF 'audit'",
    ] {
        for sql in [
            format!("INSERT INTO {name} VALUES (11, 'x', now())"),
            format!("UPDATE {name} SET name = 'x' WHERE id = 3"),
            format!("DELETE FROM {name} WHERE id = 3"),
            format!("TRUNCATE TABLE {name}"),
            format!("MERGE INTO {name} AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE"),
        ] {
            for (service, code) in [(&reader, "SEC-0008"), (&stranger, "ENG-0001"), (&writer, "ENG-0030")] {
                let refused = service.change(&ana(), &Statement::new(&sql)).await.expect_err(&sql);
                assert_eq!(refused.code(), code, "{sql}: {}", refused.chain());
            }
        }
    }
}

// Goal: nothing reads a table behind the check's back: the check sees each scan of a plan. Method: for every statement, the scans it
// counts against those of the plan's own walk.
#[tokio::test]
async fn every_scan_is_seen() {
    let lake = Lake::new().await;
    for sql in ALLOWED.iter().chain(DENIED).filter(|sql| !sql.contains('$')) {
        let Ok((_, plan)) = lake.service.plan(&Principal::local(), sql).await else {
            continue;
        };
        let mut scans = 0;
        plan.apply_with_subqueries(|node| {
            scans += usize::from(matches!(node, LogicalPlan::TableScan(_)));
            Ok(TreeNodeRecursion::Continue)
        })
        .expect("a walk");
        assert_eq!(crate::service::authorise::scans_seen(&plan), scans, "{sql}");
    }
}

// Goal: an error does not name columns to somebody who may not know of them. Method: queries and a change of a column that is not there, and a
// query whose `*` has one that is not grouped, by a user under grants, and the queries by one whom no grant binds, who is told.
#[tokio::test]
async fn errors_name_no_columns() {
    let (lake, service) = with_grants(&[Privilege::Usage, Privilege::Delete], &[1]).await;
    let hidden = |told: &str| !told.contains("Valid fields") && !told.contains("Did you mean");
    for sql in [
        "SELECT nam FROM numbers",
        "SELECT id FROM gold.numbers n WHERE n.nam = 'n1'",
    ] {
        let told = service.prepare(&ana(), sql).await.expect_err(sql).chain();
        assert!(told.contains("nam") && hidden(&told), "{sql}: {told}");
        let whole = lake.prepare(sql).await.expect_err(sql).chain();
        assert!(!hidden(&whole), "{sql}: {whole}");
    }
    let sql = "SELECT * FROM numbers GROUP BY id";
    let column = |told: &str| told.contains("numbers.name");
    let told = service.prepare(&ana(), sql).await.expect_err(sql).chain();
    let whole = lake.prepare(sql).await.expect_err(sql).chain();
    assert!(!column(&told) && column(&whole), "{told}\n{whole}");
    let sql = "DELETE FROM numbers WHERE nam = 'n1'";
    let refused = service.change(&ana(), &Statement::new(sql)).await.expect_err(sql);
    assert!(hidden(&refused.chain()), "{}", refused.chain());
}

// Goal: what parameters are described as tells of no column that may not be read. Method: a change that compares one with such a column,
// by who may read another column only and by who may read them all.
#[tokio::test]
async fn parameters_tell_of_no_column() {
    let sql = "INSERT INTO gold.numbers (id) SELECT 1 FROM gold.numbers WHERE at = $1";
    let told = async |privileges: &[Privilege], columns: &[i32]| {
        let (_lake, service) = with_grants(privileges, columns).await;
        let prepared = service.prepare(&ana(), sql).await.expect("parameters");
        prepared.parameters.field(0).data_type().clone()
    };
    assert_eq!(told(&[], &[1]).await, DataType::Utf8);
    assert_eq!(
        told(&[Privilege::Select, Privilege::Insert], &[]).await,
        DataType::Timestamp(TimeUnit::Millisecond, None)
    );
}
