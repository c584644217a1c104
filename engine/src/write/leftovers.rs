//! What a run of a write leaves in the store besides the files that it answers with: those of attempts that were lost, and of tasks that had
//! ended when another one failed or when nobody waited any more. Nothing of a run is in a snapshot before its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use tidewater_table::{Added, LoadedTable, WriteRun, sweep_run};

use crate::engine::Parts;

/// Longest time that a statement waits for the files of its lost attempts to be gone. Then they are left to orphan removal.
const SWEEP_MAX: Duration = Duration::from_secs(30);

/// How long after the end of a run without an answer its files are looked for: tasks that were told to stop may write until then.
const LATE: Duration = Duration::from_secs(15);

/// Runs without an answer whose files are looked for at the same time; those of more are left to orphan removal. Each costs a listing of
/// all data files of its table, and statements that fail are soon asked again.
pub(crate) const SWEEPS_MAX: usize = 4;

/// The files of one run, until it is known which of them count. Dropped before that, all of them go.
#[derive(Debug)]
pub(super) struct Leftovers {
    parts: Arc<Parts>,
    target: LoadedTable,
    run: WriteRun,
    answered: bool,
}

impl Leftovers {
    /// Of a run that begins now.
    pub(super) fn new(parts: &Arc<Parts>, target: &LoadedTable, run: WriteRun) -> Self {
        Self {
            parts: Arc::clone(parts),
            target: target.clone(),
            run,
            answered: false,
        }
    }

    /// The run has answered with these files, in which attempt.
    pub(super) async fn answered(mut self, added: &[Added], attempt: u32) {
        if attempt > 1 {
            sweep(&self.parts, &self.target, self.run, added).await;
        }
        self.answered = true;
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let (Ok(handle), Ok(place)) = (
            Handle::try_current(),
            Arc::clone(&self.parts.sweeps).try_acquire_owned(),
        ) else {
            return;
        };
        let (parts, target, run) = (Arc::clone(&self.parts), self.target.clone(), self.run);
        handle.spawn(async move {
            parts.clock.sleep(LATE).await;
            sweep(&parts, &target, run, &[]).await;
            drop(place);
        });
    }
}

async fn sweep(parts: &Parts, target: &LoadedTable, run: WriteRun, kept: &[Added]) {
    let table = &target.name;
    let swept = tokio::select! {
        swept = sweep_run(&parts.store, &target.metadata, run, kept) => swept,
        () = parts.clock.sleep(SWEEP_MAX) => {
            tracing::warn!(%table, "files of a write that ended otherwise stay: they are not listed in time");
            return;
        }
    };
    match swept {
        Ok(0) => {}
        Ok(files) => tracing::info!(%table, files, "removed what lost attempts of a write had left"),
        Err(error) => tracing::warn!(%table, %error, "files of a write that ended otherwise stay"),
    }
}
