//! Whether the footers of opened files were at hand: for the metrics of their scan, and for who watches the statement.

use std::sync::Arc;

use datafusion::physical_plan::metrics::Count;
use object_store::path::Path;
use tidewater_table::{AtHand, Met};

/// Counts of one file's reader. Each time that it asks for the footer counts in the scan's metrics, as several readers share a file.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) kept: Count,
    pub(super) read: Count,
    pub(super) at_hand: Option<Arc<AtHand>>,
}

impl Opened {
    pub(super) fn tell(&self, file: &Path, met: Met) {
        match met {
            Met::Kept => self.kept.add(1),
            Met::Read => self.read.add(1),
        }
        if let Some(at_hand) = &self.at_hand {
            at_hand.footer(file.as_ref(), met);
        }
    }
}
