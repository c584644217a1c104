//! How much of main's history stays: what whoever expires goes by, and what a table says of itself.

use std::time::Duration;

use iceberg::spec::{MAIN_BRANCH, SnapshotRetention, TableMetadata};

use crate::error::{Result, TableError};
use crate::refs::refs_of;

/// Table property: snapshots of main older than this may go, in milliseconds.
const MAX_AGE: &str = "history.expire.max-snapshot-age-ms";

/// Table property: so many newest snapshots of main stay however old they are.
const MIN_SNAPSHOTS: &str = "history.expire.min-snapshots-to-keep";

/// How much of a table's history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// As many snapshots of main are kept at least, however old.
    pub snapshots_min: u32,
    /// Younger ones are kept as well, as long as there are not too many: what the slowest reader needs.
    pub age: Duration,
    /// More are never kept: each of them stands in the metadata file that every commit writes.
    pub snapshots_max: u32,
}

impl Retention {
    /// With what the table says of itself in the place of this. An age that a table names is kept however many snapshots it takes.
    ///
    /// # Errors
    /// Those of [`ToldRetention::of`].
    pub fn of_table(&self, table: &TableMetadata) -> Result<Self> {
        let told = ToldRetention::of(table)?;
        Ok(Self {
            snapshots_min: told.snapshots_min.unwrap_or(self.snapshots_min),
            age: told.age.unwrap_or(self.age),
            snapshots_max: match told.age {
                Some(_) => u32::MAX,
                None => self.snapshots_max,
            },
        })
    }

    /// How many of main's newest snapshots are to stay.
    pub fn kept(&self, table: &TableMetadata, now_ms: i64) -> u32 {
        let (young, _) = self.counts(table, now_ms);
        self.keep(young)
    }

    /// The same, if an expiry is worth its while now: it is once half as many more have gathered, so that not every commit pays for
    /// one.
    pub fn due(&self, table: &TableMetadata, now_ms: i64) -> Option<u32> {
        let (young, all) = self.counts(table, now_ms);
        let keep = self.keep(young);
        (all > keep.saturating_add(keep / 2)).then_some(keep)
    }

    fn keep(&self, young: u32) -> u32 {
        young.min(self.snapshots_max).max(self.snapshots_min).max(1)
    }

    /// Snapshots of main: those up to the last one that is young, and all.
    fn counts(&self, table: &TableMetadata, now_ms: i64) -> (u32, u32) {
        let since_ms = now_ms.saturating_sub(i64::try_from(self.age.as_millis()).unwrap_or(i64::MAX));
        let (mut young, mut all) = (0_u32, 0_u32);
        let mut at = table.current_snapshot();
        while let Some(snapshot) = at {
            all += 1;
            if snapshot.timestamp_ms() >= since_ms {
                young = all;
            }
            at = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
        }
        (young, all)
    }
}

/// What a table says of how much of main's history stays: its branch `main` first, then its properties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ToldRetention {
    /// Younger snapshots stay.
    pub age: Option<Duration>,
    /// So many newest snapshots stay.
    pub snapshots_min: Option<u32>,
}

impl ToldRetention {
    /// Of this table.
    ///
    /// # Errors
    /// [`TableError::Alteration`] for a property that is no number: nothing may go by a guess.
    pub fn of(table: &TableMetadata) -> Result<Self> {
        let names = refs_of(table)?;
        let (newest, age_ms) = match names.get(MAIN_BRANCH).map(|main| &main.retention) {
            Some(SnapshotRetention::Branch {
                min_snapshots_to_keep,
                max_snapshot_age_ms,
                ..
            }) => (*min_snapshots_to_keep, *max_snapshot_age_ms),
            _ => (None, None),
        };
        let newest = match newest.and_then(|newest| u64::try_from(newest).ok()) {
            Some(newest) => Some(newest),
            None => number(table, MIN_SNAPSHOTS)?,
        };
        let age_ms = match age_ms.and_then(|age_ms| u64::try_from(age_ms).ok()) {
            Some(age_ms) => Some(age_ms),
            None => number(table, MAX_AGE)?,
        };
        Ok(Self {
            age: age_ms.map(Duration::from_millis),
            snapshots_min: newest.map(|newest| u32::try_from(newest).unwrap_or(u32::MAX)),
        })
    }
}

fn number(table: &TableMetadata, key: &str) -> Result<Option<u64>> {
    let Some(text) = table.properties().get(key) else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(TableError::Alteration {
            what: format!("expiry by table property {key} = '{text}'"),
            reason: "it is no whole number".into(),
            advice: format!("set it to one, or unset it: ALTER TABLE … UNSET TBLPROPERTIES ('{key}')"),
        }),
    }
}
