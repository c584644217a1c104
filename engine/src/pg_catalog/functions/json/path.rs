//! SQL/JSON paths: `jsonb_path_query`, its like, `@?` and `@@`.

mod budget;
mod conditions;
mod evaluation;
mod item;
mod number;
mod parser;
mod pattern;
mod syntax;
mod words;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};

use self::budget::Budget;
use self::evaluation::{Evaluation, Failure, Found, VARIABLES};
use self::item::Item;
use self::parser::parse;
use self::syntax::Path;
use super::{as_text, canonical, read};
use crate::pg_catalog::functions::native::{Native, argument, strings, text, texts, truths};

/// Functions of a document, a path, the values of its variables, and whether errors are kept quiet; and the two operators, which have neither
/// of the latter and tell no errors.
pub(super) fn all() -> Vec<Native> {
    vec![
        truth("jsonb_path_exists", Asked::ByCall, exists),
        truth("jsonb_path_match", Asked::ByCall, matches),
        truth("pg_jsonb_path_exists", Asked::ByOperator, exists),
        truth("pg_jsonb_path_match", Asked::ByOperator, matches),
        document("jsonb_path_query_array", |found, budget| {
            listed(found, budget).map(Some)
        }),
        document("jsonb_path_query_first", |found, budget| {
            found.first().map(|item| shown(item, budget)).transpose()
        }),
        rows(),
    ]
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ByCall,
    ByOperator,
}

impl Asked {
    fn arguments(self) -> (usize, usize) {
        match self {
            Self::ByCall => (2, 4),
            Self::ByOperator => (2, 2),
        }
    }
}

type Answer<T> = fn(&Evaluation<'_>, bool) -> Result<Option<T>>;

fn truth(name: &str, asked: Asked, answer: Answer<bool>) -> Native {
    Native::new(name, asked.arguments(), DataType::Boolean, move |arrays, rows| {
        Ok(truths(each(arrays, rows, asked, &Budget::new(), answer)?.into_iter()))
    })
}

fn document(name: &str, answer: fn(&[Item], &Budget) -> Result<Option<String>>) -> Native {
    Native::new(name, (2, 4), DataType::Utf8, move |arrays, rows| {
        let budget = Budget::new();
        // Written at once, so that nothing of a document is kept once it was looked through.
        let found = each(
            arrays,
            rows,
            Asked::ByCall,
            &budget,
            |evaluation, silent| match collected(evaluation, silent)? {
                Some(items) => answer(&items, &budget),
                None => Ok(None),
            },
        )?;
        Ok(strings(found.into_iter()))
    })
}

/// The list of what is found, which is unnested where it is asked for.
fn rows() -> Native {
    let returns = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Native::new("pg_jsonb_path_query", (2, 4), returns, |arrays, rows| {
        let mut lists = ListBuilder::new(StringBuilder::new());
        let budget = Budget::new();
        let found = each(arrays, rows, Asked::ByCall, &budget, |evaluation, silent| {
            let items = collected(evaluation, silent)?.unwrap_or_default();
            let written = items.iter().map(|item| shown(item, &budget));
            Ok(Some(written.collect::<Result<Vec<_>>>()?))
        })?;
        for written in found {
            for item in written.unwrap_or_default() {
                lists.values().append_value(item);
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    })
}

fn shown(item: &Item, budget: &Budget) -> Result<String> {
    let mut out = String::new();
    match budget.write(item, &mut out) {
        Ok(()) => Ok(out),
        Err(message) => exec_err!("{message}"),
    }
}

/// All items as an array.
fn listed(items: &[Item], budget: &Budget) -> Result<String> {
    let mut out = String::from("[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        if let Err(message) = budget.write(item, &mut out) {
            return exec_err!("{message}");
        }
    }
    out.push(']');
    Ok(out)
}

/// Whether something is found. A lax path ends at the first, a strict one wants no error behind it.
fn exists(evaluation: &Evaluation<'_>, silent: bool) -> Result<Option<bool>> {
    let mut found = match evaluation.is_lax() {
        true => Found::first(),
        false => Found::all(),
    };
    match evaluation.run(silent, &mut found) {
        Ok(any) => Ok(Some(any)),
        Err(Failure::Quiet(_)) if silent => Ok(None),
        Err(Failure::Quiet(message) | Failure::Loud(message)) => exec_err!("{message}"),
    }
}

/// What is found; of a path that keeps quiet, before something went wrong.
fn collected(evaluation: &Evaluation<'_>, silent: bool) -> Result<Option<Vec<Item>>> {
    let mut found = Found::all();
    match evaluation.run(silent, &mut found) {
        Ok(_) => Ok(Some(found.items)),
        Err(Failure::Quiet(_)) if silent => Ok(Some(found.items)),
        Err(Failure::Quiet(message) | Failure::Loud(message)) => exec_err!("{message}"),
    }
}

/// The one truth that is found.
fn matches(evaluation: &Evaluation<'_>, silent: bool) -> Result<Option<bool>> {
    match collected(evaluation, silent)?.unwrap_or_default().as_slice() {
        [Item::Truth(truth)] => Ok(Some(*truth)),
        [Item::Null] => Ok(None),
        _ if silent => Ok(None),
        _ => exec_err!("single boolean result is expected"),
    }
}

/// Asks each row's document; null where an argument is.
fn each<T>(
    arrays: &[ArrayRef],
    rows: usize,
    asked: Asked,
    budget: &Budget,
    answer: impl Fn(&Evaluation<'_>, bool) -> Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let documents = texts(&as_text(argument(arrays, 0)?)?)?;
    let paths = texts(argument(arrays, 1)?)?;
    let variables = match arrays.get(2) {
        Some(given) => Some(texts(&as_text(given)?)?),
        None => None,
    };
    let silent = arrays.get(3).map(texts).transpose()?;
    let mut last: Option<(&str, Path)> = None;
    let mut found = Vec::with_capacity(rows);
    for row in 0..rows {
        let given = match &variables {
            Some(column) => text(column, row),
            None => Some("{}"),
        };
        let silent = match &silent {
            Some(column) => text(column, row).map(|truth| truth.starts_with('t')),
            None => Some(asked == Asked::ByOperator),
        };
        let (Some(document), Some(wanted), Some(given), Some(silent)) =
            (text(&documents, row), text(&paths, row), given, silent)
        else {
            found.push(None);
            continue;
        };
        // Mostly it is one path for all rows.
        let path = match last.take() {
            Some((same, path)) if same == wanted => path,
            _ => match parse(wanted) {
                Ok(path) => path,
                Err(message) => return exec_err!("{message}"),
            },
        };
        budget.next(document.len());
        let variables = match asked {
            Asked::ByCall => Some(object(given, budget)?),
            Asked::ByOperator => None,
        };
        let evaluation = Evaluation::new(&path, item(document, 0, budget)?, variables, budget);
        found.push(answer(&evaluation, silent)?);
        drop(evaluation);
        last = Some((wanted, path));
    }
    Ok(found)
}

/// A document in the one form of `jsonb`, its objects counted from here on.
fn item(document: &str, mut id: i64, budget: &Budget) -> Result<Item> {
    let document = canonical(&read(document)?);
    match Item::of(&read(&document)?, &mut id, budget) {
        Ok(item) => Ok(item),
        Err(message) => exec_err!("{message}"),
    }
}

/// The values of variables.
fn object(given: &str, budget: &Budget) -> Result<Item> {
    match item(given, VARIABLES, budget)? {
        found @ Item::Object(_) => Ok(found),
        _ => exec_err!("\"vars\" argument is not an object"),
    }
}

#[cfg(test)]
mod tests;
