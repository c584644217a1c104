//! Object stores found when they are needed, so that a plan from another process finds its files.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use tidewater_table::FileStore;
use url::Url;

use crate::error::EngineError;

/// Asks the [`FileStore`] for the store of any URL; nothing has to be registered.
#[derive(Debug)]
pub(crate) struct FileStoreRegistry {
    store: FileStore,
}

impl FileStoreRegistry {
    pub(crate) fn new(store: FileStore) -> Self {
        Self { store }
    }
}

impl ObjectStoreRegistry for FileStoreRegistry {
    fn register_store(&self, url: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        tracing::debug!(%url, "an object store was registered by hand, which has no effect");
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::common::Result<Arc<dyn ObjectStore>> {
        let store = self.store.store_at(url.as_str());
        store.map_err(|error| DataFusionError::from(EngineError::from(error)))
    }
}
