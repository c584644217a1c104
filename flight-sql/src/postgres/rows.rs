//! Rows on their way: what a portal or a cursor has not sent yet.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::{StreamExt, stream};
use tokio::sync::Mutex;

use super::connection::{Unreachable, Wire};
use super::encode::{Rows, Style};
use super::failure::Failure;
use super::reply::Column;
use super::types::PgType;
use crate::error::QueryError;
use crate::service::{Batches, Results};

/// The columns of a schema as clients are told of them.
pub(super) fn columns(schema: &SchemaRef) -> Vec<Column> {
    let fields = schema.fields().iter();
    fields
        .map(|field| Column {
            name: field.name().clone(),
            of: PgType::of_field(field),
        })
        .collect()
}

/// Why rows stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// With an error that the client can be told.
    Failed(Failure),
    Unreachable,
}

impl From<Unreachable> for Stopped {
    fn from(_: Unreachable) -> Self {
        Self::Unreachable
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Rows that are sent as they come.
pub(super) struct Sending {
    batches: Batches,
    style: Style,
    current: Option<(Rows, usize)>,
    /// Rows that were sent.
    pub(super) sent: u64,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sending")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Sending {
    pub(super) fn new(batches: Batches, style: Style) -> Self {
        Self {
            batches,
            style,
            current: None,
            sent: 0,
        }
    }

    /// Sends so many rows, or all of them where it is 0. True when there are no more, as far as is known.
    pub(super) async fn send(&mut self, rows_max: usize, wire: &mut Wire, sql: &str) -> Result<bool, Stopped> {
        let mut left = if rows_max == 0 { usize::MAX } else { rows_max };
        while left > 0 {
            let Some((rows, row)) = self.next(sql).await? else {
                return Ok(true);
            };
            let mut sent = 0;
            let (mut at, end) = (*row, rows.len().min(row.saturating_add(left)));
            left -= end - at;
            while at < end {
                wire.replies.message(b'D', |body| rows.write(at, body));
                at += 1;
                *row = at;
                sent += 1;
                wire.relieve().await?;
            }
            self.sent += sent;
        }
        Ok(false)
    }

    /// Reads all rows and sends none: how many there were.
    pub(super) async fn skip(&mut self, sql: &str) -> Result<u64, Stopped> {
        let mut count = 0;
        while let Some((rows, row)) = self.next(sql).await? {
            count += u64::try_from(rows.len() - *row).unwrap_or_default();
            *row = rows.len();
        }
        Ok(count)
    }

    /// The rows at hand, from the one that is next; `None` after the last.
    pub(super) async fn next(&mut self, sql: &str) -> Result<Option<(&mut Rows, &mut usize)>, Stopped> {
        let style = &self.style;
        let failed = |error: QueryError| Stopped::Failed(Failure::of(&error, sql));
        while self.current.as_ref().is_none_or(|(rows, row)| *row >= rows.len()) {
            self.current = match self.batches.next().await {
                None => return Ok(None),
                Some(batch) => {
                    let batch = batch.map_err(failed)?;
                    Some((
                        Rows::new(&batch, style).map_err(QueryError::encoding).map_err(failed)?,
                        0,
                    ))
                }
            };
        }
        Ok(self.current.as_mut().map(|(rows, row)| (rows, row)))
    }
}

/// Rows of a cursor, of which each `FETCH` takes some.
#[derive(Clone)]
pub(super) struct Cursor {
    pub(super) schema: SchemaRef,
    source: Arc<Mutex<Source>>,
}

struct Source {
    batches: Batches,
    rest: Option<RecordBatch>,
    /// The row that the cursor stands on: none before the first and behind the last.
    row: Option<RecordBatch>,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Cursor {
    pub(super) fn new(results: Results) -> Self {
        Self {
            schema: results.schema,
            source: Arc::new(Mutex::new(Source {
                batches: results.batches,
                rest: None,
                row: None,
            })),
        }
    }

    /// The next rows of it, so many at most; of no rows the one that it stands on.
    pub(super) fn take(&self, rows: usize) -> Results {
        let source = Arc::clone(&self.source);
        if rows == 0 {
            let row = stream::once(async move { source.lock().await.row.clone() });
            return Results {
                schema: Arc::clone(&self.schema),
                batches: Box::pin(row.filter_map(|row| std::future::ready(row.map(Ok)))),
                warnings: Vec::new(),
                basis: None,
            };
        }
        let batches = stream::unfold((source, rows), |(source, left)| async move {
            if left == 0 {
                return None;
            }
            let mut held = source.lock().await;
            let batch = match held.rest.take() {
                Some(batch) => batch,
                None => match held.batches.next().await {
                    Some(Ok(batch)) => batch,
                    Some(Err(error)) => return Some((Err(error), (Arc::clone(&source), 0))),
                    None => {
                        held.row = None;
                        return None;
                    }
                },
            };
            let taken = batch.num_rows().min(left);
            if let Some(last) = taken.checked_sub(1) {
                held.row = Some(batch.slice(last, 1));
            }
            if taken < batch.num_rows() {
                held.rest = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            drop(held);
            Some((Ok(batch.slice(0, taken)), (source, left - taken)))
        });
        Results {
            schema: Arc::clone(&self.schema),
            batches: Box::pin(batches),
            warnings: Vec::new(),
            basis: None,
        }
    }
}
