//! What requests with an idempotency key were answered, for as long as they may come again.

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Shared;
use crate::command::{Outcome, Refusal};

/// How long an answer is kept, in the state's time. Announced to clients as `idempotency-key-lifetime`.
pub const IDEMPOTENCY_LIFETIME_MS: i64 = 30 * 60 * 1_000;

/// How many answers are kept at most; the oldest go first. At 300 bytes each this is some 150 MB, and 270 keyed requests a second for the whole lifetime.
pub const IDEMPOTENCY_MAX: usize = 500_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    print: u64,
    outcome: Outcome,
}

/// The answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Idempotency {
    rows: OrdMap<Uuid, Shared<Row>>,
    /// When each was kept, the oldest in front.
    order: Vector<(i64, Uuid)>,
}

impl Idempotency {
    /// What the key was answered, if it was.
    pub(super) fn replay(&self, key: u128, print: u64) -> Option<Outcome> {
        if key == 0 {
            return None;
        }
        let row = self.rows.get(&Uuid::from_u128(key))?;
        if print != 0 && row.print != 0 && row.print != print {
            return Some(Outcome::Refused(Refusal::KeyReused));
        }
        Some(row.outcome.clone())
    }

    pub(super) fn keep(&mut self, key: u128, print: u64, now_ms: i64, outcome: &Outcome) {
        if key == 0 {
            return;
        }
        let key = Uuid::from_u128(key);
        let row = Row {
            print,
            outcome: outcome.clone(),
        };
        self.rows.insert(key, Shared::new(row));
        self.order.push_back((now_ms, key));
        while self.order.len() > IDEMPOTENCY_MAX {
            self.forget_oldest();
        }
    }

    pub(super) fn expire(&mut self, now_ms: i64) {
        while self
            .order
            .front()
            .is_some_and(|(at_ms, _)| at_ms.saturating_add(IDEMPOTENCY_LIFETIME_MS) < now_ms)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.rows.remove(&key);
        }
    }
}

impl super::State {
    /// What the request with this key was answered, if it was applied and its answer is still kept.
    pub fn replay(&self, key: u128, print: u64) -> Option<Outcome> {
        self.idempotency.replay(key, print)
    }
}
