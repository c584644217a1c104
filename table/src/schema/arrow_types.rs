//! The types of both worlds. The format library's own conversion answers in another Arrow version.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use iceberg::spec::{ListType, MapType, NestedField, PrimitiveType, Schema, StructType, Type};

use super::{defaults, within};
use crate::error::{Result, TableError};

/// Arrow metadata key of a field's id, as the Parquet writer and reader of Arrow know it.
pub const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// Arrow's own mark of a 16-byte column as UUID.
const EXTENSION_NAME_KEY: &str = "ARROW:extension:name";
const UUID_EXTENSION: &str = "arrow.uuid";

/// Iceberg's largest decimal.
const DECIMAL_PRECISION_MAX: u8 = 38;

/// The Iceberg field id in an Arrow field's metadata.
pub fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID_KEY)?.parse().ok()
}

/// The schema as Arrow, each field with its id, nested ones too.
pub fn to_arrow(schema: &Schema) -> Result<ArrowSchema> {
    Ok(ArrowSchema::new(to_fields(schema.as_struct().fields(), "")?))
}

fn to_fields(fields: &[Arc<NestedField>], path: &str) -> Result<Fields> {
    fields.iter().map(|field| to_field(field, &field.name, path)).collect()
}

fn to_field(field: &NestedField, name: &str, path: &str) -> Result<FieldRef> {
    // Those of fields within others stand with the outermost.
    let defaults = match path.is_empty() {
        true => [defaults::told(field)?, within::defaults_within(field)?].concat(),
        false => Vec::new(),
    };
    let path = join(path, name);
    let mut metadata = HashMap::from([(FIELD_ID_KEY.to_owned(), field.id.to_string())]);
    if *field.field_type == Type::Primitive(PrimitiveType::Uuid) {
        metadata.insert(EXTENSION_NAME_KEY.into(), UUID_EXTENSION.into());
    }
    metadata.extend(defaults);
    let data_type = to_data_type(&field.field_type, &path)?;
    Ok(Arc::new(
        Field::new(name, data_type, !field.required).with_metadata(metadata),
    ))
}

fn to_data_type(of: &Type, path: &str) -> Result<DataType> {
    Ok(match of {
        Type::Primitive(primitive) => to_primitive(primitive, path)?,
        Type::Struct(inner) => DataType::Struct(to_fields(inner.fields(), path)?),
        // These inner names are those of the Parquet specification; readers that resolve by name rely on them.
        Type::List(list) => DataType::List(to_field(&list.element_field, "element", path)?),
        Type::Map(map) => {
            let parts = vec![
                to_field(&map.key_field, "key", path)?,
                to_field(&map.value_field, "value", path)?,
            ];
            DataType::Map(
                Arc::new(Field::new("key_value", DataType::Struct(Fields::from(parts)), false)),
                false,
            )
        }
    })
}

fn to_primitive(of: &PrimitiveType, path: &str) -> Result<DataType> {
    let unsupported = || TableError::UnsupportedType {
        column: path.into(),
        data_type: of.to_string(),
    };
    Ok(match of {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => DataType::Decimal128(
            u8::try_from(*precision).map_err(|_| unsupported())?,
            i8::try_from(*scale).map_err(|_| unsupported())?,
        ),
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        PrimitiveType::TimestamptzNs => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(length) => DataType::FixedSizeBinary(i32::try_from(*length).map_err(|_| unsupported())?),
        PrimitiveType::Binary => DataType::Binary,
    })
}

/// An Iceberg schema of these columns. Ids begin at `first_id` and are given to all columns of a level before those within
/// them; ids in the metadata are not looked at. Types without a counterpart take the next wider one; views, dictionaries and
/// large offsets take the plain type; nanoseconds become microseconds.
pub fn from_arrow(schema: &ArrowSchema, first_id: i32) -> Result<Schema> {
    let mut ids = Ids { next: first_id };
    let fields = ids.fields(schema.fields(), "")?;
    Schema::builder()
        .with_fields(fields)
        .build()
        .map_err(TableError::metadata("make a schema"))
}

