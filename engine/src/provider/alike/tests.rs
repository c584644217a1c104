mod within;

use std::sync::Arc;

use datafusion::arrow::array::{
    Date32Array, Decimal128Array, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::datatypes::Schema as ArrowSchema;
use datafusion::prelude::SessionContext;
use tidewater_table::iceberg::spec::{
    Literal, NestedField, PrimitiveType, Schema, Struct, Transform, Type, UnboundPartitionSpec,
};
use tidewater_table::schema::{schema_commit, to_arrow};
use tidewater_table::{Catalog, Scan};

use crate::statement::tests::done;
use crate::testing::{Lake, lines, table_name};
use crate::{Class, SessionOptions};

const TABLE: &str = "silver.visits";

/// The columns that the table is partitioned by.
const PARTED: [(i32, &str); 5] = [(2, "region"), (3, "code"), (4, "ratio"), (5, "price"), (6, "day")];

const ALL: &str = "select id, region, code, ratio, price, day, note from silver.visits";

/// 2026-01-01.
const DAY: i32 = 20_454;

/// What a partition's rows have in common.
#[derive(Debug, Clone, Copy)]
struct Part {
    region: Option<&'static str>,
    code: i32,
    ratio: Option<f32>,
    cents: Option<i128>,
    day: Option<i32>,
}

const EU: Part = Part {
    region: Some("eu"),
    code: 7,
    ratio: Some(0.5),
    cents: Some(1_234),
    day: Some(DAY),
};

const US: Part = Part {
    region: Some("us"),
    code: 8,
    ratio: Some(1.5),
    cents: Some(199),
    day: None,
};

const NOWHERE: Part = Part {
    region: None,
    code: 9,
    ratio: None,
    cents: None,
    day: None,
};

#[derive(Debug, Clone, Copy)]
struct Row {
    id: i64,
    of: Part,
}

type Condition = (&'static str, fn(&Row) -> bool);

/// In files, and in the table: `code` has to have a value, and files do not have it all the same.
fn schema(wide: bool) -> Schema {
    let (code, ratio, digits) = match wide {
        true => (PrimitiveType::Long, PrimitiveType::Double, 18),
        false => (PrimitiveType::Int, PrimitiveType::Float, 9),
    };
    let price = PrimitiveType::Decimal {
        precision: digits,
        scale: 2,
    };
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "region", Type::Primitive(PrimitiveType::String)).into(),
        NestedField::required(3, "code", Type::Primitive(code)).into(),
        NestedField::optional(4, "ratio", Type::Primitive(ratio)).into(),
        NestedField::optional(5, "price", Type::Primitive(price)).into(),
        NestedField::optional(6, "day", Type::Primitive(PrimitiveType::Date)).into(),
        NestedField::optional(7, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

/// Whole rows of one partition.
fn rows(of: Part, ids: &[i64]) -> RecordBatch {
    let all = || ids.iter();
    let prices: Decimal128Array = all().map(|_| of.cents).collect();
    let columns = vec![
        Arc::new(Int64Array::from(ids.to_vec())) as _,
        Arc::new(all().map(|_| of.region).collect::<StringArray>()) as _,
        Arc::new(all().map(|_| Some(of.code)).collect::<Int32Array>()) as _,
        Arc::new(all().map(|_| of.ratio).collect::<Float32Array>()) as _,
        Arc::new(prices.with_precision_and_scale(9, 2).expect("prices")) as _,
        Arc::new(all().map(|_| of.day).collect::<Date32Array>()) as _,
        Arc::new(all().map(|id| Some(format!("n{id}"))).collect::<StringArray>()) as _,
    ];
    let arrow = to_arrow(&schema(false)).expect("a schema");
    RecordBatch::try_new(Arc::new(arrow), columns).expect("rows")
}

/// A file as Hive leaves it: what its partition tells is not in it, and it has field ids or none.
async fn leave(lake: &Lake, name: &str, of: Part, ids: &[i64], with_ids: bool) {
    let rows = rows(of, ids).project(&[0, 6]).expect("columns");
    let schema = rows.schema();
    let fields = schema.fields().iter().map(|field| {
        let field = field.as_ref().clone();
        match with_ids {
            true => field,
            false => field.with_metadata(Default::default()),
        }
    });
    let arrow = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(arrow, rows.columns().to_vec()).expect("rows");
    let partition = [
        of.region.map(Literal::string),
        Some(Literal::int(of.code)),
        of.ratio.map(Literal::float),
        of.cents.map(Literal::decimal),
        of.day.map(Literal::date),
    ];
    lake.leave(TABLE, name, Struct::from_iter(partition), &rows, None).await;
}

/// Files that leave columns to three partitions, and one that has them all.
async fn lake() -> (Lake, Vec<Row>) {
    let lake = Lake::new();
    let mut spec = UnboundPartitionSpec::builder();
    for (id, name) in PARTED {
        spec = spec
            .add_partition_field(id, name, Transform::Identity)
            .expect("a field");
    }
    lake.create(TABLE, schema(false), Some(spec.build())).await;
    leave(&lake, "eu", EU, &[1, 2, 3], true).await;
    leave(&lake, "us", US, &[4, 5], false).await;
    leave(&lake, "nowhere", NOWHERE, &[6], true).await;
    lake.append(TABLE, rows(EU, &[7, 8])).await;
    let parts = [(EU, 1..4), (US, 4..6), (NOWHERE, 6..7), (EU, 7..9)];
    let all = parts
        .into_iter()
        .flat_map(|(of, ids)| ids.map(move |id| Row { id, of }));
    (lake, all.collect())
}

fn shown(row: &Row) -> String {
    let Row { id, of } = row;
    let code = of.code;
    let region = of.region.unwrap_or_default();
    let ratio = of.ratio.map(|ratio| ratio.to_string()).unwrap_or_default();
    let price = of.cents.map(|cents| format!("{}.{:02}", cents / 100, cents % 100));
    let price = price.unwrap_or_default();
    let day = of.day.map(|_| "2026-01-01").unwrap_or_default();
    format!("{id},{region},{code},{ratio},{price},{day},n{id}")
}

const CONDITIONS: [Condition; 15] = [
    ("true", |_| true),
    ("region = 'eu'", |row| row.of.region == Some("eu")),
    ("region <> 'eu'", |row| {
        row.of.region.is_some_and(|region| region != "eu")
    }),
    ("region is null", |row| row.of.region.is_none()),
    ("region is not null and id > 2", |row| {
        row.of.region.is_some() && row.id > 2
    }),
    ("region like 'e%'", |row| row.of.region == Some("eu")),
    ("region in ('us', 'asia')", |row| row.of.region == Some("us")),
    ("region = 'eu' and note = 'n2'", |row| row.id == 2),
    ("region = 'us' or id = 7", |row| {
        row.of.region == Some("us") || row.id == 7
    }),
    ("code > 7", |row| row.of.code > 7),
    ("code + id = 10", |row| i64::from(row.of.code) + row.id == 10),
    ("ratio < 1", |row| row.of.ratio.is_some_and(|ratio| ratio < 1.0)),
    ("price > 10", |row| row.of.cents.is_some_and(|cents| cents > 1_000)),
    ("day >= date '2026-01-01'", |row| row.of.day.is_some()),
    ("day is null and ratio is not null", |row| {
        row.of.day.is_none() && row.of.ratio.is_some()
    }),
];

async fn found(lake: &Lake, session: &SessionContext, sql: &str) -> Vec<String> {
    let plan = lake.engine.plan(session, sql).await.expect("a plan");
    let rows = session.execute_logical_plan(plan).await.expect("a run").collect().await;
    lines(&rows.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

/// Each condition with rows filtered above the scan, inside of it, and in another process.
async fn check(lake: &Lake, all: &[Row]) {
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
        let mut wanted: Vec<String> = all.iter().filter(|row| keeps(row)).map(shown).collect();
        wanted.sort();
        let sql = format!("{ALL} where {condition}");
        assert_eq!(found(lake, &lake.session(), &sql).await, wanted, "{sql}");
        assert_eq!(found(lake, &pushed, &sql).await, wanted, "{sql}, inside of the scan");
        let travelled = lake.travelled(&sql).await.expect("rows");
        assert_eq!(travelled, wanted, "{sql}, in another process");
        let counted = format!("select count(*) from silver.visits where {condition}");
        assert_eq!(lake.lines(&counted).await, [wanted.len().to_string()], "{counted}");
    }
}

// Goal: columns that files leave to their partitions have the partitions' values, whoever asks and where. Method: such files of several
// partitions, one without field ids, beside a file that has the columns; conditions on each column, against a list.
#[tokio::test]
async fn columns_are_what_the_partition_tells() {
    let (lake, all) = lake().await;
    check(&lake, &all).await;
}

// Goal: the same in columns that were widened since. Method: int to long, float to double, a decimal to more digits.
#[tokio::test]
async fn values_are_widened_with_their_columns() {
    let (lake, all) = lake().await;
    let table = lake.load(TABLE).await;
    let commit = schema_commit(&table.name, &table.metadata, schema(true));
    lake.catalog.commit(vec![commit]).await.expect("a schema change");
    check(&lake, &all).await;
    let types = "select arrow_typeof(code), arrow_typeof(ratio), arrow_typeof(price) from silver.visits where id = 4";
    assert_eq!(lake.lines(types).await, ["Int64,Float64,Decimal128(18, 2)"]);
}

// Goal: what is answered from counts and bounds, and in which order rows come, is right too. Method: aggregates with and without the
// file that counts its columns, first rows, groups and a join that filters the scan while it runs.
#[tokio::test]
async fn counts_and_orders_know_the_values() {
    let (lake, _) = lake().await;
    let aggregates = "select count(*), count(region), count(ratio), min(region), max(region), min(code), max(code), \
                      min(ratio), max(ratio), min(price), max(price), min(day), count(day) from silver.visits";
    for (condition, wanted) in [
        ("", "8,7,7,eu,us,7,9,0.5,1.5,1.99,12.34,2026-01-01,5"),
        ("where id < 7", "6,5,5,eu,us,7,9,0.5,1.5,1.99,12.34,2026-01-01,3"),
        ("where code > 8", "1,0,0,,,9,9,,,,,,0"),
    ] {
        let sql = format!("{aggregates} {condition}");
        assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect("rows"), [wanted], "{sql}");
    }
    for (sql, wanted) in [
        ("select id from silver.visits order by code desc limit 1", vec!["6"]),
        (
            "select id from silver.visits order by region desc nulls last, id desc limit 2",
            vec!["4", "5"],
        ),
        (
            "select region, count(*) from silver.visits group by region",
            vec![",1", "eu,5", "us,2"],
        ),
        (
            "select v.id from silver.visits v join (values ('us'), ('asia')) as w (region) on v.region = w.region",
            vec!["4", "5"],
        ),
    ] {
        assert_eq!(lake.lines(sql).await, wanted, "{sql}");
    }
}

// Goal: the row that it is can be told of such files. Method: positions beside a column of the partition, in the process that asks.
#[tokio::test]
async fn rows_of_such_files_have_positions() {
    let (lake, _) = lake().await;
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let rows = lake.engine.rows_provider(&table, files).expect("rows");
    let options = SessionOptions::default().overlay(table_name("silver.rows"), rows);
    let session = lake.engine.session(Class::Interactive, &options);
    let sql = "select _file, _pos, region, id from silver.rows where region <> 'us' and id < 7 and _pos > 0";
    let path = "memory://lake/eu.parquet";
    let wanted = [format!("{path},1,eu,2"), format!("{path},2,eu,3")];
    assert_eq!(found(&lake, &session, sql).await, wanted);
}

// Goal: files that are written anew have the columns. Method: a delete and an update of some rows of such files, then all of them
// rewritten; the rows after each, and at the end the counts of nulls that only the writer of a column makes.
#[tokio::test]
async fn what_is_written_anew_has_the_columns() {
    let (lake, mut all) = lake().await;
    done(&lake, "DELETE FROM silver.visits WHERE region = 'eu' AND id = 2").await;
    all.retain(|row| row.id != 2);
    check(&lake, &all).await;
    done(&lake, "UPDATE silver.visits SET code = code + 100 WHERE id = 4").await;
    for row in all.iter_mut().filter(|row| row.id == 4) {
        row.of.code += 100;
    }
    check(&lake, &all).await;
    let rewrite = "CALL system.rewrite_data_files(table => 'silver.visits', options => map('rewrite-all', 'true'))";
    done(&lake, rewrite).await;
    check(&lake, &all).await;
    let table = lake.load(TABLE).await;
    for file in Scan::new(&lake.store, &table.metadata).plan().await.expect("files") {
        let counted = PARTED.iter().all(|(id, _)| file.null_value_count(*id).is_some());
        assert!(counted, "{} leaves columns to its partition", file.path);
    }
}
