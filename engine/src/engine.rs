//! The engine: one per process, shared by everything that plans or runs queries in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, RwLock};

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use tidewater_core::{SharedClock, SharedRng, TableName};
use tidewater_table::{Bound, Catalog, FileStore, LoadedTable, Meant, ScanFile, TableError, WriteOptions};
use tokio::sync::Semaphore;

use crate::codec::Codec;
use crate::error::{EngineError, Result};
use crate::functions::Functions;
use crate::lake::version::Version;
use crate::object_stores::FileStoreRegistry;
use crate::opaque::Opaque;
use crate::pg_catalog;
use crate::planning::Planner;
use crate::provider::IcebergTable;
use crate::runner::LocalRunner;
use crate::session::Plans;
use crate::write::SWEEPS_MAX;

/// Consumers named in the message when memory runs out.
const CONSUMERS_NAMED: std::num::NonZeroUsize = match std::num::NonZeroUsize::new(5) {
    Some(count) => count,
    None => std::num::NonZeroUsize::MIN,
};

/// Memory of one task's open data files, of which every partition of a write is one. A quarter of it they have also where the pool has
/// no room.
const WRITE_BUFFER_BYTES_MAX: u64 = 64 << 20;

/// Rows that are not worth a second thread: as many as come in one batch.
pub const ONE_THREAD_ROWS: u64 = 8_192;

/// What the disk manager calls the directories it makes.
const SPILL_PREFIX: &str = "datafusion-";

/// How much of the machine an engine may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Memory of all running queries together; beyond it they spill, write smaller files, then fail.
    pub memory_bytes: usize,
    /// Where queries spill to. The directory is this engine's alone: what a killed process left in it is removed.
    pub spill_dir: PathBuf,
    /// Disk that spilled data may take.
    pub spill_bytes_max: u64,
    /// Parallelism of a query.
    pub target_partitions: usize,
    /// A statement is not cut if the tables that it reads have no more rows than this together.
    pub one_thread_rows: u64,
    /// Threads that do nothing but plan; 0: statements are planned where they are asked.
    pub planning_threads: usize,
    /// Memory for footers and page indexes of Parquet files.
    pub footer_cache_bytes: usize,
    /// The schema of names that have none.
    pub default_schema: String,
    /// What other engines call the catalog in views that SQL makes, unless a view says it itself.
    pub view_default_catalog: Option<String>,
    /// How data files are written.
    pub write: WriteOptions,
    /// Functions besides the built-in ones.
    pub functions: Functions,
}

impl EngineOptions {
    /// Modest defaults: a fraction of a small machine.
    pub fn new(spill_dir: impl Into<PathBuf>) -> Self {
        Self {
            memory_bytes: 1 << 30,
            spill_dir: spill_dir.into(),
            spill_bytes_max: 64 << 30,
            target_partitions: std::thread::available_parallelism().map_or(2, usize::from),
            one_thread_rows: ONE_THREAD_ROWS,
            planning_threads: 0,
            footer_cache_bytes: 128 << 20,
            default_schema: "gold".into(),
            view_default_catalog: None,
            write: WriteOptions {
                buffered_bytes_max: WRITE_BUFFER_BYTES_MAX,
                ..WriteOptions::default()
            },
            functions: Functions::default(),
        }
    }
}

/// Plans and runs queries over the catalog's tables. Clones share everything.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) parts: Arc<Parts>,
    /// That of the parts, in which the name of what is meant is bound.
    catalog: Arc<dyn Catalog>,
    /// What a command was judged by; none of an engine for everything.
    meant: Option<Arc<Meant>>,
}

/// What tables and sessions need of the engine.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) store: FileStore,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) runtime: Arc<RuntimeEnv>,
    pub(crate) options: EngineOptions,
    /// Tables by namespace as `information_schema` saw them last: DataFusion asks for names where it cannot wait.
    pub(crate) names: RwLock<BTreeMap<String, Vec<String>>>,
    /// What there was when somebody asked last.
    pub(crate) relations: pg_catalog::Known,
    pub(crate) planner: Arc<Planner>,
    /// What is the same of all sessions.
    pub(crate) usual: OnceLock<Opaque<SessionState>>,
    pub(crate) plans: Plans,
    /// Places for looking for what writes left that did not end well.
    pub(crate) sweeps: Arc<Semaphore>,
}

