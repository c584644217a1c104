//! A project: one folder with `lakehouse.yml`, `models/**/*.sql` and `sources/*.yml`.

mod source;
mod texts;
mod variables;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tidewater_core::TableName;

use crate::cdc::tombstones;
use crate::error::{PipelineError, Place, Result};
use crate::graph::Graph;
use crate::model::{Kind, Model};
use crate::sql::RunTime;

use self::texts::Texts;
pub use source::Source;
pub(crate) use variables::Variables;

/// The file that makes a folder a project.
const PROJECT_FILE: &str = "lakehouse.yml";

/// Folders in it, and what the names of their files end with.
const SOURCES: (&str, &[&str]) = ("sources", &["yml", "yaml"]);
const MODELS: (&str, &[&str]) = ("models", &["sql"]);

/// Models a project may hold; enough for any hand-written one, and a guard against a wrong folder.
const FILES_COUNT_MAX: usize = 10_000;

/// Folders within folders; deeper means a link that leads back.
const FOLDER_DEPTH_MAX: usize = 16;

/// Largest model file: far above hand-written SQL, far below what would hurt.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How stale a model may be that says nothing, nor its project.
const TARGET_LAG_DEFAULT: Duration = Duration::from_secs(60);

/// A loaded and checked project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Models by name.
    pub models: BTreeMap<TableName, Model>,
    /// Declared sources by name.
    pub sources: BTreeMap<TableName, Source>,
    /// Who reads whom.
    pub graph: Graph,
    /// Lag of models that do not say one.
    pub target_lag_default: Duration,
    texts: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lakehouse {
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "a project may describe itself; nothing reads it yet")]
    description: Option<String>,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "accepted so that one file serves other tools; the catalog comes from the process"
    )]
    catalog: Option<String>,
    #[serde(default)]
    vars: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    defaults: Defaults,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    #[serde(default)]
    target_lag: Option<String>,
}

impl Project {
    /// Reads and checks the project in `folder`.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut texts = Texts::of(folder);
        let path = folder.join(PROJECT_FILE);
        let lakehouse: Lakehouse = yaml::parse(&path, &texts.read(&path)?, 0)?;
        let variables = Variables::new(&path, &lakehouse.vars)?;
        let target_lag_default = match &lakehouse.defaults.target_lag {
            Some(text) => yaml::duration(&Place::file(&path), "defaults.target_lag", text)?,
            None => TARGET_LAG_DEFAULT,
        };

        let mut sources = BTreeMap::new();
        for file in files(&folder.join(SOURCES.0), SOURCES.1)? {
            let text = variables.substitute(&file, &texts.read(&file)?)?;
            for source in source::parse(&file, &text)? {
                sources.insert(source.name.clone(), source);
            }
        }

        let models_folder = folder.join(MODELS.0);
        let mut models: BTreeMap<TableName, Model> = BTreeMap::new();
        for file in files(&models_folder, MODELS.1)? {
            let text = variables.substitute(&file, &texts.read(&file)?)?;
            let model = Model::parse(&file, &default_name(&models_folder, &file), &text)?;
            if let Some(first) = models.get(&model.name) {
                return Err(PipelineError::Duplicate {
                    name: model.name.clone(),
                    first: Box::new(first.place()),
                    second: Box::new(model.place()),
                });
            }
            models.insert(model.name.clone(), model);
        }
        let project = Self::assemble(lakehouse.name, models, sources, target_lag_default)?;
        Ok(Self { texts, ..project })
    }

    /// The files below its folder that say something else than when it was loaded, are new or are gone; none of models that were parsed
    /// elsewhere. Reads all of them.
    pub fn changed_files(&self) -> Vec<PathBuf> {
        self.texts.changed()
    }

    /// Of models that were parsed elsewhere.
    pub fn of_models(name: &str, models: Vec<Model>) -> Result<Self> {
        let models = models.into_iter().map(|model| (model.name.clone(), model)).collect();
        Self::assemble(name.to_owned(), models, BTreeMap::new(), TARGET_LAG_DEFAULT)
    }

    fn assemble(
        name: String,
        mut models: BTreeMap<TableName, Model>,
        sources: BTreeMap<TableName, Source>,
        target_lag_default: Duration,
    ) -> Result<Self> {
        check_tombstones(&models)?;
        let graph = Graph::of(&models)?;
        // In this order a view knows already what those mean that it reads itself.
        for name in graph.order() {
            let inputs = models.get(name).into_iter().flat_map(|model| &model.inputs);
            let views: Vec<(String, RunTime)> = inputs
                .filter_map(|input| models.get(input))
                .filter(|input| matches!(input.kind, Kind::View))
                .map(|view| (view.fingerprint.clone(), view.run_time))
                .collect();
            if let Some(model) = models.get_mut(name) {
                model.see_through(&views);
            }
        }
        Ok(Self {
            name,
            models,
            sources,
            graph,
            target_lag_default,
            texts: Texts::default(),
        })
    }
}

/// Refuses models whose deleted keys would be taken for those of another one, as their names are `a.b__c` and `a__b.c`, or would go among the
/// rows of one.
fn check_tombstones(models: &BTreeMap<TableName, Model>) -> Result<()> {
    let mut taken: BTreeMap<TableName, &Model> = BTreeMap::new();
    for model in models.values().filter(|model| matches!(model.kind, Kind::Cdc(_))) {
        // A name that none can have is refused where the model runs.
        let Ok(table) = tombstones::name(&model.name) else {
            continue;
        };
        if let Some(other) = models.get(&table).or_else(|| taken.get(&table).copied()) {
            return Err(PipelineError::TombstonesShared {
                place: Box::new(model.place()),
                model: Box::new(model.name.clone()),
                table: Box::new(table),
                other: Box::new(other.name.clone()),
            });
        }
        taken.insert(table, model);
    }
    Ok(())
}

/// `models/silver/users.sql` is `silver.users` unless its header says otherwise.
fn default_name(models: &Path, file: &Path) -> String {
    let inner = file.strip_prefix(models).unwrap_or(file).with_extension("");
    let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
    parts.join(".")
}

fn read(path: &Path) -> Result<String> {
    let failed = |source| PipelineError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(PipelineError::Value {
            place: Place::file(path),
            reason: format!("the file has {bytes} bytes, more than {FILE_BYTES_MAX}"),
        });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// All files below `folder` with one of these extensions, in a fixed order; none if there is no such folder.
fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let failed = |source| PipelineError::Read {
            path: folder.clone(),
            source,
        };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && depth == 0 => return Ok(found),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let wanted = path
                .extension()
                .is_some_and(|e| extensions.iter().any(|wanted| e == *wanted));
            if path.is_dir() && !hidden && depth < FOLDER_DEPTH_MAX {
                open.push((path, depth + 1));
            } else if wanted && !hidden {
                found.push(path);
            }
        }
        if found.len() > FILES_COUNT_MAX {
            return Err(PipelineError::Value {
                place: Place::file(folder),
                reason: format!("more than {FILES_COUNT_MAX} files"),
            });
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
