//! `tidewater query log`: the audit log of this machine, read from its files, whether or not a process runs.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use tidewater_core::SystemClock;
use tidewater_security::{AuditFilter, audit};

use crate::cli::failure::{Failure, Reason};
use crate::cli::output::Output;
use crate::settings::Settings;

/// Lines that are held before the oldest of them are let go.
const HELD_MIN: usize = 1_024;

/// What turns the direction of a text around where it is shown.
const TURNS: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// From then on: 2026-11-29, 2026-11-29T08:00:00Z, or as long ago as 24h or 90d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until before then, said in the same way
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of this user, or of who said they were
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What is about this table or view; also statements that name it and were refused before they were planned
    #[arg(long, value_name = "SCHEMA.NAME")]
    table: Option<String>,
    /// Only what failed or was refused
    #[arg(long)]
    failed: bool,
    /// The newest so many
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    /// Folders of other processes, copied or mounted here; without it the one below data_dir
    #[arg(long = "directory", value_name = "DIR")]
    directories: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct LogLine {
    at: String,
    event: String,
    user: String,
    address: String,
    what: String,
    tables: String,
    rows: Option<u64>,
    error: String,
}

pub(super) fn run(settings: &Settings, args: LogArgs, output: &Output) -> Result<(), Failure> {
    let now_ms = SystemClock::shared().now_ms();
    let moment = |text: Option<String>| text.map(|text| moment(&text, now_ms)).transpose();
    let wanted = AuditFilter {
        since_ms: moment(args.since)?,
        until_ms: moment(args.until)?,
        user: args.user,
        table: args.table,
        only_failed: args.failed,
    };
    let mut directories = args.directories;
    if directories.is_empty() {
        directories.push(settings.audit_dir());
    }
    let held_max = args.limit.saturating_mul(2).max(HELD_MIN);
    let (mut lines, mut found, mut unreadable) = (Vec::new(), 0_u64, 0_u64);
    for directory in &directories {
        let read = audit::read(directory, &wanted, |line| {
            found += 1;
            lines.push(line);
            if lines.len() >= held_max {
                keep_newest(&mut lines, args.limit);
            }
        });
        let failed = |source| Failure::io(&format!("read the audit log in {}", directory.display()), source);
        unreadable += read.map_err(failed)?;
    }
    keep_newest(&mut lines, args.limit);
    match output.is_json() {
        true => output.rows(&[], &lines)?,
        false => {
            let shown: Vec<LogLine> = lines.iter().map(shown).collect();
            let columns = ["at", "event", "user", "address", "what", "tables", "rows", "error"];
            output.rows(&columns, &shown)?;
        }
    }
    let left_out = found.saturating_sub(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    if left_out > 0 {
        super::say(&format!(
            "{left_out} older ones are left out: ask for more with --limit"
        ));
    }
    match unreadable {
        0 => Ok(()),
        unreadable => Err(
            Failure::new(format!("{unreadable} lines of the audit log cannot be read"))
                .hint("tidewater writes no such lines: somebody or something changed the files"),
        ),
    }
}

fn keep_newest(lines: &mut Vec<Value>, limit: usize) {
    lines.sort_by_key(|line| line["at_ms"].as_i64());
    let over = lines.len().saturating_sub(limit);
    lines.drain(..over);
}

fn moment(text: &str, now_ms: i64) -> Result<i64, Failure> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(now_ms.saturating_sub(ago_ms));
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0));
    midnight.map(|time| time.and_utc().timestamp_millis()).ok_or_else(|| {
        Failure::of(Reason::Usage, format!("{text:?} is no time"))
            .hint("write 2026-11-29, 2026-11-29T08:00:00Z, or 24h for a day ago")
            .exit(2)
    })
}

