use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use tidewater_core::{Rng, SeededRng};
use tidewater_table::iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Operation, Schema, Struct};
use tidewater_table::schema::to_arrow;
use tidewater_table::{Added, Change, CommitOptions, commit_change};

use crate::statement::tests::{done, lake};
use crate::testing::{Lake, table_name};

const STEPS: i64 = 14;

/// Deletes rows by their ids, as Flink does.
async fn delete_by_value(lake: &Lake, ids: Vec<i64>) {
    let table = lake.load("s.t").await;
    let id = table.metadata.current_schema().field_by_name("id").expect("a column");
    let schema = Schema::builder().with_fields([id.clone()]).build().expect("a schema");
    let arrow = Arc::new(to_arrow(&schema).expect("columns"));
    let batch = RecordBatch::try_new(arrow.clone(), vec![Arc::new(Int64Array::from(ids)) as _]).expect("rows");
    let mut writer = ArrowWriter::try_new(Vec::new(), arrow, None).expect("a writer");
    writer.write(&batch).expect("rows");
    let bytes = writer.into_inner().expect("a file");
    let path = format!("{}/data/{}.parquet", table.metadata.location(), lake.store.rng().uuid());
    let file = DataFileBuilder::default()
        .content(DataContentType::EqualityDeletes)
        .file_path(path.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(batch.num_rows() as u64)
        .file_size_in_bytes(bytes.len() as u64)
        .equality_ids(Some(vec![id.id]))
        .build()
        .expect("a file");
    lake.store.put_new(&path, bytes.into()).await.expect("a file");
    let change = Change {
        operation: Operation::Delete,
        ..Change::append(vec![Added::new(file, 0)])
    };
    let (name, options) = (table_name("s.t"), CommitOptions::default());
    let committed = commit_change(lake.catalog.as_ref(), &lake.store, &name, &change, &options).await;
    committed.expect("a commit");
}

/// One commit, or none if there is nothing to do.
async fn step(lake: &Lake, rng: &SeededRng, number: i64) {
    let some = rng.below(5) + 2;
    let from = number * 5;
    let sql = match rng.below(7) {
        0 => format!("INSERT INTO s.t SELECT value, value % 3 FROM generate_series({from}, {from} + 20)"),
        1 => format!("UPDATE s.t SET n = n + 1 WHERE id % {some} = 0"),
        2 => format!("DELETE FROM s.t WHERE id % {} = 1", some + 3),
        3 | 4 => format!(
            "MERGE INTO s.t USING (SELECT value AS id FROM generate_series({from}, {from} + 9)) AS c ON t.id = c.id
             WHEN MATCHED AND t.n > 1 THEN DELETE WHEN MATCHED THEN UPDATE SET n = t.n + 1
             WHEN NOT MATCHED THEN INSERT (id, n) VALUES (c.id, 7)"
        ),
        5 => "CALL system.rewrite_data_files(table => 's.t', options => map('min-input-files', '2'))".to_owned(),
        _ => return delete_by_value(lake, vec![from, from - 3, from + 4]).await,
    };
    done(lake, &sql).await;
}

async fn rows_at(lake: &Lake, snapshot: Option<i64>) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    if let Some(id) = snapshot {
        for line in lake
            .lines(&format!("SELECT id, n FROM s.t FOR VERSION AS OF {id}"))
            .await
        {
            *rows.entry(line).or_default() += 1;
        }
    }
    rows
}

/// How many changes there are after `from` up to `to`, all of which were compared with the rows.
async fn compare(lake: &Lake, from: Option<i64>, to: i64) -> usize {
    let changes = format!(
        "changes('s.t', {}, {to})",
        from.map_or_else(|| "NULL".to_owned(), |id| id.to_string())
    );
    let sql = format!("SELECT _change_type, id, n FROM {changes}");
    let told = lake.lines(&sql).await;
    assert_eq!(lake.travelled(&sql).await.expect("rows"), told, "{sql} after a journey");
    let mut rows = rows_at(lake, from).await;
    for line in &told {
        let (kind, row) = line.split_once(',').expect("columns");
        *rows.entry(row.to_owned()).or_default() += if kind == "insert" { 1 } else { -1 };
    }
    rows.retain(|_, count| *count != 0);
    assert_eq!(rows, rows_at(lake, Some(to)).await, "{sql}: {told:?}");
    let deleted = told.iter().filter(|line| line.starts_with("delete")).count();
    for (sql, wanted) in [
        (format!("SELECT count(*) FROM {changes}"), told.len()),
        (
            format!("SELECT count(*) FROM {changes} WHERE _change_type = 'delete'"),
            deleted,
        ),
        (
            format!("SELECT count(*) FROM (SELECT id FROM {changes} LIMIT 3)"),
            told.len().min(3),
        ),
    ] {
        assert_eq!(lake.lines(&sql).await, [wanted.to_string()], "{sql}");
    }
    told.len()
}

// Goal: of a table whose rows are deleted by delete files SQL tells the changes of every range as they were: the rows before, less those
// that left and with those that came, are the rows after. Method: random statements that merge on read in formats 2 and 3, deletes by
// value and compactions between them; each snapshot with the one before, and ranges, counted, limited, and sent to another process.
#[tokio::test]
async fn changes_of_deleted_rows_add_up() {
    for version in ["2", "3"] {
        let lake = lake().await;
        let modes = ["delete", "update", "merge"].map(|what| format!("'write.{what}.mode' = 'merge-on-read'"));
        done(
            &lake,
            &format!(
                "CREATE TABLE s.t (id bigint NOT NULL, n int) TBLPROPERTIES ('format-version' = '{version}', {})",
                modes.join(", ")
            ),
        )
        .await;
        let rng = SeededRng::new(5);
        done(&lake, "INSERT INTO s.t SELECT value, 1 FROM generate_series(0, 40)").await;
        done(&lake, "DELETE FROM s.t WHERE id = 7").await;
        delete_by_value(&lake, vec![1, 2, 3]).await;
        for number in 0..STEPS {
            step(&lake, &rng, number).await;
        }
        let history = lake.load("s.t").await;
        let ids: Vec<i64> = history
            .metadata
            .history()
            .iter()
            .map(|entry| entry.snapshot_id)
            .collect();
        let mut before = None;
        for id in &ids {
            compare(&lake, before, *id).await;
            before = Some(*id);
        }
        let (first, newest) = (ids[0], ids[ids.len() - 1]);
        assert!(compare(&lake, None, newest).await > compare(&lake, Some(first), newest).await);
        for _ in 0..4 {
            let to = rng.below(ids.len() as u64);
            let from = rng.below(to + 1);
            compare(&lake, Some(ids[from as usize]), ids[to as usize]).await;
        }
        // Rows of files that stayed, no more than were deleted.
        let sql = format!("SELECT _change_type, id FROM changes('s.t', {}, {})", ids[0], ids[1]);
        assert_eq!(lake.lines(&sql).await, ["delete,7"]);
        let sql = format!("SELECT _change_type, id FROM changes('s.t', {}, {})", ids[1], ids[2]);
        assert_eq!(lake.lines(&sql).await, ["delete,1", "delete,2", "delete,3"]);
    }
}
