//! Files on local disk that survive the loss of power: `object_store` 0.13 syncs neither files nor directories.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::unistd::linkat;

use super::names::SyncedNames;
use crate::error::{Result, TableError};

const TEMPORARY_PREFIX: &str = ".tidewater-";

/// Is this the name of a file that is still being written, or was left behind by a crash?
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

/// Writes, gives the final name, which must be free, and syncs the file, and its directory where that does more. Until it answers nobody
/// knows the name.
pub(super) fn put_new(path: &str, location: &str, temporary: &str, bytes: &[u8], names: &SyncedNames) -> Result<()> {
    let path = Path::new(path);
    let fault = |operation: &'static str| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => TableError::FileExists {
                location: location.into(),
            },
            _ => TableError::Disk {
                operation,
                location: location.into(),
                source,
            },
        }
    };
    let Some(directory) = path.parent() else {
        return Err(TableError::Location {
            location: location.into(),
            reason: "it names no file".into(),
        });
    };
    create_directories(directory).map_err(fault("create the directory of"))?;
    let unnamed = write_unnamed(directory, path, bytes).map_err(fault("write"))?;
    let written = match unnamed {
        Some(file) => Ok(file),
        None => write_aside(&directory.join(format!("{TEMPORARY_PREFIX}{temporary}")), path, bytes),
    };
    let file = written.map_err(fault("write"))?;
    file.sync_all()
        .inspect_err(|_| {
            // What may not be on the disk is not left under its name.
            let _gone = std::fs::remove_file(path);
        })
        .map_err(fault("write"))?;
    if names.with(&file) {
        return Ok(());
    }
    sync_directory(directory).map_err(fault("sync the directory of"))
}

/// A file that has no name until it is whole: its directory is changed once, and a crash leaves nothing behind. None where the file
/// system knows no such files, or the kernel shows none of ours.
fn write_unnamed(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(OFlag::O_TMPFILE.bits())
        .open(directory);
    // That there is none is said in one of many ways; what is wrong with the directory itself is found again with a name.
    let Ok(mut file) = opened else { return Ok(None) };
    file.write_all(bytes)?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(AT_FDCWD, own.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::ENOENT | Errno::EXDEV | Errno::EPERM | Errno::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file under a name of its own first, which gets the final one when it is whole.
fn write_aside(aside: &Path, path: &Path, bytes: &[u8]) -> io::Result<File> {
    let written = write(aside, bytes).and_then(|file| publish(aside, path).map(|()| file));
    // After a link the file has two names; after a failure this one is rubbish. It is gone already if it was renamed.
    let removed = match std::fs::remove_file(aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let file = written?;
    removed
        .inspect_err(|_| {
            let _gone = std::fs::remove_file(path);
        })
        .map(|()| file)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// A hard link fails if the name is taken, a rename does not. Where there are no links, an empty file reserves the name.
fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    match std::fs::hard_link(aside, path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            OpenOptions::new().write(true).create_new(true).open(path)?;
            std::fs::rename(aside, path)
        }
        other => other,
    }
}

/// Makes the missing directories and syncs each directory that got a new entry.
fn create_directories(directory: &Path) -> io::Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut at = Some(directory);
    while let Some(path) = at {
        if path.as_os_str().is_empty() || path.try_exists()? {
            break;
        }
        missing.push(path.to_path_buf());
        at = path.parent();
    }
    for path in missing.into_iter().rev() {
        match std::fs::create_dir(&path) {
            // Another writer was faster; it may not have synced yet, so we do.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: files without a name and files under a name aside come to the same: whole, alone in their directory, and never in the place
    // of another. Method: both ways in one directory, each over a free name and a taken one; this machine knows the first way.
    #[test]
    fn both_ways_to_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let (aside, path) = (folder.path().join(".tidewater-x"), folder.path().join("a"));
        let taken = |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::AlreadyExists;
        assert!(write_unnamed(folder.path(), &path, b"first").unwrap().is_some());
        assert!(taken(write_unnamed(folder.path(), &path, b"second").map(drop)));
        assert!(taken(write_aside(&aside, &path, b"third").map(drop)));
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        std::fs::remove_file(&path).unwrap();
        write_aside(&aside, &path, b"fourth").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"fourth");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(
            write_unnamed(&folder.path().join("none"), &path, b"x")
                .unwrap()
                .is_none()
        );
    }
}
