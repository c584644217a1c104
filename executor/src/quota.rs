//! What shuffle files may take of the disk. It is counted while tasks run, and a job that is beyond it fails; the process goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ballista_core::JobId;
use tokio_util::sync::CancellationToken;

use crate::stops::Stops;
use tidewater_core::SharedClock;

/// How often files are counted: by as much as tasks write meanwhile they may be beyond the limit.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Counts the files while there are tasks, and ends the job with the most of them when they are beyond the limit, until told to stop.
pub(crate) async fn watch(shuffle: PathBuf, bytes_max: u64, stops: Stops, clock: SharedClock, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(COUNT_INTERVAL) => {}
        }
        if stops.is_empty() {
            continue;
        }
        let folder = shuffle.clone();
        let counted = tokio::task::spawn_blocking(move || bytes_of_jobs(&folder)).await;
        match counted.map_err(io::Error::other).flatten() {
            Ok(jobs) => {
                if let Some((job, full)) = stops.weigh(&jobs, bytes_max) {
                    tracing::warn!(
                        ballista_job = %job, bytes = full.bytes, bytes_max = full.bytes_max,
                        "a job ends: shuffle files take more of the disk than they may"
                    );
                }
            }
            Err(error) => tracing::warn!(%error, directory = %shuffle.display(), "shuffle files cannot be counted"),
        }
    }
}

/// What the files of each job take.
fn bytes_of_jobs(shuffle: &Path) -> io::Result<BTreeMap<JobId, u64>> {
    let mut jobs = BTreeMap::new();
    let Some(entries) = there(fs::read_dir(shuffle))? else {
        return Ok(jobs);
    };
    for entry in entries {
        let Some(entry) = there(entry)? else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        jobs.insert(JobId::from(name), bytes_below(entry.path())?);
    }
    Ok(jobs)
}

fn bytes_below(folder: PathBuf) -> io::Result<u64> {
    let mut bytes: u64 = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let Some(entries) = there(fs::read_dir(&folder))? else {
            continue;
        };
        for entry in entries {
            let Some(entry) = there(entry)? else { continue };
            // Not of what a link leads to.
            let Some(found) = there(entry.metadata())? else {
                continue;
            };
            match found.is_dir() {
                true => folders.push(entry.path()),
                false => bytes = bytes.saturating_add(found.len()),
            }
        }
    }
    Ok(bytes)
}

/// Nothing if it was removed meanwhile, or is no folder.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: files are counted for their job wherever they lie in its folder, and links for what they are. Method: folders by hand.
    #[test]
    fn files_are_counted_by_job() {
        let home = tempfile::tempdir().expect("a folder");
        for (path, bytes) in [
            ("one/1/0/data", 100_000),
            ("one/2/index", 20),
            ("two/1/data", 3),
            ("beside", 7),
        ] {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
            fs::write(path, vec![0; bytes]).expect("writable");
        }
        std::os::unix::fs::symlink(home.path().join("one"), home.path().join("two/link")).expect("a link");
        let found = bytes_of_jobs(home.path()).expect("readable");
        assert_eq!(found[&JobId::from("one")], 100_020);
        assert!((3..10_000).contains(&found[&JobId::from("two")]), "{found:?}");
        assert!(bytes_of_jobs(&home.path().join("none")).expect("readable").is_empty());
    }
}
