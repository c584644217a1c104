//! What a schema may become: columns are added and widened, never dropped, never made stricter.

use std::sync::Arc;

use iceberg::spec::{ListType, MapType, NestedField, PrimitiveType, Schema, StructType, Type};

use super::arrow_types::join;
use super::fresh_ids::{FreshIds, copied};
use crate::error::{Result, TableError};

/// The schema that holds `current` and everything in `wanted`, matched by name; `None` if `current` does already.
/// New fields get ids above `last_column_id` and are optional, whatever `wanted` says. [`TableError::SchemaChange`] names
/// every column whose type cannot become the wanted one.
pub fn evolve(current: &Schema, wanted: &Schema, last_column_id: i32) -> Result<Option<Schema>> {
    let mut merge = Merge {
        ids: FreshIds::after(last_column_id.max(current.highest_field_id())),
        changed: false,
        refused: Vec::new(),
    };
    let fields = merge.fields(current.as_struct().fields(), wanted.as_struct().fields(), "");
    if !merge.refused.is_empty() {
        return Err(TableError::SchemaChange { changes: merge.refused });
    }
    if !merge.changed {
        return Ok(None);
    }
    let schema = Schema::builder()
        .with_schema_id(current.schema_id())
        .with_fields(fields)
        .with_identifier_field_ids(current.identifier_field_ids())
        .build()
        .map_err(TableError::metadata("make the evolved schema"))?;
    Ok(Some(schema))
}

struct Merge {
    ids: FreshIds,
    changed: bool,
    refused: Vec<String>,
}

impl Merge {
    fn fields(
        &mut self,
        current: &[Arc<NestedField>],
        wanted: &[Arc<NestedField>],
        path: &str,
    ) -> Vec<Arc<NestedField>> {
        let mut fields: Vec<Arc<NestedField>> = Vec::with_capacity(wanted.len());
        for field in current {
            match wanted.iter().find(|w| w.name == field.name) {
                Some(wanted) => fields.push(self.field(field, wanted, path)),
                None => fields.push(field.clone()),
            }
        }
        let news: Vec<_> = wanted
            .iter()
            .filter(|w| !current.iter().any(|f| f.name == w.name))
            .collect();
        // All of one level first, then what is within them, as catalogs number them.
        let ids: Vec<i32> = news.iter().map(|_| self.ids.next()).collect();
        for (new, id) in news.into_iter().zip(ids) {
            self.changed = true;
            let of = self.ids.within(&new.field_type);
            fields.push(Arc::new(copied(new, id, of, false)));
        }
        fields
    }

    fn field(&mut self, current: &NestedField, wanted: &NestedField, path: &str) -> Arc<NestedField> {
        let path = join(path, &current.name);
        let of = self.merged(&current.field_type, &wanted.field_type, &path);
        let required = current.required && wanted.required;
        self.changed |= required != current.required;
        Arc::new(copied(current, current.id, of, required))
    }

    fn merged(&mut self, current: &Type, wanted: &Type, path: &str) -> Type {
        match (current, wanted) {
            (Type::Struct(old), Type::Struct(new)) => {
                Type::Struct(StructType::new(self.fields(old.fields(), new.fields(), path)))
            }
            (Type::List(old), Type::List(new)) => {
                Type::List(ListType::new(self.field(&old.element_field, &new.element_field, path)))
            }
            (Type::Map(old), Type::Map(new)) => {
                // Keys are what rows are looked up by; their type stays.
                if !key_fits(&old.key_field.field_type, &new.key_field.field_type) {
                    self.refuse(path, current, wanted);
                }
                let value = self.field(&old.value_field, &new.value_field, path);
                Type::Map(MapType::new(old.key_field.clone(), value))
            }
            (Type::Primitive(old), Type::Primitive(new)) => match widened(old, new) {
                Some(kept) => {
                    self.changed |= kept != *old;
                    Type::Primitive(kept)
                }
                None => {
                    self.refuse(path, current, wanted);
                    current.clone()
                }
            },
            _ => {
                self.refuse(path, current, wanted);
                current.clone()
            }
        }
    }

    fn refuse(&mut self, path: &str, current: &Type, wanted: &Type) {
        self.refused.push(format!(
            "column {path:?} is {}, it cannot become {}",
            name_of(current),
            name_of(wanted)
        ));
    }
}

/// The type that holds both, if Iceberg allows `current` to become it; rows of the narrower type are cast when written.
fn widened(current: &PrimitiveType, wanted: &PrimitiveType) -> Option<PrimitiveType> {
    match (current, wanted) {
        (same, other) if same == other => Some(current.clone()),
        (PrimitiveType::Int | PrimitiveType::Long, PrimitiveType::Int | PrimitiveType::Long) => {
            Some(PrimitiveType::Long)
        }
        (PrimitiveType::Float | PrimitiveType::Double, PrimitiveType::Float | PrimitiveType::Double) => {
            Some(PrimitiveType::Double)
        }
        (
            PrimitiveType::Decimal { precision, scale },
            PrimitiveType::Decimal {
                precision: wider,
                scale: same,
            },
        ) if scale == same => Some(PrimitiveType::Decimal {
            precision: *precision.max(wider),
            scale: *scale,
        }),
        _ => None,
    }
}

fn key_fits(current: &Type, wanted: &Type) -> bool {
    match (current, wanted) {
        (Type::Primitive(old), Type::Primitive(new)) => widened(old, new).as_ref() == Some(old),
        _ => false,
    }
}

fn name_of(of: &Type) -> String {
    match of {
        Type::Primitive(primitive) => primitive.to_string(),
        Type::Struct(_) => "a struct".into(),
        Type::List(_) => "a list".into(),
        Type::Map(_) => "a map".into(),
    }
}
