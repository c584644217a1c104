//! Logs on standard error: text for a terminal, JSON when asked.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged when `TIDEWATER_LOG` says nothing: our own state changes, and what goes wrong below. Ballista logs whole
/// plans at INFO, and as errors that it cannot draw a plan of a union with its metrics.
const DEFAULT_FILTER: &str = "info,ballista_scheduler=error,ballista_scheduler::display=off,ballista_executor=error,ballista_core=error,datafusion=warn,openraft=error,\
     h2=warn,hyper=warn,tower=warn,librdkafka=warn,rdkafka=warn";

/// Starts logging. `quiet` leaves the terminal to a live screen: warnings and errors only.
pub(crate) fn start(quiet: bool) {
    let fallback = if quiet {
        "warn,openraft=error,ballista_scheduler=error,ballista_scheduler::display=off,ballista_executor=error,ballista_core=error,librdkafka=error"
    } else {
        DEFAULT_FILTER
    };
    let filter = EnvFilter::try_from_env("TIDEWATER_LOG").unwrap_or_else(|_| EnvFilter::new(fallback));
    let registry = tracing_subscriber::registry().with(filter);
    let json = std::env::var("TIDEWATER_LOG_FORMAT").is_ok_and(|format| format == "json");
    let started = if json {
        registry
            .with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr))
            .try_init()
    } else {
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(true);
        registry.with(layer).try_init()
    };
    // Logging that was started before goes on as it was.
    drop(started);
}
