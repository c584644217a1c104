//! Segment files: a directory of `*.jsonl`, one record a line, appended to and followed as they grow.
//!
//! Names give the order of segments. Within a partition offsets rise; a record that comes again is skipped. A last line without
//! its end is waited for. A line that is no record belongs to the partition `file:<segment>` at its byte position, so that it is
//! a dead letter once, as any other bad record.

mod ends;
mod fields;
mod line;
mod reader;
mod segment;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use tidewater_core::SharedClock;

pub use self::line::parse_line;
use self::reader::Reader;
use super::{Discovered, Poll, PollBounds, Reach, Source};
use crate::decode::RecordFault;
use crate::error::{IngestError, Result};
use crate::record::Partition;

/// Pause between looks at files that did not grow: a share of the second that a commit waits anyhow.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// What a task that reads is called.
const READING: &str = "reading segments";

/// A directory of segment files.
#[derive(Debug)]
pub struct FileSource {
    clock: SharedClock,
    /// Absent only while a blocking task has it.
    reader: Option<Reader>,
    /// While a caller works on what it got, the next is read.
    ahead: Option<JoinHandle<(Reader, Result<Poll>)>>,
    /// What was read ahead.
    ready: Option<Result<Poll>>,
    /// What the segments held when they were looked at last.
    topics: Option<BTreeSet<String>>,
}

impl FileSource {
    /// Follows `directory`, which must exist once it is polled.
    pub fn new(directory: impl Into<PathBuf>, clock: SharedClock) -> Self {
        Self {
            clock,
            reader: Some(Reader::of(directory.into())),
            ahead: None,
            ready: None,
            topics: None,
        }
    }

    /// Reads on beside the caller.
    fn read_ahead(&mut self, bounds: PollBounds) {
        if let Some(mut reader) = self.reader.take() {
            self.ahead = Some(tokio::task::spawn_blocking(move || {
                let outcome = reader.poll(bounds);
                (reader, outcome)
            }));
        }
    }

    /// Waits for what is read ahead.
    async fn catch_up(&mut self) -> Result<()> {
        if let Some(ahead) = &mut self.ahead {
            let (reader, outcome) = ahead.await.map_err(|_| IngestError::Task { what: READING })?;
            self.ahead = None;
            self.reader = Some(reader);
            self.ready = Some(outcome);
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Reader) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.catch_up().await?;
        let what = READING;
        let mut reader = self.reader.take().ok_or(IngestError::Task { what })?;
        let done = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut reader);
            (reader, outcome)
        });
        let (reader, outcome) = done.await.map_err(|_| IngestError::Task { what })?;
        self.reader = Some(reader);
        outcome
    }
}

#[async_trait]
impl Source for FileSource {
    async fn partitions(&mut self) -> Result<Vec<Discovered>> {
        let asked_at = self.clock.monotonic();
        let found = self.blocking(move |reader| reader.discover(asked_at)).await?;
        let topics = found.iter().map(|found| found.partition.topic.to_string());
        self.topics = Some(topics.collect());
        Ok(found)
    }

    fn reach(&self) -> Reach {
        Reach::All
    }

    fn topics(&self) -> Option<BTreeSet<String>> {
        self.topics.clone()
    }

    // It looks at the files whenever it is asked.
    fn ask_anew(&mut self) {}

    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        let positions = positions.iter().cloned().collect();
        self.catch_up().await?;
        // What was read ahead was read by the positions before.
        self.ready = None;
        self.blocking(|reader| reader.assign(positions)).await
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        let deadline = self.clock.monotonic() + bounds.wait;
        loop {
            self.catch_up().await?;
            let poll = match self.ready.take() {
                Some(ready) => ready?,
                None => self.blocking(move |reader| reader.poll(bounds)).await?,
            };
            if !poll.changed && poll.is_full(&bounds) {
                self.read_ahead(bounds);
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !poll.records.is_empty() || poll.changed || left.is_zero() {
                return Ok(poll);
            }
            self.clock.sleep(LOOK_INTERVAL.min(left)).await;
        }
    }
}

/// The fault of a line.
fn line_fault(detail: impl Into<String>) -> RecordFault {
    RecordFault::Line { detail: detail.into() }
}

#[cfg(test)]
mod tests;
