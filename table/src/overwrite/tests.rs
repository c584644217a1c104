use std::collections::BTreeSet;

use iceberg::spec::{Datum, Transform};

use super::*;
use crate::predicate::Comparison;
use crate::sample::{self, Lake};

/// The sample's column `flag` is null, true or false.
const FLAG: (i32, &str, Transform) = (7, "flag", Transform::Identity);

fn partition(id: i64) -> Option<bool> {
    sample::value(id, 7, 0).map(|value| value == Datum::bool(true))
}

// Goal: exactly the partitions of the new rows are replaced, on main and, but for format 1, on a branch. Method: random-looking
// sets of rows against a model of rows by partition.
#[tokio::test]
async fn partitions_are_replaced() {
    for version in ["1", "2", "3"] {
        let lake = Lake::new(&[FLAG], &[("format-version", version)]).await;
        lake.append(0..40).await;
        lake.append(40..60).await;
        let mut model: BTreeSet<i64> = (0..60).collect();
        for ids in [vec![100, 102], vec![101], vec![114, 133], vec![200, 201, 228]] {
            let touched: Vec<Option<bool>> = ids.iter().map(|id| partition(*id)).collect();
            model.retain(|id| !touched.contains(&partition(*id)));
            model.extend(&ids);
            let table = lake.table().await.metadata;
            let change = overwrite_partitions(&lake.store, &table, &Target::Main, lake.files(&ids, 0).await);
            lake.commit(&change.await.unwrap()).await.unwrap();
            assert_eq!(lake.rows().await, model.iter().copied().collect::<Vec<i64>>());
        }
        let summary = lake.summary().await;
        assert_eq!(summary["replace-partitions"], "true");
        assert_eq!(summary["total-records"], model.len().to_string());
        let table = lake.table().await.metadata;
        let target = Target::Branch("audit".into());
        let change = overwrite_partitions(&lake.store, &table, &target, lake.files(&[300], 0).await);
        let outcome = lake.commit(&change.await.unwrap()).await;
        // The format library forgets the names of format 1.
        match version {
            "1" => assert!(matches!(outcome, Err(TableError::Reference { .. })), "{outcome:?}"),
            _ => assert!(outcome.is_ok(), "{outcome:?}"),
        }
        assert_eq!(lake.rows().await, model.into_iter().collect::<Vec<i64>>());
    }
}

// Goal: rows that others add to a replaced partition are no more lost than those of other partitions refused. Method: an append to
// each between plan and commit.
#[tokio::test]
async fn only_rows_of_the_partitions_conflict() {
    for (appended, conflicts) in [(11, false), (10, true)] {
        let lake = Lake::new(&[FLAG], &[]).await;
        lake.append(0..10).await;
        let table = lake.table().await.metadata;
        let change = overwrite_partitions(&lake.store, &table, &Target::Main, lake.files(&[100], 0).await);
        let change = change.await.unwrap();
        lake.append([appended]).await;
        let outcome = lake.commit(&change).await;
        assert_eq!(
            matches!(outcome, Err(TableError::Conflict { .. })),
            conflicts,
            "{outcome:?}"
        );
        assert!(lake.rows().await.contains(&appended));
    }
}

// Goal: rows of a condition are replaced where files hold no others, and refused where they may. Method: a condition on the
// partition, one within files, none at all, and an empty table.
#[tokio::test]
async fn conditions_are_replaced() {
    let lake = Lake::new(&[FLAG], &[]).await;
    let empty = lake.table().await.metadata;
    let nothing = overwrite_where(&lake.store, &empty, &Target::Main, None, Vec::new());
    assert!(nothing.await.unwrap().removed.is_empty());
    lake.append(1..10).await;
    let table = lake.table().await.metadata;
    let is_true = Predicate::equal(7, Datum::bool(true));
    let change = overwrite_where(
        &lake.store,
        &table,
        &Target::Main,
        Some(&is_true),
        lake.files(&[50], 0).await,
    );
    lake.commit(&change.await.unwrap()).await.unwrap();
    assert_eq!(lake.rows().await, [1, 3, 5, 7, 9, 50]);
    let table = lake.table().await.metadata;
    let within = Predicate::compare(1, Comparison::Less, Datum::long(5));
    let refused = overwrite_where(&lake.store, &table, &Target::Main, Some(&within), Vec::new()).await;
    assert!(matches!(refused, Err(TableError::Alteration { .. })), "{refused:?}");
    let all = overwrite_where(&lake.store, &table, &Target::Main, None, lake.files(&[7], 0).await);
    lake.commit(&all.await.unwrap()).await.unwrap();
    assert_eq!(lake.rows().await, [7]);
}
