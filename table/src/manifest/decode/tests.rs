use std::collections::HashMap;

use iceberg::spec::{
    DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, ManifestContentType, ManifestFile, ManifestStatus,
    PrimitiveType, Struct, TableMetadata,
};
use miniz_oxide::deflate::compress_to_vec;
use serde_json::{Value, json};
use tidewater_core::{SystemClock, SystemRng};

use super::*;
use crate::manifest::avro::MAGIC;
use crate::manifest::{MetadataWriter, parse};
use crate::{Added, FileStore, StoreOptions};

const TYPES: [&str; 14] = [
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "string",
    "uuid",
    "binary",
    "fixed[3]",
    "decimal(9,2)",
];

/// A table with a column of each type, partitioned as the fields say.
fn table(format: u8, partition: &[(usize, &str)]) -> TableMetadata {
    let fields: Vec<Value> = (1..)
        .zip(TYPES)
        .map(|(id, kind)| json!({"id": id, "name": format!("c{id}"), "required": false, "type": kind}))
        .collect();
    let spec: Vec<Value> = (1000..)
        .zip(partition)
        .map(|(id, (source, transform))| {
            json!({"field-id": id, "source-id": source, "name": format!("p{id}"), "transform": transform})
        })
        .collect();
    let mut metadata = json!({"format-version": format, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
        "location": "memory://lake/t", "last-sequence-number": 4, "last-updated-ms": 1, "last-column-id": TYPES.len(),
        "current-schema-id": 0, "default-spec-id": 0, "last-partition-id": 999 + spec.len(), "default-sort-order-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": fields}],
        "partition-specs": [{"spec-id": 0, "fields": spec}], "sort-orders": [{"order-id": 0, "fields": []}]});
    if format == 3 {
        metadata["next-row-id"] = json!(100);
    }
    serde_json::from_value(metadata).expect("metadata")
}

/// Sixteen bytes.
const TEXT: &str = "größer als ich";

fn bounds(shift: u8) -> HashMap<i32, Datum> {
    let shift = i32::from(shift);
    let all = [
        Datum::bool(shift > 0),
        Datum::int(shift - 3),
        Datum::long(1_i64 << 40),
        Datum::float(0.5),
        Datum::double(-0.0),
        Datum::date(19_000 + shift),
        Datum::time_micros(7).expect("a time"),
        Datum::timestamp_micros(-1),
        Datum::timestamptz_micros(1),
        Datum::string(TEXT),
        Datum::uuid(uuid::Uuid::from_u128(7)),
        Datum::binary([0, 255]),
        Datum::fixed([1, 2, 3]),
        Datum::try_from_bytes(&[4, 210], PrimitiveType::Decimal { precision: 9, scale: 2 }).expect("a decimal"),
    ];
    (1..).zip(all).collect()
}

fn file(content: DataContentType, number: u8, partition: Vec<Option<Literal>>) -> DataFile {
    let mut built = DataFileBuilder::default();
    built
        .content(content)
        .file_format(DataFileFormat::Parquet)
        .file_path(format!("memory://lake/t/ä{number}.parquet"))
        .partition(Struct::from_iter(partition))
        .partition_spec_id(0)
        .record_count(u64::from(number) * 1_000)
        .file_size_in_bytes(1 << 33)
        .column_sizes((1..=14).map(|id| (id, 300)).collect())
        .value_counts((1..=14).map(|id| (id, 9)).collect())
        .null_value_counts([(1, 0), (2, u64::from(number))].into())
        .nan_value_counts([(4, 1)].into())
        .lower_bounds(bounds(0))
        .upper_bounds(bounds(number))
        .split_offsets(Some(vec![4, 1 << 35]))
        .key_metadata((number == 2).then(|| vec![1, 2]))
        .sort_order_id(1);
    if content == DataContentType::EqualityDeletes {
        built.equality_ids(Some(vec![1, 3]));
    }
    if content == DataContentType::PositionDeletes {
        built.referenced_data_file(Some("memory://lake/t/ä1.parquet".into()));
        built.content_offset(Some(4)).content_size_in_bytes(Some(40));
    }
    built.build().expect("a file")
}

