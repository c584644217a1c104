use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Literal, NestedField, NullOrder, PrimitiveType, Schema,
    SortDirection, SortField, SortOrder, Struct, Transform, Type,
};

use super::*;
use crate::sample::{self, Lake};
use crate::testing::Fault;
use crate::{Added, DataFileWriter, WriteOptions};
use tidewater_core::{Coded, TableName};

fn wanted(name: &TableName) -> NewTable {
    let mut table = NewTable::new(name.clone(), sample::schema());
    let spec = iceberg::spec::UnboundPartitionSpec::builder()
        .add_partition_field(1, "bucket", Transform::Bucket(2))
        .and_then(|spec| spec.add_partition_field(14, "city", Transform::Identity));
    table.partition_spec = Some(spec.unwrap().build());
    table.sort_order = Some(SortOrder {
        order_id: 1,
        fields: vec![SortField {
            source_id: 5,
            transform: Transform::Identity,
            direction: SortDirection::Ascending,
            null_order: NullOrder::First,
        }],
    });
    table
}

async fn rows_for(lake: &Lake, table: &LoadedTable, ids: &[i64]) -> Change {
    let mut writer = DataFileWriter::new(lake.store.clone(), &table.metadata, WriteOptions::default()).unwrap();
    let schema = writer.schema().clone();
    writer.write(sample::batch(&schema, ids, 1)).await.unwrap();
    Change::append(writer.close().await.unwrap())
}

async fn staged(lake: &Lake, table: NewTable, on_existing: OnExisting) -> Box<StagedTable> {
    match stage(&lake.catalog, table, on_existing).await.unwrap() {
        Staged::New(staged) => staged,
        Staged::There(table) => panic!("{} is there", table.name),
    }
}

// Goal: a table and its first rows are one commit, whatever becomes of the answers. Method: each fault in turn, then the rows and
// the number of commits.
#[tokio::test]
async fn a_table_comes_with_its_rows() {
    for fault in [
        None,
        Some(Fault::AnswerLost),
        Some(Fault::RequestLost),
        Some(Fault::Conflict),
    ] {
        for version in ["2", "3"] {
            let mut lake = Lake::new(&[], &[]).await;
            lake.name = "s.made".parse().unwrap();
            let mut table = wanted(&lake.name);
            table.properties.insert("format-version".into(), version.into());
            let staged = staged(&lake, table, OnExisting::Fail).await;
            assert!(lake.catalog.load_table(&lake.name).await.unwrap().is_none());
            let change = rows_for(&lake, staged.table(), &[1, 2, 3]).await;
            lake.catalog.inject(fault);
            let options = CommitOptions::default();
            let made = staged.commit(&lake.catalog, &lake.store, Some(&change), &options).await;
            let made = made.unwrap();
            assert_eq!(made.table.metadata.uuid(), staged.table().metadata.uuid());
            assert_eq!(made.snapshot_id, lake.table().await.metadata.current_snapshot_id());
            assert_eq!(lake.rows().await, [1, 2, 3], "{fault:?}");
            assert_eq!(lake.catalog.commits(), 1, "{fault:?}");
            assert_eq!(lake.table().await.metadata.default_sort_order().fields.len(), 1);
        }
    }
}

// Goal: a replaced table has the new columns and rows, and its history still reads as it was. Method: another schema with columns
// of the old names, and a scan of the older snapshot.
#[tokio::test]
async fn replacing_keeps_the_history() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version), ("kept", "yes")]).await;
        let before = lake.append(0..5).await;
        let mut table = wanted(&lake.name);
        table.properties.insert("more".into(), "too".into());
        let staged = staged(&lake, table, OnExisting::Replace).await;
        let change = rows_for(&lake, staged.table(), &[70, 80]).await;
        lake.catalog.inject([Fault::Conflict, Fault::AnswerLost]);
        let options = CommitOptions::default();
        let made = staged.commit(&lake.catalog, &lake.store, Some(&change), &options).await;
        let after = made.unwrap().table.metadata;
        assert_eq!(lake.rows().await, [70, 80]);
        assert_eq!((after.snapshots().len(), after.history().len()), (2, 2));
        assert_eq!(after.uuid(), before.table.metadata.uuid());
        assert_eq!(
            after.current_schema().as_struct(),
            staged.table().metadata.current_schema().as_struct()
        );
        let old_last = before.table.metadata.last_column_id();
        let ids: Vec<i32> = after
            .current_schema()
            .as_struct()
            .fields()
            .iter()
            .map(|f| f.id)
            .collect();
        assert!(ids.iter().all(|id| *id > old_last), "{ids:?}");
        assert_eq!(after.properties()["kept"], "yes");
        assert_eq!(after.properties()["more"], "too");
        assert!(after.current_snapshot().unwrap().parent_snapshot_id().is_none());
        let old = crate::plan_scan(&lake.store, &after, Some(before.snapshot_id), None)
            .await
            .unwrap();
        assert_eq!(lake.ids(&old).await, [0, 1, 2, 3, 4]);
        // And on it goes.
        lake.append([90]).await;
        assert_eq!(lake.rows().await, [70, 80, 90]);
    }
}

