//! `UPDATE`, `DELETE` and `MERGE`: files with rows that change are written anew, or get a file beside them that says which of
//! their rows are gone.

mod once;
mod written;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use tidewater_table::foreign::{folders_outside, require_own};
use tidewater_table::iceberg::spec::FormatVersion;
use tidewater_table::{
    Added, Change, CommitOptions, FileDeletes, LoadedTable, RowMask, Scan, ScanFile, TableError, commit_change,
    write_deletes,
};

use super::condition::Reach;
use super::matched::Matched;
use super::row_sql::{ONCE, REWRITTEN, RowSql, TARGET};
use super::settled::{refuse_volatile, repeats, settled, unsettled};
use super::target::Head;
use super::{ATTEMPTS_MAX, Done, Workshop, give, lost};
use crate::error::{EngineError, Result};
use crate::session::strict::whole;
use crate::session::{KeptHere, SessionOptions};
use crate::sql::{Action, Merge, RowTarget};
use crate::write::drop_files;

/// Snapshot isolation lets others add rows meanwhile; else the rows that were looked at must be all there are.
const SNAPSHOT_ISOLATION: &str = "snapshot";

/// Why a statement stays in the process that was asked: what it is about is evaluated once, and an executor whose work is done anew might
/// come to other rows.
const UNSETTLED: &str = "what it is about hangs on the order in which rows come";

/// How files with changed rows are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// They are written anew.
    CopyOnWrite,
    /// A file beside them says which rows are gone.
    MergeOnRead,
}

/// A statement with the state of the table that it looks at.
pub(super) struct Attempt<'a> {
    shop: &'a Workshop<'a>,
    merge: &'a Merge,
    table: LoadedTable,
    /// Where its rows stand, in the table or in one of its branches.
    head: Head,
    options: SessionOptions,
    sql: RowSql<'a>,
    /// All files of the table, by path.
    files: BTreeMap<String, ScanFile>,
    /// What the time is in all of its queries.
    now_ms: i64,
    /// The rows it is about, written down where they might be others the next time they are asked for.
    once: Option<Arc<dyn TableProvider>>,
}

