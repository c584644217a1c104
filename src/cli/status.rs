//! `tidewater status`

use serde_json::Value;

use super::block_on;
use super::failure::Failure;
use super::output::Output;
use crate::control;
use crate::settings::Settings;

pub(super) fn run(settings: &Settings, output: &Output) -> Result<(), Failure> {
    let status = block_on(control::ask(settings, "/v1/status"))?;
    if output.is_json() {
        return output.json(&status);
    }
    let list = |key: &str| status.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    output.rows(&["role", "address"], &list("roles"))?;
    let members = status
        .pointer("/catalog/members")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    output.rows(&["id", "api", "raft", "voter", "matched"], &members)?;
    let of = |path: &str| {
        status
            .pointer(path)
            .map(ToString::to_string)
            .unwrap_or_else(|| "-".to_owned())
    };
    output.line(&format!(
        "leader {}, term {}, applied {}, tables {}, executors {}",
        of("/catalog/leader"),
        of("/catalog/term"),
        of("/catalog/applied"),
        of("/catalog/tables_count"),
        of("/executors"),
    ))
}
