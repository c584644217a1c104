//! A value by which rows that are near each other in several columns at once come near each other in a file.
//!
//! The bits of the columns' values take turns (Morton 1966), as in Spark's `zorder`. So a file of many covers a small range of each
//! column, where a plain sort does so for the first column only.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// Bytes of each column's value that count: whether it is null, and eight more, which is a whole number or the first eight bytes of
/// a text.
const COLUMN_BYTES: usize = 9;

/// `zorder(a, b, …)`: binary, never null.
pub(crate) fn zorder() -> ScalarUDF {
    ScalarUDF::new_from_impl(ZOrder {
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ZOrder {
    signature: Signature,
}

impl ScalarUDFImpl for ZOrder {
    fn name(&self) -> &str {
        "zorder"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let encoded = columns.iter().map(ordered).collect::<Result<Vec<_>>>()?;
        let width = COLUMN_BYTES * encoded.len();
        let mut values = BinaryBuilder::with_capacity(args.number_rows, args.number_rows * width);
        let mut value = vec![0; width];
        for row in 0..args.number_rows {
            value.fill(0);
            for (column, rows) in encoded.iter().enumerate() {
                spread(rows.row(row).as_ref(), column, encoded.len(), &mut value);
            }
            values.append_value(&value);
        }
        Ok(ColumnarValue::Array(Arc::new(values.finish())))
    }
}

/// Bytes that compare as the values do.
fn ordered(column: &ArrayRef) -> Result<Rows> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(column))?)
}

/// Sets the bits of one column: every `columns`-th of the value, from its own on.
fn spread(bytes: &[u8], column: usize, columns: usize, value: &mut [u8]) {
    for (at, byte) in bytes.iter().take(COLUMN_BYTES).enumerate() {
        for bit in 0..8 {
            if byte & (0x80 >> bit) != 0 {
                let place = (at * 8 + bit) * columns + column;
                if let Some(target) = value.get_mut(place / 8) {
                    *target |= 0x80 >> (place % 8);
                }
            }
        }
    }
}
