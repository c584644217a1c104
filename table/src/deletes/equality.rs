//! Deletes by equality: rows that have the values of a delete file in its columns. Null equals null (spec, "Equality Delete
//! Files"), and every NaN equals every other, as in the reference implementation (`Comparators`); zero does not equal minus zero there.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use futures::TryStreamExt;
use iceberg::spec::Schema;
use parquet::arrow::ParquetRecordBatchStreamBuilder;

use super::Names;
use super::cache::Keys;
use super::columns::{self, Columns, Places, Wanted, filled};
use super::mask::RowMask;
use super::reader::StoredParquet;
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// What is known of columns that a data file may lack, or call otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// What the file's partition tells of them: one value each, by field id.
    pub(super) told: &'a [(i32, ArrayRef)],
    /// Their names in files without field ids, if the table maps names.
    pub(super) names: Option<&'a Names>,
}

/// Delete files of the same columns.
struct Group {
    wanted: Vec<Wanted>,
    converter: RowConverter,
    keys: Vec<Arc<Keys>>,
}

impl Group {
    fn new(columns: &Schema, known: Known<'_>) -> Result<Self> {
        let wanted = Wanted::all(columns)?.into_iter();
        let wanted = wanted.map(|wanted| wanted.told(known.told).named(known.names));
        let wanted: Vec<Wanted> = wanted.collect();
        let sort = wanted.iter().map(|wanted| SortField::new(wanted.data_type().clone()));
        let converter = RowConverter::new(sort.collect()).map_err(TableError::encode("compare deleted values"))?;
        Ok(Self {
            wanted,
            converter,
            keys: Vec::new(),
        })
    }

    /// Marks rows, the first of which is at `first`.
    fn mark(&self, columns: Columns, rows: usize, first: u64, mask: &mut RowMask) -> Result<()> {
        let converted = self
            .converter
            .convert_columns(&with_one_nan(filled(columns, &self.wanted, rows)?));
        let converted = converted.map_err(TableError::encode("compare deleted values"))?;
        for (position, row) in (first..).zip(&converted) {
            if self.keys.iter().any(|keys| keys.contains(row.as_ref())) {
                mask.delete(position);
            }
        }
        Ok(())
    }
}

/// The columns with the same bits for every NaN: rows are compared by their bits.
fn with_one_nan(columns: Vec<ArrayRef>) -> Vec<ArrayRef> {
    fn of<T>(column: &PrimitiveArray<T>, is_nan: impl Fn(T::Native) -> bool, nan: T::Native) -> ArrayRef
    where
        T: ArrowPrimitiveType,
    {
        Arc::new(column.unary::<_, T>(|value| if is_nan(value) { nan } else { value }))
    }
    let one = |column: ArrayRef| {
        if let Some(floats) = column.as_primitive_opt::<Float32Type>() {
            return of(floats, f32::is_nan, f32::NAN);
        }
        match column.as_primitive_opt::<Float64Type>() {
            Some(doubles) => of(doubles, f64::is_nan, f64::NAN),
            None => column,
        }
    };
    columns.into_iter().map(one).collect()
}

/// Marks the rows of a data file that one of the delete files names.
pub(super) async fn apply(
    store: &FileStore,
    data_path: &str,
    data_bytes: u64,
    known: Known<'_>,
    deletes: impl Iterator<Item = (&str, &Schema)>,
    mask: &mut RowMask,
) -> Result<()> {
    let mut groups: BTreeMap<Vec<i32>, Group> = BTreeMap::new();
    for (path, columns) in deletes {
        let ids = columns.as_struct().fields().iter().map(|field| field.id).collect();
        let group = match groups.entry(ids) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Group::new(columns, known)?),
        };
        group.keys.push(keys(store, path, &group.wanted).await?);
    }
    for group in groups.values() {
        read(store, data_path, data_bytes, group, mask).await?;
    }
    Ok(())
}

/// The values in a delete file.
async fn keys(store: &FileStore, path: &str, wanted: &[Wanted]) -> Result<Arc<Keys>> {
    // The types belong to it: a column that was widened has values of another width. So do the names, in a file without field ids.
    let columns: Vec<String> = wanted.iter().map(Wanted::key).collect();
    let cache_key = format!("{} {path}", columns.join(","));
    if let Some(known) = store.deletes().keys(&cache_key).await {
        return Ok(known);
    }
    let bytes = store.get(path).await?;
    digest::check_whole(path, &bytes)?;
    let (file, wanted) = (path.to_owned(), wanted.to_vec());
    let parse = tokio::task::spawn_blocking(move || parse(&file, bytes, &wanted));
    let keys = Arc::new(parse.await.map_err(TableError::encode("read a delete file"))??);
    store.deletes().keep_keys(cache_key, &keys).await;
    Ok(keys)
}

fn parse(path: &str, bytes: bytes::Bytes, wanted: &[Wanted]) -> Result<Keys> {
    let what = || format!("read the values of {path}");
    let sort = wanted.iter().map(|wanted| SortField::new(wanted.data_type().clone()));
    let converter = RowConverter::new(sort.collect()).map_err(TableError::encode(what()))?;
    let mut keys = Keys::new();
    for columns in columns::read(path, bytes, wanted)? {
        let columns: Option<Vec<ArrayRef>> = columns?.into_iter().collect();
        let columns = columns.ok_or_else(|| TableError::damaged(format!("{path} lacks a column it deletes by")))?;
        let rows = converter
            .convert_columns(&with_one_nan(columns))
            .map_err(TableError::encode(what()))?;
        keys.extend(rows.iter().map(|row| Box::from(row.as_ref())));
    }
    Ok(keys)
}

/// Reads the columns of the data file, a batch at a time.
async fn read(store: &FileStore, data_path: &str, data_bytes: u64, group: &Group, mask: &mut RowMask) -> Result<()> {
    let what = || format!("read {data_path}");
    let reader = StoredParquet::new(store, data_path, data_bytes);
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(TableError::encode(what()))?;
    let places = Places::new(builder.schema(), &group.wanted);
    let projection = places.mask(builder.parquet_schema());
    let mut batches = builder
        .with_projection(projection)
        .build()
        .map_err(TableError::encode(what()))?;
    let mut first = 0;
    while let Some(batch) = batches.try_next().await.map_err(TableError::encode(what()))? {
        let rows = batch.num_rows();
        group.mark(places.take(&batch, data_path)?, rows, first, mask)?;
        first += rows as u64;
        tokio::task::consume_budget().await;
    }
    Ok(())
}
