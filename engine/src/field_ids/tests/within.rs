//! Fields within structs, lists and maps that files lack or call otherwise.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::json::ReaderBuilder;
use tidewater_table::Catalog;
use tidewater_table::iceberg::TableUpdate;
use tidewater_table::iceberg::spec::{
    FormatVersion, ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, Struct, StructType,
    Type,
};
use tidewater_table::schema::{schema_commit, to_arrow};

use crate::testing::{Lake, lines};
use crate::{Class, SessionOptions};

/// Of older files beside a newer one.
const TABLE: &str = "silver.grown";

/// The same rows, each written in full.
const FULL: &str = "silver.whole";

/// Names in files without field ids. Those of `n` have a column `x` too, which the table maps to none of its own.
const MAPPING: &str = r#"[{"field-id": 1, "names": ["id"]},
  {"field-id": 2, "names": ["person"], "fields": [{"field-id": 3, "names": ["nick", "alias"]}]},
  {"field-id": 8, "names": ["things"], "fields": [{"field-id": 9, "names": ["element"], "fields": [{"field-id": 10, "names": ["kind"]}]}]},
  {"field-id": 12, "names": ["props"], "fields": [{"field-id": 13, "names": ["key"]},
    {"field-id": 14, "names": ["value"], "fields": [{"field-id": 15, "names": ["val"]}]}]}]"#;

fn text(id: i32, name: &str) -> NestedFieldRef {
    NestedField::optional(id, name, Type::Primitive(PrimitiveType::String)).into()
}

fn with_default(mut field: NestedField, default: Literal) -> NestedFieldRef {
    field.initial_default = Some(default.clone());
    field.write_default = Some(default);
    field.into()
}

fn number(id: i32, name: &str, default: i32) -> NestedFieldRef {
    let field = NestedField::optional(id, name, Type::Primitive(PrimitiveType::Int));
    with_default(field, Literal::int(default))
}

/// As the older files have it, or with the fields that were added since.
fn schema(grown: bool) -> Schema {
    let mut n = vec![text(3, "a")];
    let mut item = vec![text(10, "k")];
    let mut attr = vec![text(15, "v")];
    if grown {
        let x = NestedField::required(4, "x", Type::Primitive(PrimitiveType::Int));
        n.push(with_default(x, Literal::int(7)));
        let y = NestedField::optional(6, "y", Type::Primitive(PrimitiveType::String));
        let z = NestedField::optional(7, "z", Type::Primitive(PrimitiveType::Int)).into();
        let m = StructType::new(vec![with_default(y, Literal::string("eu")), z]);
        let m = NestedField::optional(5, "m", Type::Struct(m));
        n.push(with_default(m, Literal::Struct(Struct::from_iter([None, None]))));
        item.push(number(11, "q", 1));
        attr.push(number(16, "w", 2));
    }
    let items = NestedField::list_element(9, Type::Struct(StructType::new(item)), false);
    let key = NestedField::map_key_element(13, Type::Primitive(PrimitiveType::String));
    let value = NestedField::map_value_element(14, Type::Struct(StructType::new(attr)), false);
    let fields: [NestedFieldRef; 4] = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "n", Type::Struct(StructType::new(n))).into(),
        NestedField::optional(8, "items", Type::List(ListType::new(items.into()))).into(),
        NestedField::optional(12, "attrs", Type::Map(MapType::new(key.into(), value.into()))).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn rows(schema: SchemaRef, json: &[&str]) -> RecordBatch {
    let text = json.join("\n");
    let mut reader = ReaderBuilder::new(schema).build(text.as_bytes()).expect("a reader");
    reader.next().expect("rows").expect("rows that fit")
}

