use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use tidewater_core::{Rng, SeededRng};
use tidewater_table::iceberg::spec::{NestedField, NestedFieldRef, PrimitiveType, Schema, Type};
use tidewater_table::schema::{schema_commit, to_arrow};
use tidewater_table::{
    Catalog, Change, CommitOptions, CommitOutcome, RowMask, Scan, ScanFile, commit_change, write_deletes,
};

use super::text_views;
use crate::testing::{Lake, lines, table_name};

const TABLE: &str = "gold.t";

/// Around the twelve bytes that a view holds itself, and the four by which longer ones are told apart.
const WORDS: [&str; 12] = [
    "",
    "a",
    "AIR",
    "AIR REG",
    "NONE",
    "abcdefghijkl",
    "abcdefghijklm",
    "abcdefghijklmn",
    "DELIVER IN PERSON",
    "DELIVER IN PIECES",
    "TAKE BACK RETURN",
    "größer als 12 😀",
];

fn schema(texts: &[&str]) -> Schema {
    let id: NestedFieldRef = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into();
    let text = |(id, name): (i32, &&str)| -> NestedFieldRef {
        NestedField::optional(id, *name, Type::Primitive(PrimitiveType::String)).into()
    };
    let fields: Vec<NestedFieldRef> = std::iter::once(id).chain((2..).zip(texts).map(text)).collect();
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn word(rng: &SeededRng) -> &'static str {
    WORDS[usize::try_from(rng.below(WORDS.len() as u64)).expect("few")]
}

fn texts(count: i64, rng: &SeededRng) -> StringArray {
    let text = |_| match rng.below(8) {
        0 => None,
        1 => Some(format!("a text of its own, {}", rng.below(1_000_000))),
        _ => Some(word(rng).to_owned()),
    };
    (0..count).map(text).collect()
}

async fn append(lake: &Lake, ids: std::ops::Range<i64>, rng: &SeededRng) {
    let table = lake.load(TABLE).await;
    let arrow = to_arrow(table.metadata.current_schema()).expect("a schema");
    let count = ids.end - ids.start;
    let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(ids))];
    for _ in 1..arrow.fields().len() {
        columns.push(Arc::new(texts(count, rng)));
    }
    let rows = RecordBatch::try_new(Arc::new(arrow), columns).expect("rows");
    lake.append(TABLE, rows).await;
}

/// Every seventh row of two files.
async fn delete_some(lake: &Lake) {
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata).with_deletes().plan();
    let files = files.await.expect("files").into_iter().take(2);
    let deletes = files.map(|file| {
        let gone: RowMask = (0..file.record_count).filter(|at| at % 7 == 3).collect();
        (file, gone)
    });
    let deletes: Vec<(ScanFile, RowMask)> = deletes.collect();
    let read_at = table.metadata.current_snapshot_id().expect("a snapshot");
    let touched: Vec<String> = deletes.iter().map(|(file, _)| file.path.clone()).collect();
    let added = write_deletes(&lake.store, &table.metadata, &deletes)
        .await
        .expect("files");
    let change = Change::row_delta(read_at, touched, added);
    let (name, options) = (table_name(TABLE), CommitOptions::default());
    let committed = commit_change(lake.catalog.as_ref(), &lake.store, &name, &change, &options);
    committed.await.expect("a commit");
}

/// A table of `id`, `kind`, which older files have under another name, `note`, and `late`, which they lack: one file with dictionaries
/// and some without, some of which have deletes.
async fn filled(rng: &SeededRng) -> Lake {
    let lake = Lake::new();
    lake.create(TABLE, schema(&["word", "note"]), None).await;
    append(&lake, 0..300, rng).await;
    append(&lake, 300..600, rng).await;
    let table = lake.load(TABLE).await;
    let commit = schema_commit(&table.name, &table.metadata, schema(&["kind", "note", "late"]));
    let outcome = lake.catalog.commit(vec![commit]).await.expect("a schema change");
    assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
    append(&lake, 600..900, rng).await;
    delete_some(&lake).await;
    append(&lake, 900..15_000, rng).await;
    lake
}