/// A table of columns whose partitions are bytes in a manifest.
fn of_bytes(name: &TableName, spec: &[(i32, Transform)]) -> NewTable {
    let decimal = PrimitiveType::Decimal { precision: 9, scale: 2 };
    let kinds = [
        PrimitiveType::Uuid,
        PrimitiveType::Fixed(3),
        PrimitiveType::Fixed(3),
        decimal,
    ];
    let fields = (1..)
        .zip(kinds)
        .map(|(id, of)| Arc::new(NestedField::optional(id, format!("c{id}"), Type::Primitive(of))));
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let mut partition = iceberg::spec::UnboundPartitionSpec::builder();
    for (id, transform) in spec {
        partition = partition
            .add_partition_field(*id, format!("p{id}"), *transform)
            .unwrap();
    }
    let mut table = NewTable::new(name.clone(), schema);
    table.partition_spec = Some(partition.build());
    // Of this format no manifest is kept as it was written: each is read.
    table.properties.insert("format-version".into(), "3".into());
    table
}

// Goal: a table is made if its manifests can be written and read, and refused with a hint if not. Method: partitions that are bytes there,
// alone and two of a kind; each table made, put in another's place, and made by somebody else and given a file.
#[tokio::test]
async fn partitions_that_no_manifest_has_are_refused() {
    let whole = Transform::Identity;
    let bytes = || Some(Literal::fixed([1, 2, 3]));
    for (spec, partition, good) in [
        (
            vec![(1, whole)],
            vec![Some(Literal::uuid(uuid::Uuid::from_u128(7)))],
            false,
        ),
        (vec![(2, whole), (3, whole)], vec![bytes(), bytes()], false),
        (
            vec![(1, Transform::Bucket(4)), (2, whole), (4, whole)],
            vec![Some(Literal::int(1)), bytes(), Some(Literal::decimal(-150))],
            true,
        ),
    ] {
        let mut lake = Lake::new(&[], &[]).await;
        let replaced = stage(&lake.catalog, of_bytes(&lake.name, &spec), OnExisting::Replace).await;
        lake.name = "s.made".parse().unwrap();
        let made = stage(&lake.catalog, of_bytes(&lake.name, &spec), OnExisting::Fail).await;
        for staged in [made, replaced] {
            match staged {
                Ok(_) => assert!(good, "{spec:?}"),
                Err(error) => {
                    assert!(!good && error.hint().is_some(), "{spec:?}: {error}");
                    assert_eq!(error.code(), "TBL-0020", "{spec:?}: {error}");
                }
            }
        }
        let table = lake.catalog.create_table(of_bytes(&lake.name, &spec)).await.unwrap();
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_format(DataFileFormat::Parquet)
            .file_path(format!("{}/data/1.parquet", table.metadata.location()))
            .file_size_in_bytes(1)
            .record_count(1)
            .partition(Struct::from_iter(partition.clone()))
            .partition_spec_id(0)
            .build()
            .unwrap();
        let committed = lake.commit(&Change::append(vec![Added::new(file, 0)])).await;
        assert_eq!(committed.is_ok(), good, "{spec:?}: {committed:?}");
        if good {
            let table = lake.table().await.metadata;
            let files = crate::plan_scan(&lake.store, &table, None, None).await.unwrap();
            let partitions: Vec<&Struct> = files.iter().map(|file| &file.partition).collect();
            assert_eq!(partitions, [&Struct::from_iter(partition)]);
        }
    }
}

// Goal: whoever replaces a table whose columns changed meanwhile does not write over them. Method: two replacements, one late.
#[tokio::test]
async fn a_late_replacement_is_refused() {
    let lake = Lake::new(&[], &[]).await;
    let late = staged(&lake, wanted(&lake.name), OnExisting::Replace).await;
    let first = create_with(&lake.catalog, &lake.store, wanted(&lake.name), OnExisting::Replace).await;
    assert!(first.unwrap().snapshot_id.is_none());
    let change = rows_for(&lake, late.table(), &[1]).await;
    let refused = late
        .commit(&lake.catalog, &lake.store, Some(&change), &CommitOptions::default())
        .await;
    assert!(matches!(refused, Err(TableError::Conflict { .. })), "{refused:?}");
    assert!(lake.rows().await.is_empty());
}

// Goal: what is there is left alone, or refused. Method: a table of other columns under the same name.
#[tokio::test]
async fn a_table_that_is_there() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1]).await;
    let field = NestedField::optional(1, "other", Type::Primitive(PrimitiveType::Int));
    let other = Schema::builder().with_fields([Arc::new(field)]).build().unwrap();
    let table = NewTable::new(lake.name.clone(), other);
    let skipped = create_with(&lake.catalog, &lake.store, table.clone(), OnExisting::Skip).await;
    assert!(skipped.unwrap().was_there);
    let refused = create_with(&lake.catalog, &lake.store, table.clone(), OnExisting::Fail).await;
    let taken = |error: &TableError| matches!(error, TableError::Catalog(CatalogFault::AlreadyExists { .. }));
    assert!(refused.as_ref().is_err_and(taken), "{refused:?}");
    assert_eq!(lake.rows().await, [1]);
    let mut elsewhere = table;
    elsewhere.location = Some("memory://lake/elsewhere".into());
    let refused = create_with(&lake.catalog, &lake.store, elsewhere, OnExisting::Replace).await;
    assert!(matches!(refused, Err(TableError::Unsupported { .. })), "{refused:?}");
    let mut older = NewTable::new(lake.name.clone(), sample::schema());
    older.properties.insert("format-version".into(), "1".into());
    let refused = create_with(&lake.catalog, &lake.store, older, OnExisting::Replace).await;
    assert!(matches!(refused, Err(TableError::Alteration { .. })), "{refused:?}");
}
