//! How much the texts that a pattern finds may take: each group of a match is a text of its own, and a short pattern has many of a long
//! text.

use datafusion::common::Result;

use crate::error::EngineError;
use crate::functions::BYTES_MAX;

/// What a text of a list takes beside its letters.
const TEXT_BYTES: u64 = 8;

/// What is found by one call, in all of its rows.
#[derive(Debug)]
pub(in crate::pg_catalog::functions) struct Room {
    function: &'static str,
    bytes: u64,
    bytes_max: u64,
}

impl Room {
    /// For what this function finds.
    pub(in crate::pg_catalog::functions) fn new(function: &'static str) -> Self {
        Self::of(function, BYTES_MAX)
    }

    pub(in crate::pg_catalog::functions) fn of(function: &'static str, bytes_max: u64) -> Self {
        Self {
            function,
            bytes: 0,
            bytes_max,
        }
    }

    /// Takes it for these texts, before they are kept.
    pub(in crate::pg_catalog::functions) fn take(&mut self, texts: &[Option<&str>]) -> Result<()> {
        let bytes = |text: &Option<&str>| u64::try_from(text.map_or(0, str::len)).unwrap_or(u64::MAX);
        let more = texts.iter().map(|text| bytes(text).saturating_add(TEXT_BYTES));
        self.bytes = more.fold(self.bytes, u64::saturating_add);
        match self.bytes > self.bytes_max {
            true => Err(EngineError::ValueTooLarge {
                function: self.function.to_owned(),
                bytes: self.bytes,
                max: self.bytes_max,
            }
            .into()),
            false => Ok(()),
        }
    }
}
