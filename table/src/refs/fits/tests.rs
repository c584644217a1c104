use iceberg::TableRequirement;
use iceberg::spec::{Schema, SnapshotReference, SnapshotRetention};

use super::is_before_replacement;
use crate::alter::{Alteration, alter_table};
use crate::catalog::{LoadedTable, NewTable};
use crate::change::Change;
use crate::create::{OnExisting, create_with};
use crate::error::{Result, TableError};
use crate::refs::{RefChange, change_refs, cherry_pick, commit, fast_forward, set_current_snapshot};
use crate::sample::{self, Lake};
use tidewater_core::Coded;

fn branch() -> SnapshotRetention {
    SnapshotRetention::branch(None, None, None)
}

async fn name(lake: &Lake, name: &str, snapshot_id: i64, retention: SnapshotRetention) -> Result<LoadedTable> {
    let change = RefChange::Create {
        name: name.into(),
        snapshot_id: Some(snapshot_id),
        retention,
        on_existing: OnExisting::Fail,
    };
    change_refs(&lake.catalog, &lake.store, &lake.name, &[change]).await
}

async fn require(lake: &Lake, column: &str, required: bool) {
    let change = Alteration::SetRequired(column.into(), required);
    alter_table(&lake.catalog, &lake.store, &lake.name, &[change])
        .await
        .unwrap();
}

fn assert_refused<T: std::fmt::Debug>(answer: Result<T>, why: &str) {
    let error = answer.expect_err(why);
    assert_eq!(error.code(), "TBL-0024", "{error}");
    assert!(error.to_string().contains(why), "{error}");
    assert!(error.hint().is_some(), "{error}");
}

// Goal: nothing brings rows without a value to a table whose column must have one, and what has values comes back as before. Method: a
// snapshot with a null that is no longer main's when nulls are forbidden, and each way to it.
#[tokio::test]
async fn rows_without_a_value_stay_away() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        let good = lake.append([1]).await.snapshot_id;
        // Row 5 has no name.
        let bad = lake.append([5]).await.snapshot_id;
        set_current_snapshot(&lake.catalog, &lake.store, &lake.name, good)
            .await
            .unwrap();
        require(&lake, "name", true).await;
        let why = "it may have rows without a value in name";
        let set = |id| set_current_snapshot(&lake.catalog, &lake.store, &lake.name, id);
        let pick = |id| cherry_pick(&lake.catalog, &lake.store, &lake.name, id);
        assert_refused(set(bad).await, why);
        // Main has not moved: it would be forwarded.
        assert_refused(pick(bad).await, why);
        assert_refused(name(&lake, "b", bad, branch()).await, why);
        lake.append([2]).await;
        assert_refused(pick(bad).await, why);
        assert_eq!(lake.rows().await, [1, 2]);
        set(good).await.unwrap();
        assert_eq!(lake.rows().await, [1]);
        name(&lake, "kept", bad, SnapshotRetention::Tag { max_ref_age_ms: None })
            .await
            .unwrap();
        require(&lake, "name", false).await;
        set(bad).await.unwrap();
        assert_eq!(lake.rows().await, [1, 5]);
    }
}

// Goal: columns that change between the look at a snapshot and the commit are met. Method: what a branch's move asks of the catalog, and a
// change that was made for another schema.
#[tokio::test]
async fn columns_stand_still_meanwhile() {
    let lake = Lake::new(&[], &[]).await;
    let first = lake.append([1]).await.snapshot_id;
    let table = lake.table().await.metadata;
    let asked = |reference| {
        let wish = ("b".to_owned(), Some(reference));
        commit(&lake.name, &table, &[wish]).requirements
    };
    let of_schema = TableRequirement::CurrentSchemaIdMatch {
        current_schema_id: table.current_schema_id(),
    };
    assert!(asked(SnapshotReference::new(first, branch())).contains(&of_schema));
    let tag = SnapshotRetention::Tag { max_ref_age_ms: None };
    assert!(!asked(SnapshotReference::new(first, tag)).contains(&of_schema));
    let files = lake.files(&[2], 0).await;
    let change = Change::append(files.clone()).exact_schema(table.current_schema_id() + 1);
    let refused = lake.commit(&change).await;
    assert!(matches!(refused, Err(TableError::Conflict { .. })), "{refused:?}");
    let change = Change::append(files).exact_schema(table.current_schema_id());
    lake.commit(&change).await.unwrap();
    assert_eq!(lake.rows().await, [1, 2]);
}

// Goal: rows of before a table was replaced never become rows of the new one. Method: a branch and a snapshot that are left behind, each way
// to bring them to main, and rows for the branch.
#[tokio::test]
async fn rows_of_before_a_replacement_stay_there() {
    let lake = Lake::new(&[], &[]).await;
    let old = lake.append([1]).await.snapshot_id;
    let later = lake.append([2]).await.snapshot_id;
    name(&lake, "old", old, branch()).await.unwrap();
    let wanted = NewTable::new(lake.name.clone(), sample::schema());
    create_with(&lake.catalog, &lake.store, wanted, OnExisting::Replace)
        .await
        .unwrap();
    let why = "of before the table was replaced";
    let forward = || fast_forward(&lake.catalog, &lake.store, &lake.name, "main", "old");
    assert_refused(forward().await, why);
    let new = lake.append([3]).await;
    let table = &new.table.metadata;
    let is_old = |id| is_before_replacement(table, table.snapshot_by_id(id).unwrap());
    assert!(is_old(old) && is_old(later) && !is_old(new.snapshot_id));
    for id in [old, later] {
        let set = set_current_snapshot(&lake.catalog, &lake.store, &lake.name, id).await;
        assert_refused(set, why);
        assert_refused(cherry_pick(&lake.catalog, &lake.store, &lake.name, id).await, why);
        assert_refused(name(&lake, "more", id, branch()).await, why);
    }
    let rows = Change::append(lake.files(&[4], 0).await).on_branch("old");
    assert_refused(lake.commit(&rows).await, why);
    assert_eq!(lake.rows().await, [3]);
}

// Goal: what a schema fills needs no look at files, what it may leave null or lacks does. Method: a column that it requires, one that it lacks,
// one with a default for older rows, and one that may be null.
#[test]
fn the_schema_tells_what_is_to_be_proven() {
    let fields = sample::schema().as_struct().fields().to_vec();
    let (id, name) = (fields[0].clone(), fields[1].clone());
    let then = Schema::builder().with_fields([id.clone()]).build().unwrap();
    assert!(super::has_values(&then, &id));
    assert!(!super::has_values(&then, &name));
    let mut filled = name.as_ref().clone();
    filled.initial_default = Some(iceberg::spec::Literal::string("x"));
    assert!(super::has_values(&then, &filled));
    let optional = Schema::builder().with_fields([name]).build().unwrap();
    assert!(!super::has_values(&optional, &filled), "it may have been null before");
}
