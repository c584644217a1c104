use std::cmp::Reverse;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use datafusion::execution::SessionStateBuilder;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use datafusion::physical_plan::{Distribution as Required, ExecutionPlan, collect};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::DefaultPhysicalExtensionCodec;
use tidewater_core::Coded;
use tidewater_table::iceberg::spec::Transform;
use tidewater_table::{Added, FileStore, Scan, WriteRun, transformed};

use crate::statement::tests::{done, lake, rows};
use crate::testing::{Lake, table_name};
use crate::write::{Distribution, IcebergWriteExec, Order, WriteRequest, files_of};
use crate::{BulkLoad, Class, Done, EngineError, IfExists, Result, SessionOptions, Workshop, ZONE, restore_scans};

/// Rows in no order: `id` from 1 to 300, and a `k` that comes up and down and is null at times.
const ROWS: &str = "SELECT value AS id, nullif(value * 7 % 13, 5) AS k FROM generate_series(1, 300)";

/// A row's `id` and another of its columns.
type Row = (i64, Option<i64>);

/// Two columns of a file, as its rows lie in it.
async fn rows_of(store: &FileStore, path: &str, names: [&str; 2]) -> Vec<Row> {
    let bytes = store.get(path).await.expect("a file");
    let mut found = Vec::new();
    for batch in ParquetRecordBatchReader::try_new(bytes, 1024).expect("Parquet") {
        let batch = batch.expect("rows");
        let [first, second] = names.map(|name| {
            let column = batch.column_by_name(name).expect("a column");
            column.as_primitive::<Int64Type>().clone()
        });
        found.extend(first.values().iter().copied().zip(second.iter()));
    }
    found
}

/// The files of a table: the order that each says it has, and its rows.
async fn files(lake: &Lake, name: &str, names: [&str; 2]) -> Vec<(Option<i32>, Vec<Row>)> {
    let table = lake.load(name).await;
    let planned = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let mut found = Vec::new();
    for file in planned {
        let claimed = file.data_file().sort_order_id();
        found.push((claimed, rows_of(&lake.store, &file.path, names).await));
    }
    found
}

async fn own_order(lake: &Lake, name: &str) -> Option<i32> {
    let order = lake.load(name).await.metadata.default_sort_order_id();
    assert_ne!(order, 0, "{name} has an order");
    i32::try_from(order).ok()
}

fn is_ordered(rows: &[Row]) -> bool {
    rows.is_sorted_by_key(|(id, k)| (Reverse(*k), *id))
}

/// All files of a table ordered by `k DESC, id` are in this order, and say so.
async fn in_order(lake: &Lake, name: &str, rows: usize) {
    let own = own_order(lake, name).await;
    let mut count = 0;
    for (claimed, found) in files(lake, name, ["id", "k"]).await {
        assert_eq!(claimed, own, "{name}");
        assert!(is_ordered(&found), "{name}: {found:?}");
        count += found.len();
    }
    assert_eq!(count, rows, "{name}");
}

async fn claims(lake: &Lake, name: &str) -> Vec<Option<i32>> {
    let mut claims: Vec<_> = files(lake, name, ["id", "k"])
        .await
        .into_iter()
        .map(|(claimed, _)| claimed)
        .collect();
    claims.dedup();
    claims
}

