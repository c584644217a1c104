//! An array of a file turned into the type the table has now, children matched by field id, or by the names that the table maps, and
//! those that the file lacks filled with what they are there.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use tidewater_table::schema::Within;

use super::filled::{masked, spread};
use super::position_within;
use crate::error::EngineError;

/// Nothing is lost in silence: a value that does not fit is an error.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: datafusion::arrow::util::display::FormatOptions::new(),
};

/// Reads nested values by field id. It exists only on the side that executes and never travels.
#[derive(Debug, Clone)]
pub(crate) struct FieldIdCast {
    child: Arc<dyn PhysicalExpr>,
    target: FieldRef,
    /// What the table's column tells of the fields within it.
    within: Arc<Within>,
}

impl FieldIdCast {
    pub(crate) fn new(child: Arc<dyn PhysicalExpr>, target: FieldRef, within: Arc<Within>) -> Self {
        Self { child, target, within }
    }
}

impl PhysicalExpr for FieldIdCast {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(self.target.clone())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.child.evaluate(batch)? {
            ColumnarValue::Array(array) => {
                let array = cast(&array, self.target.data_type(), &self.within, None)?;
                Ok(ColumnarValue::Array(array))
            }
            ColumnarValue::Scalar(scalar) => {
                let array = cast(&scalar.to_array()?, self.target.data_type(), &self.within, None)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Self::new(child, self.target.clone(), self.within.clone()))),
            _ => exec_err!("a cast by field id has one child"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FieldIdCast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BY_FIELD_ID({} AS {})", self.child, self.target.data_type())
    }
}

impl PartialEq for FieldIdCast {
    fn eq(&self, other: &Self) -> bool {
        self.child.eq(&other.child) && self.target == other.target && self.within == other.within
    }
}

impl Eq for FieldIdCast {}

impl Hash for FieldIdCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.child.hash(state);
        self.target.hash(state);
        self.within.hash(state);
    }
}

/// Whether there is a field within that has no nulls of its own, and is something also where the struct that it is in is null.
pub(super) fn has_unmasked(of: &DataType) -> bool {
    let within = |field: &FieldRef| has_unmasked(field.data_type());
    match of {
        DataType::Struct(fields) => fields.iter().any(|field| !field.is_nullable() || within(field)),
        DataType::List(element) => within(element),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().any(within),
            _ => false,
        },
        _ => false,
    }
}

/// Casts by field id at every level of structs; lists and maps by their parts. `outer` are the nulls of the structs that the array is
/// a field of: where they are null, so is what is filled in.
fn cast(source: &ArrayRef, target: &DataType, within: &Within, outer: Option<&NullBuffer>) -> Result<ArrayRef> {
    match (source.data_type(), target) {
        (from, to) if from == to && !has_unmasked(to) => Ok(source.clone()),
        (DataType::Struct(_), DataType::Struct(fields)) => cast_struct(source, fields, within, outer),
        (DataType::List(_), DataType::List(item)) => cast_list(source, item, within),
        (DataType::LargeList(item) | DataType::FixedSizeList(item, _), DataType::List(_)) => {
            let list = cast_with_options(source, &DataType::List(item.clone()), &STRICT)?;
            cast(&list, target, within, outer)
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => cast_map(source, entries, *sorted, within),
        _ => Ok(cast_with_options(source, target, &STRICT)?),
    }
}

fn cast_struct(source: &ArrayRef, target: &Fields, within: &Within, outer: Option<&NullBuffer>) -> Result<ArrayRef> {
    let source = source.as_struct();
    let nulls = NullBuffer::union(outer, source.nulls());
    let child = |field: &FieldRef| match position_within(source.fields(), field, within) {
        // What reads one field of a struct does not look at the struct's own nulls.
        Some(index) => {
            let values = cast(source.column(index), field.data_type(), within, nulls.as_ref())?;
            match field.is_nullable() {
                true => Ok(values),
                false => masked(&values, nulls.as_ref()),
            }
        }
        None => match within.absent(field).map_err(EngineError::from)? {
            Some(value) => spread(&value, source.len(), nulls.as_ref()),
            None => Ok(new_null_array(field.data_type(), source.len())),
        },
    };
    let children = target.iter().map(child).collect::<Result<Vec<_>>>()?;
    let array = StructArray::try_new_with_length(target.clone(), children, nulls, source.len())?;
    Ok(Arc::new(array))
}

fn cast_list(source: &ArrayRef, item: &FieldRef, within: &Within) -> Result<ArrayRef> {
    let list = source.as_list::<i32>();
    let values = cast(list.values(), item.data_type(), within, None)?;
    let array = ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?;
    Ok(Arc::new(array))
}

fn cast_map(source: &ArrayRef, entries: &FieldRef, sorted: bool, within: &Within) -> Result<ArrayRef> {
    let map = source.as_map();
    let DataType::Struct(fields) = entries.data_type() else {
        return exec_err!("a map's entries are not a struct but {}", entries.data_type());
    };
    let field = |index: usize| -> Result<&Field> {
        let field = fields.get(index);
        field
            .map(AsRef::as_ref)
            .ok_or_else(|| exec_datafusion_err!("a map's entries lack a key or a value"))
    };
    let keys = cast(map.keys(), field(0)?.data_type(), within, None)?;
    let values = cast(map.values(), field(1)?.data_type(), within, None)?;
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let array = MapArray::try_new(
        entries.clone(),
        map.offsets().clone(),
        pairs,
        map.nulls().cloned(),
        sorted,
    )?;
    Ok(Arc::new(array))
}
