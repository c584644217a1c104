//! Files on local disk that survive the loss of power: `object_store` 0.13 syncs neither files nor directories.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, TableError};

const TEMPORARY_PREFIX: &str = ".tidewater-";

/// Is this the name of a file that is still being written, or was left behind by a crash?
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

/// Writes aside, links to the final name, which must be free, and syncs the file and its directory. Until it answers nobody knows the
/// name. The syncs come last, since a journal that syncs a file syncs what was done to its directory before: a second sync finds
/// nothing left to do, where one on each side of the link waits for the disk twice.
pub(super) fn put_new(path: &str, location: &str, temporary: &str, bytes: &[u8]) -> Result<()> {
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
    let aside = directory.join(format!("{TEMPORARY_PREFIX}{temporary}"));
    let written = write(&aside, bytes).and_then(|file| publish(&aside, path).map(|()| file));
    // After a link the file has two names; after a failure this one is rubbish. It is gone already if it was renamed.
    let removed = match std::fs::remove_file(&aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let file = written.map_err(fault("write"))?;
    let synced = removed.and_then(|()| file.sync_all());
    synced
        .inspect_err(|_| {
            // What may not be on the disk is not left under its name.
            let _gone = std::fs::remove_file(path);
        })
        .map_err(fault("write"))?;
    sync_directory(directory).map_err(fault("sync the directory of"))
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
