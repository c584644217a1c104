//! Jobs that finish drops: the purge of a table's files, the drop of a namespace with all it holds.
//!
//! A job is worked on by one reign at a time. A later reign claims it, and reports of the earlier one are refused from then on.

use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::namespaces::child_prefix;
use super::tables::TableRow;
use super::{Shared, State};
use crate::command::{DropJobProblem, DropTerms, JobPhase, Outcome, PurgeProgress, Refusal};
use crate::raft::Fence;

/// How many jobs may be open: beyond it drops that need one are refused.
const DROP_JOBS_OPEN_MAX: usize = 100_000;

/// How many ended jobs are kept; the oldest go first.
pub const DROP_JOBS_ENDED_MAX: usize = 1_000;

/// Longest text about what stood in the way.
const PROBLEM_BYTES_MAX: usize = 1_000;

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropWork {
    /// Deletes the files of a dropped table.
    Purge {
        /// How the table stood.
        table: TableRow,
        /// How far it is.
        progress: PurgeProgress,
    },
    /// Drops a namespace with all it holds.
    Namespace {
        /// Its levels.
        levels: Vec<String>,
        /// When it was made: one that was made again later is another.
        created_at_ms: i64,
        /// How its tables are dropped.
        terms: DropTerms,
        /// Tables, views and namespaces dropped so far.
        dropped: u64,
    },
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropJob {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub work: DropWork,
    /// How far it is.
    pub phase: JobPhase,
    /// The reign that works on it.
    pub fence: Option<Fence>,
    /// What stood in the way last.
    pub problem: Option<String>,
    /// Not begun before.
    pub due_ms: i64,
    /// Raised by every change.
    pub version: u64,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it changed last.
    pub updated_at_ms: i64,
}

/// All jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DropJobs {
    rows: OrdMap<Uuid, Shared<DropJob>>,
    /// Those that have not ended, the first one due in front.
    open: OrdSet<(i64, Uuid)>,
    /// Those that have, the first to end in front.
    ended: Vector<Uuid>,
}

impl DropJobs {
    pub(super) fn get(&self, id: Uuid) -> Option<&DropJob> {
        self.rows.get(&id).map(|job| &**job)
    }

    pub(super) fn open(&mut self, id: Uuid, work: DropWork, now_ms: i64, due_ms: i64) -> Result<(), Refusal> {
        if self.rows.contains_key(&id) {
            return Err(Refusal::Repeated);
        }
        if self.open.len() >= DROP_JOBS_OPEN_MAX {
            return Err(Refusal::Full {
                limit: format!("{DROP_JOBS_OPEN_MAX} open drops"),
            });
        }
        let job = DropJob {
            id,
            work,
            phase: JobPhase::Queued,
            fence: None,
            problem: None,
            due_ms,
            version: 1,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        };
        self.open.insert((due_ms, id));
        self.rows.insert(id, Shared::new(job));
        Ok(())
    }

    fn put(&mut self, job: DropJob, now_ms: i64) {
        let job = DropJob {
            version: job.version + 1,
            updated_at_ms: now_ms,
            ..job
        };
        self.rows.insert(job.id, Shared::new(job));
    }

    pub(super) fn end(&mut self, id: Uuid, phase: JobPhase, problem: Option<String>, now_ms: i64) {
        let Some(job) = self.get(id).cloned() else { return };
        self.open.remove(&(job.due_ms, id));
        self.ended.push_back(id);
        self.put(DropJob { phase, problem, ..job }, now_ms);
        while self.ended.len() > DROP_JOBS_ENDED_MAX {
            if let Some(oldest) = self.ended.pop_front() {
                self.rows.remove(&oldest);
            }
        }
    }

    pub(super) fn begin_anew(&mut self) {
        let open: Vec<Uuid> = self.open.iter().map(|(_, id)| *id).collect();
        for id in open {
            if let Some(job) = self.get(id).cloned() {
                self.rows.insert(id, Shared::new(DropJob { fence: None, ..job }));
            }
        }
    }

    /// The job, if this reign has it.
    fn held(&self, job: Uuid, fence: Fence) -> Result<DropJob, Refusal> {
        let found = self.unended(job)?;
        match found.fence {
            Some(held) if held == fence => Ok(found),
            _ => Err(refused(job, DropJobProblem::Fenced)),
        }
    }

    fn unended(&self, job: Uuid) -> Result<DropJob, Refusal> {
        match self.get(job) {
            None => Err(refused(job, DropJobProblem::Unknown)),
            Some(found) if found.phase.is_final() => Err(refused(job, DropJobProblem::Ended)),
            Some(found) => Ok(found.clone()),
        }
    }
}

fn refused(job: Uuid, problem: DropJobProblem) -> Refusal {
    Refusal::DropJob { job, problem }
}

impl State {
    /// A job that finishes a drop.
    pub fn drop_job(&self, id: Uuid) -> Option<&DropJob> {
        self.drops.jobs.get(id)
    }

    /// All jobs that finish drops, in order of id.
    pub fn drop_jobs(&self) -> impl Iterator<Item = &DropJob> {
        self.drops.jobs.rows.values().map(|job| &**job)
    }

    /// Those that have not ended and are due at `now_ms`, the first one due in front.
    pub fn drop_jobs_due(&self, now_ms: i64) -> impl Iterator<Item = &DropJob> {
        let due = self
            .drops
            .jobs
            .open
            .iter()
            .take_while(move |(due_ms, _)| *due_ms <= now_ms);
        due.filter_map(|(_, id)| self.drop_job(*id))
    }

