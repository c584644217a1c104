//! A value as JSON text without blanks. Numbers stay as they were written.

use std::io::Write;

use super::text::special;
use super::value::{JsonType, Value};

impl Value<'_> {
    /// Appends the value to `into`.
    pub(crate) fn write(self, into: &mut Vec<u8>) -> Result<(), std::io::Error> {
        match self.get_type() {
            JsonType::Null => into.extend_from_slice(b"null"),
            JsonType::Boolean => write!(into, "{}", self.as_bool() == Some(true))?,
            JsonType::Number => match self.as_number() {
                Some(written) => into.extend_from_slice(written.as_bytes()),
                None => write!(into, "{}", self.as_i64().unwrap_or_default())?,
            },
            JsonType::String => text(self.as_str().unwrap_or_default(), into)?,
            JsonType::Object => {
                into.push(b'{');
                for (at, (name, value)) in self
                    .as_object()
                    .into_iter()
                    .flat_map(|object| object.iter())
                    .enumerate()
                {
                    comma(at, into);
                    text(name, into)?;
                    into.push(b':');
                    value.write(into)?;
                }
                into.push(b'}');
            }
            JsonType::Array => {
                into.push(b'[');
                for (at, item) in self.as_array().into_iter().flatten().enumerate() {
                    comma(at, into);
                    item.write(into)?;
                }
                into.push(b']');
            }
        }
        Ok(())
    }
}

fn comma(at: usize, into: &mut Vec<u8>) {
    if at > 0 {
        into.push(b',');
    }
}

fn text(text: &str, into: &mut Vec<u8>) -> Result<(), std::io::Error> {
    // Nearly every text stands in JSON as it is.
    if special(text.as_bytes(), 0) == text.len() {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
        return Ok(());
    }
    Ok(serde_json::to_writer(into, text)?)
}
