mod model;
mod values;
mod within;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::DefaultPhysicalExtensionCodec;
use proptest::prelude::*;
use tidewater_core::SeededRng;
use tidewater_table::Catalog;
use tidewater_table::schema::{schema_commit, to_arrow};

use self::model::{Columns, Kind, Step};
use self::values::{Value, array, random, read, wider};
use crate::testing::Lake;
use crate::{Class, SessionOptions, restore_scans};

const TABLE: &str = "gold.t";

/// A table with everything ever written to it, kept as plain values by field id.
struct Evolving {
    lake: Lake,
    columns: Columns,
    rows: Vec<BTreeMap<i32, Value>>,
    rng: SeededRng,
}

impl Evolving {
    async fn new(seed: u64) -> Self {
        let lake = Lake::new();
        let mut columns = Columns::new();
        // With one column only: a catalog gives the fields of a new table ids of its own.
        lake.create(TABLE, columns.schema(), None).await;
        columns.nest();
        let evolving = Self {
            lake,
            columns,
            rows: Vec::new(),
            rng: SeededRng::new(seed),
        };
        evolving.change_schema().await;
        evolving
    }

    async fn change_schema(&self) {
        let table = self.lake.load(TABLE).await;
        let commit = schema_commit(&table.name, &table.metadata, self.columns.schema());
        let outcome = self.lake.catalog.commit(vec![commit]).await.expect("a schema change");
        assert!(
            matches!(outcome, tidewater_table::CommitOutcome::Committed(_)),
            "{outcome:?}"
        );
        let table = self.lake.load(TABLE).await;
        assert_eq!(
            table.metadata.current_schema().as_struct(),
            self.columns.schema().as_struct()
        );
    }

    async fn apply(&mut self, step: &Step) {
        if let Step::Write(count) = step {
            self.write(usize::from(*count)).await;
            return;
        }
        if self.columns.apply(step) {
            self.change_schema().await;
        }
    }

    async fn write(&mut self, count: usize) {
        let table = self.lake.load(TABLE).await;
        let schema = to_arrow(table.metadata.current_schema()).expect("a schema");
        let mut rows: Vec<BTreeMap<i32, Value>> = Vec::new();
        for _ in 0..count {
            let mut row = BTreeMap::new();
            for field in schema.fields() {
                let id = super::field_id(field).expect("an id");
                row.insert(id, random(field, &self.rng));
            }
            row.insert(
                1,
                Value::Int(i64::try_from(self.rows.len() + rows.len()).expect("few rows")),
            );
            rows.push(row);
        }
        let columns = schema.fields().iter().map(|field| {
            let id = super::field_id(field).expect("an id");
            let values: Vec<Value> = rows.iter().map(|row| row[&id].clone()).collect();
            array(field.data_type(), &values)
        });
        let columns = columns.collect();
        let batch = RecordBatch::try_new(Arc::new(schema), columns).expect("a batch");
        self.lake.append(TABLE, batch).await;
        self.rows.extend(rows);
    }

    /// What a naive reader sees: every field by its id, null where a row has none.
    fn expected(&self, schema: &Schema, keep: impl Fn(&BTreeMap<i32, Value>) -> bool) -> Vec<Vec<Value>> {
        let rows = self.rows.iter().filter(|row| keep(row));
        let mut rows: Vec<Vec<Value>> = rows
            .map(|row| schema.fields().iter().map(|field| of_row(row, field)).collect())
            .collect();
        rows.sort();
        rows
    }

    async fn check(&self) {
        let table = self.lake.load(TABLE).await;
        let schema = to_arrow(table.metadata.current_schema()).expect("a schema");
        self.check_rows(&schema, "select * from t", |_| true).await;
        for field in schema.fields() {
            self.check_filters(&schema, field).await;
            self.check_children(field).await;
        }
    }

    async fn check_rows(&self, schema: &Schema, sql: &str, keep: impl Fn(&BTreeMap<i32, Value>) -> bool) {
        let expected = self.expected(schema, keep);
        for (session, travels) in self.ways() {
            let actual = rows_of(&run(&self.lake, &session, sql, travels).await, schema);
            if actual != expected {
                let told = run(&self.lake, &session, &format!("explain analyze {sql}"), false).await;
                let told = datafusion::arrow::util::pretty::pretty_format_batches(&told).expect("a plan");
                panic!("{sql} (travels: {travels})\nactual {actual:?}\nexpected {expected:?}\n{told}");
            }
        }
    }

    /// Pruned by statistics, filtered above the scan, and filtered inside of it.
    fn ways(&self) -> Vec<(SessionContext, bool)> {
        let plain = self.lake.session();
        let pushed = self.lake.engine.session(Class::Batch, &SessionOptions::default());
        let state = pushed.state_ref();
        state
            .write()
            .config_mut()
            .options_mut()
            .execution
            .parquet
            .pushdown_filters = true;
        vec![(plain, false), (pushed.clone(), false), (pushed, true)]
    }

