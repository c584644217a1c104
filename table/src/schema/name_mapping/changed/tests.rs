use std::sync::Arc;

use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, NestedField, PrimitiveType, Schema, StructType, Type};
use serde_json::{Value, json};

use crate::alter::{Alteration, ColumnPath, NewColumn, alter_table};
use crate::sample::{self, Lake};
use crate::schema::evolve_table;

fn before() -> Value {
    json!([
        {"field-id": 1, "names": ["id"]},
        {"field-id": 2, "names": ["name", "title"]},
        {"field-id": 11, "names": ["address"], "fields": [
            {"field-id": 14, "names": ["city"]},
            {"field-id": 15, "names": ["zip"]},
        ]},
        {"field-id": 12, "names": ["tags"], "fields": [{"field-id": 16, "names": ["element"]}]},
        {"names": ["unknown"]},
    ])
}

async fn lake() -> Lake {
    let mapping = before().to_string();
    Lake::new(&[], &[(DEFAULT_SCHEMA_NAME_MAPPING, mapping.as_str())]).await
}

async fn mapping(lake: &Lake) -> Value {
    let table = lake.table().await;
    let text = &table.metadata.properties()[DEFAULT_SCHEMA_NAME_MAPPING];
    serde_json::from_str(text).expect("a mapping")
}

async fn alter(lake: &Lake, alterations: &[Alteration]) {
    let altered = alter_table(&lake.catalog, &lake.store, &lake.name, alterations).await;
    altered.expect("an alteration");
}

fn rename(path: &str, to: &str) -> Alteration {
    Alteration::RenameColumn(path.into(), to.into())
}

fn text(path: &str) -> Alteration {
    Alteration::AddColumn(NewColumn::new(path, Type::Primitive(PrimitiveType::String)))
}

async fn id_of(lake: &Lake, path: &str) -> i32 {
    let table = lake.table().await;
    table
        .metadata
        .current_schema()
        .field_id_by_name(path)
        .expect("a column")
}

// Goal: the mapping follows the columns at any depth. Method: columns renamed and added, at the top level and in a struct, one of them a
// struct; the mapping that comes of it.
#[tokio::test]
async fn renamed_and_added_columns_are_mapped() {
    let lake = lake().await;
    let inner = StructType::new(vec![
        NestedField::optional(1, "lat", Type::Primitive(PrimitiveType::Double)).into(),
    ]);
    let geo = NewColumn::new("address.geo", Type::Struct(inner));
    alter(
        &lake,
        &[
            rename("id", "key"),
            rename("address.city", "town"),
            text("note"),
            Alteration::AddColumn(geo),
            // It had no names, so it has none now.
            rename("score", "points"),
        ],
    )
    .await;
    let (note, geo, lat) = (
        id_of(&lake, "note").await,
        id_of(&lake, "address.geo").await,
        id_of(&lake, "address.geo.lat").await,
    );
    let wanted = json!([
        {"field-id": 1, "names": ["id", "key"]},
        {"field-id": 2, "names": ["name", "title"]},
        {"field-id": 11, "names": ["address"], "fields": [
            {"field-id": 14, "names": ["city", "town"]},
            {"field-id": 15, "names": ["zip"]},
            {"field-id": geo, "names": ["geo"], "fields": [{"field-id": lat, "names": ["lat"]}]},
        ]},
        {"field-id": 12, "names": ["tags"], "fields": [{"field-id": 16, "names": ["element"]}]},
        {"names": ["unknown"]},
        {"field-id": note, "names": ["note"]},
    ]);
    assert_eq!(mapping(&lake).await, wanted);
    // What changes no name changes no mapping.
    alter(&lake, &[Alteration::SetComment("key".into(), Some("told".into()))]).await;
    assert_eq!(mapping(&lake).await, wanted);
}

// Goal: no column gets what older files hold of another. Method: names that were, or are, another column's: used for new ones, swapped,
// of one that is dropped, and one that is mapped to none.
#[tokio::test]
async fn names_stay_their_columns() {
    let lake = lake().await;
    alter(&lake, &[rename("id", "key"), text("id")]).await;
    alter(&lake, &[rename("address.city", "town"), text("address.city")]).await;
    alter(
        &lake,
        &[Alteration::DropColumn("name".into()), text("title"), text("unknown")],
    )
    .await;
    alter(&lake, &[rename("address.zip", "a"), rename("address.town", "zip")]).await;
    let told = mapping(&lake).await.to_string();
    let names = |id: i32| {
        let mapped: iceberg::spec::NameMapping = serde_json::from_str(&told).expect("a mapping");
        let mut level: Vec<iceberg::spec::MappedField> = mapped.fields().to_vec();
        while let Some(field) = level.pop() {
            if field.field_id() == Some(id) {
                return field.names().to_vec();
            }
            level.extend(field.fields().iter().map(|inner| inner.as_ref().clone()));
        }
        panic!("{id} is not mapped: {told}")
    };
    for (id, wanted) in [
        (1, vec!["id", "key"]),
        (id_of(&lake, "id").await, vec![]),
        (2, vec!["name", "title"]),
        (id_of(&lake, "title").await, vec![]),
        (id_of(&lake, "unknown").await, vec![]),
        (14, vec!["city", "town"]),
        (15, vec!["zip", "a"]),
        (id_of(&lake, "address.city").await, vec![]),
    ] {
        assert_eq!(names(id), wanted, "{id}");
    }
}

// Goal: columns that ingest adds are mapped too, and a mapping that a statement sets itself is left as it says. Method: both.
#[tokio::test]
async fn other_ways_to_change() {
    let lake = lake().await;
    let new = NestedField::optional(99, "extra", Type::Primitive(PrimitiveType::Long));
    let whole = sample::schema();
    let fields = whole.as_struct().fields().iter().cloned();
    let wanted = Schema::builder()
        .with_fields(fields.chain([Arc::new(new)]))
        .build()
        .expect("a schema");
    evolve_table(&lake.catalog, &lake.store, &lake.name, &wanted)
        .await
        .expect("a change");
    let extra = json!({"field-id": id_of(&lake, "extra").await, "names": ["extra"]});
    let told = mapping(&lake).await;
    assert_eq!(told.as_array().and_then(|fields| fields.last()), Some(&extra));
    let own = json!([{"field-id": 1, "names": ["own"]}]);
    let set = [(DEFAULT_SCHEMA_NAME_MAPPING.to_owned(), own.to_string())].into();
    let path: ColumnPath = "id".into();
    let alterations = [
        Alteration::RenameColumn(path, "key".into()),
        Alteration::SetProperties(set),
    ];
    alter(&lake, &alterations).await;
    assert_eq!(mapping(&lake).await, own);
}