fn condition(rng: &SeededRng) -> String {
    let column = ["kind", "note", "late"][usize::try_from(rng.below(3)).expect("few")];
    let (one, other, third) = (word(rng), word(rng), word(rng));
    match rng.below(15) {
        0 => format!("{column} = '{one}'"),
        1 => format!("{column} <> '{one}'"),
        2 => format!("'{one}' < {column}"),
        3 => format!("{column} >= '{one}'"),
        4 => format!("{column} IN ('{one}', '{other}', '{third}', 'AIR', 'x', NULL)"),
        5 => format!("{column} NOT IN ('{one}', '{other}', 'NONE', 'AIR', 'x')"),
        6 => format!("{column} LIKE '%E%'"),
        7 => format!("{column} NOT LIKE 'a%l_'"),
        8 => format!("{column} ILIKE 'd%n'"),
        9 => format!("{column} IS NULL"),
        10 => format!("{column} IS DISTINCT FROM '{one}'"),
        11 => format!("NOT ({column} BETWEEN '{one}' AND '{other}')"),
        12 => format!("id < {}", rng.below(15_000)),
        13 => format!("upper({column}) = upper('{one}')"),
        _ => "kind = note".to_owned(),
    }
}

fn statement(rng: &SeededRng) -> String {
    let mut conditions = condition(rng);
    for _ in 0..rng.below(4) {
        let joined = if rng.below(3) == 0 { "OR" } else { "AND" };
        conditions = format!("({conditions}) {joined} {}", condition(rng));
    }
    match rng.below(4) {
        0 => format!("SELECT * FROM {TABLE} WHERE {conditions}"),
        1 => format!("SELECT count(*) FROM {TABLE} WHERE {conditions}"),
        2 => format!("SELECT late, count(*), min(kind) FROM {TABLE} WHERE {conditions} GROUP BY late"),
        _ => format!("SELECT note, id FROM {TABLE} WHERE {conditions} ORDER BY note DESC, id LIMIT 9"),
    }
}

fn reads_views(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let views = plan.exists(|part| {
        let schema = part.schema();
        let mut types = schema.fields().iter().map(|field| field.data_type());
        Ok(part.is::<DataSourceExec>() && types.any(|of| *of == DataType::Utf8View))
    });
    views.expect("a plan")
}

async fn planned(lake: &Lake, sql: &str) -> Arc<dyn ExecutionPlan> {
    let session = lake.session();
    let plan = lake.engine.plan(&session, sql).await.expect(sql);
    session.state().create_physical_plan(&plan).await.expect(sql)
}

/// The rows over plain texts, which those over views have to be, and whether there were views.
async fn same_over_views(lake: &Lake, sql: &str) -> (Vec<String>, bool) {
    let plain = planned(lake, sql).await;
    let viewed = text_views(planned(lake, sql).await).expect(sql);
    assert!(!reads_views(&plain), "{sql}");
    assert_eq!(viewed.schema(), plain.schema(), "{sql}");
    let views = reads_views(&viewed);
    let wanted = collect(plain, lake.session().task_ctx()).await.expect(sql);
    let found = collect(viewed, lake.session().task_ctx()).await.expect(sql);
    let wanted = lines(&wanted);
    assert_eq!(lines(&found), wanted, "{sql}");
    (wanted, views)
}

// Goal: a filter over views lets the same rows pass, with the same texts. Method: random conditions, joined at random, over files with
// and without dictionaries, of older columns and with deletes, against the plan that reads plain texts.
#[tokio::test]
async fn the_same_rows_pass() {
    let rng = SeededRng::new(54);
    let lake = filled(&rng).await;
    let (mut views, mut rows) = (0, 0);
    for _ in 0..100 {
        let (found, over_views) = same_over_views(&lake, &statement(&rng)).await;
        views += usize::from(over_views);
        rows += found.len();
    }
    assert!(views > 40 && rows > 2_000, "{views} with views, {rows} rows");
}

