//! Tables as they were last loaded: when the catalog says that nothing changed, nothing is sent and nothing is parsed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tidewater_core::TableName;
use tidewater_table::LoadedTable;

/// How many tables are kept. The metadata of one with 200 snapshots takes some 500 KB.
const TABLES_MAX: usize = 128;

/// The cache. Never answers on its own: the catalog is asked each time.
#[derive(Debug, Default)]
pub(crate) struct TableCache {
    tables: Mutex<HashMap<TableName, (String, LoadedTable)>>,
}

impl TableCache {
    /// The table as it was, and the tag that stands for it.
    pub(crate) fn last(&self, name: &TableName) -> Option<(String, LoadedTable)> {
        self.tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    pub(crate) fn keep(&self, etag: Option<String>, table: &LoadedTable) {
        let Some(etag) = etag else { return };
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.len() >= TABLES_MAX && !tables.contains_key(&table.name) {
            // Which one goes does not matter: it is loaded again when needed.
            let some = tables.keys().next().cloned();
            some.and_then(|some| tables.remove(&some));
        }
        tables.insert(table.name.clone(), (etag, table.clone()));
    }

    pub(crate) fn forget(&self, name: &TableName) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
