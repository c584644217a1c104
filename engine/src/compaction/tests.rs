use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use tidewater_core::Coded;
use tidewater_table::iceberg::spec::{FormatVersion, NestedField, PrimitiveType, Schema, Type};
use tidewater_table::schema::{evolve_table, from_arrow};
use tidewater_table::{
    Alteration, Change, CommitOptions, RewriteOptions, RowMask, Scan, alter_table, changes_between, commit_change,
    write_deletes,
};

use super::{Layout, RowOrder};
use crate::PlanRunner;
use crate::testing::{Journeys, Lake, table_name};

const TABLE: &str = "bronze.visits";

fn schema() -> Schema {
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn rows(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let arrow: ArrowSchema = tidewater_table::schema::to_arrow(&schema()).expect("a schema");
    let ids: Vec<i64> = ids.into_iter().collect();
    let notes: StringArray = ids.iter().map(|id| (id % 3 != 0).then(|| format!("n{id}"))).collect();
    RecordBatch::try_new(Arc::new(arrow), vec![Arc::new(Int64Array::from(ids)), Arc::new(notes)]).expect("rows")
}

fn options(files_min: usize) -> RewriteOptions {
    RewriteOptions {
        files_min,
        ..RewriteOptions::default()
    }
}

// Goal: a compaction changes nothing but the files: rows, deletes and columns that came later stay as they are, and whoever follows
// the changes sees none. Method: twelve files, an added column, deleted rows; the answers before and after.
#[tokio::test]
async fn only_the_files_change() {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    for round in 0..12 {
        lake.append(TABLE, rows(round * 10..round * 10 + 10)).await;
    }
    let mut wider = tidewater_table::schema::to_arrow(&schema())
        .expect("a schema")
        .fields()
        .to_vec();
    wider.push(Arc::new(datafusion::arrow::datatypes::Field::new(
        "late",
        datafusion::arrow::datatypes::DataType::Int64,
        true,
    )));
    let wider = from_arrow(&ArrowSchema::new(wider), 3).expect("a schema");
    let name = table_name(TABLE);
    let catalog = lake.catalog.as_ref();
    evolve_table(catalog, &lake.store, &name, &wider)
        .await
        .expect("a column more");

    let table = lake.load(TABLE).await;
    let read_at = table.metadata.current_snapshot_id().expect("a snapshot");
    let mut files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let file = files.remove(3);
    let touched = file.path.clone();
    let deletes = [(file, RowMask::from_iter([0, 4, 9]))];
    let added = write_deletes(&lake.store, &table.metadata, &deletes)
        .await
        .expect("deletes");
    let delta = Change::row_delta(read_at, [touched], added);
    let committed = commit_change(catalog, &lake.store, &name, &delta, &CommitOptions::default()).await;
    let from = committed.expect("a commit").snapshot_id;

    let sql = "SELECT id, note, late FROM bronze.visits";
    let before = lake.lines(sql).await;
    assert_eq!(before.len(), 117);
    let runner = lake.engine.local_runner();
    let done = lake
        .engine
        .compact(&runner, &name, &options(4))
        .await
        .expect("a compaction");
    assert_eq!(
        (done.groups, done.files_removed, done.files_added, done.rows),
        (1, 12, 1, 117)
    );
    assert_eq!(lake.lines(sql).await, before);
    let table = lake.load(TABLE).await;
    let to = table.metadata.current_snapshot_id().expect("a snapshot");
    let changes = changes_between(&lake.store, &table.metadata, Some(from), to).await;
    assert!(changes.expect("a history").is_empty(), "nothing changed");
    let files = Scan::new(&lake.store, &table.metadata)
        .plan()
        .await
        .expect("no deletes are left");
    assert_eq!(files.len(), 1);
    let again = lake
        .engine
        .compact(&runner, &name, &options(4))
        .await
        .expect("nothing to do");
    assert_eq!(again.groups, 0);
}

// Goal: appends that come while files are merged are neither lost nor waited for, and a group that another compaction took is left.
// Method: two compactions and twenty appends at the same time, three times over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_go_on() {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    let name = table_name(TABLE);
    let (mut merged, mut next) = (0, 0);
    for _ in 0..3 {
        for _ in 0..8 {
            lake.append(TABLE, rows(next..next + 5)).await;
            next += 5;
        }
        let runner = lake.engine.local_runner();
        let options = options(4);
        let appends = async {
            let mut at = next;
            for _ in 0..20 {
                lake.append(TABLE, rows(at..at + 5)).await;
                at += 5;
            }
            at
        };
        let compact = || lake.engine.compact(&runner, &name, &options);
        let (first, second, reached) = tokio::join!(compact(), compact(), appends);
        next = reached;
        let (first, second) = (first.expect("a compaction"), second.expect("a compaction"));
        merged += first.groups + second.groups;
        let mut ids: Vec<i64> = lake
            .lines("SELECT id FROM bronze.visits")
            .await
            .iter()
            .map(|line| line.parse().expect("a number"))
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..next).collect::<Vec<_>>());
    }
    assert!(merged >= 3, "{merged}");
}

