//! The arguments of a procedure: by name, or in its own order.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use crate::error::{EngineError, Result};
use crate::sql::{Call, literal};

/// Given arguments by name.
#[derive(Debug)]
pub(super) struct Arguments {
    procedure: String,
    given: BTreeMap<String, Expr>,
    /// Those that are null.
    nulls: BTreeSet<String>,
}

impl Arguments {
    /// Those of a call, of which the procedure knows these, and does not take some.
    pub(super) fn of(call: &Call, known: &[&str], not_taken: &[(&str, &str)]) -> Result<Self> {
        let refused = |reason: String| EngineError::statement(format!("{}: {reason}", call.procedure));
        if call.positional.len() > known.len() {
            return Err(refused(format!(
                "it takes at most {} arguments: {}",
                known.len(),
                known.join(", ")
            )));
        }
        let mut given: BTreeMap<String, Expr> = BTreeMap::new();
        for (name, value) in known.iter().zip(&call.positional) {
            given.insert((*name).to_owned(), value.clone());
        }
        for (name, value) in &call.named {
            if !known.contains(&name.as_str()) {
                let is_taken = |name: &&&str| !not_taken.iter().any(|(other, _)| other == *name);
                let taken: Vec<&str> = known.iter().filter(is_taken).copied().collect();
                return Err(EngineError::NotTaken {
                    procedure: call.procedure.clone(),
                    what: format!("argument {name:?}"),
                    advice: format!("it takes {}", taken.join(", ")),
                });
            }
            if given.insert(name.clone(), value.clone()).is_some() {
                return Err(refused(format!("argument {name:?} is given twice")));
            }
        }
        // As in Spark: by its place an argument can only be left out so.
        let (nulls, given): (BTreeMap<_, _>, BTreeMap<_, _>) = given.into_iter().partition(|(_, value)| is_null(value));
        if let Some((name, advice)) = not_taken.iter().find(|(name, _)| given.contains_key(*name)) {
            return Err(EngineError::NotTaken {
                procedure: call.procedure.clone(),
                what: format!("argument {name:?}"),
                advice: (*advice).to_owned(),
            });
        }
        Ok(Self {
            procedure: call.procedure.clone(),
            given,
            nulls: nulls.into_keys().collect(),
        })
    }

    fn refused(&self, name: &str, wanted: &str) -> EngineError {
        EngineError::statement(format!("{}: argument {name:?} is to be {wanted}", self.procedure))
    }

    /// Text that may be left out.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.given.get(name) else {
            return Ok(None);
        };
        literal(value).map(Some).ok_or_else(|| self.refused(name, "a literal"))
    }

    /// Text that must be given.
    pub(super) fn required(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| self.refused(name, "given"))
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let parsed = self
            .text(name)?
            .map(|text| text.parse().map_err(|_| self.refused(name, "a whole number")));
        parsed.transpose()
    }

    /// A whole number that must be given.
    pub(super) fn required_integer(&self, name: &str) -> Result<i64> {
        self.integer(name)?.ok_or_else(|| self.refused(name, "given"))
    }

    /// A whole number, 1 at least.
    pub(super) fn count(&self, name: &str) -> Result<Option<i64>> {
        match self.integer(name)? {
            Some(number) if number < 1 => Err(self.refused(name, "1 at least")),
            number => Ok(number),
        }
    }

    /// `array(1, 2)`.
    pub(super) fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let texts = self.texts(name)?.into_iter();
        let numbers = texts.map(|text| {
            text.parse()
                .map_err(|_| self.refused(name, "whole numbers, as array(1, 2)"))
        });
        numbers.collect()
    }

    /// True or false.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>> {
        let parsed = self.text(name)?.map(|text| text.to_lowercase().parse());
        parsed.transpose().map_err(|_| self.refused(name, "true or false"))
    }

    /// True or false, where a null that was not meant would change more than either.
    pub(super) fn decision(&self, name: &str) -> Result<Option<bool>> {
        match self.nulls.contains(name) {
            true => Err(self.refused(name, "true or false, not null")),
            false => self.truth(name),
        }
    }

    /// A time as milliseconds since 1970; without a zone it is UTC.
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<i64>> {
        let parsed = self
            .text(name)?
            .map(|text| time_ms(&text).ok_or_else(|| self.refused(name, "a time, as TIMESTAMP '2026-01-31 12:00:00'")));
        parsed.transpose()
    }

    /// `array('a', 'b')` or `['a', 'b']`.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(value) = self.given.get(name) else {
            return Ok(Vec::new());
        };
        texts(value).ok_or_else(|| self.refused(name, "array('…', '…')"))
    }

    /// `map('key', 'value', …)`.
    pub(super) fn map(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let Some(value) = self.given.get(name) else {
            return Ok(BTreeMap::new());
        };
        pairs(value).ok_or_else(|| self.refused(name, "map('key', 'value', …)"))
    }
}

fn is_null(value: &Expr) -> bool {
    matches!(value, Expr::Value(value) if value.value == Value::Null)
}

fn pairs(value: &Expr) -> Option<BTreeMap<String, String>> {
    let texts = called(value, "map")?;
    let (pairs, []) = texts.as_chunks::<2>() else {
        return None;
    };
    Some(pairs.iter().cloned().map(|[key, value]| (key, value)).collect())
}

fn texts(value: &Expr) -> Option<Vec<String>> {
    match value {
        Expr::Array(array) => array.elem.iter().map(literal).collect(),
        other => called(other, "array"),
    }
}

/// The literals that a function of this name is called with.
fn called(value: &Expr, function: &str) -> Option<Vec<String>> {
    let Expr::Function(call) = value else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    if !call.name.to_string().eq_ignore_ascii_case(function) {
        return None;
    }
    let literals = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => literal(expr),
        _ => None,
    });
    literals.collect()
}

fn time_ms(text: &str) -> Option<i64> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.timestamp_millis());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"] {
        if let Ok(moment) = DateTime::parse_from_str(text, format) {
            return Some(moment.timestamp_millis());
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, format) {
            return Some(moment.and_utc().timestamp_millis());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::time_ms;

    // Goal: a time is the moment that it says, in UTC unless it names a zone. Method: a table.
    #[test]
    fn times_are_moments() {
        for (text, wanted) in [
            ("2026-01-31", Some(1_769_817_600_000)),
            ("2026-01-31 12:00:00", Some(1_769_860_800_000)),
            ("2026-01-31T12:00:00.25", Some(1_769_860_800_250)),
            ("2026-01-31T12:00:00Z", Some(1_769_860_800_000)),
            ("2026-01-31 14:00:00+02:00", Some(1_769_860_800_000)),
            ("2026-01-31 14:00:00+02", Some(1_769_860_800_000)),
            ("2026-01-31 07:00:00.25 -0500", Some(1_769_860_800_250)),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(time_ms(text), wanted, "{text}");
        }
    }
}
