//! Bad input: each has its documented outcome, and none is a panic.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::kill::bronze_equals_the_log;
use crate::kit::synth::Hospital;
use crate::kit::{NodeBuilder, free_port, wait_for};
use crate::spine::wait_ingested;

const DEADLINE: Duration = Duration::from_secs(60);

// Goal: a typing mistake in the configuration is told with the right name, and nothing starts. Method: one wrong letter.
#[test]
fn unknown_configuration_key() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path())
        .config("[pipelines]\nprojct = \"x\"\n")
        .spawn();
    let log = node.builder().clone();
    let (_, code) = node.wait_end();
    let text = log.log();
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("CFG-0002") && text.contains("hint: did you mean pipelines.project?"),
        "{text}"
    );
    assert!(
        text.contains("tidewater.toml, line ") && !text.contains("source string"),
        "{text}"
    );
}

// Goal: a value that cannot be meant is told with where it was given and what is allowed. Method: a wrong word and a wrong number in a file,
// by their lines, and one in a variable.
#[test]
fn wrong_values_say_where_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let told = |config: &str, variable: Option<(&str, &str)>| {
        fs::write(dir.path().join("tidewater.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewater"));
        command.args(["role", "ls"]).current_dir(dir.path());
        let output = command.envs(variable).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        text
    };
    let word = told("[security]\n# who may\ngrants = \"require\"\n", None);
    assert!(word.contains("security.grants") && word.contains("line 3"), "{word}");
    assert!(word.contains("required") && word.contains("when_made"), "{word}");
    let number = told("[[ingest.sources]]\ntype = \"file\"\n[http]\nlisten = 5\n", None);
    assert!(number.contains("tidewater.toml, line "), "{number}");
    let variable = told("", Some(("TIDEWATER__HTTP__LISTEN", "nowhere")));
    assert!(variable.contains("(in TIDEWATER__HTTP__LISTEN)"), "{variable}");
}

// Goal: what cannot be written is told at the start, in words, and by doctor in the same. Method: a file as the data directory, alone and
// with the demo, and a warehouse below a file, which no user can write.
#[test]
fn what_cannot_be_written_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewater"));
        let output = command.args(args).current_dir(dir.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let told = text(output.stdout) + &text(output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
        told
    };
    for verb in [&["up"][..], &["up", "--demo"][..], &["doctor"][..]] {
        let args = [verb, &["--data-dir", "file"][..]].concat();
        let told = run(&args);
        assert!(
            told.contains("is a file") && told.contains("--data-dir"),
            "{verb:?}: {told}"
        );
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let port = free_port();
    let config = format!(
        "[catalog]\nwarehouse = \"file://{}/lake\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n",
        file.display()
    );
    fs::write(dir.path().join("tidewater.toml"), config).unwrap();
    for verb in [&["serve", "--roles", "catalog"][..], &["doctor"][..]] {
        let told = run(&[verb, &["--data-dir", "data"][..]].concat());
        assert!(
            told.contains("CTL-0039") && told.contains("catalog.warehouse"),
            "{verb:?}: {told}"
        );
    }
}

// Goal: a port in use is told with the way out. Method: a listener of ours on the catalog's port.
#[test]
fn port_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let builder = NodeBuilder::up(dir.path());
    let _taken = std::net::TcpListener::bind(("127.0.0.1", builder.ports.flight)).unwrap();
    let (builder, code) = builder.spawn().wait_end();
    let text = builder.log();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("cannot listen on") && text.contains("hint: another process uses the port"),
        "{text}"
    );
    assert!(!text.contains("panicked"), "{text}");
}

