//! Runs that are at work in this process, and how one of them is ended from outside.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use tidewater_core::JobId;

use crate::run_log::RunRow;

/// By the ids under which they are noted.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns(Mutex<BTreeMap<JobId, Arc<watch::Sender<bool>>>>);

impl OpenRuns {
    /// One run is to begin, with a row for each of its models. It is open until what is answered is dropped.
    pub(crate) fn enter(&self, rows: Vec<RunRow>) -> OpenRun<'_> {
        let (cancel, cancelled) = watch::channel(false);
        let cancel = Arc::new(cancel);
        let named = rows.iter().map(|row| (row.id, Arc::clone(&cancel)));
        self.lock().extend(named);
        OpenRun {
            runs: self,
            rows,
            cancelled,
        }
    }

    /// Whether the run with this id is one of this process.
    pub(crate) fn has(&self, id: JobId) -> bool {
        self.lock().contains_key(&id)
    }

    /// Ends the run with this id; whether there is one.
    pub(crate) fn cancel(&self, id: JobId) -> bool {
        let found = self.lock().get(&id).cloned();
        found.is_some_and(|cancel| !cancel.send_replace(true))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<watch::Sender<bool>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run at work.
#[derive(Debug)]
pub(crate) struct OpenRun<'a> {
    runs: &'a OpenRuns,
    rows: Vec<RunRow>,
    cancelled: watch::Receiver<bool>,
}

impl OpenRun<'_> {
    /// One of each model, in their order.
    pub(crate) fn rows(&self) -> &[RunRow] {
        &self.rows
    }

    /// What the work comes to; `None` as soon as the run is cancelled, the work being dropped.
    pub(crate) async fn unless_cancelled<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut cancelled = self.cancelled.clone();
        tokio::select! {
            biased;
            Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => None,
            done = work => Some(done),
        }
    }
}

impl Drop for OpenRun<'_> {
    fn drop(&mut self) {
        let mut open = self.runs.lock();
        for row in &self.rows {
            open.remove(&row.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use serde_json::json;
    use tidewater_catalog_client::dto::JobPhase;
    use tokio::time::timeout;

    use crate::testing::Lake;
    use crate::{RunOptions, Selection};

    const DEADLINE: Duration = Duration::from_secs(30);

    // Goal: a run that is cancelled ends soon, commits nothing, says so, and the next one runs. Method: a model that would take hours,
    // cancelled as soon as its run is noted; then over fewer rows.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_is_cancelled() {
        let lake = Lake::new();
        let pairs = "/*---\nkind: table\n---*/ SELECT count(*) AS n FROM bronze.t a, bronze.t b, bronze.t c, bronze.t d, bronze.t e \
                     WHERE a.id + b.id + c.id + d.id + e.id % 7 < 3";
        let pipelines = lake.pipelines(&[("gold.pairs", pairs)]);
        let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
        lake.create("bronze.t", &columns).await;
        let rows: Vec<_> = (0..400).map(|id| json!({"id": id})).collect();
        lake.append("bronze.t", &rows).await;
        let run = pipelines.run(&Selection::All, RunOptions::default());
        let cancelled = async {
            loop {
                if let Some((id, JobPhase::Running)) = lake.noted.last() {
                    break id;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut run = std::pin::pin!(run);
        let id = tokio::select! {
            id = timeout(DEADLINE, cancelled) => id.expect("it is noted"),
            report = &mut run => unreachable!("it ended by itself: {report:?}"),
        };
        assert!(pipelines.cancel(id).await && !pipelines.cancel(id).await, "once");
        assert_eq!(
            lake.noted.last(),
            Some((id, JobPhase::Cancelled)),
            "known to whoever takes over"
        );
        let report = timeout(DEADLINE, run).await.expect("it ends").expect("a report");
        let failure = report.models[0].failure.as_ref().expect("it was cancelled");
        assert_eq!(failure.code, "PIP-0023", "{failure:?}");
        assert_eq!(lake.noted.last(), Some((id, JobPhase::Cancelled)));
        assert!(!pipelines.cancel(id).await, "it is over");
        assert!(!lake.catalog_has("gold.pairs").await || lake.lines("SELECT * FROM gold.pairs").await.is_empty());
    }
}
