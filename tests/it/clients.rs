//! Unmodified clients of others: PyIceberg at the catalog, ADBC and the Arrow Flight SQL JDBC driver at the SQL endpoint.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::synth::Hospital;
use crate::kit::{Node, NodeBuilder, password_hash, wait_for};
use crate::spine::{compare_all, run_models, wait_ingested};

const USER: &str = "ana";
const PASSWORD: &str = "correct horse: battery";

/// Somebody else, who is to have nothing of the first.
const OTHER: &str = "bob";

/// A probe takes half a minute on two idle cores, 2,500 statements beside PostgreSQL two, and what an engine and SQL write in turns
/// ten.
const PROBE_SECONDS_MAX: &str = "1500";

/// What failed of many probes: one that fails does not keep the next from running.
#[derive(Default)]
pub(crate) struct Verdict(Vec<String>);

impl Verdict {
    /// Runs a probe of `tests/peers` and shows what it said.
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "a probe and its time are shown as they are"
    )]
    pub(crate) fn probe(&mut self, kit: &str, args: &[&str]) {
        let begun = Instant::now();
        let output = script(kit).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        println!(
            "== {kit} {}\n{said}{}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        println!("== {:.0?}", begun.elapsed());
        if !output.status.success() {
            let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
            self.0.push(format!(
                "{kit} {}: {}\n{}",
                args.join(" "),
                output.status,
                failed.join("\n")
            ));
        }
    }

    pub(crate) fn assert_good(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

/// A kit of `tests/peers`. A client that waits without end for a process that is gone must not stop the suite.
fn script(kit: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let mut command = Command::new("timeout");
    command.arg(PROBE_SECONDS_MAX).arg(folder.join(kit).join(kit));
    command
}

/// Runs a command to its end; what it wrote.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The README as it is true for this process: its ports in the places of the usual ones.
fn readme(node: &Node) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    text.replace("127.0.0.1:32010", &format!("127.0.0.1:{}", node.ports().flight))
        .replace("127.0.0.1:8181", &format!("127.0.0.1:{}", node.ports().catalog))
}

/// The first text between `before` and `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before:?} in the README"));
    rest.split_once(after)
        .unwrap_or_else(|| panic!("no {after:?} after {before:?} in the README"))
        .0
}

/// A file of what `bi fetch` keeps.
fn fetched(name: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/tidewater/peers");
    let peers = std::env::var_os("TIDEWATER_PEERS").map_or_else(home, PathBuf::from);
    peers.join("bi").join(name)
}

/// The README's lines for Python and Java, as they stand there.
fn readme_lines_work(node: &Node, readme: &str) {
    let appointments = node.number("SELECT count(*) FROM silver.appointments").unwrap();
    assert!(appointments > 0);
    let example = between(readme, "```python\n", "```");
    assert_eq!(
        output(Command::new(fetched("py/bin/python")).args(["-c", example])),
        format!("[({appointments},)]\n")
    );
    let url = format!(
        "jdbc:arrow-flight-sql:{}",
        between(readme, "`jdbc:arrow-flight-sql:", "`")
    );
    let options = format!("--add-opens{}", between(readme, "`--add-opens", "`"));
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bi/probes/Jdbc.java");
    let mut java = Command::new("java");
    java.args(options.split(' '))
        .arg("-cp")
        .arg(fetched("jdbc/*"))
        .arg(program);
    let rows = output(java.args([&url, "-", "-", "SELECT count(*) FROM silver.appointments"]));
    assert_eq!(rows.lines().nth(1), Some(appointments.to_string().as_str()), "{rows}");
}

/// The configuration with two users of one password, who may do everything at the catalog and read everything: the probes are about logins.
fn users() -> String {
    let hash = password_hash(PASSWORD);
    let users =
        [USER, OTHER].map(|user| format!("[[security.users]]\nname = \"{user}\"\npassword_hash = \"{hash}\"\n"));
    format!("[security]\ngrants = \"when_made\"\n{}", users.concat())
}