// Goal: no port of any role leaves loopback without its authentication, and the way out is told. Method: 0.0.0.0 for each of
// them, the one that is named by its number alone included; a free port of ours shows that none was opened before.
#[test]
fn open_port_without_users() {
    for (section, way_out) in [
        ("http", "security.node_secret"),
        ("catalog", "security.node_secret"),
        ("raft", "security.node_secret"),
        ("scheduler", "scheduler.trusted_network"),
        ("executor", "scheduler.trusted_network"),
        ("flight_sql", "[[security.users]]"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = format!("[{section}]\nlisten = \"0.0.0.0:{}\"\n", free_port());
        let (builder, code) = NodeBuilder::up(dir.path()).config(&config).spawn().wait_end();
        let text = builder.log();
        assert_eq!(code, Some(2), "{section}: {text}");
        assert!(text.contains("SEC-0005") && text.contains(way_out), "{section}: {text}");
        assert!(
            !builder.data_dir().try_exists().unwrap(),
            "{section}: nothing is done before the check"
        );
    }
}

// Goal: what a start refuses, doctor finds in the same words, and nothing is done before. Method: a mistake of each kind, given to both.
#[test]
fn doctor_looks_as_a_start_does() {
    for (config, words) in [
        ("[executor]\nscheduler = \"nowhere\"\n", "executor.scheduler"),
        ("[catalog]\nwarehouse = \"ftp://lake/x\"\n", "none of file, s3, memory"),
        (
            "[http]\nlisten = \"127.0.0.1:7\"\n[postgres]\nlisten = \"127.0.0.1:7\"\n",
            "http.listen and postgres.listen",
        ),
        (
            "[[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"127.0.0.1:1\"\ntopics = [\"cdc.a\"]\n\
             [[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"127.0.0.1:2\"\ntopics = ['cdc\\.a']\n",
            "ingest.sources.0 and ingest.sources.1",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (builder, code) = NodeBuilder::up(dir.path()).config(config).spawn().wait_end();
        let told = builder.log();
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(words) && told.contains("hint: "), "{told}");
        assert!(
            !builder.data_dir().try_exists().unwrap(),
            "{words}: nothing is done before"
        );
        let doctor = Command::new(env!("CARGO_BIN_EXE_tidewater"))
            .arg("doctor")
            .arg("--config")
            .arg(dir.path().join("tidewater.toml"))
            .arg("--data-dir")
            .arg(builder.data_dir())
            .output()
            .unwrap();
        let found = String::from_utf8(doctor.stdout).unwrap();
        assert_eq!(doctor.status.code(), Some(1), "{found}");
        assert!(found.contains(words) && found.contains("PROBLEM"), "{found}");
    }
}

// Goal: what needs no configuration works with a broken one, in JSON too; every refusal says how to go on. Method: a broken file
// in the working directory.
#[test]
fn broken_configuration_stops_only_what_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tidewater.toml"), "[catalog]\nlisten = 5\n").unwrap();
    let run = |args: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewater"))
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (code, out, err) = run(&["version", "--output", "json"], "");
    assert_eq!(code, Some(0), "{err}");
    assert!(json(&out)["tidewater"].is_string());
    let (code, out, err) = run(&["user", "hash", "--output", "json"], "correct horse\n");
    assert_eq!(code, Some(0), "{err}");
    assert!(json(&out)["password_hash"].as_str().unwrap().starts_with("$argon2id$"));
    let (code, out, err) = run(&["user", "hash"], "correct horse\n");
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<_> = out.lines().map(|line| line.strip_suffix('"').unwrap()).collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("password_hash = \"$argon2id$"), "{out}");
    assert!(lines[1].starts_with("scram = \"SCRAM-SHA-256$"), "{out}");
    let sql = [
        "synth",
        "sql",
        "--folder",
        "sql",
        "--oracle",
        "oracle",
        "--patients",
        "5",
        "--changes",
        "50",
        "--output",
        "json",
    ];
    let (code, out, err) = run(&sql, "");
    assert_eq!(code, Some(0), "{err}");
    let (written, report) = (
        json(&out),
        json(&fs::read_to_string(dir.path().join("oracle/report.json")).unwrap()),
    );
    assert!(written["changes"].as_u64().unwrap() >= 50, "{written}");
    assert_eq!(report["delivery"]["reads"], written["rows"]);
    assert!(report["delivery"]["creates"].as_u64().unwrap() > 0, "{report}");
    let (code, _, err) = run(&["status"], "");
    assert_eq!(code, Some(2));
    assert!(
        err.contains("CFG-0003") && err.contains("hint: see docs/errors/CFG-0003.md"),
        "{err}"
    );
}

