//! What the demo shows: events per second, lag, tables, models, running jobs and the last commits, and how to query.

use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;
use tidewater_catalog_client::JobFilter;
use tokio_util::sync::CancellationToken;

use super::has_screen;
use crate::roles::Running;

/// How often a terminal is drawn anew.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Tables, models and commits named on the screen: all of it fits a terminal of 50 lines.
const TABLES_SHOWN: usize = 8;
const COMMITS_SHOWN: usize = 6;

/// What is shown, as it was asked for last.
#[derive(Debug, Default)]
struct View {
    ingest: Value,
    models: Value,
    /// Names of the models that a job works on, or is to.
    running: Vec<String>,
    now_ms: i64,
}

impl View {
    async fn of(running: &Running) -> Self {
        let ingest = running.ingest.as_ref().map(|ingest| ingest.status());
        let models = match &running.pipelines {
            Some(pipelines) => pipelines.status().await.ok(),
            None => None,
        };
        let open = JobFilter {
            open: true,
            limit: Some(COMMITS_SHOWN),
            ..JobFilter::default()
        };
        let jobs = running.parts.client.jobs(&open).await.unwrap_or_default();
        let name = |body: &Value| Some(body.get("name")?.as_str()?.to_owned());
        Self {
            ingest: ingest.unwrap_or_default(),
            models: models
                .and_then(|models| serde_json::to_value(models).ok())
                .unwrap_or_default(),
            running: jobs.iter().filter_map(|job| name(&job.body)).collect(),
            now_ms: running.parts.clock.now_ms(),
        }
    }

    fn models(&self) -> &[Value] {
        self.models.as_array().map_or(&[], Vec::as_slice)
    }
}

/// Draws until `stop`.
pub(super) async fn show(running: &Running, stop: CancellationToken) {
    let clock = &running.parts.clock;
    print(&howto(running));
    let every = if has_screen() { DRAW_EVERY } else { LINE_EVERY };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(every) => {}
        }
        let view = View::of(running).await;
        if has_screen() {
            // Home and clear: drawing over the old screen does not flicker.
            print(&format!("\x1b[H\x1b[2J{}\n{}", howto(running), screen(&view)));
        } else {
            print(&line(&view));
        }
    }
}

fn number(value: &Value, pointer: &str) -> u64 {
    value
        .pointer(pointer)
        .and_then(|number| number.as_u64().or_else(|| number.as_f64().map(|float| float as u64)))
        .unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn line(view: &View) -> String {
    let tables = list(&view.ingest, "tables");
    let rows: u64 = tables.iter().map(|table| number(table, "/rows")).sum();
    let partitions = list(&view.ingest, "partitions");
    let lag: u64 = partitions.iter().map(|partition| number(partition, "/lag")).sum();
    // A view is read as it is asked for and never has rows of its own.
    let models: Vec<&Value> = view.models().iter().filter(|model| model["kind"] != "view").collect();
    format!(
        "{} events/s, {} bronze tables, {rows} rows, lag {lag} records, {} of {} models have rows, {} running\n",
        number(&view.ingest, "/events_per_second"),
        tables.len(),
        models.iter().filter(|model| !model["rows_total"].is_null()).count(),
        models.len(),
        view.running.len(),
    )
}

fn screen(view: &View) -> String {
    let mut text = line(view);
    tables(&mut text, view);
    models(&mut text, view);
    if !view.running.is_empty() {
        text.push_str(&format!("\n  jobs now: {}\n", view.running.join(", ")));
    }
    commits(&mut text, view);
    text
}

fn tables(text: &mut String, view: &View) {
    let mut tables: Vec<&Value> = list(&view.ingest, "tables").iter().collect();
    tables.sort_by_key(|table| std::cmp::Reverse(number(table, "/rows")));
    text.push_str("\n  bronze table                     rows   commits\n");
    for table in tables.iter().take(TABLES_SHOWN) {
        let name = table["table"].as_str().unwrap_or_default();
        let (rows, commits) = (number(table, "/rows"), number(table, "/commits"));
        text.push_str(&format!("  {name:<28} {rows:>8} {commits:>9}\n"));
    }
}

fn models(text: &mut String, view: &View) {
    text.push_str("\n  model                            rows   lag ms  last run\n");
    let of = |layer: &'static str| {
        let models = view.models().iter();
        models.filter(move |model| model["name"].as_str().is_some_and(|name| name.starts_with(layer)))
    };
    for model in of("gold.").chain(of("silver.").take(TABLES_SHOWN)) {
        let name = model["name"].as_str().unwrap_or_default();
        let mode = model["last_mode"].as_str().unwrap_or("-");
        let (rows, lag) = (number(model, "/rows_total"), number(model, "/lag_ms"));
        text.push_str(&format!("  {name:<28} {rows:>8} {lag:>8}  {mode}\n"));
    }
}

/// Bronze commits all its tables at once; models commit one by one.
fn commits(text: &mut String, view: &View) {
    let mut commits: Vec<(u64, String)> = view
        .models()
        .iter()
        .filter(|model| model["last_run_ms"].is_i64())
        .map(|model| {
            let name = model["name"].as_str().unwrap_or_default();
            let mode = model["last_mode"].as_str().unwrap_or_default();
            (number(model, "/last_run_ms"), format!("{name} ({mode})"))
        })
        .collect();
    let ingested = number(&view.ingest, "/committed_at_ms");
    if ingested > 0 {
        let took = number(&view.ingest, "/commit_ms");
        commits.push((ingested, format!("bronze, all tables at once ({took} ms)")));
    }
    commits.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
    text.push_str("\n  last commits\n");
    for (at_ms, what) in commits.iter().take(COMMITS_SHOWN) {
        let ago = u64::try_from(view.now_ms).unwrap_or_default().saturating_sub(*at_ms) / 1000;
        text.push_str(&format!("  {ago:>4} s ago  {what}\n"));
    }
}

fn howto(running: &Running) -> String {
    let settings = &running.parts.settings;
    let flight = settings.flight_sql.listen;
    // The program that runs, since a build's folder is hardly ever on the path.
    let program = std::env::current_exe().map_or_else(|_| "tidewater".to_owned(), |path| path.display().to_string());
    format!(
        "tidewater demo: 27 hospital services stream their changes. Stop with Ctrl-C.\n\n\
         Query it while it runs:\n\
         \x20 {program} query \"SELECT * FROM gold.operational_kpis ORDER BY kpi_date DESC LIMIT 5\" --endpoint {flight}\n\
         \x20 python3 -c \"import adbc_driver_flightsql.dbapi as d; c = d.connect('grpc://{flight}').cursor(); c.execute('SELECT count(*) FROM silver.appointments'); print(c.fetchall())\"\n\
         \x20 jdbc:arrow-flight-sql://{flight}?useEncryption=false\n\
         \x20 Iceberg REST catalog (Spark, Trino, DuckDB, PyIceberg): {}\n",
        settings.catalog_url(),
    )
}

/// The screen is this program's result; a reader that has gone away is no failure.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("nobody reads the screen");
    }
}
