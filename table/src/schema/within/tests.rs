use arrow::util::display::array_value_to_string;
use iceberg::spec::{ListType, Literal, PrimitiveType, Schema, Struct, StructType};

use super::*;
use crate::schema::{initial_default, to_arrow, write_default};

fn field(id: i32, name: &str, required: bool, of: Type, default: Option<Literal>) -> NestedFieldRef {
    let mut field = NestedField::new(id, name, of, required);
    field.initial_default.clone_from(&default);
    field.write_default = default;
    field.into()
}

/// `outer` has a struct with a default, one without, and a list of structs.
fn column(outer: Option<Literal>, required: Option<Literal>) -> Field {
    let int = || Type::Primitive(PrimitiveType::Int);
    let text = || Type::Primitive(PrimitiveType::String);
    let parts = |first: i32, default: Option<Literal>| {
        let own = vec![
            field(first, "x", true, int(), default),
            field(first + 1, "y", false, text(), Some(Literal::string("eu"))),
            field(first + 2, "z", false, text(), None),
        ];
        Type::Struct(StructType::new(own))
    };
    let empty = || Literal::Struct(Struct::from_iter([None, None, None]));
    let element = NestedField::list_element(20, parts(21, Some(Literal::int(3))), false);
    let of = Type::Struct(StructType::new(vec![
        field(2, "there", false, parts(3, required), Some(empty())),
        field(10, "null", false, parts(11, Some(Literal::int(2))), None),
        field(19, "list", false, Type::List(ListType::new(element.into())), None),
    ]));
    let schema = Schema::builder()
        .with_fields([field(1, "outer", false, of, outer)])
        .build();
    to_arrow(&schema.expect("a schema")).expect("a schema").field(0).clone()
}

fn inner<'a>(column: &'a Field, name: &str) -> &'a Field {
    let DataType::Struct(children) = column.data_type() else {
        panic!("{} is no struct", column.name())
    };
    let found = children.iter().find(|child| child.name() == name);
    found.unwrap_or_else(|| panic!("{name} is not in {}", column.name()))
}

fn shown(value: Option<ArrayRef>) -> Option<String> {
    value.map(|value| array_value_to_string(&value, 0).expect("text"))
}

// Goal: a struct is what its own default and those of its fields say. Method: structs with a default, without and with a field that must
// have a value and has none; the types of what comes of it.
#[test]
fn structs_are_made_of_their_fields() {
    let plain = column(None, Some(Literal::int(1)));
    assert!(
        initial_default(&plain).expect("none").is_none(),
        "no default of its own"
    );
    let within = Within::of(&plain).expect("what is within");
    let there = inner(&plain, "there");
    let value = within.absent(there).expect("a value").expect("a default");
    assert_eq!((value.data_type(), value.len()), (there.data_type(), 1));
    assert_eq!(shown(Some(value)).as_deref(), Some("{x: 1, y: eu, z: }"));
    let null = inner(&plain, "null");
    assert!(!within.tells(null) && within.absent(null).expect("null").is_none());
    assert_eq!(
        shown(within.absent(inner(null, "x")).expect("a value")).as_deref(),
        Some("2")
    );
    assert!(!within.is_plain());

    let whole = column(
        Some(Literal::Struct(Struct::from_iter([None, None, None]))),
        Some(Literal::int(1)),
    );
    let wanted = "{there: {x: 1, y: eu, z: }, null: , list: }";
    assert_eq!(
        shown(initial_default(&whole).expect("a value")).as_deref(),
        Some(wanted)
    );
    assert_eq!(shown(write_default(&whole).expect("a value")).as_deref(), Some(wanted));

    let lacking = column(None, None);
    let within = Within::of(&lacking).expect("what is within");
    let refused = within.absent(inner(&lacking, "there"));
    assert!(matches!(refused, Err(TableError::Damaged { .. })), "{refused:?}");
}

// Goal: types of columns with defaults within are those of columns without. Method: both compared.
#[test]
fn types_stay_the_same() {
    let (one, other) = (column(None, Some(Literal::int(1))), column(None, Some(Literal::int(2))));
    assert_eq!(one.data_type(), other.data_type());
    assert_ne!(one.metadata(), other.metadata());
}

// Goal: a partition's value goes before a default, null too, and makes the structs around it be there. Method: each told of a field.
#[test]
fn partitions_go_before_defaults() {
    let column = column(None, Some(Literal::int(1)));
    let told = |values: &[(i32, Option<&str>)]| {
        let values = values.iter().map(|(id, value)| (*id, value.map(str::to_owned)));
        told_by_partition(&column, &values.collect())
    };
    let value = told(&[(12, Some("us"))]);
    assert_eq!(
        (value.data_type(), value.metadata()),
        (column.data_type(), column.metadata())
    );
    let wanted = "{there: {x: 1, y: eu, z: }, null: {x: 2, y: us, z: }, list: }";
    assert_eq!(
        shown(initial_default(&value).expect("a value")).as_deref(),
        Some(wanted)
    );
    let null = told(&[(4, None)]);
    assert!(initial_default(&null).expect("null").is_none());
    let within = Within::of(&null).expect("what is within");
    let there = within.absent(inner(&null, "there")).expect("a value");
    assert_eq!(shown(there).as_deref(), Some("{x: 1, y: , z: }"));
}

// Goal: what cannot be read is told. Method: metadata that is no JSON.
#[test]
fn damage_is_told() {
    let column = column(None, None).with_metadata([(INITIAL_KEY.to_owned(), "{".to_owned())].into());
    let read = Within::of(&column);
    assert!(matches!(read, Err(TableError::Damaged { .. })), "{read:?}");
}
