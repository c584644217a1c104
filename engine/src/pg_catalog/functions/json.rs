//! JSON, which is text here: its operators and functions.

mod changed;
mod rows;
mod value;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, LargeStringArray, StructArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};

use self::value::{Json, Kind, quote};
use super::native::{Native, argument, number, numbers, strings, text, texts, truths};
use super::output::written;

pub(super) fn all() -> Vec<Native> {
    let mut all = vec![
        parsed("pg_json", |json| json.text.to_owned()),
        parsed("pg_jsonb", canonical),
        document(),
        listed("pg_json_list", false),
        listed("pg_jsonb_list", true),
        got("pg_json_get", false),
        got("pg_json_get_text", true),
        path("pg_json_path", false),
        path("pg_json_path_text", true),
        truth("pg_json_contains", |json, other| Ok(json.contains(&other))),
        has(),
        has_keys("pg_json_has_any", false),
        has_keys("pg_json_has_all", true),
        without(),
    ];
    all.push(row_to_json());
    all.extend(rows::all());
    all.extend(changed::all());
    for kind in ["json", "jsonb"] {
        all.push(described(&format!("{kind}_typeof")));
        all.push(length(&format!("{kind}_array_length")));
        all.push(path(&format!("{kind}_extract_path"), false));
        all.push(path(&format!("{kind}_extract_path_text"), true));
        all.push(of_value(&format!("to_{kind}"), kind == "jsonb"));
        all.push(built(&format!("{kind}_build_array"), kind == "jsonb", false));
        all.push(built(&format!("{kind}_build_object"), kind == "jsonb", true));
    }
    all
}

fn canonical(json: &Json<'_>) -> String {
    let mut out = String::new();
    json.write(&mut out);
    out
}

fn read(text: &str) -> Result<Json<'_>> {
    match Json::parse(text) {
        Some(json) => Ok(json),
        None => exec_err!("Cannot parse as json: invalid input syntax for type json"),
    }
}

/// Each row's document, changed; null where it is null or the change says so.
fn each(array: &ArrayRef, rows: usize, change: impl Fn(usize, Json<'_>) -> Result<Option<String>>) -> Result<ArrayRef> {
    let documents = texts(&as_text(array)?)?;
    let mut found = Vec::with_capacity(rows);
    for row in 0..rows {
        found.push(match text(&documents, row) {
            Some(document) => change(row, read(document)?)?,
            None => None,
        });
    }
    Ok(strings(found.into_iter()))
}

/// Structs and lists as the JSON that clients are shown.
fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            let values = (0..array.len()).map(|row| {
                if array.is_null(row) {
                    return Ok(None);
                }
                let mut out = String::new();
                json_of(array, row, &mut out)?;
                Ok(Some(out))
            });
            Ok(strings(values.collect::<Result<Vec<_>>>()?.into_iter()))
        }
        _ => Ok(Arc::clone(array)),
    }
}

fn parsed(name: &str, change: fn(&Json<'_>) -> String) -> Native {
    Native::new(name, (1, 1), DataType::Utf8, move |arrays, rows| {
        each(argument(arrays, 0)?, rows, |_, json| Ok(Some(change(&json))))
    })
}

/// A text that is JSON, for functions that make more of it. They know it by its type, which nothing else has here.
fn document() -> Native {
    Native::new("pg_document", (1, 1), DataType::LargeUtf8, |arrays, rows| {
        let documents = texts(&as_text(argument(arrays, 0)?)?)?;
        let found = (0..rows).map(|row| match text(&documents, row) {
            Some(document) => read(document).map(|json| Some(json.text.to_owned())),
            None => Ok(None),
        });
        Ok(Arc::new(found.collect::<Result<LargeStringArray>>()?))
    })
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

/// The texts of an array, or of one written as `{a,b}`.
fn steps(array: &ArrayRef, row: usize) -> Result<Option<Vec<String>>> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        if lists.is_null(row) {
            return Ok(None);
        }
        let items = texts(&lists.value(row))?;
        return Ok((0..items.len())
            .map(|at| text(&items, at).map(str::to_owned))
            .collect::<Option<Vec<_>>>());
    }
    let literal = texts(array)?;
    let Some(literal) = text(&literal, row) else {
        return Ok(None);
    };
    let inner = literal
        .trim()
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'));
    let Some(inner) = inner else {
        return exec_err!("Cannot parse {literal:?} as an array");
    };
    let steps = inner.split(',').map(|step| step.trim().trim_matches('"').to_owned());
    Ok(Some(steps.filter(|_| !inner.is_empty()).collect()))
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

/// A condition on two documents.
fn truth(name: &str, holds: fn(&Json<'_>, Json<'_>) -> Result<bool>) -> Native {
    Native::new(name, (2, 2), DataType::Boolean, move |arrays, rows| {
        let (left, right) = (texts(argument(arrays, 0)?)?, texts(argument(arrays, 1)?)?);
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&left, row), text(&right, row)) {
                (Some(left), Some(right)) => Some(holds(&read(left)?, read(right)?)?),
                _ => None,
            });
        }
        Ok(truths(found.into_iter()))
    })
}

