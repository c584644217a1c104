//! Finds out soon that an executor is gone: a port that refuses connections has no process behind it. A host that hangs is found
//! by its missing heartbeats, later.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::executors::ExecutorInfo;
use crate::scheduler::Scheduler;

/// How often every executor is knocked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long one may take to open. One that takes longer is not refusing.
const KNOCK_DEADLINE: Duration = Duration::from_millis(500);

/// Refusals in a row after which there is no process.
const REFUSALS: u32 = 2;

/// Knocks until told to stop.
pub(crate) async fn watch(scheduler: Scheduler, stop: CancellationToken) {
    let mut refusals: HashMap<String, u32> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = scheduler.clock().sleep(INTERVAL) => {}
        }
        let superseded = scheduler.guard().map(|guard| guard.take_superseded());
        for executor in superseded.unwrap_or_default() {
            give_up(&scheduler, &executor, "another executor has its address").await;
        }
        let executors = match scheduler.executors().await {
            Ok(executors) => executors,
            Err(error) => {
                tracing::warn!(%error, "executors cannot be listed");
                continue;
            }
        };
        let known: HashSet<&String> = executors.iter().map(|executor| &executor.id).collect();
        refusals.retain(|id, _| known.contains(id));
        let knocks = executors.iter().map(|executor| refuses(&scheduler, executor));
        let refused = join_all(knocks).await;
        for (executor, refuses) in executors.iter().zip(refused) {
            let count = refusals.entry(executor.id.clone()).or_default();
            *count = if refuses { *count + 1 } else { 0 };
            if *count >= REFUSALS {
                give_up(&scheduler, &executor.id, "its port refuses connections").await;
            }
        }
    }
}

async fn refuses(scheduler: &Scheduler, executor: &ExecutorInfo) -> bool {
    let knock = TcpStream::connect((executor.host.as_str(), executor.grpc_port));
    tokio::select! {
        answer = knock => answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused),
        () = scheduler.clock().sleep(KNOCK_DEADLINE) => false,
    }
}

async fn give_up(scheduler: &Scheduler, executor: &str, reason: &str) {
    tracing::warn!(executor, reason, "executor is gone");
    if let Err(error) = scheduler.executor_stopped(executor, reason).await {
        tracing::warn!(executor, %error, "it cannot be taken off the list");
    }
}
