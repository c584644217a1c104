//! Rows for tests: every kind of column, with nulls, NaN and long text, made from the id alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::builder::{Int32Builder, ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    Int32Array, Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema as ArrowSchema};
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, ListType, MapType, NestedField, PrimitiveType, Schema,
    Struct, StructType, Transform, Type, UnboundPartitionSpec,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::schema::to_arrow;
use crate::testing::MemoryCatalog;
use crate::{
    Added, Catalog, Change, CommitOptions, Committed, DataFileWriter, FileStore, LoadedTable, NewTable, ScanFile,
    StoreOptions, WriteOptions, commit_change,
};
use tidewater_core::{SeededRng, SystemClock, TableName};

const FIRST_MICROS: i64 = 1_709_251_200_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

fn primitive(id: i32, name: &str, of: PrimitiveType) -> Arc<NestedField> {
    Arc::new(NestedField::new(id, name, Type::Primitive(of), name == "id"))
}

pub(crate) fn schema() -> Schema {
    let address = StructType::new(vec![
        primitive(14, "city", PrimitiveType::String),
        primitive(15, "zip", PrimitiveType::Int),
    ]);
    let tags = ListType::new(Arc::new(NestedField::list_element(
        16,
        Type::Primitive(PrimitiveType::String),
        false,
    )));
    let attrs = MapType::new(
        Arc::new(NestedField::map_key_element(17, Type::Primitive(PrimitiveType::String))),
        Arc::new(NestedField::map_value_element(
            18,
            Type::Primitive(PrimitiveType::Int),
            false,
        )),
    );
    let fields = vec![
        primitive(1, "id", PrimitiveType::Long),
        primitive(2, "name", PrimitiveType::String),
        primitive(3, "score", PrimitiveType::Double),
        primitive(
            4,
            "amount",
            PrimitiveType::Decimal {
                precision: 12,
                scale: 2,
            },
        ),
        primitive(5, "ts", PrimitiveType::Timestamptz),
        primitive(6, "day", PrimitiveType::Date),
        primitive(7, "flag", PrimitiveType::Boolean),
        primitive(8, "payload", PrimitiveType::Binary),
        primitive(9, "version", PrimitiveType::Int),
        primitive(10, "uid", PrimitiveType::Uuid),
        Arc::new(NestedField::optional(11, "address", Type::Struct(address))),
        Arc::new(NestedField::optional(12, "tags", Type::List(tags))),
        Arc::new(NestedField::optional(13, "attrs", Type::Map(attrs))),
    ];
    Schema::builder().with_fields(fields).build().unwrap()
}

pub(crate) fn name(i: i64) -> Option<String> {
    let tail = "xyz\u{10FFFF}".repeat(i.rem_euclid(9) as usize);
    (i.rem_euclid(11) != 5).then(|| format!("näme-{:03}-{tail}", i.rem_euclid(37)))
}
pub(crate) fn score(i: i64) -> Option<f64> {
    (i.rem_euclid(17) != 3).then_some(if i % 13 == 0 { f64::NAN } else { i as f64 * 0.5 - 40.0 })
}
fn amount(i: i64) -> i128 {
    i128::from(i) * 101 - 5000
}
fn micros(i: i64) -> i64 {
    if i < 0 {
        i * HOUR_MICROS * 7 - 1
    } else {
        FIRST_MICROS + i * HOUR_MICROS + i
    }
}
fn day(i: i64) -> Option<i32> {
    (i.rem_euclid(23) != 1).then_some((i * 3 - 40) as i32)
}
fn flag(i: i64) -> Option<bool> {
    (i % 19 != 0).then_some(i % 2 == 0)
}
fn payload(i: i64) -> Vec<u8> {
    [vec![255; i.rem_euclid(20) as usize], i.to_be_bytes().to_vec()].concat()
}
fn uid(i: i64) -> Option<u128> {
    (i % 7 != 2).then_some(i.unsigned_abs() as u128 * 0x1_0000_0001_0000_0003)
}
fn address(i: i64) -> Option<(Option<String>, i32)> {
    (i % 9 != 4).then(|| ((i % 9 != 5).then(|| format!("city {}", i.rem_euclid(5))), i as i32 * 7))
}

/// The value of a column as its field id names it; `None` is null.
pub(crate) fn value(i: i64, field_id: i32, version: i32) -> Option<Datum> {
    let decimal = PrimitiveType::Decimal {
        precision: 12,
        scale: 2,
    };
    Some(match field_id {
        1 => Datum::long(i),
        2 => Datum::string(name(i)?),
        3 => Datum::double(score(i)?),
        4 => Datum::try_from_bytes(&amount(i).to_be_bytes(), decimal).unwrap(),
        5 => Datum::timestamptz_micros(micros(i)),
        6 => Datum::date(day(i)?),
        7 => Datum::bool(flag(i)?),
        8 => Datum::binary(payload(i)),
        9 => Datum::int(version),
        10 => Datum::uuid(uuid::Uuid::from_u128(uid(i)?)),
        14 => Datum::string(address(i)?.0?),
        15 => Datum::int(address(i)?.1),
        _ => panic!("no primitive column {field_id}"),
    })
}

