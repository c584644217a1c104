//! Metadata files as they were written: compared with the digest in their name before anything is made of them.

use bytes::Bytes;

use crate::error::{CatalogError, Result};
use crate::store::MetadataStore;
use tidewater_table::digest::check_whole;

/// The file at `location`; none when it is not there. Names of other catalogs, and of this one before names told digests, tell nothing,
/// and their files are taken as they are.
///
/// # Errors
/// What the store says; [`CatalogError::Damaged`] if the bytes are not those that the name tells, also when they are read once more.
pub(crate) async fn read_compared(store: &dyn MetadataStore, location: &str) -> Result<Option<Bytes>> {
    let Some(raw) = store.get(location).await? else {
        return Ok(None);
    };
    let Err(error) = check_whole(location, &raw) else {
        return Ok(Some(raw));
    };
    tracing::warn!(location, %error, "a metadata file is read once more");
    // They may have changed on their way only.
    let Some(raw) = store.get(location).await? else {
        return Ok(None);
    };
    match check_whole(location, &raw) {
        Ok(()) => Ok(Some(raw)),
        Err(_) => Err(CatalogError::Damaged {
            location: location.to_owned(),
            reason: "its bytes are not those that were written".into(),
        }),
    }
}
