//! Partition values of files that were written with different partition specs, as one column.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StructArray};
use datafusion::arrow::datatypes::{Field, FieldRef, Fields};
use datafusion::common::DataFusionError;
use tidewater_table::TableError;
use tidewater_table::iceberg::spec::{Literal, NestedField, PrimitiveLiteral, Schema, Struct, TableMetadata};
use tidewater_table::schema::to_arrow;

use super::values;
use crate::error::{EngineError, Result};

/// All fields that any spec of a table partitions by, in the order of their ids.
#[derive(Debug, Clone)]
pub(super) struct PartitionType {
    fields: Vec<(i32, FieldRef)>,
    /// By spec and field: the place in the values of a file.
    places: HashMap<(i32, i32), usize>,
}

impl PartitionType {
    pub(super) fn of(table: &TableMetadata) -> Result<Self> {
        let damaged = |source| {
            EngineError::Table(TableError::Metadata {
                operation: "read the partition specs of a table".into(),
                source: Box::new(source),
            })
        };
        let mut fields = BTreeMap::new();
        let mut places = HashMap::new();
        let mut specs: Vec<_> = table.partition_specs_iter().collect();
        specs.sort_by_key(|spec| spec.spec_id());
        for spec in specs {
            for (place, field) in spec.fields().iter().enumerate() {
                places.insert((spec.spec_id(), field.field_id), place);
                // A column that was dropped since is in an older schema.
                let source = table.current_schema().field_by_id(field.source_id).or_else(|| {
                    table
                        .schemas_iter()
                        .find_map(|schema| schema.field_by_id(field.source_id))
                });
                let Some(source) = source else {
                    continue;
                };
                let result = field.transform.result_type(&source.field_type).map_err(damaged)?;
                // The newest name counts.
                fields.insert(
                    field.field_id,
                    NestedField::optional(field.field_id, &field.name, result),
                );
            }
        }
        let nested = fields.into_values().map(Arc::new).collect::<Vec<_>>();
        let schema = Schema::builder().with_fields(nested.clone()).build().map_err(damaged)?;
        let arrow = to_arrow(&schema)?;
        let plain = arrow.fields().iter().zip(nested).map(|(field, nested)| {
            let field = Field::new(field.name(), field.data_type().clone(), true);
            (nested.id, Arc::new(field))
        });
        Ok(Self {
            fields: plain.collect(),
            places,
        })
    }

    /// Whether no spec partitions at all.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The value of each field.
    pub(super) fn values<'a>(&self, spec_id: i32, partition: &'a Struct) -> Vec<Option<&'a PrimitiveLiteral>> {
        let value = |id: i32| match partition.fields().get(*self.places.get(&(spec_id, id))?)? {
            Some(Literal::Primitive(value)) => Some(value),
            _ => None,
        };
        self.fields.iter().map(|(id, _)| value(*id)).collect()
    }

    /// One struct for each partition.
    pub(super) fn array<'a>(&self, partitions: impl Iterator<Item = (i32, &'a Struct)>) -> Result<ArrayRef> {
        let rows: Vec<Vec<Option<&PrimitiveLiteral>>> = partitions
            .map(|(spec_id, partition)| self.values(spec_id, partition))
            .collect();
        let mut arrays = Vec::with_capacity(self.fields.len());
        for (at, (_, field)) in self.fields.iter().enumerate() {
            let column = rows.iter().map(|row| {
                let value = row.get(at).copied().flatten();
                values::scalar(value, field.data_type())
            });
            arrays.push(values::array(column.collect::<Result<_>>()?, field.data_type())?);
        }
        let fields: Fields = self.fields.iter().map(|(_, field)| field.clone()).collect();
        let array = StructArray::try_new_with_length(fields, arrays, None, rows.len());
        Ok(Arc::new(array.map_err(DataFusionError::from)?))
    }
}
