use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::lake::{FILES, Lake, ROWS_PER_FILE};
use tidewater_core::{Coded, ErrorKind, Retry};
use tidewater_engine::{Class, Distribution, Order, PlanRunner, Progress, WriteRequest};
use tidewater_scheduler::SchedulerOptions;
use tidewater_table::iceberg::spec::{NullOrder, SortDirection, Transform};
use tidewater_table::{
    Alteration, Change, ColumnPath, CommitOptions, JOB_ID_KEY, Scan, SortBy, alter_table, commit_change, transformed,
};

pub(crate) const STATEMENTS: [&str; 11] = [
    "SELECT count(*) FROM orders",
    "SELECT note, count(*), sum(customer), min(id), max(id) FROM orders GROUP BY note",
    "SELECT o.note, sum(i.amount) AS s FROM orders o JOIN items i ON o.id = i.order_id GROUP BY o.note ORDER BY s DESC",
    "SELECT id, note FROM orders WHERE id >= 7990 AND id < 8010 ORDER BY id LIMIT 10",
    "SELECT count(*) FROM orders WHERE id NOT IN (SELECT order_id FROM items WHERE amount > 50)",
    // A null among what is not to be contained makes it unknown for every row.
    "SELECT count(*) FROM orders WHERE customer NOT IN (SELECT CASE WHEN amount = 7 THEN NULL ELSE amount END FROM items)",
    "SELECT count(*), sum(amount) FROM items WHERE amount > (SELECT avg(amount) FROM items)",
    "SELECT id FROM orders WHERE id < 0",
    "SELECT note, array_agg(id ORDER BY customer, id) FROM orders WHERE id < 500 GROUP BY note",
    "SELECT o.note, array_agg(i.amount ORDER BY i.order_id) FROM orders o LEFT JOIN items i ON o.id = i.order_id
     WHERE o.id < 300 GROUP BY o.note",
    "SELECT id, count(*) FILTER (WHERE customer > 500) OVER (PARTITION BY note), sum(customer) FILTER (WHERE id % 3 = 0)
     OVER (PARTITION BY note ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM orders WHERE id < 300",
];

// Goal: the cluster answers as DataFusion alone. Method: statements of several shapes, each run in both, in one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_those_of_one_process() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let executor = lake.executor(&scheduler).await;
    let (local, cluster) = (lake.engine.local_runner(), scheduler.runner());
    for sql in STATEMENTS {
        let expected = lake.rows(&local, sql).await;
        assert_eq!(lake.rows(&cluster, sql).await, expected, "{sql}");
    }
    assert_eq!(
        executor.id(),
        Some(scheduler.executors().await.expect("a list")[0].id.clone())
    );
    assert!(lake.tasks.shutdown(Duration::from_secs(10)).await, "it drains");
    assert_eq!(executor.id(), None);
}

/// Parts of unions with constants and with equal columns, and sides of outer joins of which a condition fixes a column.
const FIXED: [&str; 6] = [
    "SELECT c, i, j FROM (SELECT 1 AS c, id AS i, id AS j FROM orders WHERE id < 300
     UNION ALL SELECT 2, id, id FROM orders WHERE id < 300) AS u ORDER BY c, i, j",
    "SELECT i, j FROM (SELECT id AS i, id AS j FROM orders WHERE id < 300
     UNION ALL SELECT order_id, order_id FROM items WHERE order_id < 300) AS u ORDER BY i, j",
    "SELECT c, i FROM (SELECT 1 AS c, id + 100000 AS i FROM orders UNION ALL SELECT 2, id FROM orders) AS u ORDER BY c, i LIMIT 5",
    "SELECT o.note, count(*) FROM items i LEFT JOIN orders o ON i.order_id = o.id AND o.note = 'note 3' GROUP BY o.note",
    "SELECT o.note, i.order_id FROM items i LEFT JOIN orders o ON i.order_id = o.id AND o.note = 'note 3'
     ORDER BY o.note NULLS FIRST, i.order_id LIMIT 5",
    "SELECT o.note, count(*) FROM (SELECT * FROM orders WHERE note = 'note 3') AS o FULL JOIN items i ON i.order_id = o.id GROUP BY o.note",
];

