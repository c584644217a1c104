//! Documents that are made of others.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};

use super::value::{Json, Kind, quote};
use super::{as_text, canonical, each, read, steps};
use crate::pg_catalog::functions::native::{Native, argument, strings, text, texts};

pub(super) fn all() -> Vec<Native> {
    vec![
        stripped("json_strip_nulls", |json| {
            let mut out = String::new();
            laid_out(json, None, &mut out);
            out
        }),
        stripped("jsonb_strip_nulls", canonical),
        pretty(),
        concatenated(),
        set(),
    ]
}

fn stripped(name: &str, write: fn(&Json<'_>) -> String) -> Native {
    Native::new(name, (1, 1), DataType::Utf8, move |arrays, rows| {
        each(argument(arrays, 0)?, rows, |_, mut json| {
            strip(&mut json);
            Ok(Some(write(&json)))
        })
    })
}

/// Fields that are null go; elements stay.
fn strip(json: &mut Json<'_>) {
    match &mut json.kind {
        Kind::Object(fields) => {
            fields.retain(|(_, value)| !matches!(value.kind, Kind::Null));
            fields.iter_mut().for_each(|(_, value)| strip(value));
        }
        Kind::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn pretty() -> Native {
    Native::new("jsonb_pretty", (1, 1), DataType::Utf8, |arrays, rows| {
        each(argument(arrays, 0)?, rows, |_, json| {
            let (one_form, mut out) = (canonical(&json), String::new());
            laid_out(&read(&one_form)?, Some(0), &mut out);
            Ok(Some(out))
        })
    })
}

/// Each part on a line of its own, in a document that lies so deep in another; without a depth, without any space.
fn laid_out(json: &Json<'_>, depth: Option<usize>, out: &mut String) {
    let (open, close, parts): (char, char, Vec<(Option<&str>, &Json<'_>)>) = match &json.kind {
        Kind::Object(fields) => {
            let named = fields.iter().map(|(name, value)| (Some(name.as_str()), value));
            ('{', '}', named.collect())
        }
        Kind::Array(items) => ('[', ']', items.iter().map(|item| (None, item)).collect()),
        _ => return json.write(out),
    };
    let line = |more: usize, out: &mut String| {
        if let Some(depth) = depth {
            out.push('\n');
            out.push_str(&"    ".repeat(depth + more));
        }
    };
    out.push(open);
    for (at, (name, value)) in parts.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        line(1, out);
        if let Some(name) = name {
            quote(name, out);
            out.push_str(if depth.is_some() { ": " } else { ":" });
        }
        laid_out(value, depth.map(|depth| depth + 1), out);
    }
    line(0, out);
    out.push(close);
}

/// `jsonb || jsonb`: the fields of both objects, those of the second where both have them; of everything else the elements of both, a value
/// that is no array being the only one of its own.
fn concatenated() -> Native {
    Native::new("pg_jsonb_concat", (2, 2), DataType::Utf8, |arrays, rows| {
        let (left, right) = (
            texts(&as_text(argument(arrays, 0)?)?)?,
            texts(&as_text(argument(arrays, 1)?)?)?,
        );
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (text(&left, row), text(&right, row)) {
                (Some(left), Some(right)) => Some(canonical(&together(read(left)?, read(right)?))),
                _ => None,
            });
        }
        Ok(strings(found.into_iter()))
    })
}

fn together<'a>(left: Json<'a>, right: Json<'a>) -> Json<'a> {
    let kind = match (left.kind, right.kind) {
        (Kind::Object(mut fields), Kind::Object(more)) => {
            fields.extend(more);
            Kind::Object(fields)
        }
        (one, other) => {
            let mut items = items(one, left.text);
            items.extend(self::items(other, right.text));
            Kind::Array(items)
        }
    };
    Json { text: left.text, kind }
}

fn items<'a>(kind: Kind<'a>, text: &'a str) -> Vec<Json<'a>> {
    match kind {
        Kind::Array(items) => items,
        kind => vec![Json { text, kind }],
    }
}

/// `jsonb_set(document, path, value [, create])`.
fn set() -> Native {
    Native::new("jsonb_set", (3, 4), DataType::Utf8, |arrays, rows| {
        let documents = texts(&as_text(argument(arrays, 0)?)?)?;
        let values = texts(&as_text(argument(arrays, 2)?)?)?;
        let create = arrays.get(3).map(texts).transpose()?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let create = match &create {
                None => Some(true),
                Some(column) => text(column, row).map(|truth| truth.starts_with('t')),
            };
            let path = steps(argument(arrays, 1)?, row)?;
            found.push(match (text(&documents, row), path, text(&values, row), create) {
                (Some(document), Some(path), Some(value), Some(create)) => {
                    let one_form = canonical(&read(document)?);
                    let (mut json, value) = (read(&one_form)?, read(value)?);
                    if !path.is_empty() && !matches!(json.kind, Kind::Object(_) | Kind::Array(_)) {
                        return exec_err!("cannot set path in scalar");
                    }
                    put(&mut json, &path, 1, &value, create)?;
                    Some(canonical(&json))
                }
                _ => None,
            });
        }
        Ok(strings(found.into_iter()))
    })
}

/// Puts a value where a path leads; nowhere, if a step before the last one leads nowhere. `place` is the step's, for who reads the error.
fn put<'a>(json: &mut Json<'a>, path: &[String], place: usize, value: &Json<'a>, create: bool) -> Result<()> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(());
    };
    match &mut json.kind {
        Kind::Object(fields) => match fields.iter_mut().find(|(name, _)| name == step) {
            Some((_, found)) if rest.is_empty() => *found = value.clone(),
            Some((_, found)) => put(found, rest, place + 1, value, create)?,
            None if rest.is_empty() && create => fields.push((step.clone(), value.clone())),
            None => {}
        },
        Kind::Array(items) => {
            let Ok(number) = step.parse::<i64>() else {
                return exec_err!("path element at position {place} is not an integer: \"{step}\"");
            };
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let at = if number < 0 { number + length } else { number };
            let found = usize::try_from(at).ok().and_then(|at| items.get_mut(at));
            match found {
                Some(found) if rest.is_empty() => *found = value.clone(),
                Some(found) => put(found, rest, place + 1, value, create)?,
                None if rest.is_empty() && create => {
                    let end = if at < 0 { 0 } else { items.len() };
                    items.insert(end, value.clone());
                }
                None => {}
            }
        }
        _ => {}
    }
    Ok(())
}
