//! `ops.audit`: the audit log of this process's folder, read while rows are wanted.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, ListBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde_json::{Value, json};

use tidewater_engine::live::{Batches, LiveFiles, Times};
use tidewater_security::{AuditFilter, AuditLines};

use super::{counts, list, text, texts, time, times};

/// Lines of one batch, of some hundred bytes each as they mostly are, and of some 40 KiB at most as they are written here.
const LINES_MAX: usize = 1_024;

/// The lines of a folder.
#[derive(Debug)]
pub(super) struct Audit {
    directory: PathBuf,
    schema: SchemaRef,
}

impl Audit {
    pub(super) fn of(directory: PathBuf) -> Self {
        let count = |name: &str| Field::new(name, DataType::UInt64, true);
        let schema = Schema::new(vec![
            time("at"),
            text("event", false),
            text("process", true),
            text("id", true),
            text("user", true),
            text("by", true),
            text("address", true),
            text("client", true),
            text("front", true),
            text("way", true),
            text("outcome", true),
            text("statement", true),
            text("hash", true),
            list("tables", DataType::Utf8),
            count("tables_left_out"),
            list("snapshots", DataType::Int64),
            count("rows"),
            count("bytes"),
            time("began"),
            count("queue_ms"),
            count("duration_ms"),
            text("route", true),
            text("reason", true),
            text("cache", true),
            text("error", true),
            text("sent_on_by", true),
            count("logins"),
            count("lines"),
        ]);
        Self {
            directory,
            schema: Arc::new(schema),
        }
    }
}

impl LiveFiles for Audit {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn time(&self) -> &'static str {
        "at"
    }

    fn batches(&self, times: Times) -> Batches {
        let wanted = AuditFilter {
            since_ms: times.since_ms,
            until_ms: times.until_ms,
            ..AuditFilter::default()
        };
        let mut reading = Reading::Begins(self.directory.clone(), wanted);
        let schema = Arc::clone(&self.schema);
        Box::new(std::iter::from_fn(move || {
            let lines = reading.next_lines().transpose()?;
            Some(lines.and_then(|lines| batch_of(&schema, &lines)))
        }))
    }
}

/// How far it is.
enum Reading {
    Begins(PathBuf, AuditFilter),
    Goes(AuditLines),
    Over,
}

