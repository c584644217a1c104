//! Statements that change something: where they are refused, and where they are carried out.

use super::*;

// Goal: nothing that changes anything runs, under EXPLAIN ANALYZE neither. Method: a statement of every such kind; the rows
// are counted after it.
#[tokio::test]
async fn writes_are_refused() {
    let lake = Lake::new().await;
    for sql in [
        "INSERT INTO numbers SELECT * FROM numbers",
        "EXPLAIN ANALYZE INSERT INTO numbers SELECT * FROM numbers",
        "DELETE FROM numbers",
        "UPDATE numbers SET id = 1",
        "DROP TABLE numbers",
        "CREATE TABLE t AS SELECT 1 AS x",
        "CREATE VIEW v AS SELECT 1 AS x",
        "COPY numbers TO '/tmp/numbers.csv'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let error = lake.text(sql, Bytes::new()).await.expect_err(sql);
        assert!(
            matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Invalid),
            "{sql}: {}",
            error.chain()
        );
    }
    let refused = lake
        .text("DROP TABLE numbers", Bytes::new())
        .await
        .expect_err("a write");
    assert_eq!(refused.code(), "SQL-0001");
    assert_eq!(lake.rows("SELECT count(*) FROM numbers").await, ["10"]);
}

// Goal: statements that change something are carried out once, for those who may, with parameters, and told as drivers expect. Method: one of
// each kind by somebody who may, by somebody who may not, and what a driver is told beforehand.
#[tokio::test]
async fn changes_are_carried_out() {
    let lake = Lake::new().await;
    let local = Principal::local();
    let change = async |sql: &str, parameters: Bytes| {
        let statement = Statement {
            parameters,
            ..Statement::new(sql)
        };
        lake.service.change(&local, &statement).await
    };
    let rows = async |sql: &str, parameters: Bytes| {
        let changed = change(sql, parameters)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        changed.unwrap_or_else(|| panic!("{sql} is a query")).rows()
    };
    assert!(change("SELECT 1", Bytes::new()).await.expect("a query").is_none());
    let prepared = lake
        .prepare("INSERT INTO numbers (id, name, at) VALUES (?, ?, now())")
        .await
        .expect("prepared");
    assert!(
        prepared.schema.fields().is_empty(),
        "by which drivers know that it returns no rows"
    );
    let told: Vec<&DataType> = prepared
        .parameters
        .fields()
        .iter()
        .map(|field| field.data_type())
        .collect();
    assert_eq!(told, [&DataType::Int64, &DataType::Utf8]);
    let values = row(vec![
        Arc::new(Int64Array::from(vec![100])),
        Arc::new(StringArray::from(vec!["it's"])),
    ]);
    assert_eq!(
        rows("INSERT INTO numbers (id, name, at) VALUES (?, ?, now())", values).await,
        1
    );
    assert_eq!(lake.rows("SELECT name FROM numbers WHERE id = 100").await, ["it's"]);
    let at = row(vec![
        Arc::new(TimestampMicrosecondArray::from(vec![5])),
        Arc::new(Int64Array::from(vec![100])),
    ]);
    assert_eq!(rows("UPDATE numbers SET at = $1 WHERE id >= $2", at).await, 1);
    assert_eq!(
        lake.rows("SELECT count(*) FROM numbers WHERE at = arrow_cast(5, 'Timestamp(µs)')")
            .await,
        ["2"]
    );
    assert_eq!(
        change("DELETE FROM numbers WHERE id = $1", Bytes::new())
            .await
            .expect_err("no value")
            .code(),
        "SQL-0003"
    );
    assert_eq!(rows("DELETE FROM numbers WHERE id = 100", Bytes::new()).await, 1);

    let made = change("CREATE TABLE gold.made AS SELECT 1 AS x", Bytes::new())
        .await
        .expect("made")
        .expect("a command");
    let (_, answer) = made.answer().expect("an answer");
    let ticket = Statement {
        answer,
        ..Statement::new("CREATE TABLE gold.made AS SELECT 1 AS x")
    };
    for _ in 0..2 {
        let told = lake.service.answered(&ticket).expect("readable").expect("an answer");
        let batches: Vec<RecordBatch> = told.batches.try_collect().await.expect("rows");
        assert_eq!(
            cells(&pretty_format_batches(&batches).expect("printable").to_string()),
            ["1"]
        );
    }
    let called = lake
        .prepare("CALL system.expire_snapshots('gold.made')")
        .await
        .expect("prepared");
    assert_eq!(called.schema.fields().len(), 6, "a procedure answers with rows");
}
