//! Namespaces: create, change, drop, list.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::changes::ChangeKind;
use super::{Shared, State};
use crate::command::{Outcome, Refusal};

/// Joins levels to a key. It is the unit separator, which no level may hold (names are validated before they get here), so that children sort right after
/// their parent.
const SEPARATOR: char = '\u{1f}';

/// How many namespaces there may be: a guard against a runaway client; at this many the state takes some 50 MB.
const NAMESPACES_MAX: usize = 100_000;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRow {
    /// Its levels, outermost first.
    pub levels: Vec<String>,
    /// Its properties.
    pub properties: BTreeMap<String, String>,
    /// When it was made.
    pub created_at_ms: i64,
}

/// The key of a namespace.
pub(super) fn key(levels: &[String]) -> String {
    levels.join("\u{1f}")
}

impl State {
    /// The namespace with these levels.
    pub fn namespace(&self, levels: &[String]) -> Option<&NamespaceRow> {
        self.namespaces.get(&key(levels)).map(|row| &**row)
    }

    /// The namespaces right under `parent` (the outermost ones when it is empty), in order.
    pub fn namespaces_under<'a>(&'a self, parent: &'a [String]) -> impl Iterator<Item = &'a NamespaceRow> + 'a {
        let prefix = child_prefix(parent);
        let depth = parent.len() + 1;
        self.namespaces
            .range::<_, str>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(&child_prefix(parent)))
            .map(|(_, row)| &**row)
            .filter(move |row| row.levels.len() == depth)
    }

    /// All namespaces, a parent before its children.
    pub fn namespaces(&self) -> impl Iterator<Item = &NamespaceRow> {
        self.namespaces.values().map(|row| &**row)
    }

    /// How many namespaces there are.
    pub fn namespaces_count(&self) -> usize {
        self.namespaces.len()
    }

    /// A namespace below this one that holds no other.
    pub(super) fn innermost_below(&self, levels: &[String]) -> Option<&NamespaceRow> {
        let prefix = child_prefix(levels);
        // Children sort after their parent, so the last one has none.
        self.namespaces
            .range::<_, str>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix))
            .last()
            .map(|(_, row)| &**row)
    }

    pub(super) fn require_namespace(&self, levels: &[String]) -> Result<(), Refusal> {
        if self.namespaces.contains_key(&key(levels)) {
            return Ok(());
        }
        Err(Refusal::NoSuchNamespace {
            namespace: levels.to_vec(),
        })
    }

    pub(super) fn create_namespace(
        &mut self,
        levels: Vec<String>,
        properties: BTreeMap<String, String>,
    ) -> Result<Outcome, Refusal> {
        if self.namespaces.contains_key(&key(&levels)) {
            return Err(Refusal::NamespaceExists);
        }
        if let Some((_, parent)) = levels.split_last()
            && !parent.is_empty()
        {
            self.require_namespace(parent)?;
        }
        if self.namespaces.len() >= NAMESPACES_MAX {
            return Err(Refusal::Full {
                limit: format!("{NAMESPACES_MAX} namespaces"),
            });
        }
        let row = NamespaceRow {
            levels: levels.clone(),
            properties,
            created_at_ms: self.now_ms,
        };
        self.namespaces.insert(key(&levels), Shared::new(row));
        self.record(ChangeKind::NamespaceCreated { namespace: levels });
        Ok(Outcome::Done)
    }

    pub(super) fn update_namespace(
        &mut self,
        levels: Vec<String>,
        removals: Vec<String>,
        updates: BTreeMap<String, String>,
    ) -> Result<Outcome, Refusal> {
        let Some(row) = self.namespace(&levels) else {
            return Err(Refusal::NoSuchNamespace { namespace: levels });
        };
        let mut row = row.clone();
        let (mut removed, mut missing) = (Vec::new(), Vec::new());
        for name in removals {
            match row.properties.remove(&name) {
                Some(_) => removed.push(name),
                None => missing.push(name),
            }
        }
        let updated = updates.keys().cloned().collect();
        row.properties.extend(updates);
        self.namespaces.insert(key(&levels), Shared::new(row));
        self.record(ChangeKind::NamespaceUpdated { namespace: levels });
        Ok(Outcome::NamespaceUpdated {
            updated,
            removed,
            missing,
        })
    }

    pub(super) fn drop_namespace(&mut self, levels: Vec<String>) -> Result<Outcome, Refusal> {
        self.require_namespace(&levels)?;
        let key_of = key(&levels);
        let holds = self.tables.any_in(&key_of) || self.views.any_in(&key_of);
        if holds || self.namespaces_under(&levels).next().is_some() {
            return Err(Refusal::NamespaceNotEmpty);
        }
        self.namespaces.remove(&key_of);
        self.policy.forget_namespace(&levels);
        self.record(ChangeKind::NamespaceDropped { namespace: levels });
        Ok(Outcome::Done)
    }
}

pub(super) fn child_prefix(parent: &[String]) -> String {
    let mut prefix = key(parent);
    if !parent.is_empty() {
        prefix.push(SEPARATOR);
    }
    prefix
}
