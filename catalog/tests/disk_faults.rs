//! A real catalog process on a disk that refuses: strace answers its system calls with errors.
//!
//! `scripts/chaos disk` runs it. It needs strace, and `--examples` built beside the tests. What a loss of power leaves is looked at on a
//! file system in a file, for which it needs root and loop devices.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use tidewater_core::SystemClock;
use tidewater_table::FileStore;

const DEADLINE: Duration = Duration::from_secs(60);

/// Acknowledged before the disk refuses.
const BEFORE: usize = 10;

/// Asked for while it does.
const DURING: usize = 10;

/// One way for a disk to refuse.
struct Fault {
    name: &'static str,
    /// What strace does to which calls.
    inject: &'static str,
    /// Whose calls, by the end of a file's name: the log's only, or everybody's.
    only: Option<&'static str>,
    /// Whether the node has to end by itself: it cannot keep what it would promise.
    ends: bool,
}

/// Calls of the log, and those by which metadata files are written.
const FAULTS: [Fault; 5] = [
    Fault {
        name: "the log cannot be synced",
        inject: "fdatasync,fsync:error=EIO",
        only: Some("raft/log.redb"),
        ends: true,
    },
    Fault {
        name: "the log finds no room",
        inject: "pwrite64,write:error=ENOSPC",
        only: Some("raft/log.redb"),
        ends: true,
    },
    Fault {
        name: "the log is read only",
        inject: "pwrite64,write:error=EROFS",
        only: Some("raft/log.redb"),
        ends: true,
    },
    Fault {
        name: "nothing can be synced",
        inject: "fdatasync,fsync:error=EIO",
        only: None,
        ends: true,
    },
    Fault {
        name: "files cannot be linked",
        inject: "link,linkat:error=ENOSPC",
        only: None,
        ends: false,
    },
];

fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let built = test
        .parent()
        .and_then(Path::parent)
        .expect("target folder")
        .join("examples/serve");
    let is_there = built.try_exists().expect("readable");
    assert!(is_there, "{} is not built: cargo build --examples", built.display());
    built
}

struct Served {
    child: Child,
    uri: String,
    http: reqwest::Client,
}

impl Served {
    async fn start(dir: &TempDir) -> Self {
        let mut child = Command::new(binary())
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let said = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .expect("in time");
        let uri = said.expect("readable").expect("a start was refused");
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("a client");
        Self { child, uri, http }
    }

    /// Makes a namespace and a table in it; the statuses, none where nobody answered.
    async fn make(&self, name: &str) -> [Option<u16>; 2] {
        let field = json!({"id": 1, "name": "id", "type": "long", "required": false});
        let schema = json!({"type": "struct", "schema-id": 0, "fields": [field]});
        let made = self.post("/v1/namespaces", json!({"namespace": [name]})).await;
        let path = format!("/v1/namespaces/{name}/tables");
        [made, self.post(&path, json!({"name": "t", "schema": schema})).await]
    }

    async fn post(&self, path: &str, body: Value) -> Option<u16> {
        let sent = self.http.post(format!("{}{path}", self.uri)).json(&body).send().await;
        Some(sent.ok()?.status().as_u16())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let sent = self
            .http
            .get(format!("{}{path}", self.uri))
            .send()
            .await
            .expect("an answer");
        (sent.status().as_u16(), sent.json().await.unwrap_or_default())
    }

    fn pid(&self) -> String {
        self.child.id().expect("it runs").to_string()
    }

    async fn ended(&mut self) -> Option<ExitStatus> {
        tokio::time::timeout(DEADLINE, self.child.wait()).await.ok()?.ok()
    }
}

/// strace on a process, from when it has hold of it.
async fn refuse(served: &Served, fault: &Fault, dir: &TempDir) -> (Child, PathBuf) {
    let told = dir.path().join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &served.pid(), "-o"]).arg(&told);
    if let Some(file) = fault.only {
        strace
            .arg("-P")
            .arg(dir.path().canonicalize().expect("a folder").join(file));
    }
    let traced = fault.inject.split(':').next().expect("calls");
    let strace = strace
        .arg(format!("--trace={traced}"))
        .arg(format!("--inject={}", fault.inject))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut strace = strace.expect("strace is installed");
    let mut said = BufReader::new(strace.stderr.take().expect("piped")).lines();
    let attached = async {
        while let Ok(Some(line)) = said.next_line().await {
            if line.contains("attached") {
                return true;
            }
        }
        false
    };
    let attached = tokio::time::timeout(DEADLINE, attached).await;
    assert_eq!(
        attached.ok(),
        Some(true),
        "strace got no hold of the process: is ptrace allowed?"
    );
    (strace, told)
}

