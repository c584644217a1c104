//! Memory of open data files, counted as their query's.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use tidewater_table::{DataFileWriter, WriteOptions};

use crate::error::Result;

/// What it is called where memory runs out.
const DATA_FILES: &str = "data files being written";

/// Of the memory that a task's files may take, they have this part however little there is: with less, each batch of rows would be a
/// file of its own, and in a table with many partitions several.
const LEAST_PART: u64 = 4;

/// The part of a pool that files leave to others, who fail where there is nothing for them; a file that is closed early is smaller.
const LEFT_PART: usize = 4;

/// The same of files that are not closed early and thus cannot give way.
const LEFT_PART_SIZED: usize = 2;

/// And so much at least: a sort asks for 10 MiB when it begins.
const LEFT_BYTES_MIN: usize = 16 << 20;

/// What one writer's open files hold, for as long as this lives. It waits for nobody and refuses nothing: where others have the memory,
/// files are closed early, and what little then is still held is counted no more than there is room for.
#[derive(Debug)]
pub(crate) struct FileMemory {
    pool: Arc<dyn MemoryPool>,
    counted: MemoryReservation,
    least_bytes: u64,
    sized: bool,
}

impl FileMemory {
    /// Of a writer with these options. Files that are `sized` have to reach their size, however little memory there is.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, options: &WriteOptions, sized: bool) -> Self {
        Self {
            pool: Arc::clone(pool),
            counted: MemoryConsumer::new(DATA_FILES).register(pool),
            least_bytes: options.buffered_bytes_max / LEAST_PART,
            sized,
        }
    }

    /// Counts what the writer's open files hold now; closes the largest of them first if there is no room for that.
    ///
    /// # Errors
    /// Those of [`DataFileWriter::close_beyond`].
    pub(crate) async fn follow(&self, writer: &mut DataFileWriter) -> Result<()> {
        let bytes_max = u64::try_from(self.room()).unwrap_or(u64::MAX).max(self.least_bytes);
        if !self.sized && writer.held_bytes() > bytes_max {
            // Counted as before until they are in their store.
            writer.close_beyond(bytes_max).await?;
        }
        let held = usize::try_from(writer.held_bytes()).unwrap_or(usize::MAX);
        if let Err(refused) = self.counted.try_resize(held.min(self.room())) {
            // Others were quicker. It is counted with the next rows, or files are closed then.
            tracing::debug!(error = %refused, "open data files are counted later");
        }
        Ok(())
    }

    /// What these files may hold, beside all that others do.
    fn room(&self) -> usize {
        let MemoryLimit::Finite(limit) = self.pool.memory_limit() else {
            return usize::MAX;
        };
        let others = self.pool.reserved().saturating_sub(self.counted.size());
        let part = if self.sized { LEFT_PART_SIZED } else { LEFT_PART };
        let left = (limit / part).max(LEFT_BYTES_MIN);
        limit.saturating_sub(left).saturating_sub(others)
    }
}
