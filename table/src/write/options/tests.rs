use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use parquet::file::reader::{FileReader, SerializedFileReader};
use tidewater_core::Coded;

use super::*;
use crate::DataFileWriter;
use crate::sample::{self, Lake};

fn properties(given: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    given.iter().map(owned).collect()
}

fn of(given: &[(&str, &str)]) -> Result<WriteOptions> {
    WriteOptions::default().of_properties(&properties(given))
}

// Goal: properties say how files are written, and what they do not say stays. Method: each property alone and codecs with levels,
// against what they mean.
#[test]
fn properties_are_read() {
    let options = of(&[(TARGET_FILE_SIZE, " 1024 ")]).unwrap();
    assert_eq!(options.target_file_size_bytes, 1024);
    assert_eq!((options.codec, options.compression_level), (None, 1));
    let options = of(&[(ROW_GROUP_BYTES, "4096"), (ROW_GROUP_ROWS, "7")]).unwrap();
    assert_eq!(
        (options.row_group_bytes_max, options.row_group_rows_max),
        (Some(4096), 7)
    );
    assert_eq!(options.target_file_size_bytes, 128 << 20);
    let options = of(&[(LEVEL, "9")]).unwrap();
    assert_eq!((options.codec, options.compression_level), (None, 9));
    for (codec, level, meant) in [
        ("zstd", None, ParquetCodec::Zstd(1)),
        ("ZSTD", Some("22"), ParquetCodec::Zstd(22)),
        ("gzip", None, ParquetCodec::Gzip(6)),
        ("gzip", Some("0"), ParquetCodec::Gzip(0)),
        ("brotli", None, ParquetCodec::Brotli(1)),
        ("brotli", Some("11"), ParquetCodec::Brotli(11)),
        ("snappy", None, ParquetCodec::Snappy),
        ("lz4", Some("99"), ParquetCodec::Lz4),
        ("uncompressed", None, ParquetCodec::Uncompressed),
        ("none", None, ParquetCodec::Uncompressed),
    ] {
        let mut given = vec![(CODEC, codec)];
        given.extend(level.map(|level| (LEVEL, level)));
        assert_eq!(of(&given).unwrap().codec, Some(meant), "{given:?}");
    }
}

// Goal: what no file can be written by is refused, with the property's name, and only where it is about to be set. Method: wrong values
// of each property; a change of another one beside a wrong value.
#[test]
fn wrong_values_are_refused() {
    for given in [
        &[(TARGET_FILE_SIZE, "0")][..],
        &[(TARGET_FILE_SIZE, "128MB")],
        &[(TARGET_FILE_SIZE, "-1")],
        &[(ROW_GROUP_BYTES, "")],
        &[(ROW_GROUP_ROWS, "0")],
        &[(CODEC, "lzo")],
        &[(LEVEL, "high")],
        &[(LEVEL, "23")],
        &[(LEVEL, "23"), (CODEC, "zstd")],
        &[(LEVEL, "10"), (CODEC, "gzip")],
        &[(LEVEL, "-1"), (CODEC, "brotli")],
    ] {
        let error = of(given).unwrap_err();
        assert_eq!(error.code(), "TBL-0020", "{error}");
        assert!(error.to_string().contains(given[0].0), "{error}");
        assert!(
            check_write_properties(&HashMap::new(), &properties(given)).is_err(),
            "{given:?}"
        );
    }
    let before = properties(&[(LEVEL, "22")]);
    assert!(check_write_properties(&before, &properties(&[("comment", "lzo")])).is_ok());
    assert!(check_write_properties(&before, &properties(&[(CODEC, "gzip")])).is_err());
    assert!(check_write_properties(&before, &properties(&[(CODEC, "gzip"), (LEVEL, "9")])).is_ok());
}

/// Codecs of the columns and row groups of the only file that is written with these properties, and its ids as they are read back.
async fn written(given: &[(&str, &str)], ids: &[i64]) -> (BTreeSet<String>, Vec<i64>, Vec<i64>) {
    let lake = Lake::new(&[], &[]).await;
    let table = lake.table().await.metadata;
    let mut writer = DataFileWriter::new(lake.store.clone(), &table, of(given).unwrap()).unwrap();
    let schema = writer.schema().clone();
    writer.write(sample::batch(&schema, ids, 0)).await.unwrap();
    let added = writer.close().await.unwrap();
    assert_eq!(added.len(), 1);
    let path = added[0].file.file_path();
    let reader = SerializedFileReader::new(lake.store.get(path).await.unwrap()).unwrap();
    let groups = reader.metadata().row_groups();
    let columns = groups.iter().flat_map(|group| group.columns());
    let codecs = columns.map(|column| format!("{:?}", column.compression()));
    let rows = groups.iter().map(|group| group.num_rows());
    let mut found = Vec::new();
    for batch in lake.batches(path).await {
        let column = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        found.extend(column.values().iter().copied());
    }
    (codecs.collect(), rows.collect(), found)
}

// Goal: files are compressed and cut into row groups as asked, and read back. Method: the footer of a small file for each codec, and for
// limits of rows, down to one.
#[tokio::test]
async fn files_are_as_asked() {
    let ids: Vec<i64> = (0..20).collect();
    for (codec, stored) in [
        ("zstd", "ZSTD"),
        ("gzip", "GZIP"),
        ("brotli", "BROTLI"),
        ("snappy", "SNAPPY"),
        ("lz4", "LZ4_RAW"),
        ("uncompressed", "UNCOMPRESSED"),
    ] {
        let (codecs, _, found) = written(&[(CODEC, codec)], &ids).await;
        assert!(
            codecs.iter().all(|codec| codec.starts_with(stored)),
            "{codec}: {codecs:?}"
        );
        assert_eq!(found, ids, "{codec}");
    }
    for (limit, groups) in [("7", vec![7, 7, 6]), ("1", vec![1; 20]), ("20", vec![20])] {
        let (_, rows, found) = written(&[(ROW_GROUP_ROWS, limit)], &ids).await;
        assert_eq!((rows, found), (groups, ids.clone()), "{limit}");
    }
}
