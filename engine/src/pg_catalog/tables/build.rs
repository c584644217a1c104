//! Tables from rows that name their values.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, ListBuilder, PrimitiveBuilder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, Field, Int16Type, Int64Type, Schema};
use datafusion::common::DataFusionError;

use crate::error::Result;
use crate::pg_catalog::TYPE_KEY;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Number(i64),
    Float(f32),
    Text(String),
    Numbers(Vec<i64>),
    Texts(Vec<String>),
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What values a column has, and what it has in rows that do not say.
struct Column {
    name: &'static str,
    /// `l`, `i`, `s`: numbers of 8, 4 and 2 bytes; `b` truth, `f` float, `t` text, `c` one letter, `d` instant; `L`, `S`, `T`: lists;
    /// `p`: the number of a function; `V`, `O`: vectors of `int2` and `oid`.
    kind: char,
    /// `0`, empty or false instead of null.
    filled: bool,
}

/// A table that rows are put into.
pub(super) struct Table {
    name: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// With these columns: `"oid:l! relname:t"`; an exclamation mark for those that are 0, empty or false in rows that do not
    /// say, where others are null.
    pub(super) fn new(name: impl Into<String>, columns: &'static str) -> Self {
        let columns = columns.split_whitespace().filter_map(|column| {
            let (name, kind) = column.split_once(':')?;
            Some(Column {
                name,
                kind: kind.chars().next()?,
                filled: kind.ends_with('!'),
            })
        });
        Self {
            name: name.into(),
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// One more row.
    pub(super) fn row(&mut self, values: &[(&str, Cell)]) {
        debug_assert!(
            values
                .iter()
                .all(|(name, _)| self.columns.iter().any(|column| column.name == *name)),
            "{} has all columns of {values:?}",
            self.name
        );
        let row = self.columns.iter().map(|column| {
            let value = values.iter().find(|(name, _)| *name == column.name);
            match value {
                Some((_, value)) => value.clone(),
                None if !column.filled => Cell::Null,
                None => match column.kind {
                    'b' => Cell::Bool(false),
                    'f' => Cell::Float(0.0),
                    't' | 'c' => Cell::Text(String::new()),
                    'L' | 'S' | 'V' | 'O' => Cell::Numbers(Vec::new()),
                    'T' => Cell::Texts(Vec::new()),
                    _ => Cell::Number(0),
                },
            }
        });
        let row = row.collect();
        self.rows.push(row);
    }

    pub(super) fn batch(&self) -> Result<RecordBatch> {
        let columns = self.columns.iter().enumerate();
        let columns = columns.map(|(at, column)| (column, self.rows.iter().filter_map(move |row| row.get(at))));
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (column, cells) in columns {
            let array = array(column.kind, cells.collect());
            let mut field = Field::new(column.name, array.data_type().clone(), true);
            let called = match column.kind {
                'c' => Some("char"),
                'p' => Some("regproc"),
                'V' => Some("int2vector"),
                'O' => Some("oidvector"),
                _ => None,
            };
            if let Some(called) = called {
                field = field.with_metadata([(TYPE_KEY.to_owned(), called.to_owned())].into());
            }
            fields.push(field);
            arrays.push(array);
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(DataFusionError::from)?)
    }
}

fn array(kind: char, cells: Vec<&Cell>) -> ArrayRef {
    let number = |cell: &&Cell| match cell {
        Cell::Number(number) => Some(*number),
        _ => None,
    };
    let cells = cells.iter();
    match kind {
        'b' => Arc::new(BooleanArray::from_iter(cells.map(|cell| match cell {
            Cell::Bool(value) => Some(*value),
            _ => None,
        }))),
        'f' => Arc::new(Float32Array::from_iter(cells.map(|cell| match cell {
            Cell::Float(value) => Some(*value),
            _ => None,
        }))),
        'l' | 'p' => Arc::new(Int64Array::from_iter(cells.map(number))),
        'i' => Arc::new(Int32Array::from_iter(
            cells.map(|cell| i32::try_from(number(cell)?).ok()),
        )),
        's' => Arc::new(Int16Array::from_iter(
            cells.map(|cell| i16::try_from(number(cell)?).ok()),
        )),
        'd' => Arc::new(TimestampMicrosecondArray::from_iter(cells.map(number)).with_timezone("+00:00")),
        'L' | 'O' => numbers::<Int64Type>(cells, Some),
        'S' | 'V' => numbers::<Int16Type>(cells, |number| i16::try_from(number).ok()),
        'T' => {
            let mut builder = ListBuilder::new(StringBuilder::new());
            for cell in cells {
                match cell {
                    Cell::Texts(texts) => {
                        texts.iter().for_each(|text| builder.values().append_value(text));
                        builder.append(true);
                    }
                    _ => builder.append(false),
                }
            }
            Arc::new(builder.finish())
        }
        _ => Arc::new(StringArray::from_iter(cells.map(|cell| match cell {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        }))),
    }
}

fn numbers<'a, T: ArrowPrimitiveType>(
    cells: impl Iterator<Item = &'a &'a Cell>,
    of: impl Fn(i64) -> Option<T::Native>,
) -> ArrayRef {
    let mut builder = ListBuilder::new(PrimitiveBuilder::<T>::new());
    for cell in cells {
        match cell {
            Cell::Numbers(numbers) => {
                numbers
                    .iter()
                    .for_each(|number| builder.values().append_option(of(*number)));
                builder.append(true);
            }
            _ => builder.append(false),
        }
    }
    Arc::new(builder.finish())
}
