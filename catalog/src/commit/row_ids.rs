//! Row ids of format 3: each snapshot begins where the one before it ended, so that none is given twice.

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, Snapshot, TableMetadata};

use crate::command::Ident;
use crate::error::{CatalogError, Result};

/// The ids that are given so far, while the updates of a commit go by.
#[derive(Debug)]
pub(super) struct RowIds {
    version: FormatVersion,
    next: u64,
}

impl RowIds {
    /// What the table has given.
    pub(super) fn of(metadata: &TableMetadata) -> Self {
        Self {
            version: metadata.format_version(),
            next: metadata.next_row_id(),
        }
    }

    /// Checks an update. A snapshot without row ids is the library's to refuse.
    pub(super) fn check(&mut self, table: &Ident, update: &TableUpdate) -> Result<()> {
        match update {
            TableUpdate::UpgradeFormatVersion { format_version } => self.version = self.version.max(*format_version),
            TableUpdate::AddSnapshot { snapshot } if self.version >= FormatVersion::V3 => self.take(table, snapshot)?,
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, table: &Ident, snapshot: &Snapshot) -> Result<()> {
        let Some((first, added)) = snapshot.row_range() else {
            return Ok(());
        };
        if first < self.next {
            // It was planned before somebody else's commit.
            return Err(CatalogError::CommitFailed {
                table: table.clone(),
                reason: format!("first row id {first} is before the table's next, {}", self.next),
            });
        }
        if first > self.next {
            // The table counts what was added, so the ids behind the gap would be given once more.
            return Err(CatalogError::bad_request(format!(
                "commit to {table} is not valid: first row id {first} is not the table's next, {}",
                self.next
            )));
        }
        self.next = first.checked_add(added).ok_or_else(|| {
            CatalogError::bad_request(format!(
                "commit to {table} is not valid: its row ids exceed their range"
            ))
        })?;
        Ok(())
    }
}
