use std::path::PathBuf;

use iceberg::spec::Transform;

use super::*;
use crate::sample::Lake;
use crate::scan::Scan;
use crate::{Change, RowMask, write_deletes};
use tidewater_core::SeededRng;

/// In each file; more by hand.
const FLIPS: u64 = 8;

async fn looked(lake: &Lake, depth: Depth) -> Verified {
    let options = VerifyOptions {
        depth,
        ..VerifyOptions::default()
    };
    let table = lake.table().await;
    verify(&lake.store, &table, &options, &|_, _| {}).await.unwrap()
}

fn on_disk(location: &str) -> PathBuf {
    location.strip_prefix("file://").unwrap().into()
}

/// A table on a disk with two snapshots of rows, and of deleted rows.
async fn lake(warehouse: &str, version: &str) -> Lake {
    let spec = [(7, "flag", Transform::Identity)];
    let lake = Lake::at(warehouse, "t", &spec, &[("format-version", version)]).await;
    lake.append(0..200).await;
    lake.append(200..210).await;
    let table = lake.table().await;
    let files = Scan::new(&lake.store, &table.metadata).plan().await.unwrap();
    let gone = || RowMask::from_iter([0, 1]);
    let deletes = [(files[0].clone(), gone()), (files[1].clone(), gone())];
    let added = write_deletes(&lake.store, &table.metadata, &deletes).await.unwrap();
    let paths = files[..2].iter().map(|file| file.path.clone());
    let head = table.metadata.current_snapshot_id().unwrap();
    lake.commit(&Change::row_delta(head, paths, added)).await.unwrap();
    lake
}

// Goal: a table that is whole has no problems, and all of its files are looked at. Method: formats 2 and 3 with row deletes, at both
// depths, against a listing.
#[tokio::test]
async fn a_whole_table_is_good() {
    for version in ["2", "3"] {
        let directory = tempfile::tempdir().unwrap();
        let lake = lake(&format!("file://{}", directory.path().display()), version).await;
        for depth in [Depth::Footers, Depth::Bytes] {
            let found = looked(&lake, depth).await;
            assert!(found.is_good(), "{:?}", found.problems);
            assert_eq!((found.snapshots, found.without_digest), (3, 0));
            let location = lake.table().await.metadata.location().to_owned();
            assert_eq!(found.files as usize, lake.store.list(&location).await.unwrap().len());
        }
    }
}

// Goal: no flipped bit in any file goes unseen, and one in a column chunk is told with its column. Method: a seeded flip in each of
// many places of each file, one at a time; the whole file is put back after it.
#[tokio::test]
async fn every_flip_is_seen() {
    let rng = SeededRng::new(20);
    let (mut flips, mut in_data, mut with_column) = (0, 0, 0);
    for version in ["2", "3"] {
        let directory = tempfile::tempdir().unwrap();
        let lake = lake(&format!("file://{}", directory.path().display()), version).await;
        let location = lake.table().await.metadata.location().to_owned();
        for file in lake.store.list(&location).await.unwrap() {
            let path = on_disk(&file.location);
            let good = std::fs::read(&path).unwrap();
            for _ in 0..FLIPS {
                let at = tidewater_core::Rng::below(&rng, good.len() as u64) as usize;
                let mut bad = good.clone();
                bad[at] ^= 1 << tidewater_core::Rng::below(&rng, 8);
                std::fs::write(&path, &bad).unwrap();
                let found = looked(&lake, Depth::Bytes).await;
                assert!(!found.is_good(), "byte {at} of {}", file.location);
                // A damaged list may name others that are none.
                let name = path.file_name().unwrap().to_str().unwrap();
                let told = found.problems.iter().find(|problem| problem.location.ends_with(name));
                let told = told.unwrap_or_else(|| panic!("{}: {:?}", file.location, found.problems));
                flips += 1;
                in_data += usize::from(file.location.contains("/flag="));
                with_column += usize::from(told.column.is_some());
            }
            std::fs::write(&path, &good).unwrap();
        }
        assert!(looked(&lake, Depth::Bytes).await.is_good());
    }
    assert!(flips >= 200, "only {flips} flips");
    // The rest is in footers and indexes, which are as large as the columns of so few rows.
    assert!(with_column * 3 > in_data, "{with_column} of {in_data} with a column");
}

// Goal: files that are gone, cut off or exchanged are told for what they are. Method: each done to a data file, at both depths.
#[tokio::test]
async fn damage_is_told_for_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let lake = lake(&format!("file://{}", directory.path().display()), "2").await;
    let table = lake.table().await;
    let files = Scan::new(&lake.store, &table.metadata)
        .with_deletes()
        .plan()
        .await
        .unwrap();
    let (one, other) = (on_disk(&files[0].path), on_disk(&files[1].path));
    let (good, another) = (std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
    for depth in [Depth::Footers, Depth::Bytes] {
        let damages = async || -> Vec<Damage> {
            let found = looked(&lake, depth).await;
            assert!(found.problems.iter().all(|problem| problem.location == files[0].path));
            found.problems.into_iter().map(|problem| problem.damage).collect()
        };
        std::fs::remove_file(&one).unwrap();
        assert_eq!(damages().await, [Damage::Missing]);
        std::fs::write(&one, &good[..good.len() / 2]).unwrap();
        let told = damages().await;
        assert!(
            told.iter().any(|damage| matches!(damage, Damage::Size { .. })),
            "{told:?}"
        );
        assert!(
            told.iter().any(|damage| matches!(damage, Damage::Unreadable(_))),
            "{told:?}"
        );
        std::fs::write(&one, &another).unwrap();
        let told = damages().await;
        assert!(
            told.iter().any(|damage| matches!(damage, Damage::Rows { .. })),
            "{told:?}"
        );
        assert_eq!(told.contains(&Damage::Digest), depth == Depth::Bytes, "{told:?}");
        std::fs::write(&one, &good).unwrap();
    }
}

// Goal: a file of another engine, without a digest, is decoded. Method: a data file under a name that tells nothing, whole and with
// its pages overwritten.
#[tokio::test]
async fn files_without_digest_are_decoded() {
    let directory = tempfile::tempdir().unwrap();
    let lake = Lake::at(&format!("file://{}", directory.path().display()), "t", &[], &[]).await;
    let mut files = lake.files(&(0..300).collect::<Vec<i64>>(), 0).await;
    let path = files[0].file.file_path().to_owned();
    let plain = format!("{}/plain.parquet", path.rsplit_once('/').unwrap().0);
    std::fs::rename(on_disk(&path), on_disk(&plain)).unwrap();
    let table = lake.table().await;
    let json = files[0].to_json(&table.metadata).unwrap().replace(&path, &plain);
    files[0] = crate::Added::from_json(&json, &table.metadata).unwrap();
    lake.commit(&Change::append(files)).await.unwrap();
    let found = looked(&lake, Depth::Bytes).await;
    assert!(found.is_good() && found.without_digest == 1, "{found:?}");
    let mut bytes = std::fs::read(on_disk(&plain)).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(on_disk(&plain), &bytes).unwrap();
    let found = looked(&lake, Depth::Bytes).await;
    assert!(
        found.problems.iter().any(|problem| problem.column.is_some()),
        "{found:?}"
    );
}