// Goal: whatever writes rows into a table with an order writes them in it, and the files say so. Method: each statement, files read as
// they lie; a table without an order beside it, whose files are not sorted.
#[tokio::test]
async fn every_statement_writes_in_the_tables_order() {
    let lake = lake().await;
    done(&lake, &format!("CREATE TABLE s.plain AS {ROWS}")).await;
    let plain = files(&lake, "s.plain", ["id", "k"]).await;
    assert!(
        plain
            .iter()
            .any(|(claimed, rows)| claimed.is_none() && !is_ordered(rows))
    );
    done(
        &lake,
        &format!("CREATE TABLE s.c WRITE ORDERED BY k DESC, id AS {ROWS}"),
    )
    .await;
    in_order(&lake, "s.c", 300).await;
    let partitioned = format!("CREATE TABLE s.p PARTITIONED BY (bucket(3, id)) WRITE ORDERED BY k DESC, id AS {ROWS}");
    done(&lake, &partitioned).await;
    in_order(&lake, "s.p", 300).await;
    assert!(files(&lake, "s.p", ["id", "k"]).await.len() >= 3);

    done(
        &lake,
        "CREATE TABLE s.t (id bigint, k bigint) WRITE ORDERED BY k DESC, id",
    )
    .await;
    let overwrite = format!("INSERT OVERWRITE s.t {ROWS}");
    let insert = format!("INSERT INTO s.t {ROWS}");
    for (sql, left) in [
        (insert.as_str(), 300),
        ("UPDATE s.t SET k = id % 5 WHERE id % 3 = 0", 300),
        ("DELETE FROM s.t WHERE id <= 10", 290),
        (
            "MERGE INTO s.t USING (SELECT value AS id, value % 4 AS k FROM generate_series(250, 400)) AS c ON t.id = c.id \
             WHEN MATCHED THEN UPDATE SET k = c.k WHEN NOT MATCHED THEN INSERT (id, k) VALUES (c.id, c.k)",
            390,
        ),
        (overwrite.as_str(), 300),
    ] {
        assert_ne!(rows(&lake, sql).await, 0, "{sql}");
        in_order(&lake, "s.t", left).await;
    }
    // An INSERT that the planner carries out.
    assert_eq!(lake.lines(&insert).await, ["300"]);
    in_order(&lake, "s.t", 600).await;
    done(&lake, "ALTER TABLE s.t WRITE UNORDERED").await;
    done(&lake, &overwrite).await;
    assert_eq!(claims(&lake, "s.t").await, [None::<i32>]);
}

/// A bulk load of these batches.
async fn load(lake: &Lake, table: &str, batches: Vec<Result<RecordBatch>>) -> Result<Done> {
    let schema = batches.iter().flatten().next().expect("a batch").schema();
    let load = BulkLoad {
        table: table_name(table),
        schema,
        create: false,
        if_exists: IfExists::Append,
    };
    let runner = lake.engine.local_runner();
    let shop = Workshop {
        engine: &lake.engine,
        runner: &runner,
        options: &SessionOptions::default(),
        deadline: None,
    };
    shop.load(&load, futures::stream::iter(batches)).await
}

// Goal: a bulk load is written in the table's order over all of its rows, says so, and is whole or not at all. Method: batches with the
// columns in another order and of other types, into tables with partitions and without; one that ends with an error, and one whose column
// nobody knows.
#[tokio::test]
async fn bulk_loads_are_in_the_tables_order() {
    let lake = lake().await;
    let sql = "SELECT nullif(value * 7 % 13, 5) AS k, CAST(value AS int) AS id FROM generate_series(1, 300)";
    let mut batches = Vec::new();
    for batch in lake.query(sql).await {
        let starts = (0..batch.num_rows()).step_by(70);
        batches.extend(starts.map(|at| batch.slice(at, (batch.num_rows() - at).min(70))));
    }
    assert!(batches.len() > 4, "{} batches", batches.len());
    let all = || batches.iter().cloned().map(Ok).collect::<Vec<Result<RecordBatch>>>();
    for (name, made) in [("s.t", ""), ("s.p", "PARTITIONED BY (bucket(3, id))")] {
        let create = format!("CREATE TABLE {name} (id bigint, k bigint) {made} WRITE ORDERED BY k DESC, id");
        done(&lake, &create).await;
        let loaded = load(&lake, name, all()).await.expect("a load");
        assert_eq!(loaded.rows, Some(300), "{name}");
        in_order(&lake, name, 300).await;
    }
    assert_eq!(files(&lake, "s.t", ["id", "k"]).await.len(), 1);
    assert!(files(&lake, "s.p", ["id", "k"]).await.len() >= 3);

    let mut broken = all();
    broken.push(Err(EngineError::statement("the client is gone")));
    let error = load(&lake, "s.t", broken).await.expect_err("a load that breaks off");
    assert!(error.to_string().contains("the client is gone"), "{error}");
    let unknown = lake.query("SELECT 1 AS id, 2 AS what").await.into_iter().map(Ok);
    let error = load(&lake, "s.t", unknown.collect()).await;
    assert_eq!(error.expect_err("a column too many").code(), "TBL-0010");
    in_order(&lake, "s.t", 300).await;

    done(&lake, "ALTER TABLE s.t WRITE UNORDERED").await;
    load(&lake, "s.t", all()).await.expect("a load");
    let mut claims = claims(&lake, "s.t").await;
    claims.sort_unstable();
    assert_eq!(claims.len(), 2, "{claims:?}");
    assert_eq!(claims[0], None, "nothing was sorted");
}

