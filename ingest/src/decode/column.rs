//! Columns under construction. Unlike Arrow's builders they can forget the last row, which is what makes a bad record harmless.
//!
//! A column may lag behind its row: what is missing is null. So a struct that is null, or a field that is absent, costs nothing.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

use super::column_type::{ColumnType, UTC, list_item, struct_fields};
use super::validity::Validity;

/// Variable-length values.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// End of each value.
    ends: Vec<i32>,
    data: Vec<u8>,
}

impl Texts {
    #[inline]
    fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.end();
    }

    /// Ends a value whose bytes are in `data`. A batch is far below 2 GiB, see the byte budget of the worker.
    fn end(&mut self) {
        self.ends.push(i32::try_from(self.data.len()).unwrap_or(i32::MAX));
    }

    fn pad_to(&mut self, length: usize) {
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.resize(length, end);
    }

    fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        let end = self.ends.last().copied().unwrap_or(0);
        self.data.truncate(usize::try_from(end).unwrap_or(0));
    }

    fn finish(self) -> (OffsetBuffer<i32>, Buffer) {
        (offsets(self.ends), Buffer::from_vec(self.data))
    }
}

/// Ends of values, as Arrow has them.
fn offsets(mut ends: Vec<i32>) -> OffsetBuffer<i32> {
    ends.insert(0, 0);
    OffsetBuffer::new(ScalarBuffer::from(ends))
}

/// The values of a column, one variant for each [`ColumnType`].
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>),
    TimestampTz(Vec<i64>),
    String(Texts),
    Binary(Texts),
    List {
        ends: Vec<i32>,
        items: Box<Column>,
    },
    Struct(Vec<(String, Column)>),
}

/// A column under construction.
#[derive(Debug)]
pub(crate) struct Column {
    valid: Validity,
    pub(crate) values: Values,
}

impl Column {
    pub(crate) fn new(kind: &ColumnType) -> Self {
        let values = match kind {
            ColumnType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            ColumnType::Int => Values::Int(Vec::new()),
            ColumnType::Long => Values::Long(Vec::new()),
            ColumnType::Float => Values::Float(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Decimal { precision, scale } => Values::Decimal {
                values: Vec::new(),
                precision: *precision,
                scale: *scale,
            },
            ColumnType::Date => Values::Date(Vec::new()),
            ColumnType::Time => Values::Time(Vec::new()),
            ColumnType::Timestamp => Values::Timestamp(Vec::new()),
            ColumnType::TimestampTz => Values::TimestampTz(Vec::new()),
            ColumnType::String => Values::String(Texts::default()),
            ColumnType::Binary => Values::Binary(Texts::default()),
            ColumnType::List(item) => Values::List {
                ends: Vec::new(),
                items: Box::new(Self::new(item)),
            },
            ColumnType::Struct(fields) => Values::Struct(
                fields
                    .iter()
                    .map(|(name, kind)| (name.clone(), Self::new(kind)))
                    .collect(),
            ),
        };
        Self {
            valid: Validity::default(),
            values,
        }
    }

    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Fills up with nulls.
    #[inline]
    pub(crate) fn pad_to(&mut self, length: usize) {
        let missing = length.saturating_sub(self.valid.len());
        if missing > 0 {
            self.push_nulls(missing, length);
        }
    }

    fn push_nulls(&mut self, missing: usize, length: usize) {
        self.valid.push_nulls(missing);
        match &mut self.values {
            Values::Boolean(values) => values.append_n(missing, false),
            Values::Int(values) | Values::Date(values) => values.resize(length, 0),
            Values::Long(values) | Values::Time(values) | Values::Timestamp(values) | Values::TimestampTz(values) => {
                values.resize(length, 0);
            }
            Values::Float(values) => values.resize(length, 0.0),
            Values::Double(values) => values.resize(length, 0.0),
            Values::Decimal { values, .. } => values.resize(length, 0),
            Values::String(texts) | Values::Binary(texts) => texts.pad_to(length),
            Values::List { ends, .. } => {
                let end = ends.last().copied().unwrap_or(0);
                ends.resize(length, end);
            }
            Values::Struct(_) => {}
        }
    }

    /// Forgets everything from row `length` on.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.valid.truncate(length);
        match &mut self.values {
            Values::Boolean(values) if values.len() > length => values.truncate(length),
            Values::Boolean(_) => {}
            Values::Int(values) | Values::Date(values) => values.truncate(length),
            Values::Long(values) | Values::Time(values) | Values::Timestamp(values) | Values::TimestampTz(values) => {
                values.truncate(length);
            }
            Values::Float(values) => values.truncate(length),
            Values::Double(values) => values.truncate(length),
            Values::Decimal { values, .. } => values.truncate(length),
            Values::String(texts) | Values::Binary(texts) => texts.truncate(length),
            Values::List { ends, items } => {
                ends.truncate(length);
                items.truncate(usize::try_from(ends.last().copied().unwrap_or(0)).unwrap_or(0));
            }
            Values::Struct(fields) => {
                for (_, field) in fields {
                    field.truncate(length);
                }
            }
        }
    }

