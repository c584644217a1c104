//! Values of types that texts stand for: decimals, bytes, uuids.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Datum, FixedSizeBinaryBuilder, Int64Array, ListArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::kernels::numeric as numeric_kernels;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::Operator;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::scalar::ScalarValue;

use super::native::{Native, argument, strings, text, texts};
use crate::functions::wide::strictly;
use crate::pg_catalog::{byte_text, types};

/// Digits of decimals that come of texts and of floating-point numbers.
const DIGITS: DataType = DataType::Decimal128(38, 10);

pub(super) fn all() -> Vec<Native> {
    vec![
        numeric(),
        bytea(),
        uuid(),
        type_of(),
        expanded(),
        Native::constant("txid_current", ScalarValue::Int64(Some(1))),
        Native::constant("pg_is_in_recovery", ScalarValue::Boolean(Some(false))),
        Native::constant("inet_server_addr", ScalarValue::Utf8(None)),
        Native::constant("inet_client_addr", ScalarValue::Utf8(None)),
        size_pretty(),
        whole("pg_int_plus", Operator::Plus, |left, right| {
            numeric_kernels::add(left, right)
        }),
        whole("pg_int_minus", Operator::Minus, |left, right| {
            numeric_kernels::sub(left, right)
        }),
        whole("pg_int_times", Operator::Multiply, |left, right| {
            numeric_kernels::mul(left, right)
        }),
    ]
}

/// An operator of whole numbers whose answer must not be out of range. The planner chooses it by the first part of a union and the first
/// branch of a `CASE`: of numbers that a later one makes wider it is the operator of these.
fn whole(
    name: &str,
    of: Operator,
    operator: impl Fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> + Send + Sync + 'static,
) -> Native {
    Native::new(name, (2, 2), DataType::Int64, move |arrays, _| {
        let (left, right) = (argument(arrays, 0)?, argument(arrays, 1)?);
        let (sides, found) = reckoned(&[left.data_type().clone(), right.data_type().clone()], of)?;
        let (left, right) = (strictly(left, &sides.0)?, strictly(right, &sides.1)?);
        strictly(&operator(&left, &right)?, &found)
    })
    .returning(move |arguments| Ok(reckoned(arguments, of)?.1))
}

/// The types that both sides of such an operator are reckoned with in, and that of its answer.
fn reckoned(arguments: &[DataType], of: Operator) -> Result<((DataType, DataType), DataType)> {
    let same = |of: DataType| ((of.clone(), of.clone()), of);
    match arguments {
        [left, right] if left.is_floating() || right.is_floating() => Ok(same(DataType::Float64)),
        [left, right] if left.is_decimal() || right.is_decimal() => {
            let types = BinaryTypeCoercer::new(left, &of, right);
            Ok((types.get_input_types()?, types.get_result_type()?))
        }
        _ => Ok(same(whole_of(arguments))),
    }
}

/// The type of an operator of whole numbers: the larger of its sides.
fn whole_of(arguments: &[DataType]) -> DataType {
    let bits = arguments.iter().map(|of| match of {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => 16,
        DataType::UInt16 | DataType::Int32 => 32,
        _ => 64,
    });
    match bits.max() {
        Some(16) => DataType::Int16,
        Some(32) => DataType::Int32,
        _ => DataType::Int64,
    }
}

/// `x::numeric`: with as many digits as it has.
fn numeric() -> Native {
    Native::new("pg_numeric", (1, 1), DIGITS, |arrays, _| {
        let array = argument(arrays, 0)?;
        strictly(array, &numeric_of(array.data_type()))
    })
    .returning(|arguments| Ok(arguments.first().map_or(DIGITS, numeric_of)))
}

fn numeric_of(of: &DataType) -> DataType {
    match of {
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            of.clone()
        }
        of if of.is_integer() => DataType::Decimal128(20, 0),
        _ => DIGITS,
    }
}

/// `'\x00ff'::bytea`.
fn bytea() -> Native {
    Native::new("pg_bytea", (1, 1), DataType::Binary, |arrays, rows| {
        let array = argument(arrays, 0)?;
        if !matches!(
            array.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ) {
            return strictly(array, &DataType::Binary);
        }
        let texts = texts(array)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match text(&texts, row) {
                None => None,
                Some(text) => match byte_text::read(text) {
                    Some(bytes) => Some(bytes),
                    None => return exec_err!("Cannot parse {text:?} as bytea"),
                },
            });
        }
        Ok(Arc::new(found.iter().map(Option::as_deref).collect::<BinaryArray>()))
    })
}

/// `'…'::uuid`.
fn uuid() -> Native {
    Native::new("pg_uuid", (1, 1), DataType::FixedSizeBinary(16), |arrays, rows| {
        let array = argument(arrays, 0)?;
        if matches!(array.data_type(), DataType::FixedSizeBinary(16)) {
            return Ok(Arc::clone(array));
        }
        let texts = texts(array)?;
        let mut builder = FixedSizeBinaryBuilder::new(16);
        for row in 0..rows {
            match text(&texts, row) {
                None => builder.append_null(),
                Some(text) => {
                    let digits: String = text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
                    match byte_text::hex(&digits).filter(|bytes| bytes.len() == 16) {
                        Some(bytes) => builder.append_value(bytes)?,
                        None => return exec_err!("Cannot parse {text:?} as uuid"),
                    }
                }
            }
        }
        Ok(Arc::new(builder.finish()))
    })
}

