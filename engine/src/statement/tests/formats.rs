use tidewater_core::{Coded, ErrorKind};
use tidewater_table::Added;
use tidewater_table::iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat};

use super::{done, lake, rows, tried};

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
        let refused = |error: crate::EngineError, sql: &str| {
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