// Goal: two processes never share a data directory. Method: a second one on the folder of the first.
#[test]
fn second_process_on_the_same_data() {
    let dir = tempfile::tempdir().unwrap();
    let first = NodeBuilder::up(dir.path()).start();
    let mut second = NodeBuilder::up(dir.path());
    second.log_name = Some("second".into());
    let (second, code) = second.spawn().wait_end();
    let text = second.log();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("CAT-1007"), "{text}");
    assert!(first.control("/v1/status").is_some(), "the first one goes on");
}

// Goal: a data directory that cannot be made or written is told. Method: a file stands where the folder should; and a file
// system that may only be read, which takes root to mount.
#[test]
fn data_directory_cannot_be_written() {
    let refused = |builder: NodeBuilder, words: &str| {
        let (builder, code) = builder.spawn().wait_end();
        let text = builder.log();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(words) && text.contains("the data directory"), "{text}");
    };
    let dir = tempfile::tempdir().unwrap();
    let builder = NodeBuilder::up(dir.path());
    fs::write(builder.data_dir(), "a file").unwrap();
    refused(builder, "is a file");
    let dir = tempfile::tempdir().unwrap();
    let builder = NodeBuilder::up(dir.path());
    match SmallDisk::mount(&builder.data_dir(), "ro") {
        Some(_read_only) => refused(builder, "cannot write to"),
        None => println!("half of it not run: mounting a file system takes root"),
    }
}

// Goal: Kafka that is not there is no reason to die: the rest works and the status tells. Method: a port nobody listens on.
#[test]
fn missing_kafka() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"127.0.0.1:1\"\ntopics = [\".*\"]\n";
    let node = NodeBuilder::up(dir.path()).config(config).start();
    let error = wait_for("the status tells", DEADLINE, || {
        node.control("/v1/ingest")?["last_error"].as_str().map(str::to_owned)
    });
    assert!(!error.is_empty());
    assert_eq!(node.number("SELECT 1"), Some(1));
}

/// A line of the file source's format.
fn line(offset: u64, value: &serde_json::Value) -> String {
    serde_json::json!({
        "topic": "bad.public.things", "partition": 0, "offset": offset, "timestamp": 1_767_859_200_000_i64, "headers": [],
        "key": {"text": "{\"id\":1}"}, "value": value,
    })
    .to_string()
}

// Goal: bad records go to the dead letters with a reason, the good ones around them to bronze, and nothing stops. Method: one
// record of each bad kind between two good ones, through the file source.
#[test]
fn bad_records_become_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let changes = dir.path().join("changes");
    fs::create_dir_all(&changes).unwrap();
    let good = |id: u64| serde_json::json!({"text": format!("{{\"before\":null,\"after\":{{\"id\":{id},\"name\":\"n\"}},\"source\":{{\"lsn\":{id}}},\"op\":\"c\",\"ts_ms\":1}}")});
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bad = [
        serde_json::json!({"text": "{\"before\":"}),
        serde_json::json!({"text": "{\"before\":null,\"after\":{\"id\":2},\"op\":\"?\",\"source\":{},\"ts_ms\":1}"}),
        serde_json::json!({"text": format!("{{\"before\":null,\"after\":{{\"id\":3,\"deep\":{deep}}},\"op\":\"c\",\"source\":{{}},\"ts_ms\":1}}")}),
        serde_json::json!({"b64": "/////w=="}),
    ];
    let mut text = line(0, &good(1)) + "\n";
    for (at, value) in bad.iter().enumerate() {
        text.push_str(&line(u64::try_from(at).unwrap() + 1, value));
        text.push('\n');
    }
    text.push_str(&line(5, &good(6)));
    text.push('\n');
    // As large as a record may be, larger, and a decimal whose scale nobody tells.
    for (offset, name) in [(6, "n".repeat(9 << 20)), (7, "n".repeat(11 << 20))] {
        let value = serde_json::json!({"before": null, "after": {"id": offset, "name": name}, "source": {"lsn": offset}, "op": "c", "ts_ms": 1});
        text.push_str(&line(offset, &serde_json::json!({"text": value.to_string()})));
        text.push('\n');
    }
    let decimal = serde_json::json!({"before": null, "after": {"id": 8, "price": "BOI="}, "source": {"lsn": 8}, "op": "c", "ts_ms": 1});
    text.push_str(&line(8, &serde_json::json!({"text": decimal.to_string()})));
    text.push('\n');
    fs::write(changes.join("00000000.jsonl"), text).unwrap();
    let config =
        format!("[ingest]\ncommit_interval_ms = 100\n[[ingest.sources]]\ntype = \"file\"\npath = {changes:?}\n");
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    wait_for("all records are committed", DEADLINE, || {
        (node.control("/v1/ingest")?["partitions"][0]["next"].as_i64()? == 9).then_some(())
    });
    assert_eq!(node.number("SELECT count(*) FROM bronze.things"), Some(4));
    let large = node.number("SELECT character_length(after.name) FROM bronze.things WHERE _offset = 6");
    assert_eq!(large, Some(9 << 20));
    let price = node
        .query("SELECT after.price AS price FROM bronze.things WHERE after.id = 8")
        .unwrap();
    assert_eq!(price[0]["price"], "BOI=", "it stays as it came");
    let dead = node
        .query("SELECT \"offset\", code, reason FROM bronze._dead_letter ORDER BY \"offset\"")
        .unwrap();
    let offsets: Vec<i64> = dead.iter().map(|row| row["offset"].as_i64().unwrap()).collect();
    assert_eq!(offsets, vec![1, 2, 3, 4, 7], "{dead:?}");
    assert!(dead.iter().all(|row| !row["reason"].as_str().unwrap().is_empty()));
    assert!(!node.log().contains("panicked"));
}

