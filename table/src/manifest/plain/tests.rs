use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, ManifestContentType, ManifestFile, ManifestStatus,
    TableMetadata,
};
use miniz_oxide::deflate::compress_to_vec;
use serde_json::{Value, json};
use tidewater_core::{Coded, ErrorKind};

use super::*;
use crate::manifest::codec::{Codec, TOO_LARGE};
use crate::manifest::{Entry, MetadataWriter, parse, parse_list};
use crate::{Added, FileStore, TableError};

/// Files in the manifest.
const FILES: usize = 300;

/// A manifest and its list, as they are written here.
struct Written {
    table: TableMetadata,
    manifest: ManifestFile,
    manifest_bytes: Vec<u8>,
    list: String,
    list_bytes: Vec<u8>,
}

fn table(format: u8) -> TableMetadata {
    let mut metadata = json!({"format-version": format, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
        "location": "memory://lake/t", "last-sequence-number": 4, "last-updated-ms": 1, "last-column-id": 1,
        "current-schema-id": 0, "default-spec-id": 0, "last-partition-id": 999, "default-sort-order-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "a", "required": false, "type": "int"}]}],
        "partition-specs": [{"spec-id": 0, "fields": []}], "sort-orders": [{"order-id": 0, "fields": []}]});
    if format == 3 {
        metadata["next-row-id"] = json!(0);
    }
    serde_json::from_value(metadata).expect("metadata")
}

fn file(number: usize) -> Added {
    let mut built = DataFileBuilder::default();
    built
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path(format!(
            "memory://lake/t/a-long-name-of-a-folder-that-all-have/{number}.parquet"
        ))
        .partition_spec_id(0)
        .record_count(3)
        .file_size_in_bytes(900)
        .value_counts([(1, 3)].into());
    Added::new(built.build().expect("a file"), 0)
}

async fn written(format: u8) -> Written {
    let (store, table) = (FileStore::system(), table(format));
    let mut writer = MetadataWriter::new(&store, &table, 7);
    let added: Vec<Added> = (0..FILES).map(file).collect();
    let manifest = writer.manifest(ManifestContentType::Data, 0, &added, &[], &[]).await;
    let manifest = manifest.expect("a manifest");
    let manifest_bytes = store.get(&manifest.manifest_path).await.expect("there").to_vec();
    let (list, _) = writer.list(vec![manifest], None, 5).await.expect("a list");
    let list_bytes = store.get(&list).await.expect("there").to_vec();
    let mut listed = parse_list(&table, &list, &list_bytes).expect("a good list");
    Written {
        manifest: listed.pop().expect("a manifest"),
        table,
        manifest_bytes,
        list,
        list_bytes,
    }
}

fn told(entries: &[Arc<Entry>]) -> Vec<(ManifestStatus, i64, DataFile)> {
    let told = entries.iter();
    told.map(|entry| (entry.status, entry.sequence, entry.file.whole().into_owned()))
        .collect()
}

fn packed(codec: &str, values: &[u8]) -> Vec<u8> {
    match codec {
        "null" => values.to_vec(),
        "deflate" => compress_to_vec(values, 6),
        "snappy" => {
            let mut packed = snap::raw::Encoder::new().compress_vec(values).expect("packed");
            packed.extend(crc32fast::hash(values).to_be_bytes());
            packed
        }
        "zstandard" => zstd::encode_all(values, 3).expect("packed"),
        other => panic!("no codec {other}"),
    }
}