/// A manifest with an added, an existing and a deleted file, and its bytes.
async fn written(
    table: &TableMetadata,
    content: DataContentType,
    partition: &[Option<Literal>],
) -> (ManifestFile, Vec<u8>) {
    let store = FileStore::new(StoreOptions::default(), SystemClock::shared(), SystemRng::shared());
    let mut writer = MetadataWriter::new(&store, table, 7);
    let entry = |number, sequence| {
        Arc::new(Entry {
            status: ManifestStatus::Existing,
            file: file(content, number, partition.to_vec()).into(),
            spec_id: 0,
            snapshot_id: 3,
            sequence,
            file_sequence: 2,
        })
    };
    let nulls = partition.iter().map(|_| None).collect();
    let added = [1, 2].map(|number| {
        file(
            content,
            number,
            if number == 1 {
                partition.to_vec()
            } else {
                Vec::clone(&nulls)
            },
        )
    });
    let kind = match content {
        DataContentType::Data => ManifestContentType::Data,
        _ => ManifestContentType::Deletes,
    };
    let added = added.map(|file| Added::new(file, 0));
    let manifest = writer.manifest(kind, 0, &added, &[entry(3, 1)], &[entry(4, 2)]).await;
    let mut manifest = manifest.expect("written");
    manifest.sequence_number = 5;
    let bytes = store.get(&manifest.manifest_path).await.expect("there");
    (manifest, bytes.to_vec())
}

/// The library's answer, if it has one, in a form that tells everything.
fn judged(manifest: &ManifestFile, bytes: &[u8]) -> Option<Vec<String>> {
    parse(manifest, bytes).ok().map(|entries| told(&entries))
}

fn told(entries: &[Arc<Entry>]) -> Vec<String> {
    let tell = |entry: &Arc<Entry>| {
        let file = entry.file.whole();
        let mut maps: Vec<String> = Vec::new();
        for counts in [
            file.column_sizes(),
            file.value_counts(),
            file.null_value_counts(),
            file.nan_value_counts(),
        ] {
            let mut sorted: Vec<_> = counts.iter().collect();
            sorted.sort();
            maps.push(format!("{sorted:?}"));
        }
        for bounds in [file.lower_bounds(), file.upper_bounds()] {
            let mut sorted: Vec<_> = bounds.iter().collect();
            sorted.sort_by_key(|(id, _)| **id);
            maps.push(format!("{sorted:?}"));
        }
        format!(
            "{:?} {:?} {maps:?}",
            (
                entry.status,
                entry.spec_id,
                entry.snapshot_id,
                entry.sequence,
                entry.file_sequence
            ),
            (
                (
                    file.content_type(),
                    file.file_path(),
                    file.file_format(),
                    file.partition()
                ),
                (
                    file.record_count(),
                    file.file_size_in_bytes(),
                    file.key_metadata(),
                    file.split_offsets()
                ),
                (
                    file.equality_ids(),
                    file.sort_order_id(),
                    file.first_row_id(),
                    file.referenced_data_file()
                ),
                (file.content_offset(), file.content_size_in_bytes()),
            )
        )
    };
    entries.iter().map(tell).collect()
}

/// Every partition type that is decoded here.
const DECODED: [(usize, &str); 7] = [
    (1, "identity"),
    (2, "identity"),
    (3, "identity"),
    (6, "identity"),
    (9, "day"),
    (10, "identity"),
    (12, "bucket[4]"),
];

fn values() -> Vec<Option<Literal>> {
    [
        Literal::bool(true),
        Literal::int(-5),
        Literal::long(1_i64 << 40),
        Literal::date(3),
        Literal::date(-1),
        Literal::string("ö"),
        Literal::int(3),
    ]
    .map(Some)
    .into()
}

