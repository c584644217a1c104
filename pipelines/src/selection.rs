//! Which models a command is about.

use std::collections::BTreeSet;

use tidewater_core::TableName;

use crate::error::{PipelineError, Result, nearest};
use crate::project::Project;

/// Some or all models of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those that any of the texts names: `silver.users`, `silver.*`, `tag:phi`; a `+` before it brings the models it reads,
    /// one after it the models that read it.
    Named(Vec<String>),
}

impl Selection {
    /// Of command line words; none means all.
    pub fn of(words: impl IntoIterator<Item = String>) -> Self {
        let words: Vec<String> = words.into_iter().collect();
        if words.is_empty() {
            Self::All
        } else {
            Self::Named(words)
        }
    }

    /// The models, each after those it reads.
    pub fn resolve(&self, project: &Project) -> Result<Vec<TableName>> {
        let Self::Named(words) = self else {
            return Ok(project.graph.order().to_vec());
        };
        let mut chosen = BTreeSet::new();
        for word in words {
            chosen.extend(one(word, project)?);
        }
        Ok(project
            .graph
            .order()
            .iter()
            .filter(|name| chosen.contains(*name))
            .cloned()
            .collect())
    }
}

fn one(word: &str, project: &Project) -> Result<BTreeSet<TableName>> {
    let (upstream, rest) = word.strip_prefix('+').map_or((false, word), |rest| (true, rest));
    let (downstream, pattern) = rest.strip_suffix('+').map_or((false, rest), |rest| (true, rest));
    let matches = |name: &TableName| match (pattern.strip_prefix("tag:"), pattern.strip_suffix(".*")) {
        (Some(tag), _) => project
            .models
            .get(name)
            .is_some_and(|model| model.tags.iter().any(|t| t == tag)),
        (None, Some(namespace)) => name.namespace().to_string() == namespace,
        (None, None) => name.to_string() == pattern || name.name() == pattern,
    };
    let direct: BTreeSet<TableName> = project.models.keys().filter(|name| matches(name)).cloned().collect();
    if direct.is_empty() {
        let names: Vec<String> = project.models.keys().map(ToString::to_string).collect();
        return Err(PipelineError::NoSuchModel {
            name: pattern.into(),
            nearest: nearest(pattern, names.iter().map(String::as_str)),
        });
    }
    let mut chosen = direct.clone();
    if downstream {
        chosen.extend(direct.iter().flat_map(|name| project.graph.downstream(name)));
    }
    if upstream {
        let mut open: Vec<&TableName> = direct.iter().collect();
        while let Some(name) = open.pop() {
            let inputs = project.models.get(name).into_iter().flat_map(|model| &model.inputs);
            for input in inputs.filter(|input| project.models.contains_key(*input)) {
                if chosen.insert(input.clone()) {
                    open.push(input);
                }
            }
        }
    }
    Ok(chosen)
}
