//! Bytes that are read before they are asked for: while rows of one row group are made, the same columns of the next ones come from their
//! store. Only where that is worth something: in remote stores, and once a file has been seen to be read row group by row group.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::physical_plan::metrics::Count;
use object_store::ObjectStore;
use object_store::path::Path;

/// What the memory of such bytes is called where memory runs out.
const READ_AHEAD: &str = "rows read ahead";

/// Of one list of columns, so much comes before it is asked for, and so many row groups: first one, then one more with each that was
/// asked for in turn.
const BYTES_MAX: usize = 64 << 20;
const GROUPS_MAX: usize = 4;

/// Lists of columns that are told apart: those of filters, and those of rows that pass them.
const LISTS_MAX: usize = 4;

/// What is read ahead of one file.
pub(super) struct Ahead {
    store: Arc<dyn ObjectStore>,
    memory: MemoryReservation,
    scanned_bytes: Count,
    lists: Vec<Columns>,
}

/// Columns that are read together.
struct Columns {
    numbers: Vec<usize>,
    /// Which row group they were read of last.
    group: usize,
    /// How many were read in turn up to it.
    in_turn: usize,
    /// Those of the row groups behind it.
    coming: VecDeque<Coming>,
}

/// Columns of one row group. Dropping it ends the read.
struct Coming {
    ranges: Vec<Range<u64>>,
    read: SpawnedTask<object_store::Result<Vec<Bytes>>>,
    charged: MemoryReservation,
}

impl Ahead {
    /// Nothing yet. What comes is charged to `pool`, and counted in `scanned_bytes` when it is asked for.
    pub(super) fn new(store: Arc<dyn ObjectStore>, pool: &Arc<dyn MemoryPool>, scanned_bytes: Count) -> Self {
        Self {
            store,
            memory: MemoryConsumer::new(READ_AHEAD).register(pool),
            scanned_bytes,
            lists: Vec::new(),
        }
    }

    /// These bytes, if they were read ahead. None also where that failed: whoever asks reads them again, and is told why if need be.
    pub(super) async fn take(&mut self, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let mut lists = self.lists.iter_mut();
        let coming = lists.find_map(|columns| columns.coming.pop_front_if(|next| next.ranges == ranges))?;
        let read = coming.read.join().await.ok()?.ok()?;
        self.scanned_bytes.add(read.iter().map(Bytes::len).sum());
        Some(read)
    }

    /// These bytes were asked for and are there: begins to read what will be asked for next, if that can be told.
    pub(super) fn follow(&mut self, ranges: &[Range<u64>], footer: &ParquetMetaData, file: &Path) {
        let groups = footer.row_groups();
        let Some((group, numbers)) = (0..groups.len()).find_map(|at| Some((at, columns(groups.get(at)?, ranges)?)))
        else {
            return;
        };
        let Some(known) = self.lists.iter_mut().find(|columns| columns.numbers == numbers) else {
            if self.lists.len() < LISTS_MAX {
                self.lists.push(Columns {
                    numbers,
                    group,
                    in_turn: 0,
                    coming: VecDeque::new(),
                });
            }
            return;
        };
        if group == known.group + 1 {
            known.in_turn += 1;
        } else {
            // What was expected is not wanted.
            known.coming.clear();
            known.in_turn = 0;
        }
        known.group = group;
        let wanted = known.in_turn.min(GROUPS_MAX);
        while known.coming.len() < wanted {
            let next = groups.get(group + 1 + known.coming.len());
            let Some(coming) = next.and_then(|next| known.begin(next, &self.store, &self.memory, file)) else {
                return;
            };
            known.coming.push_back(coming);
        }
    }
}

impl Columns {
    /// Nothing where it would be too much.
    fn begin(
        &self,
        group: &RowGroupMetaData,
        store: &Arc<dyn ObjectStore>,
        memory: &MemoryReservation,
        file: &Path,
    ) -> Option<Coming> {
        let ranges = self.numbers.iter().map(|number| chunk(group, *number));
        let ranges: Vec<Range<u64>> = ranges.collect::<Option<_>>()?;
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let bytes = usize::try_from(bytes).ok()?;
        let others: usize = self.coming.iter().map(|coming| coming.charged.size()).sum();
        if others.saturating_add(bytes) > BYTES_MAX {
            return None;
        }
        let charged = memory.new_empty();
        charged.try_grow(bytes).ok()?;
        let (store, file, wanted) = (Arc::clone(store), file.clone(), ranges.clone());
        let read = SpawnedTask::spawn(async move { store.get_ranges(&file, &wanted).await });
        Some(Coming { ranges, read, charged })
    }
}

/// The columns of this row group whose whole chunks these are.
fn columns(group: &RowGroupMetaData, ranges: &[Range<u64>]) -> Option<Vec<usize>> {
    let number =
        |range: &Range<u64>| (0..group.num_columns()).find(|number| chunk(group, *number).as_ref() == Some(range));
    (!ranges.is_empty()).then(|| ranges.iter().map(number).collect())?
}

fn chunk(group: &RowGroupMetaData, column: usize) -> Option<Range<u64>> {
    let (start, length) = group.columns().get(column)?.byte_range();
    Some(start..start.checked_add(length)?)
}
