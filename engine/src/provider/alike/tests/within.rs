//! Fields within structs that files leave to their partitions.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use tidewater_table::Scan;
use tidewater_table::iceberg::spec::{
    Literal, NestedField, NestedFieldRef, PrimitiveType, Schema, Struct, StructType, Transform, Type,
    UnboundPartitionSpec,
};
use tidewater_table::schema::to_arrow;

use crate::statement::tests::done;
use crate::testing::{Lake, lines};
use crate::{Class, SessionOptions};

const TABLE: &str = "silver.nested";

/// A row: its id, whether it has a struct, and what is in there.
type Row = (i64, bool, Option<&'static str>, Option<&'static str>);

/// `n` is partitioned by its `region`.
fn schema() -> Schema {
    let text = |id: i32, name: &str| -> NestedFieldRef {
        NestedField::optional(id, name, Type::Primitive(PrimitiveType::String)).into()
    };
    let inner = StructType::new(vec![text(3, "region"), text(4, "note")]);
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "n", Type::Struct(inner)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn whole(rows: &[Row]) -> RecordBatch {
    let arrow = Arc::new(to_arrow(&schema()).expect("a schema"));
    let DataType::Struct(fields) = arrow.field(1).data_type().clone() else {
        panic!("n is a struct")
    };
    let ids: Int64Array = rows.iter().map(|row| Some(row.0)).collect();
    let there: NullBuffer = rows.iter().map(|row| row.1).collect::<Vec<bool>>().into();
    let regions: StringArray = rows.iter().map(|row| row.2).collect();
    let notes: StringArray = rows.iter().map(|row| row.3).collect();
    let parts: Vec<ArrayRef> = vec![Arc::new(regions), Arc::new(notes)];
    let n = StructArray::new(fields, parts, Some(there));
    RecordBatch::try_new(arrow, vec![Arc::new(ids), Arc::new(n)]).expect("rows")
}

/// Without the region, with field ids or none; or without the struct.
fn without_region(rows: &RecordBatch, with_ids: bool, with_struct: bool) -> RecordBatch {
    let marked = |field: &Field| match with_ids {
        true => field.clone(),
        false => field.clone().with_metadata(Default::default()),
    };
    let schema = rows.schema();
    let id = marked(schema.field(0));
    if !with_struct {
        let arrow = Arc::new(ArrowSchema::new(vec![id]));
        return RecordBatch::try_new(arrow, vec![rows.column(0).clone()]).expect("rows");
    }
    let n = rows.column(1).as_any().downcast_ref::<StructArray>().expect("a struct");
    let note = Arc::new(marked(&n.fields()[1]));
    let n = StructArray::new(vec![note].into(), vec![n.column(1).clone()], n.nulls().cloned());
    let outer = marked(schema.field(1)).with_data_type(n.data_type().clone());
    let arrow = Arc::new(ArrowSchema::new(vec![id, outer]));
    RecordBatch::try_new(arrow, vec![rows.column(0).clone(), Arc::new(n)]).expect("rows")
}

/// Of the partition of a region.
async fn leave(lake: &Lake, name: &str, region: Option<&str>, rows: &RecordBatch) {
    let partition = Struct::from_iter([region.map(Literal::string)]);
    lake.leave(TABLE, name, partition, rows, None).await;
}

/// What each row is to be read as: `region` of a row with a struct is its partition's.
const ROWS: [Row; 9] = [
    (1, true, Some("eu"), Some("a")),
    (2, true, Some("eu"), None),
    (3, true, Some("us"), Some("b")),
    (4, true, None, Some("c")),
    (5, false, None, None),
    (6, true, Some("asia"), None),
    (7, true, Some("eu"), Some("d")),
    (8, true, Some("us"), Some("e")),
    (9, false, None, None),
];

async fn lake() -> Lake {
    let lake = Lake::new();
    let spec = UnboundPartitionSpec::builder().add_partition_field(3, "n_region", Transform::Identity);
    lake.create(TABLE, schema(), Some(spec.expect("a field").build())).await;
    let left = |rows: &[Row], ids, n| without_region(&whole(rows), ids, n);
    leave(&lake, "eu", Some("eu"), &left(&ROWS[0..2], true, true)).await;
    leave(&lake, "us", Some("us"), &left(&ROWS[2..3], false, true)).await;
    leave(&lake, "nowhere", None, &left(&ROWS[3..5], true, true)).await;
    // Its rows have a region, so they have what it is in.
    leave(&lake, "asia", Some("asia"), &left(&ROWS[5..6], true, false)).await;
    lake.append(TABLE, whole(&ROWS[6..9])).await;
    lake
}

/// A condition, and the rows that it keeps.
type Condition = (&'static str, fn(&Row) -> bool);

const CONDITIONS: [Condition; 9] = [
    ("true", |_| true),
    ("n['region'] = 'eu'", |row| row.2 == Some("eu")),
    ("n['region'] <> 'eu'", |row| row.2.is_some_and(|region| region != "eu")),
    ("n['region'] is null", |row| row.2.is_none()),
    ("n['region'] is not null and id < 7", |row| row.2.is_some() && row.0 < 7),
    ("n['region'] in ('us', 'asia')", |row| {
        matches!(row.2, Some("us" | "asia"))
    }),
    ("n is null", |row| !row.1),
    ("n['note'] is null", |row| row.3.is_none()),
    ("n['region'] = 'eu' and n['note'] = 'a'", |row| row.3 == Some("a")),
];

async fn check(lake: &Lake) {
    let pushed = lake.engine.session(Class::Batch, &SessionOptions::default());
    let state = pushed.state_ref();
    state
        .write()
        .config_mut()
        .options_mut()
        .execution
        .parquet
        .pushdown_filters = true;
    for (condition, keeps) in CONDITIONS {
        let kept = || ROWS.iter().filter(|row| keeps(row));
        let mut wanted: Vec<String> = kept()
            .map(|row| {
                let (region, note) = (row.2.unwrap_or_default(), row.3.unwrap_or_default());
                let n = match row.1 {
                    true => format!("{{region: {region}, note: {note}}}"),
                    false => String::new(),
                };
                format!("{},{region},{note},{n}", row.0)
            })
            .collect();
        wanted.sort();
        let sql = format!("select id, n['region'], n['note'], n from {TABLE} where {condition}");
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        let travelled = lake.travelled(&sql).await.expect("rows");
        assert_eq!(travelled, wanted, "{sql}, in another process");
        let plan = lake.engine.plan(&pushed, &sql).await.expect("a plan");
        let inside = pushed.execute_logical_plan(plan).await.expect("a run").collect().await;
        let inside = lines(&inside.unwrap_or_else(|error| panic!("{sql}: {error}")));
        assert_eq!(inside, wanted, "{sql}, inside of the scan");
        let counted = format!("select count(*), count(n['region']) from {TABLE} where {condition}");
        let of_region = kept().filter(|row| row.2.is_some()).count();
        assert_eq!(lake.lines(&counted).await, [format!("{},{of_region}", kept().count())]);
    }
    let grouped = format!("select n['region'], count(*), max(id) from {TABLE} group by n['region']");
    let wanted = [",3,9", "asia,1,6", "eu,3,7", "us,2,8"];
    assert_eq!(lake.lines(&grouped).await, wanted);
    assert_eq!(lake.travelled(&grouped).await.expect("rows"), wanted);
}

// Goal: fields of structs that files leave to their partitions have the partitions' values, whoever asks and where. Method: such files of
// several partitions, without field ids, without the struct, with structs that are null, beside one that has the field; conditions on it,
// against a list.
#[tokio::test]
async fn fields_are_what_the_partition_tells() {
    check(&lake().await).await;
}

// Goal: files that are written anew have the fields. Method: all files rewritten; the same conditions, and the counts of nulls that only the
// writer of a field makes.
#[tokio::test]
async fn what_is_written_anew_has_the_fields() {
    let lake = lake().await;
    let rewrite = format!("CALL system.rewrite_data_files(table => '{TABLE}', options => map('rewrite-all', 'true'))");
    done(&lake, &rewrite).await;
    check(&lake).await;
    let table = lake.load(TABLE).await;
    for file in Scan::new(&lake.store, &table.metadata).plan().await.expect("files") {
        let path = &file.path;
        assert!(
            file.null_value_count(3).is_some(),
            "{path} leaves the region to its partition"
        );
    }
}
