//! Several rows of parameters of one statement.

use super::*;

// Goal: all rows of parameters of an INSERT come in one commit or not at all, in the place of their placeholders. Method: three rows
// with texts that look like parts of statements, then three of which the last is no number; statements that take one row at a time.
#[tokio::test]
async fn rows_of_parameters_come_together() {
    let lake = Lake::new().await;
    let change = async |sql: &str, columns: Vec<ArrayRef>| {
        let statement = Statement {
            parameters: row(columns),
            ..Statement::new(sql)
        };
        lake.service.change(&Principal::local(), &statement).await
    };
    let snapshots = async || lake.rows("SELECT count(*) FROM \"numbers$snapshots\"").await;
    let before = snapshots().await;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![201, 202, 203]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["it's", "b", "$1"]));
    let insert = "INSERT INTO numbers (name, id, at) VALUES ($2, $1, now())";
    let done = change(insert, vec![ids, names])
        .await
        .expect("inserted")
        .expect("a command");
    assert_eq!(done.rows(), 3);
    let found = lake
        .rows("SELECT id, name FROM numbers WHERE id > 200 ORDER BY id")
        .await;
    assert_eq!(found, ["201 | it's", "202 | b", "203 | $1"]);
    let one_more = |count: &[String]| (count[0].parse::<u64>().expect("a number") + 1).to_string();
    assert_eq!(snapshots().await, [one_more(&before)]);

    let texts: ArrayRef = Arc::new(StringArray::from(vec!["301", "302", "no number"]));
    let refused = change("INSERT INTO numbers SELECT CAST($1 AS BIGINT), 'x', now()", vec![texts]).await;
    let refused = refused.expect_err("one of them is no number").chain();
    assert!(refused.contains("no number"), "{refused}");
    assert!(lake.rows("SELECT id FROM numbers WHERE id > 300").await.is_empty());
    for (sql, together) in [
        (insert, true),
        ("INSERT INTO numbers (id) SELECT ?", true),
        ("INSERT INTO numbers (id) VALUES (7)", false),
        ("INSERT INTO numbers (id) SELECT id + ? FROM numbers", false),
        ("INSERT INTO numbers (id) VALUES (?) ON CONFLICT (id) DO NOTHING", false),
        ("UPDATE numbers SET id = ?", false),
        ("SELECT ?", false),
    ] {
        assert_eq!(lake.service.takes_rows(sql), together, "{sql}");
    }
}
