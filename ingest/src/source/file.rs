//! Segment files: a directory of `*.jsonl`, one record a line, appended to and followed as they grow.
//!
//! Names give the order of segments. Within a partition offsets rise; a record that comes again is skipped. A last line without
//! its end is waited for. A line that is no record belongs to the partition `file:<segment>` at its byte position, so that it is
//! a dead letter once, as any other bad record.

mod fields;
mod line;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use tidewater_core::SharedClock;

pub use self::line::parse_line;
use self::line::{LineHead, broken};
use self::segment::{Segment, list_segments};
use super::{Discovered, Poll, PollBounds, Source};
use crate::decode::RecordFault;
use crate::error::{IngestError, Result};
use crate::record::Partition;

/// Pause between looks at files that did not grow: a share of the second that a commit waits anyhow.
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(25);

/// A directory of segment files.
#[derive(Debug)]
pub struct FileSource {
    clock: SharedClock,
    /// Absent only while a blocking task has it.
    reader: Option<Reader>,
}

impl FileSource {
    /// Follows `directory`, which must exist once it is polled.
    pub fn new(directory: impl Into<PathBuf>, clock: SharedClock) -> Self {
        Self {
            clock,
            reader: Some(Reader {
                directory: directory.into(),
                ..Reader::default()
            }),
        }
    }

    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Reader) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let what = "reading segments";
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
        self.blocking(move |reader| reader.discover(asked_at)).await
    }

    // It looks at the files whenever it is asked.
    fn ask_anew(&mut self) {}

    async fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<()> {
        let positions = positions.iter().cloned().collect();
        self.blocking(|reader| {
            reader.assign(positions);
            Ok(())
        })
        .await
    }

    async fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        let deadline = self.clock.monotonic() + bounds.wait;
        loop {
            let poll = self.blocking(move |reader| reader.poll(bounds)).await?;
            let left = deadline.saturating_sub(self.clock.monotonic());
            if !poll.records.is_empty() || poll.changed || left.is_zero() {
                return Ok(poll);
            }
            self.clock.sleep(LOOK_INTERVAL.min(left)).await;
        }
    }
}

/// The state of reading; all its work is blocking.
#[derive(Debug, Default)]
struct Reader {
    directory: PathBuf,
    segments: BTreeMap<String, Segment>,
    assigned: BTreeMap<Partition, i64>,
    /// Partitions of which records were passed over because they were not assigned.
    passed: BTreeSet<Partition>,
    /// The segment being read, and how far.
    current: Option<(String, u64)>,
    /// One topic name for all its records.
    topics: BTreeMap<String, Arc<str>>,
}

impl Reader {
    /// Looks at everything that is new since the last time.
    fn discover(&mut self, asked_at: std::time::Duration) -> Result<Vec<Discovered>> {
        self.refresh()?;
        for segment in self.segments.values_mut() {
            segment.scan()?;
        }
        let mut known: BTreeMap<&Partition, (i64, i64)> = BTreeMap::new();
        for (partition, (low, high)) in self.segments.values().flat_map(Segment::partitions) {
            let bounds = known.entry(partition).or_insert((*low, *high));
            *bounds = (bounds.0.min(*low), bounds.1.max(*high));
        }
        let found = known.into_iter().map(|(partition, (low, high))| Discovered {
            partition: partition.clone(),
            low,
            high,
            asked_at,
        });
        Ok(found.collect())
    }

    /// New segments come in, removed ones go.
    fn refresh(&mut self) -> Result<()> {
        let names = list_segments(&self.directory)?;
        self.segments.retain(|name, _| names.contains(name));
        for name in names {
            let path = self.directory.join(&name);
            self.segments
                .entry(name.clone())
                .or_insert_with(|| Segment::new(name, path));
        }
        Ok(())
    }

    fn assign(&mut self, positions: BTreeMap<Partition, i64>) {
        let moved = positions
            .iter()
            .any(|(partition, position)| match self.assigned.get(partition) {
                Some(known) => known != position,
                None => self.passed.contains(partition),
            });
        self.assigned = positions;
        if moved {
            self.rewind();
        }
    }