// Goal: what is fixed in a part of a union, or on a side of an outer join, is not taken for fixed behind it on executors either. Method: such
// unions and joins, sorted as a whole and for their first rows, and in groups, there and in one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_fixed_in_a_part_is_not_in_the_whole() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let (local, cluster) = (lake.engine.local_runner(), scheduler.runner());
    for sql in FIXED {
        let expected = lake.rows(&local, sql).await;
        assert!(expected.len() > 1, "{sql}");
        assert_eq!(lake.rows(&cluster, sql).await, expected, "{sql}");
    }
}

/// Windows over what a window below has sorted already, by other keys, in partitions of which a task has two.
const SORTED_BELOW: [&str; 5] = [
    "SELECT note, customer, count(*) OVER (PARTITION BY note) AS c FROM (SELECT note, customer, row_number()
     OVER (PARTITION BY note, customer ORDER BY id) AS rn FROM orders WHERE id > 3) AS x WHERE rn = 1",
    "SELECT note, customer, count(*) OVER (PARTITION BY note) AS c FROM (SELECT note, customer, row_number()
     OVER (PARTITION BY note, customer ORDER BY id) AS rn FROM orders WHERE id > 3) AS x WHERE rn = 1 ORDER BY note, customer LIMIT 8",
    "SELECT note, r, count(*) FROM (SELECT note, rank() OVER (PARTITION BY note ORDER BY n) AS r FROM (SELECT note, rank()
     OVER (PARTITION BY note, customer ORDER BY id) AS n FROM orders) AS x) AS y GROUP BY note, r",
    "SELECT note, sum(n), max(b) FROM (SELECT note, row_number() OVER (PARTITION BY note ORDER BY customer) AS n,
     lag(customer) OVER (PARTITION BY note ORDER BY customer) AS b FROM (SELECT note, customer, row_number()
     OVER (PARTITION BY note, customer ORDER BY id DESC) AS rn FROM orders) AS x WHERE rn = 1) AS y GROUP BY note",
    "SELECT note, c, count(*), sum(amount) FROM (SELECT id, note, count(*) OVER (PARTITION BY note) AS c FROM (SELECT id, note, row_number()
     OVER (PARTITION BY note, customer ORDER BY id) AS rn FROM orders) AS x WHERE rn = 1) AS y JOIN items ON order_id = id GROUP BY note, c",
];

// Goal: rows that are hashed once more are not taken for sorted, however the parts that they come from are. Method: windows over windows by
// other keys on an executor of two cores, whose tasks have two partitions each and write both into one file, and in one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_that_are_hashed_are_not_sorted() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let (local, cluster) = (lake.engine.local_runner(), scheduler.runner());
    for sql in SORTED_BELOW {
        let expected = lake.rows(&local, sql).await;
        assert!(expected.len() > 1, "{sql}");
        assert_eq!(lake.rows(&cluster, sql).await, expected, "{sql}");
    }
}

// Goal: whoever waits for a plan on the cluster learns how far it is, and it never goes back. Method: a join that is watched while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plans_tell_how_far_they_are() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let request = lake.request(Class::Interactive, STATEMENTS[2]).await;
    let progress = Progress::attach(&request.session);
    let runner = scheduler.runner();
    let mut run = pin!(runner.run(request));
    let mut told = vec![progress.fraction()];
    let output = loop {
        tokio::select! {
            output = &mut run => break output.expect("rows"),
            () = tokio::task::yield_now() => {}
        }
        let now = progress.fraction();
        if told.last() != Some(&now) {
            told.push(now);
        }
    };
    told.push(progress.fraction());
    assert!(!output.collect().await.expect("rows").is_empty());
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.first(), Some(&None), "nothing is known before it begins");
    assert!(
        told.last().is_some_and(|last| last.is_some_and(|last| last > 0.9)),
        "{told:?}"
    );
}

