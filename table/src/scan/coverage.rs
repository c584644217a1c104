//! Which files a condition covers wholly: their rows all fulfil it, so they can leave the table without being read.

use iceberg::spec::TableMetadata;

use super::pruning::Pruner;
use super::{Scan, ScanFile};
use crate::error::Result;
use crate::predicate::Predicate;

/// The files of a scan that its condition reaches. Those that it does not reach are in neither list.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Every row surely fulfils the condition, whatever other rows of them were deleted before.
    pub whole: Vec<ScanFile>,
    /// Some rows may, or it is not known that all do: they have to be read.
    pub part: Vec<ScanFile>,
}

/// Whether every row of a file surely fulfils a condition, as its partition and its statistics tell. What is not sure, or not
/// known, is no.
pub fn covers(table: &TableMetadata, file: &ScanFile, condition: &Predicate) -> bool {
    Pruner::new(table, Some(condition)).covers(condition, file)
}

impl Scan<'_> {
    /// The files that the scan's filter reaches, by how far it covers them. Without a filter all of them are covered. The caller
    /// need not apply deletes to those that are.
    pub async fn coverage(self) -> Result<Coverage> {
        let (table, filter) = (self.table, self.filter);
        let files = self.with_deletes().plan().await?;
        let Some(filter) = filter else {
            return Ok(Coverage {
                whole: files,
                part: Vec::new(),
            });
        };
        let pruner = Pruner::new(table, Some(filter));
        let (whole, part) = files.into_iter().partition(|file| pruner.covers(filter, file));
        Ok(Coverage { whole, part })
    }
}

#[cfg(test)]
mod tests;
