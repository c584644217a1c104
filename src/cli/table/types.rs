//! Types of columns as people read them.

use tidewater_table::iceberg::spec::Type;

/// With what lies within: `struct<x: int, y: list<string>>`.
pub(super) fn spelled(column: &Type) -> String {
    match column {
        Type::Primitive(primitive) => primitive.to_string(),
        Type::Struct(within) => {
            let fields = within.fields().iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{}: {}", field.name, spelled(&field.field_type)))
                .collect();
            format!("struct<{}>", fields.join(", "))
        }
        Type::List(list) => format!("list<{}>", spelled(&list.element_field.field_type)),
        Type::Map(map) => {
            let (key, value) = (&map.key_field.field_type, &map.value_field.field_type);
            format!("map<{}, {}>", spelled(key), spelled(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_table::iceberg::spec::{ListType, MapType, NestedField, PrimitiveType, StructType};

    use super::*;

    // Goal: types within types are told with their names. Method: one of each kind, one within the other.
    #[test]
    fn types_within_are_told() {
        let long = Type::Primitive(PrimitiveType::Long);
        let text = Type::Primitive(PrimitiveType::String);
        assert_eq!(spelled(&long), "long");
        let list = Type::List(ListType::new(NestedField::list_element(1, long, true).into()));
        let within = Type::Struct(StructType::new(vec![
            NestedField::optional(2, "x", list).into(),
            NestedField::optional(3, "y", text.clone()).into(),
        ]));
        let map = Type::Map(MapType::new(
            NestedField::map_key_element(4, text).into(),
            NestedField::map_value_element(5, within, false).into(),
        ));
        assert_eq!(spelled(&map), "map<string, struct<x: list<long>, y: string>>");
    }
}
