//! Reading of segments: which come when, which lines are records, and where reading goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ends::Known;
use super::line::{LineHead, broken};
use super::segment::{Segment, list_segments};
use crate::error::Result;
use crate::record::{Partition, Record};
use crate::source::{Discovered, Poll, PollBounds};

/// The state of reading; all its work is blocking.
#[derive(Debug, Default)]
pub(super) struct Reader {
    directory: PathBuf,
    segments: BTreeMap<String, Segment>,
    assigned: BTreeMap<Partition, i64>,
    /// Partitions that are not assigned, and of which records may lie behind the place of reading.
    passed: BTreeSet<Partition>,
    /// The segment being read, and how far.
    current: Option<(String, u64)>,
    /// One topic name for all its records, and the schema that its last record had.
    topics: HashMap<Arc<str>, Known>,
}

impl Reader {
    pub(super) fn of(directory: PathBuf) -> Self {
        Self {
            directory,
            ..Self::default()
        }
    }

    /// Looks at everything that is new since the last time.
    pub(super) fn discover(&mut self, asked_at: Duration) -> Result<Vec<Discovered>> {
        self.refresh()?;
        self.scan()?;
        let mut known: BTreeMap<Partition, (i64, i64)> = BTreeMap::new();
        for (partition, (low, high)) in self.segments.values().flat_map(Segment::partitions) {
            let bounds = known.entry(partition).or_insert((low, high));
            *bounds = (bounds.0.min(low), bounds.1.max(high));
        }
        let found = known.into_iter().map(|(partition, (low, high))| Discovered {
            partition,
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

    /// Notes what all segments hold by now.
    fn scan(&mut self) -> Result<()> {
        let last = self.segments.keys().next_back().cloned();
        for (name, segment) in &mut self.segments {
            segment.scan(Some(name) != last.as_ref())?;
        }
        Ok(())
    }

    /// Reads these from these positions on. After a failure it reads what it read before.
    pub(super) fn assign(&mut self, positions: BTreeMap<Partition, i64>) -> Result<()> {
        let moved = positions
            .iter()
            .any(|(partition, position)| match self.assigned.get(partition) {
                Some(known) => known != position,
                None => self.passed.contains(partition),
            });
        if moved {
            // Reading may be beyond what is known of its segment, and in the next one: what lies between would be passed over.
            self.scan()?;
        }
        // What leaves may come back at an earlier position: others did not commit all that was read here.
        let left = self.assigned.keys().filter(|left| !positions.contains_key(*left));
        self.passed.extend(left.cloned());
        self.assigned = positions;
        if moved {
            self.rewind();
        }
        Ok(())
    }

    /// To the first segment with something to read. Whatever is not assigned may have records before it.
    fn rewind(&mut self) {
        let known = self.segments.values().flat_map(Segment::partitions);
        let unassigned = known.filter(|(partition, _)| !self.assigned.contains_key(partition));
        self.passed = unassigned.map(|(partition, _)| partition).collect();
        let wanted = |segment: &&Segment| {
            segment
                .partitions()
                .any(|(partition, (_, high))| self.assigned.get(&partition).is_some_and(|position| *position < high))
        };
        let first = self.segments.values().find(wanted);
        // Without one, everything scanned is behind us; what is not scanned yet follows in the last segment.
        let first = first.or_else(|| self.segments.values().next_back());
        self.current = first.map(|segment| (segment.name().to_owned(), 0));
    }

    pub(super) fn poll(&mut self, bounds: PollBounds) -> Result<Poll> {
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
                let Some(size) = self.take_line(&name, at + used, line, chunk.bytes(), &mut poll) else {
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
    fn take_line(&mut self, segment: &str, at: u64, line: &[u8], chunk: &Bytes, poll: &mut Poll) -> Option<usize> {
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
                .record(
                    partition.clone(),
                    chunk,
                    self.topics.entry(Arc::clone(&partition.topic)).or_default(),
                )
                .unwrap_or_else(|fault| broken(partition, offset, line, fault)),
            Err(fault) => broken(partition, offset, line, fault),
        };
        let size = record.size_bytes();
        poll.records.push(record);
        Some(size)
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        match self.topics.get_key_value(name) {
            Some((topic, _)) => Arc::clone(topic),
            None => {
                let topic: Arc<str> = name.into();
                self.topics.insert(Arc::clone(&topic), Known::default());
                topic
            }
        }
    }
}

fn positions(records: &[Record]) -> Vec<(Partition, i64)> {
    let mut last = BTreeMap::new();
    for record in records {
        last.insert(&record.partition, record.offset.saturating_add(1));
    }
    last.into_iter()
        .map(|(partition, position)| (partition.clone(), position))
        .collect()
}
