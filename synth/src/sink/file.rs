//! A folder of segments that a file source follows: one record a line.
//!
//! A segment's name is the number of its first record, so that a writer that comes back knows where to go on. A segment is
//! synced when the next one begins; what a reader needs is in the file as soon as it is flushed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::error::SynthError;
use crate::record::{Place, Record};

/// The next offset each topic and partition is to be read from.
pub type NextOffsets = BTreeMap<(String, i32), i64>;

/// Lines are handed to the file system in blocks of this size at the latest.
const BUFFER_BYTES: usize = 1 << 20;

/// How a log is cut into segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSinkOptions {
    /// A segment that has reached this size is the last but one.
    pub segment_bytes: u64,
}

impl Default for FileSinkOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
        }
    }
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    bytes: u64,
    records: u64,
    first_sequence: u64,
    /// The next offset after this segment of what it holds.
    ends: NextOffsets,
}

/// Writes records into the segments of a folder.
#[derive(Debug)]
pub struct FileSink {
    folder: PathBuf,
    options: FileSinkOptions,
    /// Oldest first; the last one is written to.
    segments: Vec<Segment>,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl FileSink {
    /// Opens a folder, which is made if it is not there, and finds where to go on. A line that was cut off is removed.
    pub fn open(folder: &Path, options: FileSinkOptions) -> Result<Self, SynthError> {
        fs::create_dir_all(folder).map_err(SynthError::io("create the folder", folder))?;
        let mut starts = Vec::new();
        for entry in fs::read_dir(folder).map_err(SynthError::io("list the folder", folder))? {
            let path = entry.map_err(SynthError::io("list the folder", folder))?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let stem = path
                    .file_stem()
                    .and_then(|stem| stem.to_str())
                    .and_then(|stem| stem.parse::<u64>().ok());
                let start = stem.ok_or_else(|| foreign(&path, "its name is not the number of a record"))?;
                starts.push((start, path));
            }
        }
        starts.sort();
        let mut segments: Vec<Segment> = Vec::new();
        for (start, path) in starts {
            if let Some(before) = segments
                .last()
                .filter(|before| before.first_sequence + before.records != start)
            {
                let reason = format!(
                    "it begins at record {start}, and {} ends elsewhere",
                    before.path.display()
                );
                return Err(SynthError::Foreign { path, reason });
            }
            segments.push(Segment::read(path, start)?);
        }
        let file = match segments.last() {
            Some(last) => {
                let file = OpenOptions::new().append(true).open(&last.path);
                Some(file.map_err(SynthError::io("open", last.path.as_path()))?)
            }
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            options,
            segments,
            file,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the record that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.segments
            .last()
            .map_or(0, |last| last.first_sequence + last.records)
    }

    /// What all segments hold together.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Adds a record, which must be the next one. Readers see it after [`Self::flush`].
    pub fn append(&mut self, record: &Record) -> Result<(), SynthError> {
        let full = self
            .segments
            .last()
            .is_none_or(|last| last.bytes >= self.options.segment_bytes);
        if full {
            self.rotate(record.sequence)?;
        }
        let before = self.buffer.len();
        record.write_line(&mut self.buffer);
        let bytes = (self.buffer.len() - before) as u64;
        if let Some(last) = self.segments.last_mut() {
            last.bytes += bytes;
            last.records += 1;
            last.ends
                .insert((record.topic.to_string(), record.partition), record.offset + 1);
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Hands everything to the file system: whole lines only.
    pub fn flush(&mut self) -> Result<(), SynthError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let (Some(file), Some(last)) = (&mut self.file, self.segments.last()) {
            file.write_all(&self.buffer)
                .map_err(SynthError::io("write", last.path.as_path()))?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Flushes and makes it durable.
    pub fn sync(&mut self) -> Result<(), SynthError> {
        self.flush()?;
        if let (Some(file), Some(last)) = (&self.file, self.segments.last()) {
            file.sync_all().map_err(SynthError::io("sync", last.path.as_path()))?;
        }
        Ok(())
    }

    /// Removes the oldest segments that were read completely, never the one being written. How many went.
    pub fn trim(&mut self, committed: &NextOffsets) -> Result<usize, SynthError> {
        let is_read = |segment: &Segment| {
            segment
                .ends
                .iter()
                .all(|(place, end)| committed.get(place).is_some_and(|next| next >= end))
        };
        let closed = self.segments.len().saturating_sub(1);
        let removed = self
            .segments
            .iter()
            .take(closed)
            .take_while(|segment| is_read(segment))
            .count();
        for segment in self.segments.drain(..removed) {
            fs::remove_file(&segment.path).map_err(SynthError::io("remove", segment.path.as_path()))?;
        }
        Ok(removed)
    }

    fn rotate(&mut self, first_sequence: u64) -> Result<(), SynthError> {
        self.sync()?;
        let path = self.folder.join(format!("{first_sequence:020}.jsonl"));
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        self.file = Some(file.map_err(SynthError::io("create", path.as_path()))?);
        sync_folder(&self.folder)?;
        self.segments.push(Segment {
            path,
            bytes: 0,
            records: 0,
            first_sequence,
            ends: NextOffsets::new(),
        });
        Ok(())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if let Err(error) = self.sync() {
            tracing::warn!(folder = %self.folder.display(), %error, "the last records may be missing in the log");
        }
    }
}

impl Segment {
    /// Reads what a segment holds, and cuts off a last line that has no end.
    fn read(path: PathBuf, first_sequence: u64) -> Result<Self, SynthError> {
        let file = File::open(&path).map_err(SynthError::io("open", path.as_path()))?;
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let (mut line, mut bytes, mut records, mut ends) = (Vec::new(), 0, 0, NextOffsets::new());
        loop {
            line.clear();
            let read = reader
                .read_until(b'\n', &mut line)
                .map_err(SynthError::io("read", path.as_path()))?;
            if !line.ends_with(b"\n") {
                if read > 0 {
                    let file = OpenOptions::new().write(true).open(&path);
                    let cut = file.and_then(|file| file.set_len(bytes).and_then(|()| file.sync_all()));
                    cut.map_err(SynthError::io("cut off the last line of", path.as_path()))?;
                }
                return Ok(Self {
                    path,
                    bytes,
                    records,
                    first_sequence,
                    ends,
                });
            }
            let place: Place = serde_json::from_slice(&line)
                .map_err(|error| foreign(&path, &format!("line {} is no record: {error}", records + 1)))?;
            ends.insert((place.topic, place.partition), place.offset + 1);
            bytes += read as u64;
            records += 1;
        }
    }
}

fn foreign(path: &Path, reason: &str) -> SynthError {
    SynthError::Foreign {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Makes a new or renamed file durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), SynthError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(SynthError::io("sync the folder", folder))
}

#[cfg(test)]
mod tests;