/// The ids of rows and the numbers of the commits that changed them, as the files themselves tell: `id,_row_id,_last_updated`.
async fn told_by_files(lake: &Lake, name: &str) -> Vec<String> {
    let table = crate::lineage::with_lineage(&lake.load(name).await).expect("columns");
    let files = Scan::new(&lake.store, &table.metadata)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    let rows = lake.engine.files_provider(&table, files).expect("rows");
    let columns = ["id", "_row_id", "_last_updated_sequence_number"];
    let batches = lake
        .session()
        .read_table(rows)
        .expect("a table")
        .select_columns(&columns)
        .expect("columns")
        .collect()
        .await
        .expect("rows");
    crate::testing::lines(&batches)
}

// Goal: a row keeps its id and the number of the commit that changed it last, however often it moves, and is deleted by neither. Method: files of
// which rows are deleted, compacted twice, the second time in an order and beside new rows; what manifests told of each row before against what
// the files tell after.
#[tokio::test]
async fn rows_keep_their_ids() {
    let lake = Lake::new();
    Box::pin(ids_are_kept(&lake, &lake.engine.local_runner())).await;
}

// Goal: the same where the plans of a compaction go to another process. Method: each of them sent and received before it runs.
#[tokio::test]
async fn rows_that_travel_keep_their_ids() {
    let lake = Lake::new();
    let journeys = Journeys::of(&lake.engine);
    Box::pin(ids_are_kept(&lake, &journeys)).await;
    assert!(journeys.positions() >= 2, "both compactions travel");
}

