use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, TimeUnit};
use iceberg::spec::{NestedField, PrimitiveType, Type};
use proptest::prelude::*;

use super::*;
use crate::sample::{self, Lake};

fn types() -> impl Strategy<Value = DataType> {
    let leaf = prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        (1u8..=38, 0i8..=5).prop_map(|(p, s)| DataType::Decimal128(p.max(s.unsigned_abs()), s)),
        Just(DataType::Date32),
        Just(DataType::Time64(TimeUnit::Microsecond)),
        Just(DataType::Timestamp(TimeUnit::Microsecond, None)),
        Just(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Just(DataType::Utf8),
        Just(DataType::FixedSizeBinary(7)),
        Just(DataType::Binary),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            fields(inner.clone()).prop_map(DataType::Struct),
            (inner.clone(), any::<bool>())
                .prop_map(|(of, null)| DataType::List(Arc::new(Field::new("element", of, null)))),
            inner.prop_map(|of| {
                let parts = vec![Field::new("key", DataType::Utf8, false), Field::new("value", of, true)];
                DataType::Map(
                    Arc::new(Field::new("key_value", DataType::Struct(parts.into()), false)),
                    false,
                )
            }),
        ]
    })
}

fn fields(of: impl Strategy<Value = DataType>) -> impl Strategy<Value = Fields> {
    let field = ("[a-e]", of, any::<bool>()).prop_map(|(name, of, null)| Field::new(name, of, null));
    proptest::collection::vec(field, 1..4).prop_map(|fields| {
        let mut names = std::collections::BTreeSet::new();
        fields
            .into_iter()
            .filter(|field| names.insert(field.name().clone()))
            .collect()
    })
}

fn schemas() -> impl Strategy<Value = ArrowSchema> {
    fields(types()).prop_map(ArrowSchema::new)
}

/// The same without metadata.
fn bare(fields: &Fields) -> Fields {
    fields.iter().map(|field| Arc::new(bare_field(field))).collect()
}

fn bare_field(field: &Field) -> Field {
    let of = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(bare(fields)),
        DataType::List(element) => DataType::List(Arc::new(bare_field(element))),
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(bare_field(entries)), *sorted),
        other => other.clone(),
    };
    Field::new(field.name(), of, field.is_nullable())
}

fn collect_ids(fields: &Fields, into: &mut Vec<i32>) {
    for field in fields {
        into.extend(field_id(field));
        match field.data_type() {
            DataType::Struct(inner) => collect_ids(inner, into),
            DataType::List(element) => collect_ids(&vec![element.clone()].into(), into),
            DataType::Map(entries, _) => collect_ids(&vec![entries.clone()].into(), into),
            _ => {}
        }
    }
}

