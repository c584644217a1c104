//! Threads for what nobody waits for: ingest, jobs and maintenance give way to the statements of people in the same process
//! (docs/adr/036).

use std::future::Future;
use std::time::Duration;

use thread_priority::{
    Error, NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use tidewater_core::limits::STACK_BYTES;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::cli::failure::{Failure, Reason};

/// About a third of the share of a thread that has none, wherever both want a core.
const NICENESS: i32 = 5;
/// The same on the scale of the crate.
const PRIORITY: u8 = 34;

/// How long blocking work may go on when the process ends.
const END_MAX: Duration = Duration::from_secs(2);

/// A runtime whose threads have a lower priority, or none where a process has nobody to give way to.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// `apart`: whether somebody may wait for answers of this process.
    pub(crate) fn start(apart: bool) -> Result<Self, Failure> {
        if !apart {
            return Ok(Self(None));
        }
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("background")
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(|| {
                // What the system does not let us do costs speed only.
                if let Err(error) = give_way() {
                    tracing::debug!(?error, "a thread keeps its priority");
                }
            })
            .build()
            .map_err(|source| Failure::io("start a runtime", source))?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a future on those threads, and with it whatever it starts: tasks by being started there, threads by having the priority
    /// of the one that starts them.
    pub(crate) async fn run<F>(&self, future: F) -> Result<F::Output, Failure>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            None => Handle::current(),
        };
        let ended = handle.spawn(future).await;
        ended.map_err(|error| Failure::of(Reason::Start, format!("a role cannot be started: {error}")))
    }

    /// To be called outside of any runtime, when the tasks have ended.
    pub(crate) fn end(self) {
        if let Some(runtime) = self.0 {
            runtime.shutdown_timeout(END_MAX);
        }
    }

    /// The same without waiting for anything.
    pub(crate) fn leave(self) {
        if let Some(runtime) = self.0 {
            runtime.shutdown_background();
        }
    }
}

fn give_way() -> Result<(), Error> {
    if niceness().is_some_and(|niceness| niceness >= NICENESS) {
        // Whoever started the process wants all of it to give way.
        return Ok(());
    }
    let priority = PRIORITY.try_into().map_err(|_| Error::Priority("out of range"))?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other),
    )
}

/// That of this thread, as the kernel tells it (proc_pid_stat(5), field 19).
fn niceness() -> Option<i32> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(16)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: background work gives way, with the threads that it starts, and nothing else does. Method: the kernel's niceness of
    // threads of both kinds, of a thread that one of them starts, and of the process without a background.
    #[test]
    fn threads_in_the_background_give_way() {
        let usual = niceness().expect("Linux");
        let nicenesses = |apart| {
            let background = Background::start(apart).expect("threads");
            let runtime = Runtime::new().expect("threads");
            let there = runtime.block_on(background.run(async {
                let started = std::thread::spawn(niceness);
                [niceness(), started.join().expect("a thread")]
            }));
            background.end();
            there.unwrap_or_else(|_| panic!("nothing ran"))
        };
        assert_eq!(nicenesses(true), [Some(usual.max(NICENESS)); 2]);
        assert_eq!(nicenesses(false), [Some(usual); 2]);
        assert_eq!(niceness(), Some(usual));
    }
}