// Goal: so do filters below joins and sorts, whose own filters reach the scans while they run, and on executors. Method: such
// statements, against the plan that reads plain texts, and after a journey those that executors would not cut in two.
#[tokio::test]
async fn filters_of_joins_and_sorts_reach_the_scans() {
    let lake = filled(&SeededRng::new(55)).await;
    for (travels, sql) in [
        (
            false,
            "SELECT count(*), min(a.note) FROM gold.t a JOIN gold.t b ON a.note = b.kind AND a.id = b.id
             WHERE b.late = 'AIR' AND a.kind <> 'a'",
        ),
        (
            false,
            "SELECT a.id FROM gold.t a WHERE a.kind = 'NONE'
             AND a.note IN (SELECT b.late FROM gold.t b WHERE b.note = 'AIR' AND b.id < 700)",
        ),
        (
            true,
            "SELECT kind, note FROM gold.t WHERE note LIKE 'a text%' AND kind > 'D' ORDER BY note, kind LIMIT 7",
        ),
        (
            true,
            "SELECT kind || late, count(DISTINCT note) FROM gold.t WHERE late >= 'NONE' GROUP BY 1",
        ),
        (true, "SELECT count(*) FROM gold.t WHERE kind = 'AIR' OR note = 'AIR'"),
    ] {
        let (rows, views) = same_over_views(&lake, sql).await;
        assert!(views && !rows.is_empty(), "{sql}: {rows:?}");
        assert_eq!(lake.lines(sql).await, rows, "{sql}");
        if travels {
            assert_eq!(lake.travelled(sql).await.expect(sql), rows, "{sql} after a journey");
        }
    }
}

// Goal: windows find the order of a text that a filter fixes. Method: one alone and before another, by a filter of one condition and of
// two, against the plan that reads plain texts, in process and after a journey.
#[tokio::test]
async fn windows_know_which_text_is_fixed() {
    let lake = filled(&SeededRng::new(57)).await;
    for condition in ["kind = 'AIR'", "kind = 'AIR' AND id > 500"] {
        for window in [
            "row_number() OVER (PARTITION BY kind, note ORDER BY id)",
            "count(*) OVER (PARTITION BY note, kind)",
            "sum(id) OVER (PARTITION BY kind ORDER BY id)",
        ] {
            let sql = format!("SELECT id, {window} AS found FROM {TABLE} WHERE {condition}");
            let (rows, views) = same_over_views(&lake, &sql).await;
            assert!(views && !rows.is_empty(), "{sql}");
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect(&sql), rows, "{sql} after a journey");
        }
    }
}

// Goal: texts are views where a filter compares them with constants, and asks nothing else of them. Method: conditions of each kind.
#[tokio::test]
async fn comparisons_are_told() {
    let lake = filled(&SeededRng::new(56)).await;
    for (condition, views) in [
        ("kind = 'AIR'", true),
        ("kind LIKE '%E%'", true),
        ("kind NOT IN ('a', 'AIR', 'NONE', 'AIR REG')", true),
        ("kind = 'AIR' AND upper(note) = 'AIR'", true),
        ("kind = 'AIR' AND note IS NOT NULL", true),
        ("upper(kind) = 'AIR'", false),
        ("kind > 'A' AND upper(kind) <> 'AIR'", false),
        ("kind = note", false),
        ("kind IS NOT NULL", false),
        ("id < 700", false),
    ] {
        let sql = format!("SELECT * FROM {TABLE} WHERE {condition}");
        let (rows, found) = same_over_views(&lake, &sql).await;
        assert_eq!(found, views, "{condition}");
        assert!(!rows.is_empty(), "{condition}");
    }
}