/// The file's header with other values for these names, and its marker.
fn beginning(bytes: &[u8], changes: &[(&str, &str)]) -> Vec<u8> {
    let file = File::open(bytes).expect("an Avro file");
    let is_kept = |name: &[u8]| changes.iter().all(|(changed, _)| changed.as_bytes() != name);
    let mut entries: Vec<(&[u8], Cow<'_, [u8]>)> = Vec::new();
    for (name, value) in &file.header {
        if is_kept(name) {
            entries.push((*name, Cow::Borrowed(*value)));
        }
    }
    for (name, value) in changes {
        entries.push((name.as_bytes(), Cow::Borrowed(value.as_bytes())));
    }
    let mut written: Vec<u8> = Vec::new();
    put_header(&mut written, &entries);
    written.extend_from_slice(file.marker);
    written
}

fn put_block(written: &mut Vec<u8>, of: &[u8], count: i64, stored: &[u8]) {
    put_number(written, count);
    put_string(written, stored);
    written.extend_from_slice(File::open(of).expect("an Avro file").marker);
}

/// Counts and values of all blocks.
fn blocks(bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut file = File::open(bytes).expect("an Avro file");
    let blocks = std::iter::from_fn(|| file.block());
    let good = blocks.map(|block| block.expect("a good block"));
    good.map(|(count, values)| (i64::try_from(count).expect("few"), values.into_owned()))
        .collect()
}

/// The same file, compressed otherwise.
fn recoded(bytes: &[u8], codec: &str) -> Vec<u8> {
    let mut written = beginning(bytes, &[("avro.codec", codec)]);
    for (count, values) in blocks(bytes) {
        put_block(&mut written, bytes, count, &packed(codec, &values));
    }
    written
}

fn refused(outcome: Result<(), TableError>, what: &str) -> String {
    let error = outcome.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}");
    error.to_string()
}

// Goal: a manifest and a list are the same, however they are compressed, in all formats. Method: those that are written here, in each
// codec.
#[tokio::test]
async fn every_codec_reads_the_same() {
    for format in [1, 2, 3] {
        let good = written(format).await;
        let entries = told(&parse(&good.manifest, &good.manifest_bytes).expect("a good manifest"));
        assert_eq!(entries.len(), FILES);
        for codec in ["null", "deflate", "snappy", "zstandard"] {
            let manifest = recoded(&good.manifest_bytes, codec);
            assert!(
                codec == "null" || manifest.len() < good.manifest_bytes.len() * 3 / 4,
                "{codec}"
            );
            let read = parse(&good.manifest, &manifest).expect("a good manifest");
            assert_eq!(told(&read), entries, "{codec}, format {format}");
            let list = recoded(&good.list_bytes, codec);
            let listed = parse_list(&good.table, &good.list, &list).expect("a good list");
            assert_eq!(listed, std::slice::from_ref(&good.manifest), "{codec}, format {format}");
        }
    }
}

// Goal: what inflates to more than it may is refused before there is room for it. Method: zeros in each codec; many blocks, none of which
// is too much; a snappy block that says that it is 4 GB; a list and a manifest of zeros.
#[tokio::test]
async fn bombs_are_refused() {
    let good = written(2).await;
    let zeros = vec![0; (4 << 20) - 1_000];
    for (name, codec) in [
        ("deflate", Codec::Deflate),
        ("snappy", Codec::Snappy),
        ("zstandard", Codec::Zstandard),
    ] {
        let bomb = packed(name, &zeros);
        assert_eq!(codec.inflate(&bomb, zeros.len() - 1), Err(TOO_LARGE), "{name}");
        assert_eq!(
            codec.inflate(&bomb, 4 << 20).map(|found| found.len()),
            Ok(zeros.len()),
            "{name}"
        );
    }
    let four_gigabytes: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0];
    assert_eq!(Codec::Snappy.inflate(&four_gigabytes, 64 << 20), Err(TOO_LARGE));
    for codec in ["deflate", "zstandard"] {
        let mut bomb = beginning(&good.manifest_bytes, &[("avro.codec", codec)]);
        let block = packed(codec, &zeros);
        for _ in 0..40 {
            put_block(&mut bomb, &good.manifest_bytes, 1, &block);
        }
        let mut file = File::open(&bomb).expect("an Avro file");
        let inflated: Vec<usize> = std::iter::from_fn(|| file.block()?.ok().map(|(_, values)| values.len())).collect();
        assert_eq!(inflated, [zeros.len(); 16], "no more than 64 MiB of {codec}");
    }
    let bomb = packed("zstandard", &vec![0; 65 << 20]);
    let mut manifest = beginning(&good.manifest_bytes, &[("avro.codec", "zstandard")]);
    put_block(&mut manifest, &good.manifest_bytes, 1, &bomb);
    let said = refused(parse(&good.manifest, &manifest).map(|_| ()), "a manifest");
    assert!(said.contains(TOO_LARGE), "{said}");
    let mut list = beginning(&good.list_bytes, &[("avro.codec", "zstandard")]);
    put_block(&mut list, &good.list_bytes, 1, &bomb);
    let said = refused(parse_list(&good.table, &good.list, &list).map(|_| ()), "a list");
    assert!(said.contains(TOO_LARGE), "{said}");
}

