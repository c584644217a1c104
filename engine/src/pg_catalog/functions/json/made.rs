//! Documents that are made of values.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StructArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};

use super::value::{Json, quote};
use super::{canonical, read};
use crate::pg_catalog::functions::native::{Native, argument, strings};
use crate::pg_catalog::functions::output::written;

pub(super) fn all() -> Vec<Native> {
    let mut all = vec![
        listed("pg_json_list", false),
        listed("pg_jsonb_list", true),
        row_to_json(),
    ];
    for kind in ["json", "jsonb"] {
        all.push(of_value(&format!("to_{kind}"), kind == "jsonb"));
        all.push(built(&format!("{kind}_build_array"), kind == "jsonb", false));
        all.push(built(&format!("{kind}_build_object"), kind == "jsonb", true));
    }
    all
}

/// `to_json(x)`.
fn of_value(name: &str, canonical_form: bool) -> Native {
    Native::new(name, (1, 1), DataType::Utf8, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match array.is_null(row) {
                true => None,
                false => {
                    let mut out = String::new();
                    json_of(array, row, &mut out)?;
                    Some(match canonical_form {
                        true => canonical(&read(&out)?),
                        false => out,
                    })
                }
            });
        }
        Ok(strings(found.into_iter()))
    })
}

/// `row_to_json(row)`.
fn row_to_json() -> Native {
    of_value("row_to_json", false).returning(|types| match types {
        [DataType::Struct(_)] => Ok(DataType::Utf8),
        _ => plan_err!("row_to_json takes a row"),
    })
}

/// A list as `json_agg` writes it: what has parts begins on a line of its own.
fn listed(name: &str, canonical_form: bool) -> Native {
    Native::new(name, (1, 1), DataType::Utf8, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        let Some(lists) = array.as_list_opt::<i32>() else {
            return exec_err!("a list is wanted, not {}", array.data_type());
        };
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            if lists.is_null(row) {
                found.push(None);
                continue;
            }
            let items = lists.value(row);
            let has_parts = items.data_type().is_nested();
            let mut out = String::from("[");
            for at in 0..items.len() {
                if at > 0 {
                    out.push_str(if has_parts { ", \n " } else { ", " });
                }
                json_of(&items, at, &mut out)?;
            }
            out.push(']');
            found.push(Some(match canonical_form {
                true => canonical(&read(&out)?),
                false => out,
            }));
        }
        Ok(strings(found.into_iter()))
    })
}

/// A value as JSON.
pub(super) fn json_of(array: &ArrayRef, row: usize, out: &mut String) -> Result<()> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.push_str("null");
        return Ok(());
    }
    if let Some(documents) = array.as_any().downcast_ref::<LargeStringArray>() {
        let document = documents.value(row);
        // A text that somebody made one of this type is none.
        match Json::parse(document) {
            Some(_) => out.push_str(document),
            None => quote(document, out),
        }
        return Ok(());
    }
    if let Some(fields) = array.as_any().downcast_ref::<StructArray>() {
        out.push('{');
        let unnamed = fields
            .column_names()
            .iter()
            .enumerate()
            .all(|(at, name)| *name == format!("c{at}"));
        for (at, (name, column)) in fields.column_names().into_iter().zip(fields.columns()).enumerate() {
            if at > 0 {
                out.push(',');
            }
            match unnamed {
                // The parts of a row that was written out.
                true => quote(&format!("f{}", at + 1), out),
                false => quote(name, out),
            }
            out.push(':');
            json_of(column, row, out)?;
        }
        out.push('}');
        return Ok(());
    }
    if let Some(lists) = array.as_list_opt::<i32>() {
        let items = lists.value(row);
        out.push('[');
        for at in 0..items.len() {
            if at > 0 {
                out.push(',');
            }
            json_of(&items, at, out)?;
        }
        out.push(']');
        return Ok(());
    }
    let of = array.data_type();
    let value = written(&array.slice(row, 1), None, ["true", "false"])?.pop().flatten();
    let value = match of {
        DataType::Timestamp(_, zone) => value.map(|value| {
            let offset = value.rfind(['+', '-']).and_then(|at| value.get(at..));
            let hours_alone = zone.is_some() && offset.is_some_and(|offset| !offset.contains(':'));
            value.replacen(' ', "T", 1) + if hours_alone { ":00" } else { "" }
        }),
        _ => value,
    };
    let value = value.unwrap_or_default();
    let is_number = of.is_numeric() && value.bytes().all(|byte| !byte.is_ascii_alphabetic() || byte == b'e');
    match is_number || *of == DataType::Boolean {
        true => out.push_str(&value),
        false => quote(&value, out),
    }
    Ok(())
}

/// `json_build_object('a', 1)` and `json_build_array(1, 'a')`.
fn built(name: &str, canonical_form: bool, object: bool) -> Native {
    Native::new(name, (0, usize::MAX), DataType::Utf8, move |arrays, rows| {
        if object && !arrays.len().is_multiple_of(2) {
            return exec_err!("argument list must have even number of elements");
        }
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut out = String::from(if object { "{" } else { "[" });
            for (at, array) in arrays.iter().enumerate() {
                let name = object && at % 2 == 0;
                match (at, object && at % 2 == 1) {
                    (0, _) => {}
                    (_, true) => out.push_str(" : "),
                    _ => out.push_str(", "),
                }
                match name {
                    false => json_of(array, row, &mut out)?,
                    true => {
                        let name = written(&array.slice(row, 1), None, ["true", "false"])?.pop().flatten();
                        match name {
                            Some(name) => quote(&name, &mut out),
                            None => return exec_err!("null value not allowed for object key"),
                        }
                    }
                }
            }
            out.push(if object { '}' } else { ']' });
            found.push(Some(match canonical_form {
                true => canonical(&read(&out)?),
                false => out,
            }));
        }
        Ok(strings(found.into_iter()))
    })
}
