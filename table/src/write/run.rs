//! Which run of a write a data file is of, told in its name, so that what lost attempts of one left behind is found without asking who wrote
//! it.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::TableMetadata;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{UPLOADS_MAX, directory};
use crate::change::Added;
use crate::error::Result;
use crate::file_store::FileStore;
use tidewater_core::SharedRng;

/// Between a file's own id and its run.
const MARK: &str = "-r";

/// Characters of a file's own id, a UUID with its dashes.
const ID_LENGTH: usize = 36;

/// One run of a write, however often its plan is begun. It is no job: a job may write to a table several times, and what it wrote first
/// must not be taken for what an attempt of the second left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteRun(Uuid);

impl WriteRun {
    /// One that there never was.
    pub fn new(rng: &SharedRng) -> Self {
        Self(rng.uuid())
    }

    /// What the name of a file with this id begins with.
    pub(super) fn stem(self, id: Uuid) -> String {
        format!("{}{}", id.hyphenated(), self.mark())
    }

    fn mark(self) -> String {
        format!("{MARK}{}", self.0.simple())
    }
}

/// Removes the files of a run that are not among `kept`, and tells how many. It lists all data files of the table, so it is for runs of
/// which an attempt was lost. No snapshot may name files of the run yet, and the run has to be over: a task that is still at work may
/// finish a file after this, which orphan removal finds.
///
/// # Errors
/// If the files cannot be listed, or one of them not be removed: it and others stay.
pub async fn sweep_run(store: &FileStore, table: &TableMetadata, run: WriteRun, kept: &[Added]) -> Result<usize> {
    let mark = run.mark();
    let listed = store.list(&directory(table)).await?;
    let lost: Vec<String> = {
        // By name: a listing may spell a location otherwise, and no two files have one name.
        let kept: HashSet<&str> = kept.iter().map(|added| name(added.file.file_path())).collect();
        let locations = listed.into_iter().map(|file| file.location);
        locations
            .filter(|location| is_of(name(location), &mark) && !kept.contains(name(location)))
            .collect()
    };
    let removals: Vec<_> = lost.iter().map(|location| store.delete(location)).collect();
    stream::iter(removals)
        .buffer_unordered(UPLOADS_MAX)
        .try_collect::<()>()
        .await?;
    Ok(lost.len())
}

fn name(location: &str) -> &str {
    location.rsplit('/').next().unwrap_or(location)
}

fn is_of(name: &str, mark: &str) -> bool {
    let rest = name.get(ID_LENGTH..).and_then(|rest| rest.strip_prefix(mark));
    rest.is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{self, Tail};
    use crate::sample::{Lake, batch};
    use crate::write::{DataFileWriter, WriteOptions};

    async fn written(lake: &Lake, run: Option<WriteRun>, ids: &[i64]) -> Vec<Added> {
        let table = lake.table().await;
        let mut writer = DataFileWriter::new(lake.store.clone(), &table.metadata, WriteOptions::default()).unwrap();
        if let Some(run) = run {
            writer = writer.of_run(run);
        }
        let schema = writer.schema().clone();
        writer.write(batch(&schema, ids, 0)).await.unwrap();
        writer.close().await.unwrap()
    }

    fn paths(added: &[Added]) -> Vec<String> {
        added.iter().map(|added| added.file.file_path().to_owned()).collect()
    }

    // Goal: what lost attempts of a run left goes, and nothing else: not what the run keeps, nor what another run or no run wrote. Method: two
    // attempts of one run, one of another, and files without; names tell what they tell of others.
    #[tokio::test]
    async fn files_of_lost_attempts_go() {
        let lake = Lake::new(&[], &[]).await;
        let (run, other) = (WriteRun::new(lake.store.rng()), WriteRun::new(lake.store.rng()));
        let lost = written(&lake, Some(run), &[1, 2]).await;
        let kept = written(&lake, Some(run), &[1, 2]).await;
        let of_other = written(&lake, Some(other), &[3]).await;
        let of_none = written(&lake, None, &[4]).await;
        for path in paths(&kept).iter().chain(&paths(&of_none)) {
            let bytes = lake.store.get(path).await.unwrap();
            assert_eq!(digest::told(path).map(str::len), Some(16), "{path}");
            digest::check_whole(path, &bytes).unwrap();
            assert!(Tail::told(path).is_some(), "{path}");
        }

        let table = lake.table().await;
        let swept = sweep_run(&lake.store, &table.metadata, run, &kept).await.unwrap();
        assert_eq!(swept, lost.len());
        for path in paths(&lost) {
            assert!(!lake.store.exists(&path).await.unwrap(), "{path}");
        }
        for path in [kept, of_other, of_none].iter().flat_map(|added| paths(added)) {
            assert!(lake.store.exists(&path).await.unwrap(), "{path}");
        }
        assert_eq!(sweep_run(&lake.store, &table.metadata, other, &[]).await.unwrap(), 1);
    }

    // Goal: nothing is swept where nothing was written. Method: a table whose folder there is not, on a disk and in memory.
    #[tokio::test]
    async fn there_may_be_no_folder() {
        let home = tempfile::tempdir().unwrap();
        for warehouse in ["memory://lake".to_owned(), format!("file://{}", home.path().display())] {
            let lake = Lake::at(&warehouse, "t", &[], &[]).await;
            let run = WriteRun::new(lake.store.rng());
            let table = lake.table().await;
            let swept = sweep_run(&lake.store, &table.metadata, run, &[]).await.unwrap();
            assert_eq!(swept, 0, "{warehouse}");
        }
    }

    // Goal: a name is of a run only if all of it says so. Method: names by hand.
    #[test]
    fn names_of_runs_are_told_apart() {
        let run = WriteRun(Uuid::from_u128(7));
        let stem = run.stem(Uuid::from_u128(9));
        assert!(is_of(&format!("{stem}-b30123456789abcdef.parquet"), &run.mark()));
        let tail = &stem[ID_LENGTH..];
        for other in [
            String::new(),
            stem.clone(),
            format!("{stem}0-b30123456789abcdef.parquet"),
            format!("x{stem}-b30123456789abcdef.parquet"),
            format!("{tail}-b30123456789abcdef.parquet"),
            format!("ä{tail}-b30123456789abcdef.parquet"),
        ] {
            assert!(!is_of(&other, &run.mark()), "{other}");
        }
    }
}
