//! Deletion vectors: the blob `deletion-vector-v1` of the Puffin spec.

use std::io;

use roaring::RoaringTreemap;

use super::DELETE_FILE_BYTES_MAX;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// First bytes of the vector proper.
const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];

/// Length before and checksum after it, both big-endian.
const NUMBER_BYTES: usize = 4;

/// The positions in a blob, of which there must be `rows`.
pub(crate) async fn read(store: &FileStore, path: &str, offset: u64, length: u64, rows: u64) -> Result<RoaringTreemap> {
    let damaged = |what: &str| TableError::damaged(format!("deletion vector at {offset} of {path}: {what}"));
    if length > DELETE_FILE_BYTES_MAX {
        return Err(TableError::Unsupported {
            what: format!("a deletion vector of more than 256 MiB ({path})"),
        });
    }
    let blob = store.get_range(path, offset..offset.saturating_add(length)).await?;
    let vector = parse(&blob).map_err(damaged)?;
    if vector.len() != rows {
        return Err(damaged("another number of rows than its manifest says"));
    }
    Ok(vector)
}

/// The blob of these positions.
pub(super) fn encode(vector: &RoaringTreemap) -> io::Result<Vec<u8>> {
    let mut body = MAGIC.to_vec();
    vector.serialize_into(&mut body)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes();
    Ok([&length[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat())
}

fn parse(blob: &[u8]) -> Result<RoaringTreemap, &'static str> {
    let (length, rest) = blob.split_first_chunk::<NUMBER_BYTES>().ok_or("it is cut off")?;
    let (body, checksum) = rest.split_last_chunk::<NUMBER_BYTES>().ok_or("it is cut off")?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(body.len()) {
        return Err("its length is wrong");
    }
    if crc32fast::hash(body) != u32::from_be_bytes(*checksum) {
        return Err("its checksum is wrong");
    }
    let vector = body.strip_prefix(&MAGIC).ok_or("it is no deletion vector")?;
    RoaringTreemap::deserialize_from(vector).map_err(|_| "its bitmap cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a vector is read as written, and a damaged one never as another. Method: vectors that reach beyond 32 bits, and each
    // of their bytes flipped and each of their lengths cut.
    #[test]
    fn damage_is_told() {
        for positions in [vec![], vec![0], vec![1, 5, 70_000, 1 << 33]] {
            let vector: RoaringTreemap = positions.into_iter().collect();
            let good = encode(&vector).expect("memory");
            assert_eq!(parse(&good), Ok(vector));
            for at in 0..good.len() {
                let mut flipped = good.clone();
                flipped[at] ^= 1;
                assert!(parse(&flipped).is_err(), "byte {at}");
                assert!(parse(&good[..at]).is_err(), "cut at {at}");
            }
        }
    }
}