// Goal: a catalog whose disk refuses acknowledges nothing that is not on it, ends by itself where it cannot keep its log, and has
// everything that it ever acknowledged after a restart (INV-CAT-1). Method: errors of system calls, put in by strace under requests; each fault must
// have been met; then the process is killed, started without it, and asked for all that was acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/chaos disk runs it: it needs strace"]
async fn a_disk_that_refuses_loses_nothing() {
    let clock = SystemClock::shared();
    for fault in &FAULTS {
        let dir = TempDir::new().expect("a folder");
        let mut served = Served::start(&dir).await;
        let (mut namespaces, mut tables) = (BTreeSet::new(), BTreeSet::new());
        let mut keep = |name: &str, statuses: [Option<u16>; 2]| {
            let [namespace, table] = statuses.map(|status| status == Some(200));
            namespaces.extend(namespace.then(|| name.to_owned()));
            tables.extend(table.then(|| name.to_owned()));
            (namespace, table)
        };
        for number in 0..BEFORE {
            let name = format!("before{number}");
            let made = served.make(&name).await;
            assert_eq!(keep(&name, made), (true, true), "{made:?}");
        }
        let (mut strace, told) = refuse(&served, fault, &dir).await;
        let injected = || std::fs::read_to_string(&told).map_or(0, |told| told.matches("(INJECTED)").count());
        // strace has the threads one after the other: what is asked for until it has met a call may still be done.
        let begun = clock.monotonic();
        for number in 0.. {
            let name = format!("meanwhile{number}");
            let made = served.make(&name).await;
            keep(&name, made);
            if injected() > 0 {
                break;
            }
            assert!(clock.monotonic() - begun < DEADLINE, "{}: never met", fault.name);
        }
        let mut answers = Vec::new();
        for number in 0..DURING {
            let name = format!("during{number}");
            let made = served.make(&name).await;
            let (namespace, table) = keep(&name, made);
            assert!(!table, "{}: a table was acknowledged, {made:?}", fault.name);
            assert!(
                !namespace || !fault.ends,
                "{}: a namespace was acknowledged",
                fault.name
            );
            answers.push(made);
        }
        let hits = injected();
        let ended = match fault.ends {
            true => served.ended().await,
            false => None,
        };
        let said = match ended {
            Some(_) => {
                let mut said = String::new();
                let stderr = served.child.stderr.as_mut().expect("piped");
                stderr.read_to_string(&mut said).await.expect("text");
                said
            }
            None => String::new(),
        };
        eprintln!(
            "{}: {hits} calls refused; answers {answers:?}; ended {ended:?}: {}",
            fault.name,
            said.trim()
        );
        assert_eq!(ended.is_some(), fault.ends, "{}", fault.name);
        assert!(
            ended.is_none_or(|status| !status.success()),
            "{}: it hid that",
            fault.name
        );
        let _ended = strace.kill().await;
        let _ended = served.child.kill().await;
        drop(served);

        let served = Served::start(&dir).await;
        let (status, list) = served.get("/v1/namespaces").await;
        assert_eq!(status, 200);
        let listed = list["namespaces"].as_array().expect("a list").iter();
        let listed: BTreeSet<String> = listed
            .filter_map(|levels| Some(levels[0].as_str()?.to_owned()))
            .collect();
        let lost: Vec<&String> = namespaces.difference(&listed).collect();
        assert!(lost.is_empty(), "{}: lost {lost:?}", fault.name);
        for name in &tables {
            let (status, table) = served.get(&format!("/v1/namespaces/{name}/tables/t")).await;
            assert_eq!(status, 200, "{}: {name}: {table}", fault.name);
        }
    }
}

/// Runs a program that has to do well.
fn run(program: &str, arguments: &[&str]) {
    let ended = std::process::Command::new(program).args(arguments).status();
    assert!(ended.is_ok_and(|status| status.success()), "{program} {arguments:?}");
}

/// Mounted until it is dropped.
struct Mounted<'a>(&'a str);

impl<'a> Mounted<'a> {
    fn new(image: &str, at: &'a str) -> Self {
        std::fs::create_dir_all(at).expect("a folder");
        run("mount", &["-o", "loop", image, at]);
        Self(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        run("umount", &[self.0]);
    }
}

// Goal: what was written is there under its name after a loss of power, with and without a journal, also where the directory is not synced.
// Method: an ext4 in a file, copied the moment a file is acknowledged and mounted again, so that it holds what was on the disk and nothing
// else; a file that nobody synced must be missing in the copy, or nothing was shown.
#[tokio::test]
#[ignore = "scripts/chaos disk runs it: it mounts file systems"]
async fn names_survive_a_loss_of_power() {
    let store = FileStore::system();
    for without in ["none", "^has_journal"] {
        let dir = TempDir::new().expect("a folder");
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let (image, copy, live, after) = (path("image"), path("copy"), path("live"), path("after"));
        let file = std::fs::File::create(&image).expect("a file");
        file.set_len(64 << 20).expect("room");
        let features: &[&str] = if without == "none" { &[] } else { &["-O", without] };
        run("mkfs.ext4", &[features, &["-q", "-F", &image]].concat());
        let mounted = Mounted::new(&image, &live);
        // Deep enough that folders are new as well, and again where they are not.
        for name in ["a/b/first", "a/b/second"] {
            let bytes = Bytes::from(vec![b'x'; 18_000]);
            store
                .put_new(&format!("{live}/{name}"), bytes.clone())
                .await
                .expect("written");
            std::fs::copy(&image, &copy).expect("a copy");
            let later = Mounted::new(&copy, &after);
            let found = std::fs::read(format!("{after}/{name}")).expect("it is there");
            assert!(found == bytes, "{name} without {without}");
            drop(later);
        }
        std::fs::write(format!("{live}/a/b/not-synced"), "x").expect("written");
        std::fs::copy(&image, &copy).expect("a copy");
        let later = Mounted::new(&copy, &after);
        let is_there = std::fs::exists(format!("{after}/a/b/not-synced")).expect("readable");
        assert!(!is_there, "a copy shows what was never synced");
        drop(later);
        drop(mounted);
    }
}
