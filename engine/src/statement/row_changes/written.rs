//! The rows of a statement, written to new files. In format 3 those that were in the table before bring along what they are known by.

use datafusion::prelude::SessionContext;
use tidewater_table::iceberg::spec::FormatVersion;
use tidewater_table::schema::to_arrow;
use tidewater_table::{Added, LoadedTable, ScanFile};

use super::Attempt;
use crate::error::Result;
use crate::lineage;
use crate::write::{Distribution, Order, WriteRequest, drop_files};

impl Attempt<'_> {
    /// Writes the rows that are changed or added, and with `keep` those of the `rewritten` files that stay as they are. They must be as
    /// many as were counted: `known` that were in the table before, and `new` ones.
    pub(super) async fn write(&self, rewritten: Vec<ScanFile>, keep: bool, known: u64, new: u64) -> Result<Vec<Added>> {
        let rows = known + new;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let engine = self.shop.engine;
        // New rows alone get what they are known by from their file.
        let moves = known > 0 && self.table.metadata.format_version() == FormatVersion::V3;
        let (session, sql, target) = match moves {
            true => {
                let target = lineage::with_lineage(&self.table)?;
                let columns = to_arrow(target.metadata.current_schema())?;
                let sql = self.sql.with_lineage(columns.into()).written(keep);
                (self.session_with_lineage(&target, rewritten)?, sql, target)
            }
            false => (self.session(rewritten)?, self.sql.written(keep), self.table.clone()),
        };
        let request = WriteRequest {
            job: self.shop.job(),
            input: self.plan_of_rows(&session, &sql).await?,
            target,
            distribution: Distribution::ByPartition,
            order: Order::OfTable,
            target_file_size_bytes: None,
            deadline: self.shop.deadline,
        };
        let added = engine.write_with(self.shop.runner, &session, request).await?;
        let written: u64 = added.iter().map(|added| added.file.record_count()).sum();
        if written != rows {
            drop_files(engine.store(), &added).await;
            return Err(self.miscounted(rows, written));
        }
        Ok(added)
    }

    /// A session whose rows tell what they are known by; the table is extended by it.
    pub(super) fn session_with_lineage(&self, table: &LoadedTable, rewritten: Vec<ScanFile>) -> Result<SessionContext> {
        let engine = self.shop.engine;
        let all = engine.all_rows_provider(table, self.head.of_branch())?;
        let anew = engine.rows_provider(table, rewritten.clone())?;
        let all = lineage::view(table, all, self.files.values())?;
        self.session_of(all, lineage::view(table, anew, &rewritten)?)
    }
}
