//! Rows, and memory that is counted until they end.

use std::pin::Pin;
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{Stream, StreamExt};

/// Rows of a scan and what it holds to leave others out.
pub(super) struct Counted {
    rows: SendableRecordBatchStream,
    _memory: MemoryReservation,
}

impl Counted {
    /// Counts so many bytes, if there is room: they are there already, and to refuse them would free nothing.
    pub(super) fn new(rows: SendableRecordBatchStream, memory: MemoryReservation, bytes: usize) -> Self {
        if let Err(refused) = memory.try_grow(bytes) {
            tracing::debug!(error = %refused, "deleted rows are not counted");
        }
        Self { rows, _memory: memory }
    }
}

impl Stream for Counted {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(context)
    }
}
