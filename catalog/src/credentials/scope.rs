//! The part of a bucket that belongs to one table.

use crate::error::{CatalogError, Result};
use crate::warehouse::Warehouse;
use tidewater_table::file_store::Location;

/// A table's folder in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableScope {
    bucket: String,
    folder: String,
    reads_only: bool,
}

impl TableScope {
    /// The scope of a table at `location`; none when it does not lie in S3.
    ///
    /// # Errors
    /// If the location is not one of the warehouse.
    pub(super) fn of(warehouse: &Warehouse, location: &str) -> Result<Option<Self>> {
        let refused = |reason: &str| CatalogError::BadLocation {
            location: location.chars().take(120).collect(),
            reason: reason.into(),
        };
        let checked = warehouse.checked(location)?;
        let parsed = Location::parse(&checked).map_err(|error| refused(&error.to_string()))?;
        let Location::S3 { bucket, key } = parsed else {
            return Ok(None);
        };
        if key.is_empty() {
            return Err(refused("a table is not a whole bucket"));
        }
        if !is_bucket(&bucket) {
            return Err(refused("its bucket has a name that no bucket can have"));
        }
        Ok(Some(Self {
            bucket,
            folder: key,
            reads_only: false,
        }))
    }

    /// The same for somebody who may only read.
    #[must_use]
    pub(super) fn only_for_reading(mut self, reads_only: bool) -> Self {
        self.reads_only = reads_only;
        self
    }

    /// Whether nothing in it may be changed.
    pub(super) fn reads_only(&self) -> bool {
        self.reads_only
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The folder's key, without a slash at either end.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// Whether an object is the table's.
    pub(super) fn holds(&self, bucket: &str, key: &str) -> bool {
        bucket == self.bucket && self.is_within(key).is_some_and(|rest| !rest.is_empty())
    }

    /// Whether everything that begins with `prefix` is the table's.
    pub(super) fn holds_all(&self, bucket: &str, prefix: &str) -> bool {
        bucket == self.bucket && self.is_within(prefix).is_some()
    }

    /// What follows the folder and its slash, in a key that reads the same in every store.
    fn is_within<'k>(&self, key: &'k str) -> Option<&'k str> {
        let relative = key.split('/').any(|part| part == "." || part == "..");
        if relative || key.contains('\\') || key.chars().any(char::is_control) {
            return None;
        }
        key.strip_prefix(&self.folder)?.strip_prefix('/')
    }
}

fn is_bucket(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (3..=255).contains(&name.len()) && name.chars().all(allowed)
}
