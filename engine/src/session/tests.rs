mod versions;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use tidewater_core::{Coded, Namespace, TableName};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec};

use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Catalog, CatalogFault, Change, CommitOptions, CommitOutcome, FileStore, LoadedTable, NewTable, TableCommit,
    commit_changes,
};

use crate::explain::with_route;
use crate::testing::{Lake, lines, table_name};
use crate::{Class, EngineError, PlanRequest, PlanRunner, Route, SessionOptions, reads_at_most};

fn people() -> Schema {
    Schema::builder()
        .with_fields(vec![
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "name", Type::Primitive(PrimitiveType::String)).into(),
        ])
        .build()
        .expect("a schema")
}

fn rows(ids: &[i64]) -> RecordBatch {
    let names: Vec<String> = ids.iter().map(|id| format!("n{id}")).collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as _),
        ("name", Arc::new(StringArray::from(names)) as _),
    ])
    .expect("rows")
}

async fn lake() -> Lake {
    let lake = Lake::new();
    lake.create("gold.people", people(), None).await;
    lake.append("gold.people", rows(&[1, 2, 3])).await;
    lake.append("gold.people", rows(&[4, 5])).await;
    lake
}

// Goal: `t.*` is all columns of the table that is called t last, whatever stands before it. Method: one table under each of its
// names, alone, joined, in a subquery and in a union.
#[tokio::test]
async fn columns_of_one_table() {
    let lake = lake().await;
    for (sql, columns) in [
        ("SELECT people.* FROM people", 2),
        ("SELECT people.* FROM gold.people", 2),
        ("SELECT People.*, 1 AS n FROM lake.gold.people", 3),
        ("SELECT gold.people.* FROM gold.people", 2),
        ("SELECT p.* FROM gold.people AS p", 2),
        ("SELECT people.* FROM gold.people CROSS JOIN (VALUES (1)) AS v (n)", 2),
        (
            "SELECT people.*, p.id AS other FROM gold.people JOIN gold.people AS p ON p.id = people.id",
            3,
        ),
        (
            "SELECT * FROM (SELECT people.* FROM gold.people) AS q UNION ALL SELECT people.* FROM gold.people",
            2,
        ),
    ] {
        let rows = lake.query(sql).await;
        assert_eq!(rows.first().expect(sql).num_columns(), columns, "{sql}");
    }
    lake.refused("SELECT nobody.* FROM gold.people").await;
}

// Goal: names resolve with and without catalog and schema, and tables can be listed. Method: the same table by each name.
#[tokio::test]
async fn names_resolve() {
    let lake = lake().await;
    for name in ["people", "gold.people", "lake.gold.people"] {
        assert_eq!(lake.lines(&format!("select count(*) from {name}")).await, ["5"]);
    }
    assert_eq!(
        lake.lines("select table_schema, table_name from information_schema.tables where table_schema = 'gold'")
            .await,
        ["gold,people"]
    );
    assert!(
        lake.lines("show tables")
            .await
            .iter()
            .any(|line| line.contains("people"))
    );
    assert_eq!(
        lake.lines(
            "select column_name, data_type, is_nullable from information_schema.columns where table_name = 'people'"
        )
        .await,
        ["id,Int64,NO", "name,Utf8,YES"]
    );
    let session = lake.session();
    let missing = lake
        .engine
        .plan(&session, "select * from nowhere.nothing")
        .await
        .expect_err("no such table");
    assert_eq!(missing.code(), "ENG-0003");
}

// Goal: rows of a count come from manifests. Method: the plan must not scan.
#[tokio::test]
async fn a_count_reads_no_file() {
    let lake = lake().await;
    let plan = lake.lines("explain select count(*) from people").await.join("\n");
    assert!(!plan.contains("DataSourceExec"), "{plan}");
    assert_eq!(lake.lines("select count(*) from people where id > 2").await, ["3"]);
}

// Goal: what manifests tell for sure is not read from files, and what they tell by halves is. Method: whether the plan scans.
#[tokio::test]
async fn least_and_greatest_values_read_no_file() {
    let lake = lake().await;
    for (columns, reads, wanted) in [
        ("count(*), min(id), max(id), count(id), count(name)", false, "5,1,5,5,5"),
        ("max(name)", true, "n5"),
        ("min(id) filter (where id > 1)", true, "2"),
        ("count(distinct id)", true, "5"),
    ] {
        let sql = format!("select {columns} from people");
        let plan = lake.lines(&format!("explain {sql}")).await.join("\n");
        assert_eq!(plan.contains("DataSourceExec"), reads, "{plan}");
        assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
    }
    let plan = lake
        .lines("explain select max(id) from people where id < 4")
        .await
        .join("\n");
    assert!(plan.contains("DataSourceExec"), "{plan}");
}

