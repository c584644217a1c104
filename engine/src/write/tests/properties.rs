use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use tidewater_core::Coded;
use tidewater_table::Scan;

use crate::statement::tests::{done, lake, rows, tried};
use crate::testing::Lake;

/// Several batches of rows, so that there is more than one place to end a file at.
const ROWS: &str = "SELECT value AS id FROM generate_series(1, 30000)";

/// Codecs of a table's files, one for each.
async fn codecs(lake: &Lake, name: &str) -> Vec<String> {
    let table = lake.load(name).await;
    let mut found = Vec::new();
    for file in Scan::new(&lake.store, &table.metadata).plan().await.expect("files") {
        let bytes = lake.store.get(&file.path).await.expect("a file");
        let reader = SerializedFileReader::new(bytes).expect("Parquet");
        let codec = format!("{:?}", reader.metadata().row_group(0).column(0).compression());
        found.push(codec.chars().take_while(char::is_ascii_alphanumeric).collect());
    }
    found
}

// Goal: a table's properties say how its files are written, whatever statement writes them. Method: codec and number of files of a table
// that is made, added to, changed and compacted.
#[tokio::test]
async fn statements_write_as_properties_say() {
    let lake = lake().await;
    done(
        &lake,
        &format!("CREATE TABLE s.t TBLPROPERTIES ('write.parquet.compression-codec' = 'gzip') AS {ROWS}"),
    )
    .await;
    let whole = codecs(&lake, "s.t").await;
    assert!(whole.iter().all(|codec| codec == "GZIP"), "{whole:?}");
    done(
        &lake,
        "ALTER TABLE s.t SET TBLPROPERTIES ('write.parquet.compression-codec' = 'snappy')",
    )
    .await;
    assert_eq!(rows(&lake, "UPDATE s.t SET id = -id WHERE id % 2 = 0").await, 15_000);
    let changed = codecs(&lake, "s.t").await;
    assert!(changed.iter().all(|codec| codec == "SNAPPY"), "{changed:?}");
    done(
        &lake,
        "ALTER TABLE s.t SET TBLPROPERTIES ('write.parquet.compression-codec' = 'zstd', 'write.target-file-size-bytes' = '1')",
    )
    .await;
    let rewrite = "CALL system.rewrite_data_files(table => 's.t', options => map('rewrite-all', 'true'";
    done(&lake, &format!("{rewrite}))")).await;
    let small = codecs(&lake, "s.t").await;
    assert!(
        small.len() > 2 && small.iter().all(|codec| codec == "ZSTD"),
        "{small:?}"
    );
    done(&lake, &format!("{rewrite}, 'target-file-size-bytes', '134217728'))")).await;
    assert_eq!(codecs(&lake, "s.t").await, ["ZSTD"], "the option goes before the table");
    assert_eq!(
        lake.lines("SELECT count(*), count(DISTINCT id) FROM s.t").await,
        ["30000,30000"]
    );
}

// Goal: properties by which nothing can be written are refused where they are set, and where another engine has set them, before any
// file is written. Method: statements that set them; a table whose catalog was told so.
#[tokio::test]
async fn wrong_properties_are_refused() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t (id bigint)").await;
    for property in [
        "'write.target-file-size-bytes' = 'large'",
        "'write.parquet.compression-codec' = 'lzo'",
        "'write.parquet.compression-level' = '99'",
        "'write.parquet.row-group-limit' = '0'",
    ] {
        for sql in [
            format!("ALTER TABLE s.t SET TBLPROPERTIES ({property})"),
            format!("CREATE TABLE s.u (id bigint) TBLPROPERTIES ({property})"),
        ] {
            assert_eq!(tried(&lake, &sql).await.expect_err(&sql).code(), "TBL-0020", "{sql}");
        }
    }
    let mut theirs = tidewater_table::NewTable::new(
        crate::testing::table_name("s.theirs"),
        lake.load("s.t").await.metadata.current_schema().as_ref().clone(),
    );
    let property = ("write.parquet.compression-codec".to_owned(), "lzo".to_owned());
    theirs.properties.extend([property]);
    let made = tidewater_table::Catalog::create_table(lake.catalog.as_ref(), theirs).await;
    let location = made.expect("a table").metadata.location().to_owned();
    let refused = tried(&lake, "INSERT INTO s.theirs VALUES (1)")
        .await
        .expect_err("no such codec");
    assert_eq!(refused.code(), "TBL-0020");
    let left = lake.store.list(&format!("{location}/data")).await.expect("a listing");
    assert!(left.is_empty(), "{left:?}");
    done(
        &lake,
        "ALTER TABLE s.theirs SET TBLPROPERTIES ('comment' = 'still to be mended')",
    )
    .await;
    done(
        &lake,
        "ALTER TABLE s.theirs UNSET TBLPROPERTIES ('write.parquet.compression-codec')",
    )
    .await;
    assert_eq!(rows(&lake, "INSERT INTO s.theirs VALUES (1)").await, 1);
}
