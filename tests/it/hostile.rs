//! Somebody who means harm, or knows no better, beside others who work.

use crate::clients::Verdict;
use crate::kit::NodeBuilder;

/// Memory that the process may take, in MB, with 256 MiB for queries: a build that is not optimised takes 200 without any, and
/// what one function makes of a batch counts against no query.
const RSS_MAX: &str = "1500";

// Goal: no statement and no message takes the service from others: each is answered with rows or within 5 s with a code, nothing of
// it computes on, memory stays bounded, and others wait less than twice as long as alone, or 50 ms. Method: statements that ask for
// too much of everything, and messages that are none, on the PostgreSQL wire and HTTP, beside a client that asks all the time.
#[test]
#[ignore = "scripts/interop runs it: it needs psycopg"]
fn nobody_takes_it_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let (postgres, http) = (node.ports().postgres.to_string(), node.ports().http.to_string());
    let pid = node.pid().to_string();
    let mut verdict = Verdict::default();
    let at = [
        "hostile",
        "127.0.0.1",
        &postgres,
        "lake",
        "x",
        "",
        &pid,
        RSS_MAX,
        "--http",
        &http,
    ];
    verdict.probe("bi", &at);
    verdict.assert_good();
}

// Goal: no client of HTTP/2 takes Flight SQL from others: each is answered within 5 s with a code or loses its connection, nothing of it
// computes on, memory stays bounded, and others wait less than twice as long as alone, or 50 ms. Method: floods of calls, headers, frames and half messages, frames that are none, and clients that read
// nothing of rows without end, beside a client that asks all the time.
#[test]
#[ignore = "scripts/interop runs it: it needs h2"]
fn nobody_takes_flight_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let (port, pid) = (node.ports().flight.to_string(), node.pid().to_string());
    let mut verdict = Verdict::default();
    verdict.probe("bi", &["hostile-flight", "127.0.0.1", &port, &pid, RSS_MAX]);
    verdict.assert_good();
}
