//! `text LIKE ANY (array)`.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, StringArray};
use datafusion::arrow::compute::kernels::comparison::{ilike, like, nilike, nlike};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::plan_err;

use super::native::{Native, argument, text, texts, truths};

type Like = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

/// Of a text, an array of patterns, and whether capitals are as small letters and whether those count that it is not like.
pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("pg_like_any", (4, 4), DataType::Boolean, |arrays, rows| {
            let values = texts(argument(arrays, 0)?)?;
            let lists = argument(arrays, 1)?.as_list::<i32>();
            let like: Like = match (told(argument(arrays, 2)?), told(argument(arrays, 3)?)) {
                (false, false) => like,
                (false, true) => nlike,
                (true, false) => ilike,
                (true, true) => nilike,
            };
            let mut found = Vec::with_capacity(rows);
            for row in 0..rows {
                if lists.is_null(row) {
                    found.push(None);
                    continue;
                }
                let patterns = texts(&lists.value(row))?;
                found.push(match text(&values, row) {
                    // Among none is no such one, whatever the text.
                    _ if patterns.is_empty() => Some(false),
                    None => None,
                    Some(value) => any(&like(&StringArray::new_scalar(value), &patterns)?),
                });
            }
            Ok(truths(found.into_iter()))
        })
        .returning(|types| match types {
            [value, DataType::List(pattern), DataType::Boolean, DataType::Boolean]
                if is_text(value) && is_text(pattern.data_type()) =>
            {
                Ok(DataType::Boolean)
            }
            _ => plan_err!("LIKE ANY takes a text and an array of texts"),
        }),
    ]
}

fn is_text(of: &DataType) -> bool {
    of.is_string() || *of == DataType::Null
}

/// What a constant says.
fn told(constant: &ArrayRef) -> bool {
    let truths = constant.as_boolean_opt();
    truths.is_some_and(|truths| !truths.is_empty() && truths.value(0))
}

/// Whether one of these is true; unknown where none is and one is unknown.
fn any(truths: &BooleanArray) -> Option<bool> {
    match truths.true_count() {
        0 if truths.null_count() > 0 => None,
        count => Some(count > 0),
    }
}
