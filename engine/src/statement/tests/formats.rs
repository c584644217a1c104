use tidewater_core::{Coded, ErrorKind};
use tidewater_table::iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat};
use tidewater_table::schema::LostDefaults;
use tidewater_table::{Added, Scan};

use super::{done, lake, rows, tried};
use crate::EngineError;

// Goal: rows of a file that is not Parquet are neither read as if it were nor left out, and nothing calls it damaged. Method: a table
// with a file of each format in its manifests; every way to its rows is refused with the file's name, also where manifests could
// answer, and what needs none of its rows is done.
#[tokio::test]
async fn other_formats_are_refused() {
    for format in [DataFileFormat::Avro, DataFileFormat::Orc] {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.t (id bigint, n bigint)").await;
        rows(&lake, "INSERT INTO s.t VALUES (1, 1), (2, 2)").await;
        let path = format!("{}/data/theirs.{format}", lake.load("s.t").await.metadata.location());
        let theirs = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path.clone())
            .file_format(format)
            .record_count(3)
            .file_size_in_bytes(512)
            .build()
            .expect("a file");
        lake.commit("s.t", vec![Added::new(theirs, 0)]).await;
        let refused = |error: EngineError, sql: &str| {
            assert_eq!(
                (error.code(), error.kind()),
                ("TBL-0027", ErrorKind::Unsupported),
                "{sql}: {error:?}"
            );
            assert!(error.hint().is_some_and(|hint| hint.contains("parquet")), "{sql}");
            assert!(format!("{error:?}").contains(&path), "{sql}: {error:?}");
        };
        for sql in [
            "SELECT * FROM s.t",
            "SELECT count(*) FROM s.t",
            "SELECT id FROM s.t LIMIT 1",
            "SELECT count(*) FROM changes('s.t')",
        ] {
            refused(lake.refused(sql).await, sql);
        }
        for sql in [
            "UPDATE s.t SET n = 3 WHERE id = 1",
            "DELETE FROM s.t WHERE id = 1",
            "MERGE INTO s.t USING (SELECT 1 AS id) AS c ON t.id = c.id WHEN MATCHED THEN DELETE",
            "CALL system.rewrite_data_files(table => 's.t', options => map('rewrite-all', 'true'))",
            "CALL system.compute_table_stats('s.t')",
        ] {
            refused(tried(&lake, sql).await.expect_err(sql), sql);
        }
        assert_eq!(lake.lines("SELECT sum(record_count) FROM s.\"t$files\"").await, ["5"]);
        assert_eq!(rows(&lake, "DELETE FROM s.t").await, 5);
        assert_eq!(lake.lines("SELECT count(*) FROM s.t").await, ["0"]);
    }
}

// Goal: where a column's default was not read, files that lack the column are not read as if it were null. Method: a table with a file
// from before the column and one with it, told that the default was lost: all of it is refused, the later file is read.
#[tokio::test]
async fn lost_defaults_are_no_nulls() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id bigint)").await;
    rows(&lake, "INSERT INTO s.t VALUES (1)").await;
    done(&lake, "ALTER TABLE s.t ADD COLUMN n bigint").await;
    rows(&lake, "INSERT INTO s.t VALUES (2, 2)").await;
    let mut table = lake.load("s.t").await;
    let document = r#"{"schemas": [{"fields": [{"id": 2, "initial-default": 7}]}]}"#;
    table.lost_defaults = LostDefaults::of(document, &table.metadata).expect("a document");
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let (later, older): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| file.data_file().value_counts().contains_key(&2));
    assert_eq!((later.len(), older.len()), (1, 1));
    let snapshot = table.metadata.current_snapshot_id();
    let whole = lake.engine.provider(&table, snapshot).expect("a table");
    let older = lake.engine.files_provider(&table, older).expect("files");
    for provider in [whole, older] {
        let frame = lake.session().read_table(provider).expect("a frame");
        let error = EngineError::from(frame.collect().await.expect_err("a column that would be null"));
        assert_eq!(
            (error.code(), error.kind()),
            ("TBL-0028", ErrorKind::Unsupported),
            "{error:?}"
        );
    }
    let later = lake.engine.files_provider(&table, later).expect("files");
    let frame = lake.session().read_table(later).expect("a frame");
    assert_eq!(crate::testing::lines(&frame.collect().await.expect("rows")), ["2,2"]);
}
