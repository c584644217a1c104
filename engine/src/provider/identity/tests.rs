use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Int32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::prelude::SessionContext;
use tidewater_table::iceberg::TableUpdate;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Struct, Type};
use tidewater_table::schema::{schema_commit, to_arrow};
use tidewater_table::{Catalog, Change, CommitOptions, RowMask, Scan, commit_change, write_deletes};

use crate::testing::{Lake, lines, table_name};
use crate::{Class, SessionOptions};

const TABLE: &str = "silver.visits";

/// Rows of a file by their positions.
type Model = BTreeMap<String, Vec<i64>>;

/// File, position and id.
type Row<'a> = (&'a str, u64, i64);

type Condition<'a> = Box<dyn Fn(&Row<'_>) -> bool + 'a>;

fn schema() -> Schema {
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn rows(ids: &[i64]) -> RecordBatch {
    let notes: StringArray = ids.iter().map(|id| Some(format!("n{}", id % 7))).collect();
    let columns = vec![Arc::new(Int64Array::from(ids.to_vec())) as _, Arc::new(notes) as _];
    let arrow = to_arrow(&schema()).expect("a schema");
    RecordBatch::try_new(Arc::new(arrow), columns).expect("rows")
}

/// The same rows as a writer leaves them that knows no field ids.
fn without_ids(rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let fields = schema.fields().iter().map(|field| {
        let field = field.as_ref().clone();
        field.with_metadata(Default::default())
    });
    let plain = ArrowSchema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(plain), rows.columns().to_vec()).expect("rows")
}

/// A file of row groups of ten rows and pages of four, which nobody writes but a test.
async fn add_small_groups(lake: &Lake, name: &str, rows: &RecordBatch) {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(10))
        .set_data_page_row_count_limit(4)
        .set_write_batch_size(2)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    lake.leave(TABLE, name, Struct::empty(), rows, Some(properties)).await;
}

/// Deletes every `by`-th position of each file.
async fn delete(lake: &Lake, by: u64) {
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    let masks = files.into_iter().map(|file| {
        let mask: RowMask = (0..file.record_count).filter(|position| position % by == 0).collect();
        (file, mask)
    });
    let masks: Vec<_> = masks.collect();
    let added = write_deletes(&lake.store, &table.metadata, &masks)
        .await
        .expect("delete files");
    let touched: Vec<String> = masks.iter().map(|(file, _)| file.path.clone()).collect();
    let read_at = table.metadata.current_snapshot_id().expect("a snapshot");
    let change = Change::row_delta(read_at, touched, added);
    let (name, options) = (table_name(TABLE), CommitOptions::default());
    let committed = commit_change(lake.catalog.as_ref(), &lake.store, &name, &change, &options).await;
    committed.expect("a commit");
}

/// Sessions that see the table's rows as `silver.rows`: rows filtered above the scan, and inside of it, files read in pieces.
async fn sessions(lake: &Lake) -> Vec<SessionContext> {
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    let rows = lake.engine.rows_provider(&table, files).expect("rows");
    let options = SessionOptions::default().overlay(table_name("silver.rows"), rows);
    let session = |pushed: bool| {
        let session = lake.engine.session(Class::Interactive, &options);
        let state = session.state_ref();
        let mut state = state.write();
        let settings = state.config_mut().options_mut();
        settings.execution.parquet.pushdown_filters = pushed;
        settings.optimizer.repartition_file_min_size = 1;
        drop(state);
        session
    };
    vec![session(false), session(true)]
}

