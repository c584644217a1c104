//! An Iceberg table as DataFusion sees it: its scan is nothing but DataFusion's own `DataSourceExec`, so that it travels to
//! other processes without any codec, and above it what leaves out deleted rows.

mod alike;
mod groups;
mod identity;
mod predicate;
mod scan;
mod sent;
mod staleness;
mod statistics;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidewater_table::foreign::require_own;
use tidewater_table::iceberg::spec::Schema as IcebergSchema;
use tidewater_table::schema::{to_arrow, with_mapped_names};
use tidewater_table::{DISTINCT, FileStore, Listing, LoadedTable, Predicate, Scan, ScanFile, TableError};
use uuid::Uuid;

use crate::engine::Parts;
use crate::error::{EngineError, Result};
use crate::explain::store_of;
use crate::field_ids::{hide_names, reused_names};
use crate::lake::version::Version;
use crate::write::insert;

pub use self::identity::{FILE, POSITION};
pub(crate) use self::predicate::{same_rows, some_rows};
pub use self::sent::SentPositions;
pub(crate) use self::sent::{PositionsExec, received};
pub(crate) use self::staleness::check as check_staleness;
pub use self::staleness::{MAX_STALENESS_KEY, STALENESS_MAX};

/// One table at one snapshot.
pub struct IcebergTable {
    parts: Arc<Parts>,
    table: LoadedTable,
    source: Source,
    columns: Arc<IcebergSchema>,
    schema: SchemaRef,
    scan_schema: SchemaRef,
    identity: bool,
    /// Whether it was asked for without a version: as it is now.
    newest: bool,
    /// Whether whoever reads it sees a part of its rows.
    under_policy: bool,
    /// Whether grants bind whoever reads it: they may read this table, and no other by its means.
    bound: bool,
}

/// Where the rows come from.
#[derive(Debug)]
enum Source {
    /// All files of a snapshot; `None` for a table without any.
    Snapshot(Option<i64>),
    /// Exactly these files.
    Files(Arc<Listing>),
}

/// A state of a table: scans of equal ones give the same rows, whatever the table is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableState {
    /// The table. One that is dropped and made again is another one.
    pub table: Uuid,
    /// The snapshot; none for a table without any.
    pub snapshot_id: Option<i64>,
    /// Where the snapshot's files are listed: ids are made by clients, names of files are never used twice.
    pub manifest_list: Option<String>,
    /// The columns that it is read with.
    pub schema_id: i32,
    /// Whether grants bind whoever reads it: rows that others were given may be of files that these are refused.
    pub bound: bool,
}

/// What a scan would read.
#[derive(Debug, Clone)]
pub struct PlannedFiles {
    /// Files that may hold rows of the filter; they are shared with whoever else asks for them.
    listing: Arc<Listing>,
    /// How many of them are read, in their order.
    count: usize,
    /// Files before pruning, where the snapshot's summary tells.
    pub files_total: Option<u64>,
}

impl PlannedFiles {
    fn all(listing: Arc<Listing>, files_total: Option<u64>) -> Self {
        let count = listing.files().len();
        Self {
            listing,
            count,
            files_total,
        }
    }

    /// Files that may hold rows of the filter.
    pub fn files(&self) -> &[ScanFile] {
        let all = self.listing.files();
        all.get(..self.count).unwrap_or(all)
    }

    /// Bytes of the files.
    pub fn bytes(&self) -> u64 {
        self.files().iter().map(|file| file.size_bytes).sum()
    }

    /// Bytes of them that a reader of these columns reads, by the field ids of leaves.
    pub(crate) fn bytes_of(&self, leaves: &BTreeSet<i32>) -> u64 {
        self.files().iter().map(|file| file.bytes_of(leaves)).sum()
    }

    /// Delete files that touch them, each once.
    pub fn delete_files(&self) -> u64 {
        let deletes = self
            .files()
            .iter()
            .flat_map(|file| file.deletes.iter().chain(file.only.iter().flatten()));
        let paths: HashSet<&str> = deletes.map(|delete| delete.path.as_str()).collect();
        u64::try_from(paths.len()).unwrap_or(u64::MAX)
    }

    /// Rows in the files.
    pub fn rows(&self) -> u64 {
        self.files().iter().map(|file| file.record_count).sum()
    }
}

impl IcebergTable {
    /// At this snapshot, with the columns it was written with; `None` for the newest, with the table's current columns.
    pub(crate) fn new(parts: Arc<Parts>, table: LoadedTable, snapshot: Option<i64>) -> Result<Self> {
        let columns = match snapshot {
            None => table.metadata.current_schema().clone(),
            Some(snapshot_id) => snapshot_columns(&table, snapshot_id)?,
        };
        let pinned = snapshot.or_else(|| table.metadata.current_snapshot_id());
        Self::of(parts, table, Source::Snapshot(pinned), columns)
    }

