//! A model: one SQL file with YAML in its first comment.

pub(crate) mod header;
mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::sql::sqlparser::ast::Query;
use serde::{Deserialize, Serialize};
use tidewater_core::TableName;

use crate::cdc::shape;
use crate::error::{PipelineError, Place, Result};
use crate::project::yaml::{self, OneOrMany};
use crate::sql::{self, RunTime};

pub use layout::{PartitionBy, SortBy};

/// Kinds of the model format that later versions bring.
const PLANNED_KINDS: &[&str] = &[
    "append",
    "merge",
    "snapshot",
    "partition_overwrite",
    "seed",
    "incremental",
];

/// How a model is kept.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing is stored; the query runs when the view is read.
    View,
    /// The query's rows replace the table's.
    Table,
    /// The current state of a change log, by key.
    Cdc(CdcSpec),
}

impl Kind {
    /// As it is written in model files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Table => "table",
            Self::Cdc(_) => "cdc",
        }
    }
}

/// What only a `cdc` model has.
#[derive(Debug, Clone)]
pub struct CdcSpec {
    /// The change log.
    pub source: TableName,
    /// Output columns that identify a row.
    pub key: Vec<String>,
    /// Columns of the change log that order the changes of a key; the first decides, the next break ties.
    pub sequence_by: Vec<String>,
    /// When a change removes its row.
    pub delete_when: Option<String>,
    /// What is done when the change log has new columns.
    pub on_schema_change: OnSchemaChange,
}

/// What is done when the query gives columns the table does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSchemaChange {
    /// They are added at the end, null in old rows.
    #[default]
    AppendNewColumns,
    /// The run fails.
    Fail,
}

/// How stale a model may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetLag {
    /// At most this.
    Within(Duration),
    /// As fresh as the models that read it need.
    Downstream,
    /// What the project says.
    Default,
}

/// What is said about a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its type, for people.
    #[serde(default, rename = "type")]
    pub data_type: Option<String>,
    /// What it holds.
    #[serde(default)]
    pub description: Option<String>,
    /// Which protected health information it holds.
    #[serde(default)]
    pub phi: Option<String>,
    /// Free labels.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A parsed model.
#[derive(Debug, Clone)]
pub struct Model {
    /// The table or view it makes.
    pub name: TableName,
    /// How it is kept.
    pub kind: Kind,
    /// Its file.
    pub path: PathBuf,
    /// Its query; for `cdc` without SQL, all fields of the source.
    pub query: Query,
    /// Tables the query reads.
    pub inputs: BTreeSet<TableName>,
    /// Partitions of the table.
    pub partition_by: Vec<PartitionBy>,
    /// Order of the rows within files.
    pub sort_by: Vec<SortBy>,
    /// How stale it may be.
    pub target_lag: TargetLag,
    /// Models of one group are published together.
    pub group: Option<String>,
    /// What is said about its columns.
    pub columns: BTreeMap<String, ColumnSpec>,
    /// Free labels.
    pub tags: Vec<String>,
    /// What it holds.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether the query asks for the time of the run, itself or by a view that it reads.
    pub run_time: RunTime,
    /// Changes when the meaning of the model changes, or of a view that it reads, not when their texts are laid out anew.
    pub fingerprint: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(default)]
    name: Option<String>,
    #[serde(alias = "materialized")]
    kind: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default, alias = "unique_key")]
    key: Option<OneOrMany>,
    #[serde(default)]
    sequence_by: Option<OneOrMany>,
    #[serde(default)]
    delete_when: Option<String>,
    #[serde(default)]
    on_schema_change: Option<String>,
    #[serde(default)]
    partition_by: Option<OneOrMany>,
    #[serde(default, alias = "cluster_by")]
    sort_by: Option<OneOrMany>,
    #[serde(default)]
    target_lag: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    tags: Option<OneOrMany>,
    #[serde(default)]
    columns: BTreeMap<String, ColumnSpec>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    owner: Option<String>,
}

