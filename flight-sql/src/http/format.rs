//! The forms that rows are sent in, each made batch by batch.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::json::writer::JsonArray;
use datafusion::arrow::json::{StructMode, Writer as JsonWriter, WriterBuilder};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::errors::ParquetError;
use futures::{Stream, StreamExt, stream};
use serde_json::json;

use super::failure::Failure;
use crate::error::QueryError;
use crate::service::{Batches, Results};

/// A form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// An Arrow IPC stream.
    Arrow,
    /// `{"columns": [{"name", "type", "nullable"}], "rows": [[…]]}`.
    Json,
    /// With a line of names (RFC 4180).
    Csv,
    /// One file.
    Parquet,
}

/// Names by which forms are asked for, the first of each is what is answered.
const NAMES: [(&str, Format); 6] = [
    ("application/json", Format::Json),
    ("application/vnd.apache.arrow.stream", Format::Arrow),
    ("text/csv", Format::Csv),
    ("application/vnd.apache.parquet", Format::Parquet),
    ("*/*", Format::Json),
    ("application/*", Format::Json),
];

impl Format {
    /// The first form of `Accept` that can be made; JSON where nothing is asked for. Weights (`q`) do not count, but that 0 means no.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut wanted = headers.get_all(ACCEPT).iter().peekable();
        if wanted.peek().is_none() {
            return Ok(Self::Json);
        }
        let ranges = wanted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for range in ranges {
            let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|part| matches!(part.as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            let found = NAMES.iter().find(|(known, _)| *known == name);
            if let (Some((_, format)), false) = (found, refused) {
                return Ok(*format);
            }
        }
        let known: Vec<&str> = NAMES[..4].iter().map(|(name, _)| *name).collect();
        Err(Failure::not_acceptable(
            "none of the accepted types can be made",
            format!("accept one of {}", known.join(", ")),
        ))
    }

    /// What the body is called.
    pub(super) fn media_type(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, format)| *format == self)
            .map_or("", |(name, _)| name)
    }

    /// The body of these rows.
    pub(super) fn encode(self, results: Results) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send, Failure> {
        if self == Self::Csv
            && let Some(nested) = results
                .schema
                .fields()
                .iter()
                .find(|field| field.data_type().is_nested())
        {
            return Err(Failure::not_acceptable(
                format!("CSV has no place for the values of \"{}\"", nested.name()),
                "cast the column to text, or accept application/json",
            ));
        }
        let encoder = Encoder::begin(self, &results.schema).map_err(QueryError::encoding)?;
        let state = Some((encoder, results.batches));
        let parts = stream::try_unfold(state, |state| async {
            let Some((encoder, batches)) = state else {
                return Ok(None);
            };
            next(encoder, batches).await.map(Some)
        });
        Ok(parts.filter(|part| {
            let empty = matches!(part, Ok(bytes) if bytes.is_empty());
            async move { !empty }
        }))
    }
}

type Going = Option<(Encoder, Batches)>;

async fn next(mut encoder: Encoder, mut batches: Batches) -> Result<(Bytes, Going), Failure> {
    match batches.next().await {
        Some(batch) => {
            encoder.write(&batch?).map_err(QueryError::encoding)?;
            Ok((encoder.written.take(), Some((encoder, batches))))
        }
        None => Ok((encoder.finish().map_err(QueryError::encoding)?, None)),
    }
}

struct Encoder {
    written: Shared,
    writer: Writer,
}

enum Writer {
    Arrow(Box<StreamWriter<Shared>>),
    Json(Box<JsonWriter<Shared, JsonArray>>),
    Csv(Box<datafusion::arrow::csv::Writer<Shared>>),
    Parquet(Box<ArrowWriter<Shared>>),
}

impl Encoder {
    fn begin(format: Format, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let mut written = Shared::default();
        let writer = match format {
            Format::Arrow => Writer::Arrow(Box::new(StreamWriter::try_new(written.clone(), schema)?)),
            Format::Json => {
                let columns = schema.fields().iter();
                let columns = columns.map(|field| {
                    let of = field.data_type().to_string();
                    json!({"name": field.name(), "type": of, "nullable": field.is_nullable()})
                });
                let columns = serde_json::Value::from_iter(columns);
                write!(written, "{{\"columns\":{columns},\"rows\":")?;
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                let builder = builder.with_struct_mode(StructMode::ListOnly);
                Writer::Json(Box::new(builder.build(written.clone())))
            }
            Format::Csv => {
                let mut writer = datafusion::arrow::csv::Writer::new(written.clone());
                // The names are written also where no row is.
                writer.write(&RecordBatch::new_empty(Arc::clone(schema)))?;
                Writer::Csv(Box::new(writer))
            }
            Format::Parquet => {
                let writer = ArrowWriter::try_new(written.clone(), Arc::clone(schema), None);
                Writer::Parquet(Box::new(writer.map_err(parquet)?))
            }
        };
        Ok(Self { written, writer })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match &mut self.writer {
            Writer::Arrow(writer) => writer.write(batch),
            Writer::Json(writer) => writer.write(batch),
            Writer::Csv(writer) => writer.write(batch),
            Writer::Parquet(writer) => writer.write(batch).map_err(parquet),
        }
    }

    fn finish(self) -> Result<Bytes, ArrowError> {
        let mut written = self.written;
        match self.writer {
            Writer::Arrow(mut writer) => writer.finish()?,
            Writer::Json(mut writer) => {
                writer.finish()?;
                drop(writer);
                written.write_all(b"}\n")?;
            }
            Writer::Csv(writer) => drop(writer.into_inner()),
            Writer::Parquet(writer) => drop(writer.close().map_err(parquet)?),
        }
        Ok(written.take())
    }
}

fn parquet(error: ParquetError) -> ArrowError {
    ArrowError::ParquetError(error.to_string())
}

/// Bytes that a writer has given and nobody has taken yet.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    // Goal: a client gets a form that it takes, or is told. Method: headers of clients, with weights and several values.
    #[test]
    fn forms_are_chosen() {
        let accepted = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            Format::accepted(&headers)
        };
        assert_eq!(accepted(&[]).expect("nothing"), Format::Json);
        assert_eq!(accepted(&["*/*"]).expect("curl"), Format::Json);
        assert_eq!(accepted(&["image/png", "Text/CSV; q=0.5"]).expect("two"), Format::Csv);
        assert_eq!(
            accepted(&["application/json;q=0, application/vnd.apache.parquet"]).expect("not JSON"),
            Format::Parquet
        );
        assert!(accepted(&["image/png"]).is_err());
    }
}
