use serde_json::json;
use tidewater_table::{Alteration, alter_table, expire};

use crate::sql::RunTime;
use crate::testing::{Lake, change, log_columns, patient, table_name};
use crate::{Mode, Pipelines, RunOptions, Selection};

const SILVER: (&str, &str) = (
    "silver.patients",
    "/*---\nkind: cdc\nsource: bronze.patients\nkey: id\n---*/",
);

// Goal: a table model is rebuilt when an input moved, and only then, views seen through. Method: commits in between.
#[tokio::test]
async fn tables_are_rebuilt_when_inputs_move() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[
        SILVER,
        (
            "silver.low",
            "/*---\nkind: view\n---*/ SELECT id, score FROM silver.patients WHERE score < 50",
        ),
        (
            "gold.low_count",
            "/*---\nkind: table\n---*/ SELECT count(*) AS n FROM silver.low",
        ),
    ]);
    lake.create("bronze.patients", &log_columns(patient())).await;
    let mode = async || {
        let plan = pipelines
            .plan(&Selection::All, RunOptions::default())
            .await
            .expect("a plan");
        plan.into_iter()
            .map(|plan| (plan.mode, plan.reason))
            .collect::<Vec<_>>()
    };
    let run = async || {
        let report = pipelines
            .run(&Selection::All, RunOptions::default())
            .await
            .expect("a run");
        assert!(report.succeeded(), "{report:?}");
    };
    let before = mode().await;
    assert_eq!(before[0], (Mode::Full, "first run".into()));
    assert_eq!(before[2], (Mode::Waiting, "silver.patients does not exist yet".into()));
    lake.append(
        "bronze.patients",
        &[change("c", 1, 0, 1, 10, None), change("c", 2, 1, 2, 70, None)],
    )
    .await;
    run().await;
    assert_eq!(lake.lines("SELECT n FROM gold.low_count").await, ["1"]);
    assert!(
        mode()
            .await
            .iter()
            .all(|(mode, _)| matches!(mode, Mode::UpToDate | Mode::View))
    );
    lake.append("bronze.patients", &[change("u", 3, 2, 2, 20, None)]).await;
    assert_eq!(
        mode().await[0],
        (Mode::Incremental, "1 new snapshots of bronze.patients".into())
    );
    run().await;
    assert_eq!(lake.lines("SELECT n FROM gold.low_count").await, ["2"]);
    assert_eq!(lake.load("gold.low_count").await.metadata.snapshots().len(), 2);
    let status = pipelines.status().await.expect("a status");
    assert_eq!(status[0].rows_total, Some(2));
    assert_eq!(status[0].lag_ms, Some(0));
}

// Goal: run_ts() is the time asked for, and another time is another run. Method: two runs as of two moments.
#[tokio::test]
async fn runs_as_of_a_time() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, None)]).await;
    let pipelines = lake.pipelines(&[(
        "gold.clock",
        "/*---\nkind: table\n---*/ SELECT run_ts() AS t, run_date() AS d, count(*) AS n FROM bronze.patients",
    )]);
    for (as_of_ms, expected) in [
        (0, "1970-01-01T00:00:00Z,1970-01-01,1"),
        (86_400_000, "1970-01-02T00:00:00Z,1970-01-02,1"),
    ] {
        let options = RunOptions {
            as_of_ms: Some(as_of_ms),
            full_refresh: false,
        };
        let report = pipelines.run(&Selection::All, options).await.expect("a run");
        assert!(report.succeeded(), "{report:?}");
        assert_eq!(lake.lines("SELECT t, d, n FROM gold.clock").await, [expected]);
        let again = pipelines.run(&Selection::All, options).await.expect("a run");
        assert_eq!(again.models[0].mode, Mode::UpToDate);
    }
}

/// Runs all models and tells how the last one ran.
async fn last_run(pipelines: &Pipelines, as_of_ms: i64) -> (Mode, String) {
    let options = RunOptions {
        as_of_ms: Some(as_of_ms),
        full_refresh: false,
    };
    let report = pipelines.run(&Selection::All, options).await.expect("a run");
    assert!(report.succeeded(), "{report:?}");
    let run = report.models.into_iter().next_back().expect("a model");
    (run.mode, run.reason)
}

