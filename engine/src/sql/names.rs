//! Names as they are written, and what they mean.

use std::fmt;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use tidewater_core::{NameError, Namespace, TableName};

use crate::error::{EngineError, Result};
use crate::lake;
use crate::session::CATALOG;

/// What stands before the name of a branch, as Spark writes it.
pub(crate) const BRANCH: &str = "branch_";

/// A name in SQL, its parts as they count: unquoted ones in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Vec<String>);

impl Name {
    pub(super) fn new(name: ObjectName) -> Result<Self> {
        let parts = name.0.into_iter().map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(text(ident)),
            ObjectNamePart::Function(function) => Err(EngineError::statement(format!("{function} is no name"))),
        });
        Ok(Self(parts.collect::<Result<_>>()?))
    }

    /// The last part.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// What columns may be qualified with: the alias, else the table's name, which for one of its branches is the table's too.
    pub(super) fn called(&self, alias: Option<&str>) -> Vec<String> {
        match alias {
            Some(alias) => vec![alias.to_owned()],
            None => {
                let table = self.table_of_version().map(|table| table.last().to_owned());
                std::iter::once(self.last().to_owned()).chain(table).collect()
            }
        }
    }

    /// The table of which this may name a version: `s.t` of `s."t@audit"` and of `s.t.branch_audit`.
    fn table_of_version(&self) -> Option<Self> {
        if let (base, Some(_), _) = lake::parts(self.last()) {
            return Some(self.with_last(base));
        }
        match self.0.as_slice() {
            [.., _, part] if part.starts_with(BRANCH) => self.of_whole(),
            _ => None,
        }
    }

    /// The same name for the table that its last part is a part of: `s.t` of `s.t.branch_x`.
    pub(crate) fn of_whole(&self) -> Option<Self> {
        let (_, table) = self.0.split_last()?;
        (!table.is_empty()).then(|| Self(table.to_vec()))
    }

    /// The same name with another last part.
    pub(crate) fn with_last(&self, last: &str) -> Self {
        let mut parts = self.0.clone();
        parts.pop();
        parts.push(last.to_owned());
        Self(parts)
    }

    /// Whether it begins with the catalog's name.
    pub(crate) fn is_full(&self) -> bool {
        self.within().len() < self.0.len()
    }

    pub(super) fn without_last(mut self) -> Option<(Self, String)> {
        let last = self.0.pop()?;
        (!self.0.is_empty()).then_some((self, last))
    }

    pub(super) fn into_parts(self) -> Vec<String> {
        self.0
    }

    /// Whether these identifiers are this name as written, or that of the table of which it names a version.
    pub(crate) fn is_written(&self, idents: &[Ident]) -> bool {
        let parts: Vec<String> = idents.iter().cloned().map(text).collect();
        parts == self.0 || self.table_of_version().is_some_and(|table| parts == table.0)
    }

    /// Whether these identifiers are this name as written, and it names no version.
    pub(crate) fn is_exactly(&self, idents: &[Ident]) -> bool {
        self.table_of_version().is_none() && self.is_written(idents)
    }

    /// The parts, without the catalog's name.
    pub(crate) fn within(&self) -> &[String] {
        match self.0.split_first() {
            Some((first, rest)) if first == CATALOG && !rest.is_empty() => rest,
            _ => &self.0,
        }
    }

    /// As the name of a table or view; `default_schema` is the schema of a name without one.
    pub fn table(&self, default_schema: &str) -> Result<TableName> {
        let refused = |source: NameError| EngineError::Name {
            name: self.to_string(),
            source,
        };
        let (table, schema) = match self.within().split_last() {
            Some((table, schema)) => (table.as_str(), schema),
            None => ("", [].as_slice()),
        };
        let schema = match schema {
            [] => default_schema.to_owned(),
            levels => levels.join("."),
        };
        let namespace: Namespace = schema.parse().map_err(refused)?;
        TableName::new(namespace, table).map_err(refused)
    }

    /// As the name of a schema.
    pub fn schema(&self) -> Result<Namespace> {
        let joined = self.within().join(".");
        joined.parse().map_err(|source| EngineError::Name {
            name: self.to_string(),
            source,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// An identifier as it counts.
pub(super) fn text(ident: Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value,
        None => ident.value.to_lowercase(),
    }
}

/// An identifier as it must be written to count as `name`.
pub(crate) fn quoted(name: &str) -> String {
    Ident::with_quote('"', name).to_string()
}

/// A query's text with names quoted as an engine wants it: Spark takes what stands in double quotes for text.
pub(crate) fn in_dialect(sql: &str, dialect: &str) -> String {
    if dialect != "spark" {
        return sql.to_owned();
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize() else {
        return sql.to_owned();
    };
    let quoted = tokens.into_iter().map(|token| match token {
        Token::Word(word) if word.quote_style == Some('"') => {
            let name = word.value.replace("\"\"", "\"").replace('`', "``");
            format!("`{name}`")
        }
        other => other.to_string(),
    });
    quoted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a view's text names the same things in Spark. Method: quoted names beside text and plain names.
    #[test]
    fn names_are_quoted_as_spark_does() {
        let sql = "SELECT \"a\"\"b`c\", 'it''s \"x\"', d FROM \"T\" -- \"e\"";
        assert_eq!(
            in_dialect(sql, "spark"),
            "SELECT `a\"b``c`, 'it''s \"x\"', d FROM `T` -- \"e\""
        );
        assert_eq!(in_dialect(sql, "trino"), sql);
    }
}
