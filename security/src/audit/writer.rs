//! The thread that writes: lines that come close after one another share a write, and those that are waited for a sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use tidewater_core::SharedClock;

use super::files::Files;
use super::{Counters, line_of};

/// Lines of one write.
const BATCH_MAX: usize = 1_024;

/// How long a line that nobody waits for waits for others: what a process that is killed loses at most.
const GATHER: Duration = Duration::from_millis(20);

/// How often lines are put on the disk that nobody waits for: what a machine that loses its power loses at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A line with its end; nothing where only what was told before is waited for.
pub(super) struct Message {
    pub(super) line: Vec<u8>,
    /// Told when it is on the disk.
    pub(super) done: Option<oneshot::Sender<io::Result<()>>>,
}

pub(super) struct Writer {
    files: Files,
    messages: Receiver<Message>,
    counters: Arc<Counters>,
    clock: SharedClock,
    process: String,
    /// Lost lines that the log itself tells of.
    lost_told: u64,
    /// Those of them that it tells of on the disk.
    lost_settled: u64,
    synced_at: Duration,
    is_failing: bool,
}

impl Writer {
    pub(super) fn new(
        files: Files,
        messages: Receiver<Message>,
        counters: Arc<Counters>,
        clock: SharedClock,
        process: String,
    ) -> Self {
        Self {
            files,
            messages,
            counters,
            synced_at: clock.monotonic(),
            clock,
            process,
            lost_told: 0,
            lost_settled: 0,
            is_failing: false,
        }
    }

    /// Writes until nobody can tell anything any more.
    pub(super) fn run(mut self) {
        loop {
            match self.messages.recv_timeout(SYNC_EVERY) {
                Ok(first) => {
                    let batch = self.gather(first);
                    self.write(batch);
                }
                Err(RecvTimeoutError::Timeout) => self.settle(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.settle();
    }

    /// What comes right behind a line, unless somebody waits.
    fn gather(&self, first: Message) -> Vec<Message> {
        let until = self.clock.monotonic().saturating_add(GATHER);
        let mut is_waited_for = first.done.is_some();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX && !is_waited_for {
            let left = until.saturating_sub(self.clock.monotonic());
            let Ok(next) = self.messages.recv_timeout(left) else {
                break;
            };
            is_waited_for = next.done.is_some();
            batch.push(next);
        }
        // Whoever has come meanwhile shares the sync.
        let room = BATCH_MAX.saturating_sub(batch.len());
        batch.extend(self.messages.try_iter().take(room));
        batch
    }

    fn write(&mut self, batch: Vec<Message>) {
        let told = batch.iter().filter(|message| !message.line.is_empty()).count();
        let told = u64::try_from(told).unwrap_or(u64::MAX);
        let is_waited_for = batch.iter().any(|message| message.done.is_some());
        let lost = self.counters.lost.load(Ordering::Relaxed);
        let written = self.put(&batch, lost);
        match &written {
            Ok(()) => {
                self.counters.written.fetch_add(told, Ordering::Relaxed);
                self.lost_told = lost;
            }
            Err(_) => {
                self.counters.lost.fetch_add(told, Ordering::Relaxed);
            }
        }
        let outcome = written.and_then(|()| self.sync_in_time(is_waited_for));
        self.count_gone();
        self.heard(&outcome);
        for done in batch.into_iter().filter_map(|message| message.done) {
            let outcome = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            // Who waited may have gone away.
            let _ = done.send(outcome);
        }
    }

    fn put(&mut self, batch: &[Message], lost: u64) -> io::Result<()> {
        let now_ms = self.clock.now_ms();
        let mut lines = Vec::new();
        if lost > self.lost_told {
            let lines_lost = json!({"lines": lost.saturating_sub(self.lost_told)});
            lines = line_of("lost", now_ms, &self.process, &lines_lost)?;
        }
        for message in batch {
            lines.extend_from_slice(&message.line);
        }
        match lines.is_empty() {
            true => Ok(()),
            false => self.files.write(&lines, now_ms),
        }
    }

    fn sync_in_time(&mut self, is_waited_for: bool) -> io::Result<()> {
        let since = self.clock.monotonic().saturating_sub(self.synced_at);
        match is_waited_for || since >= SYNC_EVERY {
            true => self.sync(),
            false => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced_at = self.clock.monotonic();
        self.files.sync()?;
        self.lost_settled = self.lost_told;
        Ok(())
    }

    /// Puts on the disk what was written.
    fn settle(&mut self) {
        let synced = self.sync();
        self.count_gone();
        if synced.is_err() {
            self.heard(&synced);
        }
    }

    /// Counts what was written and may be gone since: the next line tells of it as of what was never written.
    fn count_gone(&mut self) {
        let gone = self.files.gone();
        if gone > 0 {
            self.counters.lost.fetch_add(gone, Ordering::Relaxed);
            // What the log told of may be among it.
            self.lost_told = self.lost_settled;
        }
    }

    /// Tells when the disk begins to fail and when it is well again, and not each time between.
    fn heard(&mut self, outcome: &io::Result<()>) {
        match outcome {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("the audit log is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
                if !self.is_failing {
                    self.is_failing = true;
                    tracing::error!(%error, "the audit log cannot be written: what happens now is not kept");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use tidewater_core::ManualClock;

    use super::super::{AuditFilter, AuditOptions, read};
    use super::*;

    fn line(number: u64) -> Vec<Message> {
        let line = line_of("statement", 1_000, "lake-1", &json!({"number": number})).expect("a line");
        vec![Message { line, done: None }]
    }

    // Goal: lines that were written, and that a disk may have lost that cannot be synced a moment later, are told as lost, and so is what was
    // told of them there. Method: a pipe, which cannot be synced, takes the place of a file behind the back of the log, twice.
    #[test]
    fn what_a_failed_sync_lost_is_told() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = AuditOptions {
            directory: dir.path().to_owned(),
            keep: Duration::from_secs(3_600),
            bytes_max: 1 << 20,
            required: false,
            process: "lake-1".to_owned(),
        };
        let counters = Arc::new(Counters::default());
        let files = Files::open(options, Arc::clone(&counters), 1_000).expect("a folder");
        let (_waiting, messages) = sync_channel(1);
        let clock: SharedClock = Arc::new(ManualClock::new(1_000));
        let mut writer = Writer::new(files, messages, Arc::clone(&counters), clock, "lake-1".to_owned());
        let lost = || counters.lost.load(Ordering::Relaxed);
        writer.write(line(1));
        writer.settle();
        assert_eq!(lost(), 0);
        writer.write(line(2));
        writer.files.sync_no_more();
        writer.settle();
        assert_eq!((lost(), counters.failures.load(Ordering::Relaxed)), (1, 1));
        writer.write(line(3));
        writer.files.sync_no_more();
        writer.settle();
        // The line of the one that was lost, and the one behind it.
        assert_eq!(lost(), 3);
        writer.write(line(4));
        writer.settle();
        writer.write(line(5));
        writer.settle();
        let mut told = Vec::new();
        read(dir.path(), &AuditFilter::default(), |line| {
            told.push((line["number"].as_u64(), line["lines"].as_u64()));
        })
        .expect("a folder");
        let statement = |number| (Some(number), None);
        let expected: [(Option<u64>, Option<u64>); 7] = [
            statement(1),
            statement(2),
            (None, Some(1)),
            statement(3),
            (None, Some(3)),
            statement(4),
            statement(5),
        ];
        assert_eq!(told, expected);
    }
}
