//! That what runs is what was judged, and by what it is instead of by what it is called.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::empty::EmptyTable;
use tidewater_engine::Workshop;
use tidewater_engine::live::{LiveRows, LiveTable};
use tidewater_security::{Grant, Grantee, Object, Policy, Privilege, PrivilegeSet, Resource};
use tidewater_table::NewView;
use tidewater_table::iceberg::spec::Schema as IcebergSchema;
use uuid::Uuid;

use super::makers::governed;
use super::*;
use crate::policy::PolicySource;
use crate::service::authorise::Verdict;

/// Commands of `ana` that read a source, which stands as `{}`.
const READERS: &[&str] = &[
    "INSERT INTO mine.t SELECT id, v FROM {}",
    "INSERT OVERWRITE mine.t SELECT id, v FROM {}",
    "INSERT INTO mine.t VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET v = (SELECT max(v) FROM {})",
    "UPDATE mine.t SET v = (SELECT max(v) FROM {})",
    "DELETE FROM mine.t WHERE v IN (SELECT v FROM {})",
    "MERGE INTO mine.t AS t USING (SELECT id, v FROM {}) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)",
    "MERGE INTO mine.t AS t USING (SELECT 7 AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, (SELECT max(v) FROM {}))",
    "CREATE TABLE mine.made AS SELECT id, v FROM {}",
    "CREATE OR REPLACE TABLE mine.t AS SELECT id, v FROM {}",
    "CREATE VIEW mine.seen AS SELECT id, v FROM {}",
];

pub(super) fn root() -> Principal {
    Principal::named("root")
}

pub(super) fn ana() -> Principal {
    Principal::named("ana")
}

pub(super) async fn done(service: &QueryService, sql: &str) {
    let done = service.change(&root(), &Statement::new(sql)).await;
    let done = done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    assert!(done.is_some(), "{sql} is a query");
}

/// What an administrator reads.
async fn rows(service: &QueryService, sql: &str) -> Vec<String> {
    let results = service.run(&root(), &Statement::new(sql)).await;
    let batches = results
        .unwrap_or_else(|error| panic!("{sql}: {}", error.chain()))
        .batches;
    let batches: Vec<RecordBatch> = batches.try_collect().await.expect("rows");
    cells(&pretty_format_batches(&batches).expect("printable rows").to_string())
}

/// The lake where everything in `mine` is `ana`'s to change and to read, and where she knows of `hr.secret`, of which she may read nothing.
pub(super) async fn lake() -> (Lake, QueryService) {
    let (lake, service, _) = governed(granted()).await;
    furnish(&service).await;
    (lake, service)
}

/// What `ana` may do there.
pub(super) fn granted() -> Vec<(Resource, PrivilegeSet)> {
    let all = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Create,
        Privilege::Alter,
        Privilege::Drop,
    ];
    vec![
        (
            Resource::Namespace(vec!["mine".into()]),
            all.into_iter().collect::<PrivilegeSet>(),
        ),
        (Resource::Namespace(vec!["hr".into()]), Privilege::Insert.into()),
    ]
}

/// Makes what is there.
pub(super) async fn furnish(service: &QueryService) {
    for sql in [
        "CREATE SCHEMA hr",
        "CREATE TABLE hr.secret (id bigint, v string)",
        "INSERT INTO hr.secret VALUES (5, 'ann'), (6, 'bob')",
        "CREATE SCHEMA mine",
        "CREATE TABLE mine.t (id bigint, v string)",
        "INSERT INTO mine.t VALUES (1, 'a')",
        "CREATE TABLE mine.secret (id bigint, v string)",
        "INSERT INTO mine.secret VALUES (1, 'a')",
        "CREATE VIEW mine.vx AS SELECT CAST(1 AS bigint) AS id, 'g' AS v",
    ] {
        done(service, sql).await;
    }
}

// Goal: the function of a table's changes takes SELECT on the table wherever a command has it. Method: each kind of command with it, of a user
// who knows of the table and may not read it; the same over a table of theirs goes through.
#[tokio::test]
async fn changes_take_select_on_their_table() {
    for sql in READERS {
        let (_lake, service) = lake().await;
        let denied = sql.replace("{}", "changes('hr.secret')");
        let error = service.change(&ana(), &Statement::new(&denied)).await.map(|_| ());
        let error = error.expect_err(&denied);
        assert_eq!(error.code(), "SEC-0008", "{denied}: {}", error.chain());
        assert_eq!(rows(&service, "SELECT id, v FROM mine.t").await, ["1  | a"], "{denied}");
        let goes = sql.replace("{}", "changes('mine.secret')");
        let done = service.change(&ana(), &Statement::new(&goes)).await;
        assert!(
            done.unwrap_or_else(|error| panic!("{goes}: {}", error.chain()))
                .is_some()
        );
    }
    let (_lake, service) = lake().await;
    let error = service
        .prepare(&ana(), "SELECT count(*) FROM changes('hr.secret')")
        .await;
    assert_eq!(error.map(|_| ()).expect_err("no rows").code(), "SEC-0008");
}

