//! The templates of a topic, and when it is worth making one.

use super::tree::Tree;
use super::{Sink, Template};
use crate::decode::kind::Said;

/// Trees kept of a topic's keys or values: one for each version of its table, and another for deletes that are rows.
const TREES_MAX: usize = 8;

/// What a template costs, in records decoded by their names.
const COST: usize = 16;

/// Most that is saved for templates: they are needed where a topic begins or changes.
const CREDIT_MAX: usize = 64 * COST;

/// The templates of a topic's keys or values.
#[derive(Debug)]
pub(crate) struct Templates {
    /// With the id of the schema. The one that was used last comes first.
    trees: Vec<(Option<i32>, Tree)>,
    /// Grows with each record and pays for templates: where texts are never the same, few are made in vain.
    credit: usize,
    /// Records that were of a template.
    #[cfg(test)]
    pub(crate) used: usize,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            trees: Vec::new(),
            credit: CREDIT_MAX,
            #[cfg(test)]
            used: 0,
        }
    }
}

impl Templates {
    /// Writes a record, if it is of a template. `schema` is the id of its schema.
    #[inline]
    pub(crate) fn write(&mut self, text: &str, schema: Option<i32>, mut sink: Sink<'_>) -> Option<Said> {
        self.credit = CREDIT_MAX.min(self.credit + 1);
        for at in 0..self.trees.len() {
            let Some((_, tree)) = self.trees.get(at).filter(|(known, _)| *known == schema) else {
                continue;
            };
            if let Some(said) = tree.write(text, &mut sink) {
                self.trees.swap(0, at);
                #[cfg(test)]
                {
                    self.used += 1;
                }
                return Some(said);
            }
        }
        None
    }

    /// Keeps what `learn` makes of the record that was just looked for in vain.
    pub(crate) fn learn(&mut self, schema: Option<i32>, learn: impl FnOnce() -> Option<Template>) {
        if self.credit < COST {
            return;
        }
        self.credit -= COST;
        let Some(template) = learn() else { return };
        let same = |(known, tree): &(Option<i32>, Tree)| *known == schema && tree.form() == template.form;
        match self.trees.iter().position(same) {
            Some(at) => self.trees.swap(0, at),
            None => {
                self.trees.truncate(TREES_MAX - 1);
                self.trees.insert(0, (schema, Tree::new(template.form)));
            }
        }
        if let Some((_, tree)) = self.trees.first_mut() {
            tree.add(template);
        }
    }

    /// Steps of each tree, and the bytes of their texts.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> Vec<(usize, usize)> {
        self.trees.iter().map(|(_, tree)| tree.size()).collect()
    }

    /// Forgets all, as the columns are others.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