struct Ids {
    next: i32,
}

impl Ids {
    fn take(&mut self) -> i32 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        id
    }

    fn fields(&mut self, fields: &Fields, path: &str) -> Result<Vec<Arc<NestedField>>> {
        let ids: Vec<i32> = fields.iter().map(|_| self.take()).collect();
        let pairs = fields.iter().zip(ids);
        pairs
            .map(|(field, id)| Ok(Arc::new(self.field(field, id, field.name(), path)?)))
            .collect()
    }

    fn field(&mut self, field: &Field, id: i32, name: &str, path: &str) -> Result<NestedField> {
        let of = self.data_type(field, &join(path, name))?;
        Ok(NestedField::new(id, name, of, !field.is_nullable()))
    }

    fn data_type(&mut self, field: &Field, path: &str) -> Result<Type> {
        Ok(match field.data_type() {
            DataType::Struct(fields) => Type::Struct(StructType::new(self.fields(fields, path)?)),
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::ListView(element)
            | DataType::LargeListView(element)
            | DataType::FixedSizeList(element, _) => {
                let id = self.take();
                let element = self.field(element, id, "element", path)?;
                Type::List(ListType::new(Arc::new(element)))
            }
            DataType::Map(entries, _) => {
                let DataType::Struct(parts) = entries.data_type() else {
                    return Err(unsupported(field, path));
                };
                let [key, value] = parts.as_ref() else {
                    return Err(unsupported(field, path));
                };
                let (key_id, value_id) = (self.take(), self.take());
                let key = key.as_ref().clone().with_nullable(false);
                let key = self.field(&key, key_id, "key", path)?;
                let value = self.field(value, value_id, "value", path)?;
                Type::Map(MapType::new(Arc::new(key), Arc::new(value)))
            }
            DataType::Dictionary(_, of) => {
                let plain = Field::new(field.name(), of.as_ref().clone(), field.is_nullable());
                self.data_type(&plain, path)?
            }
            DataType::RunEndEncoded(_, of) => self.data_type(of, path)?,
            _ => Type::Primitive(from_primitive(field, path)?),
        })
    }
}

fn from_primitive(field: &Field, path: &str) -> Result<PrimitiveType> {
    Ok(match field.data_type() {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => PrimitiveType::Int,
        DataType::Int64 | DataType::UInt32 => PrimitiveType::Long,
        DataType::UInt64 => PrimitiveType::Decimal {
            precision: 20,
            scale: 0,
        },
        DataType::Float16 | DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale >= 0 && *precision <= DECIMAL_PRECISION_MAX =>
        {
            PrimitiveType::Decimal {
                precision: u32::from(*precision),
                scale: u32::from(scale.unsigned_abs()),
            }
        }
        DataType::Date32 | DataType::Date64 => PrimitiveType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PrimitiveType::Time,
        DataType::Timestamp(_, None) => PrimitiveType::Timestamp,
        DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamptz,
        // A column that is null everywhere has no type; text can hold whatever comes later.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => PrimitiveType::String,
        DataType::FixedSizeBinary(16) if is_uuid(field) => PrimitiveType::Uuid,
        DataType::FixedSizeBinary(length) => {
            PrimitiveType::Fixed(u64::try_from(*length).map_err(|_| unsupported(field, path))?)
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => PrimitiveType::Binary,
        _ => return Err(unsupported(field, path)),
    })
}

fn is_uuid(field: &Field) -> bool {
    field
        .metadata()
        .get(EXTENSION_NAME_KEY)
        .is_some_and(|name| name == UUID_EXTENSION)
}

fn unsupported(field: &Field, path: &str) -> TableError {
    TableError::UnsupportedType {
        column: path.into(),
        data_type: field.data_type().to_string(),
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
