//! What the demo shows: events per second, lag, tables, models and the last commits, and how to query.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::has_screen;
use crate::roles::Running;

/// How often a terminal is drawn anew.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Tables named on the screen.
const TABLES_SHOWN: usize = 12;

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
        let ingest = running
            .ingest
            .as_ref()
            .map(|ingest| ingest.status())
            .unwrap_or_default();
        let models = match &running.pipelines {
            Some(pipelines) => pipelines
                .status()
                .await
                .ok()
                .and_then(|status| serde_json::to_value(status).ok())
                .unwrap_or_default(),
            None => Value::Null,
        };
        if has_screen() {
            // Home and clear: drawing over the old screen does not flicker.
            print(&format!(
                "\x1b[H\x1b[2J{}\n{}",
                howto(running),
                screen(&ingest, &models)
            ));
        } else {
            print(&line(&ingest, &models));
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

struct Totals {
    tables: usize,
    rows: u64,
    lag: u64,
    models_ready: usize,
    models: usize,
}

fn totals(ingest: &Value, models: &Value) -> Totals {
    let models = models.as_array().map_or(&[][..], Vec::as_slice);
    Totals {
        tables: list(ingest, "tables").len(),
        rows: list(ingest, "tables").iter().map(|table| number(table, "/rows")).sum(),
        lag: list(ingest, "partitions")
            .iter()
            .map(|partition| number(partition, "/lag"))
            .sum(),
        models_ready: models.iter().filter(|model| !model["rows_total"].is_null()).count(),
        models: models.len(),
    }
}

fn line(ingest: &Value, models: &Value) -> String {
    let totals = totals(ingest, models);
    format!(
        "{} events/s, {} bronze tables, {} rows, lag {} records, {} of {} models have rows\n",
        number(ingest, "/events_per_second"),
        totals.tables,
        totals.rows,
        totals.lag,
        totals.models_ready,
        totals.models,
    )
}

fn screen(ingest: &Value, models: &Value) -> String {
    let mut text = line(ingest, models);
    let mut tables: Vec<&Value> = list(ingest, "tables").iter().collect();
    tables.sort_by_key(|table| std::cmp::Reverse(number(table, "/rows")));
    text.push_str("\n  bronze table                rows   commits\n");
    for table in tables.iter().take(TABLES_SHOWN) {
        let name = table["table"].as_str().unwrap_or_default();
        writeln!(
            text,
            "  {name:<24} {:>8} {:>9}",
            number(table, "/rows"),
            number(table, "/commits")
        )
        .unwrap_or_default();
    }
    text.push_str("\n  model                            rows   lag ms  last run\n");
    let models = models.as_array().map_or(&[][..], Vec::as_slice);
    for model in models
        .iter()
        .filter(|model| model["name"].as_str().is_some_and(|name| name.starts_with("gold.")))
        .chain(
            models
                .iter()
                .filter(|model| model["name"].as_str().is_some_and(|name| name.starts_with("silver.")))
                .take(TABLES_SHOWN),
        )
    {
        let name = model["name"].as_str().unwrap_or_default();
        let mode = model["last_mode"].as_str().unwrap_or("-");
        writeln!(
            text,
            "  {name:<28} {:>8} {:>8}  {mode}",
            number(model, "/rows_total"),
            number(model, "/lag_ms")
        )
        .unwrap_or_default();
    }
    text
}

fn howto(running: &Running) -> String {
    let settings = &running.parts.settings;
    let flight = settings.flight_sql.listen;
    format!(
        "tidewater demo: 27 hospital services stream their changes. Stop with Ctrl-C.\n\n\
         Query it while it runs:\n\
         \x20 tidewater query \"SELECT * FROM gold.operational_kpis ORDER BY kpi_date DESC LIMIT 5\" --endpoint {flight}\n\
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
