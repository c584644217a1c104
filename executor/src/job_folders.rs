//! The files of a job lie in a folder named after it; no plan names files elsewhere.

use std::sync::Arc;

use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::scheduler::PartitionLocation;
use ballista_executor::executor_process::is_job_folder;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

/// What a plan reads of shuffle files. One that reads those of a job whose name would lead out of the working directory is refused.
pub(crate) fn check_readers(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<PartitionLocation>> {
    let locations = locations(plan);
    for location in &locations {
        let job = &location.partition_id.job_id;
        if !is_job_folder(job) {
            return exec_err!("{:?} is not the name of a job", job.as_str());
        }
    }
    Ok(locations)
}

fn locations(plan: &Arc<dyn ExecutionPlan>) -> Vec<PartitionLocation> {
    let mut all: Vec<PartitionLocation> = read_by(plan).iter().flatten().cloned().collect();
    for child in plan.children() {
        all.extend(locations(child));
    }
    all
}

fn read_by(node: &Arc<dyn ExecutionPlan>) -> &[Vec<PartitionLocation>] {
    if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
        return &reader.partition;
    }
    match node.downcast_ref::<RangeShuffleReaderExec>() {
        Some(reader) => &reader.partition,
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a job's name is one folder below the working directory, or it is refused. Method: names that are, and names that lead
    // elsewhere on one way or another.
    #[test]
    fn a_job_is_one_folder() {
        for name in ["job", "0198c0de-7a51-7000-8000-000000000001", "..job", "a b"] {
            assert!(is_job_folder(&name.into()), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "/",
            "/etc",
            "../job",
            "../../etc",
            "job/..",
            "job/../..",
            "job/1",
            "./job",
            "job/",
            "job/.",
        ] {
            assert!(!is_job_folder(&name.into()), "{name}");
        }
    }
}
