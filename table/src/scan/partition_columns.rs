//! Columns that a file's partition tells, and fields within structs: where a table is partitioned by one as it is, every row of a file
//! has the same value in it. Files that were another format's before (Hive's, which Spark's `migrate` and `add_files` take over as they
//! are) do not hold such a column, and what it is in their rows is the partition's value
//! (<https://iceberg.apache.org/spec/#column-projection>, the first of its rules).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, StringArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Schema as ArrowSchema};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use iceberg::spec::{Literal, PrimitiveLiteral, TableMetadata, Transform};

use super::ScanFile;
use crate::error::{Result, TableError};
use crate::schema::{ToldWithin, as_text, field_id};

/// The columns that the partitions of a table tell.
#[derive(Debug)]
pub struct PartitionColumns {
    /// By partition spec id. Specs that tell no column are left out.
    specs: HashMap<i32, Spec>,
}

/// What a column is in every row of a file, or a field within it.
#[derive(Debug, Clone)]
pub struct Constant {
    /// The column's position among those that were asked for.
    pub column: usize,
    /// Its field id.
    pub field_id: i32,
    /// One value of the column's type, or one null.
    pub value: ArrayRef,
}

#[derive(Debug)]
struct Spec {
    /// Fields of a partition.
    fields: usize,
    /// In the order of the columns, each once.
    told: Vec<Told>,
    /// Fields within structs, each once.
    within: Vec<Told>,
}

/// A column or a field within one, and the field of a partition that tells it.
#[derive(Debug)]
struct Told {
    place: usize,
    /// Of a field: the column that it is in.
    column: usize,
    field_id: i32,
    field: FieldRef,
}

impl PartitionColumns {
    /// Of these columns of a table and the fields within them, with their ids.
    pub fn new(table: &TableMetadata, columns: &ArrowSchema) -> Self {
        let mut specs = HashMap::new();
        for spec in table.partition_specs_iter() {
            let (mut told, mut within): (Vec<Told>, Vec<Told>) = (Vec::new(), Vec::new());
            for (place, source) in spec.fields().iter().enumerate() {
                if source.transform != Transform::Identity {
                    continue;
                }
                let mut all = columns.fields().iter().enumerate();
                let found = all.find_map(|(column, field)| Some((column, field, found_in(field, source.source_id)?)));
                let Some((column, outer, field)) = found else {
                    continue;
                };
                let level = match Arc::ptr_eq(outer, field) {
                    true => &mut told,
                    false => &mut within,
                };
                if level.iter().all(|other| other.field_id != source.source_id) {
                    level.push(Told {
                        place,
                        column,
                        field_id: source.source_id,
                        field: Arc::clone(field),
                    });
                }
            }
            told.sort_unstable_by_key(|told| told.column);
            if !told.is_empty() || !within.is_empty() {
                let fields = spec.fields().len();
                specs.insert(spec.spec_id(), Spec { fields, told, within });
            }
        }
        Self { specs }
    }

    /// What the file's partition tells of columns that the file may lack, in the order of the columns. Those that the table counts
    /// values of are in the file, where the same values are.
    ///
    /// # Errors
    /// [`TableError::Encode`] for a partition's value that is none of the column's type.
    pub fn of(&self, file: &ScanFile) -> Result<Vec<Constant>> {
        self.constants(file, |spec| &spec.told)
    }