impl Model {
    /// Parses the text of a model file, variables already put in. `default_name` holds if the header names none.
    pub fn parse(path: &Path, default_name: &str, text: &str) -> Result<Self> {
        let (yaml_text, offset) = header::split(path, text)?;
        let header: Header = yaml::parse(path, yaml_text, offset)?;
        let place = Place {
            path: path.to_owned(),
            line: Some(offset + 1),
        };
        let invalid = |reason: String| PipelineError::Value {
            place: place.clone(),
            reason,
        };

        let full = header.name.clone().unwrap_or_else(|| default_name.to_owned());
        let name: TableName = full.parse().map_err(|error| {
            invalid(format!(
                "model name {full:?}: {error}; put the file in models/<namespace>/ or set name"
            ))
        })?;
        let mut query = sql::parse(path, text)?;
        let kind = parse_kind(&header, &place, &mut query)?;
        let query = query.ok_or_else(|| PipelineError::Sql {
            place: Place::file(path),
            reason: "the file holds no query".into(),
        })?;
        let inputs = sql::references(path, &query)?;
        if let Kind::Cdc(cdc) = &kind {
            shape::check(path, &query)?;
            if inputs.iter().ne([&cdc.source]) {
                return Err(invalid(format!(
                    "source is {}, but the query reads another table",
                    cdc.source
                )));
            }
        }

        let partition_by = list(header.partition_by, |text| layout::partition_by(&place, text))?;
        let sort_by = list(header.sort_by, |text| layout::sort_by(&place, text))?;
        if matches!(kind, Kind::View) && !(partition_by.is_empty() && sort_by.is_empty()) {
            return Err(invalid(
                "a view stores nothing: partition_by and sort_by have no meaning".into(),
            ));
        }
        let target_lag = match header.target_lag.as_deref().map(str::trim) {
            None => TargetLag::Default,
            Some("downstream") => TargetLag::Downstream,
            Some(text) => TargetLag::Within(yaml::duration(&place, "target_lag", text)?),
        };
        let run_time = RunTime::of(&query);
        let fingerprint = fingerprint(&query, &kind, &partition_by, &sort_by);
        Ok(Self {
            name,
            kind,
            path: path.to_owned(),
            query,
            inputs,
            partition_by,
            sort_by,
            target_lag,
            group: header.group,
            columns: header.columns,
            tags: header.tags.map(OneOrMany::into_vec).unwrap_or_default(),
            description: header.description,
            owner: header.owner,
            run_time,
            fingerprint,
        })
    }

    /// Takes over what the views mean that it reads: nothing else tells that its rows are others where one of them was changed.
    pub(crate) fn see_through(&mut self, views: &[(String, RunTime)]) {
        if views.is_empty() {
            return;
        }
        let texts = views.iter().map(|(fingerprint, _)| fingerprint.as_str());
        self.fingerprint = digest([self.fingerprint.as_str()].into_iter().chain(texts));
        self.run_time = views
            .iter()
            .fold(self.run_time, |all, (_, run_time)| all.max(*run_time));
    }

    /// Its file.
    pub fn place(&self) -> Place {
        Place::file(&self.path)
    }
}

fn list<T>(texts: Option<OneOrMany>, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let texts = texts.map(OneOrMany::into_vec).unwrap_or_default();
    texts.iter().map(|text| parse(text)).collect()
}