async fn ids_are_kept(lake: &Lake, runner: &dyn PlanRunner) {
    let name = table_name("bronze.numbered");
    let mut table = tidewater_table::NewTable::new(name.clone(), schema());
    table.properties.insert("format-version".into(), "3".into());
    tidewater_table::Catalog::create_table(lake.catalog.as_ref(), table)
        .await
        .expect("a table");
    let mut expected: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut next = 0;
    for round in 0..2 {
        for _ in 0..5 {
            lake.append("bronze.numbered", rows(next..next + 10)).await;
            next += 10;
        }
        // Files of ten rows are those that were appended: their rows stand in the order of their numbers.
        let table = lake.load("bronze.numbered").await;
        let mut files = Scan::new(&lake.store, &table.metadata)
            .with_deletes()
            .plan()
            .await
            .expect("files");
        files.sort_by_key(|file| file.sequence);
        let new: Vec<_> = files.iter().filter(|file| file.record_count == 10).collect();
        assert_eq!(new.len(), 5);
        for (place, file) in (0_i64..).zip(new) {
            let first = file.data_file().first_row_id().expect("ids");
            for position in 0..10 {
                let id = next - 50 + place * 10 + position;
                expected.insert(id, (first + position, file.sequence));
            }
        }
        // One row of each file goes, also of the one that a compaction wrote.
        let (mut touched, mut masks) = (Vec::new(), Vec::new());
        for file in files {
            touched.push(file.path.clone());
            masks.push((file, RowMask::from_iter([3])));
        }
        let added = write_deletes(&lake.store, &table.metadata, &masks)
            .await
            .expect("deletes");
        let read_at = table.metadata.current_snapshot_id().expect("a snapshot");
        let delta = Change::row_delta(read_at, touched, added);
        let catalog = lake.catalog.as_ref();
        commit_change(catalog, &lake.store, &name, &delta, &CommitOptions::default())
            .await
            .expect("a commit");
        let left: Vec<i64> = lake
            .lines("SELECT id FROM bronze.numbered")
            .await
            .iter()
            .map(|id| id.parse().expect("a number"))
            .collect();
        expected.retain(|id, _| left.contains(id));
        assert_eq!(expected.len(), 45 * (round + 1) - round);

        let table = lake.load("bronze.numbered").await;
        let order = RowOrder::parse("id DESC", &table.metadata).expect("an order");
        let layout = Layout {
            order: (round == 1).then_some(order),
            ..Layout::default()
        };
        let done = lake.engine.lay_out(runner, &table, &options(2), &layout).await;
        let done = done.expect("a compaction");
        assert_eq!(
            (done.groups, done.files_added, done.rows),
            (1, 1, expected.len() as u64)
        );
        let wanted: BTreeSet<String> = expected
            .iter()
            .map(|(id, (row, sequence))| format!("{id},{row},{sequence}"))
            .collect();
        let told = told_by_files(lake, "bronze.numbered").await;
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), wanted, "round {round}");
        let ids: BTreeSet<i64> = expected.values().map(|(row, _)| *row).collect();
        assert_eq!(ids.len(), expected.len(), "no id is given twice");
        // Manifests tell of the table's columns only.
        let table = lake.load("bronze.numbered").await;
        let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
        assert!(
            files
                .iter()
                .all(|file| file.data_file().value_counts().keys().all(|id| *id < 100))
        );
        assert_eq!(table.metadata.current_schema().as_struct().fields().len(), 2);
    }
}

// Goal: rows of before format 3 keep the ids that its first commit gave them. Method: files of format 2, an upgrade, one more file and a
// compaction, in one process that has all manifests in its cache; what manifests tell before against what the files tell after; in this process, and
// sent and received.
#[tokio::test]
async fn rows_of_before_an_upgrade_keep_their_ids() {
    let lake = Lake::new();
    Box::pin(ids_outlive_an_upgrade(&lake, &lake.engine.local_runner())).await;
    let lake = Lake::new();
    let journeys = Journeys::of(&lake.engine);
    Box::pin(ids_outlive_an_upgrade(&lake, &journeys)).await;
    assert!(journeys.positions() > 0, "nothing travelled");
}

async fn ids_outlive_an_upgrade(lake: &Lake, runner: &dyn PlanRunner) {
    let name = table_name("bronze.numbered");
    lake.create("bronze.numbered", schema(), None).await;
    for round in 0..2 {
        lake.append("bronze.numbered", rows(round * 10..round * 10 + 10)).await;
    }
    let upgrade = [Alteration::UpgradeFormat(FormatVersion::V3)];
    alter_table(lake.catalog.as_ref(), &lake.store, &name, &upgrade)
        .await
        .expect("an upgrade");
    lake.append("bronze.numbered", rows(20..30)).await;
    let table = lake.load("bronze.numbered").await;
    let mut files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    files.sort_by_key(|file| file.sequence);
    let mut expected = BTreeSet::new();
    for (place, file) in (0_i64..).zip(&files) {
        let first = file.data_file().first_row_id().expect("ids");
        expected.extend((0..10).map(|at| format!("{},{},{}", place * 10 + at, first + at, file.sequence)));
    }
    assert_eq!(expected.len(), 30);
    let done = lake
        .engine
        .compact(runner, &name, &options(2))
        .await
        .expect("a compaction");
    assert_eq!((done.files_added, done.rows), (1, 30));
    let told = told_by_files(lake, "bronze.numbered").await;
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), expected);
}