    pub(super) fn claim_drop_job(&mut self, id: Uuid, fence: Fence) -> Result<Outcome, Refusal> {
        let job = self.drops.jobs.unended(id)?;
        if job.due_ms > self.now_ms {
            return Err(refused(id, DropJobProblem::NotDue));
        }
        if job.fence.is_some_and(|held| held > fence) {
            return Err(refused(id, DropJobProblem::Fenced));
        }
        let claimed = DropJob {
            phase: JobPhase::Running,
            fence: Some(fence),
            ..job
        };
        self.drops.jobs.put(claimed, self.now_ms);
        Ok(Outcome::Done)
    }

    pub(super) fn note_purge_progress(
        &mut self,
        id: Uuid,
        fence: Fence,
        progress: PurgeProgress,
    ) -> Result<Outcome, Refusal> {
        let job = self.drops.jobs.held(id, fence)?;
        let DropWork::Purge { table, .. } = job.work else {
            return Err(refused(id, DropJobProblem::Unknown));
        };
        let work = DropWork::Purge { table, progress };
        let moved = DropJob {
            work,
            problem: None,
            ..job
        };
        self.drops.jobs.put(moved, self.now_ms);
        Ok(Outcome::Done)
    }

    pub(super) fn report_drop_job(
        &mut self,
        id: Uuid,
        fence: Fence,
        ended: bool,
        problem: Option<String>,
    ) -> Result<Outcome, Refusal> {
        let job = self.drops.jobs.held(id, fence)?;
        let problem = problem.map(|text| text.chars().take(PROBLEM_BYTES_MAX / 4).collect());
        if !ended {
            self.drops.jobs.put(DropJob { problem, ..job }, self.now_ms);
            return Ok(Outcome::Done);
        }
        if let DropWork::Purge { table, .. } = &job.work {
            self.drops.remove(table.id);
        }
        let phase = match problem {
            None => JobPhase::Succeeded,
            Some(_) => JobPhase::Failed,
        };
        self.drops.jobs.end(id, phase, problem, self.now_ms);
        Ok(Outcome::Done)
    }

    pub(super) fn begin_namespace_drop(
        &mut self,
        levels: Vec<String>,
        id: Uuid,
        terms: DropTerms,
    ) -> Result<Outcome, Refusal> {
        let Some(row) = self.namespace(&levels) else {
            return Err(Refusal::NoSuchNamespace { namespace: levels });
        };
        let created_at_ms = row.created_at_ms;
        let mut open = self.drops.jobs.open.iter().filter_map(|(_, id)| self.drop_job(*id));
        let same = open.find(|job| matches!(&job.work, DropWork::Namespace { levels: other, .. } if *other == levels));
        if let Some(same) = same {
            return Ok(Outcome::DropJob { id: same.id });
        }
        let work = DropWork::Namespace {
            levels,
            created_at_ms,
            terms,
            dropped: 0,
        };
        self.drops.jobs.open(id, work, self.now_ms, self.now_ms)?;
        Ok(Outcome::DropJob { id })
    }

    /// Tables first, then views, then namespaces from the innermost outwards. What others put in meanwhile goes as well.
    pub(super) fn step_namespace_drop(&mut self, id: Uuid, fence: Fence, limit: u32) -> Result<Outcome, Refusal> {
        let job = self.drops.jobs.held(id, fence)?;
        let DropWork::Namespace {
            levels,
            created_at_ms,
            terms,
            mut dropped,
        } = job.work.clone()
        else {
            return Err(refused(id, DropJobProblem::Unknown));
        };
        let mut left = limit as usize;
        let is_there = |state: &Self| {
            let row = state.namespace(&levels);
            row.is_some_and(|row| row.created_at_ms == created_at_ms)
        };
        let prefix = child_prefix(&levels);
        while left > 0 && is_there(self) {
            let mut tables: Vec<_> = self
                .tables_in(&levels, None)
                .map(|row| (row.id, row.name.clone()))
                .take(left)
                .collect();
            for name in self.tables.names_below(&prefix, left - tables.len()) {
                tables.extend(self.table(&name).map(|row| (row.id, name.clone())));
            }
            let mut views: Vec<_> = self
                .views_in(&levels, None)
                .map(|row| row.name.clone())
                .take(left)
                .collect();
            views.extend(self.views.names_below(&prefix, left - views.len()));
            let count = if !tables.is_empty() {
                let count = tables.len();
                for (table, name) in tables {
                    // One id for the same drop on every node.
                    let purge = Uuid::from_u128(id.as_u128() ^ table.as_u128());
                    self.drop_on_terms(name, Some(table), purge, terms)?;
                }
                count
            } else if !views.is_empty() {
                let count = views.len();
                for view in views {
                    self.drop_view(view)?;
                }
                count
            } else {
                let innermost = self.innermost_below(&levels).map(|row| row.levels.clone());
                self.drop_namespace(innermost.unwrap_or_else(|| levels.clone()))?;
                1
            };
            left -= count;
            dropped += count as u64;
        }
        let is_left = is_there(self);
        let work = DropWork::Namespace {
            levels,
            created_at_ms,
            terms,
            dropped,
        };
        let moved = DropJob {
            work,
            problem: None,
            ..job
        };
        self.drops.jobs.put(moved, self.now_ms);
        if !is_left {
            self.drops.jobs.end(id, JobPhase::Succeeded, None, self.now_ms);
        }
        Ok(Outcome::Done)
    }
}