/// The same fields as a writer leaves them that knows no field ids, under the names that they had.
fn migrated(field: &Field) -> FieldRef {
    let name = match field.name().as_str() {
        "n" => "person",
        "a" => "nick",
        "items" => "things",
        "k" => "kind",
        "attrs" => "props",
        "v" => "val",
        "element" => "array",
        other => other,
    };
    let of = match field.data_type() {
        DataType::Struct(fields) => {
            let mut fields: Vec<FieldRef> = fields.iter().map(|field| migrated(field)).collect();
            if name == "person" {
                fields.push(Arc::new(Field::new("x", DataType::Utf8, true)));
            }
            DataType::Struct(fields.into())
        }
        DataType::List(element) => DataType::List(migrated(element)),
        DataType::Map(entries, sorted) => DataType::Map(migrated(entries), *sorted),
        plain => plain.clone(),
    };
    Arc::new(Field::new(name, of, field.is_nullable()))
}

async fn create(lake: &Lake, name: &str) {
    let id = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into();
    let alone = Schema::builder().with_fields([id]).build().expect("a schema");
    // With one column only: a catalog gives the fields of a new table ids of its own.
    lake.create(name, alone, None).await;
    let table = lake.load(name).await;
    let mut commit = schema_commit(&table.name, &table.metadata, schema(true));
    commit.updates.insert(
        0,
        TableUpdate::UpgradeFormatVersion {
            format_version: FormatVersion::V3,
        },
    );
    commit.updates.push(TableUpdate::SetProperties {
        updates: [("schema.name-mapping.default".to_owned(), MAPPING.to_owned())].into(),
    });
    let outcome = lake.catalog.commit(vec![commit]).await.expect("a commit");
    assert!(
        matches!(outcome, tidewater_table::CommitOutcome::Committed(_)),
        "{outcome:?}"
    );
}

async fn lake() -> Lake {
    let lake = Lake::new();
    create(&lake, TABLE).await;
    create(&lake, FULL).await;
    let older: SchemaRef = Arc::new(to_arrow(&schema(false)).expect("a schema"));
    let whole: SchemaRef = Arc::new(to_arrow(&schema(true)).expect("a schema"));
    let with_ids = [
        r#"{"id": 1, "n": {"a": "p"}, "items": [{"k": "i"}, null, {}], "attrs": {"k": {"v": "u"}, "l": null}}"#,
        r#"{"id": 2}"#,
        r#"{"id": 3, "n": {}, "items": [], "attrs": {}}"#,
    ];
    let rows_of_older = rows(Arc::clone(&older), &with_ids);
    lake.leave(TABLE, "older", Struct::empty(), &rows_of_older, None).await;
    let fields = older.fields().iter().map(|field| migrated(field));
    let plain: SchemaRef = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
    let without_ids = [
        r#"{"id": 4, "person": {"nick": "q", "x": "9"}, "things": [{"kind": "j"}], "props": {"k": {"val": "t"}}}"#,
        r#"{"id": 5, "person": null, "things": null, "props": null}"#,
        r#"{"id": 6, "person": {"nick": null, "x": "8"}, "things": [{"kind": null}], "props": {"k": {}}}"#,
    ];
    let rows_of_plain = rows(plain, &without_ids);
    lake.leave(TABLE, "plain", Struct::empty(), &rows_of_plain, None).await;
    let newer = [
        r#"{"id": 7, "n": {"a": "r", "x": 1, "m": {"y": "us", "z": 3}}, "items": [{"k": "j", "q": 5}], "attrs": {"k": {"v": "u", "w": 6}}}"#,
        r#"{"id": 8, "n": {"a": null, "x": 7, "m": null}, "items": [{"q": null}], "attrs": {"k": {"w": null}}}"#,
        r#"{"id": 9}"#,
    ];
    lake.append(TABLE, rows(Arc::clone(&whole), &newer)).await;
    let filled = [
        r#"{"id": 1, "n": {"a": "p", "x": 7, "m": {"y": "eu"}}, "items": [{"k": "i", "q": 1}, null, {"q": 1}], "attrs": {"k": {"v": "u", "w": 2}, "l": null}}"#,
        r#"{"id": 2}"#,
        r#"{"id": 3, "n": {"x": 7, "m": {"y": "eu"}}, "items": [], "attrs": {}}"#,
        r#"{"id": 4, "n": {"a": "q", "x": 7, "m": {"y": "eu"}}, "items": [{"k": "j", "q": 1}], "attrs": {"k": {"v": "t", "w": 2}}}"#,
        r#"{"id": 5}"#,
        r#"{"id": 6, "n": {"x": 7, "m": {"y": "eu"}}, "items": [{"q": 1}], "attrs": {"k": {"w": 2}}}"#,
    ];
    lake.append(FULL, rows(Arc::clone(&whole), &filled)).await;
    lake.append(FULL, rows(whole, &newer)).await;
    lake
}

