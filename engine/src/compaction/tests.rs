use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use tidewater_core::Coded;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::schema::{evolve_table, from_arrow};
use tidewater_table::{
    Change, CommitOptions, RewriteOptions, RowMask, Scan, changes_between, commit_change, write_deletes,
};

use crate::testing::{Lake, table_name};

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

// Goal: tables whose rows have ids of their own are not compacted, as the ids would be lost. Method: a table of format 3.
#[tokio::test]
async fn row_ids_are_not_lost() {
    let lake = Lake::new();
    let name = table_name("bronze.numbered");
    let mut table = tidewater_table::NewTable::new(name.clone(), schema());
    table.properties.insert("format-version".into(), "3".into());
    tidewater_table::Catalog::create_table(lake.catalog.as_ref(), table)
        .await
        .expect("a table");
    let runner = lake.engine.local_runner();
    let refused = lake
        .engine
        .compact(&runner, &name, &options(2))
        .await
        .expect_err("format 3");
    assert_eq!(refused.code(), "ENG-0015");
}
