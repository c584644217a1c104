//! All tables of the catalog as they stood at one moment, for statements that follow one another.
//!
//! The moment is when the first table is asked for. Where each table stood then is asked in one call; a table is loaded when it is
//! named. Where it has moved on, its state of then is read from its metadata file, or, as that may be gone soon, made of what its newest
//! state tells.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tidewater_core::{Coded, ErrorKind, TableName};
use tidewater_table::{LoadedTable, Pointers, TableError, TablePointer};

use crate::engine::Parts;
use crate::error::{EngineError, Result};
use crate::lake::Moment;

/// Tables that one call asks for: their names and files have to fit into its URL.
const TABLES_PER_CALL: usize = 100;

/// Tables that are kept: with 200 snapshots each, some 100 MB. More than a session reads; further ones are loaded each time.
const TABLES_MAX: usize = 200;

/// Tables as they stood when the first of them was asked for. One that was made later is not among them.
#[derive(Default)]
pub struct OneMoment {
    pointers: tokio::sync::OnceCell<Arc<Pointers>>,
    /// Those that were asked for first, as they stood then.
    loaded: Mutex<HashMap<TableName, LoadedTable>>,
}

impl OneMoment {
    /// These tables; `None` for a name that stood for none.
    pub(crate) async fn tables(&self, parts: &Parts, names: Vec<TableName>) -> Result<Moment> {
        let mut found = Moment::with_capacity(names.len());
        if names.is_empty() {
            return Ok(found);
        }
        let pointers = self
            .pointers
            .get_or_try_init(|| async { parts.catalog.pointers().await.map_err(TableError::from) })
            .await?;
        let mut wanted = Vec::new();
        for name in names {
            match (pointers.get(&name), self.known(&name)) {
                (Some(pointer), None) => wanted.push((name, pointer)),
                (Some(_), known) => drop(found.insert(name, known)),
                (None, _) => drop(found.insert(name, None)),
            }
        }
        for some in wanted.chunks(TABLES_PER_CALL) {
            let asked: Vec<TableName> = some.iter().map(|(name, _)| name.clone()).collect();
            let newest = parts.catalog.load_tables(&asked).await.map_err(TableError::from)?;
            for ((name, pointer), newest) in some.iter().zip(newest) {
                let table = match newest {
                    Some(newest) if newest.metadata_location == pointer.metadata_location => newest,
                    newest => earlier(parts, name, pointer, newest).await?,
                };
                self.keep(&table);
                found.insert(name.clone(), Some(table));
            }
        }
        Ok(found)
    }

    fn known(&self, name: &TableName) -> Option<LoadedTable> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.get(name).cloned()
    }

    fn keep(&self, table: &LoadedTable) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.len() < TABLES_MAX {
            loaded.insert(table.name.clone(), table.clone());
        }
    }
}

impl fmt::Debug for OneMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = self.pointers.get().map(|pointers| pointers.len());
        f.debug_struct("OneMoment")
            .field("tables", &tables)
            .finish_non_exhaustive()
    }
}

/// These tables as they stand at one moment: that one, or now.
pub(crate) async fn tables(parts: &Parts, at: Option<&OneMoment>, names: Vec<TableName>) -> Result<Moment> {
    if let Some(at) = at {
        return Box::pin(at.tables(parts, names)).await;
    }
    let loaded = parts.catalog.load_tables(&names).await.map_err(TableError::from)?;
    Ok(names.into_iter().zip(loaded).collect())
}

/// A state that the catalog has no more, of a table that has another one now, or is gone.
async fn earlier(
    parts: &Parts,
    name: &TableName,
    pointer: &TablePointer,
    newest: Option<LoadedTable>,
) -> Result<LoadedTable> {
    match LoadedTable::stored(&parts.store, name, &pointer.metadata_location).await {
        Ok(table) => Ok(table),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let told = newest.and_then(|newest| newest.back_at(pointer));
            told.ok_or_else(|| EngineError::StateGone { table: name.clone() })
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
