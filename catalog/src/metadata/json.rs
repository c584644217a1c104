//! Metadata from JSON and to JSON, columns that the `iceberg` crate does not know in disguise between the two.

use iceberg::spec::TableMetadata;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use tidewater_table::disguise;

/// What of a metadata file may need a disguise.
#[derive(Deserialize)]
struct Schemas {
    schema: Option<Value>,
    schemas: Option<Value>,
}

/// Parses metadata of a table or view, or a request that holds schemas.
pub(crate) fn parse<T: DeserializeOwned>(raw: &[u8]) -> serde_json::Result<T> {
    let found: Schemas = serde_json::from_slice(raw)?;
    let is_plain = [found.schema, found.schemas]
        .iter_mut()
        .flatten()
        .all(|schemas| !disguise::hide(schemas));
    if is_plain {
        // Half as dear as by way of a tree, and nearly all tables are so.
        return serde_json::from_slice(raw);
    }
    let mut document: Value = serde_json::from_slice(raw)?;
    disguise::hide(&mut document);
    serde_json::from_value(document)
}

/// The metadata as it stands in a file.
pub(super) fn to_json(metadata: &TableMetadata) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(metadata)?;
    disguise::reveal(&mut document);
    Ok(document)
}

/// The bytes of its file.
pub(crate) fn encode(metadata: &TableMetadata) -> serde_json::Result<Vec<u8>> {
    if metadata.schemas_iter().any(|schema| disguise::is_hidden(schema)) {
        return serde_json::to_vec(&to_json(metadata)?);
    }
    serde_json::to_vec(metadata)
}
