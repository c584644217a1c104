//! Topics that another source of this process has too.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Worker;
use crate::halt::Halt;
use crate::source::Discovered;
use crate::topics::Claim;

impl Worker {
    /// Halts topics that another source has too: whose their offsets are is not known, so that neither is read. Takes those out, for now, that
    /// another source may have which has not told yet.
    pub(super) fn part_shared(&mut self, found: &mut Vec<Discovered>) {
        let (topics, own) = (Arc::clone(&self.parts.topics), self.parts.index);
        let mut awaited = BTreeMap::new();
        found.retain(|found| match topics.claim(own, &found.partition.topic) {
            Claim::Alone => true,
            Claim::Shared(other) => {
                self.halt(&found.partition, Halt::Shared { own, other });
                true
            }
            Claim::Awaits(other) => {
                awaited.insert(found.partition.clone(), other);
                false
            }
        });
        if self.awaited.is_empty()
            && let Some(other) = awaited.values().next()
        {
            tracing::info!(
                "topics of ingest.sources.{own} wait until ingest.sources.{other} has listed its own, which may be the same"
            );
        }
        self.awaited = awaited;
    }
}