// Goal: a table is made anew when a view that it reads comes to mean something else, also behind another view, though no table has changed.
// Method: a view with another condition, there and back, and one that asks for the day.
#[tokio::test]
async fn tables_are_rebuilt_when_their_views_change() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let changes = [change("c", 1, 0, 1, 10, None), change("c", 2, 1, 2, 70, None)];
    lake.append("bronze.patients", &changes).await;
    let of_view = |view: &str| {
        lake.pipelines(&[
            ("silver.some", &format!("/*---\nkind: view\n---*/ {view}")),
            ("silver.seen", "/*---\nkind: view\n---*/ SELECT * FROM silver.some"),
            (
                "gold.summary",
                "/*---\nkind: table\n---*/ SELECT max(n) AS n FROM silver.seen",
            ),
        ])
    };
    let changed = (Mode::Full, "the model has changed since its last run".to_owned());
    let few = of_view("SELECT _lsn AS n FROM bronze.patients WHERE _lsn < 2");
    assert_eq!(last_run(&few, 0).await.0, Mode::Full);
    assert_eq!(last_run(&few, 0).await.0, Mode::UpToDate);
    assert_eq!(lake.lines("SELECT n FROM gold.summary").await, ["1"]);
    let all = of_view("SELECT _lsn AS n FROM bronze.patients");
    assert_eq!(last_run(&all, 0).await, changed);
    assert_eq!(lake.lines("SELECT n FROM gold.summary").await, ["2"]);
    assert_eq!(last_run(&few, 0).await, changed);
    assert_eq!(lake.lines("SELECT n FROM gold.summary").await, ["1"]);

    let day = of_view("SELECT _lsn + date_part('day', run_date()) AS n FROM bronze.patients WHERE _lsn < 2");
    let day = day.project().models[&table_name("gold.summary")].run_time;
    assert_eq!(day, RunTime::Date);
}

// Goal: a table over a view that asks for the day is made anew on the next one. Method: runs as of three times on two days.
#[tokio::test]
async fn days_are_seen_through_views() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, None)]).await;
    let pipelines = lake.pipelines(&[
        (
            "gold.by_day",
            "/*---\nkind: table\n---*/ SELECT max(d) AS d FROM silver.today",
        ),
        (
            "silver.today",
            "/*---\nkind: view\n---*/ SELECT run_date() AS d FROM bronze.patients",
        ),
    ]);
    for (as_of_ms, mode, day) in [
        (0, Mode::Full, "1970-01-01"),
        (3_600_000, Mode::UpToDate, "1970-01-01"),
        (86_400_000, Mode::Full, "1970-01-02"),
    ] {
        assert_eq!(last_run(&pipelines, as_of_ms).await.0, mode);
        assert_eq!(lake.lines("SELECT d FROM gold.by_day").await, [day]);
    }
}

// Goal: a log that was empty at the last run, and of which the first snapshots are gone by now, is read as a whole. Method: an expiry between
// two runs.
#[tokio::test]
async fn the_first_snapshots_are_gone() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let pipelines = lake.pipelines(&[SILVER]);
    assert_eq!(last_run(&pipelines, 0).await.0, Mode::Full);
    for id in 1..=3 {
        lake.append("bronze.patients", &[change("c", id, id, id, 10, None)])
            .await;
    }
    let log = table_name("bronze.patients");
    let expired = expire(lake.catalog.as_ref(), &lake.store, &log, 1_u32).await;
    assert_eq!(expired.expect("an expiry").snapshots.len(), 2);
    let reason = "the first snapshots of bronze.patients, which was empty at the last run, were expired";
    assert_eq!(last_run(&pipelines, 0).await, (Mode::Full, reason.to_owned()));
    assert_eq!(lake.lines("SELECT count(*) FROM silver.patients").await, ["3"]);
}

// Goal: rows that were read have the values of a column that got another name, as those have that are read later. Method: a new name between
// two runs; then an increment again.
#[tokio::test]
async fn columns_of_a_log_get_other_names() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    let pipelines = lake.pipelines(&[SILVER]);
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, Some("a"))])
        .await;
    assert_eq!(last_run(&pipelines, 0).await.0, Mode::Full);
    let log = table_name("bronze.patients");
    let renamed = Alteration::RenameColumn("after.notes".into(), "remarks".to_owned());
    alter_table(lake.catalog.as_ref(), &lake.store, &log, &[renamed])
        .await
        .expect("an altered table");
    for (id, mode) in [(2, Mode::Full), (3, Mode::Incremental)] {
        let mut event = change("c", id, id, id, 10, None);
        event["after"]["remarks"] = json!("b");
        lake.append("bronze.patients", &[event]).await;
        assert_eq!(last_run(&pipelines, 0).await.0, mode);
    }
    let rows = "SELECT id, notes, remarks FROM silver.patients ORDER BY id";
    assert_eq!(lake.lines(rows).await, ["1,,a", "2,,b", "3,,b"]);
}

