//! Bounds of columns whose nulls a file does not count: some writers leave the count out. What skips row groups takes that for none
//! (DataFusion 55.2), and rows with null would be lost where they are asked for (`IS NULL`), or are the first (`ORDER BY v DESC LIMIT 5`).

use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// The same metadata without such bounds.
pub(super) fn without_uncounted(metadata: ParquetMetaData) -> Result<ParquetMetaData> {
    let mut chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    if !chunks.any(is_uncounted) {
        return Ok(metadata);
    }
    let mut whole = metadata.into_builder();
    let mut groups = whole.take_row_groups();
    let chunks = groups.iter_mut().flat_map(RowGroupMetaData::columns_mut);
    for chunk in chunks.filter(|chunk| is_uncounted(chunk)) {
        *chunk = chunk.clone().into_builder().clear_statistics().build()?;
    }
    Ok(whole.set_row_groups(groups).build())
}

fn is_uncounted(chunk: &ColumnChunkMetaData) -> bool {
    let may_be_null = chunk.column_descr().max_def_level() > 0;
    may_be_null && chunk.statistics().is_some_and(|told| told.null_count_opt().is_none())
}

#[cfg(test)]
mod tests;