/// `schema` is the table's Arrow schema; the nested arrays take their fields from it.
pub(crate) fn batch(schema: &Arc<ArrowSchema>, ids: &[i64], version: i32) -> RecordBatch {
    let all = || ids.iter().copied();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "id" => Arc::new(Int64Array::from_iter_values(all())) as ArrayRef,
        "name" => Arc::new(all().map(name).collect::<StringArray>()),
        "score" => Arc::new(all().map(score).collect::<Float64Array>()),
        "amount" => {
            let values = Decimal128Array::from_iter_values(all().map(amount));
            Arc::new(values.with_precision_and_scale(12, 2).unwrap())
        }
        "ts" => Arc::new(TimestampMicrosecondArray::from_iter_values(all().map(micros)).with_timezone("UTC")),
        "day" => Arc::new(all().map(day).collect::<Date32Array>()),
        "flag" => Arc::new(all().map(flag).collect::<BooleanArray>()),
        "payload" => Arc::new(BinaryArray::from_iter_values(all().map(payload))),
        "version" => Arc::new(Int32Array::from_iter_values(all().map(|_| version))),
        "uid" => {
            let values = all().map(|i| uid(i).map(u128::to_be_bytes));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).unwrap())
        }
        "address" => addresses(field, all()),
        "tags" => tags(field, all()),
        "attrs" => attrs(field, all()),
        other => panic!("no column {other}"),
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

fn addresses(field: &Field, ids: impl Iterator<Item = i64>) -> ArrayRef {
    let DataType::Struct(fields) = field.data_type() else {
        panic!("address is a struct")
    };
    let values: Vec<_> = ids.map(address).collect();
    let cities: StringArray = values
        .iter()
        .map(|a| a.as_ref().and_then(|(city, _)| city.clone()))
        .collect();
    let zips: Int32Array = values.iter().map(|a| a.as_ref().map(|(_, zip)| *zip)).collect();
    let nulls = values.iter().map(Option::is_some).collect::<Vec<_>>().into();
    Arc::new(StructArray::new(
        fields.clone(),
        vec![Arc::new(cities), Arc::new(zips)],
        Some(nulls),
    ))
}

fn tags(field: &Field, ids: impl Iterator<Item = i64>) -> ArrayRef {
    let DataType::List(element) = field.data_type() else {
        panic!("tags is a list")
    };
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
    for i in ids {
        let values = (0..i.rem_euclid(4)).map(|n| (i % 10 != 8).then(|| format!("t{n}")));
        builder.append_option((i % 10 != 7).then_some(values));
    }
    Arc::new(builder.finish())
}

fn attrs(field: &Field, ids: impl Iterator<Item = i64>) -> ArrayRef {
    let DataType::Map(entries, _) = field.data_type() else {
        panic!("attrs is a map")
    };
    let DataType::Struct(parts) = entries.data_type() else {
        panic!("map entries are a struct")
    };
    let names = MapFieldNames {
        entry: "key_value".into(),
        key: "key".into(),
        value: "value".into(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), Int32Builder::new())
        .with_keys_field(parts[0].clone())
        .with_values_field(parts[1].clone());
    for i in ids {
        for n in 0..i.rem_euclid(3) {
            builder.keys().append_value(format!("k{n}"));
            builder.values().append_value(n as i32);
        }
        builder.append(true).unwrap();
    }
    Arc::new(builder.finish())
}

/// A table of the sample schema in a catalog of its own.
#[derive(Debug)]
pub(crate) struct Lake {
    pub(crate) store: FileStore,
    pub(crate) catalog: MemoryCatalog,
    pub(crate) name: TableName,
}

impl Lake {
    pub(crate) async fn new(spec: &[(i32, &str, Transform)], properties: &[(&str, &str)]) -> Self {
        Self::at("memory://lake", "t", spec, properties).await
    }

    pub(crate) async fn at(
        warehouse: &str,
        name: &str,
        spec: &[(i32, &str, Transform)],
        properties: &[(&str, &str)],
    ) -> Self {
        let rng = Arc::new(SeededRng::new(spec.len() as u64));
        let store = FileStore::new(StoreOptions::default(), SystemClock::shared(), rng);
        let lake = Self {
            catalog: MemoryCatalog::new(store.clone(), warehouse),
            name: format!("s.{name}").parse().unwrap(),
            store,
        };
        lake.create(lake.name.clone(), spec, properties).await;
        lake
    }

