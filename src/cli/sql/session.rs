//! What the shell knows between two statements, and how it runs one.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use tidewater_core::{SharedClock, SystemClock};

use super::super::connect::{refused, warned};
use super::super::failure::{Failure, Reason};
use super::SharedNames;
use super::page::page;
use super::render::{self, Look};

/// Rows of one printed table: widths are found over so many, and no more are held in memory.
const ROWS_PER_TABLE: usize = 10_000;

/// How a statement or a line ended, if not by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// By Control-C.
    Cancelled,
    /// The shell is to end.
    Quit,
}

/// One shell.
pub(super) struct Session {
    pub(super) client: FlightSqlServiceClient<Channel>,
    pub(super) endpoint: String,
    pub(super) user: Option<String>,
    pub(super) names: SharedNames,
    /// The statement that ran last, for `\export` and `\e`.
    pub(super) last: Option<String>,
    pub(super) json: bool,
    pub(super) timing: bool,
    pub(super) expanded: bool,
    pub(super) interactive: bool,
    /// Size of the terminal.
    pub(super) columns: Option<u16>,
    pub(super) lines: Option<u16>,
    /// Where rows go instead of standard output.
    pub(super) file: Option<(PathBuf, BufWriter<File>)>,
    clock: SharedClock,
}

impl Session {
    pub(super) fn new(client: FlightSqlServiceClient<Channel>, endpoint: String, user: Option<&str>) -> Self {
        Self {
            client,
            endpoint,
            user: user.map(str::to_owned),
            names: SharedNames::default(),
            last: None,
            json: false,
            timing: false,
            expanded: false,
            interactive: false,
            columns: None,
            lines: None,
            file: None,
            clock: SystemClock::shared(),
        }
    }

    pub(super) fn prompt(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@lake> "),
            None => "lake> ".to_owned(),
        }
    }

    /// Words of the shell itself.
    #[expect(clippy::print_stderr, reason = "words go to standard error")]
    pub(super) fn say(text: &str) {
        eprintln!("{text}");
    }

    /// Runs a statement and shows its rows as they come.
    pub(super) fn run(&mut self, runtime: &Runtime, sql: &str) -> Result<Ended, Failure> {
        self.last = Some(sql.to_owned());
        let began = self.clock.monotonic();
        let ended = runtime.block_on(async {
            tokio::select! {
                shown = self.show(sql) => shown.map(|()| Ended::Done),
                // What was asked is dropped, which ends it where it runs.
                _ = tokio::signal::ctrl_c() => Ok(Ended::Cancelled),
            }
        });
        if self.timing {
            let took = self.clock.monotonic().saturating_sub(began);
            Self::say(&format!("time: {}", told(took)));
        }
        ended
    }

    async fn show(&mut self, sql: &str) -> Result<(), Failure> {
        let (schema, mut rows) = ask(&mut self.client, sql).await?;
        if let Some(warning) = warned(&rows) {
            Self::say(&warning);
        }
        if self.json {
            return self.show_json(rows).await;
        }
        let (mut held, mut count, mut shown): (Vec<RecordBatch>, usize, bool) = (Vec::new(), 0, false);
        while let Some(batch) = rows.try_next().await.map_err(|error| refused(&error))? {
            count += batch.num_rows();
            held.push(batch);
            if held.iter().map(RecordBatch::num_rows).sum::<usize>() >= ROWS_PER_TABLE {
                let text = render::rows(&schema, &held, &self.look(count))?;
                held.clear();
                shown = true;
                if !self.write(&text)? {
                    return Ok(());
                }
            }
        }
        // The columns of an empty answer are shown, those of an empty last part are not.
        let mut text = match shown && held.iter().all(|batch| batch.num_rows() == 0) {
            true => String::new(),
            false => render::rows(&schema, &held, &self.look(count))?,
        };
        text.push_str(&format!("({count} {})\n", if count == 1 { "row" } else { "rows" }));
        self.write(&text).map(|_| ())
    }

    /// `count` rows were read up to here.
    fn look(&self, count: usize) -> Look {
        Look {
            expanded: self.expanded,
            width: self.columns.filter(|_| self.file.is_none()),
            rows_before: count,
        }
    }

    async fn show_json(&mut self, rows: FlightRecordBatchStream) -> Result<(), Failure> {
        use arrow::json::writer::{JsonArray, WriterBuilder};
        let bad =
            |error: arrow::error::ArrowError| Failure::of(Reason::Answer, format!("cannot print the result: {error}"));
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, JsonArray>(Vec::new());
        let mut rows = rows;
        while let Some(batch) = rows.try_next().await.map_err(|error| refused(&error))? {
            writer.write(&batch).map_err(bad)?;
            let part = std::mem::take(writer.get_mut());
            self.put(&part)?;
        }
        writer.finish().map_err(bad)?;
        let mut end = writer.into_inner();
        end.push(b'\n');
        self.put(&end)
    }

    /// Shows text: a page at a time where somebody looks at it. False when nobody reads it any more.
    pub(super) fn write(&mut self, text: &str) -> Result<bool, Failure> {
        if self.interactive && self.file.is_none() && io::stdout().is_terminal() && page(text, self.lines) {
            return Ok(true);
        }
        match self.put(text.as_bytes()) {
            Ok(()) => Ok(true),
            Err(_) if self.file.is_none() && !self.interactive => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.file {
            Some((_, file)) => file.write_all(bytes),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.file.is_none() => Ok(()),
            other => other.map_err(|source| Failure::io("write the result", source)),
        }
    }

    /// What was written to a file is there.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        match self.file.take() {
            Some((path, mut file)) => file
                .flush()
                .map_err(|source| Failure::io(&format!("write {}", path.display()), source)),
            None => Ok(()),
        }
    }
}

/// Sends a statement; the columns and rows of its answer.
pub(super) async fn ask(
    client: &mut FlightSqlServiceClient<Channel>,
    sql: &str,
) -> Result<(SchemaRef, FlightRecordBatchStream), Failure> {
    let info = client
        .execute(sql.to_owned(), None)
        .await
        .map_err(|error| refused(&error))?;
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone());
    let ticket =
        ticket.ok_or_else(|| Failure::of(Reason::Answer, "the endpoint names nothing to fetch the rows with"))?;
    let schema = info.try_decode_schema().map_err(|error| {
        Failure::of(
            Reason::Answer,
            format!("cannot read the columns of the answer: {error}"),
        )
    })?;
    let rows = client.do_get(ticket).await.map_err(|error| refused(&error))?;
    Ok((schema.into(), rows))
}

fn told(took: Duration) -> String {
    match took.as_secs() {
        0 => format!("{:.1} ms", took.as_secs_f64() * 1_000.0),
        _ => format!("{:.2} s", took.as_secs_f64()),
    }
}
