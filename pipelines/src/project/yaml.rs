//! YAML into structs, with errors that name file, line and the nearest known key.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{PipelineError, Place, Result, nearest};

/// Keys of the model format that later versions bring, with what to do until then.
const PLANNED_KEYS: &[&str] = &[
    "checks",
    "contract",
    "deid",
    "environments",
    "history",
    "lookback",
    "relationships",
    "retention",
    "schedule",
    "write_mode",
];

/// Parses a document whose first line is line `offset + 1` of the file.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str, offset: u64) -> Result<T> {
    serde_saphyr::from_str(text).map_err(|error| explain(path, offset, &error))
}

fn explain(path: &Path, offset: u64, error: &serde_saphyr::Error) -> PipelineError {
    let error = error.without_snippet();
    let place = Place {
        path: path.to_owned(),
        line: error
            .location()
            .map(|location| location.line())
            .filter(|line| *line > 0)
            .map(|line| line + offset),
    };
    match error {
        serde_saphyr::Error::SerdeUnknownField { field, .. } if PLANNED_KEYS.contains(&field.as_str()) => {
            PipelineError::Unsupported {
                place,
                what: format!("key {field}"),
                instead: "remove the key; it is part of the model format, but this version does nothing with it".into(),
            }
        }
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => PipelineError::UnknownKey {
            place,
            key: field.clone(),
            nearest: nearest(field, expected.iter().copied()),
            known: expected.iter().map(ToString::to_string).collect(),
        },
        serde_saphyr::Error::SerdeMissingField { field, .. } => PipelineError::Value {
            place,
            reason: format!("key {field} is missing"),
        },
        other => PipelineError::Value {
            place,
            reason: other.to_string(),
        },
    }
}

/// A duration such as `1 minute`.
pub(crate) fn duration(place: &Place, key: &str, text: &str) -> Result<Duration> {
    humantime::parse_duration(text.trim()).map_err(|error| PipelineError::Value {
        place: place.clone(),
        reason: format!("{key}: {text:?} is no duration ({error}); write for example 1 minute"),
    })
}

/// A list, or a single item in place of a list of one.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}
