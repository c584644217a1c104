//! What people read: plans and mistakes.

use super::*;

// Goal: EXPLAIN tells where a statement would run and what it would read, ANALYZE too. Method: explain a scan, both ways.
#[tokio::test]
async fn explanations_tell_the_route() {
    let lake = Lake::new().await;
    let rows = lake
        .rows("EXPLAIN SELECT id FROM numbers WHERE id > 3")
        .await
        .join("\n");
    for expected in [
        "logical_plan",
        "route",
        "local",
        "reason",
        "gold.numbers",
        "1 of 1 files",
    ] {
        assert!(rows.contains(expected), "no {expected} in:\n{rows}");
    }
    assert!(rows.contains("manifests") && !rows.contains("footers"), "{rows}");
    let analyzed = lake.rows("EXPLAIN ANALYZE SELECT id FROM numbers WHERE id > 3").await;
    let analyzed = analyzed.join("\n");
    for expected in [
        "output_rows",
        "route",
        "analyzed",
        "gold.numbers",
        "1 of 1 files",
        "manifests",
        "footers",
        "cache",
    ] {
        assert!(analyzed.contains(expected), "no {expected} in:\n{analyzed}");
    }
}

// Goal: an error names what is wrong with the statement. Method: the usual mistakes.
#[tokio::test]
async fn mistakes_are_named() {
    let lake = Lake::new().await;
    for (sql, word) in [
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM numbers", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT CAST(name AS INT) FROM numbers", "n0"),
        ("SELECT 1; SELECT 2", "statement"),
    ] {
        let error = lake.text(sql, Bytes::new()).await.expect_err(sql);
        assert!(
            matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
            "{sql}: {}",
            error.chain()
        );
        assert!(error.chain().contains(word), "{sql}: {}", error.chain());
    }
}
