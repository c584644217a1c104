//! JSON, which is text here: its operators and functions.

mod changed;
mod contained;
mod effort;
mod found;
mod made;
mod path;
mod rows;
mod value;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, LargeStringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};

use self::contained::Contained;
use self::made::json_of;
use self::value::{Json, Kind};
use super::native::{Native, argument, number, numbers, strings, text, texts, truths};

pub(super) fn all() -> Vec<Native> {
    let mut all = vec![
        parsed("pg_json", |json| json.text.to_owned()),
        parsed("pg_jsonb", canonical),
        document(),
        contains(),
        has(),
        has_keys("pg_json_has_any", false),
        has_keys("pg_json_has_all", true),
        without(),
    ];
    all.extend(found::all());
    all.extend(made::all());
    all.extend(rows::all());
    all.extend(changed::all());
    all.extend(path::all());
    for kind in ["json", "jsonb"] {
        all.push(described(&format!("{kind}_typeof")));
        all.push(length(&format!("{kind}_array_length")));
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

/// `@>`: whether a document holds all that another does.
fn contains() -> Native {
    Native::new("pg_json_contains", (2, 2), DataType::Boolean, |arrays, rows| {
        let (left, right) = (texts(argument(arrays, 0)?)?, texts(argument(arrays, 1)?)?);
        let contained = Contained::new();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&left, row), text(&right, row)) {
                (Some(left), Some(right)) => {
                    contained.next(left.len().saturating_add(right.len()));
                    Some(contained.contains(&read(left)?, &read(right)?)?)
                }
                _ => None,
            });
        }
        Ok(truths(found.into_iter()))
    })
}

fn has() -> Native {
    Native::new("pg_json_has", (2, 2), DataType::Boolean, |arrays, rows| {
        let (documents, names) = (texts(argument(arrays, 0)?)?, texts(argument(arrays, 1)?)?);
        let contained = Contained::new();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&documents, row), text(&names, row)) {
                (Some(document), Some(name)) => {
                    contained.next(document.len());
                    Some(contained.has(&read(document)?, name)?)
                }
                _ => None,
            });
        }
        Ok(truths(found.into_iter()))
    })
}

fn has_keys(name: &str, all: bool) -> Native {
    Native::new(name, (2, 2), DataType::Boolean, move |arrays, rows| {
        let documents = texts(argument(arrays, 0)?)?;
        let contained = Contained::new();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&documents, row), steps(argument(arrays, 1)?, row)?) {
                (Some(document), Some(names)) => {
                    let json = read(document)?;
                    contained.next(document.len());
                    let mut holds = all;
                    for name in &names {
                        if contained.has(&json, name)? != all {
                            holds = !all;
                            break;
                        }
                    }
                    Some(holds)
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
        for bad in [
            "{bad",
            "",
            "[1,]",
            "01",
            "\"\t\"",
            "1 2",
            "{\"a\"}",
            "nul",
            r#""\u+123""#,
        ] {
            assert!(Json::parse(bad).is_none(), "{bad}");
        }
    }

    // Goal: an object of many names is written as quickly as it is read, and each name with what was written last. Method: as many as
    // would take minutes if each were looked for among all, twice.
    #[test]
    fn many_names_are_written_at_once() {
        let fields = |value: &str| {
            (0..100_000)
                .map(|at| format!("\"k{at:06}\": {value}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let document = format!("{{{}, {}}}", fields("1"), fields("2"));
        let json = Json::parse(&document).expect("a document");
        assert_eq!(canonical(&json), format!("{{{}}}", fields("2")));
    }

    // Goal: a document that lies too deep in itself is refused, not a crash. Method: brackets without end.
    #[test]
    fn depth_has_an_end() {
        assert!(Json::parse(&"[".repeat(100_000)).is_none());
    }
}
