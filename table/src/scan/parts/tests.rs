use std::collections::BTreeSet;

use iceberg::spec::{Datum, Transform};

use super::*;
use crate::predicate::Comparison;
use crate::sample::Lake;

// Goal: the parts of a scan hold each of its files once, whatever their size, with and without a filter. Method: many commits into few manifests
// against the whole plan, cut at several sizes.
#[tokio::test]
async fn parts_make_up_the_whole() {
    let lake = Lake::new(&[(1, "b", Transform::Bucket(5))], &[]).await;
    for start in [0i64, 100, 200, 300] {
        lake.append(start..start + 50).await;
    }
    let table = lake.table().await.metadata;
    let filter = Predicate::compare(1, Comparison::Less, Datum::long(120));
    for filter in [None, Some(&filter)] {
        let scan = || Scan::new(&lake.store, &table).filter(filter).with_deletes();
        let whole: Vec<String> = scan().plan().await.unwrap().into_iter().map(|file| file.path).collect();
        let mut counts = BTreeSet::new();
        for files_max in [1, 2, 3, 7, 1_000] {
            let parts = scan().parts().await.unwrap();
            let cut = parts.cut(files_max);
            let mut found = Vec::new();
            for part in &cut {
                let files = parts.read(*part).await.unwrap();
                assert!(files.len() <= files_max, "{} files of at most {files_max}", files.len());
                found.extend(files.into_iter().map(|file| file.path));
            }
            assert_eq!(found, whole, "{files_max}");
            counts.insert(cut.len());
        }
        assert!(counts.len() > 2, "{counts:?}");
    }
}

// Goal: a scan of appends holds what appends brought between two snapshots, and nothing that rewrites brought. Method: appends with an overwrite
// in between, against the lists of each snapshot.
#[tokio::test]
async fn appends_are_found_between_snapshots() {
    let lake = Lake::new(&[], &[]).await;
    let mut snapshots = Vec::new();
    for start in [0i64, 10, 20] {
        lake.append(start..start + 10).await;
        snapshots.push(lake.table().await.metadata.current_snapshot_id().unwrap());
    }
    let table = lake.table().await.metadata;
    let appended = async |from: Option<i64>, to: i64| {
        let scan = Scan::new(&lake.store, &table).snapshot(Some(to)).appended_after(from);
        let parts = scan.parts().await.unwrap();
        let mut ids = Vec::new();
        for part in parts.cut(1) {
            ids.extend(lake.ids(&parts.read(part).await.unwrap()).await);
        }
        ids.sort_unstable();
        ids
    };
    assert_eq!(
        appended(Some(snapshots[0]), snapshots[2]).await,
        (10..30).collect::<Vec<i64>>()
    );
    assert_eq!(
        appended(Some(snapshots[0]), snapshots[1]).await,
        (10..20).collect::<Vec<i64>>()
    );
    assert_eq!(appended(None, snapshots[0]).await, (0..10).collect::<Vec<i64>>());
    assert_eq!(appended(Some(snapshots[2]), snapshots[2]).await, Vec::<i64>::new());
    let backwards = Scan::new(&lake.store, &table)
        .snapshot(Some(snapshots[0]))
        .appended_after(Some(snapshots[2]));
    assert!(matches!(backwards.parts().await, Err(TableError::HistoryBroken { .. })));
}

// Goal: what a partition settles holds for each of its rows. Method: random comparisons on partitioned columns against the rows of each file.
#[tokio::test]
async fn verdicts_hold_for_each_row() {
    let specs: [&[(i32, &'static str, Transform)]; 5] = [
        &[(2, "n", Transform::Truncate(7))],
        &[(5, "d", Transform::Day)],
        &[(1, "t", Transform::Truncate(20))],
        &[(1, "b", Transform::Bucket(3))],
        &[(9, "v", Transform::Identity)],
    ];
    let mut settled = 0;
    for spec in specs {
        let lake = Lake::new(spec, &[]).await;
        lake.append(-60..60).await;
        let table = lake.table().await.metadata;
        let column = spec[0].0;
        for at in [-61i64, -20, 0, 1, 33] {
            let Some(value) = crate::sample::value(at, column, 0) else {
                continue;
            };
            for comparison in [
                Comparison::Less,
                Comparison::Equal,
                Comparison::NotEqual,
                Comparison::GreaterOrEqual,
            ] {
                let condition = Predicate::compare(column, comparison, value.clone());
                let all = Predicate::Always;
                let parts = Scan::new(&lake.store, &table).filter(Some(&all)).parts().await.unwrap();
                for part in parts.cut(1_000) {
                    for file in parts.read(part).await.unwrap() {
                        let verdict = parts.verdict(&condition, &file);
                        let ids = lake.ids(std::slice::from_ref(&file)).await;
                        let holds = |id: &i64| crate::scan::tests::truth(&condition, *id) == Some(true);
                        match verdict {
                            Verdict::EveryRow => assert!(ids.iter().all(holds), "{condition:?} {ids:?}"),
                            Verdict::NoRow => assert!(!ids.iter().any(holds), "{condition:?} {ids:?}"),
                            Verdict::Unknown => continue,
                        }
                        settled += 1;
                    }
                }
            }
        }
    }
    assert!(settled > 100, "only {settled} settled");
}