// Goal: a write lists each of its files once, with all rows, and its job commits once however often it is tried. Method:
// copy a joined table through the cluster, compare listed files, files on disk and rows; commit twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_lists_each_file_once() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let name = lake
        .create("gold.joined", &[("id", DataType::Int64), ("amount", DataType::Int64)])
        .await;
    let table = lake.engine.load(&name).await.expect("a table");
    let session = lake.session(Class::Batch);
    let sql = "SELECT o.id, i.amount FROM orders o JOIN items i ON o.id = i.order_id";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let job = lake.job();
    let runner = scheduler.runner();
    let added = lake
        .engine
        .write(&runner, job, &session, plan, &table)
        .await
        .expect("written");

    let rows: u64 = added.iter().map(|added| added.file.record_count()).sum();
    assert_eq!(rows, u64::try_from(FILES * ROWS_PER_FILE).expect("few"));
    let listed: BTreeSet<String> = added.iter().map(|added| added.file.file_path().to_owned()).collect();
    assert_eq!(listed.len(), added.len(), "each once");
    let data = format!("{}/data", table.metadata.location());
    let on_disk = lake.engine.store().list(&data).await.expect("a list");
    assert_eq!(on_disk.len(), listed.len(), "nothing besides");

    let change = Change::append(added).of_job(job);
    for _ in 0..2 {
        let (catalog, store) = (lake.engine.catalog().as_ref(), lake.engine.store());
        commit_change(catalog, store, &name, &change, &CommitOptions::default())
            .await
            .expect("committed");
    }
    let table = lake.engine.load(&name).await.expect("a table");
    assert_eq!(table.metadata.snapshots().len(), 1);
    let summary = table.metadata.current_snapshot().expect("a snapshot").summary();
    assert_eq!(summary.additional_properties.get(JOB_ID_KEY), Some(&job.to_string()));
    let files = Scan::new(lake.engine.store(), &table.metadata)
        .plan()
        .await
        .expect("files");
    assert_eq!(files.len(), listed.len());
}

// Goal: rows are spread over files as the writer asks, on the cluster too. Method: the same rows as one file, and by key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_is_spread_as_asked() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let name = lake
        .create("gold.spread", &[("note", DataType::Utf8), ("id", DataType::Int64)])
        .await;
    let target = lake.engine.load(&name).await.expect("a table");
    let session = lake.session(Class::Batch);
    let all = u64::try_from(FILES * ROWS_PER_FILE).expect("few");
    for (distribution, files_max) in [
        (Distribution::Single, 1),
        (Distribution::Hash(vec!["note".into()]), 2),
        (Distribution::AsPlanned, 4),
    ] {
        let request = WriteRequest {
            job: lake.job(),
            input: lake
                .engine
                .plan(&session, "SELECT note, id FROM orders")
                .await
                .expect("a plan"),
            target: target.clone(),
            distribution: distribution.clone(),
            order: Order::OfTable,
            target_file_size_bytes: None,
            deadline: Some(Duration::from_secs(60)),
        };
        let added = lake
            .engine
            .write_with(&scheduler.runner(), &session, request)
            .await
            .expect("written");
        let rows: u64 = added.iter().map(|added| added.file.record_count()).sum();
        assert_eq!(rows, all, "{distribution:?}");
        assert!(added.len() <= files_max, "{distribution:?}: {} files", added.len());
    }
}

// Goal: executors sort what they write into a table with an order, and the files say so. Method: an order by a transform, written by one
// task and by several, the files read as they lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_is_sorted_as_the_table_asks() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let name = lake
        .create("gold.sorted", &[("note", DataType::Utf8), ("id", DataType::Int64)])
        .await;
    let by = |transform, direction| SortBy {
        path: ColumnPath::new(["id"]),
        transform,
        direction,
        nulls: NullOrder::Last,
    };
    let order = Alteration::SetSortOrder(vec![
        by(Transform::Bucket(4), SortDirection::Descending),
        by(Transform::Identity, SortDirection::Ascending),
    ]);
    let (catalog, store) = (lake.engine.catalog().as_ref(), lake.engine.store());
    alter_table(catalog, store, &name, &[order]).await.expect("an order");
    let target = lake.engine.load(&name).await.expect("a table");
    let own = i32::try_from(target.metadata.default_sort_order_id()).expect("a small number");
    let session = lake.session(Class::Batch);
    for distribution in [Distribution::Single, Distribution::AsPlanned] {
        let request = WriteRequest {
            job: lake.job(),
            input: lake
                .engine
                .plan(&session, "SELECT note, id FROM orders")
                .await
                .expect("a plan"),
            target: target.clone(),
            distribution: distribution.clone(),
            order: Order::OfTable,
            target_file_size_bytes: None,
            deadline: Some(Duration::from_secs(60)),
        };
        let added = lake
            .engine
            .write_with(&scheduler.runner(), &session, request)
            .await
            .expect("written");
        let mut count = 0;
        for added in added {
            assert_eq!(added.file.sort_order_id(), Some(own), "{distribution:?}");
            let bytes = store.get(added.file.file_path()).await.expect("a file");
            let mut keys = Vec::new();
            for batch in ParquetRecordBatchReader::try_new(bytes, 1024).expect("Parquet") {
                let batch = batch.expect("rows");
                let ids: &ArrayRef = batch.column_by_name("id").expect("ids");
                let buckets = transformed(Transform::Bucket(4), ids, &[]).expect("buckets");
                let buckets = buckets
                    .as_primitive::<Int32Type>()
                    .values()
                    .iter()
                    .map(|bucket| -bucket);
                keys.extend(buckets.zip(ids.as_primitive::<Int64Type>().values().iter().copied()));
            }
            assert!(keys.is_sorted(), "{distribution:?}");
            count += keys.len();
        }
        assert_eq!(
            i64::try_from(count).expect("few"),
            FILES * ROWS_PER_FILE,
            "{distribution:?}"
        );
    }
}