    /// As the table was at this version.
    pub(crate) fn at(parts: Arc<Parts>, table: LoadedTable, version: Version) -> Result<Self> {
        match version {
            Version::Current => Ok(Self {
                newest: true,
                ..Self::new(parts, table, None)?
            }),
            Version::Snapshot(snapshot_id) => Self::new(parts, table, Some(snapshot_id)),
            Version::Branch(snapshot_id) => {
                let columns = table.metadata.current_schema().clone();
                Self::of(parts, table, Source::Snapshot(Some(snapshot_id)), columns)
            }
        }
    }

    /// Exactly these files, with the table's current columns.
    pub(crate) fn of_files(parts: Arc<Parts>, table: LoadedTable, files: Vec<ScanFile>) -> Result<Self> {
        let columns = table.metadata.current_schema().clone();
        Self::of(parts, table, Source::Files(Arc::new(files.into())), columns)
    }

    fn of(parts: Arc<Parts>, table: LoadedTable, source: Source, columns: Arc<IcebergSchema>) -> Result<Self> {
        let schema = with_mapped_names(to_arrow(&columns)?, &table.metadata)?;
        let scan_schema = hide_names(&schema, &reused_names(&table.metadata));
        Ok(Self {
            parts,
            table,
            source,
            columns,
            schema: schema.into(),
            scan_schema,
            identity: false,
            newest: false,
            under_policy: false,
            bound: false,
        })
    }

    /// The same with two more columns, [`FILE`] and [`POSITION`].
    pub(crate) fn with_identity(mut self) -> Result<Self> {
        self.schema = identity::with_identity(&self.table.name, &self.schema)?.into();
        self.identity = true;
        Ok(self)
    }

    /// The same for somebody who sees a part of its rows: what is known of all of them without reading any is not told, neither to the
    /// optimiser, which answers with it, nor to whoever estimates.
    pub(crate) fn under_policy(mut self) -> Self {
        self.under_policy = true;
        self
    }

    /// The same for somebody whom grants bind, if they do: files in the location of another table are refused.
    pub(crate) fn bound(mut self, bound: bool) -> Self {
        self.bound = bound;
        self
    }

    /// Whether it is read by somebody who sees a part of its rows.
    pub(crate) fn is_under_policy(&self) -> bool {
        self.under_policy
    }

    /// Whether it tells of each row which one it is. The plan of such a scan leaves this process behind [`SentPositions`] only.
    pub fn tells_identity(&self) -> bool {
        self.identity
    }

    /// The table as it was loaded.
    pub fn table(&self) -> &LoadedTable {
        &self.table
    }

    /// The columns, as Iceberg has them.
    pub(crate) fn columns(&self) -> &IcebergSchema {
        &self.columns
    }

    /// The snapshot that is read; `None` for a table without any, or for a list of files.
    pub fn snapshot_id(&self) -> Option<i64> {
        match self.source {
            Source::Snapshot(snapshot) => snapshot,
            Source::Files(_) => None,
        }
    }

    /// What its rows follow from; `None` where that is no snapshot: for a list of files, and for rows with which they are.
    pub fn state(&self) -> Option<TableState> {
        let Source::Snapshot(snapshot_id) = self.source else {
            return None;
        };
        if self.identity {
            return None;
        }
        let metadata = &self.table.metadata;
        let snapshot = snapshot_id.and_then(|id| metadata.snapshot_by_id(id));
        Some(TableState {
            table: metadata.uuid(),
            snapshot_id,
            manifest_list: snapshot.map(|snapshot| snapshot.manifest_list().to_owned()),
            schema_id: self.columns.schema_id(),
            bound: self.bound,
        })
    }

    /// How long after the table has moved on answers of this state may be given, as the table chooses: `None` for not at all, and for
    /// what was asked for by its version, which is meant exactly.
    pub fn max_staleness(&self) -> Option<Duration> {
        let chosen = staleness::chosen(self.table.metadata.properties());
        chosen.filter(|_| self.newest)
    }

