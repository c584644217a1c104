use datafusion::arrow::array::RecordBatch;
use tidewater_core::Coded;
use tidewater_table::Catalog;

use super::super::{BulkLoad, IfExists, Workshop};
use super::{done, lake};
use crate::error::EngineError;
use crate::testing::{Lake, table_name};
use crate::{Result, SessionOptions};

async fn loaded(lake: &Lake, table: &str, if_exists: IfExists) -> Result<()> {
    let batches = lake.query("SELECT 7 AS id").await;
    let load = BulkLoad {
        table: table_name(table),
        schema: batches[0].schema(),
        create: true,
        if_exists,
    };
    let runner = lake.engine.local_runner();
    let shop = Workshop {
        engine: &lake.engine,
        runner: &runner,
        options: &SessionOptions::default(),
        deadline: None,
    };
    let rows = futures::stream::iter(batches.into_iter().map(Ok::<RecordBatch, EngineError>));
    shop.load(&load, rows).await.map(drop)
}

// Goal: a bulk load takes no rows to where nobody could read them. Method: names that are read as a branch, a version or a part of a table,
// of one that is there and of none, whatever is done if it is there; then a plain name.
#[tokio::test]
async fn loads_make_no_tables_that_cannot_be_read() {
    let lake = lake().await;
    done(&lake, "CREATE TABLE s.t AS SELECT 1 AS id").await;
    for table in ["s.t@audit", "s.t$files", "s.fresh@1"] {
        for if_exists in [IfExists::Fail, IfExists::Append, IfExists::Replace] {
            let error = loaded(&lake, table, if_exists).await.expect_err(table);
            assert_eq!(error.code(), "ENG-0017", "{table}: {error}");
            let there = lake.catalog.load_table(&table_name(table)).await;
            assert!(there.expect("an answer").is_none(), "{table}");
        }
    }
    loaded(&lake, "s.fresh", IfExists::Append).await.expect("a load");
    assert_eq!(lake.lines("SELECT id FROM s.fresh").await, ["7"]);
}