// Goal: hostile names and locations in REST calls are refused and write nothing outside. Method: each through the REST port.
#[test]
fn hostile_names_and_locations() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::serve(dir.path(), "catalog").start();
    let root = format!("http://127.0.0.1:{}/v1/namespaces", node.ports().catalog);
    let client = reqwest::blocking::Client::new();
    let post = |url: &str, body: serde_json::Value| client.post(url).json(&body).send().unwrap().status().as_u16();
    assert_eq!(
        post(&root, serde_json::json!({"namespace": ["ns"], "properties": {}})),
        200
    );
    let schema = serde_json::json!({"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "a", "required": false, "type": "int"}]});
    let long = "x".repeat(300);
    for name in [
        "..",
        ".",
        "a/b",
        "a\\b",
        "a\u{0}b",
        "a\nb",
        "%2e%2e",
        "*",
        long.as_str(),
        "",
    ] {
        let status = post(
            &format!("{root}/ns/tables"),
            serde_json::json!({"name": name, "schema": schema}),
        );
        assert!((400..500).contains(&status), "table {name:?}: {status}");
        let status = post(&root, serde_json::json!({"namespace": [name], "properties": {}}));
        assert!((400..500).contains(&status), "namespace {name:?}: {status}");
    }
    let outside = dir.path().join("outside");
    for location in [
        format!("file://{}", outside.display()),
        "/etc".into(),
        "file:///tmp/../etc/x".into(),
        "s3://other/x".into(),
    ] {
        let body = serde_json::json!({"name": "t", "schema": schema, "location": location});
        let status = post(&format!("{root}/ns/tables"), body);
        assert!((400..500).contains(&status), "location {location:?}: {status}");
    }
    assert!(!outside.try_exists().unwrap());
}

/// A small file system of its own; gone when dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

// Goal: a full disk is told, loses nothing and doubles nothing, and work goes on once there is room. Method: the lake on a small
// file system that is filled while changes come; only root can mount one.
#[test]
fn full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("small"), "size=48m") else {
        println!("not run: mounting a file system takes root");
        return;
    };
    let hospital = Hospital::write(dir.path(), 10, 400);
    let builder = NodeBuilder::up(dir.path());
    let catalog = format!(
        "[catalog]\nlisten = \"127.0.0.1:{}\"\nwarehouse = \"file://{}\"\n",
        builder.ports.catalog,
        disk.0.join("lake").display()
    );
    let node = builder.config(&catalog).config(&hospital.config()).start();
    wait_ingested(&node, &hospital);
    disk.fill();
    let hospital = Hospital::write(dir.path(), 10, 800);
    wait_for("the full disk is told", DEADLINE, || {
        let error = node.control("/v1/ingest")?["last_error"].as_str()?.to_owned();
        (!error.is_empty()).then_some(())
    });
    disk.free();
    wait_ingested(&node, &hospital);
    bronze_equals_the_log(&node, &hospital);
    assert!(!node.log().contains("panicked"));
}