// Goal: rows of before an upgrade have one id each, also if nothing was written between the upgrade and their compaction. Method: two groups of
// files, of which the second is left to the next time as the first one's commit gives its rows ids; these against what its new file tells.
#[tokio::test]
async fn ids_are_not_given_twice() {
    let lake = Lake::new();
    let name = table_name("bronze.numbered");
    lake.create("bronze.numbered", schema(), None).await;
    for round in 0..4 {
        lake.append("bronze.numbered", rows(round * 10..round * 10 + 10)).await;
    }
    let upgrade = [Alteration::UpgradeFormat(FormatVersion::V3)];
    alter_table(lake.catalog.as_ref(), &lake.store, &name, &upgrade)
        .await
        .expect("an upgrade");
    let pairs = RewriteOptions {
        everything: true,
        group_files_max: 2,
        ..options(2)
    };
    let runner = lake.engine.local_runner();
    let done = lake.engine.compact(&runner, &name, &pairs).await.expect("a compaction");
    assert_eq!((done.groups, done.conflicts, done.rows), (1, 1, 20));
    let table = lake.load("bronze.numbered").await;
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let mut expected = BTreeSet::new();
    for file in files.iter().filter(|file| file.record_count == 10) {
        let first = file.first_row_id().expect("ids");
        let rows = (file.sequence - 1) * 10;
        expected.extend((0..10).map(|at| format!("{},{},{}", rows + at, first + at, file.sequence)));
    }
    assert_eq!(expected.len(), 20);
    let all = RewriteOptions {
        everything: true,
        ..options(2)
    };
    let done = lake.engine.compact(&runner, &name, &all).await.expect("a compaction");
    assert_eq!((done.conflicts, done.files_added, done.rows), (0, 1, 40));
    let told: BTreeSet<String> = told_by_files(&lake, "bronze.numbered").await.into_iter().collect();
    assert!(expected.is_subset(&told), "{told:?}");
    let ids = told.iter().filter_map(|row| row.split(',').nth(1));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 40);
}

// Goal: columns that are called as those of row ids are not taken for them. Method: a table with one.
#[tokio::test]
async fn columns_of_those_names_are_refused() {
    let lake = Lake::new();
    let name = table_name("bronze.numbered");
    let fields = [NestedField::optional(1, "_row_id", Type::Primitive(PrimitiveType::Long)).into()];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    let mut table = tidewater_table::NewTable::new(name.clone(), schema);
    table.properties.insert("format-version".into(), "3".into());
    tidewater_table::Catalog::create_table(lake.catalog.as_ref(), table)
        .await
        .expect("a table");
    for id in 0..2 {
        let ids = Int64Array::from(vec![id]);
        let row = RecordBatch::try_from_iter_with_nullable([("_row_id", Arc::new(ids) as _, true)]).expect("a row");
        lake.append("bronze.numbered", row).await;
    }
    let runner = lake.engine.local_runner();
    let refused = lake.engine.compact(&runner, &name, &options(2)).await;
    assert_eq!(refused.expect_err("such a column").code(), "ENG-0015");
}

/// Sixteen times sixteen rows of whole numbers, in no order, in eight files.
async fn grid() -> Lake {
    let lake = Lake::new();
    let fields = ["a", "b"].map(|name| {
        let id = if name == "a" { 1 } else { 2 };
        NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)).into()
    });
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    lake.create("s.grid", schema, None).await;
    for file in 0..8_i64 {
        let of = |cell: i64| (cell * 97 + 31) % 256;
        let cells: Vec<i64> = (file * 32..file * 32 + 32).map(of).collect();
        let (a, b): (Vec<i64>, Vec<i64>) = cells.iter().map(|cell| (cell / 16, cell % 16)).unzip();
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("a", Arc::new(Int64Array::from(a)) as _, true),
            ("b", Arc::new(Int64Array::from(b)) as _, true),
        ]);
        lake.append("s.grid", batch.expect("rows")).await;
    }
    lake
}

