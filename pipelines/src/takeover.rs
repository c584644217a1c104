//! What a process that begins to schedule does with the runs of the one before it: those that somebody asked for it starts again, as a
//! whole and under the same rows; the others it ends, as models that are followed run by themselves (docs/adr/051).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tidewater_catalog_client::dto::{JobPhase, JobRow};
use tidewater_core::{JobId, TableName, Tasks};

use crate::error::{PipelineError, Result, nearest};
use crate::model::Kind;
use crate::pipelines::{Pipelines, RunOptions};
use crate::report::Failure;
use crate::run_log::{Asked, Edit, JOB_KIND, RunRow, edit};

/// Processes that may end over one run: a run that ends the process it is in must not do so for ever.
const PROCESSES_MAX: u32 = 3;

/// Wait between two looks at the rows while the catalog does not answer, which it mostly does again within its election.
const LOOK_WAIT: Duration = Duration::from_secs(5);

/// What is left of one request.
#[derive(Debug)]
struct Request {
    options: RunOptions,
    rows: BTreeMap<TableName, RunRow>,
}

impl Pipelines {
    /// Takes over the runs whose process is gone, as long as the tasks live; to be called when this process begins to schedule.
    pub fn take_over(&self, tasks: &Tasks) {
        let (pipelines, token) = (self.clone(), tasks.token());
        tasks.spawn("takeover", async move {
            tokio::select! {
                biased;
                // First: what fails because all ends is not to be noted.
                () = token.cancelled() => {}
                () = pipelines.resume() => {}
            }
        });
    }

    async fn resume(&self) {
        let mut requests = BTreeMap::new();
        while let Err(error) = self.claim(&mut requests).await {
            tracing::warn!(%error, "runs of the process before stay open");
            self.inner.worker.clock.sleep(LOOK_WAIT).await;
        }
        // In the order in which they were asked. A request that waits for its turn has not been begun by this process.
        for request in requests.into_values() {
            let mut rows = BTreeMap::new();
            for (model, row) in request.rows {
                if let Some(own) = self.own(row.id).await {
                    tracing::info!(%model, run = %own.id, attempt = own.attempt, "a run goes on in this process");
                    rows.insert(model, own);
                }
            }
            self.run_asked(&rows, request.options).await;
        }
    }

    /// The row as one that this process works on; `None` if it has ended meanwhile.
    async fn own(&self, run: JobId) -> Option<RunRow> {
        loop {
            match edit(self.inner.worker.log.as_ref(), run, Edit::TakeOver).await {
                Ok(own) => return own,
                Err(error) => {
                    tracing::warn!(%run, %error, "a run waits for the catalog");
                    self.inner.worker.clock.sleep(LOOK_WAIT).await;
                }
            }
        }
    }

    /// Ends the rows that are not to go on, and collects the others.
    async fn claim(&self, requests: &mut BTreeMap<JobId, Request>) -> Result<()> {
        let log = self.inner.worker.log.as_ref();
        for row in log.open().await? {
            if row.kind != JOB_KIND || is_claimed(requests, row.id) || self.inner.open.has(row.id) {
                continue;
            }
            match self.goes_on(&row) {
                Ok((model, asked)) => {
                    let request = requests.entry(asked.request).or_insert_with(|| Request {
                        options: asked.options,
                        rows: BTreeMap::new(),
                    });
                    request.rows.insert(model, RunRow::of(&row));
                }
                Err(failure) => {
                    edit(log, row.id, Edit::End(JobPhase::Failed, &failure)).await?;
                }
            }
        }
        Ok(())
    }

    /// Which model is to run again and what was asked for, or why not.
    fn goes_on(&self, row: &JobRow) -> Result<(TableName, Asked), Failure> {
        let models = &self.inner.project.models;
        let known = RunRow::of(row);
        let Some(asked) = known.asked else {
            return Err(gone(
                "the process that ran it ended".into(),
                "it runs again by itself; what it committed, if anything, is in the table's history",
            ));
        };
        let name = row.body.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(model) = name
            .parse::<TableName>()
            .ok()
            .and_then(|name| models.get(&name))
            .filter(|model| !matches!(model.kind, Kind::View))
        else {
            let names: Vec<String> = models.keys().map(ToString::to_string).collect();
            return Err(Failure::of(&PipelineError::NoSuchModel {
                name: name.into(),
                nearest: nearest(name, names.iter().map(String::as_str)),
            }));
        };
        if known.attempt >= PROCESSES_MAX {
            return Err(gone(
                format!(
                    "the process that ran it ended, as did others before it: {} attempts",
                    known.attempt
                ),
                "look into the logs of those processes, then tidewater job retry; what it committed, if anything, is in the table's history",
            ));
        }
        Ok((model.name.clone(), asked))
    }
}

/// A look at the rows that failed half way is repeated.
fn is_claimed(requests: &BTreeMap<JobId, Request>, run: JobId) -> bool {
    let mut rows = requests.values().flat_map(|request| request.rows.values());
    rows.any(|row| row.id == run)
}

fn gone(message: String, hint: &str) -> Failure {
    Failure {
        code: "PIP-0022".into(),
        message,
        hint: Some(hint.into()),
    }
}

#[cfg(test)]
mod tests;
