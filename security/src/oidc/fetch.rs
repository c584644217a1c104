//! Fetching documents of an issuer, by whoever has a client for it.

use std::fmt;
use std::pin::Pin;

/// A document, or why there is none.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// Fetches documents. An implementation follows no redirects to other schemes, and has a deadline and a limit.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// The document at this address, at most `bytes_max` long.
    fn fetch<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetched<'a>;
}