// Goal: files that are written anew say that they are in the table's order if they were sorted by it, and only then. Method: merged as
// they come, sorted by the table's order, unasked and in words, and by another one.
#[tokio::test]
async fn compaction_claims_what_it_sorts_by() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint, k bigint) WRITE ORDERED BY k DESC, id",
    )
    .await;
    done(&lake, &format!("INSERT INTO s.t {ROWS}")).await;
    let own = own_order(&lake, "s.t").await;
    for (how, claimed) in [
        ("options => map('rewrite-all', 'true')", None),
        ("strategy => 'sort'", own),
        ("sort_order => 'id'", None),
        ("sort_order => 'k DESC, id'", own),
    ] {
        done(&lake, &format!("CALL system.rewrite_data_files(table => 's.t', {how})")).await;
        assert_eq!(claims(&lake, "s.t").await, [claimed], "{how}");
        if claimed.is_some() {
            in_order(&lake, "s.t", 300).await;
        }
    }
}

// Goal: orders by transforms, by fields of structs and in each direction are those of Iceberg. Method: rows of which everything follows
// from the id, and the key of each computed apart.
#[tokio::test]
async fn orders_have_transforms() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.b (id bigint, at timestamptz, who struct<age: bigint>) \
         WRITE ORDERED BY bucket(4, id), who.age DESC NULLS FIRST, day(at) DESC, id",
    )
    .await;
    let sql = "INSERT INTO s.b SELECT value, to_timestamp_micros(value % 3 * 86400000000 + value), \
               CASE WHEN value % 5 = 0 THEN NULL ELSE named_struct('age', value % 4) END FROM generate_series(1, 200)";
    assert_eq!(rows(&lake, sql).await, 200);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..=200));
    let buckets = transformed(Transform::Bucket(4), &ids, &[]).expect("buckets");
    let buckets = buckets.as_primitive::<Int32Type>();
    let key = |(id, _): &Row| {
        let age = (id % 5 != 0).then_some(id % 4);
        let place = usize::try_from(*id).expect("from 1 on");
        (buckets.value(place), age.is_some(), Reverse(age), Reverse(id % 3), *id)
    };
    let anew = "CALL system.rewrite_data_files(table => 's.b', options => map('rewrite-all', 'true')";
    let asked = "sort_order => 'bucket(4, id), who.age DESC NULLS FIRST, days(at) DESC, id ASC NULLS FIRST'";
    for again in [None, Some(format!("{anew})")), Some(format!("{anew}, {asked})"))] {
        if let Some(sql) = &again {
            done(&lake, sql).await;
        }
        let mut found = 0;
        for (claimed, rows) in files(&lake, "s.b", ["id", "id"]).await {
            let is_sorted = again.as_ref().is_none_or(|sql| sql.contains(asked));
            let own = own_order(&lake, "s.b").await;
            assert_eq!(claimed, own.filter(|_| is_sorted), "{again:?}");
            assert!(!is_sorted || rows.is_sorted_by_key(key), "{again:?}: {rows:?}");
            found += rows.len();
        }
        assert_eq!(found, 200);
    }
}

// Goal: one task's files of an ordered table follow one another. Method: rows scattered over the ids' range, written as files of one
// batch each, whose ranges must not meet.
#[tokio::test]
async fn files_of_a_task_follow_one_another() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t WRITE ORDERED BY id AS SELECT value * 7919 % 30011 AS id FROM generate_series(1, 30010)",
    )
    .await;
    done(
        &lake,
        "CALL system.rewrite_data_files(table => 's.t', strategy => 'sort', options => map('target-file-size-bytes', '1'))",
    )
    .await;
    let files = files(&lake, "s.t", ["id", "id"]).await;
    assert!(files.len() > 2, "{} files", files.len());
    let mut ranges: Vec<(i64, i64)> = files
        .iter()
        .filter_map(|(_, rows)| Some((rows.first()?.0, rows.last()?.0)))
        .collect();
    ranges.sort_unstable();
    assert_eq!(ranges.len(), files.len());
    for pair in ranges.windows(2) {
        assert!(pair[0].1 < pair[1].0, "{ranges:?}");
    }
    assert_eq!(files.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 30_010);
}

