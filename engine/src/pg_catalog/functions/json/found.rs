//! What is found in documents: fields by their names, elements by their numbers.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::value::Json;
use super::{each, steps};
use crate::pg_catalog::functions::native::{Native, argument, number, numbers, text, texts};

pub(super) fn all() -> Vec<Native> {
    vec![
        got("pg_json_get", false),
        got("pg_json_get_text", true),
        path("pg_json_path", false),
        path("pg_json_path_text", true),
        path("json_extract_path", false),
        path("json_extract_path_text", true),
        path("jsonb_extract_path", false),
        path("jsonb_extract_path_text", true),
    ]
}

fn answer(json: &Json<'_>, as_text: bool) -> Option<String> {
    match as_text {
        true => json.shown(),
        false => Some(json.text.to_owned()),
    }
}

/// `->` and `->>`: a field by its name, an element by its number.
fn got(name: &str, as_text: bool) -> Native {
    Native::new(name, (2, 2), DataType::Utf8, move |arrays, rows| {
        let keys = argument(arrays, 1)?;
        if keys.data_type().is_integer() {
            let keys = numbers(keys)?;
            return each(argument(arrays, 0)?, rows, |row, json| {
                let found = number(&keys, row).and_then(|at| json.element(at));
                Ok(found.and_then(|found| answer(found, as_text)))
            });
        }
        let keys = texts(keys)?;
        each(argument(arrays, 0)?, rows, |row, json| {
            let found = text(&keys, row).and_then(|name| json.field(name));
            Ok(found.and_then(|found| answer(found, as_text)))
        })
    })
}

/// `#>` and `#>>`, and `json_extract_path` with its steps as arguments.
fn path(name: &str, as_text: bool) -> Native {
    let operator = name.starts_with("pg_");
    Native::new(name, (2, 100), DataType::Utf8, move |arrays, rows| {
        let (first, rest) = (argument(arrays, 0)?, arrays.get(1..).unwrap_or_default());
        let columns = match operator {
            true => Vec::new(),
            false => rest.iter().map(texts).collect::<Result<Vec<_>>>()?,
        };
        each(first, rows, |row, json| {
            let steps = match operator {
                true => steps(argument(arrays, 1)?, row)?,
                false => columns
                    .iter()
                    .map(|column| text(column, row).map(str::to_owned))
                    .collect(),
            };
            let Some(steps) = steps else {
                return Ok(None);
            };
            let mut at = Some(&json);
            for step in &steps {
                at = at.and_then(|at| at.step(step));
            }
            Ok(at.and_then(|found| answer(found, as_text)))
        })
    })
}
