//! A table of many files that are not there: planning looks at metadata only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidewater_core::TableName;
use tidewater_table::iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, NestedField, PrimitiveType, Schema,
    Struct, TableMetadata, Transform, Type, UnboundPartitionSpec,
};
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Added, Catalog, Change, CommitOptions, Comparison, FileStore, NewTable, Predicate, RewriteManifests, commit_change,
    rewrite_manifests,
};

use crate::Result;
use crate::case::Case;

pub(crate) const FILES: usize = 100_000;
pub(crate) const FILES_PER_MANIFEST: usize = 10;

/// Days that the table is partitioned by, with as many files each.
const DAYS: usize = 100;

/// Patients whose rows are in one file; no patient's are in two.
const PATIENTS_PER_FILE: i64 = 1_000;

/// Without chance, and without order: no manifest is left out for its patients.
const SPREAD: usize = 7_919;

/// Rows of a file.
const ROWS: u64 = 50_000;

const DAY: i32 = 4;
const PATIENT: i32 = 2;

/// 2024-01-01 in days, and a day in microseconds.
const FIRST_DAY: usize = 19_723;
const DAY_MICROS: i64 = 86_400_000_000;

pub(crate) const COLUMNS: usize = 12;

fn columns() -> [(&'static str, PrimitiveType); COLUMNS] {
    [
        ("event_id", PrimitiveType::Long),
        ("patient_id", PrimitiveType::Long),
        ("event_time", PrimitiveType::Timestamptz),
        ("event_day", PrimitiveType::Date),
        ("kind", PrimitiveType::String),
        ("ward", PrimitiveType::String),
        ("value", PrimitiveType::Double),
        (
            "amount",
            PrimitiveType::Decimal {
                precision: 12,
                scale: 2,
            },
        ),
        ("attempts", PrimitiveType::Int),
        ("is_urgent", PrimitiveType::Boolean),
        ("note", PrimitiveType::String),
        ("offset", PrimitiveType::Long),
    ]
}

/// The condition of a case; each keeps one file in a hundred, by the lists' summaries or by the bounds of a column.
pub(crate) fn condition(case: Case) -> Option<Predicate> {
    let first = i64::try_from(FILES / 2).unwrap_or_default() * PATIENTS_PER_FILE;
    let end = first + i64::try_from(FILES / 100).unwrap_or_default() * PATIENTS_PER_FILE;
    match case {
        Case::All => None,
        Case::Partition => Some(Predicate::equal(DAY, Datum::date(day(DAYS / 2)))),
        Case::Column => Some(
            Predicate::compare(PATIENT, Comparison::GreaterOrEqual, Datum::long(first)).and(Predicate::compare(
                PATIENT,
                Comparison::Less,
                Datum::long(end),
            )),
        ),
    }
}

/// Writes the table's metadata below `folder`.
pub(crate) async fn make(folder: &Path) -> Result<()> {
    let store = FileStore::system();
    let catalog = MemoryCatalog::new(store.clone(), format!("file://{}", folder.display()));
    let name: TableName = "large.events".parse()?;
    let location = format!("file://{}/events", folder.display());
    let created = catalog
        .create_table(NewTable {
            location: Some(location.clone()),
            partition_spec: Some(
                UnboundPartitionSpec::builder()
                    .add_partition_field(DAY, "event_day", Transform::Identity)?
                    .build(),
            ),
            ..NewTable::new(name.clone(), schema()?)
        })
        .await?;
    let spec_id = created.metadata.default_partition_spec_id();
    let files = (0..FILES).map(|number| Ok(Added::new(file(&location, number)?, spec_id)));
    let change = Change::append(files.collect::<Result<_>>()?);
    let options = CommitOptions::default();
    let table = commit_change(&catalog, &store, &name, &change, &options).await?.table;
    let snapshot = table.metadata.current_snapshot_id().ok_or("a snapshot was committed")?;
    let whole = tidewater_table::inspect::manifests(&store, &table.metadata, snapshot).await?;
    let bytes: u64 = whole
        .iter()
        .map(|manifest| manifest.manifest_length.unsigned_abs())
        .sum();
    let rewrite = RewriteManifests {
        // Rounded down: rather one manifest more, so that none gets more files than it should.
        target_bytes: Some(bytes / (FILES / FILES_PER_MANIFEST) as u64),
        always: true,
        ..RewriteManifests::default()
    };
    let rewritten = rewrite_manifests(&catalog, &store, &name, &rewrite, &options).await?;
    if rewritten.created != (FILES / FILES_PER_MANIFEST) as u64 {
        return Err(format!("{} manifests were written", rewritten.created).into());
    }
    Ok(std::fs::write(pointer(folder), rewritten.table.metadata_location)?)
}

/// The table that was made there.
pub(crate) async fn load(store: &FileStore, folder: &Path) -> Result<TableMetadata> {
    let location = std::fs::read_to_string(pointer(folder))?;
    Ok(serde_json::from_slice(&store.get(&location).await?)?)
}

fn pointer(folder: &Path) -> PathBuf {
    folder.join("metadata-location")
}

fn schema() -> Result<Schema> {
    let fields = (1..)
        .zip(columns())
        .map(|(id, (name, kind))| Arc::new(NestedField::optional(id, name, Type::Primitive(kind))));
    Ok(Schema::builder().with_fields(fields).build()?)
}

fn day(number: usize) -> i32 {
    i32::try_from(FIRST_DAY + number).unwrap_or(i32::MAX)
}

fn file(location: &str, number: usize) -> Result<DataFile> {
    let first_day = day(number % DAYS);
    let midnight = i64::from(first_day) * DAY_MICROS;
    let patient = i64::try_from(number * SPREAD % FILES)? * PATIENTS_PER_FILE;
    let first = i64::try_from(number)? * i64::try_from(ROWS)?;
    let last = first + i64::try_from(ROWS)? - 1;
    let text = |text: &str| Datum::string(format!("{text} {number:07}"));
    let bounds = [
        (Datum::long(first), Datum::long(last)),
        (Datum::long(patient), Datum::long(patient + PATIENTS_PER_FILE - 1)),
        (
            Datum::timestamptz_micros(midnight),
            Datum::timestamptz_micros(midnight + DAY_MICROS - 1),
        ),
        (Datum::date(first_day), Datum::date(first_day)),
        (Datum::string("admission"), Datum::string("transfer")),
        (text("ward a"), text("ward z")),
        (Datum::double(0.5), Datum::double(99.5)),
        (Datum::decimal_from_str("1.25")?, Datum::decimal_from_str("99999.75")?),
        (Datum::int(1), Datum::int(9)),
        (Datum::bool(false), Datum::bool(true)),
        (text("a note of which"), text("the note of which")),
        (Datum::long(first), Datum::long(last)),
    ];
    let ids = || (1..).take(COLUMNS);
    let (lower, upper): (Vec<_>, Vec<_>) = bounds.into_iter().unzip();
    let kinds = columns().map(|(_, kind)| kind);
    let typed = |bounds: Vec<Datum>| -> Result<_> {
        let typed = bounds
            .into_iter()
            .zip(&kinds)
            .map(|(bound, kind)| Ok(Datum::try_from_bytes(&bound.to_bytes()?, kind.clone())?));
        Ok(ids().zip(typed.collect::<Result<Vec<_>>>()?).collect())
    };
    let mut built = DataFileBuilder::default();
    built
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path(format!(
            "{location}/data/event_day={}/{number:08}-0199e6b3-7c1f-7b32-b3aa-0123456789ab.parquet",
            first_day
        ))
        .partition_spec_id(0)
        .partition(Struct::from_iter([Some(Literal::date(first_day))]))
        .record_count(ROWS)
        .file_size_in_bytes(4 << 20)
        .column_sizes(ids().map(|id| (id, 100_000 + number as u64)).collect())
        .value_counts(ids().map(|id| (id, ROWS)).collect())
        .null_value_counts(ids().map(|id| (id, 0)).collect())
        .nan_value_counts([(7, 0)].into())
        .lower_bounds(typed(lower)?)
        .upper_bounds(typed(upper)?)
        .split_offsets(Some(vec![4]));
    Ok(built.build()?)
}
