//! What is known of texts: dashboards send the same ones over and over, and what follows from a text alone need not be found out again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

/// Bytes of all texts, with what is known of them.
const BYTES_MAX: u64 = 4 << 20;

/// What a text takes besides itself, about. What is known of it is about as long as itself.
const ENTRY_BYTES: usize = 100;

/// How long one is known that nobody sends: its values may be of patients.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// Texts, each with what is known of it: no matter who sends it or what is bound. Clones share them.
pub(crate) struct Texts<V>(Cache<Arc<str>, V>);

impl<V: Clone + Send + Sync + 'static> Texts<V> {
    pub(crate) fn get(&self, text: &str) -> Option<V> {
        self.0.get(text)
    }

    pub(crate) fn add(&self, text: &str, known: V) {
        self.0.insert(text.into(), known);
    }
}

impl<V: Clone + Send + Sync + 'static> Default for Texts<V> {
    fn default() -> Self {
        let texts = Cache::builder()
            .weigher(|text: &Arc<str>, _: &V| u32::try_from(2 * text.len() + ENTRY_BYTES).unwrap_or(u32::MAX))
            .max_capacity(BYTES_MAX)
            .time_to_idle(IDLE_MAX);
        Self(texts.build())
    }
}

impl<V> Clone for Texts<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> fmt::Debug for Texts<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Texts")
    }
}
