//! What producers and the catalog say in the summary of a folded snapshot.

use std::collections::BTreeMap;

use crate::command::ProducerRange;
use crate::error::{CatalogError, Result};
use tidewater_table::JOB_ID_KEY;

/// The summary entry that names the ranges a snapshot holds: `{"producer": [[from, to], …]}`.
pub(super) const RANGES_KEY: &str = "tidewater.append-ranges";

/// Entries that one request may add: they stay in the metadata as long as the snapshot.
const ENTRIES_MAX: usize = 16;

/// Longest name and value of an entry, together.
const ENTRY_BYTES_MAX: usize = 1 << 10;

/// What the names of the format's own entries begin with, and those of this catalog.
const RESERVED: [&str; 9] = [
    "added-",
    "removed-",
    "deleted-",
    "total-",
    "changed-",
    "partitions.",
    "tidewater.",
    "manifests-",
    "entries-",
];

/// Refuses entries that would say something untrue of the snapshot.
pub(super) fn checked(summary: BTreeMap<String, String>) -> Result<Vec<(String, String)>> {
    if summary.len() > ENTRIES_MAX {
        return Err(CatalogError::TooLarge {
            what: "the number of summary entries of an append",
            limit: ENTRIES_MAX,
        });
    }
    for (name, value) in &summary {
        if name.len() + value.len() > ENTRY_BYTES_MAX {
            return Err(CatalogError::TooLarge {
                what: "an entry of the summary of an append, in bytes,",
                limit: ENTRY_BYTES_MAX,
            });
        }
        let is_reserved = RESERVED.iter().any(|begin| name.starts_with(begin));
        if is_reserved || name.is_empty() || name == "operation" || name == JOB_ID_KEY {
            return Err(CatalogError::bad_request(format!(
                "the summary entry {name:?} is not for producers to set"
            )));
        }
    }
    Ok(summary.into_iter().collect())
}

/// Whether two requests can share a snapshot: none says otherwise what the other says.
pub(super) fn agree(taken: &BTreeMap<String, String>, more: &[(String, String)]) -> bool {
    more.iter()
        .all(|(name, value)| taken.get(name).is_none_or(|taken| taken == value))
}

/// The ranges as the summary names them.
pub(super) fn named<'a>(ranges: impl IntoIterator<Item = &'a ProducerRange>) -> Result<String> {
    let mut by_producer: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for range in ranges {
        by_producer
            .entry(&range.producer)
            .or_default()
            .push((range.from, range.to));
    }
    serde_json::to_string(&by_producer).map_err(|error| CatalogError::internal(error.to_string()))
}
