//! Procedures that move the head of a table or of a branch.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::common::DataFusionError;
use tidewater_table::{
    HeadMoved, TableError, cherry_pick, fast_forward, rollback_to_snapshot, rollback_to_timestamp,
    set_current_snapshot, snapshot_of, staged_as,
};

use super::super::{Workshop, writable};
use super::{Arguments, Procedure};
use crate::error::{EngineError, Result};

impl Workshop<'_> {
    /// The head of main goes to another snapshot.
    pub(super) async fn move_head(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        writable(&self.engine.load(&name).await?)?;
        let (catalog, store) = (self.engine.catalog().as_ref(), self.engine.store());
        let needed =
            |argument: &str| EngineError::statement(format!("{}: argument {argument:?} is missing", procedure.name));
        let snapshot = arguments.integer("snapshot_id")?;
        let moved = match procedure.name {
            "rollback_to_snapshot" => {
                let snapshot = snapshot.ok_or_else(|| needed("snapshot_id"))?;
                rollback_to_snapshot(catalog, store, &name, snapshot).await?
            }
            "rollback_to_timestamp" => {
                let before = arguments.time_ms("timestamp")?.ok_or_else(|| needed("timestamp"))?;
                rollback_to_timestamp(catalog, store, &name, before).await?
            }
            _ => {
                let snapshot = match (snapshot, arguments.text("ref")?) {
                    (Some(snapshot), None) => snapshot,
                    (None, Some(named)) => snapshot_of(&self.engine.load(&name).await?.metadata, &named)?,
                    _ => {
                        return Err(EngineError::statement(
                            "set_current_snapshot takes a snapshot_id, or a ref",
                        ));
                    }
                };
                set_current_snapshot(catalog, store, &name, snapshot).await?
            }
        };
        let HeadMoved { from, to, .. } = moved;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![from])),
            Arc::new(Int64Array::from(vec![to])),
        ];
        Ok(RecordBatch::try_new(procedure.schema(), columns).map_err(DataFusionError::from)?)
    }

    /// A branch goes to where another branch or a tag stands.
    pub(super) async fn fast_forward(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        writable(&self.engine.load(&name).await?)?;
        let branch = arguments.required("branch")?;
        let to = arguments.required("to")?;
        let moved = fast_forward(self.engine.catalog().as_ref(), self.engine.store(), &name, &branch, &to).await?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![branch])),
            Arc::new(Int64Array::from(vec![moved.from])),
            Arc::new(Int64Array::from(vec![moved.to])),
        ];
        Ok(RecordBatch::try_new(procedure.schema(), columns).map_err(DataFusionError::from)?)
    }

    /// What a snapshot added joins main.
    pub(super) async fn cherry_pick(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        writable(&self.engine.load(&name).await?)?;
        let snapshot = arguments.required_integer("snapshot_id")?;
        let picked = cherry_pick(self.engine.catalog().as_ref(), self.engine.store(), &name, snapshot).await?;
        procedure.numbers(&[snapshot, picked.snapshot_id])
    }

    /// What was staged under an id joins main.
    pub(super) async fn publish(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        let table = self.engine.load(&name).await?;
        writable(&table)?;
        let id = arguments.required("wap_id")?;
        let staged = staged_as(&table.metadata, &id);
        let snapshot = match *staged {
            [snapshot] => snapshot,
            [] => {
                return Err(EngineError::statement(format!(
                    "publish_changes: nothing is staged in {name} under {id:?}"
                )));
            }
            _ => {
                return Err(EngineError::statement(format!(
                    "publish_changes: {} snapshots are staged in {name} under {id:?}; name one to cherrypick_snapshot",
                    staged.len()
                )));
            }
        };
        let picked = cherry_pick(self.engine.catalog().as_ref(), self.engine.store(), &name, snapshot).await?;
        procedure.numbers(&[snapshot, picked.snapshot_id])
    }

    /// A snapshot and those before it, the newest first, with the time of each.
    pub(super) async fn ancestors_of(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let table = self.engine.load(&self.about(arguments)?).await?;
        let mut at = match arguments.integer("snapshot_id")? {
            Some(snapshot_id) => match table.metadata.snapshot_by_id(snapshot_id) {
                Some(snapshot) => Some(snapshot),
                None => return Err(TableError::SnapshotNotFound { snapshot_id }.into()),
            },
            None => table.metadata.current_snapshot(),
        };
        let (mut ids, mut times) = (Vec::new(), Vec::new());
        while let Some(snapshot) = at {
            ids.push(snapshot.snapshot_id());
            times.push(snapshot.timestamp_ms());
            at = snapshot
                .parent_snapshot_id()
                .and_then(|id| table.metadata.snapshot_by_id(id));
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), Arc::new(Int64Array::from(times))];
        Ok(RecordBatch::try_new(procedure.schema(), columns).map_err(DataFusionError::from)?)
    }
}
