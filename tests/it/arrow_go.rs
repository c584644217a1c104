//! Arrow's own client in Go.

use crate::clients::Verdict;
use crate::postgres::{PASSWORD, USER, lake};

// Goal: Arrow's client in Go finds in tidewater what its integration tests look for, and a program in Go gets what it asks for. Method: the
// scenarios of those tests, whose words are statements here, then the client and its driver of database/sql on tables that were made by SQL.
#[test]
#[ignore = "scripts/interop runs it: it needs Go and psql"]
fn scenarios_and_programs() {
    let dir = tempfile::tempdir().unwrap();
    let node = lake(dir.path());
    let port = node.ports().flight.to_string();
    let mut verdict = Verdict::default();
    verdict.probe("bi", &["probe-flight-go", "127.0.0.1", &port, USER, PASSWORD]);
    verdict.assert_good();
}