fn kinds() -> [DataContentType; 3] {
    [
        DataContentType::Data,
        DataContentType::EqualityDeletes,
        DataContentType::PositionDeletes,
    ]
}

// Goal: an entry is what the format's library says, to the last field, and pruning hears the same of it. Method: manifests of both
// formats and of each content, read by both; every column's counts and bounds asked of both.
#[tokio::test]
async fn entries_are_what_the_library_says() {
    for (format, content) in [2, 3]
        .into_iter()
        .flat_map(|format| kinds().map(|content| (format, content)))
    {
        let (mut manifest, bytes) = written(&table(format, &DECODED), content, &values()).await;
        if format == 3 && content == DataContentType::Data {
            manifest.first_row_id = Some(1_000);
        }
        let found = entries(&Shapes::default(), &manifest, &bytes).expect("decoded here");
        let library = parse(&manifest, &bytes).expect("a manifest");
        assert_eq!(told(&found), told(&library), "{format} {content:?}");
        assert_eq!(found.len(), 4);
        for (own, theirs) in found.iter().zip(library.iter()) {
            assert_eq!(*own.file.whole(), *theirs.file.whole());
            let (own, theirs) = (&own.file, &theirs.file);
            for id in 0..=15 {
                assert_eq!(own.value_count(id), theirs.value_count(id));
                assert_eq!(own.null_value_count(id), theirs.null_value_count(id));
                assert_eq!(own.nan_value_count(id), theirs.nan_value_count(id));
                assert_eq!(own.lower_bound(id), theirs.lower_bound(id));
                assert_eq!(own.upper_bound(id), theirs.upper_bound(id));
            }
            assert_eq!(own.file_path(), theirs.file_path());
            assert_eq!(own.partition(), theirs.partition());
            assert_eq!(own.referenced_data_file(), theirs.referenced_data_file());
            assert_eq!(own.content_offset(), theirs.content_offset());
        }
    }
}

// Goal: what is not decoded here is left to the library, and format 1 is. Method: partitions of other types; a table of format 1.
#[tokio::test]
async fn the_rest_is_left_to_the_library() {
    let partition = [(14, "identity")];
    let (manifest, bytes) = written(
        &table(2, &partition),
        DataContentType::Data,
        &[Some(Literal::decimal(5))],
    )
    .await;
    assert!(entries(&Shapes::default(), &manifest, &bytes).is_none());
    let (manifest, bytes) = written(&table(1, &[]), DataContentType::Data, &[]).await;
    assert!(entries(&Shapes::default(), &manifest, &bytes).is_none());
    assert!(judged(&manifest, &bytes).is_some());
}

// Goal: damage is at most a difference, never a panic or an endless loop: digests were compared before. Method: one bit flipped in bytes
// all over a manifest, and the file cut off; what is remembered of headers lives through all of it.
#[tokio::test]
async fn damage_does_no_harm() {
    let (manifest, bytes) = written(&table(2, &DECODED), DataContentType::Data, &values()).await;
    let shapes = Shapes::default();
    let good = told(&entries(&shapes, &manifest, &bytes).expect("a good manifest"));
    let (mut decoded, mut refused) = (0, 0);
    for at in (0..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        match entries(&shapes, &manifest, &damaged) {
            Some(_) => decoded += 1,
            None => refused += 1,
        }
    }
    assert!(decoded > 100 && refused > 100, "{decoded} decoded, {refused} refused");
    for length in (0..bytes.len()).step_by(13) {
        assert!(
            entries(&shapes, &manifest, &bytes[..length]).is_none_or(|found| found.is_empty()),
            "{length} bytes"
        );
    }
    let again = entries(&shapes, &manifest, &bytes).expect("a good manifest");
    assert_eq!(
        told(&again),
        good,
        "what was remembered of damaged headers is not taken for a good one"
    );
}