/// Whether an object has a field of a name, or an array such a text.
fn has_key(json: &Json<'_>, name: &str) -> bool {
    match &json.kind {
        Kind::Object(_) => json.field(name).is_some(),
        Kind::Array(items) => items
            .iter()
            .any(|item| matches!(&item.kind, Kind::Text(text) if text == name)),
        Kind::Text(text) => text == name,
        _ => false,
    }
}

fn has() -> Native {
    Native::new("pg_json_has", (2, 2), DataType::Boolean, |arrays, rows| {
        let (documents, names) = (texts(argument(arrays, 0)?)?, texts(argument(arrays, 1)?)?);
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&documents, row), text(&names, row)) {
                (Some(document), Some(name)) => Some(has_key(&read(document)?, name)),
                _ => None,
            });
        }
        Ok(truths(found.into_iter()))
    })
}

fn has_keys(name: &str, all: bool) -> Native {
    Native::new(name, (2, 2), DataType::Boolean, move |arrays, rows| {
        let documents = texts(argument(arrays, 0)?)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&documents, row), steps(argument(arrays, 1)?, row)?) {
                (Some(document), Some(names)) => {
                    let json = read(document)?;
                    Some(match all {
                        true => names.iter().all(|name| has_key(&json, name)),
                        false => names.iter().any(|name| has_key(&json, name)),
                    })
                }
                _ => None,
            });
        }
        Ok(truths(found.into_iter()))
    })
}

/// `jsonb - key`: without a field or element.
fn without() -> Native {
    Native::new("pg_json_without", (2, 2), DataType::Utf8, |arrays, rows| {
        let keys = argument(arrays, 1)?;
        let position = keys.data_type().is_integer();
        let keys = if position { numbers(keys)? } else { texts(keys)? };
        each(argument(arrays, 0)?, rows, |row, mut json| {
            match &mut json.kind {
                Kind::Array(items) if position => {
                    let length = i64::try_from(items.len()).unwrap_or_default();
                    let at = number(&keys, row).map(|at| if at < 0 { at + length } else { at });
                    if let Some(at) = at
                        .and_then(|at| usize::try_from(at).ok())
                        .filter(|at| *at < items.len())
                    {
                        items.remove(at);
                    }
                }
                Kind::Object(_) if position => return exec_err!("cannot delete from object using integer index"),
                Kind::Array(items) => {
                    let name = text(&keys, row);
                    items.retain(|item| !matches!(&item.kind, Kind::Text(text) if Some(text.as_str()) == name));
                }
                Kind::Object(fields) => {
                    let name = text(&keys, row);
                    fields.retain(|(field, _)| Some(field.as_str()) != name);
                }
                _ => return exec_err!("cannot delete from scalar"),
            }
            Ok(Some(canonical(&json)))
        })
    })
}

fn described(name: &str) -> Native {
    Native::new(name, (1, 1), DataType::Utf8, |arrays, rows| {
        each(argument(arrays, 0)?, rows, |_, json| {
            Ok(Some(json.type_name().to_owned()))
        })
    })
}

fn length(name: &str) -> Native {
    Native::new(name, (1, 1), DataType::Int32, |arrays, rows| {
        let documents = texts(&as_text(argument(arrays, 0)?)?)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match text(&documents, row) {
                None => None,
                Some(document) => match read(document)?.kind {
                    Kind::Array(items) => i32::try_from(items.len()).ok(),
                    _ => return exec_err!("cannot get array length of a non-array"),
                },
            });
        }
        Ok(Arc::new(Int32Array::from(found)))
    })
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
fn json_of(array: &ArrayRef, row: usize, out: &mut String) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: documents are read and written as PostgreSQL 15 does. Method: what it said for each of these.
    #[test]
    fn documents_are_read_and_written() {
        let document = r#"{"b": {"c": [10, 20,  30]}, "a": 1, "d": null, "e": "te\u0041\n", "a": 2, "f": 1.50}"#;
        let json = Json::parse(document).expect("a document");
        assert_eq!(
            canonical(&json),
            r#"{"a": 2, "b": {"c": [10, 20, 30]}, "d": null, "e": "teA\n", "f": 1.50}"#
        );
        assert_eq!(json.field("a").and_then(Json::shown).as_deref(), Some("2"));
        assert_eq!(json.field("e").and_then(Json::shown).as_deref(), Some("teA\n"));
        assert_eq!(json.field("d").and_then(Json::shown), None);
        let list = json.step("b").and_then(|b| b.step("c")).expect("a list");
        assert_eq!(list.text, "[10, 20,  30]");
        assert_eq!(list.step("-1").and_then(Json::shown).as_deref(), Some("30"));
        for bad in ["{bad", "", "[1,]", "01", "\"\t\"", "1 2", "{\"a\"}", "nul"] {
            assert!(Json::parse(bad).is_none(), "{bad}");
        }
        let holds = |left: &str, right: &str| {
            Json::parse(left)
                .expect("left")
                .contains(&Json::parse(right).expect("right"))
        };
        assert!(holds(r#"{"a": 1, "b": [1, 2]}"#, r#"{"b": [2]}"#));
        assert!(holds("[1, null]", "1"));
        assert!(!holds(r#"{"a": 1}"#, "[1]"));
        assert!(!holds("[[1]]", "[1]"));
    }

    // Goal: a document that lies too deep in itself is refused, not a crash. Method: brackets without end.
    #[test]
    fn depth_has_an_end() {
        assert!(Json::parse(&"[".repeat(100_000)).is_none());
    }
}
