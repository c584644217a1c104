//! Figures of the stages of a distributed plan, taken from Ballista's graph of it.

use std::collections::BTreeSet;
use std::fmt;

use ballista_core::serde::protobuf::{SuccessfulTask, task_status};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::{ExecutionStage, TaskInfo};
use datafusion::physical_plan::metrics::MetricsSet;
use serde::Serialize;

/// One stage: tasks that run without waiting for each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageReport {
    /// Its number.
    pub stage: usize,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: &'static str,
    /// Partitions it works on.
    pub partitions: usize,
    /// Those whose task has ended.
    #[serde(skip)]
    pub partitions_done: usize,
    /// Tasks that were begun.
    pub tasks: usize,
    /// Those that run.
    pub tasks_running: usize,
    /// Those that have failed.
    pub tasks_failed: usize,
    /// Rows it has made.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Times that an operator of it wrote to disk for want of memory.
    pub spills: usize,
    /// Bytes of that.
    pub spilled_bytes: usize,
    /// The longest of its tasks that have ended, in milliseconds.
    pub task_ms_max: u64,
    /// Rows of the task with most of them, in hundredths of the average: 100 is even.
    pub skew_percent: u64,
    /// Executors that had a part in it.
    pub executors: Vec<String>,
}

impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} tasks", self.stage, self.state, self.tasks)?;
        write!(f, " of {} partitions", self.partitions)?;
        if self.tasks_failed > 0 {
            write!(f, " ({} failed)", self.tasks_failed)?;
        }
        write!(f, ", {} rows and {} bytes made", self.rows, self.bytes)?;
        if self.spills > 0 {
            write!(f, ", {} bytes spilled {} times", self.spilled_bytes, self.spills)?;
        }
        write!(f, ", longest task {} ms", self.task_ms_max)?;
        if self.skew_percent > 0 {
            write!(f, ", most rows of a task {} % of the average", self.skew_percent)?;
        }
        match self.executors.is_empty() {
            true => Ok(()),
            false => write!(f, ", on {}", self.executors.join(", ")),
        }
    }
}

/// All stages of a plan as they stand.
pub(crate) fn stages(graph: &ExecutionGraphBox) -> Vec<StageReport> {
    let mut reports: Vec<StageReport> = graph
        .stages()
        .iter()
        .map(|(number, stage)| report(*number, stage))
        .collect();
    reports.sort_by_key(|stage| stage.stage);
    reports
}

/// Partitions that are done, of those that are known: a task has several. A stage that is not planned yet has one at least.
pub(super) fn partitions(stages: &[StageReport]) -> (u64, u64) {
    let sum = |count: &dyn Fn(&StageReport) -> usize| {
        let all = stages.iter().map(count).sum::<usize>();
        u64::try_from(all).unwrap_or(u64::MAX)
    };
    let ended = |stage: &StageReport| match stage.state {
        "done" => stage.partitions.max(1),
        _ => stage.partitions_done,
    };
    (sum(&ended), sum(&|stage| stage.partitions.max(1)))
}

