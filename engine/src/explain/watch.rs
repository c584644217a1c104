//! What an explained statement finds at hand. It goes with the statement's session, so that nobody else's reads are told.

use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};
use tidewater_table::{AtHand, FileStore};

use crate::engine::Engine;

/// Hears what the scans of one statement find in memory or on the local disk, and what they have to read.
#[derive(Debug, Clone)]
pub struct Watch {
    at_hand: Arc<AtHand>,
    runs: bool,
    has_disk_cache: bool,
}

impl Watch {
    /// Of the plans of this session from now on. `runs`: whether the statement is run, or its plan is made only.
    pub fn attach(engine: &Engine, session: &SessionContext, runs: bool) -> Self {
        let at_hand = Arc::new(AtHand::default());
        let state = session.state_ref();
        state.write().config_mut().set_extension(Arc::clone(&at_hand));
        Self {
            at_hand,
            runs,
            has_disk_cache: engine.store().disk_cache_figures().is_some(),
        }
    }

    /// Of a statement that runs in other processes: what it reads there is not heard here.
    #[must_use]
    pub fn of_plan_only(self) -> Self {
        Self { runs: false, ..self }
    }

    /// Lines of an explanation, each with its kind. What only a run reads is not told of a plan.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let found = self.at_hand.figures();
        let manifests = format!("{}; their lists: {}", found.manifests, found.lists);
        let mut lines = vec![("manifests".to_owned(), manifests)];
        if self.runs {
            lines.push(("footers".to_owned(), found.footers.to_string()));
        }
        if self.runs && self.has_disk_cache {
            let blocks = format!(
                "{} on the local disk, {} read from the store, {} times those that others read were waited for",
                found.blocks.kept, found.blocks.read, found.blocks_joined
            );
            lines.push(("blocks".to_owned(), blocks));
        }
        lines
    }
}

/// The stores of a statement with this configuration: they tell, if somebody wants to know.
pub(crate) fn store_of(config: &SessionConfig, store: &FileStore) -> FileStore {
    match config.get_extension::<AtHand>() {
        Some(at_hand) => store.telling(at_hand),
        None => store.clone(),
    }
}
