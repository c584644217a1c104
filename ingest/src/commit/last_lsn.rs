//! Where in the source's log each partition's last row was, kept with the table: a delete that comes without a value goes by it,
//! also when another process wrote that row.

use std::collections::BTreeMap;

use tidewater_table::TableError;
use tidewater_table::iceberg::TableUpdate;
use tidewater_table::iceberg::spec::TableMetadata;

/// Table property: the last position of each partition in the source's log, as JSON. It moves in the same commit as the offsets,
/// and unlike a snapshot's summary it outlives compaction and expiry.
pub(crate) const LAST_LSN_KEY: &str = "tidewater.ingest.last-lsn";

/// As the table has it.
pub(crate) fn last_lsn(table: &TableMetadata) -> Result<BTreeMap<i32, i64>, TableError> {
    let Some(text) = table.properties().get(LAST_LSN_KEY) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_str(text).map_err(|error| TableError::Damaged {
        reason: format!("property {LAST_LSN_KEY} cannot be read: {error}"),
    })
}

/// What a commit changes in it; none if that is nothing. Other partitions, which other processes may read, keep theirs: two commits
/// never rest on the same state of the table.
pub(crate) fn moved(
    table: &TableMetadata,
    after: &BTreeMap<i32, Option<i64>>,
) -> Result<Option<TableUpdate>, TableError> {
    let before = last_lsn(table)?;
    let mut merged = before.clone();
    for (partition, lsn) in after {
        match lsn {
            Some(lsn) => merged.insert(*partition, *lsn),
            None => merged.remove(partition),
        };
    }
    let changed = merged != before;
    Ok(changed.then(|| TableUpdate::SetProperties {
        updates: [(LAST_LSN_KEY.to_owned(), serde_json::json!(merged).to_string())].into(),
    }))
}
