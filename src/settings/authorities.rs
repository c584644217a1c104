//! Files with the certificates of CAs that are believed besides the public ones.

use std::path::Path;

use reqwest::Certificate;

use crate::cli::failure::{Failure, Reason};

/// The certificates in the file that `key` of the configuration names.
pub(crate) fn authorities(key: &str, file: &Path) -> Result<Vec<Certificate>, Failure> {
    let pem = std::fs::read(file).map_err(|source| Failure::io(&format!("read {key}"), source))?;
    let refused =
        |reason: String| Failure::of(Reason::Settings, format!("{key} {file:?} holds no certificate{reason}")).exit(2);
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| refused(format!(": {error}")))?;
    match found.is_empty() {
        true => Err(refused(String::new())),
        false => Ok(found),
    }
}
