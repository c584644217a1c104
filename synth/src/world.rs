//! The simulated hospital: its databases, its clock and what happens in them.
//!
//! A world runs its history silently when it is made; then [`World::snapshot`] gives what a connector would read first, and
//! every [`World::step`] one thing that happens: the transactions it caused in the services' databases.

mod activities;
mod care;
mod founding;
mod money;
mod rows;
mod store;
mod visits;

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use uuid::Uuid;

use self::activities::Due;
pub use self::store::Row;
use self::store::{RowNumber, Store};
use crate::dice::Dice;
use crate::error::SynthError;
use crate::options::{RateChange, WorldOptions};
use crate::schema::{self, TableId};
use crate::value::DAY_US;

/// How busy each hour of the day is, in percent of the mean.
const HOURS_PERCENT: [i64; 24] = [
    25, 20, 18, 18, 22, 35, 60, 100, 160, 190, 195, 180, 150, 165, 180, 175, 160, 140, 120, 100, 80, 55, 35, 25,
];

/// Saturday and Sunday, in percent of a weekday.
const WEEKEND_PERCENT: i64 = 60;

/// Where every database's log begins.
const FIRST_LSN: i64 = 24_000_000;

/// What a change does to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// It was there when the connector first looked.
    Read,
    /// Inserted.
    Create,
    /// Updated; the key may have changed.
    Update,
    /// Deleted.
    Delete,
}

/// One row changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// In which table.
    pub table: TableId,
    /// How.
    pub op: Op,
    /// The row before, of an update or a delete.
    pub before: Option<Row>,
    /// The row after, unless it was deleted.
    pub after: Option<Row>,
    /// Where it stands in its database's log; grows within a service.
    pub lsn: i64,
}

/// What one database committed together.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Position of the service in [`schema::services`].
    pub service: usize,
    /// The database's number of it.
    pub id: i64,
    /// When it was committed, in microseconds since the Unix epoch.
    pub committed_us: i64,
    /// The log position of the commit before it.
    pub last_commit_lsn: i64,
    /// Its changes in order; never empty.
    pub changes: Vec<Change>,
}

/// What a world has done so far, its silent history included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WorldCounts {
    /// Rows inserted.
    pub creates: u64,
    /// Rows updated.
    pub updates: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Updates that changed the key.
    pub key_changes: u64,
    /// Rows deleted and later inserted again under the same key.
    pub revivals: u64,
    /// Rows inserted with a reference that is NULL.
    pub nulls: u64,
    /// Rows inserted with a reference to nobody.
    pub orphans: u64,
    /// Rows inserted with an impossible measurement.
    pub out_of_range: u64,
    /// Rows inserted with a date in the future.
    pub future_dates: u64,
}

/// What a database's log has reached.
#[derive(Debug, Clone, Copy)]
struct Ledger {
    lsn: i64,
    last_commit_lsn: i64,
    transaction: i64,
    committed_us: i64,
}

/// The simulated hospital.
#[derive(Debug)]
pub struct World {
    options: WorldOptions,
    dice: Dice,
    /// Chance of the databases' logs, apart from what happens: with and without a snapshot the same things happen.
    log_dice: Dice,
    now_us: i64,
    steps: u64,
    us_per_change: i64,
    streaming: bool,
    stores: Vec<Store>,
    ledgers: Vec<Ledger>,
    /// Changes of the step under way.
    changes: Vec<Change>,
    /// What has to happen later: when, what, which row.
    agenda: BTreeSet<(i64, Due, RowNumber)>,
    consents: HashMap<(Uuid, usize), RowNumber>,
    withdrawn: BTreeSet<(Uuid, usize)>,
    counts: WorldCounts,
}

impl World {
    /// Founds the hospital and runs its history.
    pub fn new(options: WorldOptions) -> Result<Self, SynthError> {
        options.check()?;
        let history_us = i64::from(options.history_days) * DAY_US;
        let start_us = options.start_ms.saturating_mul(1_000);
        let stores = schema::tables()
            .iter()
            .map(|(_, table)| {
                let rows_max = u64::from(table.rows_per_patient) * u64::from(options.patients);
                Store::new(usize::try_from(rows_max).unwrap_or(usize::MAX))
            })
            .collect();
        let ledgers = (0_i64..)
            .zip(schema::services())
            .map(|(number, _)| Ledger {
                lsn: FIRST_LSN + number * 4_096,
                last_commit_lsn: FIRST_LSN,
                transaction: 700 + number,
                committed_us: 0,
            })
            .collect();
        let history_changes = i64::from(options.patients) * i64::from(options.history_changes_per_patient);
        let mut world = Self {
            dice: Dice::new(options.seed),
            log_dice: Dice::new(options.seed ^ 0x0109),
            now_us: start_us - history_us,
            steps: 0,
            us_per_change: history_us / history_changes.max(1),
            streaming: false,
            stores,
            ledgers,
            changes: Vec::new(),
            agenda: BTreeSet::new(),
            consents: HashMap::new(),
            withdrawn: BTreeSet::new(),
            counts: WorldCounts::default(),
            options,
        };
        world.found();
        while world.now_us < start_us {
            world.happen();
            world.changes.clear();
        }
        world.now_us = start_us;
        world.us_per_change = us_per_change(&world.options, world.options.changes_per_day);
        world.streaming = true;
        Ok(world)
    }

