//! Where every table stands. While no table has moved nothing is sent, and all who ask share what was told last.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::StatusCode;

use crate::client::CatalogClient;
use crate::dto::TablePointers;
use crate::error::Result;
use crate::transport::Call;
use tidewater_core::{Namespace, TableName};
use tidewater_table::{Pointers, TablePointer};

/// What was told last, with the tag that stands for it. Never answers on its own: the catalog is asked each time.
#[derive(Debug, Default)]
pub(crate) struct LastPointers(Mutex<Option<(String, Arc<Pointers>)>>);

impl LastPointers {
    fn last(&self) -> Option<(String, Arc<Pointers>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, etag: Option<String>, pointers: &Arc<Pointers>) {
        let told = etag.map(|etag| (etag, Arc::clone(pointers)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

impl CatalogClient {
    /// All at one entry of the catalog's log.
    pub(crate) async fn all_pointers(&self) -> Result<Arc<Pointers>> {
        let last = self.pointers.last();
        let call = Call {
            known_etag: last.as_ref().map(|(etag, _)| etag.clone()),
            ..Call::get("/internal/v1/pointers")
        };
        let reply = self.transport.send(&call).await?;
        if let Some((_, same)) = last
            && reply.status == StatusCode::NOT_MODIFIED
        {
            return Ok(same);
        }
        let told: TablePointers = reply.json()?;
        // Names that other clients gave and SQL here cannot say are left out.
        let found = told.tables.into_iter().filter_map(|table| {
            let namespace = Namespace::new(table.namespace).ok()?;
            let name = TableName::new(namespace, table.name).ok()?;
            let pointer = TablePointer {
                uuid: table.uuid,
                metadata_location: table.metadata_location,
                snapshot_id: table.snapshot_id,
            };
            Some((name, pointer))
        });
        let found: Arc<Pointers> = Arc::new(found.collect());
        self.pointers.keep(reply.etag, &found);
        Ok(found)
    }

    /// The metadata files of those that are left out there.
    pub(crate) async fn all_unnameable(&self) -> Result<Vec<String>> {
        let told: TablePointers = self.get("/internal/v1/pointers").await?.json()?;
        let left_out = told.tables.into_iter().filter_map(|table| {
            let namespace = Namespace::new(table.namespace).ok();
            let name = namespace.and_then(|namespace| TableName::new(namespace, table.name).ok());
            name.is_none().then_some(table.metadata_location)
        });
        Ok(left_out.collect())
    }
}
