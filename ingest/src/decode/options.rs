//! How records are read.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::cell::UNAVAILABLE_DEFAULT;
use super::column_type::DECIMAL_PRECISION_MAX;
use super::wire::Wire;
use crate::error::{IngestError, Result};

/// Which records are kept as they came, in `_raw`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepRaw {
    /// None.
    Never,
    /// Those of which a value could not be kept.
    #[default]
    OnLoss,
    /// All.
    Always,
}

/// How records are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeOptions {
    /// What the connector writes for a value that it left out (`unavailable.value.placeholder`).
    pub unavailable_placeholder: String,
    /// Which records are kept as they came.
    pub keep_raw: KeepRaw,
    /// Per topic and column: what a column of records without schema holds, such as `date` or `decimal(10,2)`.
    pub hints: HashMap<String, HashMap<String, String>>,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            unavailable_placeholder: UNAVAILABLE_DEFAULT.to_owned(),
            keep_raw: KeepRaw::default(),
            hints: HashMap::new(),
        }
    }
}

impl DecodeOptions {
    /// Refuses hints that mean nothing.
    pub fn check(&self) -> Result<()> {
        for (topic, columns) in &self.hints {
            for (column, hint) in columns {
                if parse_hint(hint).is_none() {
                    return Err(IngestError::Hint {
                        topic: topic.clone(),
                        column: column.clone(),
                        hint: hint.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn hints_of(&self, topic: &str) -> HashMap<String, Wire> {
        let columns = self.hints.get(topic).into_iter().flatten();
        columns
            .filter_map(|(column, hint)| Some((column.clone(), parse_hint(hint)?)))
            .collect()
    }
}

/// Hints that are spelled as one word.
const WORDS: &[(&str, Wire)] = &[
    ("boolean", Wire::Boolean),
    ("int", Wire::Int),
    ("long", Wire::Long),
    ("float", Wire::Float),
    ("double", Wire::Double),
    ("string", Wire::String),
    ("binary", Wire::Bytes),
    ("json", Wire::Json),
    ("decimal", Wire::VariableDecimal),
    ("date", Wire::Date),
    ("date_iso", Wire::IsoDate),
    (
        "time_millis",
        Wire::Time {
            factor: 1_000,
            divisor: 1,
        },
    ),
    ("time_micros", Wire::Time { factor: 1, divisor: 1 }),
    (
        "time_nanos",
        Wire::Time {
            factor: 1,
            divisor: 1_000,
        },
    ),
    ("time_iso", Wire::IsoTime),
    (
        "timestamp_millis",
        Wire::Timestamp {
            factor: 1_000,
            divisor: 1,
            zoned: false,
        },
    ),
    (
        "timestamp_micros",
        Wire::Timestamp {
            factor: 1,
            divisor: 1,
            zoned: false,
        },
    ),
    (
        "timestamp_nanos",
        Wire::Timestamp {
            factor: 1,
            divisor: 1_000,
            zoned: false,
        },
    ),
    ("timestamp_iso", Wire::IsoTimestamp),
    ("timestamptz", Wire::ZonedTimestamp),
];

fn parse_hint(hint: &str) -> Option<Wire> {
    let hint = hint.trim();
    if let Some((_, wire)) = WORDS.iter().find(|(word, _)| *word == hint) {
        return Some(wire.clone());
    }
    if let Some(item) = hint.strip_prefix("list(").and_then(|rest| rest.strip_suffix(')')) {
        return Some(Wire::List(Box::new(parse_hint(item)?)));
    }
    let (precision, scale) = hint.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let sound =
        (1..=DECIMAL_PRECISION_MAX).contains(&precision) && (0..=i16::from(precision)).contains(&i16::from(scale));
    sound.then_some(Wire::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: every hint of the documentation is understood, others are refused. Method: a list of each.
    #[test]
    fn hints_are_understood() {
        for hint in [
            "date",
            "timestamp_micros",
            "decimal(10,2)",
            "decimal( 38 , 0 )",
            "list(date)",
            "json",
        ] {
            assert!(parse_hint(hint).is_some(), "{hint}");
        }
        for hint in ["", "dates", "decimal(39,2)", "decimal(4,5)", "decimal(4)", "list()"] {
            assert!(parse_hint(hint).is_none(), "{hint}");
        }
    }
}
