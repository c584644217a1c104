//! Columns with ids of their own: above all that a table has given.

use std::collections::HashMap;
use std::sync::Arc;

use iceberg::spec::{
    ListType, Literal, MapType, NestedField, PrimitiveLiteral, PrimitiveType, Schema, StructType, Type,
};

use crate::error::{Result, TableError};

/// Gives ids, and remembers which one became which.
#[derive(Debug)]
pub(crate) struct FreshIds {
    last: i32,
    became: HashMap<i32, i32>,
}

impl FreshIds {
    /// The first one given is the one after `last`.
    pub(crate) fn after(last: i32) -> Self {
        Self {
            last,
            became: HashMap::new(),
        }
    }

    pub(crate) fn next(&mut self) -> i32 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// What a column's id became.
    pub(crate) fn of(&self, id: i32) -> Option<i32> {
        self.became.get(&id).copied()
    }

    /// The same schema with fresh ids everywhere.
    pub(crate) fn schema(&mut self, schema: &Schema) -> Result<Schema> {
        let fields = self.level(schema.as_struct().fields());
        let identifiers: Vec<i32> = schema.identifier_field_ids().filter_map(|id| self.of(id)).collect();
        Schema::builder()
            .with_fields(fields)
            .with_identifier_field_ids(identifiers)
            .build()
            .map_err(TableError::metadata("number the columns of a schema"))
    }

    /// The same type with fresh ids.
    pub(crate) fn within(&mut self, of: &Type) -> Type {
        match of {
            Type::Primitive(_) => of.clone(),
            Type::Struct(inner) => Type::Struct(StructType::new(self.level(inner.fields()))),
            Type::List(list) => {
                let id = self.next();
                Type::List(ListType::new(self.field(&list.element_field, id)))
            }
            Type::Map(map) => {
                let (key_id, value_id) = (self.next(), self.next());
                let key = self.field(&map.key_field, key_id);
                Type::Map(MapType::new(key, self.field(&map.value_field, value_id)))
            }
        }
    }

    /// All of one level first, then what is within them, as catalogs number them.
    fn level(&mut self, fields: &[Arc<NestedField>]) -> Vec<Arc<NestedField>> {
        let ids: Vec<i32> = fields.iter().map(|_| self.next()).collect();
        let pairs = fields.iter().zip(ids);
        pairs.map(|(field, id)| self.field(field, id)).collect()
    }

    fn field(&mut self, field: &NestedField, id: i32) -> Arc<NestedField> {
        self.became.insert(field.id, id);
        let of = self.within(&field.field_type);
        Arc::new(copied(field, id, of, field.required))
    }
}

/// A default as one of a wider type: those of a narrower one are none of its values.
pub(crate) fn widened(default: Option<&Literal>, to: &Type) -> Option<Literal> {
    Some(match (default?, to) {
        (Literal::Primitive(PrimitiveLiteral::Int(value)), Type::Primitive(PrimitiveType::Long)) => {
            Literal::long(i64::from(*value))
        }
        (Literal::Primitive(PrimitiveLiteral::Float(value)), Type::Primitive(PrimitiveType::Double)) => {
            Literal::double(f64::from(value.0))
        }
        (default, _) => default.clone(),
    })
}

/// The same column but for these.
pub(crate) fn copied(field: &NestedField, id: i32, of: Type, required: bool) -> NestedField {
    NestedField {
        id,
        required,
        initial_default: widened(field.initial_default.as_ref(), &of),
        write_default: widened(field.write_default.as_ref(), &of),
        field_type: Box::new(of),
        ..field.clone()
    }
}