    /// The files a scan with these filters reads that ends after so many rows, for a statement of this session.
    pub async fn plan_files(
        &self,
        session: &SessionContext,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<PlannedFiles> {
        let store = store_of(session.state_ref().read().config(), &self.parts.store);
        let mut planned = self.planned(&store, filters).await?;
        planned.count = scan::enough(planned.files(), limit, !filters.is_empty());
        Ok(planned)
    }

    async fn planned(&self, store: &FileStore, filters: &[Expr]) -> Result<PlannedFiles> {
        let snapshot_id = match &self.source {
            Source::Snapshot(Some(snapshot_id)) => *snapshot_id,
            Source::Snapshot(None) => return Ok(PlannedFiles::all(Arc::default(), Some(0))),
            Source::Files(files) => {
                self.require_own(files).await?;
                let total = u64::try_from(files.files().len()).ok();
                return Ok(PlannedFiles::all(Arc::clone(files), total));
            }
        };
        let filter = some_rows(&filters.iter().collect::<Vec<_>>(), &self.columns);
        let listing = Scan::new(store, &self.table.metadata)
            .snapshot(Some(snapshot_id))
            .filter((filter != Predicate::Always).then_some(&filter))
            .listing()
            .await?;
        self.require_own(&listing).await?;
        Ok(PlannedFiles::all(listing, self.files_total(snapshot_id)))
    }

    /// Refuses files of another table to whom grants bind.
    async fn require_own(&self, listing: &Listing) -> Result<()> {
        if !self.bound {
            return Ok(());
        }
        let folders = listing.outside(self.table.metadata.location());
        Ok(require_own(&*self.parts.catalog, &self.table.name, folders).await?)
    }

    /// Bytes of all files of what is read, where that is told without reading manifests. No scan of it reads more.
    pub fn bytes_total(&self) -> Option<u64> {
        match &self.source {
            Source::Snapshot(Some(snapshot_id)) => self.total(*snapshot_id, "total-files-size"),
            Source::Snapshot(None) => Some(0),
            Source::Files(files) => Some(files.files().iter().map(|file| file.size_bytes).sum()),
        }
    }

    /// Rows of all files of what is read, deleted ones among them, told likewise.
    pub(crate) fn rows_total(&self) -> Option<u64> {
        match &self.source {
            _ if self.under_policy => None,
            Source::Snapshot(Some(snapshot_id)) => self.total(*snapshot_id, "total-records"),
            Source::Snapshot(None) => Some(0),
            Source::Files(files) => Some(files.files().iter().map(|file| file.record_count).sum()),
        }
    }

    /// How many values a column at the top level had when they were counted last.
    pub(crate) fn distinct(&self, column: &str) -> Option<u64> {
        if self.under_policy {
            return None;
        }
        let field = self.columns.field_by_name(column)?;
        let counted = self.table.metadata.statistics_iter();
        let of_column = counted.flat_map(|file| file.blob_metadata.iter());
        let newest = of_column
            .filter(|blob| blob.fields == [field.id])
            .max_by_key(|blob| blob.sequence_number)?;
        newest.properties.get(DISTINCT)?.parse().ok()
    }

    fn files_total(&self, snapshot_id: i64) -> Option<u64> {
        self.total(snapshot_id, "total-data-files")
    }

    /// What the summary of a snapshot tells under this name.
    fn total(&self, snapshot_id: i64, name: &str) -> Option<u64> {
        let snapshot = self.table.metadata.snapshot_by_id(snapshot_id)?;
        snapshot.summary().additional_properties.get(name)?.parse().ok()
    }
}

fn snapshot_columns(table: &LoadedTable, snapshot_id: i64) -> Result<Arc<IcebergSchema>> {
    let snapshot = table.metadata.snapshot_by_id(snapshot_id);
    let snapshot = snapshot.ok_or(TableError::SnapshotNotFound { snapshot_id })?;
    // Old writers left the schema out of snapshots.
    let schema = snapshot.schema_id().and_then(|id| table.metadata.schema_by_id(id));
    Ok(schema.unwrap_or_else(|| table.metadata.current_schema()).clone())
}

impl IcebergTable {
    fn scan_of<'a>(
        &'a self,
        session: &'a dyn Session,
        projection: Option<&'a Vec<usize>>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Arc<dyn ExecutionPlan>, DataFusionError>> {
        let scan = async move {
            let store = store_of(session.config(), &self.parts.store);
            let planned = self.planned(&store, filters).await?;
            let lost = &self.table.lost_defaults;
            lost.require_none(&self.columns, planned.files())
                .map_err(EngineError::from)?;
            let request = scan::Request {
                schema: &self.schema,
                table: &self.table.metadata,
                scan_schema: &self.scan_schema,
                columns: &self.columns,
                projection,
                limit,
                filtered: !filters.is_empty(),
                identity: self.identity,
                tells: !self.under_policy,
            };
            scan::plan(session, &store, planned.files(), &request)
        };
        scan.boxed()
    }
}

#[async_trait]
impl TableProvider for IcebergTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        // Files, row groups and pages are pruned; rows are filtered above the scan.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    // What `#[async_trait]` makes of an async function, by hand: the filters may reach every type of a plan (see `opaque`).
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        session: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>, DataFusionError>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        self.scan_of(session, projection, filters, limit)
    }

    async fn insert_into(
        &self,
        session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Ok(insert(self.parts.clone(), session, &self.table, input, op)?)
    }
}

impl fmt::Debug for IcebergTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IcebergTable")
            .field("name", &self.table.name)
            .field("snapshot", &self.snapshot_id())
            .finish_non_exhaustive()
    }
}
