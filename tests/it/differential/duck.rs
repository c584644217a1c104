//! DuckDB over the same files, through the Python that the other suites fetch.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::kit::sql::Rows;

/// The process. Killed when dropped.
pub struct Duck {
    child: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Duck {
    /// Reads these tables' files.
    pub fn over(tables: &BTreeMap<String, Vec<String>>) -> Self {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/tidewater/peers");
        let peers = std::env::var_os("TIDEWATER_PEERS").map_or_else(home, PathBuf::from);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/sql/duck.py");
        let mut child = Command::new(peers.join("iceberg/py/bin/python"))
            .arg(script)
            .arg(serde_json::to_string(tables).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (into, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            into,
            from: BufReader::new(from),
        }
    }

    /// The rows of a statement, or what DuckDB says against it.
    pub fn rows(&mut self, sql: &str) -> Result<Rows, String> {
        writeln!(self.into, "{}", serde_json::to_string(sql).unwrap()).unwrap();
        self.into.flush().unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match said["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(serde_json::from_value(said).unwrap()),
        }
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