    pub(crate) fn push_null(&mut self) {
        self.pad_to(self.len() + 1);
    }

    /// Marks one more row as there; its value was or will be pushed by the caller.
    pub(crate) fn push_valid(&mut self) {
        self.valid.push();
    }

    #[inline]
    pub(crate) fn push_long(&mut self, value: i64) {
        match &mut self.values {
            Values::Long(values) | Values::Time(values) | Values::Timestamp(values) | Values::TimestampTz(values) => {
                values.push(value);
                self.valid.push();
            }
            _ => debug_assert!(false, "not a 64-bit column"),
        }
    }

    pub(crate) fn push_int(&mut self, value: i32) {
        match &mut self.values {
            Values::Int(values) | Values::Date(values) => {
                values.push(value);
                self.valid.push();
            }
            _ => debug_assert!(false, "not a 32-bit column"),
        }
    }

    #[inline]
    pub(crate) fn push_bytes(&mut self, value: &[u8]) {
        match &mut self.values {
            Values::String(texts) | Values::Binary(texts) => {
                texts.push(value);
                self.valid.push();
            }
            _ => debug_assert!(false, "not a text or binary column"),
        }
    }

    /// Pushes a text; false, with nothing pushed, if this is no column of texts.
    #[inline]
    pub(crate) fn push_text(&mut self, value: &str) -> bool {
        match &mut self.values {
            Values::String(texts) => {
                texts.push(value.as_bytes());
                self.valid.push();
                true
            }
            _ => false,
        }
    }

