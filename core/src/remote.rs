//! A coded error that travels as text through software that knows text only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Coded, ErrorKind, Retry};

/// Longest message that travels; what is longer is cut. Status messages of RPC calls have limits of a few kilobytes.
const MESSAGE_BYTES_MAX: usize = 2048;

const BEGIN: &str = "[[tidewater-error:";
const END: &str = "]]";

/// What is known of an error of another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteError {
    /// Its stable code.
    pub code: String,
    /// Its coarse kind.
    pub kind: ErrorKind,
    /// What may be done next.
    pub retry: Retry,
    /// What it says, with everything it says of its cause.
    pub message: String,
    /// How a person may go on.
    pub hint: Option<String>,
}

impl RemoteError {
    /// Of an error of this process, with the messages of its causes.
    pub fn of(error: &dyn Coded) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Transparent layers say what the layer below says.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        truncate(&mut message);
        Self {
            code: error.code().to_owned(),
            kind: error.kind(),
            retry: error.retry(),
            message,
            hint: error.hint(),
        }
    }

    /// As text in which it can be found again, whatever is written around it and however often that is quoted.
    pub fn to_text(&self) -> String {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut text = format!("{self} {BEGIN}");
        for byte in body {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        text.push_str(END);
        text
    }

    /// The first one in a text.
    pub fn find(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(BEGIN)?;
        let (digits, _) = rest.split_once(END)?;
        let digits: Vec<u8> = digits
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let body: Vec<u8> = digits
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [high, low] => Some((high << 4) | low),
                _ => None,
            })
            .collect();
        serde_json::from_slice(&body).ok()
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code, self.message)
    }
}

impl std::error::Error for RemoteError {}

fn truncate(message: &mut String) {
    if message.len() > MESSAGE_BYTES_MAX {
        let mut end = MESSAGE_BYTES_MAX;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an error is found again in text that was quoted on the way. Method: debug-format its text twice.
    #[test]
    fn found_in_quoted_text() {
        let error = RemoteError {
            code: "ENG-0005".into(),
            kind: ErrorKind::Exhausted,
            retry: Retry::Safe,
            message: "a \"quoted\" größe [[".into(),
            hint: Some("give it more memory".into()),
        };
        let quoted = format!("Job failed due to stage 1: {:?}", format!("{:?}", error.to_text()));
        assert_eq!(RemoteError::find(&quoted), Some(error));
    }

    // Goal: other text is not taken for an error. Method: near misses.
    #[test]
    fn other_text_holds_none() {
        for text in [
            "",
            "[[tidewater-error:",
            "[[tidewater-error:zz]]",
            "[[tidewater-error:7b]]",
            "[[tidewater-error:€]]",
        ] {
            assert_eq!(RemoteError::find(text), None, "{text}");
        }
    }
}
