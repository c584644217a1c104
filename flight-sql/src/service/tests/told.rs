//! What the history tells of statements that change something.

use tidewater_engine::{BulkLoad, IfExists};
use tidewater_security::Role;

use super::*;
use crate::history::QueryRecord;
use crate::metrics::Front;

/// What is told of the statement that came last.
fn last(service: &QueryService) -> QueryRecord {
    let all = service.history().all();
    all.first().cloned().expect("a statement")
}

// Goal: of a statement that changes something it is told which tables it is about, how many rows it changed and where it ran; also of one
// that fails. Method: a statement of each kind, one after another, each with what it should be told of it.
#[tokio::test]
async fn changes_are_told() {
    let lake = Lake::new().await;
    let cases: [(&str, &[&str], u64); 9] = [
        ("CREATE TABLE gold.t (id BIGINT)", &["gold.t"], 0),
        (
            "INSERT INTO gold.t SELECT id FROM numbers WHERE id < 4",
            &["gold.t", "gold.numbers"],
            4,
        ),
        ("UPDATE t SET id = id + 10 WHERE id < 2", &["gold.t"], 2),
        (
            "MERGE INTO t USING numbers AS n ON t.id = n.id WHEN MATCHED THEN DELETE",
            &["gold.t", "gold.numbers"],
            2,
        ),
        ("CREATE TABLE gold.u AS SELECT * FROM t", &["gold.u", "gold.t"], 2),
        ("DELETE FROM t WHERE id = 10", &["gold.t"], 1),
        ("ALTER TABLE t ADD COLUMN name STRING", &["gold.t"], 0),
        ("CREATE VIEW v AS SELECT id FROM t", &["gold.v", "gold.t"], 0),
        ("DROP TABLE gold.u", &["gold.u"], 0),
    ];
    for (sql, tables, rows) in cases {
        let changed = lake.service.change(&Principal::local(), &Statement::new(sql)).await;
        changed.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        let told = last(&lake.service);
        assert_eq!(told.tables, tables, "{sql}");
        assert_eq!((told.rows, told.route.as_deref()), (rows, Some("local")), "{sql}");
        assert_eq!(told.error, None, "{sql}");
    }
    let sql = "DELETE FROM gold.nowhere";
    let refused = lake.service.change(&Principal::local(), &Statement::new(sql)).await;
    let code = refused.expect_err("no such table").code();
    let told = last(&lake.service);
    assert_eq!((told.tables, told.rows), (vec!["gold.nowhere".to_owned()], 0));
    assert_eq!(told.error.as_deref(), Some(code));
}

// Goal: a client's name is told as far as it goes, also where it is cut within a letter: nobody is left nameless by it. Method: a long name of
// letters of two bytes.
#[tokio::test]
async fn long_names_of_clients_are_cut() {
    let lake = Lake::new().await;
    let service = lake.service.of_client(&format!("x{}", "é".repeat(200)));
    let sql = "CREATE TABLE gold.t (id BIGINT)";
    let changed = service.change(&Principal::local(), &Statement::new(sql)).await;
    changed.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    assert_eq!(last(&service).client, format!("x{}", "é".repeat(63)));
}

