//! Iceberg's types, transforms and orders as SQL writes them.

use tidewater_table::iceberg::spec::{
    NestedFieldRef, NullOrder, PrimitiveType, Schema, SortDirection, SortOrder, Transform, Type,
};

/// The type of a column.
pub(super) fn sql_type(of: &Type) -> String {
    match of {
        Type::Primitive(primitive) => sql_primitive(primitive),
        Type::Struct(fields) => {
            let fields: Vec<String> = fields.fields().iter().map(nested).collect();
            format!("struct<{}>", fields.join(", "))
        }
        Type::List(list) => format!("array<{}>", sql_type(&list.element_field.field_type)),
        Type::Map(map) => format!(
            "map<{}, {}>",
            sql_type(&map.key_field.field_type),
            sql_type(&map.value_field.field_type)
        ),
    }
}

fn nested(field: &NestedFieldRef) -> String {
    let required = if field.required { " NOT NULL" } else { "" };
    format!("{} {}{required}", quoted(&field.name), sql_type(&field.field_type))
}

fn sql_primitive(of: &PrimitiveType) -> String {
    match of {
        PrimitiveType::Boolean => "boolean".into(),
        PrimitiveType::Int => "int".into(),
        PrimitiveType::Long => "bigint".into(),
        PrimitiveType::Float => "real".into(),
        PrimitiveType::Double => "double".into(),
        PrimitiveType::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
        PrimitiveType::Date => "date".into(),
        PrimitiveType::Time => "time".into(),
        PrimitiveType::Timestamp => "timestamp".into(),
        PrimitiveType::Timestamptz => "timestamp with time zone".into(),
        PrimitiveType::TimestampNs => "timestamp(9)".into(),
        PrimitiveType::TimestamptzNs => "timestamp(9) with time zone".into(),
        PrimitiveType::String => "varchar".into(),
        PrimitiveType::Uuid => "uuid".into(),
        PrimitiveType::Fixed(length) => format!("binary({length})"),
        PrimitiveType::Binary => "varbinary".into(),
    }
}

/// A name, in quotes where it needs them.
pub(super) fn quoted(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A partition or sort field: a column, or what is made of it.
pub(super) fn transformed(transform: &Transform, column: &str) -> String {
    match transform {
        Transform::Identity => quoted(column),
        Transform::Bucket(count) => format!("bucket({count}, {})", quoted(column)),
        Transform::Truncate(width) => format!("truncate({width}, {})", quoted(column)),
        Transform::Void => format!("void({})", quoted(column)),
        other => format!("{other}({})", quoted(column)),
    }
}

/// The fields of a sort order, as Spark writes them.
pub(super) fn sort_fields(order: &SortOrder, schema: &Schema) -> Vec<String> {
    let field = |field: &tidewater_table::iceberg::spec::SortField| {
        let column = schema.name_by_field_id(field.source_id).unwrap_or("?");
        let direction = match field.direction {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        };
        let nulls = match field.null_order {
            NullOrder::First => "FIRST",
            NullOrder::Last => "LAST",
        };
        format!("{} {direction} NULLS {nulls}", transformed(&field.transform, column))
    };
    order.fields.iter().map(field).collect()
}
