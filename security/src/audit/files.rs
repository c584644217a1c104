//! The files of the log: each is written by one process, from its first line to the end of a day or until it is large enough, and never
//! opened for writing again. So what a crash has torn is the last line of a file, and nothing is behind it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
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
    /// Lines that were written and may be gone, and that nobody was told of.
    gone: u64,
}

struct Open {
    path: PathBuf,
    file: File,
    day: i64,
    bytes: u64,
    /// Lines that are not on the disk for certain.
    unsynced: u64,
}

impl Open {
    /// Leaves it as it was before what failed: part of that may be there, and would be read as lines. Where this fails too, they are told as
    /// lost and are not. How many lines of before may be gone.
    fn cut(self) -> u64 {
        let cut = match self.bytes {
            // There would be one more with every try, until the folder cannot be read any more.
            0 => fs::remove_file(&self.path),
            // Nobody comes back to it, and its lines are said to be on the disk soon.
            bytes => self.file.set_len(bytes).and_then(|()| self.file.sync_data()),
        };
        match cut {
            Ok(()) => 0,
            Err(_) => self.unsynced,
        }
    }
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
            gone: 0,
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
            self.gone = self.gone.saturating_add(open.cut());
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
        open.unsynced = open.unsynced.saturating_add(count(lines));
        Ok(())
    }

    /// Comes back when what was written is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| open.unsynced > 0) else {
            return Ok(());
        };
        let synced = open.file.sync_data();
        match synced {
            Ok(()) => open.unsynced = 0,
            Err(_) => {
                self.gone = self.gone.saturating_add(open.unsynced);
                // What a failed sync has lost, no later one of the same file brings back.
                self.open = None;
            }
        }
        synced
    }

    /// How many lines that were written may be gone, by a disk that failed later. They are told once.
    pub(super) fn gone(&mut self) -> u64 {
        std::mem::take(&mut self.gone)
    }

    /// From now on what is written cannot be synced, until another file is begun.
    #[cfg(test)]
    pub(super) fn sync_no_more(&mut self) {
        let (_, pipe) = io::pipe().expect("a pipe");
        if let Some(open) = &mut self.open {
            open.file = File::from(std::os::fd::OwnedFd::from(pipe));
        }
    }

    fn begin(&self, day: i64, now_ms: i64) -> io::Result<Open> {
        self.make_room(now_ms);
        let process = std::process::id();
        for number in 0..NAMES_MAX {
            let name = format!("{PREFIX}{now_ms:013}-{process}-{number:03}{SUFFIX}");
            let path = self.options.directory.join(name);
            let made = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let open = Open {
                path,
                file,
                day,
                bytes: 0,
                unsynced: 0,
            };
            // Others leave it alone as long as it is written. Where the disk knows no locks, they go by its age.
            if let Err(TryLockError::WouldBlock) = open.file.try_lock() {
                // One of them is about to remove it.
                continue;
            }
            let settled = open
                .file
                .metadata()
                .and_then(|it| File::open(&self.options.directory)?.sync_all().map(|()| it.nlink() > 0));
            match settled {
                Ok(true) => return Ok(open),
                // One of them has.
                Ok(false) => {}
                Err(error) => {
                    open.cut();
                    return Err(error);
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes what is too old, and as much of the oldest as one more file needs. What cannot be removed is no reason not to write.
    fn make_room(&self, now_ms: i64) {
        let mut early = 0;
        if let Err(error) = self.remove(now_ms, &mut early) {
            tracing::warn!(%error, "old files of the audit log could not be removed");
        }
        if early > 0 {
            self.counters.removed_early.fetch_add(early, Ordering::Relaxed);
            tracing::warn!(
                files = early,
                "audit.bytes_max is reached: files of the audit log were removed before their time"
            );
        }
    }

    /// Counts those that had to go before their time. One that cannot be removed does not keep the others.
    fn remove(&self, now_ms: i64, early: &mut u64) -> io::Result<()> {
        let keep_ms = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        // The last line of a file may be a day younger than its first.
        let oldest_ms = now_ms.saturating_sub(keep_ms).saturating_sub(DAY_MS);
        let room = self.options.bytes_max.saturating_sub(self.file_bytes_max());
        let found = list(&self.options.directory)?;
        let mut bytes: u64 = found.iter().map(|file| file.bytes).sum();
        let mut outcome = Ok(());
        for file in found {
            let is_over = file.began_ms < oldest_ms;
            if !is_over && bytes <= room {
                break;
            }
            match remove(&file.path) {
                Ok(true) => *early += u64::from(!is_over),
                Ok(false) => continue,
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            }
            bytes = bytes.saturating_sub(file.bytes);
        }
        outcome
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
        let bytes = match entry.metadata() {
            Ok(metadata) => metadata.len(),
            // Its process has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let path = entry.path();
        found.push(Found { path, began_ms, bytes });
    }
    found.sort_by(|one, other| (one.began_ms, &one.path).cmp(&(other.began_ms, &other.path)));
    Ok(found)
}

fn began_ms(name: &str) -> Option<i64> {
    let rest = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    rest.split('-').next()?.parse().ok()
}

/// Removes a file, unless a process is at it still.
fn remove(path: &Path) -> io::Result<bool> {
    // Held until it is gone: who begins a file of this name meanwhile sees it.
    let file = File::open(path)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Ok(false);
    }
    fs::remove_file(path)?;
    Ok(true)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn count(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|byte| **byte == b'\n');
    u64::try_from(ends.count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW_MS: i64 = 20_000 * DAY_MS;

    fn files(directory: &Path) -> Files {
        let options = AuditOptions {
            directory: directory.to_owned(),
            keep: Duration::from_secs(24 * 60 * 60),
            bytes_max: 1 << 20,
            required: false,
            process: "lake-1:8080".to_owned(),
        };
        Files::open(options, Arc::default(), NOW_MS).expect("a folder")
    }

    // Goal: a disk that refuses every line does not fill the folder with empty files. Method: a file that was begun and cannot be written to.
    #[test]
    fn what_holds_no_line_does_not_stay() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut files = files(dir.path());
        let begun = files.begin(NOW_MS.div_euclid(DAY_MS), NOW_MS).expect("a file");
        assert_eq!(list(dir.path()).expect("a folder").len(), 1);
        files.open = Some(Open {
            file: File::open(&begun.path).expect("to be read only"),
            ..begun
        });
        files.write(b"{}\n", NOW_MS).expect_err("it cannot be written to");
        assert!(list(dir.path()).expect("a folder").is_empty());
        files.write(b"{}\n", NOW_MS).expect("into the next one");
        assert_eq!(list(dir.path()).expect("a folder").len(), 1);
    }

    // Goal: one that cannot be removed does not keep the others. Method: a folder by the name of an old file, and a file that is as old.
    #[test]
    fn others_go_without_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let named = |number: u32| dir.path().join(format!("{PREFIX}0000000000001-1-{number:03}{SUFFIX}"));
        fs::create_dir(named(0)).expect("a folder");
        fs::write(named(1), b"{}\n").expect("a file");
        drop(files(dir.path()));
        let left = list(dir.path()).expect("a folder");
        assert_eq!(left.iter().map(|file| &file.path).collect::<Vec<_>>(), [&named(0)]);
    }
}
