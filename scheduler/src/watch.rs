//! Finds out soon that an executor is gone: a port that refuses connections has no process behind it. A host that hangs is found
//! by its missing heartbeats, later. Ballista would find it too; but it goes by the time alone, and so gives up who was not heard because
//! nobody listened.

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

/// After how long without a heartbeat an executor is lost. Heartbeats come every second, from threads that no task uses; a busy
/// machine delays them by a second or two.
const SILENCE_MAX: Duration = Duration::from_secs(6);

/// How much of a round counts as silence: what takes longer was late, and who was late has not heard either.
const ROUND_MAX: Duration = Duration::from_secs(1);

/// Why it is given up then.
const SILENT: &str = "its heartbeats do not come any more";

/// Knocks and listens until told to stop.
pub(crate) async fn watch(scheduler: Scheduler, stop: CancellationToken) {
    let mut refusals: HashMap<String, u32> = HashMap::new();
    let mut silences: HashMap<String, Silence> = HashMap::new();
    let mut looked = scheduler.clock().monotonic();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = scheduler.clock().sleep(INTERVAL) => {}
        }
        let now = scheduler.clock().monotonic();
        let round = now.saturating_sub(looked);
        looked = now;
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
        silences.retain(|id, _| known.contains(id));
        let knocks = executors.iter().map(|executor| refuses(&scheduler, executor));
        let refused = join_all(knocks).await;
        for (executor, refuses) in executors.iter().zip(refused) {
            let count = refusals.entry(executor.id.clone()).or_default();
            *count = if refuses { *count + 1 } else { 0 };
            if *count >= REFUSALS {
                give_up(&scheduler, &executor.id, "its port refuses connections").await;
                continue;
            }
            let heard = scheduler.guard().and_then(|guard| guard.heard_of(&executor.id));
            let silence = silences.entry(executor.id.clone()).or_default();
            if silence.after(heard, round) >= SILENCE_MAX {
                stop_it(&scheduler, &executor.id).await;
                give_up(&scheduler, &executor.id, SILENT).await;
            }
        }
    }
}

/// How long nothing was heard of an executor, as far as somebody listened.
#[derive(Debug, Default)]
struct Silence {
    heard: Option<Duration>,
    lasts: Duration,
}

impl Silence {
    /// After one more round, which took so long, and with the time of the last heartbeat that is known then.
    fn after(&mut self, heard: Option<Duration>, round: Duration) -> Duration {
        self.lasts = match heard == self.heard {
            true => self.lasts + round.min(ROUND_MAX),
            false => Duration::ZERO,
        };
        self.heard = heard;
        self.lasts
    }
}

/// Has it end its tasks and begin anew, if it ever hears of it.
async fn stop_it(scheduler: &Scheduler, executor: &str) {
    let manager = &scheduler.ballista().state.executor_manager;
    tokio::select! {
        () = manager.stop_executor(executor, SILENT.to_owned()) => {}
        () = scheduler.clock().sleep(KNOCK_DEADLINE) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: who is silent is found in time, and nobody for whose heartbeats there was no time to listen. Method: rounds that are in time and
    // rounds that are late, with a heartbeat among them.
    #[test]
    fn silence_counts_while_somebody_listens() {
        let second = Duration::from_secs;
        let mut silence = Silence::default();
        assert_eq!(silence.after(Some(second(1)), INTERVAL), Duration::ZERO);
        let rounds = (1..).find(|_| silence.after(Some(second(1)), INTERVAL) >= SILENCE_MAX);
        assert_eq!(rounds, Some(12));
        assert_eq!(silence.after(Some(second(8)), INTERVAL), Duration::ZERO);
        assert_eq!(silence.after(Some(second(8)), second(60)), ROUND_MAX);
        assert!(silence.after(Some(second(8)), second(60)) < SILENCE_MAX);
    }
}