    /// What it was made from, with the pauses taken since.
    pub fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// The hospital's clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us.div_euclid(1_000)
    }

    /// How many steps have been made since streaming began.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What has happened so far.
    pub fn counts(&self) -> WorldCounts {
        self.counts
    }

    /// The rows a table holds now, oldest first.
    pub fn rows(&self, table: TableId) -> impl Iterator<Item = &Row> {
        self.stores.get(table.index).into_iter().flat_map(Store::rows)
    }

    /// Every row, as a connector reads it before it follows the log: one transaction a service.
    pub fn snapshot(&mut self) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        for service in 0..schema::services().len() {
            let mut changes = Vec::new();
            for (id, _) in schema::tables().iter().filter(|(id, _)| id.service == service) {
                let store = self.stores.get(id.index);
                let rows = store.into_iter().flat_map(Store::rows);
                changes.extend(rows.map(|row| Change {
                    table: *id,
                    op: Op::Read,
                    before: None,
                    after: Some(row.clone()),
                    lsn: 0,
                }));
            }
            transactions.extend(self.commit(service, changes));
        }
        transactions
    }

    /// Lets one thing happen. The transactions are in commit order; there is at least one.
    pub fn step(&mut self) -> Vec<Transaction> {
        let pause = self.options.pauses.iter().find(|pause| pause.after_steps == self.steps);
        self.now_us = self
            .now_us
            .saturating_add(pause.map_or(0, |pause| pause.by_ms.saturating_mul(1_000)));
        let rates = &self.options.rate_changes;
        if let Some(rate) = rates.iter().find(|rate| rate.after_steps == self.steps) {
            self.us_per_change = us_per_change(&self.options, rate.changes_per_day);
        }
        self.steps += 1;
        while self.changes.is_empty() {
            self.happen();
        }
        let mut groups: Vec<(usize, Vec<Change>)> = Vec::new();
        for change in std::mem::take(&mut self.changes) {
            match groups.iter_mut().find(|(service, _)| *service == change.table.service) {
                Some((_, changes)) => changes.push(change),
                None => groups.push((change.table.service, vec![change])),
            }
        }
        groups
            .into_iter()
            .filter_map(|(service, changes)| self.commit(service, changes))
            .collect()
    }

    /// Moves the hospital's clock on to `now_ms` before the next step, and remembers it in the options.
    pub fn pause_until(&mut self, now_ms: i64) {
        let by_ms = now_ms.saturating_sub(self.now_ms());
        if by_ms > 0 {
            self.options.pauses.retain(|pause| pause.after_steps != self.steps);
            self.options.pauses.push(crate::options::Pause {
                after_steps: self.steps,
                by_ms,
            });
        }
    }

    /// Makes so many changes a day from the next step on, and remembers it in the options.
    pub fn change_rate(&mut self, changes_per_day: u64) {
        if changes_per_day == self.options.last_changes_per_day() {
            return;
        }
        self.options.rate_changes.retain(|rate| rate.after_steps != self.steps);
        self.options.rate_changes.push(RateChange {
            after_steps: self.steps,
            changes_per_day,
        });
    }

    /// The next item of the agenda if its time has come, else something new; then the clock moves on.
    fn happen(&mut self) {
        match self.agenda.first().copied() {
            Some(item) if item.0 <= self.now_us => {
                self.agenda.remove(&item);
                self.follow_up(item.1, item.2);
            }
            _ => self.begin_something(),
        }
        let changes = i64::try_from(self.changes.len()).unwrap_or(1).max(1);
        let jitter_percent = self.dice.between(50, 150);
        let gap_us = self
            .us_per_change
            .saturating_mul(changes)
            .saturating_mul(jitter_percent)
            / self.busy_percent();
        self.now_us = self.now_us.saturating_add(gap_us.max(1));
    }

    /// How busy the hospital is now, in percent of the mean.
    fn busy_percent(&self) -> i64 {
        if !self.options.diurnal {
            return 100;
        }
        let hour = self.now_us.rem_euclid(DAY_US) / (DAY_US / 24);
        let percent = usize::try_from(hour)
            .ok()
            .and_then(|hour| HOURS_PERCENT.get(hour))
            .copied()
            .unwrap_or(100);
        // The epoch was a Thursday: days 2 and 3 of its week are the weekend.
        let weekend = matches!(self.now_us.div_euclid(DAY_US).rem_euclid(7), 2 | 3);
        if weekend {
            percent * WEEKEND_PERCENT / 100
        } else {
            percent
        }
    }

    /// Gives the changes their places in their database's log.
    fn commit(&mut self, service: usize, mut changes: Vec<Change>) -> Option<Transaction> {
        let ledger = self.ledgers.get_mut(service)?;
        let reading = changes.first()?.op == Op::Read;
        let last_commit_lsn = ledger.last_commit_lsn;
        ledger.transaction += 1 + i64::from(self.log_dice.below(3) == 0);
        for change in &mut changes {
            // A snapshot reads everything at one position of the log.
            if !reading {
                ledger.lsn += 8 * self.log_dice.between(8, 60);
            }
            change.lsn = ledger.lsn;
        }
        ledger.lsn += 48;
        ledger.last_commit_lsn = ledger.lsn;
        ledger.committed_us = self.now_us.max(ledger.committed_us + 1);
        Some(Transaction {
            service,
            id: ledger.transaction,
            committed_us: ledger.committed_us,
            last_commit_lsn,
            changes,
        })
    }
}

fn us_per_change(options: &WorldOptions, changes_per_day: u64) -> i64 {
    let mean = i64::try_from(options.mean_of(changes_per_day)).unwrap_or(i64::MAX);
    DAY_US / mean.max(1)
}

#[cfg(test)]
mod tests;