/// A process with the tables of a small hospital, whose changes came in two parts, so that bronze has snapshots of the past.
pub(crate) fn lake(dir: &Path) -> (Node, Hospital) {
    let hospital = Hospital::write(dir, 20, 3_000);
    let second = hospital.hold_back();
    let node = NodeBuilder::up(dir).config(&hospital.config()).start();
    wait_for("the first part is there", Duration::from_secs(60), || {
        (node.number("SELECT count(*) FROM bronze.users")? > 0).then_some(())
    });
    second.release();
    wait_ingested(&node, &hospital);
    run_models(&node);
    (node, hospital)
}

// Goal: clients that know nothing of tidewater read what it wrote and write what it reads, and every one of them sees the same
// rows. Method: the synthetic hospital on `tidewater up`; PyIceberg and DuckDB against ADBC on every table, tables of theirs
// against what was written into them, the probes of both SQL drivers without users, those that a login can change with a password and
// with a token too, and the lines of the README as they stand there.
#[test]
#[ignore = "scripts/interop runs it: it needs drivers and PyIceberg"]
fn unmodified_clients() {
    let dir = tempfile::tempdir().unwrap();
    let (node, hospital) = lake(dir.path());
    let readme = readme(&node);
    let catalog = between(&readme, "REST catalog at `", "`").to_owned();
    let warehouse = format!("warehouse={}", between(&readme, "warehouse `", "`"));
    let port = node.ports().flight.to_string();
    let endpoint = format!("grpc://127.0.0.1:{port}");

    let mut verdict = Verdict::default();
    verdict.probe("iceberg", &["pyiceberg", &catalog, &warehouse]);
    for probe in ["toy", "write", "sql", "read", "duckdb"] {
        verdict.probe("iceberg", &["lake", probe, &catalog, &endpoint, &warehouse]);
    }
    readme_lines_work(&node, &readme);
    let checks = ["--strict", "yes", "--table", "lake|toy|orders"];
    let writes = ["--write", "toy"];
    let least = ["--min-jdbc", "108", "--min-adbc", "51"];
    verdict.probe(
        "bi",
        &[
            &["probe-flight", "127.0.0.1", &port, "--"],
            &checks[..],
            &writes[..],
            &least[..],
        ]
        .concat(),
    );
    let raw = ["probe-flight-raw", "127.0.0.1", &port];
    verdict.probe("bi", &[&raw[..], &writes[..], &["--min", "18"]].concat());
    // Whatever others wrote and asked, ours is as it was.
    compare_all(&node, &hospital);

    let (builder, code) = node.stop();
    assert_eq!(code, Some(0));
    let node = builder.config(&users()).start();
    let refused = node.query("SELECT 1").unwrap_err();
    assert!(refused.contains("SEC-0001"), "{refused}");
    let credential = format!("credential={USER}:{PASSWORD}");
    verdict.probe("iceberg", &["pyiceberg", &catalog, &warehouse, &credential]);
    verdict.probe(
        "bi",
        &[
            &["probe-flight", "127.0.0.1", &port, USER, PASSWORD, "--"],
            &checks[..],
            &["--only", AUTHENTICATION],
        ]
        .concat(),
    );
    let both = [USER, PASSWORD, OTHER, PASSWORD];
    verdict.probe("bi", &[&raw[..], &both[..], &["--min", "26"]].concat());
    let token = output(script("bi").args(["token", "127.0.0.1", &port, USER, PASSWORD]));
    verdict.probe(
        "bi",
        &[
            "probe-flight",
            "127.0.0.1",
            &port,
            token.trim(),
            "--",
            "--only",
            AUTHENTICATION,
        ],
    );
    verdict.assert_good();
}

/// The checks that a way to log in can change.
const AUTHENTICATION: &str = r"session\..*|auth\..*|info\..*|meta\.getTables|type\.varchar|param\.where|param\.rebind|exec\.execute|exec\.unprepared|many\..*|close";
