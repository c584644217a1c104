//! `CALL system.register_table`: a table of which there is a metadata file gets a name.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::common::DataFusionError;
use tidewater_table::TableError;

use super::super::Workshop;
use super::super::create::require_plain;
use super::{Arguments, Procedure};
use crate::error::Result;

impl Workshop<'_> {
    /// The table of a metadata file is the catalog's under a name that nothing has yet.
    pub(super) async fn register_table(&self, procedure: &Procedure, arguments: &Arguments) -> Result<RecordBatch> {
        let name = self.about(arguments)?;
        require_plain(&name)?;
        let file = arguments.required("metadata_file")?;
        let registered = self.engine.catalog().register_table(&name, &file).await;
        registered.map_err(TableError::from)?;
        let table = self.engine.load(&name).await?;
        let snapshot = table.metadata.current_snapshot();
        let total = |key: &str| {
            let told = snapshot?.summary().additional_properties.get(key)?;
            told.parse::<i64>().ok()
        };
        let values = [
            snapshot.map(|snapshot| snapshot.snapshot_id()),
            total("total-records"),
            total("total-data-files"),
        ];
        let columns = values.map(|value| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) });
        Ok(RecordBatch::try_new(procedure.schema(), Vec::from(columns)).map_err(DataFusionError::from)?)
    }
}
