//! Reports of clients.

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, new_table};
use crate::reports::REPORT_BYTES_MAX;

// Goal: reports are kept and found by table, kind and cursor. Method: reports about two tables, then questions.
#[tokio::test]
async fn reports_are_kept() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.post(TABLES, new_table("u")).await.status, 200);
    let scan = json!({"report-type": "scan-report", "table-name": "a.t", "snapshot-id": 1, "filter": true, "schema-id": 0,
        "projected-field-ids": [1], "projected-field-names": ["id"], "metrics": {"result-data-files": {"unit": "count", "value": 3}}});
    let commit = json!({"report-type": "commit-report", "table-name": "a.t", "snapshot-id": 2, "sequence-number": 2, "operation": "append", "metrics": {}});
    for (table, report) in [("t", &scan), ("t", &commit), ("u", &scan)] {
        let reply = kit.post(&format!("{TABLES}/{table}/metrics"), report.clone()).await;
        assert_eq!((reply.status, reply.body), (204, Value::Null));
    }
    let ask = async |query: &str| kit.get(&format!("/internal/v1/metrics-reports{query}")).await.body;
    let all = ask("").await;
    assert_eq!(all["reports"].as_array().map(Vec::len), Some(3));
    assert_eq!((&all["cursor"], &all["lost"]), (&json!(3), &json!(false)));
    assert_eq!(all["reports"][0]["report"], scan);
    assert_eq!(
        (&all["reports"][2]["namespace"], &all["reports"][2]["table"]),
        (&json!(["a"]), &json!("u"))
    );
    assert_eq!(
        ask("?namespace=a&table=t&report_type=commit-report").await["reports"][0]["report"],
        commit
    );
    assert_eq!(ask("?namespace=b").await["reports"], json!([]));
    let page = ask("?limit=2").await;
    assert_eq!(
        (page["reports"].as_array().map(Vec::len), &page["cursor"]),
        (Some(2), &json!(2))
    );
    assert_eq!(ask("?after=2").await["reports"].as_array().map(Vec::len), Some(1));
}

// Goal: what is no report is refused, the table named. Method: odd bodies, a large one, a table that is not there.
#[tokio::test]
async fn odd_reports_are_refused() {
    let kit = Kit::with_table().await;
    let path = format!("{TABLE}/metrics");
    for body in [
        json!({}),
        json!([]),
        json!({"report-type": 1}),
        json!({"report-type": "weather"}),
    ] {
        assert_eq!(kit.post(&path, body.clone()).await.status, 400, "{body}");
    }
    let large = json!({"report-type": "scan-report", "x": "y".repeat(REPORT_BYTES_MAX)});
    let refused = kit.post(&path, large).await;
    assert_eq!((refused.status, refused.kind()), (413, "RequestTooLargeException"));
    assert!(
        refused.message().contains(&REPORT_BYTES_MAX.to_string()),
        "{}",
        refused.message()
    );
    let missing = kit
        .post(&format!("{TABLES}/none/metrics"), json!({"report-type": "scan-report"}))
        .await;
    assert_eq!((missing.status, missing.kind()), (404, "NoSuchTableException"));
    assert_eq!(kit.get("/internal/v1/metrics-reports").await.body["reports"], json!([]));
}
