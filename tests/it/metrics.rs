//! What an operator sees of a process: `/metrics`, `/health` and `/ready`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kit::{Node, NodeBuilder, free_port, node, wait_for};

/// A catalog that is gone is told within its check's own deadline; a busy machine is slow.
const UNREADY_DEADLINE: Duration = Duration::from_secs(60);

/// Samples by name and labels, as they stand in the text.
type Samples = BTreeMap<String, f64>;

fn url(node: &Node, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", node.ports().http)
}

fn scrape(node: &Node) -> (Samples, String) {
    let (status, text) = node::get(&url(node, "/metrics")).unwrap();
    assert_eq!(status, 200, "{text}");
    (parse(&text), text)
}

/// Reads OpenMetrics' text, and refuses what is none.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let mut types = BTreeMap::new();
    let mut ended = false;
    for line in text.lines() {
        assert!(!ended, "behind the end: {line}");
        if let Some(comment) = line.strip_prefix("# ") {
            match comment.split_once(' ') {
                Some(("TYPE", rest)) => {
                    let (name, kind) = rest.split_once(' ').unwrap();
                    assert!(types.insert(name, kind).is_none(), "{name} has two types");
                }
                Some(("HELP" | "UNIT", _)) => {}
                _ => {
                    assert_eq!(comment, "EOF");
                    ended = true;
                }
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        assert!(
            family.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{line}"
        );
        let of = |suffix: &str, kind: &str| {
            let family = family.strip_suffix(suffix);
            family.is_some_and(|family| types.get(family) == Some(&kind))
        };
        let typed = of("_total", "counter")
            || of("", "gauge")
            || of("_info", "info")
            || ["_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| of(suffix, "histogram"));
        assert!(typed, "no type stands before {line}");
        let value: f64 = value.parse().unwrap();
        assert!(samples.insert(name.to_owned(), value).is_none(), "two of {name}");
    }
    assert!(ended, "it breaks off");
    samples
}

/// The sum over all samples of this name that have all of these labels.
fn sum(samples: &Samples, name: &str, labels: &[&str]) -> f64 {
    let found = samples.iter().filter(|(sample, _)| {
        let (of, rest) = sample.split_once('{').unwrap_or((sample, ""));
        of == name && labels.iter().all(|label| rest.contains(label))
    });
    found.map(|(_, value)| value).sum()
}

fn ask_by_http(node: &Node, sql: &str) -> u16 {
    let request = reqwest::blocking::Client::new().post(url(node, "/api/v1/sql"));
    let request = request.header("content-type", "text/plain").body(sql.to_owned());
    request.send().unwrap().status().as_u16()
}

// Goal: what an operator needs is told in Prometheus' text, moves with what happens, and holds nothing that a user wrote. Method: a
// whole installation is scraped and parsed before and after statements of three kinds: one that runs, the same again, one that fails.
#[test]
fn counters_move_with_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let (before, text) = scrape(&node);
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "tidewater_raft_term",
        "tidewater_raft_log_applied_index",
        "tidewater_raft_disk_bytes",
        "tidewater_scheduler_leads",
    ] {
        assert!(sum(&before, name, &[]) > 0.0, "{name} in {text}");
    }
    node.query("CREATE SCHEMA canary_schema").unwrap();
    node.query("CREATE TABLE canary_schema.canary_table (id BIGINT)")
        .unwrap();
    node.query("INSERT INTO canary_schema.canary_table VALUES (1), (2), (3)")
        .unwrap();
    let sql = "SELECT * FROM canary_schema.canary_table";
    assert_eq!(node.query(sql).unwrap().len(), 3);
    assert_eq!(node.query(sql).unwrap().len(), 3);
    assert_eq!(
        ask_by_http(&node, "SELECT canary_column FROM canary_schema.canary_table"),
        400
    );
    assert_eq!(
        node::get(&format!("http://127.0.0.1:{}/v1/canary_path", node.ports().catalog))
            .unwrap()
            .0,
        404
    );

    let (after, text) = scrape(&node);
    let moved = |name: &str, labels: &[&str]| sum(&after, name, labels) - sum(&before, name, labels);
    let statements = "tidewater_query_statements_total";
    let flight = r#"front="flight_sql""#;
    assert!(moved(statements, &[flight, r#"outcome="ok""#]) >= 5.0, "{text}");
    assert!(
        (moved(statements, &[flight, r#"cache="hit""#]) - 1.0).abs() < 0.5,
        "{text}"
    );
    assert!(moved(statements, &[flight, r#"cache="miss""#]) >= 1.0, "{text}");
    assert!(
        (moved(statements, &[r#"front="http""#, r#"outcome="invalid""#]) - 1.0).abs() < 0.5,
        "{text}"
    );
    assert!(moved("tidewater_query_rows_total", &[flight]) >= 9.0, "{text}");
    assert!(moved("tidewater_query_result_bytes_total", &[flight]) > 0.0, "{text}");
    assert!(
        moved("tidewater_query_duration_seconds_count", &[flight]) >= 5.0,
        "{text}"
    );
    assert!(
        moved("tidewater_query_queue_wait_seconds_count", &[flight]) >= 1.0,
        "{text}"
    );
    assert!(sum(&after, "tidewater_query_running", &[]).abs() < 0.5, "{text}");
    let created = [
        r#"method="POST""#,
        r#"route="/v1/namespaces/{namespace}/tables""#,
        r#"status="200""#,
    ];
    assert!(moved("tidewater_catalog_requests_total", &created) >= 1.0, "{text}");
    assert!(
        moved(
            "tidewater_catalog_requests_total",
            &[r#"route="none""#, r#"status="404""#]
        ) >= 1.0,
        "{text}"
    );
    assert!(
        moved("tidewater_catalog_write_duration_seconds_count", &[]) >= 3.0,
        "{text}"
    );
    assert!(moved("tidewater_raft_log_applied_index", &[]) >= 3.0, "{text}");
    assert!(
        sum(&after, "tidewater_admission_queued", &[r#"class="interactive""#]).abs() < 0.5,
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

// Goal: metrics are for those who bear their token or one of the nodes, and their token opens nothing else; health and readiness are
// for everybody. Method: each door with no token, a wrong one, and the right ones.
#[test]
fn metrics_have_a_key_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let builder = NodeBuilder::up(dir.path());
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{}\"\nmetrics_token = \"a token for Prometheus\"\n\
         [security]\nnode_secret = \"an installation's own 32 bytes or more\"\n",
        builder.ports.http
    );
    let node = builder.config(&config).start();
    let status = |path: &str, token: Option<&str>| {
        let request = reqwest::blocking::Client::new().get(url(&node, path));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().unwrap().status().as_u16()
    };
    let of_nodes = node.cli(&["user", "token", "prometheus"]).unwrap();
    for (path, none, wrong, own, of_node) in [
        ("/metrics", 401, 401, 200, 200),
        ("/v1/status", 401, 401, 401, 200),
        ("/health", 200, 200, 200, 200),
        ("/ready", 200, 200, 200, 200),
    ] {
        assert_eq!(status(path, None), none, "{path}");
        assert_eq!(status(path, Some("a token for Prometheu")), wrong, "{path}");
        assert_eq!(status(path, Some("a token for Prometheus")), own, "{path}");
        assert_eq!(status(path, Some(of_nodes.trim())), of_node, "{path}");
    }
}

// Goal: a process that lives and cannot work says so, and why. Method: a process without a catalog role, whose catalog is killed.
#[test]
fn a_process_without_its_catalog_is_alive_and_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = NodeBuilder::serve(dir.path(), "catalog").start();
    let at = catalog.ports().catalog;
    let mut builder = NodeBuilder::serve(dir.path(), "flight-sql");
    builder.ports.catalog = free_port();
    let config = format!(
        "[catalog]\nendpoints = [\"http://127.0.0.1:{at}\"]\nwarehouse = \"file://{}/lake\"\n",
        dir.path().display()
    );
    let node = builder.config(&config).start();
    let (status, told) = node::get(&node.ready_url()).unwrap();
    assert_eq!(status, 200, "{told}");
    catalog.kill();
    let told = wait_for("it is not ready", UNREADY_DEADLINE, || {
        let (status, told) = node::get(&node.ready_url())?;
        (status == 503).then_some(told)
    });
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["error"]["code"], "CTL-0012", "{told}");
    let checks = told["checks"].as_array().unwrap();
    let failing: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failing.len(), 1, "{told}");
    assert_eq!(failing[0]["name"], "catalog", "{told}");
    assert!(failing[0]["reason"].is_string(), "{told}");
    assert_eq!(node::get(&url(&node, "/health")).unwrap().0, 200);
    assert_eq!(node::get(&url(&node, "/metrics")).unwrap().0, 200);
}
