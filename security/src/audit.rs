//! Who did what, kept on this machine: a line of JSON for each statement that ended, each login, each change of users and grants, and
//! each refusal.
//!
//! Whoever has something to tell hands a line to one thread, which writes the lines in batches (`writer`) to files that are bounded and go
//! one after another (`files`). Nothing waits for the disk but what may not be done before it is kept ([`AuditLog::kept`]). Lines are
//! written as they are told: values of statements, passwords and tokens must not be among them.

mod files;
mod read;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;

use tidewater_core::SharedClock;

pub use self::read::{AuditFilter, AuditLines, read};

use self::files::Files;
use self::writer::{Message, Writer};

/// Lines that wait to be written, some megabytes: seconds of the most that a process answers. More are lost, or refused where they are required.
const WAITING_MAX: usize = 8_192;

/// How long the disk may take with a line that is waited for.
const KEPT_DEADLINE: Duration = Duration::from_secs(5);

/// Where it is kept, and how much of it.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// The folder of its files. Several processes may share it.
    pub directory: PathBuf,
    /// How long a line is kept, unless there are too many; some are kept for a day more.
    pub keep: Duration,
    /// The disk that all files of the folder may take; the oldest go.
    pub bytes_max: u64,
    /// Whether what cannot be kept must not be done.
    pub required: bool,
    /// What this process is called in its lines.
    pub process: String,
}

/// What became of lines since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Lines that were written.
    pub written: u64,
    /// Lines that were not, because the disk failed or did not keep up, and those that were and may be gone, because it failed a moment later.
    pub lost: u64,
    /// Times that the disk failed.
    pub failures: u64,
    /// Files that had to go before their time, to keep within the bound.
    pub removed_early: u64,
}

#[derive(Debug, Default)]
struct Counters {
    written: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
    removed_early: AtomicU64,
}

/// Takes what is to be kept. Clones are the same log.
#[derive(Clone)]
pub struct AuditLog(Arc<Shared>);

struct Shared {
    waiting: SyncSender<Message>,
    counters: Arc<Counters>,
    clock: SharedClock,
    process: String,
    required: bool,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

/// A line: what every one of them has, and what is told.
#[derive(Serialize)]
struct Line<'a, T> {
    event: &'a str,
    at_ms: i64,
    process: &'a str,
    #[serde(flatten)]
    told: &'a T,
}

impl AuditLog {
    /// Begins to write. It ends with the last clone.
    ///
    /// # Errors
    /// The folder cannot be made, or there is no thread.
    pub fn start(options: AuditOptions, clock: SharedClock) -> io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let (process, required) = (options.process.clone(), options.required);
        let files = Files::open(options, Arc::clone(&counters), clock.now_ms())?;
        let (waiting, messages) = sync_channel(WAITING_MAX);
        let writer = Writer::new(
            files,
            messages,
            Arc::clone(&counters),
            Arc::clone(&clock),
            process.clone(),
        );
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self(Arc::new(Shared {
            waiting,
            counters,
            clock,
            process,
            required,
        })))
    }

    /// Whether what cannot be kept must not be done.
    pub fn is_required(&self) -> bool {
        self.0.required
    }

    /// Keeps what happened, without waiting. What cannot be kept is counted.
    pub fn keep<T: Serialize>(&self, event: &str, told: &T) {
        let line = self.line(event, told);
        let kept = line.and_then(|line| self.send(Message { line, done: None }));
        if kept.is_err() {
            self.0.counters.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps what is to happen, and comes back when it is on the disk.
    ///
    /// # Errors
    /// It is not, or nobody knows: it must not happen.
    pub async fn kept<T: Serialize + Sync>(&self, event: &str, told: &T) -> io::Result<()> {
        let line = self.line(event, told)?;
        self.on_disk(line).await
    }

    /// Comes back when everything that was told before is on the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn flush(&self) -> io::Result<()> {
        self.on_disk(Vec::new()).await
    }

    /// What became of lines until now.
    pub fn counts(&self) -> AuditCounts {
        let counters = &self.0.counters;
        AuditCounts {
            written: counters.written.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
            removed_early: counters.removed_early.load(Ordering::Relaxed),
        }
    }

    async fn on_disk(&self, line: Vec<u8>) -> io::Result<()> {
        let (done, told) = oneshot::channel();
        self.send(Message { line, done: Some(done) })?;
        tokio::select! {
            told = told => told.unwrap_or_else(|_| Err(ended())),
            () = self.0.clock.sleep(KEPT_DEADLINE) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer"))
            }
        }
    }

    fn send(&self, message: Message) -> io::Result<()> {
        self.0.waiting.try_send(message).map_err(|refused| match refused {
            TrySendError::Full(_) => io::Error::new(io::ErrorKind::TimedOut, "the disk does not keep up"),
            TrySendError::Disconnected(_) => ended(),
        })
    }

    fn line<T: Serialize>(&self, event: &str, told: &T) -> io::Result<Vec<u8>> {
        line_of(event, self.0.clock.now_ms(), &self.0.process, told)
    }
}

fn line_of<T: Serialize>(event: &str, at_ms: i64, process: &str, told: &T) -> io::Result<Vec<u8>> {
    let line = Line {
        event,
        at_ms,
        process,
        told,
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn ended() -> io::Error {
    io::Error::other("the log of who did what has ended")
}
