use std::collections::BTreeSet;

use arrow::array::{ArrayRef, Decimal128Array};
use iceberg::spec::{Datum, Literal, Struct, Transform};

use super::*;
use crate::sample::{self, Lake};
use crate::testing::Fault;
use crate::{Change, RowMask, write_deletes};

// Goal: the numbers are those of the rows that are there, and the file is one that readers of Puffin can take apart. Method: a count
// over the sample's values as the oracle, with deleted rows, for formats 2 and 3.
#[tokio::test]
async fn distinct_values_are_counted() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[(7, "flag", Transform::Identity)], &[("format-version", version)]).await;
        lake.append(0..200).await;
        let base = lake.append(100..300).await;
        let files = Scan::new(&lake.store, &base.table.metadata).plan().await.unwrap();
        let gone = RowMask::from_iter(0..files[0].record_count - 1);
        let added = write_deletes(&lake.store, &base.table.metadata, &[(files[0].clone(), gone)])
            .await
            .unwrap();
        let change = Change::row_delta(base.snapshot_id, [files[0].path.clone()], added);
        lake.commit(&change).await.unwrap();
        let mut rows = lake.ids(&files[1..]).await;
        rows.extend(lake.ids(&files[..1]).await.last());

        lake.catalog.inject([Fault::Conflict, Fault::AnswerLost]);
        let options = StatisticsOptions::default();
        let computed = compute_statistics(&lake.catalog, &lake.store, &lake.name, &options)
            .await
            .unwrap();
        for (column, id) in [
            ("id", 1),
            ("name", 2),
            ("score", 3),
            ("amount", 4),
            ("ts", 5),
            ("day", 6),
            ("flag", 7),
            ("payload", 8),
            ("uid", 10),
        ] {
            let values = rows.iter().filter_map(|row| sample::value(*row, id, 0));
            let expected: BTreeSet<String> = values.map(|value| format!("{value:?}")).collect();
            assert_eq!(computed.distinct[column], expected.len() as u64, "{column}");
        }
        let file = computed.file.unwrap();
        let bytes = lake.store.get(&file.statistics_path).await.unwrap();
        assert_eq!(bytes.len() as i64, file.file_size_in_bytes);
        let footer = &bytes[bytes.len() - file.file_footer_size_in_bytes as usize..];
        assert_eq!(
            (&footer[..4], &footer[footer.len() - 4..]),
            (&b"PFA1"[..], &b"PFA1"[..])
        );
        let payload: serde_json::Value = serde_json::from_slice(&footer[4..footer.len() - 12]).unwrap();
        assert_eq!(payload["blobs"].as_array().unwrap().len(), computed.distinct.len());
        let head = lake.table().await.metadata;
        let told = head.statistics_for_snapshot(file.snapshot_id).unwrap();
        assert_eq!(
            told.blob_metadata[0].properties["ndv"],
            computed.distinct["id"].to_string()
        );
        assert_eq!(file.snapshot_id, head.current_snapshot_id().unwrap());
    }
}

// Goal: values that files leave to their partitions are counted. Method: two partitions and one of null, beside a file with the column.
#[tokio::test]
async fn values_of_partitions_are_counted() {
    let lake = Lake::new(&[(9, "version", Transform::Identity)], &[]).await;
    for version in [Some(3_i32), Some(4), None] {
        let partition = Struct::from_iter([version.map(Literal::int)]);
        lake.append_without("version", &[1, 2], partition).await;
    }
    lake.append(0..3).await;
    let options = StatisticsOptions::default();
    let computed = compute_statistics(&lake.catalog, &lake.store, &lake.name, &options).await;
    // Those of the file that has it are 0.
    assert_eq!(computed.unwrap().distinct["version"], 3);
}

// Goal: what is not a plain column is refused, and an empty table has nothing to tell. Method: by hand.
#[tokio::test]
async fn only_plain_columns_are_counted() {
    let lake = Lake::new(&[], &[]).await;
    let compute = async |columns: &[&str]| {
        let options = StatisticsOptions {
            columns: columns.iter().map(ToString::to_string).collect(),
            snapshot_id: None,
        };
        compute_statistics(&lake.catalog, &lake.store, &lake.name, &options).await
    };
    assert!(compute(&["id"]).await.unwrap().file.is_none());
    lake.append(0..3).await;
    assert!(matches!(
        compute(&["none"]).await,
        Err(TableError::ColumnNotFound { .. })
    ));
    assert!(matches!(
        compute(&["tags"]).await,
        Err(TableError::UnsupportedType { .. })
    ));
    assert_eq!(compute(&["id"]).await.unwrap().distinct.len(), 1);
}

// Goal: decimals are written as the specification has it. Method: the format library's own bytes.
#[test]
fn decimals_take_few_bytes() {
    for number in [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        32_767,
        32_768,
        -32_769,
        10_i128.pow(30),
        -(10_i128.pow(30)),
    ] {
        let array = Decimal128Array::from_iter_values([number])
            .with_precision_and_scale(38, 0)
            .unwrap();
        let mut found = Vec::new();
        let column: ArrayRef = Arc::new(array);
        values::each(&column, &[true], &mut |bytes| found.push(bytes.to_vec())).unwrap();
        let kind = iceberg::spec::PrimitiveType::Decimal {
            precision: 38,
            scale: 0,
        };
        let expected = Datum::try_from_bytes(&number.to_be_bytes(), kind)
            .unwrap()
            .to_bytes()
            .unwrap();
        assert_eq!(found, [expected.to_vec()], "{number}");
    }
}
