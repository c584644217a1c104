//! An array of a file turned into the type the table has now, children matched by field id.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use super::position;

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
}

impl FieldIdCast {
    pub(crate) fn new(child: Arc<dyn PhysicalExpr>, target: FieldRef) -> Self {
        Self { child, target }
    }
}

impl PhysicalExpr for FieldIdCast {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(self.target.clone())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.child.evaluate(batch)? {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(cast(&array, self.target.data_type())?)),
            ColumnarValue::Scalar(scalar) => {
                let array = cast(&scalar.to_array()?, self.target.data_type())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
            }
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.child]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Self::new(child, self.target.clone()))),
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
        self.child.eq(&other.child) && self.target == other.target
    }
}

impl Eq for FieldIdCast {}

impl Hash for FieldIdCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.child.hash(state);
        self.target.hash(state);
    }
}

/// Casts by field id at every level of structs; lists and maps by their parts.
pub(crate) fn cast(source: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    match (source.data_type(), target) {
        (from, to) if from == to => Ok(source.clone()),
        (DataType::Struct(_), DataType::Struct(fields)) => cast_struct(source, fields),
        (DataType::List(_), DataType::List(item)) => cast_list(source, item),
        (DataType::LargeList(item) | DataType::FixedSizeList(item, _), DataType::List(_)) => {
            let list = cast_with_options(source, &DataType::List(item.clone()), &STRICT)?;
            cast(&list, target)
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => cast_map(source, entries, *sorted),
        _ => Ok(cast_with_options(source, target, &STRICT)?),
    }
}

fn cast_struct(source: &ArrayRef, target: &Fields) -> Result<ArrayRef> {
    let source = source.as_struct();
    let child = |field: &FieldRef| match position(source.fields(), field) {
        Some(index) => cast(source.column(index), field.data_type()),
        None => Ok(new_null_array(field.data_type(), source.len())),
    };
    let children = target.iter().map(child).collect::<Result<Vec<_>>>()?;
    let array = StructArray::try_new_with_length(target.clone(), children, source.nulls().cloned(), source.len())?;
    Ok(Arc::new(array))
}

fn cast_list(source: &ArrayRef, item: &FieldRef) -> Result<ArrayRef> {
    let list = source.as_list::<i32>();
    let values = cast(list.values(), item.data_type())?;
    let array = ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?;
    Ok(Arc::new(array))
}

fn cast_map(source: &ArrayRef, entries: &FieldRef, sorted: bool) -> Result<ArrayRef> {
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
    let keys = cast(map.keys(), field(0)?.data_type())?;
    let values = cast(map.values(), field(1)?.data_type())?;
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
