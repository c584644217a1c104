use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec};
use tidewater_table::{Change, CommitOptions, RowMask, Scan, commit_change, write_deletes};

use super::PARTS;
use crate::testing::{Lake, table_name};

const TABLE: &str = "gold.visits";

fn visits() -> Schema {
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "ward", Type::Primitive(PrimitiveType::String)).into(),
    ];
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn rows(ward: Option<&str>, ids: &[i64]) -> RecordBatch {
    let wards: StringArray = ids.iter().map(|_| ward).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as _, false),
        ("ward", Arc::new(wards) as _, true),
    ])
    .expect("rows")
}

/// Three appends, two of them to one ward, and a delete of the first row of each file.
async fn lake(partitioned: bool) -> Lake {
    let lake = Lake::new();
    let by_ward = UnboundPartitionSpec::builder()
        .add_partition_field(2, "ward", Transform::Identity)
        .expect("a field")
        .build();
    lake.create(TABLE, visits(), partitioned.then_some(by_ward)).await;
    for (ward, ids) in [(Some("a"), [1, 2]), (Some("a"), [3, 4]), (None, [5, 6])] {
        lake.append(TABLE, rows(ward, &ids)).await;
    }
    let table = lake.load(TABLE).await;
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let touched: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let masks: Vec<_> = files
        .into_iter()
        .map(|file| (file, [0_u64].into_iter().collect::<RowMask>()))
        .collect();
    let added = write_deletes(&lake.store, &table.metadata, &masks)
        .await
        .expect("delete files");
    let change = Change::row_delta(
        table.metadata.current_snapshot_id().expect("a snapshot"),
        touched,
        added,
    );
    let (name, options) = (table_name(TABLE), CommitOptions::default());
    let committed = commit_change(lake.catalog.as_ref(), &lake.store, &name, &change, &options).await;
    committed.expect("a commit");
    lake
}