    async fn check_filters(&self, schema: &Schema, field: &Field) {
        let id = super::field_id(field).expect("an id");
        let name = quoted(field.name());
        let null = |row: &BTreeMap<i32, Value>| of_row(row, field) == Value::Null;
        self.check_rows(schema, &format!("select * from t where {name} is null"), null)
            .await;
        let literal = match field.data_type() {
            DataType::Int32 | DataType::Int64 => "3".to_owned(),
            DataType::Utf8 => "'3'".to_owned(),
            _ => return,
        };
        let three = match field.data_type() {
            DataType::Utf8 => Value::Text("3".into()),
            _ => Value::Int(3),
        };
        for (operator, wanted) in [
            (">", vec![std::cmp::Ordering::Greater]),
            ("=", vec![std::cmp::Ordering::Equal]),
            ("<>", vec![std::cmp::Ordering::Greater, std::cmp::Ordering::Less]),
        ] {
            let keep = |row: &BTreeMap<i32, Value>| match row.get(&id).unwrap_or(&Value::Null) {
                Value::Null => false,
                value => wanted.contains(&value.cmp(&three)),
            };
            self.check_rows(
                schema,
                &format!("select * from t where {name} {operator} {literal}"),
                keep,
            )
            .await;
        }
    }

    /// A child read alone is what the whole has in it, in the projection and in a filter.
    async fn check_children(&self, field: &Field) {
        let DataType::Struct(children) = field.data_type() else {
            return;
        };
        for child in children {
            let access = format!("{}['{}']", quoted(field.name()), child.name());
            let of_child = |row: &BTreeMap<i32, Value>| match of_row(row, field) {
                Value::Struct(values) => values.get(&super::field_id(child).expect("an id")).cloned(),
                _ => None,
            };
            let value = |row: &BTreeMap<i32, Value>| of_child(row).unwrap_or(Value::Null);
            for filter in ["", "is null", "is not null"] {
                let keep = |row: &&BTreeMap<i32, Value>| match filter {
                    "is null" => value(row) == Value::Null,
                    "is not null" => value(row) != Value::Null,
                    _ => true,
                };
                let mut expected: Vec<Vec<Value>> = self.rows.iter().filter(keep).map(|row| vec![value(row)]).collect();
                expected.sort();
                let condition = if filter.is_empty() {
                    String::new()
                } else {
                    format!("where {access} {filter}")
                };
                let sql = format!("select {access} as c from t {condition}");
                let schema = Schema::new(vec![child.as_ref().clone().with_name("c")]);
                for (session, travels) in self.ways() {
                    let actual = rows_of(&run(&self.lake, &session, &sql, travels).await, &schema);
                    assert_eq!(actual, expected, "{sql} (travels: {travels})");
                }
            }
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn of_row(row: &BTreeMap<i32, Value>, field: &Field) -> Value {
    let id = super::field_id(field).expect("an id");
    row.get(&id)
        .map_or(Value::Null, |value| wider(value, field.data_type()))
}

fn rows_of(batches: &[RecordBatch], schema: &Schema) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<Vec<Value>> = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let column = batch.column(index);
                assert_eq!(column.data_type(), field.data_type(), "{}", field.name());
                read(column, field.data_type())
            })
            .collect();
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>()),
        );
    }
    rows.sort();
    rows
}

async fn run(lake: &Lake, session: &SessionContext, sql: &str, travels: bool) -> Vec<RecordBatch> {
    let plan = lake
        .engine
        .plan(session, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let state = session.state();
    let mut plan: Arc<dyn ExecutionPlan> = state
        .create_physical_plan(&plan)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    if travels {
        let codec = lake.engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
        let bytes = physical_plan_to_bytes_with_extension_codec(plan, codec.as_ref()).expect("bytes of a plan");
        let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &session.task_ctx(), codec.as_ref());
        plan = restore_scans(decoded.expect("a plan of bytes"), &lake.engine.runtime_env()).expect("restored scans");
    }
    collect(plan, session.task_ctx())
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    // Goal: files of every older schema are read as the table's schema is now, in this process and after travelling.
    // Method: random schema changes between random files, against a reader that keeps plain values by field id.
    #[test]
    fn every_file_is_read_as_the_table_is_now(seed: u64, steps in prop::collection::vec(model::step(), 4..14)) {
        block_on(async {
            let mut table = Evolving::new(seed).await;
            table.write(3).await;
            for step in &steps {
                table.apply(step).await;
            }
            table.check().await;
        });
    }
}

// Goal: the cases that went wrong elsewhere. Method: two names swapped, and a name used again for another type.
#[test]
fn swapped_and_reused_names() {
    block_on(async {
        let mut table = Evolving::new(3).await;
        let add = |kind| Step::Add {
            inside: false,
            kind,
            at: 9,
        };
        for step in [add(Kind::Bytes), add(Kind::Long), Step::Write(5)] {
            table.apply(&step).await;
        }
        let drop_bytes = Step::Drop {
            inside: false,
            which: 0,
        };
        for step in [
            drop_bytes,
            add(Kind::Text),
            Step::Write(5),
            Step::Swap {
                inside: false,
                which: 0,
            },
            Step::Write(5),
        ] {
            table.apply(&step).await;
        }
        table.check().await;
    });
}
