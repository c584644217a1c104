//! Clients that know PostgreSQL: psql, pgjdbc, SQLAlchemy with three drivers, on tables made by SQL, beside PostgreSQL itself; and, on
//! demand, psqlODBC, pgcli, dbt, and the statements of others.

use std::path::Path;
use std::process::Command;

use crate::clients::Verdict;
use crate::kit::{Node, NodeBuilder, free_port, hashed};

pub(crate) const USER: &str = "ana";
pub(crate) const PASSWORD: &str = "correct horse: battery";

/// A process with one user who may write as long as nothing is granted, and the tables of the probes.
pub(crate) fn lake(dir: &Path) -> Node {
    let hashed = hashed(PASSWORD);
    let user = format!(
        "[security]\ngrants = \"when_made\"\n\
         [[security.users]]\nname = \"{USER}\"\npassword_hash = {}\nscram = {}\nrole = \"writer\"\n",
        hashed["password_hash"], hashed["scram"]
    );
    let node = NodeBuilder::up(dir).config(&user).start();
    let port = node.ports().postgres.to_string();
    psql(&port, USER, PASSWORD, "lake", "tests/peers/bi/probes/toy-tidewater.sql");
    psql(&port, USER, PASSWORD, "lake", "tests/corpus/gold.sql");
    node
}

/// Has a file's statements carried out.
fn psql(port: &str, user: &str, password: &str, database: &str, file: &str) {
    let output = Command::new("psql")
        .args([
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-p",
            port,
            "-U",
            user,
            "-d",
            database,
            "-f",
        ])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// PostgreSQL 15 with the same tables. Stopped when dropped.
struct Oracle {
    dir: tempfile::TempDir,
    port: String,
}

impl Oracle {
    fn start() -> Self {
        let oracle = Self {
            dir: tempfile::tempdir().unwrap(),
            port: free_port().to_string(),
        };
        oracle.bi(&["oracle", "up", "pg"]);
        oracle
    }

    fn bi(&self, args: &[&str]) {
        let bi = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bi/bi");
        let status = Command::new(bi)
            .args(args)
            .arg(self.dir.path())
            .env("ORACLE_PORT", &self.port)
            .status();
        assert!(status.unwrap().success(), "{args:?}");
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.bi(&["oracle", "down"]);
    }
}

/// Where the lake is, and who asks.
fn endpoint(port: &str) -> [&str; 5] {
    ["127.0.0.1", port, "lake", USER, PASSWORD]
}

// Goal: clients of PostgreSQL take tidewater for it. Method: the probes of pgjdbc, psql, SQLAlchemy and psqlODBC on tables that
// were made through the wire, pgcli and dbt themselves, and the statements of Npgsql, Power BI, DBeaver and Grafana, excused only of
// what a lakehouse truly lacks, and with no check left out; on the same tables the scenarios of Arrow's integration tests of Flight
// SQL; and statements, expressions and the corpus of dashboards, whose rows are compared with PostgreSQL's.
#[test]
#[ignore = "scripts/interop runs it: it needs psql, PostgreSQL 15 and drivers"]
fn postgres_clients() {
    let dir = tempfile::tempdir().unwrap();
    let node = lake(dir.path());
    let port = node.ports().postgres.to_string();
    let here = endpoint(&port);
    let mut verdict = Verdict::default();
    for probe in ["probe-lake", "probe-lake-tools"] {
        verdict.probe("bi", &[&[probe], &here[..]].concat());
    }
    let flight = node.ports().flight.to_string();
    verdict.probe("bi", &["probe-flight-scenarios", "127.0.0.1", &flight, USER, PASSWORD]);
    verdict.probe("bi", &["probe-flight-odbc", "127.0.0.1", &flight, USER, PASSWORD]);
    let oracle = Oracle::start();
    let there = ["127.0.0.1", &oracle.port, "bi", "postgres", "secret"];
    psql(&oracle.port, "postgres", "secret", "bi", "tests/corpus/gold.sql");
    // 119 statements, 2,392 expressions and whether their marks are true; 89 statements in each of four zones, and 938 of the
    // expressions in one of them.
    verdict.probe("bi", &[&["differ"], &here[..], &there[..], &["--min", "3806"]].concat());
    for probe in ["corpus", "corpus-jdbc"] {
        verdict.probe("bi", &[&[probe], &here[..], &there[..], &["--min", "255"]].concat());
    }
    verdict.assert_good();
}
