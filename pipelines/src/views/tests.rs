use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use serde_json::json;

use crate::testing::{Lake, lines};
use tidewater_engine::{Class, SessionOptions};
use tidewater_table::{Catalog, NewView};

/// The views that a statement gets, by name, and the tables that are pinned with them.
async fn given(lake: &Lake, pipelines: &crate::Pipelines, sql: &str) -> (Vec<String>, usize) {
    let views = pipelines.views();
    let options = views
        .for_statement(&lake.engine, SessionOptions::default(), sql, 0)
        .await;
    let mut names: Vec<String> = options.overlay.keys().map(ToString::to_string).collect();
    names.sort();
    (names, options.moment.len())
}

// Goal: a statement gets the views that it names, however it spells them, with those they read, and no others; all tables behind
// them and beside them are of one moment. Method: views over views; names in other letters, in strings and in comments; a commit
// between the making of a session and its plan.
#[tokio::test]
async fn statements_get_the_views_they_name() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[
        (
            "silver.low",
            "/*---\nkind: view\n---*/ SELECT id FROM silver.scores WHERE score < 50",
        ),
        (
            "gold.lowest",
            "/*---\nkind: view\n---*/ SELECT id FROM silver.low WHERE id < 10",
        ),
        ("gold.other", "/*---\nkind: view\n---*/ SELECT id FROM silver.scores"),
    ]);
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("score", DataType::Int64, true),
    ]);
    lake.create("silver.scores", &columns).await;
    lake.append(
        "silver.scores",
        &[json!({"id": 1, "score": 10}), json!({"id": 2, "score": 90})],
    )
    .await;
    let none = (Vec::new(), 0);
    assert_eq!(
        given(&lake, &pipelines, "SELECT 'gold.lowest' /* silver.low */").await,
        none
    );
    assert_eq!(given(&lake, &pipelines, "SELECT lowest FROM silver.scores").await, none);
    assert_eq!(given(&lake, &pipelines, "SELEC").await, none);
    let both = vec!["gold.lowest".to_owned(), "silver.low".to_owned()];
    for sql in [
        "SELECT * FROM GOLD.Lowest",
        "DESCRIBE gold.lowest",
        "SELECT * FROM lowest",
    ] {
        assert_eq!(given(&lake, &pipelines, sql).await, (both.clone(), 1), "{sql}");
    }
    let (all, _) = given(&lake, &pipelines, "SELECT * FROM information_schema.tables").await;
    assert_eq!(all.len(), 3);
    let sql = "SELECT (SELECT count(*) FROM gold.lowest) AS a, (SELECT count(*) FROM silver.scores) AS b";
    let views = pipelines.views();
    let options = views
        .for_statement(&lake.engine, SessionOptions::default(), sql, 0)
        .await;
    lake.append("silver.scores", &[json!({"id": 3, "score": 20})]).await;
    let session = lake.engine.session(Class::Interactive, &options);
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
    assert_eq!(lines(&rows.collect().await.expect("rows")), ["1,2"]);
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_type = 'VIEW' ORDER BY table_name";
    let options = views
        .for_statement(&lake.engine, SessionOptions::default(), sql, 0)
        .await;
    let session = lake.engine.session(Class::Interactive, &options);
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
    let listed = lines(&rows.collect().await.expect("rows")).join(" ");
    for name in ["low", "lowest", "other"] {
        assert!(listed.contains(name), "{listed}");
    }
}

