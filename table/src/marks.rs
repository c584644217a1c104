//! What ingest and models write on the tables and snapshots that are theirs, by which they know them again.
//!
//! Where grants bind, only who has ADMIN on the warehouse may write it: who makes a table reads it, so that a table without a mark is
//! not to be given other people's rows because it has the right name.

use crate::change::JOB_ID_KEY;
use crate::expire::CONSUMED_KEY;

/// Table property: the topic whose rows the table holds.
pub const TOPIC_KEY: &str = "tidewater.ingest.topic";
/// Table property: the table holds records that became no rows.
pub const DEAD_LETTERS_KEY: &str = "tidewater.ingest.dead-letters";
/// Table property: the kind of model whose rows the table holds.
pub const MODEL_KIND_KEY: &str = "tidewater.model-kind";
/// Table property: the model whose deleted keys the table holds.
pub const TOMBSTONES_OF_KEY: &str = "tidewater.tombstones-of";

/// How all keys of ingest begin.
const INGEST: &str = "tidewater.ingest.";

/// Whether a property of a table is such a mark.
pub fn is_mark(property: &str) -> bool {
    property.starts_with(INGEST) || [MODEL_KIND_KEY, TOMBSTONES_OF_KEY].contains(&property)
}

/// Whether an entry of a snapshot's summary is one: tables that have no other are known by it.
pub fn is_mark_of_snapshot(entry: &str) -> bool {
    entry.starts_with(INGEST) || [CONSUMED_KEY, JOB_ID_KEY].contains(&entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: marks are told from what anybody may set. Method: each, and properties whose names begin alike.
    #[test]
    fn marks_are_told_from_settings() {
        for mark in [
            TOPIC_KEY,
            DEAD_LETTERS_KEY,
            MODEL_KIND_KEY,
            TOMBSTONES_OF_KEY,
            "tidewater.ingest.last-lsn",
        ] {
            assert!(is_mark(mark), "{mark}");
        }
        for other in [
            "tidewater.ingest",
            "tidewater.sql-writes",
            "tidewater.maintenance",
            "comment",
            "tidewater.model-kinds",
        ] {
            assert!(!is_mark(other) && !is_mark_of_snapshot(other), "{other}");
        }
        for entry in ["tidewater.ingest.offsets", "tidewater.refresh-state", "job-id"] {
            assert!(is_mark_of_snapshot(entry), "{entry}");
        }
        assert!(!is_mark_of_snapshot("operation") && !is_mark_of_snapshot("spark.app.id"));
    }
}