// Goal: an error of a task arrives with its code and kind. Method: a division by zero and a cast that fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_keep_their_code() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    for sql in [
        "SELECT sum(1 / (amount - 17)) FROM items",
        "SELECT sum(CAST(note AS BIGINT)) FROM orders",
    ] {
        let request = lake.request(Class::Batch, sql).await;
        let error = scheduler.runner().run(request).await.expect_err(sql);
        assert_eq!(
            (error.code(), error.kind()),
            ("SCH-0005", ErrorKind::Invalid),
            "{error:?}"
        );
        let told = tidewater_core::RemoteError::of(&error).message;
        assert!(told.contains("ENG-0003"), "{told}");
    }
}

// Goal: a plan ends with its deadline, and when nobody wants it any more. Method: a slow plan, once with a short time, once
// dropped; the scheduler must know of no running job soon after.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_runs_on_for_nobody() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let sql = "SELECT sum(slow(amount, 200)) FROM items";

    let mut request = lake.request(Class::Batch, sql).await;
    request.deadline = Some(Duration::from_secs(1));
    let error = scheduler.runner().run(request).await.expect_err("too slow");
    assert_eq!((error.code(), error.retry()), ("SCH-0006", Retry::Safe));
    until(&lake, "the late plan is cancelled", || scheduler.running().is_empty()).await;

    let request = lake.request(Class::Batch, sql).await;
    let runner = scheduler.runner();
    let mut running = Box::pin(runner.run(request));
    let begun = until(&lake, "it runs", || !scheduler.running().is_empty());
    tokio::select! {
        _ = &mut running => panic!("it takes longer than that"),
        () = begun => {}
    }
    drop(running);
    until(&lake, "the dropped plan is cancelled", || {
        scheduler.running().is_empty()
    })
    .await;
}

// Goal: a cancellation has its effect at whatever moment it comes, while the scheduler still plans the stages included. Method:
// statements that take long to plan and longer to run, dropped after longer and longer waits, some before they are known to
// run; all are gone in less time than one of them takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_at_every_moment() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let part = "SELECT sum(slow(slow(slow(slow(amount, 5000), 5000), 5000), 5000)) FROM items";
    let sql = vec![part; 40].join(" UNION ALL ");
    let mut early = 0;
    for step in 0..16_u64 {
        let request = lake.request(Class::Batch, &sql).await;
        let runner = scheduler.runner();
        let mut running = Box::pin(runner.run(request));
        tokio::select! {
            _ = &mut running => panic!("it takes longer than that"),
            () = lake.clock.sleep(Duration::from_millis(40 * step)) => {}
        }
        early += usize::from(scheduler.running().is_empty());
        drop(running);
    }
    assert!(early > 0, "no cancellation came early");
    // A plan that was submitted may become known as running only after its cancellation.
    let mut quiet = 0;
    let begun = lake.clock.monotonic();
    while quiet < 25 {
        assert!(lake.clock.monotonic() - begun < Duration::from_secs(15), "plans run on");
        lake.clock.sleep(Duration::from_millis(20)).await;
        quiet = if scheduler.running().is_empty() { quiet + 1 } else { 0 };
    }
}

pub(crate) async fn until(lake: &Lake, what: &str, holds: impl Fn() -> bool) {
    let begun = lake.clock.monotonic();
    while !holds() {
        assert!(lake.clock.monotonic() - begun < Duration::from_secs(20), "{what}");
        lake.clock.sleep(Duration::from_millis(20)).await;
    }
}
