//! Declared sources: the bronze tables that models read.

use std::path::Path;

use serde::Deserialize;
use tidewater_core::TableName;

use super::yaml::{self, OneOrMany};
use crate::error::{PipelineError, Place, Result};

/// A table that others fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: TableName,
    /// What it holds.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The service it comes from.
    pub service: Option<String>,
    /// Primary key of the table upstream.
    pub key: Vec<String>,
    /// Free labels.
    pub tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    description: Option<String>,
    sources: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default, alias = "pk")]
    key: Option<OneOrMany>,
    #[serde(default)]
    tags: Option<OneOrMany>,
    #[serde(default)]
    #[expect(dead_code, reason = "kept for people; freshness checks come with the quality crate")]
    freshness: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "kept for people; routing is the ingest configuration's")]
    topic: Option<String>,
}

/// The sources of one file. What the file says at its top holds for all its sources.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Source>> {
    let file: File = yaml::parse(path, text, 0)?;
    let mut sources = Vec::with_capacity(file.sources.len());
    for entry in file.sources {
        // A bare name is a bronze table: that is what sources are.
        let full = if entry.name.contains('.') {
            entry.name
        } else {
            format!("bronze.{}", entry.name)
        };
        let name: TableName = full.parse().map_err(|error| PipelineError::Value {
            place: Place::file(path),
            reason: format!("source {full}: {error}"),
        })?;
        sources.push(Source {
            name,
            description: entry.description.or_else(|| file.description.clone()),
            owner: entry.owner.or_else(|| file.owner.clone()),
            service: entry.service.or_else(|| file.service.clone()),
            key: entry.key.map(OneOrMany::into_vec).unwrap_or_default(),
            tags: entry.tags.map(OneOrMany::into_vec).unwrap_or_default(),
        });
    }
    Ok(sources)
}
