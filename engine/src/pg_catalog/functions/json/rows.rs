//! Documents whose parts are rows: the lists of them, which are unnested where they are asked for.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};

use super::value::{Json, Kind};
use super::{as_text, canonical, read};
use crate::pg_catalog::functions::native::{Native, argument, text, texts};

/// `pg_json_elements`, `pg_json_keys`, `pg_json_values`, the latter two in the order of a document's names, and the same of `jsonb`, which
/// has each name once.
pub(super) fn all() -> Vec<Native> {
    let mut all = Vec::new();
    for kind in ["json", "jsonb"] {
        let in_one_form = kind == "jsonb";
        for (suffix, as_text) in [("", false), ("_text", true)] {
            let elements = format!("pg_{kind}_elements{suffix}");
            all.push(listed(&elements, in_one_form, move |json| match &json.kind {
                Kind::Array(items) => Ok(items.iter().map(|item| part(item, as_text)).collect()),
                Kind::Object(_) => exec_err!("cannot extract elements from an object"),
                _ => exec_err!("cannot extract elements from a scalar"),
            }));
            let values = format!("pg_{kind}_values{suffix}");
            all.push(listed(&values, in_one_form, move |json| match &json.kind {
                Kind::Object(fields) => Ok(fields.iter().map(|(_, value)| part(value, as_text)).collect()),
                Kind::Array(_) => exec_err!("cannot deconstruct an array as an object"),
                _ => exec_err!("cannot deconstruct a scalar"),
            }));
        }
        let keys = format!("pg_{kind}_keys");
        all.push(listed(&keys, in_one_form, move |json| match &json.kind {
            Kind::Object(fields) => Ok(fields.iter().map(|(name, _)| Some(name.clone())).collect()),
            Kind::Array(_) => exec_err!("cannot call {kind}_object_keys on an array"),
            _ => exec_err!("cannot call {kind}_object_keys on a scalar"),
        }));
    }
    all
}

fn part(json: &Json<'_>, as_text: bool) -> Option<String> {
    match as_text {
        true => json.shown(),
        false => Some(json.text.to_owned()),
    }
}

/// The parts of each document; of none, no parts.
fn listed(
    name: &str,
    in_one_form: bool,
    parts: impl Fn(&Json<'_>) -> Result<Vec<Option<String>>> + Send + Sync + 'static,
) -> Native {
    let returns = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Native::new(name, (1, 1), returns, move |arrays, rows| {
        let documents = texts(&as_text(argument(arrays, 0)?)?)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            if let Some(document) = text(&documents, row) {
                let found = match in_one_form {
                    true => parts(&read(&canonical(&read(document)?))?)?,
                    false => parts(&read(document)?)?,
                };
                found
                    .iter()
                    .for_each(|part| lists.values().append_option(part.as_deref()));
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    })
}