impl Engine {
    /// Makes the memory pool, the spill directory and the caches.
    pub fn open(
        mut options: EngineOptions,
        catalog: Arc<dyn Catalog>,
        store: FileStore,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<Self> {
        if options.target_partitions == 0 || options.memory_bytes == 0 {
            return Err(EngineError::Options {
                reason: "target_partitions and memory_bytes must not be 0".into(),
            });
        }
        prepare_spill_dir(&options.spill_dir)?;
        let planner = Planner::start(options.planning_threads)?;
        for function in pg_catalog::functions() {
            options.functions = options.functions.with_scalar(function);
        }
        options.functions = options.functions.bounded();
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]))
            .with_max_temp_directory_size(options.spill_bytes_max);
        let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), CONSUMERS_NAMED);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .with_metadata_cache_limit(options.footer_cache_bytes)
            .with_object_store_registry(Arc::new(FileStoreRegistry::new(store.clone())))
            .build_arc()?;
        Ok(Self {
            catalog: Arc::clone(&catalog),
            meant: None,
            parts: Arc::new(Parts {
                catalog,
                store,
                clock,
                rng,
                runtime,
                options,
                names: RwLock::default(),
                relations: pg_catalog::Known::default(),
                planner: Arc::new(planner),
                usual: OnceLock::new(),
                plans: Plans::default(),
                sweeps: Arc::new(Semaphore::new(SWEEPS_MAX)),
            }),
        })
    }

    /// The same engine for a command about this: it changes what is meant and nothing else, whatever comes to bear the name before it is
    /// done, at each attempt. What it reads beside is judged by its plans.
    #[must_use]
    pub fn bound(&self, meant: Meant) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            catalog: Arc::new(Bound::new(&self.parts.catalog, meant.clone())),
            meant: Some(Arc::new(meant)),
        }
    }

    /// Refuses a table that is not what is meant: one that was not loaded by [`Self::catalog`].
    pub(crate) fn require_meant(&self, table: &LoadedTable) -> Result<()> {
        if let Some(meant) = &self.meant {
            let is_meant = meant.require(&table.name, table.metadata.uuid());
            is_meant.map_err(TableError::from)?;
        }
        Ok(())
    }

    /// Memory pool, spill directory, caches and object stores of this process; executors run with it too.
    pub fn runtime_env(&self) -> Arc<RuntimeEnv> {
        self.parts.runtime.clone()
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    /// The files.
    pub fn store(&self) -> &FileStore {
        &self.parts.store
    }

    /// The clock.
    pub fn clock(&self) -> &SharedClock {
        &self.parts.clock
    }

    /// The randomness.
    pub fn rng(&self) -> &SharedRng {
        &self.parts.rng
    }

    /// What it was opened with.
    pub fn options(&self) -> &EngineOptions {
        &self.parts.options
    }

    /// Functions that sessions and executors must know.
    pub fn functions(&self) -> &Functions {
        &self.parts.options.functions
    }

    /// A table's newest state.
    pub async fn load(&self, name: &TableName) -> Result<LoadedTable> {
        let loaded = self.catalog.load_table(name).await.map_err(TableError::from)?;
        loaded.ok_or_else(|| EngineError::TableNotFound { table: name.clone() })
    }

    /// The rows of a table at a snapshot (`None`: the newest).
    pub fn provider(&self, table: &LoadedTable, snapshot: Option<i64>) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(IcebergTable::new(
            self.parts.clone(),
            table.clone(),
            snapshot,
        )?))
    }

    /// The rows of exactly these files of a table, with its current columns: what a changelog names.
    pub fn files_provider(&self, table: &LoadedTable, files: Vec<ScanFile>) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(IcebergTable::of_files(
            self.parts.clone(),
            table.clone(),
            files,
        )?))
    }

    /// The rows of exactly these files of a table with its current columns, without those that are deleted, and after them the
    /// columns `_file` and `_pos` that tell which row it is. Plans over it leave this process behind [`crate::SentPositions`] only.
    pub fn rows_provider(&self, table: &LoadedTable, files: Vec<ScanFile>) -> Result<Arc<dyn TableProvider>> {
        let rows = IcebergTable::of_files(self.parts.clone(), table.clone(), files)?;
        Ok(Arc::new(rows.with_identity()?))
    }

    /// The same for all rows of the table as it was loaded, or of one of its branches, whose newest snapshot this is; files that a
    /// condition excludes are not read.
    pub fn all_rows_provider(&self, table: &LoadedTable, branch: Option<i64>) -> Result<Arc<dyn TableProvider>> {
        let version = branch.map_or(Version::Current, Version::Branch);
        let rows = IcebergTable::at(self.parts.clone(), table.clone(), version)?;
        Ok(Arc::new(rows.with_identity()?))
    }

    /// Ships our operators between processes; everything else is left to `inner`. Needed where plans are sent and where
    /// they are received.
    pub fn physical_codec(&self, inner: Arc<dyn PhysicalExtensionCodec>) -> Arc<dyn PhysicalExtensionCodec> {
        Arc::new(Codec::new(inner, self.parts.store.clone()))
    }

    /// Runs plans in this process.
    pub fn local_runner(&self) -> LocalRunner {
        LocalRunner::new(self.parts.clone())
    }
}

/// Makes the directory and removes what processes that were killed left in it.
fn prepare_spill_dir(dir: &Path) -> Result<()> {
    let refused = |error: std::io::Error| EngineError::Options {
        reason: format!("spill directory {}: {error}", dir.display()),
    };
    fs::create_dir_all(dir).map_err(refused)?;
    for entry in fs::read_dir(dir).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        if entry.file_name().to_string_lossy().starts_with(SPILL_PREFIX) {
            fs::remove_dir_all(entry.path()).map_err(refused)?;
        }
    }
    Ok(())
}