// Goal: a bulk load is a statement among the others, with its table and its rows, or with its error. Method: one that makes a table, and
// one whose client stops in the middle.
#[tokio::test]
async fn bulk_loads_are_told() {
    let lake = Lake::new().await;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
    let load = BulkLoad {
        table: "gold.loaded".parse().expect("a name"),
        schema: batch.schema(),
        create: true,
        if_exists: IfExists::Append,
    };
    let rows = stream::iter([Ok(batch.clone())]);
    let service = lake.service.through(Front::FlightSql).of_client("loader");
    let loaded = service.load(&Principal::local(), &load, rows).await;
    assert_eq!(loaded.expect("a load"), 3);
    let told = last(&service);
    assert_eq!(told.statement, "INGEST INTO gold.loaded");
    assert_eq!((told.tables, told.rows), (vec!["gold.loaded".to_owned()], 3));
    assert_eq!((told.client.as_str(), told.route.as_deref()), ("loader", Some("local")));
    assert_eq!((told.snapshots.len(), told.error), (1, None));

    let broken = stream::iter([Ok(batch), Err(QueryError::BadHandle)]);
    let failed = service.load(&Principal::local(), &load, broken).await;
    assert_eq!(failed.expect_err("it breaks off").code(), "SQL-0002");
    let told = last(&service);
    assert_eq!((told.tables, told.rows), (vec!["gold.loaded".to_owned()], 0));
    assert_eq!(told.error.as_deref(), Some("SQL-0002"));
    assert_eq!(service.history().all().len(), 2);
    assert_eq!(lake.rows("SELECT count(*) FROM gold.loaded").await, ["3"]);
}

// Goal: what is refused when a client only asks what it would look like is told too, as drivers ask that first and go no further. Method: a query
// of nothing and a change by somebody who only reads, asked about in each way that the fronts have.
#[tokio::test]
async fn what_is_refused_beforehand_is_told() {
    let lake = Lake::new().await;
    let reader = UserSettings {
        name: "ana".to_owned(),
        password_hash: String::new(),
        scram: None,
        role: Role::Reader,
    };
    let (service, _) = lake.for_users(vec![reader]);
    let (ana, options) = (Principal::named("ana"), SessionOptions::default());
    let (query, change) = ("SELECT id FROM gold.nowhere", "DELETE FROM gold.numbers");
    service.tell(&ana, query, &options).await.expect_err("no table");
    service.tell(&ana, change, &options).await.expect_err("they read");
    service.prepare(&ana, query).await.expect_err("no table");
    service.prepare(&ana, change).await.expect_err("they read");
    let change_of = Statement::new(change);
    service.told_schema(&ana, &change_of).await.expect_err("they read");
    let all = service.history().all();
    let told: Vec<&str> = all.iter().rev().map(|record| record.statement.as_str()).collect();
    assert_eq!(told, [query, change, query, change, change]);
    for record in &all {
        assert!(record.user == "ana" && record.error.is_some(), "{record:?}");
    }
}

// Goal: what cannot be read is told too, and no password with it. Method: statements about grants, a table and a user that go wrong behind
// their first words, asked in each way that the fronts have.
#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let lake = Lake::new().await;
    let (local, options) = (Principal::local(), SessionOptions::default());
    let service = &lake.service;
    let cases = [
        ("GRANT foo ON gold.numbers TO ana", "GRANT"),
        ("ALTER TABLE gold.numbers foo", "ALTER"),
        ("CREATE USER x WITH PASSWORD 'secret'", "CREATE"),
    ];
    for (at, (sql, word)) in cases.into_iter().enumerate() {
        let statement = Statement::new(sql);
        service.tell(&local, sql, &options).await.expect_err(sql);
        service.prepare(&local, sql).await.expect_err(sql);
        service.told_schema(&local, &statement).await.expect_err(sql);
        service.change(&local, &statement).await.expect_err(sql);
        assert_eq!(service.history().all().len(), 4 * (at + 1), "{sql}");
        let told = last(service);
        assert!(told.statement.starts_with(word) && told.error.is_some(), "{told:?}");
        assert!(!told.statement.contains("secret"), "{told:?}");
    }
}

// Goal: whoever reads a table's metadata is told to have read the table. Method: one of its files, by its short name and by its full one.
#[tokio::test]
async fn metadata_is_told_as_its_table() {
    let lake = Lake::new().await;
    for sql in [
        "SELECT count(*) FROM \"numbers$files\"",
        "SELECT count(*) FROM gold.\"numbers$files\"",
    ] {
        lake.rows(sql).await;
        assert_eq!(last(&lake.service).tables, ["gold.numbers"], "{sql}");
    }
}
