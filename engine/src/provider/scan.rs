//! The physical plan of a scan.

use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{ColumnStatistics, Result, Statistics, internal_datafusion_err};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use tidewater_table::iceberg::spec::{Schema as IcebergSchema, TableMetadata};
use tidewater_table::schema::{ToldWithin, told_by_partition};
use tidewater_table::{FileDeletes, FileStore, ScanFile};

use super::alike::{Alike, ToldFile, alike};
use super::groups::{self, StoreGroups};
use super::{identity, statistics};
use crate::deletes::RowDeletesExec;
use crate::error::EngineError;
use crate::explain::file_names;
use crate::field_ids::FieldIdAdapterFactory;
use crate::reads::CheckedReads;

/// What of the table is read.
pub(super) struct Request<'a> {
    /// The table's columns under their own names.
    pub(super) schema: &'a SchemaRef,
    pub(super) table: &'a TableMetadata,
    /// The same columns as the Parquet reader sees them.
    pub(super) scan_schema: &'a SchemaRef,
    pub(super) columns: &'a IcebergSchema,
    pub(super) projection: Option<&'a Vec<usize>>,
    pub(super) limit: Option<usize>,
    /// Rows are filtered above the scan.
    pub(super) filtered: bool,
    /// `schema` ends with the columns that tell which row it is.
    pub(super) identity: bool,
    /// What manifests tell of its rows is told.
    pub(super) tells: bool,
}

/// One `DataSourceExec` for each object store that the files lie in, which is one as a rule, another for files of which some rows are
/// gone, and others for files that leave columns to their partitions.
pub(super) fn plan(
    session: &dyn Session,
    store: &FileStore,
    files: &[ScanFile],
    request: &Request<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    // Also where only counts are asked for, which manifests answer: what a table can be asked does not hang on the question.
    for file in files {
        file.require_readable().map_err(EngineError::from)?;
    }
    let partitions_max = session.config().target_partitions();
    let mut scans = Vec::new();
    let enough = enough(files, request.limit, request.filtered);
    let files = files.get(..enough).unwrap_or(files);
    for Alike { told, within, files } in alike(files, request.table, request.schema)? {
        let scan_schema = with_told(request.scan_schema, &within);
        let request = &Request {
            scan_schema: &scan_schema,
            ..*request
        };
        let is_whole = |of: &ToldFile<'_>| of.file.is_whole();
        let (whole, holed): (Vec<_>, Vec<_>) = files.into_iter().partition(is_whole);
        for groups in groups::spread(store, whole, partitions_max, request.identity)? {
            scans.push(scan(session, store, groups, &told, request)?);
        }
        for groups in groups::spread(store, holed, partitions_max, request.identity)? {
            let deletes = groups.files.iter().map(|of| FileDeletes::of(of.file, request.table));
            let deletes: Vec<FileDeletes> = deletes
                .filter_map(|deletes| deletes.map_err(EngineError::from).transpose())
                .collect::<Result<_, _>>()?;
            let scan = scan(session, store, groups, &told, request)?;
            scans.push(Arc::new(RowDeletesExec::new(scan, Arc::new(deletes), store.clone())));
        }
    }
    match (scans.pop(), scans.is_empty()) {
        (None, _) => {
            let schema = match request.projection {
                Some(projection) => Arc::new(request.schema.project(projection)?),
                None => request.schema.clone(),
            };
            Ok(Arc::new(EmptyExec::new(schema)))
        }
        (Some(scan), true) => Ok(scan),
        (Some(scan), false) => {
            scans.push(scan);
            UnionExec::try_new(scans)
        }
    }
}

/// How many of the files have to be read, from the first one on: without a filter, as many as the limit needs.
pub(super) fn enough(files: &[ScanFile], limit: Option<usize>, filtered: bool) -> usize {
    let Some(limit) = limit.and_then(|limit| u64::try_from(limit).ok()) else {
        return files.len();
    };
    if filtered {
        return files.len();
    }
    let mut rows = 0;
    let needed = files.iter().take_while(|file| {
        let more = rows < limit;
        // How many rows of it are left is not known yet.
        rows += if file.is_whole() { file.record_count } else { 0 };
        more
    });
    needed.count()
}

