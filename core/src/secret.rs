//! Text that is never shown: keys and passwords of the configuration.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands in place of a secret wherever it would be shown.
const MASK: &str = "***";

/// A secret of the configuration. Neither `Debug` nor serialization shows it, so that settings may be printed and logged as
/// a whole.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a secret is read and never shown. Method: read one, then print and write it.
    #[test]
    fn read_and_never_shown() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").expect("a text");
        assert_eq!(secret.expose(), "hunter2");
        let shown = format!("{secret:?} {}", serde_json::to_string(&secret).expect("a text"));
        assert_eq!(shown, "*** \"***\"");
    }
}
