//! Configuration in layers: defaults, then a TOML file, then `TIDEWATER__SECTION__KEY`, then flags.
//!
//! Sections are plain serde structs with `deny_unknown_fields`; a key that nobody knows is an error that names the
//! nearest one that is known.

mod place;

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider, Source};
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
pub struct Layers {
    values: Figment,
    file: Option<TomlFile>,
}

impl Layers {
    /// Begins with the defaults of `T`.
    pub fn defaults<T: Serialize>(defaults: T) -> Self {
        Self {
            values: Figment::from(Serialized::defaults(defaults)),
            file: None,
        }
    }

    /// Adds a TOML file, which must exist.
    pub fn file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.display().to_string(),
            source,
        })?;
        let file = TomlFile {
            path: path.to_owned(),
            text,
        };
        Ok(Self {
            values: self.values.merge(&file),
            file: Some(file),
        })
    }

    /// Adds the environment variables that begin with [`ENV_PREFIX`].
    #[must_use]
    pub fn env(self) -> Self {
        Self {
            values: self.values.merge(Env::prefixed(ENV_PREFIX).split("__")),
            file: self.file,
        }
    }

    /// Adds one value given as a flag; `key` is `section.key`.
    #[must_use]
    pub fn flag<V: Serialize>(self, key: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => Self {
                values: self.values.merge(Serialized::default(key, value)),
                file: self.file,
            },
            None => self,
        }
    }

    /// The configuration that results.
    pub fn extract<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        let Self { values, file } = self;
        values.extract().map_err(|error| explain(&error, file.as_ref()))
    }
}

/// A file that was read.
#[derive(Debug, Clone)]
struct TomlFile {
    path: PathBuf,
    text: String,
}

impl Provider for TomlFile {
    fn metadata(&self) -> Metadata {
        Metadata::from("configuration file", self.path.as_path())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Toml::string(&self.text).data()
    }
}

fn explain(error: &figment::Error, file: Option<&TomlFile>) -> ConfigError {
    let origin = origin(error, file);
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
    let reason = match &error.kind {
        Kind::UnknownVariant(found, allowed) => format!("{found:?} is none of {}", allowed.join(", ")),
        Kind::Message(message) => syntax(message).unwrap_or_else(|| message.clone()),
        other => other.to_string(),
    };
    ConfigError::Value {
        at: if path.is_empty() { path } else { format!(" for {path}") },
        reason,
        origin,
    }
}

/// Where a value was given: the file and its line, or the variable. Nothing of what was given nowhere, and of flags.
fn origin(error: &figment::Error, file: Option<&TomlFile>) -> String {
    let Some(metadata) = &error.metadata else {
        return String::new();
    };
    match (&metadata.source, file) {
        (Some(Source::File(path)), Some(file)) => match place::line_of(&file.text, &error.path) {
            Some(line) => format!(" (in {}, line {line})", path.display()),
            None => format!(" (in {})", path.display()),
        },
        _ if metadata.name.contains(ENV_PREFIX) => format!(" (in {})", variable(&error.path)),
        _ => String::new(),
    }
}

/// The variable that a key was given in. Where it holds more than one value, the path goes on within it.
fn variable(path: &[String]) -> String {
    let name = |parts: &[String]| format!("{ENV_PREFIX}{}", parts.join("__").to_uppercase());
    let longest_first = (1..=path.len()).rev().filter_map(|count| path.get(..count));
    longest_first
        .map(name)
        .find(|name| std::env::var_os(name).is_some())
        .unwrap_or_else(|| name(path))
}

/// What is wrong with a text that is no TOML, without the line itself: a secret may stand in it.
fn syntax(message: &str) -> Option<String> {
    let (place, rest) = message.strip_prefix("TOML parse error at ")?.split_once('\n')?;
    let said: Vec<&str> = rest.lines().skip(SHOWN_LINES).map(str::trim).collect();
    Some(format!("no TOML at {place}: {}", said.join(", ")))
}

/// The line that the parser shows, with one above and one below for its marks.
const SHOWN_LINES: usize = 3;

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

    // Goal: an error says where its value was given. Method: a wrong value in a file, by its line; text that is no TOML, whose line is not
    // shown, as a secret may stand in it; and an error of a variable that is not set, which names the whole key.
    #[test]
    fn errors_say_where() {
        let told = |toml: &str| read(toml).expect_err("a wrong file").to_string();
        let wrong = told("# first\n[ingest]\ncommit_interval_ms = \"soon\"\n");
        assert!(wrong.contains("tidewater.toml, line 3)"), "{wrong}");
        let unknown = told("[ingest]\n\ncommit_intervall_ms = 5\n");
        assert!(unknown.contains("tidewater.toml, line 3)"), "{unknown}");
        let torn = told("[ingest]\ncommit_interval_ms = \"hush\n");
        assert!(
            torn.contains("line 2, column") && torn.contains("tidewater.toml"),
            "{torn}"
        );
        assert!(!torn.contains("hush") && !torn.contains("source string"), "{torn}");
        let path = ["ingest".to_owned(), "nobody_sets_this".to_owned(), "0".to_owned()];
        assert_eq!(variable(&path), "TIDEWATER__INGEST__NOBODY_SETS_THIS__0");
    }

    // Goal: a word that is none of those that are allowed is told with them. Method: an enumeration.
    #[test]
    fn allowed_words_are_told() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Word {
            First,
            Second,
        }
        #[derive(Debug, Deserialize)]
        struct Words {
            word: Word,
        }
        let read = |word: &str| {
            Layers::defaults(serde_json::json!({"word": word}))
                .extract::<Words>()
                .map(|words| words.word)
        };
        assert!(matches!(read("first"), Ok(Word::First)));
        assert!(matches!(read("second"), Ok(Word::Second)));
        let error = read("frist").expect_err("no such word").to_string();
        assert!(
            error.contains("for word: \"frist\" is none of first, second"),
            "{error}"
        );
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