/// Of files whose partitions tell these columns.
fn scan(
    session: &dyn Session,
    store: &FileStore,
    groups: StoreGroups<'_>,
    told: &[usize],
    request: &Request<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let runtime = session.runtime_env();
    let options = TableParquetOptions {
        global: session.config_options().execution.parquet.clone(),
        ..Default::default()
    };
    let order = order(request, told);
    let columns = reader_schema(request, told)?;
    // A bare ParquetSource reads every footer anew, and compares nothing.
    let mut reader = CheckedReads::new(runtime, &groups.store, columns.file_schema())?;
    if let Some(at_hand) = store.at_hand() {
        let telling = store.store_at(groups.store.as_str()).map_err(EngineError::from)?;
        reader = reader.telling(telling, Arc::clone(at_hand));
    }
    let projection = projection(request, &order, columns.table_schema());
    let source = ParquetSource::new(columns)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(reader));
    let source = source
        .try_pushdown_projection(&projection)?
        .ok_or_else(|| internal_datafusion_err!("a Parquet scan takes any projection of columns"))?;
    let mut statistics = match request.tells {
        true => statistics::of(&groups.files, told, request.columns, request.schema),
        false => Statistics::new_unknown(request.schema),
    };
    let in_order = order
        .iter()
        .map(|column| statistics.column_statistics.get(*column).cloned());
    let in_order: Vec<ColumnStatistics> = in_order.flatten().collect();
    statistics.column_statistics = in_order;
    let holed = groups.files.iter().any(|of| !of.file.is_whole());
    if holed || request.filtered || request.limit.is_some() {
        statistics = statistics.to_inexact();
    }
    let without_nan = Arc::new(statistics::without_nan(&groups.files, request.schema));
    let config = FileScanConfigBuilder::new(groups.store, source)
        .with_file_groups(file_names::planned(session.config(), groups.groups))
        .with_statistics(statistics)
        .with_limit(request.limit)
        // For execution in this process; on the way to another it is lost, and `restore_scans` puts it back.
        .with_expr_adapter(Some(Arc::new(FieldIdAdapterFactory { without_nan })))
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// The columns as the Parquet reader sees them, with what partitions tell of the fields within them.
fn with_told(columns: &SchemaRef, within: &ToldWithin) -> SchemaRef {
    if within.is_empty() {
        return columns.clone();
    }
    let all = columns.fields().iter().enumerate();
    let fields = all.map(|(index, field)| match within.get(&index) {
        Some(values) => FieldRef::new(told_by_partition(field, values)),
        None => field.clone(),
    });
    let fields: Vec<FieldRef> = fields.collect();
    Schema::new_with_metadata(fields, columns.metadata().clone()).into()
}

/// The columns in the order in which a scan has them, each as its position among the table's: first those that are read, behind them
/// those that partitions tell, then what tells which row it is.
fn order(request: &Request<'_>, told: &[usize]) -> Vec<usize> {
    let columns = request.scan_schema.fields().len();
    let read = (0..columns).filter(|column| !told.contains(column));
    let of_row = columns..request.schema.fields().len();
    read.chain(told.iter().copied()).chain(of_row).collect()
}

/// The same columns as the Parquet reader knows them.
fn reader_schema(request: &Request<'_>, told: &[usize]) -> Result<TableSchema> {
    let all = request.scan_schema.fields();
    let read: Vec<usize> = (0..all.len()).filter(|column| !told.contains(column)).collect();
    let read: SchemaRef = Arc::new(request.scan_schema.project(&read)?);
    let told: Vec<FieldRef> = told.iter().filter_map(|column| all.get(*column).cloned()).collect();
    Ok(match request.identity {
        true => identity::reader_schema(read, told),
        false => TableSchema::builder(read).with_table_partition_cols(told).build(),
    })
}

/// Gives hidden columns their public names, and all of them their places.
fn projection(request: &Request<'_>, order: &[usize], columns: &SchemaRef) -> ProjectionExprs {
    let column = |index: usize| {
        let place = order.iter().position(|column| *column == index).unwrap_or(index);
        let hidden = Column::new(columns.field(place).name(), place);
        ProjectionExpr::new(Arc::new(hidden), request.schema.field(index).name())
    };
    match request.projection {
        Some(projection) => ProjectionExprs::new(projection.iter().map(|index| column(*index))),
        None => ProjectionExprs::new((0..request.schema.fields().len()).map(column)),
    }
}