// Goal: views are made again only when what they read has changed, also through other views; one that asks when it runs is made each time;
// and readers see what is there. Method: the same statement before and after changes; views are compared by the pointer.
#[tokio::test]
async fn views_stay_while_their_tables_do() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[
        (
            "silver.low",
            "/*---\nkind: view\n---*/ SELECT id FROM silver.scores WHERE score < 50",
        ),
        ("gold.lowest", "/*---\nkind: view\n---*/ SELECT id FROM silver.low"),
        (
            "gold.today",
            "/*---\nkind: view\n---*/ SELECT id, run_date() AS day FROM silver.low",
        ),
    ]);
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("score", DataType::Int64, true),
    ]);
    lake.create("silver.scores", &columns).await;
    lake.create("silver.other", &columns).await;
    let sql = "SELECT a.id FROM gold.lowest a JOIN gold.today b ON a.id = b.id ORDER BY a.id";
    let views = pipelines.views();
    let mut before: Option<[Arc<dyn TableProvider>; 3]> = None;
    for (table, rows, lasting, wanted) in [
        ("silver.scores", json!({"id": 1, "score": 10}), false, "1"),
        ("silver.other", json!({"id": 1, "score": 10}), true, "1"),
        ("silver.scores", json!({"id": 2, "score": 20}), false, "1 2"),
    ] {
        lake.append(table, &[rows]).await;
        for again in [false, true] {
            let options = views
                .for_statement(&lake.engine, SessionOptions::default(), sql, 0)
                .await;
            let made = |name: &str| options.overlay[&name.parse().expect("a name")].clone();
            let all = ["silver.low", "gold.lowest", "gold.today"].map(made);
            if let Some(before) = before.replace(all.clone()) {
                let same: Vec<bool> = all.iter().zip(&before).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
                let lasts = lasting || again;
                assert_eq!(same, [lasts, lasts, false], "{table}");
            }
            let session = lake.engine.session(Class::Interactive, &options);
            let plan = lake.engine.plan(&session, sql).await.expect("a plan");
            let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
            assert_eq!(lines(&rows.collect().await.expect("rows")).join(" "), wanted, "{table}");
        }
    }
}

// Goal: a session that sees a table as it stood sees it so through a view too. Method: a session with an older state of the table, one of
// an earlier moment, and one of now.
#[tokio::test]
async fn what_is_pinned_is_seen_through_views() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[("gold.all", "/*---\nkind: view\n---*/ SELECT id FROM silver.scores")]);
    let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
    lake.create("silver.scores", &columns).await;
    lake.append("silver.scores", &[json!({"id": 1})]).await;
    let names = vec!["silver.scores".parse().expect("a name")];
    let pinned = SessionOptions {
        moment: Arc::new(lake.engine.moment(names).await.expect("a table")),
        ..SessionOptions::default()
    };
    let began = SessionOptions {
        one_moment: Some(Arc::default()),
        ..SessionOptions::default()
    };
    let names = vec!["silver.scores".parse().expect("a name")];
    lake.engine.moment_of(&began, names).await.expect("a table");
    lake.append("silver.scores", &[json!({"id": 2})]).await;
    let sql = "SELECT id FROM gold.all ORDER BY id";
    for (client, wanted) in [(pinned, "1"), (began, "1"), (SessionOptions::default(), "1 2")] {
        let options = pipelines.views().for_statement(&lake.engine, client, sql, 0).await;
        let session = lake.engine.session(Class::Interactive, &options);
        let plan = lake.engine.plan(&session, sql).await.expect("a plan");
        let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
        assert_eq!(lines(&rows.collect().await.expect("rows")).join(" "), wanted);
    }
}

// Goal: a statement may name views of the project and of the catalog together, in a transaction at one moment. Method: one of each over the
// same table, joined, in a session of before a commit and in one of now.
#[tokio::test]
async fn views_of_both_kinds_stand_together() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[("gold.seen", "/*---\nkind: view\n---*/ SELECT id FROM silver.scores")]);
    let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
    lake.create("silver.scores", &columns).await;
    lake.append("silver.scores", &[json!({"id": 1})]).await;
    let schema = tidewater_table::schema::from_arrow(&columns, 1).expect("a schema");
    let name = "silver.same".parse().expect("a name");
    let view = NewView::new(name, schema, "tidewater", "SELECT id FROM silver.scores");
    lake.catalog.create_view(view).await.expect("a view");
    let began = SessionOptions {
        one_moment: Some(Arc::default()),
        ..SessionOptions::default()
    };
    let sql = "SELECT a.id FROM gold.seen a JOIN silver.same b ON a.id = b.id ORDER BY a.id";
    let before = (began.clone(), "1", true);
    for (client, wanted, writes) in [before, (began, "1", false), (SessionOptions::default(), "1 2", false)] {
        let options = pipelines.views().for_statement(&lake.engine, client, sql, 0).await;
        let session = lake.engine.session(Class::Interactive, &options);
        let plan = lake.engine.plan(&session, sql).await.expect("a plan");
        let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
        assert_eq!(lines(&rows.collect().await.expect("rows")).join(" "), wanted);
        if writes {
            lake.append("silver.scores", &[json!({"id": 2})]).await;
        }
    }
}
