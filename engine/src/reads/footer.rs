//! Footers of Parquet files: read, compared, parsed and kept.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::HashMap;
use datafusion::execution::cache::cache_manager::FileMetadata;
use datafusion::parquet::DecodeResult;
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};
use tidewater_table::TableError;
use tidewater_table::digest::ChunkChecksums;

use super::misordered::without_misordered;
use super::uncounted::without_uncounted;

/// A footer, and the checksums that it tells of the rows before it.
#[derive(Debug, Clone)]
pub(super) struct Footer {
    pub(super) metadata: Arc<ParquetMetaData>,
    /// `None`: the file tells none.
    pub(super) checksums: Option<Arc<ChunkChecksums>>,
}

impl Footer {
    fn new(location: &str, metadata: ParquetMetaData) -> Self {
        Self {
            checksums: ChunkChecksums::told(location, &metadata).map(Arc::new),
            metadata: Arc::new(metadata),
        }
    }

    pub(super) fn has_page_indexes(&self) -> bool {
        self.metadata.column_index().is_some() && self.metadata.offset_index().is_some()
    }
}

impl FileMetadata for Footer {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn memory_size(&self) -> usize {
        let checksums = self.checksums.as_ref().map_or(0, |checksums| checksums.memory_bytes());
        self.metadata.memory_size() + checksums
    }

    fn extra_info(&self) -> HashMap<String, String> {
        HashMap::from([("page_index".to_owned(), self.has_page_indexes().to_string())])
    }
}

/// What came of an attempt to parse a footer.
pub(super) enum Parsed {
    Footer(Footer),
    /// It begins, or its indexes do, at this byte of the file, which is before what was read.
    Longer(u64),
}

/// Parses the last bytes of a file, `range` of it.
pub(super) fn parse(location: &str, range: Range<u64>, bytes: Bytes, indexes: PageIndexPolicy) -> Result<Parsed> {
    let decode = || {
        let mut decoder = ParquetMetaDataPushDecoder::try_new(range.end)?.with_page_index_policy(indexes);
        decoder.push_range(range.clone(), bytes)?;
        match decoder.try_decode()? {
            DecodeResult::Data(metadata) => {
                let metadata = without_misordered(without_uncounted(metadata)?)?;
                Ok(Parsed::Footer(Footer::new(location, metadata)))
            }
            DecodeResult::NeedsData(needed) => {
                let start = needed.iter().map(|range| range.start).min();
                match start.filter(|start| *start < range.start) {
                    Some(start) => Ok(Parsed::Longer(start)),
                    None => Err(damaged("its footer names bytes that are not there")),
                }
            }
            DecodeResult::Finished => Err(damaged("it has no footer")),
        }
    };
    // The parser of damaged bytes may give up on its own, which would end more than this query.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(damaged("the parser of its footer gave up")))
}

fn damaged(reason: &str) -> ParquetError {
    ParquetError::External(Box::new(TableError::Damaged { reason: reason.into() }))
}