fn type_of() -> Native {
    Native::new("pg_typeof", (1, 1), DataType::Utf8, |arrays, rows| {
        let oid = types::oid(argument(arrays, 0)?.data_type());
        let name = types::formatted(oid, -1);
        Ok(strings((0..rows).map(|_| name.clone())))
    })
}

/// `information_schema._pg_expandarray`: elements with their places.
fn expanded() -> Native {
    let fields = || {
        Fields::from(vec![
            Field::new("x", DataType::Int64, true),
            Field::new("n", DataType::Int64, true),
        ])
    };
    let item = move || Arc::new(Field::new_list_field(DataType::Struct(fields()), true));
    let returns = DataType::List(item());
    Native::new("pg_expandarray", (1, 1), returns, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        let Some(lists) = array.as_list_opt::<i32>() else {
            return plan_err!("pg_expandarray takes an array");
        };
        let (mut places, mut values, mut offsets) = (Vec::new(), Vec::new(), vec![0_i32]);
        for row in 0..rows {
            if !lists.is_null(row) {
                let items = super::native::numbers(&lists.value(row))?;
                for at in 0..items.len() {
                    values.push(super::native::number(&items, at));
                    places.push(i64::try_from(at + 1).ok());
                }
            }
            offsets.push(i32::try_from(values.len()).unwrap_or(i32::MAX));
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(values)), Arc::new(Int64Array::from(places))];
        let items = StructArray::try_new(fields(), columns, None)?;
        let offsets = OffsetBuffer::new(offsets.into());
        let list = ListArray::try_new(item(), offsets, Arc::new(items), None)?;
        Ok(Arc::new(list))
    })
}

fn size_pretty() -> Native {
    Native::new("pg_size_pretty", (1, 1), DataType::Utf8, |arrays, rows| {
        let sizes = super::native::numbers(argument(arrays, 0)?)?;
        let pretty = |bytes: i64| {
            let units = [
                ("bytes", 10 * 1024),
                ("kB", 20 * 1024),
                ("MB", 20 * 1024),
                ("GB", 20 * 1024),
                ("TB", i64::MAX),
            ];
            let mut size = bytes;
            for (at, (unit, end)) in units.iter().enumerate() {
                if size.abs() < *end || at + 1 == units.len() {
                    let shown = if at == 0 { size } else { (size + 1) / 2 };
                    return format!("{shown} {unit}");
                }
                // Halves are kept until the last, for rounding.
                size /= if at == 0 { 512 } else { 1024 };
            }
            format!("{bytes} bytes")
        };
        Ok(strings(
            (0..rows).map(|row| super::native::number(&sizes, row).map(pretty)),
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::pg_catalog::Postgres;
    use crate::testing::{Lake, lines};
    use crate::{Class, SessionOptions};

    // Goal: whole numbers beside wider ones are reckoned with as these. Method: each operator over unions and branches of which only a later
    // part tells the type.
    #[tokio::test]
    async fn wider_numbers_keep_their_fractions() {
        let lake = Lake::new();
        let options = SessionOptions {
            postgres: Some(Arc::new(Postgres::default())),
            ..SessionOptions::default()
        };
        let session = lake.engine.session(Class::Interactive, &options);
        let union = "(SELECT 1 AS x UNION ALL SELECT 2.5) AS u";
        let floats = "(SELECT 1 AS x UNION ALL SELECT CAST(2.5 AS double precision)) AS u";
        let branches = "(CASE WHEN v.n > 1 THEN 1 ELSE 2.5 END)";
        for (sql, rows) in [
            (format!("SELECT x + 1 AS y FROM {union}"), vec!["2.0", "3.5"]),
            (format!("SELECT 1 - x AS y FROM {union}"), vec!["-1.5", "0.0"]),
            (format!("SELECT x * 2 AS y FROM {floats}"), vec!["2.0", "5.0"]),
            (format!("SELECT x FROM {union} WHERE x + 1 > 3"), vec!["2.5"]),
            (
                format!("SELECT {branches} + 1 AS y FROM (VALUES (1), (2)) AS v (n)"),
                vec!["2.0", "3.5"],
            ),
            (
                "SELECT x + 1 AS y FROM (SELECT 1 AS x UNION ALL SELECT 2) AS u".to_owned(),
                vec!["2", "3"],
            ),
        ] {
            let plan = lake.engine.plan(&session, &sql).await.expect(&sql);
            let told = plan.schema().field(0).data_type().clone();
            let frame = session.execute_logical_plan(plan).await.expect(&sql);
            let found = frame.collect().await.expect(&sql);
            assert!(
                found.iter().all(|rows| *rows.schema().field(0).data_type() == told),
                "{sql}"
            );
            assert_eq!(lines(&found), rows, "{sql}");
        }
    }
}
