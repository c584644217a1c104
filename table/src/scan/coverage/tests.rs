use std::collections::BTreeMap;

use iceberg::spec::{Datum, Transform};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::*;
use crate::predicate::Comparison;
use crate::sample::{self, Lake};
use crate::scan::tests::{predicates, specs, truth};
use crate::{Change, TableError, plan_scan};

// Goal: a file that is said to be covered holds no row that the condition does not hold for, and files are said to be. Method:
// random predicates over tables of many specs, against a filter row by row with SQL's logic.
#[test]
fn covered_files_hold_nothing_else() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut covered = BTreeMap::new();
    for spec in specs() {
        let lake = runtime.block_on(async {
            let lake = Lake::new(&spec, &[]).await;
            for start in [-60i64, -20, 0, 25, 60, 100] {
                lake.append(start..start + 12).await;
            }
            lake
        });
        let table = runtime.block_on(lake.table()).metadata;
        let files = runtime.block_on(plan_scan(&lake.store, &table, None, None)).unwrap();
        let rows: Vec<Vec<i64>> = files
            .iter()
            .map(|file| runtime.block_on(lake.ids(std::slice::from_ref(file))))
            .collect();
        let mut runner = TestRunner::deterministic();
        for _ in 0..600 {
            let predicate = predicates().new_tree(&mut runner).unwrap().current();
            for (file, rows) in files.iter().zip(&rows) {
                let is_covered = covers(&table, file, &predicate);
                if is_covered {
                    let other = rows.iter().find(|id| truth(&predicate, **id) != Some(true));
                    assert!(
                        other.is_none(),
                        "{predicate:?} of {spec:?} does not hold for row {other:?}"
                    );
                }
                let all = rows.iter().all(|id| truth(&predicate, *id) == Some(true));
                let counts: &mut (u32, u32) = covered.entry(spec.len()).or_default();
                counts.0 += u32::from(is_covered);
                counts.1 += u32::from(all);
            }
        }
    }
    for (fields, (told, all)) in covered {
        assert!(told * 2 > all, "{fields} partition fields: {told} of {all}");
    }
}

// Goal: deletes of whole days and of whole files need no row to be read. Method: the three lists for a filter by day, and by id.
#[tokio::test]
async fn whole_files_are_found() {
    let lake = Lake::new(&[(5, "ts_day", Transform::Day)], &[]).await;
    lake.append(0..240).await;
    let table = lake.table().await.metadata;
    let before = |id| Predicate::compare(5, Comparison::Less, sample::value(id, 5, 0).unwrap());
    let counts = async |filter: Option<Predicate>| {
        let scan = Scan::new(&lake.store, &table).filter(filter.as_ref());
        let coverage = scan.coverage().await.unwrap();
        (coverage.whole.len(), coverage.part.len())
    };
    // Row 24 is some microseconds after midnight of the second day.
    assert_eq!(counts(Some(before(24))).await, (1, 0));
    assert_eq!(counts(Some(before(100))).await, (4, 1));
    assert_eq!(counts(Some(Predicate::equal(1, Datum::long(7)))).await, (0, 1));
    assert_eq!(
        counts(Some(Predicate::compare(1, Comparison::Less, Datum::long(1_000)))).await,
        (10, 0)
    );
    assert_eq!(counts(Some(Predicate::Always)).await, (0, 10));
    assert_eq!(counts(Some(Predicate::Never)).await, (0, 0));
    assert_eq!(counts(None).await, (10, 0));
}

// Goal: a delete by a condition conflicts with new rows that it would have reached, and with no others. Method: an append on each
// side of the condition.
#[tokio::test]
async fn only_rows_of_the_condition_conflict() {
    let condition = || Predicate::compare(1, Comparison::Less, Datum::long(10));
    for (appended, conflicts) in [(50, false), (5, true)] {
        let lake = Lake::new(&[], &[]).await;
        let base = lake.append([1, 2]).await;
        let scan = Scan::new(&lake.store, &base.table.metadata);
        let covered = scan.filter(Some(&condition())).coverage().await.unwrap();
        lake.append([appended]).await;
        let gone = covered.whole.into_iter().map(|file| file.path);
        let change = Change::delete(gone)
            .read_at(Some(base.snapshot_id))
            .forbid_new_rows_of(condition());
        let outcome = lake.commit(&change).await;
        assert_eq!(
            matches!(outcome, Err(TableError::Conflict { .. })),
            conflicts,
            "{outcome:?}"
        );
    }
}
