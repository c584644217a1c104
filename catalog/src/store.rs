//! Where metadata files are kept, as the catalog sees it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{CatalogError, Result};
use tidewater_table::{FileStore, TableError};

/// The few things the catalog does with files.
#[async_trait]
pub trait MetadataStore: Debug + Send + Sync {
    /// Writes a file that is not there yet, durably.
    async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()>;

    /// Reads a file; none when it is not there.
    async fn get(&self, location: &str) -> Result<Option<Bytes>>;

    /// Whether a file is there.
    async fn exists(&self, location: &str) -> Result<bool>;

    /// Deletes a file; nothing happens when it is not there.
    async fn delete(&self, location: &str) -> Result<()>;

    /// All files below a folder.
    async fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// The store as the table format reads it, for planning scans; none when it cannot.
    fn files(&self) -> Option<&FileStore> {
        None
    }
}

#[async_trait]
impl MetadataStore for FileStore {
    async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        Self::put_new(self, location, bytes)
            .await
            .map_err(failed("write", location))
    }

    async fn get(&self, location: &str) -> Result<Option<Bytes>> {
        match Self::get(self, location).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(TableError::FileNotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", location)(error)),
        }
    }

    async fn exists(&self, location: &str) -> Result<bool> {
        Self::exists(self, location).await.map_err(failed("look at", location))
    }

    async fn delete(&self, location: &str) -> Result<()> {
        Self::delete(self, location).await.map_err(failed("delete", location))
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let files = Self::list(self, folder).await.map_err(failed("list", folder))?;
        Ok(files.into_iter().map(|file| file.location).collect())
    }

    fn files(&self) -> Option<&FileStore> {
        Some(self)
    }
}

fn failed(action: &'static str, location: &str) -> impl FnOnce(TableError) -> CatalogError {
    move |source| CatalogError::Store {
        action,
        location: location.to_owned(),
        source: Box::new(source),
    }
}

/// Files in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryStore {
    files: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryStore {
    /// How many files there are.
    pub fn len(&self) -> usize {
        self.with(|files| files.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, action: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T) -> T {
        action(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl MetadataStore for MemoryStore {
    async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        let previous = self.with(|files| {
            if files.contains_key(location) {
                return true;
            }
            files.insert(location.to_owned(), bytes);
            false
        });
        if previous {
            return Err(CatalogError::Store {
                action: "write",
                location: location.to_owned(),
                source: "the file exists".into(),
            });
        }
        Ok(())
    }

    async fn get(&self, location: &str) -> Result<Option<Bytes>> {
        Ok(self.with(|files| files.get(location).cloned()))
    }

    async fn exists(&self, location: &str) -> Result<bool> {
        Ok(self.with(|files| files.contains_key(location)))
    }

    async fn delete(&self, location: &str) -> Result<()> {
        self.with(|files| files.remove(location));
        Ok(())
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        Ok(self.with(|files| files.keys().filter(|name| name.starts_with(&prefix)).cloned().collect()))
    }
}
