use iceberg::spec::{PrimitiveType, SnapshotRetention, Type};
use uuid::Uuid;

use super::*;
use crate::sample::Lake;
use crate::scan::plan_scan;
use crate::{Alteration, NewColumn, OnExisting, RefChange, alter_table, change_refs};

async fn alter(lake: &Lake, change: Alteration) {
    alter_table(&lake.catalog, &lake.store, &lake.name, &[change])
        .await
        .unwrap();
}

async fn pointer(lake: &Lake) -> TablePointer {
    let table = lake.table().await;
    TablePointer {
        uuid: table.metadata.uuid(),
        metadata_location: table.metadata_location,
        snapshot_id: table.metadata.current_snapshot_id(),
    }
}

// Goal: an earlier state has the rows and the history that it had, by its own file and by what a later state tells. Method: a state between
// two appends, of which both are asked after the second and a tag, in both formats that number their snapshots.
#[tokio::test]
async fn earlier_states_are_as_they_were() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        lake.append([1, 2]).await;
        lake.append([3]).await;
        let (then, pointer) = (lake.table().await, pointer(&lake).await);
        let tagged = RefChange::Create {
            name: "later".into(),
            snapshot_id: None,
            retention: SnapshotRetention::Tag { max_ref_age_ms: None },
            on_existing: OnExisting::Fail,
        };
        change_refs(&lake.catalog, &lake.store, &lake.name, &[tagged])
            .await
            .unwrap();
        lake.append([4]).await;
        let now = lake.table().await;
        let stored = LoadedTable::stored(&lake.store, &then.name, &pointer.metadata_location).await;
        for earlier in [stored.unwrap(), now.back_at(&pointer).unwrap()] {
            assert_eq!(earlier.name, then.name);
            assert_eq!(earlier.metadata_location, then.metadata_location);
            let (earlier, then) = (&earlier.metadata, &then.metadata);
            assert_eq!(earlier.current_snapshot_id(), then.current_snapshot_id());
            assert_eq!(earlier.history(), then.history());
            assert_eq!(earlier.metadata_log(), then.metadata_log());
            assert_eq!(earlier.snapshots().count(), 2);
            assert!(earlier.snapshot_for_ref("later").is_none());
            let files = plan_scan(&lake.store, earlier, None, None).await.unwrap();
            let mut ids = lake.ids(&files).await;
            ids.sort_unstable();
            assert_eq!(ids, [1, 2, 3]);
        }
    }
}

// Goal: what a later state does not surely tell is not made up. Method: another table, a snapshot that is gone, a table that had none, one
// of the format that does not number its snapshots, before and after it became another one, one that had another column in between, and a
// file that is gone.
#[tokio::test]
async fn what_is_not_told_is_not_made_up() {
    let lake = Lake::new(&[], &[]).await;
    let empty = pointer(&lake).await;
    lake.append([1]).await;
    let then = pointer(&lake).await;
    lake.append([2]).await;
    let now = lake.table().await;
    assert!(now.back_at(&then).is_some());
    assert!(now.back_at(&empty).is_none(), "it had no snapshot");
    let other = TablePointer {
        uuid: Uuid::from_u128(7),
        ..then.clone()
    };
    assert!(now.back_at(&other).is_none(), "another table");
    let gone = TablePointer {
        snapshot_id: Some(7),
        ..then.clone()
    };
    assert!(now.back_at(&gone).is_none(), "no such snapshot");
    lake.store.delete(&then.metadata_location).await.unwrap();
    let stored = LoadedTable::stored(&lake.store, &now.name, &then.metadata_location).await;
    assert!(matches!(stored, Err(TableError::FileNotFound { .. })));

    let unnumbered = Lake::new(&[], &[("format-version", "1")]).await;
    unnumbered.append([1]).await;
    let then = pointer(&unnumbered).await;
    unnumbered.append([2]).await;
    assert!(unnumbered.table().await.back_at(&then).is_none());
    alter(&unnumbered, Alteration::UpgradeFormat(FormatVersion::V2)).await;
    assert!(unnumbered.table().await.back_at(&then).is_none());

    let altered = Lake::new(&[], &[]).await;
    altered.append([1]).await;
    let then = pointer(&altered).await;
    assert!(altered.table().await.back_at(&then).is_some());
    let more = NewColumn::new("more", Type::Primitive(PrimitiveType::Long));
    alter(&altered, Alteration::AddColumn(more)).await;
    alter(&altered, Alteration::DropColumn("more".into())).await;
    assert!(altered.table().await.back_at(&then).is_none());
}
