//! Texts that are known to ask for rows: who sends one again need not wait until it is parsed for a change that it is not.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

/// Bytes of all texts.
const BYTES_MAX: u64 = 4 << 20;

/// What a text takes besides itself, about.
const ENTRY_BYTES: usize = 100;

/// How long one is known that nobody sends: its values may be of patients.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// The texts. Whether one is a query is a matter of the text alone, not of who sends it or of what is bound.
#[derive(Debug)]
pub(super) struct Queries(Cache<Arc<str>, ()>);

impl Default for Queries {
    fn default() -> Self {
        let texts = Cache::builder()
            .weigher(|text: &Arc<str>, ()| u32::try_from(text.len() + ENTRY_BYTES).unwrap_or(u32::MAX))
            .max_capacity(BYTES_MAX)
            .time_to_idle(IDLE_MAX);
        Self(texts.build())
    }
}

impl Queries {
    pub(super) fn knows(&self, sql: &str) -> bool {
        self.0.get(sql).is_some()
    }

    pub(super) fn add(&self, sql: &str) {
        self.0.insert(sql.into(), ());
    }
}
