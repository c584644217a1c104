//! Splits a batch by the partition spec.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef,
    Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::row::{RowConverter, SortField};
use iceberg::spec::{Literal, PartitionSpec, PrimitiveType, Schema, Struct, Transform};

use crate::error::{Result, TableError};
use crate::schema::field_id;
use crate::transform::{child, transform_array};

/// Rows of one partition. The key is the same for the same values, and orders partitions.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: Vec<u8>,
    pub(super) values: Struct,
    pub(super) rows: RecordBatch,
}

/// Knows where the partition values of a batch come from.
#[derive(Debug)]
pub(super) struct Splitter {
    fields: Vec<PartitionColumn>,
}

#[derive(Debug)]
struct PartitionColumn {
    /// Position of the column, then of the fields within it.
    path: Vec<usize>,
    transform: Transform,
    result: PrimitiveType,
}

impl Splitter {
    pub(super) fn new(spec: &PartitionSpec, schema: &Schema, arrow: &SchemaRef) -> Result<Self> {
        let bind = |field: &iceberg::spec::PartitionField| {
            let missing = || TableError::damaged(format!("partition field {} has no source column", field.name));
            let source = schema.field_by_id(field.source_id).ok_or_else(missing)?;
            let result = field
                .transform
                .result_type(&source.field_type)
                .map_err(TableError::metadata(format!("partition field {}", field.name)))?;
            let result = result.as_primitive_type().cloned().ok_or_else(missing)?;
            let path = path_of(arrow.fields(), field.source_id).ok_or_else(missing)?;
            Ok(PartitionColumn {
                path,
                transform: field.transform,
                result,
            })
        };
        let fields = spec.fields().iter().map(bind).collect::<Result<Vec<_>>>()?;
        Ok(Self { fields })
    }

    /// Every row is in exactly one part.
    pub(super) fn split(&self, batch: &RecordBatch) -> Result<Vec<Part>> {
        if self.fields.is_empty() {
            return Ok(vec![Part {
                key: Vec::new(),
                values: Struct::empty(),
                rows: batch.clone(),
            }]);
        }
        let columns = self
            .fields
            .iter()
            .map(|field| transform_array(field.transform, &column_at(batch, &field.path)?))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let mut parts = Vec::new();
        for (key, rows) in group(&columns)? {
            let Some(first) = rows.first() else { continue };
            let values = self
                .fields
                .iter()
                .zip(&columns)
                .map(|(f, column)| literal(column, *first as usize, &f.result));
            let values: Struct = values.collect::<Result<Vec<_>>>()?.into_iter().collect();
            let all = rows.len() == batch.num_rows();
            let rows = match all {
                true => batch.clone(),
                false => take_record_batch(batch, &UInt32Array::from(rows))
                    .map_err(TableError::encode("split rows by partition"))?,
            };
            parts.push(Part { key, values, rows });
        }
        Ok(parts)
    }
}

/// Row numbers by encoded partition values.
fn group(columns: &[ArrayRef]) -> Result<BTreeMap<Vec<u8>, Vec<u32>>> {
    let fault = || TableError::encode("encode partition values");
    let fields = columns
        .iter()
        .map(|column| SortField::new(column.data_type().clone()))
        .collect();
    let converter = RowConverter::new(fields).map_err(fault())?;
    let rows = converter.convert_columns(columns).map_err(fault())?;
    let mut groups: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let at = u32::try_from(at).map_err(|_| TableError::Rows {
            reason: "a batch of more than 2^32 rows".into(),
        })?;
        match groups.get_mut(row.as_ref()) {
            Some(rows) => rows.push(at),
            None => {
                groups.insert(row.as_ref().to_vec(), vec![at]);
            }
        }
    }
    Ok(groups)
}

fn path_of(fields: &[arrow::datatypes::FieldRef], id: i32) -> Option<Vec<usize>> {
    fields
        .iter()
        .enumerate()
        .find_map(|(at, field)| path_in(field, id).map(|inner| [vec![at], inner].concat()))
}

fn path_in(field: &Field, id: i32) -> Option<Vec<usize>> {
    if field_id(field) == Some(id) {
        return Some(Vec::new());
    }
    match field.data_type() {
        DataType::Struct(fields) => path_of(fields, id),
        _ => None,
    }
}

/// A column, or a field within structs: null where any struct around it is null.
fn column_at(batch: &RecordBatch, path: &[usize]) -> Result<ArrayRef> {
    let lost = || TableError::damaged("a partition column is not in the batch");
    let (first, inner) = path.split_first().ok_or_else(lost)?;
    let mut column = batch.columns().get(*first).ok_or_else(lost)?.clone();
    for at in inner {
        column = child(&column, *at)?;
    }
    Ok(column)
}

fn literal(column: &ArrayRef, row: usize, kind: &PrimitiveType) -> Result<Option<Literal>> {
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return Ok(None);
    }
    // The result of a time transform is a count, whatever the specification calls its type.
    if let Some(counts) = column.as_primitive_opt::<Int32Type>() {
        return Ok(Some(Literal::int(counts.value(row))));
    }
    Ok(Some(match kind {
        PrimitiveType::Boolean => Literal::bool(column.as_boolean().value(row)),
        PrimitiveType::Long => Literal::long(column.as_primitive::<Int64Type>().value(row)),
        PrimitiveType::Float => Literal::float(column.as_primitive::<Float32Type>().value(row)),
        PrimitiveType::Double => Literal::double(column.as_primitive::<Float64Type>().value(row)),
        PrimitiveType::Decimal { .. } => Literal::decimal(column.as_primitive::<Decimal128Type>().value(row)),
        PrimitiveType::Date => Literal::date(column.as_primitive::<Date32Type>().value(row)),
        PrimitiveType::Time => Literal::time(column.as_primitive::<Time64MicrosecondType>().value(row)),
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => {
            Literal::timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => {
            Literal::long(column.as_primitive::<TimestampNanosecondType>().value(row))
        }
        PrimitiveType::String => Literal::string(column.as_string::<i32>().value(row)),
        PrimitiveType::Uuid => {
            let bytes = column.as_fixed_size_binary().value(row);
            Literal::uuid(uuid::Uuid::from_slice(bytes).map_err(TableError::encode("read a uuid"))?)
        }
        PrimitiveType::Fixed(_) => Literal::fixed(column.as_fixed_size_binary().value(row).iter().copied()),
        PrimitiveType::Binary => Literal::binary(column.as_binary::<i32>().value(row).iter().copied()),
        PrimitiveType::Int => {
            return Err(TableError::damaged("a partition value of type int is stored otherwise"));
        }
    }))
}