// Goal: a file that is cut off or damaged between its values is refused, never read in part. Method: counts, lengths, markers and
// blocks that are wrong in each codec, and files that are cut off elsewhere than behind a block.
#[tokio::test]
async fn damage_is_told() {
    let good = written(2).await;
    let bytes = &good.manifest_bytes;
    let read = |bytes: &[u8]| parse(&good.manifest, bytes).map(|_| ());
    let whole = blocks(bytes);
    let (count, values) = whole.first().expect("a block");
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let stored = packed(codec, values);
        let file = |count: i64, stored: &[u8]| {
            let mut file = beginning(bytes, &[("avro.codec", codec)]);
            put_block(&mut file, bytes, count, stored);
            file
        };
        assert!(read(&file(*count, &stored)).is_ok());
        for (count, what) in [
            (-count, "below zero"),
            (i64::MIN, "the least"),
            (i64::MAX, "the greatest"),
            (count + 1, "one more"),
            (count - 1, "one less"),
            (0, "none"),
        ] {
            refused(read(&file(count, &stored)), what);
        }
        refused(read(&file(*count, &stored[..stored.len() / 2])), "half a block");
        refused(read(&file(*count, &[])), "no block");
        let mut other_marker = file(*count, &stored);
        *other_marker.last_mut().expect("a marker") ^= 1;
        refused(read(&other_marker), "another marker");
        for length in [i64::MIN, -1, i64::MAX] {
            let mut file = beginning(bytes, &[("avro.codec", codec)]);
            put_number(&mut file, *count);
            put_number(&mut file, length);
            file.extend_from_slice(&stored);
            refused(read(&file), "a length that is none");
        }
    }
    let start = beginning(bytes, &[]).len();
    for cut in [1, 2, start - 1, start + 1, start + 2, start + 100] {
        refused(read(&bytes[..cut]), "a file that is cut off");
    }
    let mut unknown_codec = beginning(bytes, &[("avro.codec", "bzip2")]);
    put_block(&mut unknown_codec, bytes, *count, values);
    refused(read(&unknown_codec), "another codec");
}

// Goal: a block of no values is not taken for the end. Method: one before another with values, as writers that flush nothing leave it.
#[tokio::test]
async fn empty_blocks_end_nothing() {
    let good = written(2).await;
    let bytes = &good.manifest_bytes;
    let mut file = beginning(bytes, &[]);
    put_block(&mut file, bytes, 0, &[]);
    for (count, values) in blocks(bytes) {
        put_block(&mut file, bytes, count, &values);
        put_block(&mut file, bytes, 0, &[]);
    }
    assert_eq!(parse(&good.manifest, &file).expect("a good manifest").len(), FILES);
}

