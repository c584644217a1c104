//! The files of the log: each is written by one process, from its first line to the end of a day or until it is large enough, and never
//! opened for writing again. So what a crash has torn is the last line of a file, and nothing is behind it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{AuditOptions, Counters};

/// Milliseconds of the time that one file is of.
pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Largest file: what goes at once when there are too many bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Files that the bound is at least made of, so that little is lost when the oldest goes.
const FILES_MIN: u64 = 8;

/// Files that one process begins within a millisecond.
const NAMES_MAX: u32 = 1_000;

/// What stands around the time in a file's name.
const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// The files of one process, and the others of its folder as far as they are to go.
pub(super) struct Files {
    options: AuditOptions,
    counters: Arc<Counters>,
    open: Option<Open>,
}

struct Open {
    file: File,
    day: i64,
    bytes: u64,
    is_synced: bool,
}

/// A file that is there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// When it was begun.
    pub(super) began_ms: i64,
    bytes: u64,
}

impl Files {
    /// In this folder, which is made unless it is there. What is too old goes.
    pub(super) fn open(options: AuditOptions, counters: Arc<Counters>, now_ms: i64) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&options.directory)?;
        let files = Self {
            options,
            counters,
            open: None,
        };
        files.make_room(now_ms);
        Ok(files)
    }

    /// Adds whole lines. After an error none of them is there, and the next ones are in another file.
    pub(super) fn write(&mut self, lines: &[u8], now_ms: i64) -> io::Result<()> {
        let written = self.append(lines, now_ms);
        if written.is_err()
            && let Some(open) = self.open.take()
        {
            // Part of them may be there, and would be read as lines. Where this fails too, they are told as lost and are not.
            let _ = open.file.set_len(open.bytes);
        }
        written
    }

    fn append(&mut self, lines: &[u8], now_ms: i64) -> io::Result<()> {
        let (day, bytes) = (now_ms.div_euclid(DAY_MS), length(lines));
        let is_over = |open: &Open| open.day != day || open.bytes.saturating_add(bytes) > self.file_bytes_max();
        if self.open.as_ref().is_some_and(is_over) {
            self.sync()?;
            self.open = None;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.begin(day, now_ms)?,
        };
        let open = self.open.insert(open);
        open.file.write_all(lines)?;
        open.bytes = open.bytes.saturating_add(bytes);
        open.is_synced = false;
        Ok(())
    }

    /// Comes back when what was written is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| !open.is_synced) else {
            return Ok(());
        };
        let synced = open.file.sync_data();
        open.is_synced = synced.is_ok();
        if synced.is_err() {
            // What a failed sync has lost, no later one of the same file brings back.
            self.open = None;
        }
        synced
    }

    fn begin(&self, day: i64, now_ms: i64) -> io::Result<Open> {
        self.make_room(now_ms);
        let process = std::process::id();
        for number in 0..NAMES_MAX {
            let name = format!("{PREFIX}{now_ms:013}-{process}-{number:03}{SUFFIX}");
            let path = self.options.directory.join(name);
            let made = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Others leave it alone as long as it is written. Where the disk knows no locks, they go by its age.
            let _ = file.try_lock();
            File::open(&self.options.directory)?.sync_all()?;
            return Ok(Open {
                file,
                day,
                bytes: 0,
                is_synced: true,
            });
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes what is too old, and as much of the oldest as one more file needs. What cannot be removed is no reason not to write.
    fn make_room(&self, now_ms: i64) {
        match self.remove(now_ms) {
            Ok(0) => {}
            Ok(early) => {
                self.counters.removed_early.fetch_add(early, Ordering::Relaxed);
                tracing::warn!(
                    files = early,
                    "audit.bytes_max is reached: files of the audit log were removed before their time"
                );
            }
            Err(error) => tracing::warn!(%error, "old files of the audit log could not be removed"),
        }
    }

    /// How many files had to go before their time.
    fn remove(&self, now_ms: i64) -> io::Result<u64> {
        let keep_ms = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        // The last line of a file may be a day younger than its first.
        let oldest_ms = now_ms.saturating_sub(keep_ms).saturating_sub(DAY_MS);
        let room = self.options.bytes_max.saturating_sub(self.file_bytes_max());
        let found = list(&self.options.directory)?;
        let mut bytes: u64 = found.iter().map(|file| file.bytes).sum();
        let mut early = 0;
        for file in found {
            let is_over = file.began_ms < oldest_ms;
            if !is_over && bytes <= room {
                break;
            }
            if is_written(&file.path)? {
                continue;
            }
            fs::remove_file(&file.path)?;
            bytes = bytes.saturating_sub(file.bytes);
            early += u64::from(!is_over);
        }
        Ok(early)
    }

    fn file_bytes_max(&self) -> u64 {
        FILE_BYTES_MAX.min(self.options.bytes_max / FILES_MIN)
    }
}

/// The files of a folder, the oldest first. Whatever else lies there is left alone.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(began_ms) = name.to_str().and_then(began_ms) else {
            continue;
        };
        found.push(Found {
            path: entry.path(),
            began_ms,
            bytes: entry.metadata()?.len(),
        });
    }
    found.sort_by(|one, other| (one.began_ms, &one.path).cmp(&(other.began_ms, &other.path)));
    Ok(found)
}

fn began_ms(name: &str) -> Option<i64> {
    let rest = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    rest.split('-').next()?.parse().ok()
}

/// Whether a process is at it still.
fn is_written(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(true),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(false),
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
