//! Clients that set a property of a table or read it, and keep a history of what they were told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use serde_json::{Value, json};

use super::checker::{Action, End, Operation};

/// Tables, each a register of its own.
pub const TABLES: usize = 6;

/// A node that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(3);

/// What all clients share.
#[derive(Debug)]
pub struct Load {
    pub catalogs: Vec<u16>,
    pub begun: Instant,
    pub stop: AtomicBool,
    pub next: AtomicU64,
    pub histories: [Mutex<Vec<Operation>>; TABLES],
    /// Reads that each node answered.
    pub reads: Vec<AtomicU64>,
    pub writes: Vec<AtomicU64>,
    pub unknown: AtomicU64,
}

impl Load {
    pub fn new(catalogs: Vec<u16>) -> Self {
        let counts = || catalogs.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            begun: now(),
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            histories: Default::default(),
            reads: counts(),
            writes: counts(),
            unknown: AtomicU64::new(0),
            catalogs,
        }
    }

    /// Operations that ended one way or the other.
    pub fn ended(&self) -> u64 {
        let all = self.reads.iter().chain(&self.writes);
        all.map(|count| count.load(Ordering::SeqCst)).sum::<u64>() + self.unknown.load(Ordering::SeqCst)
    }

    /// One client, until it is told to stop.
    pub fn run(&self, client: u64) {
        let http = http();
        let mut chance = client.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
        while !self.stop.load(Ordering::SeqCst) {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let pick = |shift: u32, of: usize| usize::try_from(chance >> shift).unwrap() % of;
            let (table, node) = (pick(33, TABLES), pick(40, self.catalogs.len()));
            match (chance >> 60).is_multiple_of(2) {
                true => self.write(&http, table, node),
                false => self.read(&http, table, node),
            }
        }
    }

    fn write(&self, http: &Client, table: usize, node: usize) {
        let value = self.next.fetch_add(1, Ordering::SeqCst);
        let body = json!({
            "requirements": [{"type": "assert-current-schema-id", "current-schema-id": 0}],
            "updates": [{"action": "set-properties", "updates": {"register": value.to_string()}}],
        });
        let begun = self.moment();
        let sent = http.post(url(self.catalogs[node], table)).json(&body).send();
        let end = match sent.map(|response| response.status().as_u16()) {
            Ok(200) => End::At(self.moment()),
            // Documented as not applied: others were faster, too many requests, no leader.
            Ok(409 | 429 | 503) => End::Refused,
            Ok(500 | 504 | 502) => End::Unknown,
            Ok(other) => panic!("a write was answered {other}"),
            Err(error) if error.is_connect() => End::Refused,
            Err(_) => End::Unknown,
        };
        match end {
            End::At(_) => self.writes[node].fetch_add(1, Ordering::SeqCst),
            End::Unknown => self.unknown.fetch_add(1, Ordering::SeqCst),
            End::Refused => 0,
        };
        let action = Action::Write(value);
        self.note(table, Operation { begun, action, end });
        if end != (End::At(0)) && !matches!(end, End::At(_)) {
            pause();
        }
    }

    pub fn read(&self, http: &Client, table: usize, node: usize) {
        let begun = self.moment();
        match load(http, self.catalogs[node], table) {
            Some(value) => {
                let (action, end) = (Action::Read(value), End::At(self.moment()));
                self.reads[node].fetch_add(1, Ordering::SeqCst);
                self.note(table, Operation { begun, action, end });
            }
            None => pause(),
        }
    }

    fn note(&self, table: usize, operation: Operation) {
        self.histories[table].lock().unwrap().push(operation);
    }

    fn moment(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap()
    }
}

/// A client of its own for each thread.
pub fn http() -> Client {
    Client::builder().timeout(PATIENCE).build().unwrap()
}

/// The register's value; none when the node did not answer.
pub fn load(http: &Client, port: u16, table: usize) -> Option<u64> {
    let response = http.get(url(port, table)).send().ok()?;
    if response.status() != 200 {
        return None;
    }
    let body: Value = response.json().ok()?;
    let value = body["metadata"]["properties"]["register"].as_str();
    Some(value.map_or(0, |value| value.parse().unwrap()))
}

fn url(port: u16, table: usize) -> String {
    format!("http://127.0.0.1:{port}/v1/namespaces/lin/tables/t{table}")
}

/// Makes the tables, at whichever node takes it.
pub fn prepare(http: &Client, port: u16) -> Option<()> {
    let post = |path: &str, body: Value| {
        let sent = http.post(format!("http://127.0.0.1:{port}{path}")).json(&body).send();
        sent.ok()
            .map(|response| response.status().as_u16())
            .filter(|status| matches!(status, 200 | 409))
    };
    post("/v1/namespaces", json!({"namespace": ["lin"], "properties": {}}))?;
    for table in 0..TABLES {
        let schema = json!({"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "id", "required": false, "type": "long"}]});
        post(
            "/v1/namespaces/lin/tables",
            json!({"name": format!("t{table}"), "schema": schema}),
        )?;
    }
    Some(())
}

#[expect(clippy::disallowed_methods, reason = "histories are dated in real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client that hammers a dead cluster takes the processor the election needs"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
