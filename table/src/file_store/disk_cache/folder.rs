//! The folder of one process below the configured directory: sealed blocks, a file each, that nobody can read when the process is gone.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::seal::{Identity, Seal, TAG_BYTES};

/// Begins the names of folders of blocks. Nothing else in the directory is ever removed.
const PREFIX: &str = "tidewater-blocks-";

/// Held by whoever makes or sweeps folders, so that a new one is not swept before its own lock is taken.
const DIRECTORY_LOCK: &str = "tidewater-blocks.lock";

/// In each folder, locked while its process lives.
const LOCK: &str = "lock";

/// What a read finds.
pub(super) enum Found {
    Block(Bytes),
    /// Bytes that are not what was written. The file is removed.
    Damaged,
    Gone,
}

/// A folder that is ours until the last handle goes, which removes it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    seal: Seal,
    lock: Option<File>,
}

impl Folder {
    /// Removes the folders of processes that have ended, and makes a new one with a new key. Takes as long as the disk needs for that.
    ///
    /// # Errors
    /// If the directory cannot be made, locked, swept or written: with blocks of others in it, it would grow beyond its bound.
    pub(super) fn open(directory: &Path, id: Uuid) -> io::Result<Self> {
        private().recursive(true).create(directory)?;
        let directory_lock = lock_file(&directory.join(DIRECTORY_LOCK))?;
        directory_lock.lock()?;
        sweep(directory)?;
        let path = directory.join(format!("{PREFIX}{}", id.simple()));
        private().create(&path)?;
        let lock = lock_file(&path.join(LOCK))?;
        lock.lock()?;
        Ok(Self {
            path,
            seal: Seal::new()?,
            lock: Some(lock),
        })
    }

    /// Writes a block; the ticket that finds it again. It is not synced: what a loss of power takes, it takes with the key.
    pub(super) fn write(&self, identity: Identity<'_>, plain: &[u8]) -> io::Result<u64> {
        let (ticket, sealed) = self.seal.close(identity, plain)?;
        let path = self.file(ticket);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&sealed).inspect_err(|_| {
            // Half a block takes room that nobody counts.
            let _gone = std::fs::remove_file(&path);
        })?;
        Ok(ticket)
    }

    /// Reads a block of `length` plain bytes.
    pub(super) fn read(&self, identity: Identity<'_>, ticket: u64, length: u64) -> io::Result<Found> {
        let file = match File::open(self.file(ticket)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Gone),
            other => other?,
        };
        let expected = length.saturating_add(TAG_BYTES);
        let mut sealed = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
        // One more than expected is enough to see that a file has grown.
        file.take(expected.saturating_add(1)).read_to_end(&mut sealed)?;
        if let Some(plain) = self.seal.open(identity, ticket, sealed) {
            return Ok(Found::Block(Bytes::from(plain)));
        }
        self.remove(ticket)?;
        Ok(Found::Damaged)
    }

    /// Removes a block, if it is there.
    pub(super) fn remove(&self, ticket: u64) -> io::Result<()> {
        ignore_missing(std::fs::remove_file(self.file(ticket)))
    }

    /// Names tell nothing of what is in a file.
    fn file(&self, ticket: u64) -> PathBuf {
        self.path.join(format!("{ticket:016x}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let (path, lock) = (std::mem::take(&mut self.path), self.lock.take());
        let remove = move || {
            // What cannot be removed now is swept by the next process.
            let _gone = std::fs::remove_dir_all(path);
            drop(lock);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// For this user alone.
fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn sweep(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && entry.file_type()?.is_dir() && is_left(&entry.path())? {
            ignore_missing(std::fs::remove_dir_all(entry.path()))?;
        }
    }
    Ok(())
}

/// Whether the process of a folder has ended: the system let go of its lock.
fn is_left(folder: &Path) -> io::Result<bool> {
    let file = match OpenOptions::new().write(true).open(folder.join(LOCK)) {
        // Left between two steps of making or removing it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    // Goal: a start removes what dead processes left, and nothing of living ones or of anybody else. Method: a folder whose lock is held,
    // one whose lock is free, one without a lock, and what has nothing to do with us, before and after an opening.
    #[test]
    fn a_start_sweeps_what_the_dead_left() {
        let directory = tempfile::tempdir().unwrap();
        let living = Folder::open(directory.path(), Uuid::from_u128(1)).unwrap();
        for dead in ["tidewater-blocks-dead", "tidewater-blocks-torn", "photographs"] {
            std::fs::create_dir(directory.path().join(dead)).unwrap();
            std::fs::write(directory.path().join(dead).join("0000000000000000"), b"x").unwrap();
        }
        std::fs::write(directory.path().join("tidewater-blocks-dead").join(LOCK), b"").unwrap();
        std::fs::write(directory.path().join("tidewater-blocks-file"), b"x").unwrap();
        let second = Folder::open(directory.path(), Uuid::from_u128(2)).unwrap();
        let of = |id: u128| format!("{PREFIX}{id:032x}");
        let others = ["photographs", "tidewater-blocks-file", "tidewater-blocks.lock"].map(str::to_owned);
        let mut expected = vec![of(1), of(2)];
        expected.extend(others.clone());
        expected.sort();
        assert_eq!(names(directory.path()), expected);
        drop((living, second));
        assert_eq!(names(directory.path()), others, "who ends removes what was its own");
    }

    // Goal: nobody else on the machine can look. Method: the modes of the directory, the folder and a block.
    #[test]
    fn only_this_user_may_look() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("new/er");
        let folder = Folder::open(&directory, Uuid::from_u128(1)).unwrap();
        let identity = Identity {
            name: "b/a",
            number: 0,
            object_bytes: 1,
        };
        let ticket = folder.write(identity, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&folder.path)), (0o700, 0o700));
        assert_eq!(mode(&folder.file(ticket)), 0o600);
        folder.remove(ticket).unwrap();
        folder.remove(ticket).unwrap();
        assert!(matches!(folder.read(identity, ticket, 1).unwrap(), Found::Gone));
    }
}
