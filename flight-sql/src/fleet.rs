//! The statements of all processes that answer any: those of this one, and those that its siblings tell of theirs. What is missing is said.
//!
//! It does not ask whether somebody may know of them: that is done before, as for those of this process.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::history::{Known, QueryHistory};
use crate::siblings::{Ask, Siblings};

/// A process and its siblings.
#[derive(Debug, Clone)]
pub struct Fleet {
    history: QueryHistory,
    siblings: Option<Arc<dyn Siblings>>,
}

/// What is known of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Everywhere {
    /// The statements of each, those of the process that was asked first.
    pub processes: Vec<Known>,
    /// What is not among them, for people.
    pub missing: Vec<String>,
}

impl Fleet {
    /// Of a process with this history, and those beside it.
    pub fn new(history: QueryHistory, siblings: Option<Arc<dyn Siblings>>) -> Self {
        Self { history, siblings }
    }

    /// The statements of all of them: all, or those at work.
    pub async fn statements(&self, at_work: bool) -> Everywhere {
        let own = self.history.known(at_work);
        // A process may be among its own siblings, and have several addresses.
        let mut seen = BTreeSet::from([own.process.id]);
        let mut everywhere = Everywhere {
            processes: vec![own],
            missing: Vec::new(),
        };
        let Some(siblings) = &self.siblings else {
            return everywhere;
        };
        let heard = siblings.hear(&Ask::History { at_work }).await;
        let missing = &mut everywhere.missing;
        for silent in heard.silent {
            missing.push(format!("statements are missing: {silent}"));
        }
        for answer in heard.answers {
            let Some(known) = answer.known else {
                missing.push("statements are missing: a process tells nothing of its own".to_owned());
                continue;
            };
            if !seen.insert(known.process.id) {
                continue;
            }
            if known.left_out > 0 {
                let name = &known.process.name;
                missing.push(format!("statements are missing: {} more of {name}", known.left_out));
            }
            everywhere.processes.push(known);
        }
        everywhere
    }
}
