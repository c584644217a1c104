//! The working directory: locked by one executor, emptied at start, swept while it runs.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ballista_core::error::BallistaError;
use ballista_executor::executor_process::satisfy_dir_ttl;
use tokio::fs;
use tokio_util::sync::CancellationToken;

use crate::error::{ExecutorError, Result};
use tidewater_core::SharedClock;

/// How often left files are looked for. What is left is little: half-written files of cancelled tasks.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// The folder of shuffle files is its owner's alone.
const SHUFFLE_MODE: u32 = 0o700;

/// A working directory that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct WorkDir {
    shuffle: PathBuf,
    /// Held, not read: the lock ends with the file handle, also when the process is killed.
    _lock: File,
}

impl WorkDir {
    /// Takes the directory and removes what an earlier executor left in it.
    pub(crate) async fn take(path: &Path) -> Result<Self> {
        let failed = |source| ExecutorError::WorkDir {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).await.map_err(failed)?;
        let path = fs::canonicalize(path).await.map_err(failed)?;
        let lock = File::create(path.join("executor.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ExecutorError::WorkDirTaken { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let taken = Self {
            // Only this folder is ever emptied, so a wrong setting cannot cost the user's files.
            shuffle: path.join("shuffle"),
            _lock: lock,
        };
        taken.empty().await?;
        Ok(taken)
    }

    /// Where shuffle files lie.
    pub(crate) fn shuffle(&self) -> &Path {
        &self.shuffle
    }

    /// Removes every shuffle file.
    pub(crate) async fn empty(&self) -> Result<()> {
        let failed = |source| ExecutorError::WorkDir {
            path: self.shuffle.clone(),
            source,
        };
        match fs::remove_dir_all(&self.shuffle).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        private_folder()
            .recursive(true)
            .create(&self.shuffle)
            .await
            .map_err(failed)
    }
}

/// Rows lie there as they are, in files that others could read if they came so far.
fn private_folder() -> fs::DirBuilder {
    let mut private = fs::DirBuilder::new();
    private.mode(SHUFFLE_MODE);
    private
}

/// Removes files of jobs that were last written longer than `ttl` ago, until told to stop. The scheduler removes what it
/// knows of; files of tasks that ended after their job was cancelled are asked for by nobody.
pub(crate) async fn sweep(shuffle: PathBuf, ttl: Duration, clock: SharedClock, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(SWEEP_INTERVAL) => {}
        }
        if let Err(error) = sweep_once(&shuffle, ttl).await {
            tracing::warn!(%error, directory = %shuffle.display(), "left shuffle files cannot be removed");
        }
    }
}

async fn sweep_once(shuffle: &Path, ttl: Duration) -> ballista_core::error::Result<()> {
    let mut jobs = match fs::read_dir(shuffle).await {
        // Somebody removed it. The next task would make it anew, open to others. Nothing is made where all of the data directory is gone.
        Err(error) if error.kind() == ErrorKind::NotFound => return remake(shuffle).await,
        found => found?,
    };
    keep_private(shuffle).await?;
    while let Some(job) = jobs.next_entry().await? {
        let path = job.path();
        if !job.file_type().await?.is_dir() {
            continue;
        }
        match sweep_job(job, &path, ttl).await {
            // The scheduler has what it knows of removed at the same time.
            Err(BallistaError::IoError(error)) if error.kind() == ErrorKind::NotFound => {}
            swept => swept?,
        }
    }
    Ok(())
}

async fn remake(shuffle: &Path) -> ballista_core::error::Result<()> {
    match private_folder().create(shuffle).await {
        // The executor empties it at this moment, or a task was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => {
            tracing::warn!(directory = %shuffle.display(), "the folder of shuffle files was gone, and is made anew");
            Ok(())
        }
    }
}

/// A task that was faster than the sweep made it open to others.
async fn keep_private(shuffle: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(shuffle).await?.permissions();
    if permissions.mode() & 0o777 == SHUFFLE_MODE {
        return Ok(());
    }
    tracing::warn!(directory = %shuffle.display(), "the folder of shuffle files was open to others, and is closed");
    permissions.set_mode(SHUFFLE_MODE);
    fs::set_permissions(shuffle, permissions).await
}

async fn sweep_job(job: fs::DirEntry, path: &Path, ttl: Duration) -> ballista_core::error::Result<()> {
    if !satisfy_dir_ttl(job, ttl.as_secs()).await? {
        tracing::info!(directory = %path.display(), "removed shuffle files that nobody asked for any more");
        fs::remove_dir_all(path).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an executor starts from an empty folder that nobody else uses, nor looks into. Method: leave a file in a folder that is open to
    // others, take the folder, take it again while it is held and after it was given back; remove it under a sweep.
    #[tokio::test]
    async fn taken_once_and_empty() {
        let home = tempfile::tempdir().expect("a folder");
        let left = home.path().join("shuffle/job-1/file");
        std::fs::create_dir_all(left.parent().expect("a parent")).expect("writable");
        std::fs::write(&left, b"left").expect("writable");
        let beside = home.path().join("mine.txt");
        std::fs::write(&beside, b"mine").expect("writable");

        let taken = WorkDir::take(home.path()).await.expect("free");
        let shuffle = std::fs::metadata(taken.shuffle()).expect("it is there");
        assert_eq!(shuffle.permissions().mode() & 0o777, SHUFFLE_MODE);
        assert!(!left.try_exists().expect("readable"));
        assert!(beside.try_exists().expect("readable"));
        let second = WorkDir::take(home.path()).await;
        assert!(matches!(second, Err(ExecutorError::WorkDirTaken { .. })), "{second:?}");
        let ttl = Duration::from_secs(60);
        for as_tasks_do in [false, true] {
            std::fs::remove_dir_all(taken.shuffle()).expect("removed by somebody");
            if as_tasks_do {
                std::fs::create_dir_all(taken.shuffle().join("job")).expect("writable");
            }
            sweep_once(taken.shuffle(), ttl).await.expect("made anew");
            let shuffle = std::fs::metadata(taken.shuffle()).expect("it is there again");
            assert_eq!(shuffle.permissions().mode() & 0o777, SHUFFLE_MODE);
        }
        let gone = home.path().join("gone/shuffle");
        assert!(sweep_once(&gone, ttl).await.is_err() && !gone.try_exists().expect("readable"));
        drop(taken);
        WorkDir::take(home.path()).await.expect("free again");
    }
}