fn report(number: usize, stage: &ExecutionStage) -> StageReport {
    let (state, partitions, metrics): (_, _, &[MetricsSet]) = match stage {
        ExecutionStage::UnResolved(_) => ("waiting", 0, &[]),
        ExecutionStage::Resolved(stage) => ("waiting", stage.partitions, &[]),
        ExecutionStage::Running(stage) => (
            "running",
            stage.partitions,
            stage.stage_metrics.as_deref().unwrap_or_default(),
        ),
        ExecutionStage::Successful(stage) => ("done", stage.partitions, &stage.stage_metrics),
        ExecutionStage::Failed(stage) => ("failed", stage.partitions, &[]),
    };
    let tasks = stage.task_infos().unwrap_or_default();
    let ended: Vec<&SuccessfulTask> = tasks.iter().filter_map(successful).collect();
    let rows: Vec<u64> = ended.iter().map(|task| rows(task)).collect();
    let total: u64 = rows.iter().sum();
    // What runs again after an executor was lost is there twice.
    let whole = tasks.iter().filter(|task| successful(task).is_some());
    let partitions_done: usize = whole.map(|task| task.global_input_partition_ids.len()).sum();
    StageReport {
        stage: number,
        state,
        partitions,
        partitions_done: partitions_done.min(partitions),
        tasks: tasks.len(),
        tasks_running: count(tasks, |status| matches!(status, task_status::Status::Running(_))),
        tasks_failed: count(tasks, |status| matches!(status, task_status::Status::Failed(_))),
        rows: total,
        bytes: ended
            .iter()
            .flat_map(|task| &task.partitions)
            .map(|partition| partition.num_bytes)
            .sum(),
        spills: metrics.iter().filter_map(MetricsSet::spill_count).sum(),
        spilled_bytes: metrics.iter().filter_map(MetricsSet::spilled_bytes).sum(),
        task_ms_max: tasks
            .iter()
            .map(|task| task.end_exec_time.saturating_sub(task.start_exec_time))
            .max()
            .and_then(|ms| u64::try_from(ms).ok())
            .unwrap_or_default(),
        skew_percent: skew_percent(&rows),
        executors: executors(tasks),
    }
}

fn successful(task: &TaskInfo) -> Option<&SuccessfulTask> {
    match &task.task_status {
        task_status::Status::Successful(task) => Some(task),
        task_status::Status::Running(_) | task_status::Status::Failed(_) => None,
    }
}

fn rows(task: &SuccessfulTask) -> u64 {
    task.partitions.iter().map(|partition| partition.num_rows).sum()
}

fn count(tasks: &[TaskInfo], wanted: impl Fn(&task_status::Status) -> bool) -> usize {
    tasks.iter().filter(|task| wanted(&task.task_status)).count()
}

fn executors(tasks: &[TaskInfo]) -> Vec<String> {
    let names: BTreeSet<&String> = tasks
        .iter()
        .filter_map(|task| match &task.task_status {
            task_status::Status::Running(task) => Some(&task.executor_id),
            task_status::Status::Successful(task) => Some(&task.executor_id),
            task_status::Status::Failed(_) => None,
        })
        .collect();
    names.into_iter().cloned().collect()
}

/// 0 where there are no rows to compare.
fn skew_percent(rows: &[u64]) -> u64 {
    let total: u64 = rows.iter().sum();
    let most = rows.iter().max().copied().unwrap_or_default();
    let tasks = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    most.saturating_mul(tasks)
        .saturating_mul(100)
        .checked_div(total)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: skew tells how far the largest task is from the average. Method: even, uneven, one task, none, only empty ones.
    #[test]
    fn skew_is_against_the_average() {
        for (rows, percent) in [
            (vec![5, 5, 5, 5], 100),
            (vec![0, 0, 0, 8], 400),
            (vec![7], 100),
            (vec![], 0),
            (vec![0, 0], 0),
        ] {
            assert_eq!(skew_percent(&rows), percent, "{rows:?}");
        }
    }

    // Goal: a stage reads well, with what went wrong and without. Method: one of each kind.
    #[test]
    fn stages_read_well() {
        let plain = StageReport {
            stage: 2,
            state: "done",
            partitions: 8,
            partitions_done: 8,
            tasks: 4,
            tasks_running: 0,
            tasks_failed: 0,
            rows: 100,
            bytes: 2_000,
            spills: 0,
            spilled_bytes: 0,
            task_ms_max: 12,
            skew_percent: 130,
            executors: vec!["a".to_owned(), "b".to_owned()],
        };
        let expected = "2 done: 4 tasks of 8 partitions, 100 rows and 2000 bytes made, longest task 12 ms, \
                        most rows of a task 130 % of the average, on a, b";
        assert_eq!(plain.to_string(), expected);
        let hard = StageReport {
            tasks_failed: 1,
            spills: 3,
            spilled_bytes: 50,
            skew_percent: 0,
            executors: Vec::new(),
            ..plain
        };
        let expected = "2 done: 4 tasks of 8 partitions (1 failed), 100 rows and 2000 bytes made, 50 bytes spilled 3 times, \
                        longest task 12 ms";
        assert_eq!(hard.to_string(), expected);
    }
}
