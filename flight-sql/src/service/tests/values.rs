//! Columns and parameters as they are told, and values as they are bound.

use super::*;

// Goal: clients are told the columns and parameters that come. Method: a placeholder of each kind, and one that is left out.
#[tokio::test]
async fn columns_and_parameters_are_told() {
    let lake = Lake::new().await;
    let sql = "SELECT id, name FROM numbers WHERE id > ? AND at < ? AND name = CAST(? AS VARCHAR)";
    let prepared = lake.prepare(sql).await.expect("a plan");
    let types = |schema: &SchemaRef| {
        schema
            .fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&prepared.schema), [DataType::Int64, DataType::Utf8]);
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!(types(&prepared.parameters), [DataType::Int64, millis, DataType::Utf8]);
    let prepared = lake
        .prepare("SELECT $11 AS a, CAST($2 AS INT) AS b")
        .await
        .expect("a plan");
    assert_eq!(prepared.parameters.fields().len(), 11);
    assert_eq!(prepared.parameters.field(1).data_type(), &DataType::Int32);
    assert_eq!(prepared.parameters.field(10).name(), "$11");
    for sql in [
        "SELECT $70000",
        "UPDATE numbers SET name = $18446744073709551615",
        "INSERT INTO nowhere VALUES ($4000000000)",
    ] {
        let refused = lake.prepare(sql).await.expect_err("too many parameters");
        assert_eq!(refused.code(), "SQL-0003", "{sql}");
    }
}

// Goal: values take the places of their numbers, and decide types that the text left open. Method: numbers out of order, and
// a bare placeholder.
#[tokio::test]
async fn values_are_bound_by_number() {
    let lake = Lake::new().await;
    let sql = "SELECT name FROM numbers WHERE id BETWEEN $2 AND $1 ORDER BY id";
    let text = lake.text(sql, row(vec![long(4), long(3)])).await.expect("rows");
    assert_eq!(cells(&text), ["n3", "n4"]);
    let statement = Statement {
        parameters: row(vec![Arc::new(Int32Array::from(vec![7]))]),
        ..Statement::new("SELECT ? AS v")
    };
    let schema = lake
        .service
        .result_schema(&Principal::local(), &statement)
        .await
        .expect("a schema");
    assert_eq!(schema.field(0).data_type(), &DataType::Int32);
    let text = lake.text(&statement.sql, statement.parameters).await.expect("a row");
    assert_eq!(cells(&text), ["7"]);
}

// Goal: a statement never runs with values missing or unreadable. Method: none, too few, and bytes that are no row.
#[tokio::test]
async fn missing_values_are_refused() {
    let lake = Lake::new().await;
    let sql = "SELECT id FROM numbers WHERE id IN ($1, $2)";
    for parameters in [Bytes::new(), row(vec![long(1)]), Bytes::from_static(b"no row")] {
        let error = lake.text(sql, parameters).await.expect_err("it must not run");
        assert_eq!((error.code(), error.kind()), ("SQL-0003", ErrorKind::Invalid));
    }
}