async fn check(lake: &Lake, model: &Model, gone: impl Fn(u64) -> bool) {
    let all: Vec<Row<'_>> = model
        .iter()
        .flat_map(|(path, ids)| (0..).zip(ids).map(|(position, id)| (path.as_str(), position, *id)))
        .filter(|(_, position, _)| !gone(*position))
        .collect();
    let first = model.keys().next().expect("a file");
    let by_file = format!("_file = '{first}'");
    let conditions: Vec<(&str, Condition<'_>)> = vec![
        ("true", Box::new(|_| true)),
        ("id >= 123 and id < 137", Box::new(|row| (123..137).contains(&row.2))),
        ("id = 128 or id = 203", Box::new(|row| row.2 == 128 || row.2 == 203)),
        ("_pos = 13", Box::new(|row| row.1 == 13)),
        ("_pos > 11 and id < 150", Box::new(|row| row.1 > 11 && row.2 < 150)),
        (by_file.as_str(), Box::new(|row| row.0 == first)),
    ];
    for session in sessions(lake).await {
        for (condition, keep) in &conditions {
            let sql = format!("select _file, _pos, id from silver.rows where {condition}");
            let plan = lake.engine.plan(&session, &sql).await.expect("a plan");
            let found = session.execute_logical_plan(plan).await.expect("a run").collect().await;
            let found = lines(&found.unwrap_or_else(|error| panic!("{sql}: {error}")));
            let mut wanted: Vec<String> = all
                .iter()
                .filter(|row| keep(row))
                .map(|(path, position, id)| format!("{path},{position},{id}"))
                .collect();
            wanted.sort();
            assert_eq!(found, wanted, "{sql}");
            let travelled = lake.travelled_in(&session, &sql).await.expect("rows");
            assert_eq!(travelled, wanted, "{sql}, in another process");
        }
    }
}

/// The path of the newest file.
async fn newest(lake: &Lake, model: &Model) -> String {
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    let mut paths = files.into_iter().map(|file| file.path);
    paths.find(|path| !model.contains_key(path)).expect("a new file")
}

// Goal: a row is named by its file and its place there, whatever is left out on the way: row groups and pages by statistics, rows by
// filters and deletes, other pieces of the file; in another process as well. Method: files with and without ids, of many row groups and
// pages, under six conditions, against a list.
#[tokio::test]
async fn rows_keep_their_positions() {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    let mut model = Model::new();
    let ids: Vec<i64> = (100..143).collect();
    add_small_groups(&lake, "small", &rows(&ids)).await;
    model.insert("memory://lake/small.parquet".into(), ids);
    let ids: Vec<i64> = (120..155).rev().collect();
    add_small_groups(&lake, "plain", &without_ids(&rows(&ids))).await;
    model.insert("memory://lake/plain.parquet".into(), ids);
    let ids: Vec<i64> = (200..230).collect();
    lake.append(TABLE, rows(&ids)).await;
    model.insert(newest(&lake, &model).await, ids);
    check(&lake, &model, |_| false).await;
    for session in sessions(&lake).await {
        let sql = "explain analyze select _pos from silver.rows where id >= 123 and id < 127";
        let plan = lake.engine.plan(&session, sql).await.expect("a plan");
        let told = session.execute_logical_plan(plan).await.expect("a run").collect().await;
        let told = lines(&told.expect("rows")).join("\n");
        for metric in ["row_groups_pruned_statistics=", "page_index_pages_pruned="] {
            let (_, count) = told.split_once(metric).unwrap_or_else(|| panic!("{metric} of {told}"));
            // All of them and those that are left.
            let counts: Vec<&str> = count.split_whitespace().take(4).collect();
            assert!(counts[0] != counts[3], "nothing is pruned: {metric} of {told}");
        }
    }
    delete(&lake, 3).await;
    check(&lake, &model, |position| position % 3 == 0).await;
}

// Goal: the same where a name stands for another column than it did. Method: a text column dropped, its name used for a number.
#[tokio::test]
async fn rows_keep_their_positions_under_used_names() {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    let mut model = Model::new();
    let ids: Vec<i64> = (100..143).collect();
    add_small_groups(&lake, "small", &rows(&ids)).await;
    model.insert("memory://lake/small.parquet".into(), ids);
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(3, "note", Type::Primitive(PrimitiveType::Int)).into(),
    ];
    let wanted = Schema::builder().with_fields(fields).build().expect("a schema");
    let table = lake.load(TABLE).await;
    let commit = schema_commit(&table.name, &table.metadata, wanted.clone());
    lake.catalog.commit(vec![commit]).await.expect("a schema change");
    let ids: Vec<i64> = (200..230).collect();
    let columns = vec![
        Arc::new(Int64Array::from(ids.clone())) as _,
        Arc::new(ids.iter().map(|id| i32::try_from(*id).ok()).collect::<Int32Array>()) as _,
    ];
    let arrow = to_arrow(&wanted).expect("a schema");
    lake.append(TABLE, RecordBatch::try_new(Arc::new(arrow), columns).expect("rows"))
        .await;
    model.insert(newest(&lake, &model).await, ids);
    delete(&lake, 4).await;
    check(&lake, &model, |position| position % 4 == 0).await;
    let session = sessions(&lake).await.swap_remove(0);
    let plan = lake
        .engine
        .plan(&session, "select distinct note is null from silver.rows where id < 150")
        .await;
    let found = session
        .execute_logical_plan(plan.expect("a plan"))
        .await
        .expect("a run")
        .collect()
        .await;
    assert_eq!(lines(&found.expect("rows")), ["true"]);
}