/// Names and types as SQL tells them.
async fn columns(lake: &Lake, part: &str) -> Vec<String> {
    let session = lake.session();
    let plan = lake
        .engine
        .plan(&session, &format!("select * from \"visits${part}\""))
        .await
        .expect("a plan");
    let fields = plan.schema().fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

// Goal: other engines' statements over these tables go on working. Method: the names of the columns against those of Iceberg.
#[tokio::test]
async fn columns_are_named_as_elsewhere() {
    let file = "content,file_path,file_format,spec_id,partition,record_count,file_size_in_bytes,column_sizes,value_counts,\
        null_value_counts,nan_value_counts,lower_bounds,upper_bounds,key_metadata,split_offsets,equality_ids,sort_order_id,\
        first_row_id,referenced_data_file,content_offset,content_size_in_bytes,readable_metrics";
    let manifest = "content,path,length,partition_spec_id,added_snapshot_id,added_data_files_count,existing_data_files_count,\
        deleted_data_files_count,added_delete_files_count,existing_delete_files_count,deleted_delete_files_count,\
        partition_summaries";
    let entry = "status,snapshot_id,sequence_number,file_sequence_number,data_file,readable_metrics";
    let all_manifests = format!("{manifest},reference_snapshot_id,key_metadata");
    let lake = lake(true).await;
    for (part, wanted) in [
        (
            "snapshots",
            "committed_at,snapshot_id,parent_id,operation,manifest_list,summary",
        ),
        ("history", "made_current_at,snapshot_id,parent_id,is_current_ancestor"),
        (
            "metadata_log_entries",
            "timestamp,file,latest_snapshot_id,latest_schema_id,latest_sequence_number",
        ),
        (
            "refs",
            "name,type,snapshot_id,max_reference_age_in_ms,min_snapshots_to_keep,max_snapshot_age_in_ms",
        ),
        ("files", file),
        ("data_files", file),
        ("delete_files", file),
        ("all_files", file),
        ("all_data_files", file),
        ("all_delete_files", file),
        (
            "position_deletes",
            "file_path,pos,row,partition,spec_id,delete_file_path",
        ),
        ("entries", entry),
        ("all_entries", entry),
        ("manifests", manifest),
        ("all_manifests", all_manifests.as_str()),
        (
            "partitions",
            "partition,spec_id,record_count,file_count,total_data_file_size_in_bytes,position_delete_record_count,\
             position_delete_file_count,equality_delete_record_count,equality_delete_file_count,last_updated_at,\
             last_updated_snapshot_id",
        ),
    ] {
        assert_eq!(columns(&lake, part).await.join(","), wanted, "{part}");
        // Every column can be made.
        lake.query(&format!("select * from \"visits${part}\"")).await;
        lake.query(&format!(
            "select count(*) from (select * from \"visits${part}\" limit 1)"
        ))
        .await;
    }
    assert!(PARTS.iter().all(|part| super::is_part(part)) && !super::is_part("nothing"));
}

// Goal: the tables tell what is there. Method: a partitioned table of known files and deletes.
#[tokio::test]
async fn values_are_those_of_the_table() {
    let lake = lake(true).await;
    for (sql, wanted) in [
        ("select operation, summary['added-data-files'] from \"visits$snapshots\" order by 1", vec![
            "append,1", "append,1", "append,1", "delete,",
        ]),
        ("select count(*), count(distinct file_path), sum(content) from \"visits$files\"", vec!["6,6,3"]),
        ("select count(*) from \"visits$data_files\"", vec!["3"]),
        ("select count(*), min(content), max(content) from \"visits$delete_files\"", vec!["3,1,1"]),
        (
            "select partition['ward'], record_count, readable_metrics['id']['lower_bound'], readable_metrics['id']['upper_bound'],
             readable_metrics['ward']['lower_bound'], readable_metrics['ward']['null_value_count'], array_length(map_keys(value_counts))
             from \"visits$data_files\"",
            vec![",2,5,6,,2,2", "a,2,1,2,a,0,2", "a,2,3,4,a,0,2"],
        ),
        ("select arrow_typeof(lower_bounds), arrow_typeof(split_offsets) from \"visits$data_files\" limit 1", vec![
            "Map(\"key_value\": non-null Struct(\"key\": non-null Int32, \"value\": Binary), unsorted),List(Int64)",
        ]),
        (
            "select partition['ward'], record_count, file_count, position_delete_file_count, position_delete_record_count
             from \"visits$partitions\"",
            vec![",2,1,1,1", "a,4,2,2,2"],
        ),
        ("select status, count(*), count(distinct data_file['file_path']) from \"visits$entries\" group by 1", vec!["0,2,2", "1,4,4"]),
        (
            "select sum(added_data_files_count + existing_data_files_count), sum(added_delete_files_count) from \"visits$manifests\"",
            vec!["3,3"],
        ),
        (
            "select partition_summaries[1]['contains_null'], partition_summaries[1]['lower_bound'] from \"visits$manifests\"
             where content = 0",
            vec!["true,a"],
        ),
        (
            "select count(*), count(distinct p.file_path), sum(p.pos), count(p.row), count(distinct p.delete_file_path)
             from \"visits$position_deletes\" p join \"visits$data_files\" f on p.file_path = f.file_path",
            vec!["3,3,0,0,3"],
        ),
        ("select partition['ward'], count(*) from \"visits$position_deletes\" group by 1", vec![",1", "a,2"]),
        ("select count(*) from (select * from visits$position_deletes limit 2)", vec!["2"]),
        ("select name, type from \"visits$refs\"", vec!["main,BRANCH"]),
        ("select count(*), sum(cast(is_current_ancestor as int)) from \"visits$history\"", vec!["4,4"]),
        (
            "select count(*) from \"visits$metadata_log_entries\" where latest_snapshot_id is not null",
            vec!["4"],
        ),
        (
            "select count(distinct reference_snapshot_id), count(key_metadata) from \"visits$all_manifests\"",
            vec!["4,0"],
        ),
    ] {
        assert_eq!(lake.lines(sql).await, wanted, "{sql}");
    }
}

// Goal: a table without partitions has no such column, as in Spark. Method: the columns, and its one partition.
#[tokio::test]
async fn unpartitioned_tables_have_no_partition() {
    let lake = lake(false).await;
    assert!(!columns(&lake, "files").await.contains(&"partition".to_owned()));
    let sql = "select record_count, file_count, position_delete_record_count from \"visits$partitions\"";
    assert_eq!(lake.lines(sql).await, ["6,3,3"]);
}

// Goal: files and manifests are those of the version that is asked for. Method: each snapshot of three appends.
#[tokio::test]
async fn metadata_has_versions() {
    let lake = lake(true).await;
    let table = lake.load(TABLE).await;
    for (index, entry) in table.metadata.history().iter().take(3).enumerate() {
        let id = entry.snapshot_id;
        let count = index + 1;
        for sql in [
            format!("select count(*) from \"visits$files\" FOR VERSION AS OF {id}"),
            format!("select count(*) from visits$data_files VERSION AS OF {id}"),
            format!(
                "select sum(added_data_files_count + existing_data_files_count) from gold.visits.manifests VERSION AS OF {id}"
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, [count.to_string()], "{sql}");
        }
        let changes =
            format!("select count(*), count(distinct _commit_snapshot_id) from visits$changes VERSION AS OF {id}");
        assert_eq!(lake.lines(&changes).await, [format!("{},{count}", 2 * count)]);
    }
    let id = table.metadata.history()[1].snapshot_id;
    let sql = format!(
        "select id, ward, _change_type, _change_ordinal, _commit_snapshot_id = {id} from \"visits$changes\"
         VERSION AS OF {id} where id > 1"
    );
    assert_eq!(
        lake.lines(&sql).await,
        ["2,a,insert,0,false", "3,a,insert,1,true", "4,a,insert,1,true"]
    );
    let ids: Vec<i64> = table.metadata.history().iter().map(|entry| entry.snapshot_id).collect();
    let (first, second, third) = (ids[0], ids[1], ids[2]);
    for (function, wanted) in [
        (
            format!("changes('gold.visits', {first}, {third})"),
            vec!["3", "4", "5", "6"],
        ),
        (format!("changes('visits', {first}, {second})"), vec!["3", "4"]),
        (format!("changes('gold.visits', NULL, {first})"), vec!["1", "2"]),
        (format!("changes('gold.visits', {second}, '{second}')"), vec![]),
    ] {
        assert_eq!(
            lake.lines(&format!("select changes.id from {function}")).await,
            wanted,
            "{function}"
        );
    }
    let session = lake.session();
    assert!(
        lake.engine
            .plan(&session, "select * from changes(1 + 1)")
            .await
            .is_err()
    );
}
