//! The header of a manifest, where its schema stands: rewritten on the way to and from the `iceberg` crate, which may not know the
//! schema's columns.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use super::avro::{self, MAGIC};
use crate::disguise;

/// The entry of the header that holds the schema.
const SCHEMA: &[u8] = b"schema";

/// A manifest as the crate can parse it; none when it needs no disguise, or is no manifest.
pub(super) fn hidden(file: &[u8]) -> Option<Vec<u8>> {
    rewritten(file, disguise::hide)
}

/// A manifest as it is stored.
pub(super) fn revealed(file: Bytes) -> Bytes {
    let change = |schema: &mut Value| {
        let before = schema.clone();
        disguise::reveal(schema);
        *schema != before
    };
    match rewritten(&file, change) {
        Some(bytes) => bytes.into(),
        None => file,
    }
}

fn rewritten(file: &[u8], change: impl Fn(&mut Value) -> bool) -> Option<Vec<u8>> {
    let mut rest = file.strip_prefix(MAGIC)?;
    let entries = avro::header(&mut rest)?.into_iter();
    let mut entries: Vec<(&[u8], Cow<'_, [u8]>)> = entries.map(|(name, value)| (name, Cow::Borrowed(value))).collect();
    let (_, schema) = entries.iter_mut().find(|(name, _)| *name == SCHEMA)?;
    let mut parsed: Value = serde_json::from_slice(schema).ok()?;
    if !change(&mut parsed) {
        return None;
    }
    *schema = Cow::Owned(serde_json::to_vec(&parsed).ok()?);
    let mut written = BytesMut::with_capacity(file.len() + 1024);
    avro::put_header(&mut written, &entries);
    written.put_slice(rest);
    Some(written.into())
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Datum, ManifestContentType, TableMetadata};
    use serde_json::json;

    use super::*;
    use crate::manifest::avro::{number, put_number};
    use crate::manifest::{MetadataWriter, entries};
    use crate::{Added, FileStore, StoreOptions};
    use tidewater_core::{SystemClock, SystemRng};

    /// A file whose header holds `schema` and another entry, in two blocks, and some data.
    fn file(schema: &Value) -> Vec<u8> {
        let mut written = BytesMut::new();
        written.put_slice(MAGIC);
        for (name, value) in [("avro.codec", "null".to_owned()), ("schema", schema.to_string())] {
            let mut block = BytesMut::new();
            for part in [name, &value] {
                put_number(&mut block, part.len() as i64);
                block.put_slice(part.as_bytes());
            }
            put_number(&mut written, -1);
            put_number(&mut written, block.len() as i64);
            written.put_slice(&block);
        }
        put_number(&mut written, 0);
        written.put_slice(b"sync and data");
        written.into()
    }

    // Goal: only the schema changes, and comes back. Method: a header in blocks with sizes, there and back, and files that are none.
    #[test]
    fn only_the_schema_changes() {
        let schema =
            json!({"type": "struct", "fields": [{"id": 1, "name": "v", "required": false, "type": "variant"}]});
        let there = hidden(&file(&schema)).expect("a column that the crate does not know");
        assert!(there.ends_with(b"sync and data"));
        let text = String::from_utf8_lossy(&there).into_owned();
        assert!(!text.contains("\"variant\"") && text.contains("avro.codec"), "{text}");
        let back = revealed(there.into());
        let text = String::from_utf8_lossy(&back).into_owned();
        assert!(text.contains(&schema.to_string()), "{text}");
        let plain =
            file(&json!({"type": "struct", "fields": [{"id": 1, "name": "a", "required": false, "type": "int"}]}));
        assert_eq!(hidden(&plain), None);
        assert_eq!(revealed(plain.clone().into()), plain);
        for length in 0..plain.len() {
            assert_eq!(hidden(plain.get(..length).expect("a beginning")), None);
        }
    }

    // Goal: a manifest of a table with such columns is stored with their own types, and read. Method: write one, look at its bytes,
    // read it as another process would.
    #[tokio::test]
    async fn manifests_hold_the_real_types() {
        let mut metadata = json!({"format-version": 3, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": "memory://lake/t", "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 1,
            "current-schema-id": 0, "default-spec-id": 0, "last-partition-id": 999, "default-sort-order-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "v", "required": false, "type": "variant"}]}],
            "partition-specs": [{"spec-id": 0, "fields": []}], "sort-orders": [{"order-id": 0, "fields": []}],
            "next-row-id": 0});
        disguise::hide(&mut metadata);
        let table: TableMetadata = serde_json::from_value(metadata).expect("metadata");
        let store = || FileStore::new(StoreOptions::default(), SystemClock::shared(), SystemRng::shared());
        let (one, path) = (store(), "memory://lake/t/1.parquet");
        let mut file = DataFileBuilder::default();
        file.content(DataContentType::Data)
            .file_format(DataFileFormat::Parquet)
            .file_path(path.into())
            .partition_spec_id(0)
            .record_count(3)
            .file_size_in_bytes(9)
            .lower_bounds([(1, Datum::binary([1, 2]))].into());
        let added = Added::new(file.build().expect("a file"), 0);
        let mut writer = MetadataWriter::new(&one, &table, 7);
        let manifest = writer.manifest(ManifestContentType::Data, 0, &[added], &[], &[]).await;
        let manifest = manifest.expect("written");
        let bytes = one.get(&manifest.manifest_path).await.expect("there");
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains("\"type\":\"variant\"") && !text.contains("92233720"),
            "{text}"
        );
        // The cache of the store that wrote it knows it already.
        let other = store();
        other.put_new(&manifest.manifest_path, bytes).await.expect("copied");
        let read = entries(&other, &manifest).await.expect("read");
        assert_eq!(
            read.iter().map(|entry| entry.file.file_path()).collect::<Vec<_>>(),
            [path]
        );
    }

    // Goal: numbers come back. Method: the ends of the range and some between.
    #[test]
    fn numbers_come_back() {
        for given in [0, 1, -1, 63, 64, -64, -65, 300, i64::MAX, i64::MIN] {
            let mut written = BytesMut::new();
            put_number(&mut written, given);
            assert_eq!(number(&mut &written[..]), Some(given));
        }
    }
}