// Goal: a column of that name is not hidden without a word. Method: a table that has one.
#[tokio::test]
async fn own_columns_of_these_names_are_refused() {
    let lake = Lake::new();
    let fields = [NestedField::optional(1, "_pos", Type::Primitive(PrimitiveType::Long)).into()];
    let columns = Schema::builder().with_fields(fields).build().expect("a schema");
    lake.create(TABLE, columns, None).await;
    let refused = lake.engine.rows_provider(&lake.load(TABLE).await, Vec::new());
    assert!(refused.is_err_and(|error| error.to_string().contains("_pos")));
}

// Goal: files of a table that was another format's are read by the names that its mapping tells, whatever its columns are called now.
// Method: a file without ids and with other names; a mapping; a column renamed and one added, another column under an old name.
#[tokio::test]
async fn names_are_mapped_in_files_without_ids() {
    let lake = Lake::new();
    lake.create(TABLE, schema(), None).await;
    let plain = without_ids(&rows(&[1, 2, 9]));
    let plain_schema = plain.schema();
    let called = ["key", "note"].iter().zip(plain_schema.fields());
    let called = called.map(|(name, field)| field.as_ref().clone().with_name(*name));
    let called = ArrowSchema::new(called.collect::<Vec<_>>());
    let migrated = RecordBatch::try_new(Arc::new(called), plain.columns().to_vec()).expect("rows");
    add_small_groups(&lake, "migrated", &migrated).await;
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "remark", Type::Primitive(PrimitiveType::String)).into(),
        NestedField::optional(3, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    let wanted = Schema::builder().with_fields(fields).build().expect("a schema");
    let table = lake.load(TABLE).await;
    let mut commit = schema_commit(&table.name, &table.metadata, wanted.clone());
    let mapping =
        r#"[{"field-id": 1, "names": ["id", "key"]}, {"field-id": 2, "names": ["note"]}, {"names": ["gone"]}]"#;
    commit.updates.push(TableUpdate::SetProperties {
        updates: [("schema.name-mapping.default".to_owned(), mapping.to_owned())].into(),
    });
    lake.catalog.commit(vec![commit]).await.expect("a commit");
    let columns = vec![
        Arc::new(Int64Array::from(vec![91])) as _,
        Arc::new(StringArray::from(vec!["r"])) as _,
        Arc::new(StringArray::from(vec!["n"])) as _,
    ];
    let arrow = to_arrow(&wanted).expect("a schema");
    lake.append(TABLE, RecordBatch::try_new(Arc::new(arrow), columns).expect("rows"))
        .await;
    for (condition, found) in [
        ("true", vec!["1,n1,", "2,n2,", "9,n2,", "91,r,n"]),
        ("id >= 2 and remark = 'n2'", vec!["2,n2,", "9,n2,"]),
        ("note is null and id > 1", vec!["2,n2,", "9,n2,"]),
        ("note = 'n2'", vec![]),
    ] {
        let sql = format!("select id, remark, note from silver.visits where {condition} order by id");
        assert_eq!(lake.lines(&sql).await, found, "{sql}");
        let travelled = lake.travelled(&sql).await.expect("rows");
        assert_eq!(travelled, found, "{sql}, in another process");
    }
    let grouped = "select remark, count(*) from silver.visits group by remark order by remark";
    assert_eq!(lake.lines(grouped).await, ["n1,1", "n2,2", "r,1"]);
}