// Goal: a group is published in one transaction. Method: two tables of a group; the catalog counts its commits.
#[tokio::test]
async fn groups_commit_together() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, None)]).await;
    let pipelines = lake.pipelines(&[
        (
            "gold.a",
            "/*---\nkind: table\ngroup: g\n---*/ SELECT count(*) AS n FROM bronze.patients",
        ),
        (
            "gold.b",
            "/*---\nkind: table\ngroup: g\n---*/ SELECT max(_lsn) AS n FROM bronze.patients",
        ),
    ]);
    let before = lake.catalog.commits();
    let report = pipelines
        .run(&Selection::All, RunOptions::default())
        .await
        .expect("a run");
    assert!(report.succeeded(), "{report:?}");
    assert_eq!(lake.catalog.commits() - before, 1);
    assert_eq!(lake.lines("SELECT a.n, b.n FROM gold.a a, gold.b b").await, ["1,1"]);
}

// Goal: a failure stops what depends on it and nothing else. Method: a model that divides by zero, a reader, a bystander.
#[tokio::test]
async fn failures_stop_what_depends_on_them() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, None)]).await;
    let pipelines = lake.pipelines(&[
        (
            "gold.bad",
            "/*---\nkind: table\n---*/ SELECT _lsn / (_lsn - 1) AS n FROM bronze.patients",
        ),
        ("gold.reader", "/*---\nkind: table\n---*/ SELECT n FROM gold.bad"),
        (
            "gold.fine",
            "/*---\nkind: table\n---*/ SELECT _lsn AS n FROM bronze.patients",
        ),
        (
            "gold.misspelt",
            "/*---\nkind: table\n---*/ SELECT _lsm AS n FROM bronze.patients",
        ),
    ]);
    let report = pipelines
        .run(&Selection::All, RunOptions::default())
        .await
        .expect("a report");
    let codes: Vec<(String, Option<String>)> = report
        .models
        .iter()
        .map(|run| (run.name.name().into(), run.failure.clone().map(|f| f.code)))
        .collect();
    let code = |name: &str| codes.iter().find(|(model, _)| model == name).expect("a run").1.clone();
    assert_eq!(code("bad").as_deref(), Some("PIP-0018"));
    assert_eq!(code("reader").as_deref(), Some("PIP-0021"));
    assert_eq!(code("fine"), None);
    assert_eq!(code("misspelt").as_deref(), Some("PIP-0006"));
    assert!(json!(report)["models"][0]["name"].is_string());
    assert!(lake.catalog_has("gold.fine").await && table_name("gold.fine").name() == "fine");
}

// Goal: words choose models. Method: names, patterns, tags and both directions.
#[tokio::test]
async fn selections() {
    let lake = Lake::new();
    let pipelines = lake.pipelines(&[
        SILVER,
        (
            "gold.a",
            "/*---\nkind: table\ntags: [phi]\n---*/ SELECT id FROM silver.patients",
        ),
        ("gold.b", "/*---\nkind: table\n---*/ SELECT id FROM gold.a"),
    ]);
    let chosen = |word: &str| {
        let names = Selection::of([word.to_owned()]).resolve(pipelines.project());
        names.map(|names| {
            names
                .iter()
                .map(|name| name.name().to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    for (word, expected) in [
        ("silver.patients", "patients"),
        ("gold.*", "a b"),
        ("tag:phi", "a"),
        ("+gold.a", "patients a"),
        ("gold.a+", "a b"),
        ("+gold.a+", "patients a b"),
        ("b", "b"),
    ] {
        assert_eq!(chosen(word).expect("a selection"), expected, "{word}");
    }
    assert_eq!(
        chosen("gold.aa").expect_err("unknown").to_string(),
        "no model is named gold.aa"
    );
}

// Goal: a table whose column was renamed is made anew, though no input has moved. Method: a rename between two runs.
#[tokio::test]
async fn columns_of_tables_get_other_names() {
    let lake = Lake::new();
    lake.create("bronze.patients", &log_columns(patient())).await;
    lake.append("bronze.patients", &[change("c", 1, 0, 1, 10, None)]).await;
    let pipelines = lake.pipelines(&[(
        "gold.low",
        "/*---\nkind: table\n---*/ SELECT _lsn AS n, _offset AS k FROM bronze.patients",
    )]);
    assert_eq!(last_run(&pipelines, 0).await.0, Mode::Full);
    assert_eq!(last_run(&pipelines, 0).await.0, Mode::UpToDate);
    let renamed = Alteration::RenameColumn("n".into(), "former".to_owned());
    let name = table_name("gold.low");
    alter_table(lake.catalog.as_ref(), &lake.store, &name, &[renamed])
        .await
        .expect("an altered table");
    let reason = "column n of its table was dropped or renamed since the last run";
    assert_eq!(last_run(&pipelines, 0).await, (Mode::Full, reason.to_owned()));
    assert_eq!(lake.lines("SELECT n, k, former FROM gold.low").await, ["1,0,"]);
    assert_eq!(last_run(&pipelines, 0).await.0, Mode::UpToDate);
}
