//! Pages of a listing.

use serde::Deserialize;

use crate::error::{CatalogError, Result};
use tidewater_core::limits::NAME_BYTES_MAX;

/// Most entries of a page; a larger wish gets this many.
const PAGE_SIZE_MAX: usize = 1_000;

/// What a client asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paging {
    /// Absent: everything at once. Empty: the first page. Else: what the last page gave.
    page_token: Option<String>,
    page_size: Option<i64>,
}

impl Paging {
    /// The name after which the page begins.
    pub(crate) fn after(&self) -> Result<Option<&str>> {
        let token = self.page_token.as_deref().filter(|token| !token.is_empty());
        match token {
            Some(token) if token.len() > NAME_BYTES_MAX => Err(CatalogError::bad_request(format!(
                "the pageToken is none of this catalog's: it is longer than {NAME_BYTES_MAX} bytes"
            ))),
            token => Ok(token),
        }
    }

    /// How many entries it may have.
    pub(crate) fn limit(&self) -> Result<usize> {
        match (self.page_token.as_ref(), self.page_size) {
            (_, Some(size)) if size < 1 => Err(CatalogError::bad_request("pageSize is less than 1")),
            (None, _) => Ok(usize::MAX),
            (Some(_), None) => Ok(PAGE_SIZE_MAX),
            (Some(_), Some(size)) => Ok(usize::try_from(size).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX)),
        }
    }
}

/// The first `limit` entries, and the name of the last one when there are more.
pub(crate) fn cut<T>(
    entries: impl Iterator<Item = T>,
    limit: usize,
    name: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let mut entries = entries;
    let page: Vec<T> = entries.by_ref().take(limit).collect();
    let more = entries.next().is_some();
    let token = page.last().filter(|_| more).map(name);
    (page, token)
}