    pub(crate) async fn create(
        &self,
        name: TableName,
        spec: &[(i32, &str, Transform)],
        properties: &[(&str, &str)],
    ) -> LoadedTable {
        let mut unbound = UnboundPartitionSpec::builder();
        for (source, name, transform) in spec {
            unbound = unbound.add_partition_field(*source, *name, *transform).unwrap();
        }
        let mut table = NewTable::new(name, schema());
        table.partition_spec = (!spec.is_empty()).then(|| unbound.build());
        table.properties = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        self.catalog.create_table(table).await.unwrap()
    }

    pub(crate) async fn table(&self) -> LoadedTable {
        self.catalog.load_table(&self.name).await.unwrap().unwrap()
    }

    pub(crate) async fn files(&self, ids: &[i64], version: i32) -> Vec<Added> {
        let table = self.table().await;
        let options = WriteOptions {
            row_group_rows_max: 64,
            ..WriteOptions::default()
        };
        let mut writer = DataFileWriter::new(self.store.clone(), &table.metadata, options).unwrap();
        let schema = writer.schema().clone();
        writer.write(batch(&schema, ids, version)).await.unwrap();
        writer.close().await.unwrap()
    }

    pub(crate) async fn append(&self, ids: impl IntoIterator<Item = i64>) -> Committed {
        let ids: Vec<i64> = ids.into_iter().collect();
        let change = Change::append(self.files(&ids, 0).await);
        self.commit(&change).await.unwrap()
    }

    pub(crate) async fn append_without(&self, column: &str, ids: &[i64], partition: Struct) {
        let added = self.without(column, ids, partition).await;
        self.commit(&Change::append(vec![added])).await.unwrap();
    }

    /// A file that leaves one of its columns to its partition, as those that were Hive's do.
    pub(crate) async fn without(&self, column: &str, ids: &[i64], partition: Struct) -> Added {
        let whole = Arc::new(to_arrow(&schema()).unwrap());
        let mut rows = batch(&whole, ids, 0);
        rows.remove_column(whole.index_of(column).unwrap());
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        let bytes = writer.into_inner().unwrap();
        let location = self.table().await.metadata.location().to_owned();
        let path = format!("{location}/data/{}.parquet", self.store.rng().uuid());
        let file = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_format(DataFileFormat::Parquet)
            .file_path(path.clone())
            .file_size_in_bytes(bytes.len() as u64)
            .record_count(ids.len() as u64)
            .partition(partition)
            .partition_spec_id(0)
            .build()
            .unwrap();
        self.store.put_new(&path, bytes.into()).await.unwrap();
        Added::new(file, 0)
    }

    pub(crate) async fn commit(&self, change: &Change) -> crate::Result<Committed> {
        commit_change(
            &self.catalog,
            &self.store,
            &self.name,
            change,
            &CommitOptions::default(),
        )
        .await
    }

    /// Ids in these files, in order, one for each row.
    pub(crate) async fn ids(&self, files: &[ScanFile]) -> Vec<i64> {
        let mut ids = Vec::new();
        for file in files {
            for batch in self.batches(&file.path).await {
                let column = batch.column_by_name("id").unwrap();
                ids.extend(column.as_primitive::<Int64Type>().values().iter().copied());
            }
        }
        ids.sort_unstable();
        ids
    }

    pub(crate) async fn batches(&self, path: &str) -> Vec<RecordBatch> {
        let bytes = self.store.get(path).await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .unwrap()
            .build()
            .unwrap();
        reader.map(Result::unwrap).collect()
    }

    /// Ids in the current snapshot, one for each row.
    pub(crate) async fn rows(&self) -> Vec<i64> {
        let table = self.table().await;
        let files = crate::plan_scan(&self.store, &table.metadata, None, None)
            .await
            .unwrap();
        self.ids(&files).await
    }

    /// Every file below the table, by its kind: (data, manifests and lists).
    pub(crate) async fn stored(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let table = self.table().await;
        let all = self.store.list(table.metadata.location()).await.unwrap();
        let all = all.into_iter().map(|file| file.location);
        let (data, rest): (BTreeSet<_>, BTreeSet<_>) = all.partition(|l| l.ends_with(".parquet"));
        (data, rest.into_iter().filter(|l| l.ends_with(".avro")).collect())
    }

    /// Manifests and manifest lists that any snapshot of the table names.
    pub(crate) async fn reachable(&self) -> BTreeSet<String> {
        let table = self.table().await;
        let mut found = BTreeSet::new();
        for snapshot in table.metadata.snapshots() {
            found.insert(snapshot.manifest_list().to_owned());
            let manifests = crate::manifest::list(&self.store, &table.metadata, Some(snapshot))
                .await
                .unwrap();
            found.extend(manifests.into_iter().map(|m| m.manifest_path));
        }
        found
    }

    pub(crate) async fn summary(&self) -> BTreeMap<String, String> {
        let table = self.table().await;
        let snapshot = table.metadata.current_snapshot().unwrap();
        snapshot.summary().additional_properties.clone().into_iter().collect()
    }
}
