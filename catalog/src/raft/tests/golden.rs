//! What older versions wrote must stay readable: files with the bytes of a log entry and of a snapshot, as first
//! written.
//!
//! A field that is added to a command needs `#[serde(default)]`; then these files need no change, and a new one beside
//! them shows the new form: `TIDEWATER_GOLDEN=write` makes those that are missing, and never replaces one.

mod answers;
mod appends;
mod drops;
mod first;
mod following;
mod members;
mod policy;
mod texts;
mod users;
mod uuids;
mod views;

use std::fs;
use std::path::{Path, PathBuf};

use openraft::{CommittedLeaderId, EntryPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::command::{Batch, Command, Outcome};
use crate::raft::record::{seal, unseal};
use crate::raft::state_store::Machine;
use crate::raft::types::{Entry, LogId};

fn log_id() -> LogId {
    LogId::new(CommittedLeaderId::new(3, 1), 42)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/raft/tests/golden")
        .join(name)
}

/// Reads the file, which holds lines of hexadecimal digits; makes it first when asked to.
fn golden<T: Serialize + DeserializeOwned>(name: &str, value: &T) -> T {
    let path = file(name);
    if !path.try_exists().unwrap() && std::env::var("TIDEWATER_GOLDEN").is_ok_and(|word| word == "write") {
        let digits: String = seal(value).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<_> = digits
            .as_bytes()
            .chunks(120)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let digits: Vec<u8> = fs::read(&path)
        .unwrap()
        .into_iter()
        .filter(u8::is_ascii_hexdigit)
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    unseal(&bytes).unwrap_or_else(|e| panic!("{name} can no longer be read: {e}"))
}

fn entry(commands: Vec<Command>) -> Entry {
    Entry {
        log_id: log_id(),
        payload: EntryPayload::Normal(Batch(commands)),
    }
}

/// A state after commands of which none was refused.
fn applied(commands: Vec<Command>) -> Machine {
    let mut machine = Machine {
        applied: Some(log_id()),
        ..Machine::default()
    };
    for command in commands {
        let outcome = machine.state.apply(42, command);
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
    machine
}
