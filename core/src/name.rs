//! Names of namespaces and tables: valid once they exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{NAME_BYTES_MAX, NAMESPACE_LEVELS_MAX};

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// A level has no characters.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("name of {bytes} bytes is longer than {NAME_BYTES_MAX}")]
    TooLong {
        /// Length of the name.
        bytes: usize,
    },
    /// More than [`NAMESPACE_LEVELS_MAX`] levels.
    #[error("namespace of {levels} levels is deeper than {NAMESPACE_LEVELS_MAX}")]
    TooDeep {
        /// Levels of the name.
        levels: usize,
    },
    /// A character that could leave a directory, an URL or a terminal line.
    #[error("name {name:?} holds {character:?}, which is not allowed")]
    Character {
        /// The name.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// `.` and `..` mean directories.
    #[error("name {name:?} is reserved")]
    Reserved {
        /// The name.
        name: String,
    },
    /// A table name needs a namespace.
    #[error("table name {name:?} has no namespace: write namespace.table")]
    NoNamespace {
        /// The name.
        name: String,
    },
}

fn validate(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name == "." || name == ".." {
        return Err(NameError::Reserved { name: name.into() });
    }
    match name.chars().find(|c| forbidden(*c)) {
        Some(character) => Err(NameError::Character {
            name: name.into(),
            character,
        }),
        None => Ok(()),
    }
}

/// Control characters, path and URL separators, wildcards and quotes. The dot separates levels in the text form.
fn forbidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '/' | '\\' | '%' | '*' | '?' | '#' | '"' | '\'' | '`' | '.' | '\u{feff}' | '\u{202a}'..='\u{202e}'
        )
}

/// A namespace of one or more levels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Namespace(Vec<String>);

impl Namespace {
    /// Of these levels, outermost first.
    pub fn new(levels: Vec<String>) -> Result<Self, NameError> {
        if levels.is_empty() {
            return Err(NameError::Empty);
        }
        if levels.len() > NAMESPACE_LEVELS_MAX {
            return Err(NameError::TooDeep { levels: levels.len() });
        }
        levels.iter().try_for_each(|level| validate(level))?;
        Ok(Self(levels))
    }

    /// Of one level.
    pub fn single(level: &str) -> Result<Self, NameError> {
        Self::new(vec![level.to_owned()])
    }

    /// The levels, outermost first; at least one.
    pub fn levels(&self) -> &[String] {
        &self.0
    }

    /// The namespace around this one.
    pub fn parent(&self) -> Option<Self> {
        match self.0.split_last() {
            Some((_, outer)) if !outer.is_empty() => Some(Self(outer.to_vec())),
            _ => None,
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl FromStr for Namespace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text.split('.').map(str::to_owned).collect())
    }
}

impl TryFrom<Vec<String>> for Namespace {
    type Error = NameError;

    fn try_from(levels: Vec<String>) -> Result<Self, NameError> {
        Self::new(levels)
    }
}

impl From<Namespace> for Vec<String> {
    fn from(namespace: Namespace) -> Self {
        namespace.0
    }
}

/// A table (or view) in a namespace; `bronze.users` as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    namespace: Namespace,
    name: String,
}

impl TableName {
    /// Of its parts.
    pub fn new(namespace: Namespace, name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        validate(&name)?;
        Ok(Self { namespace, name })
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

impl FromStr for TableName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.rsplit_once('.') {
            Some((namespace, name)) => Self::new(namespace.parse()?, name),
            None => Err(NameError::NoNamespace { name: text.into() }),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: text and parts say the same. Method: there and back.
    #[test]
    fn names_round_trip() -> Result<(), NameError> {
        for text in [
            "bronze.users",
            "a.b.c",
            "bronze._dead_letter",
            "bronze.users$snapshots",
            "gold.größe",
        ] {
            assert_eq!(text.parse::<TableName>()?.to_string(), text);
        }
        Ok(())
    }

    // Goal: no name can leave its directory or break a URL. Method: hostile names, each must be refused.
    #[test]
    fn hostile_names_are_refused() {
        let long = "x".repeat(256);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "%2e%2e",
            "a\0b",
            "a\nb",
            "*",
            "a'b",
            "\u{202e}x",
            long.as_str(),
        ] {
            let namespace = Namespace::single("bronze").expect("a good name");
            assert!(TableName::new(namespace, name).is_err(), "{name:?}");
        }
        assert!("users".parse::<TableName>().is_err());
    }
}
