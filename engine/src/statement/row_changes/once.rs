//! What a statement is about, evaluated once where it might be something else the next time.

use datafusion::prelude::SessionContext;
use tidewater_table::iceberg::spec::FormatVersion;
use tidewater_table::schema::to_arrow;

use super::super::settled::unsettled;
use super::{Attempt, UNSETTLED};
use crate::error::{EngineError, Result};
use crate::lineage;
use crate::session::KeptHere;

impl Attempt<'_> {
    /// Writes down the rows that it is about, and what becomes of them: all that is asked from now on is asked of what was written. So
    /// many parts of its plan need not be alike each time.
    pub(super) async fn write_down(&mut self, session: &SessionContext, parts: usize) -> Result<()> {
        if self.sql.asks_in_clauses() {
            let met = self.plan(session, &self.sql.met()).await?;
            if unsettled(&met, session.state().config_options())? < parts {
                return Err(EngineError::Unsettled {
                    table: self.table.name.clone(),
                });
            }
        }
        let of_v3 = self.table.metadata.format_version() == FormatVersion::V3;
        let (session, sql) = match of_v3 && self.sql.writes_rows() {
            true => {
                let target = lineage::with_lineage(&self.table)?;
                let columns = to_arrow(target.metadata.current_schema())?;
                let sql = self.sql.with_lineage(columns.into()).once();
                (self.session_with_lineage(&target, Vec::new())?, sql)
            }
            false => (self.session(Vec::new())?, self.sql.once()),
        };
        let plan = self.plan(&session, &sql).await?;
        KeptHere::attach(&session, UNSETTLED);
        self.once = Some(self.shop.written_down(&session, plan).await?);
        self.sql = self.sql.reading_once();
        Ok(())
    }
}
