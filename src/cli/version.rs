//! `tidewater version`

use serde::Serialize;

use super::failure::Failure;
use super::output::Output;

#[derive(Debug, Serialize)]
struct Version {
    tidewater: &'static str,
    iceberg_format: &'static str,
    flight_sql: &'static str,
}

pub(super) fn run(output: &Output) -> Result<(), Failure> {
    output.one(&Version {
        tidewater: env!("CARGO_PKG_VERSION"),
        iceberg_format: "1, 2, 3 (read and write)",
        flight_sql: "Arrow Flight SQL over gRPC",
    })
}
