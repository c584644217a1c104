//! Attempts whose answer never came: did one of them land after all?

use super::{Committed, PlannedCommit};
use crate::catalog::LoadedTable;
use crate::change::{Change, Target};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use tidewater_core::TableName;

/// One attempt without an answer.
#[derive(Debug)]
struct Attempt {
    /// For each table, where it goes, the head it was planned on and the snapshot it would make.
    snapshots: Vec<(Target, Option<i64>, i64)>,
    written: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Attempts(Vec<Attempt>);

impl Attempts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn note(&mut self, tables: &[LoadedTable], changes: &[(TableName, Change)], plans: Vec<PlannedCommit>) {
        let heads = tables.iter().zip(changes).map(|(table, (_, change))| {
            let target = change.target.clone();
            let head = target.head(&table.metadata);
            (target, head)
        });
        let ids = plans.iter().map(|plan| plan.snapshot_id);
        self.0.push(Attempt {
            snapshots: heads.zip(ids).map(|((target, head), id)| (target, head, id)).collect(),
            written: plans.into_iter().flat_map(|plan| plan.written).collect(),
        });
    }

    /// A later attempt on the same heads was applied, so these can land no more.
    pub(super) async fn excluded(&mut self, store: &FileStore) {
        for attempt in std::mem::take(&mut self.0) {
            super::sweep(store, &attempt.written).await;
        }
    }

    /// The attempt that is in the tables. Attempts that can land no more are forgotten and swept up: a late arrival and a newer
    /// commit exclude each other, for both demand the same head.
    pub(super) async fn landed(
        &mut self,
        store: &FileStore,
        tables: &[LoadedTable],
        count: u32,
    ) -> Result<Option<Vec<Committed>>> {
        let fates = self
            .0
            .iter()
            .map(|attempt| fate(attempt, tables))
            .collect::<Result<Vec<_>>>()?;
        let mut landed = None;
        let mut open = Vec::new();
        for (attempt, fate) in std::mem::take(&mut self.0).into_iter().zip(fates) {
            match fate {
                Fate::Landed => landed = Some(committed(&attempt, tables, count)),
                Fate::Open => open.push(attempt),
                Fate::Lost => super::sweep(store, &attempt.written).await,
            }
        }
        self.0 = open;
        Ok(landed)
    }
}

enum Fate {
    Landed,
    Open,
    Lost,
}

/// A commit is atomic, so any table that can tell tells for all.
fn fate(attempt: &Attempt, tables: &[LoadedTable]) -> Result<Fate> {
    let mut lost = false;
    let mut undecided = None;
    for (table, (target, base, snapshot_id)) in tables.iter().zip(&attempt.snapshots) {
        if table.metadata.snapshot_by_id(*snapshot_id).is_some() {
            return Ok(Fate::Landed);
        }
        let head = target.head(&table.metadata);
        if head == *base {
            continue;
        }
        // The head moved on. If its history reaches back to our base, our snapshot is not in it and never will be.
        match reaches(table, head, *base) {
            true => lost = true,
            false => undecided = Some(table),
        }
    }
    match (lost, undecided) {
        (true, _) => Ok(Fate::Lost),
        (false, None) => Ok(Fate::Open),
        (false, Some(table)) => Err(TableError::UnknownOutcome {
            table: table.name.clone(),
            reason: "snapshots were expired before the outcome was looked for".into(),
        }),
    }
}

fn reaches(table: &LoadedTable, head: Option<i64>, base: Option<i64>) -> bool {
    let mut at = head;
    loop {
        if at == base {
            return true;
        }
        match at.and_then(|id| table.metadata.snapshot_by_id(id)) {
            Some(snapshot) => at = snapshot.parent_snapshot_id(),
            None => return false,
        }
    }
}

fn committed(attempt: &Attempt, tables: &[LoadedTable], count: u32) -> Vec<Committed> {
    let pairs = tables.iter().zip(&attempt.snapshots);
    pairs
        .map(|(table, (_, _, snapshot_id))| Committed {
            table: table.clone(),
            snapshot_id: *snapshot_id,
            attempts: count,
        })
        .collect()
}