fn shown(line: &Value) -> LogLine {
    let text = |key: &str| harmless(line[key].as_str().unwrap_or_default());
    let tables = line["tables"].as_array().into_iter().flatten();
    let tables: Vec<String> = tables.filter_map(Value::as_str).map(harmless).collect();
    let left_out = line["tables_left_out"].as_u64();
    let more = left_out.map_or_else(String::new, |left_out| format!(" and {left_out} more"));
    let what = match line["event"].as_str() {
        Some("login") => format!("{} {}", text("way"), text("outcome")),
        Some("logins_left_out") => format!("{} more", line["logins"]),
        Some("lost") => format!("{} lines", line["lines"]),
        _ => text("statement"),
    };
    let at = chrono::DateTime::from_timestamp_millis(line["at_ms"].as_i64().unwrap_or_default());
    LogLine {
        at: at
            .map(|at| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string())
            .unwrap_or_default(),
        event: text("event"),
        user: text("user"),
        address: text("address"),
        what,
        tables: tables.join(", ") + &more,
        rows: line["rows"].as_u64(),
        error: text("error"),
    }
}

/// Names are what clients say, those of tables that are not there among them: none of them commands the terminal of who reads this, nor turns
/// round what is behind it.
fn harmless(told: &str) -> String {
    let commands = |letter: char| letter.is_control() || TURNS.contains(&letter);
    told.replace(commands, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: people say times in the ways that they are told of, and anything else is refused rather than taken for another time. Method: one of
    // each way, and texts that are none.
    #[test]
    fn times_are_said_in_three_ways() {
        let day_ms = 24 * 60 * 60 * 1000;
        let now_ms = 20_000 * day_ms;
        for (text, expected) in [
            ("1d", Some(now_ms - day_ms)),
            ("90m", Some(now_ms - 90 * 60 * 1000)),
            ("1970-01-03", Some(2 * day_ms)),
            ("1970-01-02T00:00:01Z", Some(day_ms + 1_000)),
            ("1970-01-02T01:00:00+01:00", Some(day_ms)),
            ("yesterday", None),
            ("1970-13-01", None),
            ("", None),
        ] {
            assert_eq!(moment(text, now_ms).ok(), expected, "{text}");
        }
    }

    // Goal: who is refused cannot write to the terminal of who reads of it. Method: a name that clears the screen, and tables that are not there
    // whose names do and turn a text around, as a refused request may name them.
    #[test]
    fn names_command_no_terminal() {
        let line = serde_json::json!({"event": "operation", "tables": ["a.\u{1b}[2J", "a.\u{202e}b\n"]});
        assert_eq!(shown(&line).tables, "a.\u{fffd}[2J, a.\u{fffd}b\u{fffd}");
        let line = serde_json::json!({"event": "login", "user": "\u{1b}[2Jana", "way": "scram", "outcome": "denied"});
        let shown = shown(&line);
        assert_eq!(
            (shown.user.as_str(), shown.what.as_str()),
            ("\u{fffd}[2Jana", "scram denied")
        );
    }

    // Goal: who reads a line sees that it does not tell all of its tables. Method: a line with some left out, and one with none.
    #[test]
    fn left_out_tables_are_told() {
        let line = serde_json::json!({"event": "statement", "tables": ["gold.a", "gold.b"], "tables_left_out": 7});
        assert_eq!(shown(&line).tables, "gold.a, gold.b and 7 more");
        let line = serde_json::json!({"event": "statement", "tables": ["gold.a"]});
        assert_eq!(shown(&line).tables, "gold.a");
    }

    // Goal: of many lines the newest are shown, in the order of their times. Method: lines out of order, as those of two processes are.
    #[test]
    fn the_newest_are_kept() {
        let mut lines: Vec<Value> = [5, 1, 4, 2, 3]
            .map(|at_ms| serde_json::json!({ "at_ms": at_ms }))
            .into();
        keep_newest(&mut lines, 3);
        let left: Vec<Option<i64>> = lines.iter().map(|line| line["at_ms"].as_i64()).collect();
        assert_eq!(left, [Some(3), Some(4), Some(5)]);
        keep_newest(&mut lines, 9);
        assert_eq!(lines.len(), 3);
    }
}
