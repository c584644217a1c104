//! Whose a table is that is there already.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::OFFSETS_KEY;
use crate::error::{IngestError, Result};
use crate::offset_log::OffsetLog;
use tidewater_table::LoadedTable;
use tidewater_table::iceberg::spec::TableMetadata;
use tidewater_table::marks::{DEAD_LETTERS_KEY, TOPIC_KEY};

/// Refuses a table that is not for rows of this topic, or for dead letters if there is none.
///
/// Where grants bind, one that somebody put there first is refused as well: its maker would read what comes into it.
pub(crate) async fn check(log: &dyn OffsetLog, table: &LoadedTable, topic: Option<&str>) -> Result<()> {
    let owner = table.metadata.properties().get(TOPIC_KEY);
    if let (Some(topic), Some(owner)) = (topic, owner) {
        return match topic == owner {
            true => Ok(()),
            false => Err(IngestError::TableTaken {
                topic: topic.to_owned(),
                table: table.name.to_string(),
                owner: owner.clone(),
            }),
        };
    }
    let is_marked = topic.is_none() && table.metadata.properties().contains_key(DEAD_LETTERS_KEY);
    if is_marked || (owner.is_none() && was_written(&table.metadata, topic)) {
        return Ok(());
    }
    let binds = log.has_grants().await;
    match binds.map_err(|source| IngestError::Catalog {
        action: "tell whether anything was granted",
        source,
    })? {
        false => Ok(()),
        true => Err(IngestError::TableForeign {
            table: table.name.to_string(),
            topic: topic.map(str::to_owned),
        }),
    }
}

/// Earlier versions marked no table of dead letters, and none that was there before its topic.
fn was_written(table: &TableMetadata, topic: Option<&str>) -> bool {
    table.snapshots().any(|snapshot| {
        let offsets = snapshot.summary().additional_properties.get(OFFSETS_KEY);
        offsets.is_some_and(|offsets| topic.is_none_or(|topic| is_of(offsets, topic)))
    })
}

fn is_of(offsets: &str, topic: &str) -> bool {
    let offsets: Option<BTreeMap<String, IgnoredAny>> = serde_json::from_str(offsets).ok();
    offsets.is_some_and(|offsets| offsets.contains_key(topic))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::testing::ModelLog;
    use arrow::datatypes::{DataType, Field, Schema};
    use tidewater_core::{Coded, SeededRng, SystemClock};
    use tidewater_table::schema::from_arrow;
    use tidewater_table::{FileStore, NewTable, StoreOptions};

    const TOPIC: &str = "db.public.users";

    // Goal: where grants bind, what comes in goes only into tables that are marked for it, and elsewhere into any that is of no other topic.
    // Method: tables with each mark and with none, for a topic and for dead letters, before anything was granted and after.
    #[tokio::test]
    async fn tables_of_others_are_told_from_own() {
        let (clock, rng) = (SystemClock::shared(), Arc::new(SeededRng::new(7)));
        let log = ModelLog::new(FileStore::new(StoreOptions::default(), clock, rng));
        let schema = Schema::new(vec![Field::new("zzz", DataType::Int32, true)]);
        let mut told = Vec::new();
        for binds in [false, true] {
            if binds {
                log.bind();
            }
            for mark in [
                None,
                Some((TOPIC_KEY, TOPIC)),
                Some((TOPIC_KEY, "other")),
                Some((DEAD_LETTERS_KEY, "true")),
            ] {
                let name = "bronze.users".parse().expect("a name");
                let mut table = NewTable::new(name, from_arrow(&schema, 1).expect("a schema"));
                let mark = mark.map(|(key, value)| (key.to_owned(), value.to_owned()));
                table.properties = HashMap::from_iter(mark);
                log.make(&table).await;
                let table = log.tables().pop().expect("the table");
                let rows = check(&log, &table, Some(TOPIC)).await;
                let letters = check(&log, &table, None).await;
                told.push([rows, letters].map(|checked| checked.err().map_or("", |error| error.code())));
            }
        }
        assert_eq!(
            told,
            [
                ["", ""],
                ["", ""],
                ["ING-0005", ""],
                ["", ""],
                ["ING-0013", "ING-0013"],
                ["", "ING-0013"],
                ["ING-0005", "ING-0013"],
                ["ING-0013", ""],
            ]
        );
    }
}