// Goal: a sorted write is sorted in another process too, and claims it there. Method: encode, decode, run.
#[tokio::test]
async fn an_order_travels() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint, k bigint) PARTITIONED BY (bucket(2, id)) WRITE ORDERED BY truncate(1000, k) DESC, k DESC, id",
    )
    .await;
    done(&lake, &format!("CREATE TABLE s.from AS {ROWS}")).await;
    let session = lake.engine.session(Class::Batch, &SessionOptions::default());
    let request = WriteRequest {
        job: lake.job(),
        input: lake
            .engine
            .plan(&session, "SELECT id, k FROM s.from")
            .await
            .expect("a plan"),
        target: lake.load("s.t").await,
        distribution: Distribution::ByPartition,
        order: Order::OfTable,
        target_file_size_bytes: None,
        deadline: None,
    };
    let plan = lake
        .engine
        .write_plan(&request, WriteRun::new(lake.store.rng()), ZONE)
        .expect("a plan");
    let plan = session.state().create_physical_plan(&plan).await.expect("a plan");
    let codec = lake.engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
    let bytes = physical_plan_to_bytes_with_extension_codec(plan, codec.as_ref()).expect("bytes");
    let context = session.task_ctx();
    let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &context, codec.as_ref()).expect("a plan");
    let decoded = restore_scans(decoded, &lake.engine.runtime_env()).expect("scans");
    let mut added: Vec<Added> = Vec::new();
    for batch in collect(decoded, context).await.expect("rows") {
        files_of(&batch, &request.target, &mut added).expect("files");
    }
    assert!(added.len() >= 2, "{} files", added.len());
    lake.commit("s.t", added).await;
    in_order(&lake, "s.t", 300).await;
}

/// How a write wants its rows: spread, then sorted.
fn asked(plan: &Arc<dyn ExecutionPlan>) -> [String; 2] {
    let Some(write) = plan.downcast_ref::<IcebergWriteExec>() else {
        return asked(plan.children().first().expect("a write"));
    };
    let spread = match write.required() {
        Required::KeyPartitioned(keys) => keys.iter().map(|key| format!("{key};")).collect(),
        other => format!("{other:?}"),
    };
    [spread, write.order().map(ToString::to_string).unwrap_or_default()]
}

// Goal: a write that was not optimised yet asks for its rows in another process as it did here: who schedules does what it asks for. Method: one
// for each way to spread rows, and one that wants no order, without the rules of the planner; encoded and decoded.
#[tokio::test]
async fn what_is_asked_for_travels() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE TABLE s.t (id bigint, k bigint) PARTITIONED BY (k) WRITE ORDERED BY truncate(1000, id) DESC, id",
    )
    .await;
    done(&lake, &format!("CREATE TABLE s.from AS {ROWS}")).await;
    let session = lake.engine.session(Class::Batch, &SessionOptions::default());
    let state = SessionStateBuilder::new_from_existing(session.state());
    let state = state.with_physical_optimizer_rules(Vec::new()).build();
    let codec = lake.engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
    for (distribution, order, spread, sorted) in [
        (Distribution::AsPlanned, Order::AsPlanned, "UnspecifiedDistribution", ""),
        (Distribution::Single, Order::OfTable, "SinglePartition", "DESC"),
        (Distribution::ByPartition, Order::OfTable, "k@", "DESC"),
        (Distribution::Hash(vec!["id".to_owned()]), Order::OfTable, "id@", "DESC"),
    ] {
        let request = WriteRequest {
            job: lake.job(),
            input: lake
                .engine
                .plan(&session, "SELECT id, k FROM s.from")
                .await
                .expect("a plan"),
            target: lake.load("s.t").await,
            distribution,
            order,
            target_file_size_bytes: None,
            deadline: None,
        };
        let run = WriteRun::new(lake.store.rng());
        let plan = lake.engine.write_plan(&request, run, ZONE).expect("a plan");
        let plan = state.create_physical_plan(&plan).await.expect("a plan");
        let here = asked(&plan);
        assert!(here[0].contains(spread) && here[1].contains(sorted), "{here:?}");
        assert_eq!(here[1].is_empty(), sorted.is_empty(), "{here:?}");
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, codec.as_ref()).expect("bytes");
        let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &session.task_ctx(), codec.as_ref());
        assert_eq!(asked(&decoded.expect("a plan")), here);
    }
}
