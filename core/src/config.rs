//! Configuration in layers: defaults, then a TOML file, then `TIDEWATER__SECTION__KEY`, then flags.
//!
//! Sections are plain serde structs with `deny_unknown_fields`; a key that nobody knows is an error that names the
//! nearest one that is known.

use std::path::Path;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::error::{Coded, ErrorKind};

/// Prefix of the environment variables; `__` stands between section and key.
pub const ENV_PREFIX: &str = "TIDEWATER__";

/// Edit distance up to which a known key is offered instead of an unknown one.
const NEAREST_DISTANCE_MAX: usize = 3;

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key nobody knows.
    #[error("unknown configuration key {key}{origin}")]
    UnknownKey {
        /// The key with its section.
        key: String,
        /// Where it was given.
        origin: String,
        /// The known key it most resembles.
        nearest: Option<String>,
        /// All keys known there.
        known: Vec<String>,
    },
    /// A value of the wrong shape.
    #[error("bad configuration value{at}: {reason}{origin}")]
    Value {
        /// ` for section.key`, or nothing.
        at: String,
        /// What is wrong with it.
        reason: String,
        /// Where it was given.
        origin: String,
    },
}

impl Coded for ConfigError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "CFG-0001",
            Self::UnknownKey { .. } => "CFG-0002",
            Self::Value { .. } => "CFG-0003",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("give an existing file with --config".into()),
            Self::UnknownKey {
                nearest: Some(near), ..
            } => Some(format!("did you mean {near}?")),
            Self::UnknownKey { known, .. } => Some(format!("known keys here: {}", known.join(", "))),
            Self::Value { .. } => None,
        }
    }
}

/// Layers of configuration, weakest first.
#[derive(Debug, Clone)]
pub struct Layers(Figment);

impl Layers {
    /// Begins with the defaults of `T`.
    pub fn defaults<T: Serialize>(defaults: T) -> Self {
        Self(Figment::from(Serialized::defaults(defaults)))
    }

    /// Adds a TOML file, which must exist.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Ok(Self(self.0.merge(Toml::string(&text))))
    }

    /// Adds the environment variables that begin with [`ENV_PREFIX`].
    #[must_use]
    pub fn env(self) -> Self {
        Self(self.0.merge(Env::prefixed(ENV_PREFIX).split("__")))
    }

    /// Adds one value given as a flag; `key` is `section.key`.
    #[must_use]
    pub fn flag<V: Serialize>(self, key: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => Self(self.0.merge(Serialized::default(key, value))),
            None => self,
        }
    }

    /// The configuration that results.
    pub fn extract<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        self.0.extract().map_err(explain)
    }
}

fn explain(error: figment::Error) -> ConfigError {
    let origin = match &error.metadata {
        Some(metadata) => format!(" (from {})", metadata.name),
        None => String::new(),
    };
    let path = error.path.join(".");
    if let Kind::UnknownField(field, known) = &error.kind {
        let section = error
            .path
            .iter()
            .filter(|part| *part != field)
            .cloned()
            .collect::<Vec<_>>()
            .join(".");
        let full = |key: &str| {
            if section.is_empty() {
                key.to_owned()
            } else {
                format!("{section}.{key}")
            }
        };
        return ConfigError::UnknownKey {
            key: full(field),
            origin,
            nearest: nearest(field, known).map(full),
            known: known.iter().map(|key| full(key)).collect(),
        };
    }
    ConfigError::Value {
        at: if path.is_empty() { path } else { format!(" for {path}") },
        reason: error.kind.to_string(),
        origin,
    }
}

/// The name in `known` that `name` was most likely meant to be.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= NEAREST_DISTANCE_MAX)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        ingest: Ingest,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ingest {
        commit_interval_ms: u64,
    }

    fn read(toml: &str) -> Result<Settings, ConfigError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("tidewater.toml");
        std::fs::write(&path, toml).expect("a writable directory");
        Layers::defaults(Settings::default()).file(&path)?.extract()
    }

    // Goal: a typing mistake is told with the right name. Method: one letter missing in a known key.
    #[test]
    fn unknown_keys_name_the_nearest() {
        let error = read("[ingest]\ncommit_intervall_ms = 5\n").expect_err("an unknown key");
        assert_eq!(error.code(), "CFG-0002");
        assert_eq!(error.hint().as_deref(), Some("did you mean ingest.commit_interval_ms?"));
        assert!(error.to_string().contains("ingest.commit_intervall_ms"), "{error}");
    }

    // Goal: a wrong type names its key. Method: text where a number belongs.
    #[test]
    fn wrong_values_name_their_key() {
        let error = read("[ingest]\ncommit_interval_ms = \"soon\"\n").expect_err("a wrong value");
        assert_eq!(error.code(), "CFG-0003");
        assert!(error.to_string().contains("ingest.commit_interval_ms"), "{error}");
    }

    // Goal: later layers win. Method: default, file and flag of one key.
    #[test]
    fn flags_beat_files() -> Result<(), ConfigError> {
        assert_eq!(read("[ingest]\ncommit_interval_ms = 5\n")?.ingest.commit_interval_ms, 5);
        let settings: Settings = Layers::defaults(Settings::default())
            .flag("ingest.commit_interval_ms", Some(9))
            .extract()?;
        assert_eq!(settings.ingest.commit_interval_ms, 9);
        Ok(())
    }
}
