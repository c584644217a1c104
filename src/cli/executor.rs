//! `tidewater executor ls|drain`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::Value;

use tidewater_core::SystemClock;

use super::failure::Failure;
use super::output::Output;
use super::{block_on, drive};
use crate::control::{self, DrainRequest};
use crate::settings::Settings;

/// How often progress is asked for.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(super) enum ExecutorVerb {
    /// List the executors of the scheduler
    Ls,
    /// Give an executor no more tasks, wait for those that run, and let it go
    Drain {
        /// Its name as `executor ls` prints it, or the beginning of it
        executor: String,
        /// How long its work is waited for; what is left then runs again elsewhere
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        deadline: u64,
    },
}

pub(super) fn run(settings: &Settings, verb: ExecutorVerb, output: &Output) -> Result<(), Failure> {
    match verb {
        ExecutorVerb::Ls => {
            let found = block_on(control::ask(settings, "/v1/executors"))?;
            output.rows(
                &[
                    "id",
                    "host",
                    "vcores",
                    "vcores_used",
                    "state",
                    "tasks",
                    "jobs",
                    "heartbeat_age_s",
                    "build",
                ],
                found["executors"].as_array().map_or(&[][..], Vec::as_slice),
            )
        }
        ExecutorVerb::Drain { executor, deadline } => {
            let request = DrainRequest {
                executor,
                deadline_s: deadline,
            };
            let drained = drive(drain(settings, &request))?;
            output.one(&drained["drained"])
        }
    }
}

async fn drain(settings: &Settings, request: &DrainRequest) -> Result<Value, Failure> {
    let clock = SystemClock::shared();
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    let mut drained = Box::pin(control::order(settings, "/v1/executors/drain", request));
    loop {
        tokio::select! {
            drained = &mut drained => {
                bar.finish_and_clear();
                return drained;
            }
            () = clock.sleep(PROGRESS_INTERVAL) => {
                // What cannot be told now is told the next time.
                if let Ok(found) = control::ask(settings, "/v1/executors").await
                    && let Some(executor) = found["executors"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .find(|executor| executor["id"].as_str().is_some_and(|id| id.starts_with(&request.executor)))
                {
                    bar.set_message(format!("draining: {} tasks, {} jobs left", executor["tasks"], executor["jobs"]));
                    bar.tick();
                }
            }
        }
    }
}
