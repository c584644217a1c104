use datafusion::arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;
use tidewater_engine::{Class, SessionOptions};

use crate::testing::{Lake, lines};
use crate::{Pipelines, RunOptions, Selection};

/// What the planner alone takes for something else: sets that are counted, columns that are joined by, exact quotients, correlated
/// counts, pairs, and orders within groups.
const QUERIES: [&str; 7] = [
    "SELECT team FROM silver.a EXCEPT ALL SELECT team FROM silver.b",
    "SELECT team, a.id AS left_id, b.id AS right_id FROM silver.a FULL JOIN silver.b USING (team)",
    "SELECT id, cast(id AS decimal(10, 2)) / 7 AS share FROM silver.a",
    "SELECT id, (SELECT count(*) FROM silver.b WHERE b.team = a.team) AS others FROM silver.a",
    "SELECT id FROM silver.a WHERE (id, team) IN (SELECT id, team FROM silver.b)",
    "SELECT a.*, 1.5 * id AS more FROM silver.a",
    "SELECT DISTINCT ON (team) team, id FROM silver.a ORDER BY team, id DESC",
];

/// What is refused, as the planner would answer with other rows.
const REFUSED: &str = "SELECT * FROM silver.a FULL JOIN silver.b USING (team)";

async fn lake() -> Lake {
    let lake = Lake::new();
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("team", DataType::Utf8, true),
    ]);
    let row = |id: i64, team: Option<&str>| json!({"id": id, "team": team});
    for (name, rows) in [
        (
            "silver.a",
            [row(1, Some("x")), row(2, Some("x")), row(3, None), row(4, Some("z"))],
        ),
        (
            "silver.b",
            [row(1, Some("x")), row(5, None), row(6, Some("y")), row(7, Some("z"))],
        ),
    ] {
        lake.create(name, &columns).await;
        lake.append(name, &rows).await;
    }
    lake
}

/// The rows of the model as it is asked for, in an order of their own.
async fn rows_of_model(lake: &Lake, pipelines: &Pipelines) -> Vec<String> {
    let sql = "SELECT * FROM gold.answer";
    let options = SessionOptions::default();
    let options = pipelines.views().for_statement(&lake.engine, options, sql, 0).await;
    let session = lake.engine.session(Class::Interactive, &options);
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
    let mut rows = lines(&rows.collect().await.expect("rows"));
    rows.sort();
    rows
}

fn of_kind(lake: &Lake, kind: &str, query: &str) -> Pipelines {
    let text = format!("/*---\nkind: {kind}\n---*/\n{query}");
    lake.pipelines(&[("gold.answer", &text)])
}

// Goal: a model's query has the rows that it has where it is asked, whatever kind the model is of, and is refused where it is refused there.
// Method: queries that the planner alone takes for something else, as models and by SQL.
#[tokio::test]
async fn models_mean_what_sql_means() {
    for query in QUERIES {
        let lake = lake().await;
        let mut expected = lake.lines(query).await;
        expected.sort();
        assert!(!expected.is_empty(), "{query}");
        let view = of_kind(&lake, "view", query);
        assert_eq!(rows_of_model(&lake, &view).await, expected, "view: {query}");
        let table = of_kind(&lake, "table", query);
        let report = table.run(&Selection::All, RunOptions::default()).await;
        let report = report.expect("a run");
        assert!(report.succeeded(), "{query}: {report:?}");
        assert_eq!(rows_of_model(&lake, &table).await, expected, "table: {query}");
    }
    let lake = lake().await;
    let session = lake.engine.session(Class::Interactive, &SessionOptions::default());
    let told = lake.engine.plan(&session, REFUSED).await.expect_err("it is refused");
    let report = of_kind(&lake, "table", REFUSED)
        .run(&Selection::All, RunOptions::default())
        .await
        .expect("a run");
    let failure = report.models[0].failure.clone().expect("it is refused");
    assert!(format!("{told:?}").contains("USING"), "{told:?}");
    assert!(failure.message.contains("USING"), "{failure:?}");
}