// Goal: a view that gets another text after a command was let through gives the command nothing that its user may not read. Method: each kind of
// command is let through, the view is replaced, and the command is carried out in the session that it was let through in.
#[tokio::test]
async fn views_that_change_meanwhile_give_nothing() {
    for sql in READERS {
        let (_lake, service) = lake().await;
        let sql = sql.replace("{}", "mine.vx");
        let options = service.seen_by(&ana(), SessionOptions::default());
        let options = options.expect("they are let in");
        let command = service.command(&Statement::new(&sql), &options);
        let mut command = command.expect(&sql).expect("a command");
        let verdict = service.may_change(&ana(), &options, &command).await;
        let engine = match verdict {
            Ok(Verdict::Goes(about)) => about.bind(&service.0.engine, &mut command),
            told => panic!("{sql}: {told:?}"),
        };
        done(
            &service,
            "CREATE OR REPLACE VIEW mine.vx AS SELECT id, v FROM hr.secret",
        )
        .await;
        let shop = Workshop {
            engine: &engine,
            runner: service.0.runner.as_ref(),
            options: &options,
            deadline: None,
        };
        let error = QueryError::from(Box::pin(shop.execute(&command)).await.expect_err(&sql));
        assert_eq!(error.code(), "SEC-0008", "{sql}: {}", error.chain());
        assert_eq!(rows(&service, "SELECT id, v FROM mine.t").await, ["1  | a"], "{sql}");
    }
}

/// A view whose bare names are looked up in `within`.
async fn view(service: &QueryService, name: &str, within: &str, sql: &str) {
    let view = NewView {
        name: name.parse().expect("a name"),
        schema: IcebergSchema::builder().build().expect("a schema"),
        default_catalog: None,
        default_namespace: Some(within.parse().expect("a namespace")),
        queries: BTreeMap::from([("spark".to_owned(), sql.to_owned())]),
        properties: HashMap::new(),
    };
    service.0.engine.catalog().create_view(view).await.expect("a view");
}

// Goal: metadata of a table is judged as that table's whatever schema the session has, in which another table may bear its name. Method: views
// whose names are of another schema, each form of a name, read by somebody who has a table of that name; views over the own table go through.
#[tokio::test]
async fn parts_of_tables_are_judged_by_their_table() {
    let (_lake, service) = lake().await;
    let within = service.within(Some("mine"));
    for (at, sql) in [
        "SELECT count(*) AS n FROM \"secret$files\"",
        "SELECT count(*) AS n FROM \"secret@main$entries\"",
        "SELECT count(*) AS n FROM \"secret$changes\"",
        "SELECT count(*) AS n FROM changes('hr.secret')",
        "SELECT count(*) AS n FROM \"secret@main\"",
        "SELECT count(*) AS n FROM secret",
    ]
    .into_iter()
    .enumerate()
    {
        for (schema, code) in [("hr", Some("SEC-0008")), ("mine", None)] {
            let name = format!("mine.{schema}_{at}");
            view(&service, &name, schema, &sql.replace("'hr.", &format!("'{schema}."))).await;
            for statement in [
                format!("SELECT n FROM {name}"),
                format!("SELECT n + 1 FROM {name} WHERE n > 0"),
                format!("SELECT (SELECT max(n) FROM {name})"),
            ] {
                let told = within.prepare(&ana(), &statement).await;
                let found = told.err().map(|error| error.code());
                assert_eq!(found, code, "{statement}, {schema}: {sql}");
            }
        }
    }
}

/// Rows of all users, as `ops` has them.
#[derive(Debug)]
struct Ids;

#[async_trait]
impl LiveRows for Ids {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
    }

    async fn rows(&self, _: &tidewater_engine::Warnings) -> tidewater_engine::Result<RecordBatch> {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        Ok(RecordBatch::try_new(self.schema(), vec![ids]).expect("a batch"))
    }
}

