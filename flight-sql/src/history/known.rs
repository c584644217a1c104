//! What a process tells others of its statements: bounded, and with whose they are.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{QueryHistory, QueryRecord};

/// Bytes of the statements that one process tells another: as many as are remembered, of some hundred bytes each as they mostly are.
pub const KNOWN_BYTES_MAX: usize = 2 << 20;

/// A process that answers statements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What people call it: its machine, and where it is operated.
    pub name: String,
    /// Another one with each start, by which one process behind several addresses is known; nil where nobody asks.
    pub id: Uuid,
}

/// The statements of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Whose they are.
    pub process: Process,
    /// All of them the newest first, those at work the oldest first.
    pub statements: Vec<QueryRecord>,
    /// How many there are behind them.
    pub left_out: usize,
}

impl QueryHistory {
    /// The statements of this process: all, or those at work.
    pub fn known(&self, at_work: bool) -> Known {
        let statements = match at_work {
            true => self.running(),
            false => self.all(),
        };
        Known {
            process: self.process.clone(),
            statements,
            left_out: 0,
        }
    }
}

impl Known {
    /// As many of them as are told to others.
    #[must_use]
    pub(crate) fn bounded(self, bytes_max: usize) -> Self {
        let (count, mut bytes) = (self.statements.len(), 0_usize);
        let fits = |record: &QueryRecord| {
            // One that is no JSON would be none of what is told either.
            bytes = bytes.saturating_add(serde_json::to_vec(record).map_or(usize::MAX, |json| json.len() + 1));
            bytes <= bytes_max
        };
        let statements: Vec<QueryRecord> = self.statements.into_iter().take_while(fits).collect();
        Self {
            left_out: self.left_out + (count - statements.len()),
            process: self.process,
            statements,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::ManualClock;
    use tidewater_security::Principal;

    use super::*;
    use crate::history::Sender;
    use crate::metrics::Front;

    // Goal: what others are told is of so many bytes at most, of the newest statements, and says how many it leaves out; it is the same after
    // it went over the wire. Method: five statements, within bounds for all, for three and for none.
    #[test]
    fn others_are_told_so_much() {
        let process = Process {
            name: "lake-1:8080".to_owned(),
            id: Uuid::from_u128(7),
        };
        let history = QueryHistory::new(Arc::new(ManualClock::new(5))).of_process(process.clone());
        let ana = Principal::named("ana");
        let sender = Sender {
            principal: &ana,
            front: Front::Http,
            client: "test",
            address: Some([10, 0, 0, 7].into()),
        };
        let begin = |number: u128| history.begin(Uuid::from_u128(number), sender, "SELECT 1");
        for number in 1..5 {
            drop(begin(number));
        }
        let _at_work = begin(5);
        let all = history.known(false);
        assert_eq!((all.statements.len(), history.known(true).statements.len()), (5, 1));
        let sent = serde_json::to_string(&all).expect("JSON");
        assert_eq!(serde_json::from_str::<Known>(&sent).expect("the same"), all);
        let lengths = all
            .statements
            .iter()
            .map(|one| serde_json::to_vec(one).expect("JSON").len() + 1);
        let of_three: usize = lengths.take(3).sum();
        for (bytes_max, told) in [(KNOWN_BYTES_MAX, 5), (of_three, 3), (of_three - 1, 2), (0, 0)] {
            let bounded = all.clone().bounded(bytes_max);
            let ids: Vec<u128> = bounded.statements.iter().map(|one| one.id.as_u128()).collect();
            assert_eq!(ids, (1..=5).rev().take(told).collect::<Vec<_>>(), "{bytes_max}");
            assert_eq!((bounded.left_out, &bounded.process), (5 - told, &process));
        }
    }
}
