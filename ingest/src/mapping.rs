//! Which table a topic's rows go to.

use regex::Regex;

use crate::error::{IngestError, Result};
use crate::options::IngestOptions;
use tidewater_core::{Namespace, TableName};

/// Name of the table of records that became no rows.
const DEAD_LETTERS: &str = "_dead_letter";

/// Topics to tables.
#[derive(Debug, Clone)]
pub struct Mapping {
    namespace: Namespace,
    rules: Vec<(Regex, String)>,
}

impl Mapping {
    /// As the options have it.
    pub fn new(options: &IngestOptions) -> Result<Self> {
        let setting = |setting: &str, problem: String| IngestError::Setting {
            setting: setting.into(),
            problem,
        };
        let namespace = options
            .namespace
            .parse()
            .map_err(|error: tidewater_core::NameError| setting("namespace", error.to_string()))?;
        let rules = options
            .mapping
            .iter()
            .map(|rule| {
                let pattern = Regex::new(&format!("^(?:{})$", rule.topic));
                pattern
                    .map(|pattern| (pattern, rule.table.clone()))
                    .map_err(|error| setting("mapping", error.to_string()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { namespace, rules })
    }

    /// The namespace of all bronze tables.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The table of a topic.
    pub fn table(&self, topic: &str) -> Result<TableName> {
        let name = self.rules.iter().find_map(|(pattern, table)| {
            let captures = pattern.captures(topic)?;
            let mut name = String::new();
            captures.expand(table, &mut name);
            Some(name)
        });
        let name = name.unwrap_or_else(|| topic.rsplit('.').next().unwrap_or(topic).to_owned());
        TableName::new(self.namespace.clone(), name).map_err(|source| IngestError::TableName {
            topic: topic.to_owned(),
            source,
        })
    }

    /// The table of records that became no rows.
    pub fn dead_letters(&self) -> TableName {
        TableName::new(self.namespace.clone(), DEAD_LETTERS).expect("a constant that is a valid name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::MappingRule;

    // Goal: topics find their tables. Method: the seed's names, a rule, and a name that is none.
    #[test]
    fn topics_to_tables() {
        let options = IngestOptions {
            mapping: vec![MappingRule {
                topic: r"legacy\.(\w+)\.(\w+)".into(),
                table: "${1}_$2".into(),
            }],
            ..IngestOptions::default()
        };
        let mapping = Mapping::new(&options).expect("a mapping");
        let table = |topic: &str| mapping.table(topic).map(|name| name.to_string()).ok();
        assert_eq!(
            table("cdc.users.users-db.public.users").as_deref(),
            Some("bronze.users")
        );
        assert_eq!(table("legacy.a.b").as_deref(), Some("bronze.a_b"));
        assert_eq!(table("vitals").as_deref(), Some("bronze.vitals"));
        assert_eq!(table("bad."), None);
        assert_eq!(table("x.a/b"), None);
    }
}