/// Every field of `old`, by id, is in `new` with the same name and a type that holds its values.
fn holds(new: &Schema, old: &Schema) -> bool {
    old.field_id_to_fields().iter().all(|(id, field)| {
        new.field_by_id(*id)
            .is_some_and(|found| found.name == field.name && (field.required || !found.required))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Goal: schemas survive the way to Iceberg and back, with an id for each field. Method: random nested schemas.
    #[test]
    fn schemas_round_trip(schema in schemas()) {
        let iceberg = from_arrow(&schema, 5).unwrap();
        let back = to_arrow(&iceberg).unwrap();
        prop_assert_eq!(bare(back.fields()), bare(schema.fields()));
        let mut ids = Vec::new();
        collect_ids(back.fields(), &mut ids);
        ids.sort_unstable();
        prop_assert_eq!(ids, (5..5 + iceberg.field_id_to_fields().len() as i32).collect::<Vec<_>>());
    }

    // Goal: evolving keeps every field, ends, and then holds what was wanted. Method: random pairs of schemas.
    #[test]
    fn evolving_keeps_and_adds(current in schemas(), wanted in schemas()) {
        let current = from_arrow(&current, 1).unwrap();
        let wanted = from_arrow(&wanted, 1).unwrap();
        prop_assert!(evolve(&current, &current, current.highest_field_id()).unwrap().is_none());
        match evolve(&current, &wanted, current.highest_field_id()) {
            Ok(Some(next)) => {
                prop_assert!(holds(&next, &current));
                for field in wanted.as_struct().fields() {
                    prop_assert!(next.field_by_name(&field.name).is_some());
                }
                prop_assert!(evolve(&next, &wanted, next.highest_field_id()).unwrap().is_none());
                let fresh = next.field_id_to_fields().iter().filter(|(id, _)| **id > current.highest_field_id());
                let top = fresh.filter(|(id, _)| next.as_struct().fields().iter().any(|f| f.id == **id));
                for (_, field) in top {
                    prop_assert!(!field.required, "{} is new and required", field.name);
                }
            }
            Ok(None) => for field in wanted.as_struct().fields() {
                prop_assert!(current.field_by_name(&field.name).is_some());
            },
            Err(TableError::SchemaChange { changes }) => prop_assert!(!changes.is_empty()),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

fn one(of: PrimitiveType) -> Schema {
    let field = NestedField::optional(1, "c", Type::Primitive(of));
    Schema::builder().with_fields([Arc::new(field)]).build().unwrap()
}

// Goal: types widen as Iceberg allows and are refused by name otherwise. Method: a table of pairs.
#[test]
fn types_widen() {
    use PrimitiveType::{Date, Double, Float, Int, Long, String, Timestamp};
    let decimal = |precision, scale| PrimitiveType::Decimal { precision, scale };
    for (current, wanted, outcome) in [
        (Int, Long, Some(Long)),
        (Float, Double, Some(Double)),
        (decimal(9, 2), decimal(12, 2), Some(decimal(12, 2))),
        (Long, Int, Some(Long)),
        (Double, Float, Some(Double)),
        (decimal(12, 2), decimal(9, 2), Some(decimal(12, 2))),
        (decimal(12, 2), decimal(12, 3), None),
        (Int, String, None),
        (Long, Double, None),
        (Date, Timestamp, None),
    ] {
        match (evolve(&one(current.clone()), &one(wanted.clone()), 1), outcome) {
            (Ok(next), Some(kept)) => {
                let next = next.unwrap_or_else(|| one(current.clone()));
                assert_eq!(*next.field_by_id(1).unwrap().field_type, Type::Primitive(kept));
            }
            (Err(TableError::SchemaChange { changes }), None) => assert!(changes[0].contains("\"c\""), "{changes:?}"),
            (other, outcome) => panic!("{current} to {wanted}: {other:?}, not {outcome:?}"),
        }
    }
}

// Goal: a table evolves, rows of both schemas stay, and ids are never given twice. Method: add a nested field and a column.
#[tokio::test]
async fn tables_evolve() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1]).await;
    let address = Field::new_struct("address", vec![Field::new("street", DataType::Utf8, false)], true);
    let extra = Field::new("extra", DataType::Int32, false);
    let wanted = from_arrow(
        &ArrowSchema::new(vec![address, extra, Field::new("version", DataType::Int64, true)]),
        1,
    );
    let wanted = wanted.unwrap();
    for _ in 0..2 {
        let table = evolve_table(&lake.catalog, &lake.store, &lake.name, &wanted)
            .await
            .unwrap();
        let schema = table.metadata.current_schema();
        assert_eq!(schema.as_struct().fields().len(), 14);
        assert_eq!(schema.field_id_by_name("address.street"), Some(19));
        assert_eq!(schema.field_id_by_name("extra"), Some(20));
        assert_eq!(
            *schema.field_by_id(9).unwrap().field_type,
            Type::Primitive(PrimitiveType::Long)
        );
        assert_eq!(table.metadata.last_column_id(), 20);
    }
    assert_eq!(lake.rows().await, [1]);
}

// Goal: the arrow form of the sample has the types the writer and readers agree on. Method: a few by hand.
#[test]
fn odd_types_are_converted() {
    let arrow = to_arrow(&sample::schema()).unwrap();
    assert_eq!(
        arrow.field_with_name("uid").unwrap().data_type(),
        &DataType::FixedSizeBinary(16)
    );
    let again = from_arrow(&arrow, 1).unwrap();
    assert_eq!(
        *again.field_by_name("uid").unwrap().field_type,
        Type::Primitive(PrimitiveType::Uuid)
    );
    let odd = ArrowSchema::new(vec![
        Field::new("u", DataType::UInt64, true),
        Field::new("v", DataType::Utf8View, true),
        Field::new(
            "d",
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
            true,
        ),
    ]);
    let iceberg = from_arrow(&odd, 1).unwrap();
    let kinds: Vec<String> = iceberg
        .as_struct()
        .fields()
        .iter()
        .map(|f| f.field_type.to_string())
        .collect();
    assert_eq!(kinds, ["decimal(20, 0)", "string", "string"]);
    let none = ArrowSchema::new(vec![Field::new("x", DataType::Duration(TimeUnit::Second), true)]);
    assert!(matches!(from_arrow(&none, 1), Err(TableError::UnsupportedType { .. })));
}