/// What is asked of the rows of `t`.
const ASKED: [&str; 20] = [
    "select id, n, items, attrs from t",
    "select id, n from t",
    "select id, n['x'], n['m']['y'], n['m']['z'], n['a'] from t",
    "select id, n['m'] from t",
    "select id, n['x'] + 1, n from t where id < 8",
    "select id from t where n['x'] = 7",
    "select id from t where n['x'] <> 7",
    "select id from t where n['x'] > 6 and n['a'] is not null",
    "select id from t where n['x'] is null",
    "select id from t where n['x'] is not null",
    "select id from t where n['m']['y'] = 'eu'",
    "select id from t where n['m']['y'] is null",
    "select id from t where n['m']['z'] is null and n['a'] = 'q'",
    "select id from t where n['a'] in ('q', 'r')",
    "select id from t where n is null",
    "select count(*), count(n['x']), min(n['x']), max(n['x']), count(n['m']['y']), max(n['m']['y']) from t",
    "select n['m']['y'], count(*) from t group by n['m']['y']",
    "select count(distinct n['x']), count(distinct n['m']['y']) from t",
    "select id, items[1]['k'], items[1]['q'], items[3]['q'] from t",
    "select id, attrs['k']['v'], attrs['k']['w'] from t where id < 9",
];

// Goal: fields that files lack are what their defaults say, and those that files call otherwise are found, within structs, lists and maps,
// in what is shown and in conditions, here and in another process. Method: older files with field ids and without, and a newer one, against
// a table whose files have all of it.
#[tokio::test]
async fn fields_are_read_as_if_they_were_written() {
    let lake = lake().await;
    let pushed = lake.engine.session(Class::Batch, &SessionOptions::default());
    let state = pushed.state_ref();
    state
        .write()
        .config_mut()
        .options_mut()
        .execution
        .parquet
        .pushdown_filters = true;
    for asked in ASKED {
        let of = |table: &str| asked.replace("from t", &format!("from {table}"));
        let wanted = lake.lines(&of(FULL)).await;
        let sql = of(TABLE);
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        let travelled = lake.travelled(&sql).await.expect("rows");
        assert_eq!(travelled, wanted, "{sql}, in another process");
        let plan = lake.engine.plan(&pushed, &sql).await.expect("a plan");
        let inside = pushed.execute_logical_plan(plan).await.expect("a run").collect().await;
        let inside = lines(&inside.unwrap_or_else(|error| panic!("{sql}: {error}")));
        assert_eq!(inside, wanted, "{sql}, inside of the scan");
    }
    let found = lake.lines("select id from silver.grown where n['x'] = 7").await;
    assert_eq!(found, ["1", "3", "4", "6", "8"], "the oracle has what is meant");
    let null = lake.lines(&format!("select id from {FULL} where n['x'] is null")).await;
    assert_eq!(null, ["2", "5", "9"], "and null where the struct is");
    let named = lake
        .lines("select n['a'], attrs['k']['v'] from silver.grown where id = 4")
        .await;
    assert_eq!(named, ["q,t"]);
}

// Goal: what older files lack is in those that they are rewritten to. Method: all files rewritten; the rows, against the other table.
#[tokio::test]
async fn rows_that_are_written_anew_have_the_fields() {
    let lake = lake().await;
    let rewrite = "CALL system.rewrite_data_files(table => 'silver.grown', options => map('rewrite-all', 'true'))";
    crate::statement::tests::done(&lake, rewrite).await;
    let all = "select id, n, items, attrs from";
    let (wanted, found) = (format!("{all} {FULL}"), format!("{all} {TABLE}"));
    assert_eq!(lake.lines(&found).await, lake.lines(&wanted).await);
}
