//! Schemas of processes and nodes, and what nodes keep there.

use tidewater_security::{Privilege, PrivilegeSet, Resource};

use super::makers::governed;
use super::*;

fn ana() -> Principal {
    Principal::named("ana")
}

fn ops() -> Resource {
    Resource::Namespace(vec!["ops".into()])
}

async fn done(service: &QueryService, user: &Principal, sql: &str) {
    let done = service.change(user, &Statement::new(sql)).await;
    let done = done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
    assert!(done.is_some(), "{sql} is a query");
}

async fn refused(service: &QueryService, sql: &str) -> QueryError {
    let told = service.change(&ana(), &Statement::new(sql)).await;
    told.map(|_| ()).expect_err(sql)
}

// Goal: nobody makes or drops a schema that shows what processes know of themselves, or that is PostgreSQL's, unless they may do everything. Method:
// a user who may make schemas, and everything in `ops`, in each way to write one; one beside it, and the administrator.
#[tokio::test]
async fn reserved_schemas_take_the_warehouse() {
    let may = [Privilege::Create, Privilege::Drop];
    let granted = vec![
        (Resource::Warehouse, may.into_iter().collect()),
        (ops(), Privilege::Admin.into()),
    ];
    let (_lake, service, _listens) = governed(granted).await;
    for sql in [
        "CREATE SCHEMA ops",
        "CREATE SCHEMA IF NOT EXISTS OPS",
        "CREATE SCHEMA \"OPS\"",
        "CREATE SCHEMA pg_catalog",
        "CREATE SCHEMA information_schema",
        "CREATE SCHEMA ops.mine",
        "DROP SCHEMA ops",
        "DROP SCHEMA IF EXISTS ops CASCADE",
    ] {
        let error = refused(&service, sql).await;
        assert_eq!(error.code(), "SEC-0008", "{sql}: {}", error.chain());
        assert!(error.chain().contains("ADMIN on the warehouse"), "{}", error.chain());
    }
    done(&service, &ana(), "CREATE SCHEMA opsy").await;
    done(&service, &Principal::named("root"), "CREATE SCHEMA ops").await;
    done(&service, &Principal::named("root"), "DROP SCHEMA ops").await;
}

// Goal: keys of deleted rows are answered to whoever was granted their schema as what is not there. Method: a user with everything in the schema and
// SELECT on all there is reads, lists, changes and drops such a table, and a name that nothing has; the same of a table beside it.
#[tokio::test]
async fn deleted_keys_are_not_granted() {
    let granted = vec![
        (ops(), PrivilegeSet::all()),
        (Resource::Warehouse, Privilege::Select.into()),
    ];
    let (_lake, service, _listens) = governed(granted).await;
    let root = Principal::named("root");
    for sql in [
        "CREATE SCHEMA ops",
        "CREATE TABLE ops.tombstones__silver__patients (id bigint)",
        "INSERT INTO ops.tombstones__silver__patients VALUES (7)",
        "CREATE TABLE ops.runs (id bigint)",
        "INSERT INTO ops.runs VALUES (1)",
    ] {
        done(&service, &root, sql).await;
    }
    for read in [
        "SELECT id FROM {}",
        "SELECT count(*) FROM {}",
        "SELECT count(*) FROM \"{}$files\"",
        "SELECT count(*) FROM changes('ops.{}')",
    ] {
        let within = service.within(Some("ops"));
        let code = async |table: &str| {
            let told = within.prepare(&ana(), &read.replace("{}", table)).await;
            told.err().map(|error| error.code())
        };
        assert_eq!(code("runs").await, None, "{read}");
        let nothing = code("tombstones__silver__nothing").await;
        assert!(nothing.is_some(), "{read}");
        assert_eq!(code("tombstones__silver__patients").await, nothing, "{read}");
    }
    for change in [
        "INSERT INTO ops.{} VALUES (8)",
        "DELETE FROM ops.{} WHERE id = 7",
        "TRUNCATE TABLE ops.{}",
        "ALTER TABLE ops.{} ADD COLUMN more bigint",
        "ALTER TABLE ops.{} RENAME TO mine",
        "DROP TABLE ops.{}",
    ] {
        let error = refused(&service, &change.replace("{}", "tombstones__silver__patients")).await;
        assert_eq!(error.kind(), ErrorKind::NotFound, "{change}: {}", error.chain());
    }
    for (table, count) in [("tombstones__silver__patients", 0), ("runs", 1)] {
        let listed = service.tables_named(&ana(), Some("ops"), table).await;
        assert_eq!(listed.expect("a list").len(), count, "{table}");
    }
    done(&service, &ana(), "INSERT INTO ops.runs VALUES (2)").await;
    let read = Statement::new("SELECT id FROM ops.tombstones__silver__patients");
    let results = service.run(&root, &read).await.expect("a result");
    let batches: Vec<RecordBatch> = results.batches.try_collect().await.expect("rows");
    let kept = cells(&pretty_format_batches(&batches).expect("printable rows").to_string());
    assert_eq!(kept, ["7"]);
}