async fn call(lake: &Lake, sql: &str) -> crate::error::Result<crate::statement::Done> {
    let crate::sql::Sql::Command(command) = crate::sql::parse(sql)? else {
        panic!("{sql} is no command");
    };
    let shop = crate::statement::Workshop {
        engine: &lake.engine,
        runner: &lake.engine.local_runner(),
        options: &crate::SessionOptions::default(),
        deadline: None,
    };
    shop.execute(&command).await
}

/// The rows of the table's only file, as they lie in it.
async fn rows_of_file(lake: &Lake) -> Vec<(i64, i64)> {
    let table = lake.engine.load(&table_name("s.grid")).await.expect("a table");
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let [file] = files.as_slice() else {
        panic!("{} files", files.len());
    };
    let bytes = lake.store.get(&file.path).await.expect("a file");
    let reader =
        datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 1024).expect("Parquet");
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.expect("rows");
        let column = |at: usize| {
            batch
                .column(at)
                .as_any()
                .downcast_ref::<Int64Array>()
                .expect("numbers")
                .clone()
        };
        rows.extend(
            column(0)
                .values()
                .iter()
                .copied()
                .zip(column(1).values().iter().copied()),
        );
    }
    rows
}

// Goal: rows lie in the order that was asked for, all of them. Method: a grid, sorted by columns and by both at once, read from
// the file itself.
#[tokio::test]
async fn rows_are_sorted() {
    let lake = grid().await;
    call(
        &lake,
        "CALL system.rewrite_data_files(table => 's.grid', strategy => 'sort', sort_order => 'b DESC, a')",
    )
    .await
    .expect("sorted");
    let mut wanted: Vec<(i64, i64)> = (0..256).map(|cell| (cell / 16, cell % 16)).collect();
    wanted.sort_by_key(|(a, b)| (-b, *a));
    assert_eq!(rows_of_file(&lake).await, wanted);

    call(
        &lake,
        "CALL system.rewrite_data_files(table => 's.grid', sort_order => 'zorder(a, b)')",
    )
    .await
    .expect("sorted");
    let rows = rows_of_file(&lake).await;
    for (quarter, rows) in rows.chunks(64).enumerate() {
        let quarter = quarter as i64;
        for (a, b) in rows {
            assert_eq!((a / 8, b / 8), (quarter / 2, quarter % 2), "{rows:?}");
        }
    }
    wanted.sort_unstable();
    let mut all = rows;
    all.sort_unstable();
    assert_eq!(all, wanted);
}

// Goal: only files that a condition reaches are written anew, and what is no order is refused. Method: conditions that reach no
// file and some; orders with nothing to sort by.
#[tokio::test]
async fn conditions_choose_files() {
    let lake = grid().await;
    let files = || lake.lines("SELECT file_path FROM s.\"grid$files\"");
    let sorted = |condition: &str| {
        format!("CALL system.rewrite_data_files(table => 's.grid', sort_order => 'a', where => '{condition}')")
    };
    let before = files().await;
    call(&lake, &sorted("a > 99")).await.expect("nothing to sort");
    assert_eq!(files().await, before);
    call(&lake, &sorted("a = 1 AND b = 15")).await.expect("sorted");
    assert_ne!(files().await, before);
    assert_eq!(lake.lines("SELECT count(*) FROM s.grid").await, ["256"]);
    let asking = call(&lake, &sorted("a = (SELECT max(b) FROM s.grid)")).await;
    assert_eq!(asking.expect_err("no condition of its own").code(), "ENG-0017");
    for order in [
        "a + 1",
        "c",
        "zorder(a, 1)",
        "a; DROP TABLE s.grid",
        "",
        "lower(a)",
        "a.b",
        "day(a)",
    ] {
        let sql = format!("CALL system.rewrite_data_files(table => 's.grid', sort_order => '{order}')");
        assert_eq!(call(&lake, &sql).await.expect_err(order).code(), "ENG-0017", "{order}");
    }
    let unordered = "CALL system.rewrite_data_files(table => 's.grid', strategy => 'sort')";
    assert_eq!(call(&lake, unordered).await.expect_err("no order").code(), "ENG-0017");
}
