//! Chance that follows a seed.

use uuid::Uuid;

use crate::words::{FIRST_NAMES, LAST_NAMES, STREETS, WORDS};
use tidewater_core::{Rng, SeededRng};

/// Notes longer than this are stored out of line by PostgreSQL (it does so from about 2 kB).
pub(crate) const TOAST_BYTES: usize = 2_200;

/// The only source of chance in a world.
#[derive(Debug)]
pub(crate) struct Dice(SeededRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }

    /// Uniform over `from..=to`.
    pub(crate) fn between(&self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0).saturating_add(1);
        from.saturating_add(i64::try_from(self.0.below(width)).unwrap_or(0))
    }

    /// Uniform over `0..limit`.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// One of these; the empty string of none.
    pub(crate) fn pick(&self, of: &[&'static str]) -> &'static str {
        let index = usize::try_from(self.0.below(of.len() as u64)).unwrap_or(0);
        of.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn uuid(&self) -> Uuid {
        self.0.uuid()
    }

    /// `prefix` and so many random digits.
    pub(crate) fn code(&self, prefix: &str, digits: u32) -> String {
        let number = self.0.below(10_u64.saturating_pow(digits));
        format!("{prefix}{number:0width$}", width = digits as usize)
    }

    pub(crate) fn first_name(&self) -> &'static str {
        self.pick(FIRST_NAMES)
    }

    pub(crate) fn last_name(&self) -> &'static str {
        self.pick(LAST_NAMES)
    }

    pub(crate) fn street(&self) -> String {
        format!("{} {}", self.between(1, 9_999), self.pick(STREETS))
    }

    /// Four to nine words.
    pub(crate) fn sentence(&self) -> String {
        let count = self.between(4, 9);
        (0..count).map(|_| self.pick(WORDS)).collect::<Vec<_>>().join(" ")
    }

    /// One in eight is long enough to be stored out of line.
    pub(crate) fn note(&self) -> String {
        if !self.percent(12) {
            return self.sentence();
        }
        let length = TOAST_BYTES + usize::try_from(self.below(1_200)).unwrap_or(0);
        let mut note = String::with_capacity(length + 16);
        while note.len() < length {
            note.push_str(self.pick(WORDS));
            // Numbers keep the text from being compressed below PostgreSQL's limit.
            note.push_str(&format!(" {:x} ", self.below(1 << 40)));
        }
        note
    }

    /// A document in the text form PostgreSQL gives to jsonb: keys by length then bytes, a blank after `:` and `,`.
    pub(crate) fn json(&self) -> String {
        let (count, score) = (self.below(20), self.below(1_000));
        match self.below(3) {
            0 => format!(
                r#"{{"count": {count}, "origin": "{}"}}"#,
                self.pick(&["app", "web", "desk"])
            ),
            1 => format!(
                r#"{{"tags": ["{}", "{}"], "score": {score}}}"#,
                self.pick(WORDS),
                self.pick(WORDS)
            ),
            _ => format!(
                r#"{{"flag": {}, "note": null, "nested": {{"level": {count}}}}}"#,
                self.percent(50)
            ),
        }
    }
}
