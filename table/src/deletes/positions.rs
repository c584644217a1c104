//! Position delete files: rows of `file_path` and `pos`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use roaring::RoaringTreemap;

use super::columns::{self, Wanted};
use crate::digest;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// Reserved field ids (spec, "Reserved Field IDs").
pub(super) const FILE_PATH_ID: i32 = 2_147_483_546;
pub(super) const POS_ID: i32 = 2_147_483_545;

/// Deleted positions by data file.
pub(super) type Positions = HashMap<String, RoaringTreemap>;

/// What a delete file deletes, of all data files it names.
pub(super) async fn read(store: &FileStore, path: &str) -> Result<Arc<Positions>> {
    if let Some(known) = store.deletes().positions(path).await {
        return Ok(known);
    }
    let bytes = store.get(path).await?;
    digest::check_whole(path, &bytes)?;
    let wanted = vec![
        Wanted::new(FILE_PATH_ID, "file_path", DataType::Utf8),
        Wanted::new(POS_ID, "pos", DataType::Int64),
    ];
    let file = path.to_owned();
    let parse = tokio::task::spawn_blocking(move || {
        let mut found = Positions::new();
        for batch in columns::read(&file, bytes, &wanted)? {
            add(&mut found, &batch?, &file)?;
        }
        Ok::<_, TableError>(found)
    });
    let found = Arc::new(parse.await.map_err(TableError::encode("read a delete file"))??);
    store.deletes().keep_positions(path, &found).await;
    Ok(found)
}

fn add(found: &mut Positions, batch: &columns::Columns, file: &str) -> Result<()> {
    let [Some(paths), Some(positions)] = batch.as_slice() else {
        return Err(TableError::damaged(format!("{file} is no position delete file")));
    };
    if paths.null_count() + positions.null_count() > 0 {
        return Err(TableError::damaged(format!("{file} has nulls")));
    }
    let paths = paths.as_string::<i32>();
    let positions = positions.as_primitive::<Int64Type>().values();
    let mut from = 0;
    while from < positions.len() {
        // Sorted by path: one look-up for a run of the same.
        let path = paths.value(from);
        let run = (from..positions.len())
            .take_while(|row| paths.value(*row) == path)
            .count();
        let of_path = found.entry(path.to_owned()).or_default();
        for position in &positions[from..from + run] {
            let position = u64::try_from(*position);
            of_path.insert(position.map_err(|_| TableError::damaged(format!("{file} has a negative position")))?);
        }
        from += run;
    }
    Ok(())
}