impl Reading {
    /// The next lines; none at the end, and after an error.
    fn next_lines(&mut self) -> io::Result<Option<Vec<Value>>> {
        let mut lines = match std::mem::replace(self, Self::Over) {
            Self::Begins(directory, wanted) => match AuditLines::of(&directory, wanted) {
                Ok(lines) => lines,
                // Nothing was kept yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
            Self::Goes(lines) => lines,
            Self::Over => return Ok(None),
        };
        let mut found = lines.by_ref().take(LINES_MAX).collect::<io::Result<Vec<Value>>>()?;
        if found.len() == LINES_MAX {
            *self = Self::Goes(lines);
            return Ok(Some(found));
        }
        let unreadable = lines.unreadable();
        if unreadable > 0 {
            tracing::warn!(unreadable, "lines of the audit log cannot be read");
            found.push(json!({"event": "unreadable", "lines": unreadable}));
        }
        Ok(Some(found))
    }
}

fn batch_of(schema: &SchemaRef, lines: &[Value]) -> io::Result<RecordBatch> {
    let word = |name: &'static str| texts(lines, move |line| line[name].as_str());
    let count = |name: &'static str| counts(lines, move |line| line[name].as_u64());
    let moment = |name: &'static str| times(lines, move |line| line[name].as_i64());
    let mut tables = ListBuilder::new(StringBuilder::new());
    let mut snapshots = ListBuilder::new(Int64Builder::new());
    for line in lines {
        let told = line["tables"].as_array();
        for table in told.into_iter().flatten() {
            tables.values().append_option(table.as_str());
        }
        tables.append(told.is_some());
        let told = line["snapshots"].as_array();
        for snapshot in told.into_iter().flatten() {
            snapshots.values().append_option(snapshot.as_i64());
        }
        snapshots.append(told.is_some());
    }
    // A line that somebody else wrote may have none.
    let events = texts(lines, |line| Some(line["event"].as_str().unwrap_or_default()));
    let columns: Vec<ArrayRef> = vec![
        moment("at_ms"),
        events,
        word("process"),
        word("id"),
        word("user"),
        word("by"),
        word("address"),
        word("client"),
        word("front"),
        word("way"),
        word("outcome"),
        word("statement"),
        word("hash"),
        Arc::new(tables.finish()),
        count("tables_left_out"),
        Arc::new(snapshots.finish()),
        count("rows"),
        count("bytes"),
        moment("began_ms"),
        count("queue_ms"),
        count("duration_ms"),
        word("route"),
        word("reason"),
        word("cache"),
        word("error"),
        word("sent_on_by"),
        count("logins"),
        count("lines"),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow::array::{Array, AsArray, StringArray};
    use arrow::datatypes::{TimestampMillisecondType, UInt64Type};

    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn file(directory: &std::path::Path, began_ms: i64, text: &str) {
        let path = directory.join(format!("audit-{began_ms:013}-7-000.jsonl"));
        fs::write(path, text).expect("a file");
    }

    fn read(audit: &Audit, times: Times) -> Vec<RecordBatch> {
        let batches = audit.batches(times).collect::<io::Result<Vec<_>>>();
        batches.expect("a folder")
    }

    // Goal: lines are rows with their types, in batches of so many, what a crash has torn is no row, and what somebody changed is counted.
    // Method: more lines than a batch has, one of each kind among them, one that is none, and a torn one.
    #[test]
    fn lines_are_rows() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let audit = Audit::of(dir.path().to_owned());
        let statement = json!({
            "event": "statement", "at_ms": 7, "process": "lake-1:8080", "user": "ana", "tables": ["gold.a", "gold.b"],
            "snapshots": [3], "rows": 2, "began_ms": 5, "address": null, "error": null
        });
        let login = json!({"event": "login", "at_ms": 8, "user": "eve", "way": "scram", "outcome": "denied", "error": "SEC-0001"});
        let mut text = format!("{statement}\n{login}\nno line\n");
        for at_ms in 9..9 + i64::try_from(LINES_MAX).expect("few") {
            text.push_str(&format!("{{\"event\":\"began\",\"at_ms\":{at_ms}}}\n"));
        }
        text.push_str("{\"event\":\"state");
        file(dir.path(), 7, &text);
        let batches = read(&audit, Times::default());
        let rows: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [LINES_MAX, 3]);
        let first = &batches[0];
        let word = |name: &str, row: usize| -> Option<String> {
            let column: &StringArray = first[name].as_string();
            column.iter().nth(row).flatten().map(str::to_owned)
        };
        assert_eq!(word("user", 0).as_deref(), Some("ana"));
        assert_eq!((word("address", 0), word("error", 0)), (None, None));
        assert_eq!(word("outcome", 1).as_deref(), Some("denied"));
        assert_eq!(first["at"].as_primitive::<TimestampMillisecondType>().value(0), 7);
        assert_eq!(first["rows"].as_primitive::<UInt64Type>().value(0), 2);
        let tables = first["tables"].as_list::<i32>();
        assert_eq!(tables.value(0).as_string::<i32>().value(1), "gold.b");
        assert!(tables.is_null(1), "it has none");
        let last = &batches[1];
        assert_eq!(last["event"].as_string::<i32>().value(2), "unreadable");
        assert_eq!(last["lines"].as_primitive::<UInt64Type>().value(2), 1);
    }

    // Goal: of other times no line is read, and a folder that is not there has none. Method: files of two days, one of which would count as
    // unreadable; then no folder.
    #[test]
    fn other_times_are_not_read() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let audit = Audit::of(dir.path().join("audit"));
        assert_eq!(read(&audit, Times::default()).len(), 0);
        fs::create_dir(dir.path().join("audit")).expect("a folder");
        file(&dir.path().join("audit"), DAY_MS, "no line\n");
        let line = format!("{{\"event\":\"login\",\"at_ms\":{}}}\n", 9 * DAY_MS);
        file(&dir.path().join("audit"), 9 * DAY_MS, &line);
        let rows = |times: Times| read(&audit, times).iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(
            rows(Times::default()),
            2,
            "a line, and that there is one that cannot be read"
        );
        let since_ms = Some(9 * DAY_MS);
        let times = Times {
            since_ms,
            until_ms: since_ms.map(|since_ms| since_ms + 1),
        };
        assert_eq!(rows(times), 1);
        let until_ms = since_ms;
        assert_eq!(rows(Times { since_ms, until_ms }), 0);
    }
}
