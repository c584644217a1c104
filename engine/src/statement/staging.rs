//! Tables that are made by a session whose writes wait to be published.

use tidewater_table::{StagedTable, is_wap_enabled};

use super::Workshop;
use crate::error::{EngineError, Result};

impl Workshop<'_> {
    /// The id under which the first rows of a new table wait: the session's, if the table is to stage writes. The table is there then,
    /// and its main branch has no rows.
    ///
    /// # Errors
    /// [`EngineError::CannotWait`] if another table makes way for it, and one of the two stages writes: a schema cannot wait, and
    /// without the new rows main would lose the old ones.
    pub(super) fn waiting_in(&self, staged: &StagedTable) -> Result<Option<String>> {
        let Some(id) = &self.options.wap_id else {
            return Ok(None);
        };
        let stages = is_wap_enabled(&staged.table().metadata);
        match staged.replaced() {
            Some(there) if stages || is_wap_enabled(&there.metadata) => Err(EngineError::CannotWait {
                table: there.name.clone(),
            }),
            _ => Ok(stages.then(|| id.clone())),
        }
    }
}