// Goal: a block is handed on in parts that the library makes room for, with all that is in it. Method: one large block.
#[tokio::test]
async fn large_blocks_are_cut() {
    let good = written(2).await;
    let bytes = &good.manifest_bytes;
    let (mut count, mut values) = (0, Vec::new());
    for _ in 0..10 {
        for (entries, of_entries) in blocks(bytes) {
            count += entries;
            values.extend(of_entries);
        }
    }
    let mut file = beginning(bytes, &[("avro.codec", "deflate")]);
    put_block(&mut file, bytes, count, &packed("deflate", &values));
    let cut = blocks(&plain(&file, Holds::Files).expect("a good manifest"));
    assert!(cut.len() > 1 && cut.iter().all(|(_, values)| values.len() < 2 * BLOCK_BYTES));
    assert_eq!(cut.iter().map(|(count, _)| *count).sum::<i64>(), count);
    assert_eq!(
        cut.into_iter().flat_map(|(_, values)| values).collect::<Vec<u8>>(),
        values
    );
    assert_eq!(parse(&good.manifest, &file).expect("a good manifest").len(), 10 * FILES);
}

// Goal: no schema has values made out of nothing, nor more called than there is stack for, nor is one copied over and over. Method: lists
// of nulls in an entry of few bytes, entries of no bytes, deep and large schemas, names that are none, in manifests and lists.
#[tokio::test]
async fn schemas_are_no_bombs() {
    let good = written(2).await;
    let nothings = json!({"type": "record", "name": "e", "fields": [
        {"name": "status", "type": "int"}, {"name": "none", "type": {"type": "array", "items": "null"}}]});
    // Status 0, 2^21 nulls and no more.
    let many: [u8; 6] = [0, 0x80, 0x80, 0x80, 2, 0];
    let null = json!("null");
    let empty = json!({"type": "record", "name": "e", "fields": []});
    let deep = (0..60).fold(json!("int"), |inner, _| json!({"type": "array", "items": inner}));
    let aliases: Vec<String> = (0..1_000).map(|number| format!("a{number}")).collect();
    let known_as = json!({"type": "record", "name": "e", "aliases": aliases, "doc": "d".repeat(100_000), "fields": []});
    let no_name = json!({"type": "record", "name": "e", "aliases": ["-"], "fields": []});
    let large = json!({"type": "record", "name": "e", "doc": "d".repeat(300_000), "fields": []});
    let cases: [(&Value, i64, &[u8]); 7] = [
        (&nothings, 1, &many),
        (&empty, i64::MAX, &[]),
        (&null, i64::MAX, &[]),
        (&deep, 1, &[0]),
        (&known_as, 1, &[]),
        (&no_name, 1, &[]),
        (&large, 1, &[]),
    ];
    let check = |schema: &str, count: i64, values: &[u8]| {
        for codec in ["null", "deflate"] {
            let changes = [("avro.schema", schema), ("avro.codec", codec)];
            for bytes in [&good.manifest_bytes, &good.list_bytes] {
                let mut file = beginning(bytes, &changes);
                put_block(&mut file, bytes, count, &packed(codec, values));
                let what = schema.get(..80).unwrap_or(schema);
                refused(parse(&good.manifest, &file).map(|_| ()), what);
                refused(parse_list(&good.table, &good.list, &file).map(|_| ()), what);
            }
        }
    };
    for (schema, count, values) in cases {
        check(&schema.to_string(), count, values);
    }
    check(&"[".repeat(200_000), 1, &[0]);
    let wide: String = (0..2_000).map(|number| format!("{number};")).collect();
    let names: Vec<(&str, &str)> = wide.split_terminator(';').map(|name| (name, "")).collect();
    let many_names = beginning(&good.manifest_bytes, &names);
    refused(parse(&good.manifest, &many_names).map(|_| ()), "many names");
    let spec = format!("[{}]", " ".repeat(300_000));
    let large_spec = beginning(&good.manifest_bytes, &[("partition-spec", spec.as_str())]);
    refused(parse(&good.manifest, &large_spec).map(|_| ()), "a large spec");
}
