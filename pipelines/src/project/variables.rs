//! `${name}` in model and source files, from `vars` in `lakehouse.yml`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{PipelineError, Place, Result, nearest};

/// The project's variables as text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn new(path: &Path, vars: &BTreeMap<String, serde_json::Value>) -> Result<Self> {
        let mut texts = BTreeMap::new();
        for (name, value) in vars {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Bool(value) => value.to_string(),
                _ => {
                    return Err(PipelineError::Value {
                        place: Place::file(path),
                        reason: format!("vars.{name} must be text, a number or true/false"),
                    });
                }
            };
            texts.insert(name.clone(), text);
        }
        Ok(Self(texts))
    }

    /// Puts the values in. `$${` stays as `${`.
    pub(crate) fn substitute(&self, path: &Path, text: &str) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            let place = || Place {
                path: path.to_owned(),
                line: Some(1 + lines(&text[..text.len() - from.len()])),
            };
            let inner = &from[2..];
            if let Some(escaped) = before.strip_suffix('$') {
                out.push_str(escaped);
                out.push_str("${");
                rest = inner;
                continue;
            }
            out.push_str(before);
            let (name, after) = inner.split_once('}').ok_or_else(|| PipelineError::Value {
                place: place(),
                reason: "${ without }".into(),
            })?;
            let value = self.0.get(name.trim()).ok_or_else(|| PipelineError::Variable {
                place: place(),
                name: name.trim().to_owned(),
                nearest: nearest(name.trim(), self.0.keys().map(String::as_str)),
            })?;
            out.push_str(value);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn lines(text: &str) -> u64 {
    text.bytes().filter(|byte| *byte == b'\n').count() as u64
}
