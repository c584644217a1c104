//! The physical plan of a scan.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use tidewater_table::iceberg::spec::{Schema as IcebergSchema, TableMetadata};
use tidewater_table::{FileDeletes, FileStore, ScanFile};

use super::groups::{self, StoreGroups};
use super::{identity, statistics};
use crate::deletes::RowDeletesExec;
use crate::error::EngineError;
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
}

/// One `DataSourceExec` for each object store that the files lie in, which is one as a rule, and another for files of which some
/// rows are gone.
pub(super) fn plan(
    session: &dyn Session,
    store: &FileStore,
    files: Vec<ScanFile>,
    request: &Request<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let files = enough(files, request);
    let (whole, holed): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.deletes.is_empty());
    let partitions_max = session.config().target_partitions();
    let mut scans = Vec::new();
    for groups in groups::spread(store, whole, partitions_max, request.identity)? {
        scans.push(scan(session, groups, request)?);
    }
    for groups in groups::spread(store, holed, partitions_max, request.identity)? {
        let deletes = groups.files.iter().map(|file| FileDeletes::of(file, request.table));
        let deletes: Vec<FileDeletes> = deletes
            .filter_map(|deletes| deletes.map_err(EngineError::from).transpose())
            .collect::<Result<_, _>>()?;
        let scan = scan(session, groups, request)?;
        scans.push(Arc::new(RowDeletesExec::new(scan, Arc::new(deletes), store.clone())));
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

/// Without a filter, as many files as the limit needs.
fn enough(mut files: Vec<ScanFile>, request: &Request<'_>) -> Vec<ScanFile> {
    let Some(limit) = request.limit.and_then(|limit| u64::try_from(limit).ok()) else {
        return files;
    };
    if request.filtered {
        return files;
    }
    let mut rows = 0;
    let needed = files.iter().take_while(|file| {
        let more = rows < limit;
        // How many rows of it are left is not known yet.
        rows += if file.deletes.is_empty() { file.record_count } else { 0 };
        more
    });
    let needed = needed.count();
    files.truncate(needed);
    files
}

fn scan(session: &dyn Session, groups: StoreGroups, request: &Request<'_>) -> Result<Arc<dyn ExecutionPlan>> {
    let runtime = session.runtime_env();
    let options = TableParquetOptions {
        global: session.config_options().execution.parquet.clone(),
        ..Default::default()
    };
    // A bare ParquetSource reads every footer anew, and compares nothing.
    let reader = CheckedReads::new(runtime, &groups.store)?;
    let columns = match request.identity {
        true => identity::reader_schema(request.scan_schema),
        false => request.scan_schema.into(),
    };
    let projection = projection(request, columns.table_schema());
    let source = ParquetSource::new(columns)
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(reader));
    let source = source
        .try_pushdown_projection(&projection)?
        .ok_or_else(|| internal_datafusion_err!("a Parquet scan takes any projection of columns"))?;
    let mut statistics = statistics::of(groups.files.iter(), request.columns, request.schema);
    let holed = groups.files.iter().any(|file| !file.deletes.is_empty());
    if holed || request.filtered || request.limit.is_some() {
        statistics = statistics.to_inexact();
    }
    let without_nan = Arc::new(statistics::without_nan(&groups.files, request.schema));
    let config = FileScanConfigBuilder::new(groups.store, source)
        .with_file_groups(groups.groups)
        .with_statistics(statistics)
        .with_limit(request.limit)
        // For execution in this process; on the way to another it is lost, and `restore_scans` puts it back.
        .with_expr_adapter(Some(Arc::new(FieldIdAdapterFactory { without_nan })))
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Gives hidden columns their public names.
fn projection(request: &Request<'_>, columns: &SchemaRef) -> ProjectionExprs {
    let column = |index: usize| {
        let hidden = Column::new(columns.field(index).name(), index);
        ProjectionExpr::new(Arc::new(hidden), request.schema.field(index).name())
    };
    match request.projection {
        Some(projection) => ProjectionExprs::new(projection.iter().map(|index| column(*index))),
        None => ProjectionExprs::new((0..request.schema.fields().len()).map(column)),
    }
}