// Goal: a statement sees one snapshot of a table, the one it was planned at. Method: commit between planning and running.
#[tokio::test]
async fn a_planned_statement_keeps_its_snapshot() {
    let lake = lake().await;
    let session = lake.session();
    let sql = "select a.id from people a join gold.people b on a.id = b.id";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let before = lake
        .load("gold.people")
        .await
        .metadata
        .current_snapshot_id()
        .expect("a snapshot");
    lake.append("gold.people", rows(&[6])).await;
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: Some(Duration::from_secs(60)),
    };
    let output = lake.engine.local_runner().run(request).await.expect("a run");
    assert_eq!(lines(&output.collect().await.expect("rows")), ["1", "2", "3", "4", "5"]);
    assert_eq!(lake.lines("select count(*) from people").await, ["6"]);
    assert_eq!(
        lake.lines(&format!("select count(*) from \"people@{before}\"")).await,
        ["5"]
    );
    assert_eq!(
        lake.lines("select operation from \"people$snapshots\"").await,
        ["append", "append", "append"]
    );
    assert_eq!(
        lake.lines("select sum(record_count) from \"people$files\"").await,
        ["6"]
    );
    assert_eq!(
        lake.lines("select count(*) from \"people$history\" where is_current_ancestor")
            .await,
        ["3"]
    );
    assert_eq!(
        lake.lines("select name, type from \"people$refs\"").await,
        ["main,BRANCH"]
    );
}

// Goal: INSERT commits once. Method: count the rows and the snapshots.
#[tokio::test]
async fn insert_commits() {
    let lake = lake().await;
    assert_eq!(
        lake.lines("insert into people select id + 10, name from people").await,
        ["5"]
    );
    assert_eq!(lake.lines("insert into people (id) values (100)").await, ["1"]);
    assert_eq!(
        lake.lines("select count(*), count(name), max(id) from people").await,
        ["11,10,100"]
    );
    assert_eq!(lake.lines("select count(*) from \"people$snapshots\"").await, ["4"]);
}

// Goal: a session may see other tables under the catalog's names. Method: put one file of the table in its place.
#[tokio::test]
async fn an_overlay_stands_for_a_table() {
    let lake = lake().await;
    let table = lake.load("gold.people").await;
    let files = tidewater_table::plan_scan(&lake.store, &table.metadata, None, None)
        .await
        .expect("files");
    let two = files.into_iter().filter(|file| file.record_count == 2).collect();
    let overlay = lake.engine.files_provider(&table, two).expect("a table");
    let options = SessionOptions::default().overlay(table_name("gold.people"), overlay.clone());
    let options = options.overlay(table_name("scratch.changes"), overlay);
    let session = lake.engine.session(Class::Batch, &options);
    let sql = "select p.id from people p join scratch.changes c on c.id = p.id";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let rows = session
        .execute_logical_plan(plan)
        .await
        .expect("a run")
        .collect()
        .await
        .expect("rows");
    assert_eq!(lines(&rows), ["4", "5"]);
}

// Goal: the time of a query is limited and its error tells so. Method: a time that is over at once.
#[tokio::test]
async fn a_deadline_ends_a_query() {
    let lake = lake().await;
    let session = lake.session();
    let sql = "select count(*) from generate_series(1, 100000000) a, generate_series(1, 100) b";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: Some(Duration::from_millis(20)),
    };
    let late = match lake.engine.local_runner().run(request).await {
        Ok(output) => output.collect().await.expect_err("too late"),
        Err(error) => error,
    };
    assert!(matches!(late, EngineError::Deadline { .. }), "{late:?}");
}

