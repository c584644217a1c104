//! Fields of structs that may be null: one that a file's struct lacks, which has the same value in every row, and one that must not be
//! null itself. Where the struct is null, they are.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{nullif, take};
use datafusion::arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

/// It exists only on the side that executes and never travels.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    /// `get_field` of a column, to a plain field that the file has within the struct. The reader knows such accesses, in filters too,
    /// where it drops without a word what names a whole struct; and it reads the nulls of the struct with whichever field of it.
    beside: Arc<dyn PhysicalExpr>,
    /// How many of its names lead from the column to the struct.
    depth: usize,
    /// `None` for the value beside itself, which is something also where the struct is null: it has no nulls of its own.
    value: Option<ScalarValue>,
    target: FieldRef,
}

impl Filled {
    pub(super) fn new(beside: Arc<dyn PhysicalExpr>, depth: usize, value: ScalarValue, target: &FieldRef) -> Self {
        Self {
            beside,
            depth,
            value: Some(value),
            // The struct may be null.
            target: Arc::new(Field::clone(target).with_nullable(true)),
        }
    }

    /// A field that the file has, and that is never null in a struct that is there.
    pub(super) fn masked(field: Arc<dyn PhysicalExpr>, depth: usize, of: &Field) -> Self {
        Self {
            beside: field,
            depth,
            value: None,
            target: Arc::new(of.clone().with_nullable(true)),
        }
    }

    /// Where the struct is null, or one that it is in.
    fn nulls(&self, batch: &RecordBatch) -> Result<Option<NullBuffer>> {
        let lost = || exec_datafusion_err!("a field beside an absent one is no access of a column");
        let access = ScalarFunctionExpr::try_downcast_func::<GetFieldFunc>(self.beside.as_ref()).ok_or_else(lost)?;
        let (column, path) = access.args().split_first().ok_or_else(lost)?;
        let mut outer = column.evaluate(batch)?.into_array(batch.num_rows())?;
        let mut nulls = outer.nulls().cloned();
        for name in path.iter().take(self.depth) {
            let name = name
                .downcast_ref::<Literal>()
                .and_then(|name| name.value().try_as_str());
            let name = name.flatten().ok_or_else(lost)?;
            let inner = outer.as_struct_opt().and_then(|outer| outer.column_by_name(name));
            let inner = inner.ok_or_else(lost)?.clone();
            nulls = NullBuffer::union(nulls.as_ref(), inner.nulls());
            outer = inner;
        }
        Ok(nulls)
    }
}

/// So many times the one value, null where `nulls` are.
pub(super) fn spread(value: &ArrayRef, rows: usize, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    let place = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row)).then_some(0);
    let places: UInt32Array = (0..rows).map(place).collect();
    Ok(take(value, &places, None)?)
}

/// The values, null where `nulls` are too.
pub(super) fn masked(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => Ok(values.clone()),
        Some(nulls) => Ok(nullif(values, &BooleanArray::new(!nulls.inner(), None))?),
    }
}

impl PhysicalExpr for Filled {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(self.target.clone())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let nulls = self.nulls(batch)?;
        let filled = match &self.value {
            Some(value) => spread(&value.to_array()?, batch.num_rows(), nulls.as_ref())?,
            None => {
                let values = self.beside.evaluate(batch)?.into_array(batch.num_rows())?;
                masked(&values, nulls.as_ref())?
            }
        };
        Ok(ColumnarValue::Array(filled))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.beside]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(beside), true) => Ok(Arc::new(Self {
                beside,
                ..self.as_ref().clone()
            })),
            _ => exec_err!("a field that is filled in has one beside it"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "BESIDE({}, {value})", self.beside),
            None => write!(f, "MASKED({})", self.beside),
        }
    }
}

impl PartialEq for Filled {
    fn eq(&self, other: &Self) -> bool {
        let same = self.depth == other.depth && self.value == other.value && self.target == other.target;
        same && self.beside.eq(&other.beside)
    }
}

impl Eq for Filled {}

impl Hash for Filled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.beside.hash(state);
        self.depth.hash(state);
        self.value.hash(state);
        self.target.hash(state);
    }
}