    /// Back to the first segment with something to read.
    fn rewind(&mut self) {
        self.passed.clear();
        let wanted = |segment: &&Segment| {
            segment
                .partitions()
                .any(|(partition, (_, high))| self.assigned.get(partition).is_some_and(|position| position < high))
        };
        let first = self.segments.values().find(wanted);
        // Without one, everything scanned is behind us; what is not scanned yet follows in the last segment.
        let first = first.or_else(|| self.segments.values().next_back());
        self.current = first.map(|segment| (segment.name().to_owned(), 0));
    }

    fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
        let mut poll = Poll::default();
        let mut bytes = 0;
        while bytes < bounds.bytes && poll.records.len() < bounds.records && !poll.changed {
            let Some((name, at)) = self.place()? else { break };
            let sealed = self.segments.range(name.clone()..).nth(1).is_some();
            let Some(segment) = self.segments.get(&name) else { break };
            let chunk = segment.read(at, sealed)?;
            let mut used = 0;
            for line in chunk.lines() {
                if line.is_empty() {
                    used += chunk.length_of(line);
                    continue;
                }
                if bytes >= bounds.bytes || poll.records.len() >= bounds.records {
                    break;
                }
                let Some(size) = self.take_line(&name, at + used, line, &mut poll) else {
                    break;
                };
                bytes += size;
                used += chunk.length_of(line);
            }
            if used == 0 && !poll.changed {
                if !(sealed && chunk.is_end()) {
                    // The writer may have gone on in a new segment.
                    self.refresh()?;
                    break;
                }
                self.advance(&name);
                continue;
            }
            self.current = Some((name, at + used));
        }
        poll.positions = positions(&poll.records);
        Ok(poll)
    }

    /// Where reading goes on.
    fn place(&mut self) -> Result<Option<(String, u64)>> {
        match &self.current {
            Some((name, at)) if self.segments.contains_key(name) => return Ok(Some((name.clone(), *at))),
            // The segment was removed: go on with the next one.
            Some((name, _)) => {
                let next = self
                    .segments
                    .range(name.clone()..)
                    .next()
                    .map(|(name, _)| (name.clone(), 0));
                self.current = next;
            }
            None => {
                self.refresh()?;
                self.current = self.segments.keys().next().map(|name| (name.clone(), 0));
            }
        }
        Ok(self.current.clone())
    }

    fn advance(&mut self, name: &str) {
        let next = self.segments.range(name.to_owned()..).nth(1);
        if let Some((next, _)) = next {
            self.current = Some((next.clone(), 0));
        }
    }

    /// Handles one line and answers its size; none if it has to wait for an assignment.
    fn take_line(&mut self, segment: &str, at: u64, line: &[u8], poll: &mut Poll) -> Option<usize> {
        let head = LineHead::of(line);
        let partition = match &head {
            Ok(head) => Partition {
                topic: self.topic(&head.topic),
                number: head.partition,
            },
            Err(_) => Partition {
                topic: self.topic(&format!("file:{segment}")),
                number: 0,
            },
        };
        let offset = match &head {
            Ok(head) => head.offset,
            Err(_) => i64::try_from(at).unwrap_or(i64::MAX),
        };
        let Some(position) = self.assigned.get_mut(&partition) else {
            let known = self.segments.values().any(|segment| segment.knows(&partition));
            if known {
                self.passed.insert(partition);
                return Some(0);
            }
            poll.changed = true;
            return None;
        };
        if offset < *position {
            return Some(0);
        }
        *position = offset.saturating_add(1);
        let record = match head {
            Ok(head) => head
                .record(partition.clone())
                .unwrap_or_else(|fault| broken(partition, offset, line, fault)),
            Err(fault) => broken(partition, offset, line, fault),
        };
        let size = record.size_bytes();
        poll.records.push(record);
        Some(size)
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        match self.topics.get(name) {
            Some(topic) => Arc::clone(topic),
            None => {
                let topic: Arc<str> = name.into();
                self.topics.insert(name.to_owned(), Arc::clone(&topic));
                topic
            }
        }
    }
}

fn positions(records: &[crate::record::Record]) -> Vec<(Partition, i64)> {
    let mut last = BTreeMap::new();
    for record in records {
        last.insert(&record.partition, record.offset.saturating_add(1));
    }
    last.into_iter()
        .map(|(partition, position)| (partition.clone(), position))
        .collect()
}

/// The fault of a line.
fn line_fault(detail: impl Into<String>) -> RecordFault {
    RecordFault::Line { detail: detail.into() }
}

#[cfg(test)]
mod tests;
