//! One segment file: what partitions it holds, and its lines.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::line::LineHead;
use crate::error::{IngestError, Result};
use crate::record::Partition;

/// What is read at once.
const CHUNK_BYTES: u64 = 2 << 20;

/// Longest line: the largest record, each of its bytes escaped, and its key. A longer one is broken, piece by piece.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Ending of segment files.
const EXTENSION: &str = "jsonl";

/// A segment file.
#[derive(Debug)]
pub(super) struct Segment {
    name: String,
    path: PathBuf,
    scanned: u64,
    /// Lowest offset and one past the highest, by topic and number.
    partitions: HashMap<Arc<str>, BTreeMap<i32, (i64, i64)>>,
}

impl Segment {
    pub(super) fn new(name: String, path: PathBuf) -> Self {
        Self {
            name,
            path,
            scanned: 0,
            partitions: HashMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = (Partition, (i64, i64))> {
        self.partitions.iter().flat_map(|(topic, numbers)| {
            let of = |(number, bounds): (&i32, &(i64, i64))| {
                let topic = Arc::clone(topic);
                (Partition { topic, number: *number }, *bounds)
            };
            numbers.iter().map(of)
        })
    }

    pub(super) fn knows(&self, partition: &Partition) -> bool {
        let numbers = self.partitions.get(&partition.topic);
        numbers.is_some_and(|numbers| numbers.contains_key(&partition.number))
    }

    /// Notes the partitions of lines that are new: of just those that [`Self::read`] brings.
    pub(super) fn scan(&mut self, sealed: bool) -> Result<()> {
        loop {
            let chunk = self.read(self.scanned, sealed)?;
            let mut used = 0;
            for line in chunk.lines() {
                if !line.is_empty() {
                    self.note(self.scanned + used, line);
                }
                used += chunk.length_of(line);
            }
            if used == 0 {
                return Ok(());
            }
            self.scanned += used;
        }
    }

    fn note(&mut self, at: u64, line: &[u8]) {
        let (topic, number, offset) = match LineHead::of(line) {
            Ok(head) => (head.topic, head.partition, head.offset),
            Err(_) => {
                let topic = Cow::Owned(format!("file:{}", self.name));
                (topic, 0, i64::try_from(at).unwrap_or(i64::MAX))
            }
        };
        let high = offset.saturating_add(1);
        let numbers = match self.partitions.get_mut(&*topic) {
            Some(numbers) => numbers,
            None => self.partitions.entry(Arc::from(&*topic)).or_default(),
        };
        let bounds = numbers.entry(number).or_insert((offset, high));
        *bounds = (bounds.0.min(offset), bounds.1.max(high));
    }

    /// Whole lines from a place on. In a sealed segment, which nobody writes to any more, the last line needs no end.
    pub(super) fn read(&self, at: u64, sealed: bool) -> Result<Chunk> {
        let mut limit = CHUNK_BYTES;
        loop {
            let mut bytes = self.read_bytes(at, limit)?;
            let end = u64::try_from(bytes.len()).unwrap_or(0) < limit;
            let last = bytes.iter().rposition(|byte| *byte == b'\n');
            match (last, end, sealed) {
                (None, true, true) => {}
                (None, true, false) => bytes.clear(),
                (None, false, _) if limit < LINE_BYTES_MAX => {
                    limit *= 4;
                    continue;
                }
                (None, false, _) => {}
                // What follows the last line end is read the next time.
                (Some(last), _, _) => bytes.truncate(last + 1),
            }
            let bytes = bytes.into();
            return Ok(Chunk { bytes, end });
        }
    }

    fn read_bytes(&self, at: u64, limit: u64) -> Result<Vec<u8>> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(at))?;
            let mut bytes = Vec::with_capacity(usize::try_from(limit).unwrap_or_default());
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(bytes),
            // Trimmed between listing and reading; the next listing knows.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(IngestError::Segment {
                path: self.path.display().to_string(),
                source,
            }),
        }
    }
}

/// Bytes of a segment that end with a line.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    end: bool,
}

impl Chunk {
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_ref();
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at_checked(end).filter(|_| !rest.is_empty())?;
            rest = behind.strip_prefix(b"\n").unwrap_or(behind);
            Some(line)
        })
    }

    /// What a line takes with its end. Only the last line of a sealed segment may lack it, and then nothing follows.
    pub(super) fn length_of(&self, line: &[u8]) -> u64 {
        let ended = self.bytes.ends_with(b"\n");
        let taken = if ended { line.len() + 1 } else { line.len().max(1) };
        u64::try_from(taken).unwrap_or(u64::MAX)
    }

    /// Whether the file ends within what was read.
    pub(super) fn is_end(&self) -> bool {
        self.end
    }
}

/// Names of the segments in a directory.
pub(super) fn list_segments(directory: &Path) -> Result<BTreeSet<String>> {
    let failed = |source| IngestError::Segment {
        path: directory.display().to_string(),
        source,
    };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ours = path.extension().is_some_and(|extension| extension == EXTENSION);
        if let (true, Some(name)) = (ours, path.file_name().and_then(|name| name.to_str())) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}