    /// The same of fields within columns, as [`told_by_partition`](crate::schema::told_by_partition) takes it.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn within(&self, file: &ScanFile) -> Result<ToldWithin> {
        let mut told = ToldWithin::new();
        for constant in self.constants(file, |spec| &spec.within)? {
            let value = match constant.value.is_null(0) {
                true => None,
                false => Some(as_text(&constant.value)?),
            };
            told.entry(constant.column)
                .or_default()
                .insert(constant.field_id, value);
        }
        Ok(told)
    }

    fn constants(&self, file: &ScanFile, level: impl Fn(&Spec) -> &[Told]) -> Result<Vec<Constant>> {
        let values = file.partition.fields();
        // A partition that does not fit its spec tells nothing.
        let Some(spec) = self.specs.get(&file.spec_id).filter(|spec| spec.fields == values.len()) else {
            return Ok(Vec::new());
        };
        let mut constants = Vec::new();
        for told in level(spec) {
            let value = values.get(told.place).and_then(Option::as_ref);
            if told.may_be_absent(file, value) {
                let value = array(value, told.field.data_type()).map_err(TableError::encode(format!(
                    "read the value of column {} from the partition of {}",
                    told.field.name(),
                    file.path
                )))?;
                constants.push(Constant {
                    column: told.column,
                    field_id: told.field_id,
                    value,
                });
            }
        }
        Ok(constants)
    }
}

/// The column or the field of structs within it that has this id. Nothing is partitioned by what is in lists and maps.
fn found_in(column: &FieldRef, id: i32) -> Option<&FieldRef> {
    if field_id(column) == Some(id) {
        return Some(column);
    }
    match column.data_type() {
        DataType::Struct(fields) => fields.iter().find_map(|field| found_in(field, id)),
        _ => None,
    }
}

impl Told {
    /// Whether the file may lack the column. Where it cannot be told, the partition's value is right as well.
    fn may_be_absent(&self, file: &ScanFile, value: Option<&Literal>) -> bool {
        let nulls = file.null_value_count(self.field_id);
        match value {
            // Nothing but nulls beside a value of the partition is counted of a column that is not there.
            Some(_) => nulls.is_none_or(|nulls| nulls == file.record_count),
            // That a column is missing which has to have values is the reader's to say.
            None => nulls.is_none() && self.field.is_nullable(),
        }
    }
}

/// A partition's value as a column's. It may be of a narrower type: that which the column had when the file was written.
fn array(value: Option<&Literal>, of: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    use PrimitiveLiteral as P;
    let literal = match value {
        None => return Ok(new_null_array(of, 1)),
        Some(Literal::Primitive(literal)) => literal,
        Some(other) => return Err(ArrowError::CastError(format!("{other:?} is no plain value"))),
    };
    let own: ArrayRef = match (literal, of) {
        (P::Boolean(value), _) => Arc::new(BooleanArray::from(vec![*value])),
        (P::Int(value), DataType::Date32 | DataType::Timestamp(..)) => Arc::new(Date32Array::from(vec![*value])),
        (P::Int(value), _) => Arc::new(Int32Array::from(vec![*value])),
        (P::Long(value), _) => Arc::new(Int64Array::from(vec![*value])),
        (P::Float(value), _) => Arc::new(Float32Array::from(vec![value.0])),
        (P::Double(value), _) => Arc::new(Float64Array::from(vec![value.0])),
        (P::String(value), _) => Arc::new(StringArray::from(vec![value.as_str()])),
        (P::Binary(value), DataType::FixedSizeBinary(_)) => {
            Arc::new(FixedSizeBinaryArray::try_from_iter([value].into_iter())?)
        }
        (P::Binary(value), _) => Arc::new(BinaryArray::from_vec(vec![value.as_slice()])),
        (P::UInt128(value), _) => Arc::new(FixedSizeBinaryArray::try_from_iter([value.to_be_bytes()].into_iter())?),
        // Decimals are widened by digits, never by what lies behind the point.
        (P::Int128(value), DataType::Decimal128(precision, scale)) => {
            Arc::new(Decimal128Array::from(vec![*value]).with_precision_and_scale(*precision, *scale)?)
        }
        _ => return Err(ArrowError::CastError(format!("{literal:?} is no value of {of}"))),
    };
    if own.data_type() == of {
        return Ok(own);
    }
    let strict = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    cast_with_options(&own, of, &strict)
}

#[cfg(test)]
mod tests;