fn parse_kind(header: &Header, place: &Place, query: &mut Option<Query>) -> Result<Kind> {
    let kind = match header.kind.as_str() {
        "view" => Kind::View,
        "table" => Kind::Table,
        "cdc" => return cdc(header, place, query).map(Kind::Cdc),
        other if PLANNED_KINDS.contains(&other) => {
            return Err(PipelineError::Unsupported {
                place: place.clone(),
                what: format!("kind {other}"),
                instead: "kinds are view, table and cdc".into(),
            });
        }
        other => {
            let near = crate::error::nearest(other, ["view", "table", "cdc"]);
            let guess = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
            return Err(PipelineError::Value {
                place: place.clone(),
                reason: format!("unknown kind {other}: kinds are view, table and cdc{guess}"),
            });
        }
    };
    let only_cdc = [
        ("source", header.source.is_some()),
        ("key", header.key.is_some()),
        ("sequence_by", header.sequence_by.is_some()),
        ("delete_when", header.delete_when.is_some()),
        ("on_schema_change", header.on_schema_change.is_some()),
    ];
    match only_cdc.iter().find(|(_, given)| *given) {
        // A key is no lie for other kinds, it is documentation.
        Some(("key", _)) | None => Ok(kind),
        Some((key, _)) => Err(PipelineError::Value {
            place: place.clone(),
            reason: format!("{key} is only for kind cdc"),
        }),
    }
}

fn cdc(header: &Header, place: &Place, query: &mut Option<Query>) -> Result<CdcSpec> {
    let invalid = |reason: String| PipelineError::Value {
        place: place.clone(),
        reason,
    };
    let key = header.key.clone().map(OneOrMany::into_vec).unwrap_or_default();
    if key.is_empty() {
        return Err(invalid("kind cdc needs key: the columns that identify a row".into()));
    }
    let source = match (&header.source, query.as_ref()) {
        (Some(source), _) => source
            .parse()
            .map_err(|error| invalid(format!("source {source:?}: {error}")))?,
        (None, Some(query)) => {
            let inputs = sql::references(&place.path, query)?;
            match (inputs.len(), inputs.into_iter().next()) {
                (1, Some(source)) => source,
                _ => return Err(invalid("kind cdc reads one table; name it with source".into())),
            }
        }
        (None, None) => return Err(invalid("kind cdc without SQL needs source".into())),
    };
    if query.is_none() {
        *query = Some(shape::all_fields(&place.path, &source)?);
    }
    let on_schema_change = match header.on_schema_change.as_deref() {
        None | Some("append_new_columns") => OnSchemaChange::AppendNewColumns,
        Some("fail") => OnSchemaChange::Fail,
        Some(other @ ("ignore" | "sync_all_columns")) => {
            return Err(PipelineError::Unsupported {
                place: place.clone(),
                what: format!("on_schema_change {other}"),
                instead: "choose append_new_columns or fail".into(),
            });
        }
        Some(other) => {
            return Err(invalid(format!(
                "on_schema_change {other}: choose append_new_columns or fail"
            )));
        }
    };
    let sequence_by = match &header.sequence_by {
        Some(given) => given.clone().into_vec(),
        None => vec!["_lsn".into(), "_offset".into()],
    };
    if let Some(expression) = &header.delete_when {
        sql::expression(&place.path, expression)?;
    }
    for path in &sequence_by {
        sql::expression(&place.path, path)?;
    }
    Ok(CdcSpec {
        source,
        key,
        sequence_by,
        delete_when: header.delete_when.clone(),
        on_schema_change,
    })
}

/// Of the parsed query and the keys that change what is stored, so that layout and descriptions do not matter.
fn fingerprint(query: &Query, kind: &Kind, partition_by: &[PartitionBy], sort_by: &[SortBy]) -> String {
    let mut parts = vec![kind.name().to_owned(), query.to_string()];
    if let Kind::Cdc(cdc) = kind {
        parts.extend(cdc.key.iter().chain(&cdc.sequence_by).cloned());
        parts.push(cdc.delete_when.clone().unwrap_or_default());
    }
    parts.extend(partition_by.iter().map(ToString::to_string));
    parts.extend(sort_by.iter().map(ToString::to_string));
    digest(parts.iter().map(String::as_str))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().as_str().chars().take(16).collect()
}

#[cfg(test)]
mod tests;