impl Workshop<'_> {
    /// Carries an `UPDATE`, `DELETE` or `MERGE` out. If others changed the rows it looked at, it looks again.
    pub(super) async fn merge(&self, merge: &Merge) -> Result<Done> {
        let target = self.target(&merge.table, merge.target.as_ref()).await?;
        let mut attempt = 1;
        loop {
            let outcome = match self.attempt(merge, &target).await {
                Ok(mut attempt) => attempt.carry_out().await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if lost(&error) && attempt < ATTEMPTS_MAX => {
                    tracing::info!(table = %target.table, attempt, %error, "rows were changed by others meanwhile");
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Looks at the table as it is now.
    pub(super) async fn attempt<'a>(&'a self, merge: &'a Merge, target: &RowTarget) -> Result<Attempt<'a>> {
        let name = &target.table;
        let reads_texts = self.options.postgres.is_some();
        let table = self.engine.load(name).await?;
        let columns = tidewater_table::schema::to_arrow(table.metadata.current_schema())?;
        let sql = RowSql::new(merge, name.name(), Arc::new(columns))?.reading_texts(reads_texts);
        // Both queries: what they name, they see at one moment.
        let (table, options) = self.at_one_moment(name, &[&sql.counts(), &sql.written(true)]).await?;
        let head = target.head(&table)?;
        Box::pin(self.attempt_at(merge, table, head, options)).await
    }

    /// Looks at the table as it was at the moment of these options.
    pub(super) async fn attempt_at<'a>(
        &'a self,
        merge: &'a Merge,
        table: LoadedTable,
        head: Head,
        options: SessionOptions,
    ) -> Result<Attempt<'a>> {
        let reads_texts = self.options.postgres.is_some();
        let columns = tidewater_table::schema::to_arrow(table.metadata.current_schema())?;
        let sql = RowSql::new(merge, table.name.name(), Arc::new(columns))?.reading_texts(reads_texts);
        let files = Scan::new(self.engine.store(), &table.metadata)
            .snapshot(head.snapshot_id)
            .with_deletes()
            .plan()
            .await?;
        self.require_own(&table, &files).await?;
        Ok(Attempt {
            shop: self,
            merge,
            table,
            head,
            options,
            sql,
            files: files.into_iter().map(|file| (file.path.clone(), file)).collect(),
            now_ms: self.engine.clock().now_ms(),
            once: None,
        })
    }

    /// Refuses to change a table of another one's files to whom grants bind: what is written anew, rows as well as manifests, lies in this
    /// table's location then, and nobody could tell whose it was made of.
    pub(super) async fn require_own(&self, table: &LoadedTable, files: &[ScanFile]) -> Result<()> {
        if self.options.access.is_none() {
            return Ok(());
        }
        let folders = folders_outside(table.metadata.location(), files.iter().flat_map(ScanFile::paths));
        Ok(require_own(&**self.engine.catalog(), &table.name, &folders).await?)
    }
}

impl Attempt<'_> {
    pub(super) async fn carry_out(&mut self) -> Result<Done> {
        if self.of_all_rows() {
            return self.empty_the_table().await;
        }
        let reach = self.reach().await?;
        if let Some(done) = self.delete_whole_files(reach.as_ref()).await? {
            return Ok(done);
        }
        let matched = self.look().await?;
        if matched.rows() == 0 {
            return Ok(Done::rows(0, self.read_at()));
        }
        let change = match self.mode() {
            Mode::CopyOnWrite => self.write_anew(&matched).await,
            Mode::MergeOnRead => self.write_beside(&matched).await,
        }?;
        self.commit(change, matched.rows(), reach).await
    }

    /// What files can tell of the rows it is about.
    pub(super) async fn reach(&self) -> Result<Option<Reach>> {
        let Some(sql) = self.sql.reached() else {
            return Ok(None);
        };
        let session = self.session(Vec::new())?;
        let plan = whole(session.state().optimize(&self.plan(&session, &sql).await?)?)?;
        Reach::of(&plan, self.table.metadata.current_schema())
    }

    /// A `DELETE` whose rows fill whole files needs no look at any row.
    async fn delete_whole_files(&self, reach: Option<&Reach>) -> Result<Option<Done>> {
        let Some(condition) = reach
            .and_then(|reach| reach.same.as_ref())
            .filter(|_| self.only_deletes())
        else {
            return Ok(None);
        };
        let coverage = Scan::new(self.shop.engine.store(), &self.table.metadata)
            .snapshot(self.read_at())
            .filter(Some(condition))
            .coverage()
            .await?;
        if !coverage.part.is_empty() {
            return Ok(None);
        }
        let mut rows = 0;
        for file in &coverage.whole {
            rows += self.rows_of(file).await?;
        }
        if coverage.whole.is_empty() {
            return Ok(Some(Done::rows(0, self.read_at())));
        }
        let change = Change::delete(coverage.whole.into_iter().map(|file| file.path));
        self.commit(change, rows, reach.cloned()).await.map(Some)
    }

    /// The snapshot that was looked at.
    pub(super) fn read_at(&self) -> Option<i64> {
        self.head.snapshot_id
    }

    /// Whether this is the state that it looks at.
    pub(super) fn looks_at(&self, table: &LoadedTable, head: &Head) -> bool {
        let (ours, theirs) = (&self.table.metadata, &table.metadata);
        self.head == *head && ours.uuid() == theirs.uuid() && ours.current_schema_id() == theirs.current_schema_id()
    }

    /// A `DELETE` without a condition needs no look at any row.
    fn of_all_rows(&self) -> bool {
        self.only_deletes() && self.merge.source.is_none() && self.merge.on.is_none()
    }

    fn only_deletes(&self) -> bool {
        matches!(self.merge.clauses.as_slice(), [clause] if matches!(clause.action, Action::Delete) && clause.condition.is_none())
    }

    async fn empty_the_table(&self) -> Result<Done> {
        let mut rows = 0;
        for file in self.files.values() {
            rows += self.rows_of(file).await?;
        }
        match self.files.is_empty() {
            true => Ok(Done::rows(0, self.read_at())),
            false => {
                self.commit(Change::delete(self.files.keys().cloned()), rows, None)
                    .await
            }
        }
    }

    /// The table's live rows in a file.
    async fn rows_of(&self, file: &ScanFile) -> Result<u64> {
        let gone = match FileDeletes::of(file, &self.table.metadata)? {
            Some(deletes) => deletes.mask(self.shop.engine.store()).await?.deleted(file.record_count),
            None => 0,
        };
        Ok(file.record_count.saturating_sub(gone))
    }

    /// What the table asks for. Where it asks for nothing, rows of format 3 stay where they are: its deletes cost readers little.
    fn mode(&self) -> Mode {
        let verb = self.merge.verb.to_lowercase();
        let asked = self.property(&format!("write.{verb}.mode"));
        match (self.table.metadata.format_version(), asked) {
            (FormatVersion::V3, Some("copy-on-write")) => Mode::CopyOnWrite,
            (FormatVersion::V3, _) | (FormatVersion::V2, Some("merge-on-read")) => Mode::MergeOnRead,
            (FormatVersion::V1 | FormatVersion::V2, _) => Mode::CopyOnWrite,
        }
    }

    fn property(&self, key: &str) -> Option<&str> {
        self.table.metadata.properties().get(key).map(String::as_str)
    }

    fn session(&self, rewritten: Vec<ScanFile>) -> Result<SessionContext> {
        let engine = self.shop.engine;
        let all = engine.all_rows_provider(&self.table, self.head.of_branch())?;
        self.session_of(all, engine.rows_provider(&self.table, rewritten)?)
    }

    /// A session whose statements read these rows of the table.
    fn session_of(&self, all: Arc<dyn TableProvider>, anew: Arc<dyn TableProvider>) -> Result<SessionContext> {
        let session = self.shop.session(&self.options);
        let mut tables = vec![(TARGET, all), (REWRITTEN, anew)];
        if let Some(once) = &self.once {
            tables.push((ONCE, Arc::clone(once)));
        }
        give(&session, tables)?;
        Ok(session)
    }

    async fn plan(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        settled(self.shop.engine.plan(session, sql).await?, self.now_ms)
    }

    /// The same of the rows that it is about. The session's plans stay here where these rows do, and where they need not be alike each
    /// time.
    async fn plan_of_rows(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        let plan = self.plan(session, sql).await?;
        if self.once.is_some() || !repeats(&plan, session.state().config_options())? {
            KeptHere::attach(session, UNSETTLED);
        }
        Ok(plan)
    }

    /// Finds out which rows are changed.
    pub(super) async fn look(&mut self) -> Result<Matched> {
        let mut session = self.session(Vec::new())?;
        let mut counts = self.plan(&session, &self.sql.counts()).await?;
        refuse_volatile(&counts, self.merge.verb)?;
        // Whoever may not read what rows become is refused before anything is read, whether or not there is such a row.
        if let (Some(_), Some(values)) = (&self.options.judge, self.sql.values()) {
            drop(self.plan(&session, &values).await?);
        }
        let unsettled = unsettled(&counts, session.state().config_options())?;
        if unsettled > 0 {
            Box::pin(self.write_down(&session, unsettled)).await?;
            session = self.session(Vec::new())?;
            counts = self.plan_of_rows(&session, &self.sql.counts()).await?;
        }
        if let Some(duplicates) = self.sql.duplicates() {
            let plan = self.plan(&session, &duplicates).await?;
            let found = self.shop.run(&session, plan).await?;
            if found.iter().any(|batch| batch.num_rows() > 0) {
                return Err(EngineError::ManyMatches {
                    table: self.table.name.clone(),
                });
            }
        }
        let counted = self.shop.run(&session, counts).await?;
        Matched::read(&counted, &self.merge.clauses, &self.table.name)
    }

    /// Files of which every row goes just leave; the others are written anew.
    pub(super) async fn write_anew(&self, matched: &Matched) -> Result<Change> {
        let (mut removed, mut rewritten, mut kept) = (Vec::new(), Vec::new(), 0);
        for (path, fates) in &matched.files {
            let file = self.file(path)?;
            let rows = self.rows_of(file).await?;
            let stay = rows.checked_sub(fates.updated + fates.deleted);
            kept += stay.ok_or_else(|| self.miscounted(rows, fates.updated + fates.deleted))?;
            removed.push(path.clone());
            if fates.deleted < rows {
                rewritten.push(file.clone());
            }
        }
        let known = kept + matched.updated();
        let added = self.write(rewritten, true, known, matched.inserted).await?;
        Ok(Change::overwrite(removed, added))
    }

    /// Rows that change are said to be gone, and written to new files as they are now.
    async fn write_beside(&self, matched: &Matched) -> Result<Change> {
        let mut added = self
            .write(Vec::new(), false, matched.updated(), matched.inserted)
            .await?;
        let deletes = match self.deletes(matched).await {
            Ok(deletes) => deletes,
            Err(error) => {
                drop_files(self.shop.engine.store(), &added).await;
                return Err(error);
            }
        };
        added.extend(deletes);
        // Data that is added alone is an append, whatever the statement is called.
        let Some(read_at) = self.read_at().filter(|_| !matched.files.is_empty()) else {
            return Ok(Change::append(added));
        };
        Ok(Change::row_delta(read_at, matched.files.keys().cloned(), added))
    }

    async fn deletes(&self, matched: &Matched) -> Result<Vec<Added>> {
        let store = self.shop.engine.store();
        let mut masks: HashMap<&str, RowMask> = HashMap::new();
        // How many rows of each file are to be gone.
        let mut gone: HashMap<&str, u64> = HashMap::new();
        for (path, fates) in &matched.files {
            let before = match FileDeletes::of(self.file(path)?, &self.table.metadata)? {
                Some(deletes) => deletes.mask(store).await?,
                None => RowMask::default(),
            };
            let rows = self.file(path)?.record_count;
            gone.insert(path, before.deleted(rows) + fates.updated + fates.deleted);
            masks.insert(path, before);
        }
        if masks.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session(Vec::new())?;
        let plan = self.plan_of_rows(&session, &self.sql.places()).await?;
        let mut places = 0;
        for batch in self.shop.run(&session, plan).await? {
            let files = cast(batch.column(0), &DataType::Utf8).map_err(DataFusionError::from)?;
            let positions = cast(batch.column(1), &DataType::Int64).map_err(DataFusionError::from)?;
            let (files, positions) = (files.as_string::<i32>(), positions.as_primitive::<Int64Type>());
            let mut by_file: HashMap<&str, Vec<u64>> = HashMap::new();
            for row in 0..files.len() {
                let position = u64::try_from(positions.value(row)).unwrap_or(u64::MAX);
                by_file.entry(files.value(row)).or_default().push(position);
            }
            for (path, positions) in by_file {
                places += positions.len() as u64;
                let mask = masks.get_mut(path).ok_or_else(|| self.miscounted(0, places))?;
                mask.extend_with(positions);
            }
        }
        let wanted = matched.updated() + matched.deleted();
        if places != wanted {
            return Err(self.miscounted(wanted, places));
        }
        let mut deletes = Vec::with_capacity(masks.len());
        for (path, mask) in masks {
            let file = self.file(path)?;
            // A place that was told twice, and one that no row has, would leave a row that was counted.
            let (wanted, found) = (gone.remove(path), mask.deleted(file.record_count));
            if wanted != Some(found) {
                return Err(self.miscounted(wanted.unwrap_or_default(), found));
            }
            deletes.push((file.clone(), mask));
        }
        Ok(write_deletes(store, &self.table.metadata, &deletes).await?)
    }

    /// Commits it on the state that was looked at.
    async fn commit(&self, change: Change, rows: u64, reach: Option<Reach>) -> Result<Done> {
        let engine = self.shop.engine;
        let verb = self.merge.verb.to_lowercase();
        let isolation = self.property(&format!("write.{verb}.isolation-level"));
        let added = change.added.clone();
        let mut change = self
            .head
            .takes(change)
            .read_at(self.read_at())
            .of_table(self.table.metadata.uuid())
            .of_schema(self.table.metadata.current_schema())
            .of_job(self.shop.job());
        if isolation != Some(SNAPSHOT_ISOLATION) {
            change = match reach {
                Some(reach) => change.forbid_new_rows_of(reach.some),
                None => change.forbid_new_rows(),
            };
        }
        if self.rows_get_ids() {
            change = change.exact_head();
        }
        let catalog = engine.catalog().as_ref();
        let options = CommitOptions::default();
        match commit_change(catalog, engine.store(), &self.table.name, &change, &options).await {
            Ok(committed) => Ok(Done::rows(rows, Some(committed.snapshot_id))),
            // It may be in the table: the files stay.
            Err(error @ TableError::UnknownOutcome { .. }) => Err(error.into()),
            Err(error) => {
                drop_files(engine.store(), &added).await;
                Err(error.into())
            }
        }
    }

    /// Whether rows that it looks at have yet to be given ids: they must not be written when somebody gives them meanwhile.
    pub(super) fn rows_get_ids(&self) -> bool {
        let of_v3 = self.table.metadata.format_version() == FormatVersion::V3;
        of_v3 && self.files.values().any(|file| file.first_row_id().is_none())
    }

    fn file(&self, path: &str) -> Result<&ScanFile> {
        self.files.get(path).ok_or_else(|| EngineError::WriteAnswer {
            reason: format!("{path} is no file of {}", self.table.name),
        })
    }

    fn miscounted(&self, before: u64, after: u64) -> EngineError {
        EngineError::RowsLost {
            table: self.table.name.clone(),
            before,
            after,
        }
    }
}