// Goal: a manifest whose name tells no digest is read by the format's library. Method: the same bytes under their own name and under
// one of another engine; entries that are decoded here are packed.
#[tokio::test]
async fn manifests_of_others_are_read_by_the_library() {
    let (mut manifest, bytes) = written(&table(2, &DECODED), DataContentType::Data, &values()).await;
    let store = FileStore::system();
    let is_packed = |manifest: &ManifestFile| {
        let entries = crate::manifest::decoded(&store, manifest, &bytes).expect("a good manifest");
        entries.iter().all(|entry| matches!(entry.file, Description::Packed(_)))
    };
    assert!(is_packed(&manifest));
    manifest.manifest_path = "memory://lake/t/metadata/of-another.avro".into();
    assert!(!is_packed(&manifest));
}

// Goal: a lower bound of a text that was cut within a character keeps no manifest from being read, and stays a bound. What else is no text
// still does. Method: a byte that begins a character at the end of a lower bound, of an upper one and of both, and one that begins none.
#[tokio::test]
async fn texts_may_be_cut_within_a_character() {
    let (manifest, bytes) = written(&table(2, &DECODED), DataContentType::Data, &values()).await;
    let places = bytes.windows(TEXT.len()).enumerate();
    let places = places.filter(|(_, found)| *found == TEXT.as_bytes());
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    assert_eq!(places.len(), 8, "each file has two bounds");
    let (lower, upper) = (places[0], places[1]);
    let ending = |places: &[usize], byte: u8| {
        let mut bytes = bytes.clone();
        for place in places {
            bytes[place + TEXT.len() - 1] = byte;
        }
        parse(&manifest, &bytes)
    };
    let read = ending(&[lower], 0xe2).expect("a manifest");
    let bounds = read.iter().map(|entry| entry.file.lower_bound(10));
    let (mended, others): (Vec<_>, Vec<_>) = bounds.partition(|bound| *bound != Some(Datum::string(TEXT)));
    assert_eq!(
        (mended, others.len()),
        (vec![Some(Datum::string("größer als ic\0"))], 3)
    );
    for entry in read.iter() {
        assert_eq!(entry.file.upper_bound(10), Some(Datum::string(TEXT)));
    }
    for (places, byte) in [(vec![upper], 0xe2), (vec![lower, upper], 0xe2), (vec![lower], 0xff)] {
        assert!(ending(&places, byte).is_err(), "{places:?} {byte}");
    }
}

// Goal: manifests that Java and Python compress are decoded here. Method: the same manifest with its block deflated.
#[tokio::test]
async fn compressed_blocks_are_inflated() {
    let (manifest, bytes) = written(&table(2, &DECODED), DataContentType::Data, &values()).await;
    let mut plain = File::open(&bytes).expect("an Avro file");
    let (count, values) = plain.block().expect("a block").expect("a good one");
    let mut deflated = MAGIC.to_vec();
    let number = |into: &mut Vec<u8>, value: usize| {
        let mut left = value << 1;
        while left > 0x7f {
            into.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        into.push(left as u8);
    };
    let header: Vec<_> = plain
        .header
        .iter()
        .filter(|(name, _)| *name != b"avro.codec")
        .copied()
        .collect();
    number(&mut deflated, header.len() + 1);
    for (name, value) in header.into_iter().chain([(&b"avro.codec"[..], &b"deflate"[..])]) {
        for part in [name, value] {
            number(&mut deflated, part.len());
            deflated.extend(part);
        }
    }
    number(&mut deflated, 0);
    deflated.extend([9; 16]);
    number(&mut deflated, usize::try_from(count).expect("few"));
    let block = compress_to_vec(&values, 6);
    number(&mut deflated, block.len());
    deflated.extend(block);
    deflated.extend([9; 16]);
    let found = entries(&Shapes::default(), &manifest, &deflated).expect("decoded here");
    assert_eq!(Some(told(&found)), judged(&manifest, &deflated));
    assert_eq!(Some(told(&found)), judged(&manifest, &bytes));
}