    /// Pushes the bytes that `write` appends; when it fails nothing is pushed.
    pub(crate) fn push_written<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        match &mut self.values {
            Values::String(texts) | Values::Binary(texts) => {
                let before = texts.data.len();
                if let Err(error) = write(&mut texts.data) {
                    texts.data.truncate(before);
                    return Err(error);
                }
                texts.end();
                self.valid.push();
            }
            _ => debug_assert!(false, "not a text or binary column"),
        }
        Ok(())
    }

    /// Marks one more row of a list as there: it ends where its items end now.
    pub(crate) fn push_list_end(&mut self) {
        if let Values::List { ends, items } = &mut self.values {
            ends.push(i32::try_from(items.len()).unwrap_or(i32::MAX));
            self.valid.push();
        }
    }

    /// Pushes one row of a list of texts.
    pub(crate) fn push_texts(&mut self, texts: &[String]) {
        if let Values::List { items, .. } = &mut self.values {
            for text in texts {
                items.push_bytes(text.as_bytes());
            }
        }
        self.push_list_end();
    }

    /// The number in the last row, if that is `row` and not null.
    pub(crate) fn long_at(&self, row: usize) -> Option<i64> {
        match &self.values {
            Values::Long(values) if self.valid.is_valid(row) => values.get(row).copied(),
            Values::Int(values) if self.valid.is_valid(row) => values.get(row).copied().map(i64::from),
            _ => None,
        }
    }

    /// Gives the column a wider type; what it holds is kept. Types that do not fit leave it as it is.
    pub(crate) fn widen(&mut self, kind: &ColumnType) {
        let values = std::mem::replace(&mut self.values, Values::Int(Vec::new()));
        self.values = match (values, kind) {
            (Values::Int(values), ColumnType::Long) => Values::Long(values.into_iter().map(i64::from).collect()),
            (Values::Float(values), ColumnType::Double) => Values::Double(values.into_iter().map(f64::from).collect()),
            #[expect(
                clippy::cast_precision_loss,
                reason = "columns are widened only while all their numbers are exact"
            )]
            (Values::Long(values), ColumnType::Double) => {
                Values::Double(values.into_iter().map(|v| v as f64).collect())
            }
            (Values::Decimal { values, scale, .. }, ColumnType::Decimal { precision, .. }) => Values::Decimal {
                values,
                precision: *precision,
                scale,
            },
            (Values::List { ends, mut items }, ColumnType::List(item)) => {
                items.widen(item);
                Values::List { ends, items }
            }
            (Values::Struct(mut fields), ColumnType::Struct(wanted)) => {
                for (name, kind) in wanted {
                    match fields.iter_mut().find(|(known, _)| known == name) {
                        Some((_, field)) => field.widen(kind),
                        None => fields.push((name.clone(), Self::new(kind))),
                    }
                }
                Values::Struct(fields)
            }
            (values, _) => values,
        };
    }

    /// Whether every number is exact as a double: beyond 2^53 they are not.
    pub(crate) fn exact_as_double(&self) -> bool {
        match &self.values {
            Values::Long(values) => values
                .iter()
                .all(|value| value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS),
            _ => true,
        }
    }

    /// Whether any row holds something.
    pub(crate) fn has_values(&self) -> bool {
        self.valid.any()
    }

    /// The type of what is here.
    pub(crate) fn kind(&self) -> ColumnType {
        match &self.values {
            Values::Boolean(_) => ColumnType::Boolean,
            Values::Int(_) => ColumnType::Int,
            Values::Long(_) => ColumnType::Long,
            Values::Float(_) => ColumnType::Float,
            Values::Double(_) => ColumnType::Double,
            Values::Decimal { precision, scale, .. } => ColumnType::Decimal {
                precision: *precision,
                scale: *scale,
            },
            Values::Date(_) => ColumnType::Date,
            Values::Time(_) => ColumnType::Time,
            Values::Timestamp(_) => ColumnType::Timestamp,
            Values::TimestampTz(_) => ColumnType::TimestampTz,
            Values::String(_) => ColumnType::String,
            Values::Binary(_) => ColumnType::Binary,
            Values::List { items, .. } => ColumnType::List(Box::new(items.kind())),
            Values::Struct(fields) => ColumnType::Struct(
                fields
                    .iter()
                    .map(|(name, field)| (name.clone(), field.kind()))
                    .collect(),
            ),
        }
    }

    /// The column as Arrow, `rows` long.
    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.pad_to(rows);
        let kind = self.kind();
        let nulls = self.valid.finish();
        Ok(match self.values {
            Values::Boolean(mut values) => {
                let bits: BooleanBuffer = values.finish();
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Values::Int(values) => Arc::new(Int32Array::try_new(values.into(), nulls)?),
            Values::Long(values) => Arc::new(Int64Array::try_new(values.into(), nulls)?),
            Values::Float(values) => Arc::new(Float32Array::try_new(values.into(), nulls)?),
            Values::Double(values) => Arc::new(Float64Array::try_new(values.into(), nulls)?),
            Values::Decimal {
                values,
                precision,
                scale,
            } => Arc::new(Decimal128Array::try_new(values.into(), nulls)?.with_precision_and_scale(precision, scale)?),
            Values::Date(values) => Arc::new(Date32Array::try_new(values.into(), nulls)?),
            Values::Time(values) => Arc::new(Time64MicrosecondArray::try_new(values.into(), nulls)?),
            Values::Timestamp(values) => Arc::new(TimestampMicrosecondArray::try_new(values.into(), nulls)?),
            Values::TimestampTz(values) => {
                Arc::new(TimestampMicrosecondArray::try_new(values.into(), nulls)?.with_timezone(UTC))
            }
            Values::String(texts) => {
                let (offsets, data) = texts.finish();
                Arc::new(StringArray::try_new(offsets, data, nulls)?)
            }
            Values::Binary(texts) => {
                let (offsets, data) = texts.finish();
                Arc::new(BinaryArray::try_new(offsets, data, nulls)?)
            }
            Values::List { ends, items } => {
                let count = items.len();
                let item_kind = items.kind();
                Arc::new(ListArray::try_new(
                    list_item(&item_kind),
                    offsets(ends),
                    items.finish(count)?,
                    nulls,
                )?)
            }
            Values::Struct(fields) => {
                let ColumnType::Struct(types) = &kind else {
                    return Err(ArrowError::SchemaError("a struct column without fields".into()));
                };
                let arrays = fields
                    .into_iter()
                    .map(|(_, field)| field.finish(rows))
                    .collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new_with_length(
                    struct_fields(types),
                    arrays,
                    nulls,
                    rows,
                )?)
            }
        })
    }
}