// Goal: a table of what a process knows is judged by its own name, not by the one that a scan has. Method: a plan whose scan names it as a view
// in its schema does, judged for somebody who has a table of that name in the schema of their session.
#[tokio::test]
async fn tables_of_a_process_are_judged_by_their_name() {
    let (_lake, service) = lake().await;
    let table = LiveTable::new("hr.secret".parse().expect("a name"), Ids);
    let options = service.seen_by(&ana(), SessionOptions::default().default_schema("mine"));
    let options = options.expect("they are let in");
    let options = options.overlay("mine.live".parse().expect("a name"), Arc::new(table));
    let session = service.0.engine.session(Class::Interactive, &options);
    let told = Box::pin(service.0.engine.plan(&session, "SELECT id FROM live")).await;
    let error = told.expect_err("it is not theirs");
    assert_eq!(error.code(), "SEC-0008", "{error:?}");
}

// Goal: what a process knows is granted by its schema alone: a table of the catalog that bears the name of one of its tables is another one, and
// its maker reads that one only. Method: somebody with everything on such a table reads under its name what a process shows; then with SELECT on
// the schema.
#[tokio::test]
async fn tables_of_a_process_are_granted_by_schema() {
    let (_lake, service, listens) = governed(Vec::new()).await;
    let ops = || vec!["ops".to_owned()];
    let id = Uuid::from_u128(1);
    let grant = |on: Resource, privileges: PrivilegeSet| Grant {
        to: Grantee::User("ana".into()),
        on,
        privileges,
    };
    let mut policy = Policy {
        version: 2,
        in_force: true,
        objects: vec![Object {
            id,
            uuid: id,
            namespace: ops(),
            name: "queries".into(),
        }],
        grants: vec![grant(Resource::Object(id), PrivilegeSet::all())],
        ..Policy::default()
    };
    let authorizer = listens.authorizer().expect("a policy");
    let code = async || {
        let table = LiveTable::new("ops.queries".parse().expect("a name"), Ids);
        let options = service.seen_by(&ana(), SessionOptions::default());
        let options = options.expect("they are let in");
        let options = options.overlay("ops.queries".parse().expect("a name"), Arc::new(table));
        let session = service.0.engine.session(Class::Interactive, &options);
        let told = Box::pin(service.0.engine.plan(&session, "SELECT id FROM ops.queries")).await;
        told.err().map(|error| error.code())
    };
    authorizer.update(policy.clone());
    assert_eq!(code().await, Some("SEC-0008"));
    policy.version = 3;
    policy
        .grants
        .push(grant(Resource::Namespace(ops()), Privilege::Select.into()));
    authorizer.update(policy);
    assert_eq!(code().await, None);
}

// Goal: rows of which nobody knows whose they are are nobody's, and those of no table are everybody's. Method: a provider that the judge does not
// know, and a statement of each kind whose scans are of no table, or of an own one.
#[tokio::test]
async fn rows_of_nobody_are_judged() {
    let (_lake, service) = lake().await;
    let unknown = EmptyTable::new(Ids.schema());
    let options = service.seen_by(&ana(), SessionOptions::default());
    let options = options.expect("they are let in");
    let options = options.overlay("mine.live".parse().expect("a name"), Arc::new(unknown));
    let session = service.0.engine.session(Class::Interactive, &options);
    let told = Box::pin(service.0.engine.plan(&session, "SELECT id FROM mine.live")).await;
    assert_eq!(told.expect_err("nobody knows whose it is").code(), "SEC-0008");
    for sql in [
        "SELECT count(*) FROM generate_series(1, 3)",
        "SELECT x FROM (VALUES (1), (2)) AS v (x)",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT max(n) FROM r",
        "SELECT table_name FROM information_schema.tables",
        "SHOW TABLES",
        "DESCRIBE mine.t",
        "EXPLAIN SELECT id FROM mine.t",
    ] {
        let told = service.prepare(&ana(), sql).await.map(|_| ());
        told.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    }
}

// Goal: whoever overwrites a part of a table needs no SELECT on it, also where rows stay that lie in one file with those that go and take along
// what they are known by. Method: a table of format 3 of one file, of which one row is replaced.
#[tokio::test]
async fn overwriting_takes_no_select() {
    let granted = [Privilege::Insert, Privilege::Delete].into_iter().collect();
    let (_lake, service, _) = governed(vec![(Resource::Namespace(vec!["hr".into()]), granted)]).await;
    for sql in [
        "CREATE SCHEMA hr",
        "CREATE TABLE hr.t (id bigint, n bigint) TBLPROPERTIES ('format-version' = '3')",
        "INSERT INTO hr.t VALUES (1, 1), (2, 2)",
    ] {
        done(&service, sql).await;
    }
    let sql = "INSERT OVERWRITE hr.t PARTITION (id = 1) (n) VALUES (7)";
    let told = service.change(&ana(), &Statement::new(sql)).await.map(|_| ());
    told.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    let left = rows(&service, "SELECT id, n FROM hr.t ORDER BY id").await;
    assert_eq!(left, ["1  | 7", "2  | 2"]);
}