// Goal: EXPLAIN tells the route and the files that are left. Method: a filter that leaves one of two partitions.
#[tokio::test]
async fn explain_tells_the_route() {
    let lake = Lake::new();
    let by_name = UnboundPartitionSpec::builder()
        .add_partition_field(2, "name", Transform::Identity)
        .expect("a field")
        .build();
    lake.create("gold.people", people(), Some(by_name)).await;
    lake.append("gold.people", rows(&[1, 2, 3])).await;
    let session = lake.session();
    let plan = lake
        .engine
        .plan(&session, "explain select * from people where name = 'n2'")
        .await
        .expect("a plan");
    let estimate = lake.engine.estimate(&session, &plan).await.expect("an estimate");
    assert_eq!((estimate.files(), estimate.rows()), (1, 1));
    let all = lake
        .engine
        .plan(&session, "select * from people")
        .await
        .expect("a plan");
    let all = lake.engine.estimate(&session, &all).await.expect("an estimate");
    assert_eq!(reads_at_most(&plan), Some(all.bytes()));
    assert!(all.bytes() > estimate.bytes());
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: None,
    };
    let output = lake.engine.local_runner().run(request).await.expect("a run");
    let output = with_route(output, &Route::local("it is small"), &estimate, None, &[]);
    let told = lines(&output.collect().await.expect("rows")).join("\n");
    assert!(
        told.contains("route,local") && told.contains("reason,it is small"),
        "{told}"
    );
    assert!(told.contains("1 of 3 files (2 pruned)"), "{told}");
}

/// Commits over several tables at the worst moment: when one of them is loaded and the other is not yet.
#[derive(Debug)]
struct Racing {
    inner: Arc<MemoryCatalog>,
    store: FileStore,
    when: TableName,
    changes: Mutex<Vec<(TableName, Change)>>,
}

#[async_trait]
impl Catalog for Racing {
    async fn load_table(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogFault> {
        if *name == self.when {
            let changes = std::mem::take(&mut *self.changes.lock().expect("no panic before"));
            if !changes.is_empty() {
                let options = CommitOptions::default();
                commit_changes(self.inner.as_ref(), &self.store, &changes, &options)
                    .await
                    .expect("a commit");
            }
        }
        self.inner.load_table(name).await
    }

    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault> {
        let loaded = self.inner.load_tables(names).await?;
        for name in names {
            self.load_table(name).await?;
        }
        Ok(loaded)
    }

    async fn commit(&self, commits: Vec<TableCommit>) -> Result<CommitOutcome, CatalogFault> {
        self.inner.commit(commits).await
    }

    async fn create_table(&self, table: NewTable) -> Result<LoadedTable, CatalogFault> {
        self.inner.create_table(table).await
    }

    async fn drop_table(&self, name: &TableName, purge: bool) -> Result<(), CatalogFault> {
        self.inner.drop_table(name, purge).await
    }

    async fn create_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        self.inner.create_namespace(namespace).await
    }

    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault> {
        self.inner.list_namespaces().await
    }

    async fn list_tables(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        self.inner.list_tables(namespace).await
    }
}

// Goal: a commit over two tables is seen whole or not at all, as the one call to the catalog saw them. Method: it happens when
// that call has been answered and before the statement is planned.
#[tokio::test]
async fn a_statement_sees_one_moment() {
    for when in ["gold.a", "gold.b"] {
        let lake = Lake::new();
        let mut changes = Vec::new();
        for name in ["gold.a", "gold.b"] {
            lake.create(name, people(), None).await;
            changes.push((table_name(name), Change::append(lake.write(name, rows(&[1, 2])).await)));
        }
        let racing = Racing {
            inner: lake.catalog.clone(),
            store: lake.store.clone(),
            when: table_name(when),
            changes: Mutex::new(changes),
        };
        let engine = lake.engine_over(Arc::new(racing));
        let session = engine.session(Class::Interactive, &SessionOptions::default());
        let sql = "select (select count(*) from a) as a, (select count(*) from b) as b";
        let plan = engine.plan(&session, sql).await.expect("a plan");
        let seen = session
            .execute_logical_plan(plan)
            .await
            .expect("a run")
            .collect()
            .await
            .expect("rows");
        assert_eq!(lines(&seen), ["0,0"], "commit at the loading of {when}");
    }
}

// Goal: no function in the place of a table reads a file or an address. Method: the closed list of those that there are, with what the
// PostgreSQL wire adds and without.
#[tokio::test]
async fn functions_of_tables_are_a_closed_list() {
    let lake = Lake::new();
    for postgres in [None, Some(Arc::default())] {
        let options = SessionOptions {
            postgres,
            ..SessionOptions::default()
        };
        let state = lake.engine.session(Class::Interactive, &options).state();
        let mut names: Vec<&String> = state.table_functions().keys().collect();
        names.sort();
        assert_eq!(names, ["generate_series", "range"]);
    }
}
