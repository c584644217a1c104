//! `\export`: the rows of the last statement as a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::LineDelimitedWriter;
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use tokio::runtime::Runtime;

use super::super::connect::refused;
use super::super::failure::{Failure, Reason};
use super::session::{Ended, Session, ask};

/// A file that grows with the rows.
enum Writer {
    Csv(Box<arrow::csv::Writer<BufWriter<File>>>),
    /// An object a line.
    Json(Box<LineDelimitedWriter<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
}

/// Runs the last statement again and writes its rows to a file: beside it first, so that there is a whole one or none.
pub(super) fn run(runtime: &Runtime, session: &mut Session, rest: &str) -> Result<Ended, Failure> {
    let usage = || Failure::of(Reason::Usage, "say \\export csv|json|parquet FILE");
    let (format, path) = rest.split_once(char::is_whitespace).ok_or_else(usage)?;
    let path = Path::new(path.trim());
    let sql = session
        .last
        .clone()
        .ok_or_else(|| Failure::of(Reason::Usage, "no statement has run yet"))?;
    let mut name = path.file_name().ok_or_else(usage)?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = runtime.block_on(async {
        tokio::select! {
            written = write(session, &sql, format, &part) => written.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    match written {
        Ok(Some(rows)) => {
            let failed = |source| Failure::io(&format!("write {}", path.display()), source);
            std::fs::rename(&part, path).map_err(failed)?;
            Session::say(&format!("{rows} rows in {}", path.display()));
            Ok(Ended::Done)
        }
        other => {
            // What is left of it is of no use; it may not even be there.
            let _ = std::fs::remove_file(&part);
            other.map(|_| Ended::Cancelled)
        }
    }
}

async fn write(session: &mut Session, sql: &str, format: &str, path: &Path) -> Result<usize, Failure> {
    let (schema, mut rows) = ask(&mut session.client, sql).await?;
    let mut writer = Writer::open(format, path, &schema)?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.map_err(|error| refused(&error))? {
        count += batch.num_rows();
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok(count)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::of(Reason::Answer, format!("cannot write the file: {error}"))
        .hint("cast columns that the format cannot hold to text")
}

impl Writer {
    fn open(format: &str, path: &Path, schema: &SchemaRef) -> Result<Self, Failure> {
        let open = || {
            let file =
                File::create(path).map_err(|source| Failure::io(&format!("write {}", path.display()), source))?;
            Ok::<_, Failure>(BufWriter::new(file))
        };
        Ok(match format {
            "csv" => Self::Csv(Box::new(arrow::csv::Writer::new(open()?))),
            "json" => Self::Json(Box::new(LineDelimitedWriter::new(open()?))),
            "parquet" => {
                let writer = ArrowWriter::try_new(open()?, schema.clone(), None);
                Self::Parquet(Box::new(writer.map_err(failed)?))
            }
            _ => return Err(Failure::of(Reason::Usage, "say \\export csv|json|parquet FILE")),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match self {
            Self::Csv(writer) => writer.write(batch).map_err(failed),
            Self::Json(writer) => writer.write(batch).map_err(failed),
            Self::Parquet(writer) => writer.write(batch).map_err(failed),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Csv(writer) => writer.into_inner().flush().map_err(failed),
            Self::Json(mut writer) => {
                writer.finish().map_err(failed)?;
                writer.into_inner().flush().map_err(failed)
            }
            Self::Parquet(writer) => {
                let mut file = writer.into_inner().map_err(failed)?;
                file.flush().map_err(failed)
            }
        }
    }
}
