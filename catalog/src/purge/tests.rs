//! Purges and drops of namespaces against a file store and a log that fail at every step.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, NestedField, PrimitiveType, Schema, Struct, Type,
};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Resting, Sort};
use crate::command::{
    Command, DropJobProblem, DropOp, DropTerms, Expect, Ident, JobPhase, Op, Outcome, Pointer, PurgeProgress, Refusal,
    TableChange,
};
use crate::error::{CatalogError, Result};
use crate::memory::MemoryConsensus;
use crate::raft::{Applied, Consensus, ConsensusError, Fence, Leadership, MemberChange, Status};
use crate::service::{Service, Ticket};
use crate::state::State;
use crate::store::MetadataStore;
use crate::{CatalogOptions, CatalogServer, Warehouse};
use tidewater_core::{ManualClock, NodeId, SeededRng, Tasks};
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{Added, Catalog, Change, CommitOptions, FileStore, LoadedTable, NewTable, commit_change};

const JOB: Uuid = Uuid::from_u128(77);
const PLACE: &str = "memory:///lake/a/t";

/// Deletes and log entries that still go through; the process is dead after them.
#[derive(Debug)]
struct Power {
    left: AtomicI64,
    ran_out: AtomicBool,
}

impl Power {
    fn spend(&self) -> bool {
        let on = self.left.fetch_sub(1, Relaxed) > 0;
        self.ran_out.fetch_or(!on, Relaxed);
        on
    }
}

#[derive(Debug)]
struct Files(FileStore, Arc<Power>);

#[async_trait]
impl MetadataStore for Files {
    async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        MetadataStore::put_new(&self.0, location, bytes).await
    }

    async fn get(&self, location: &str) -> Result<Option<Bytes>> {
        MetadataStore::get(&self.0, location).await
    }

    async fn exists(&self, location: &str) -> Result<bool> {
        MetadataStore::exists(&self.0, location).await
    }

    async fn delete(&self, location: &str) -> Result<()> {
        if !self.1.spend() {
            return Err(CatalogError::Store {
                action: "delete",
                location: location.to_owned(),
                source: "planted".into(),
            });
        }
        MetadataStore::delete(&self.0, location).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        MetadataStore::list(&self.0, folder).await
    }

    fn files(&self) -> Option<&FileStore> {
        Some(&self.0)
    }
}

/// The write that fails first is applied when its answer only is lost.
#[derive(Debug)]
struct Log {
    inner: Arc<MemoryConsensus>,
    power: Arc<Power>,
    applies: bool,
}

#[async_trait]
impl Consensus for Log {
    async fn write(&self, command: Command) -> Result<Outcome, ConsensusError> {
        let first = !self.power.ran_out.load(Relaxed);
        if self.power.spend() {
            return self.inner.write(command).await;
        }
        if first && self.applies {
            self.inner.write(command).await?;
        }
        Err(ConsensusError::OutcomeUnknown {
            reason: "planted".into(),
        })
    }

    async fn barrier(&self) -> Result<(), ConsensusError> {
        self.inner.barrier().await
    }

    fn state(&self) -> Applied {
        self.inner.state()
    }

    async fn wait_applied(&self, index: u64, deadline: Duration) -> u64 {
        self.inner.wait_applied(index, deadline).await
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    async fn change_members(&self, change: MemberChange) -> Result<(), ConsensusError> {
        self.inner.change_members(change).await
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

/// A catalog over files in memory, whose nodes come and go.
struct Lake {
    files: FileStore,
    tables: MemoryCatalog,
    log: Arc<MemoryConsensus>,
    clock: Arc<ManualClock>,
}

impl Lake {
    async fn new() -> Self {
        let files = FileStore::system();
        let lake = Self {
            tables: MemoryCatalog::new(files.clone(), "memory:///lake"),
            files,
            log: MemoryConsensus::shared(),
            clock: Arc::new(ManualClock::new(1_000)),
        };
        let op = Op::CreateNamespace {
            namespace: vec!["a".into()],
            properties: Default::default(),
        };
        lake.apply(op).await;
        lake
    }

    async fn apply(&self, op: Op) -> Outcome {
        let at_ms = tidewater_core::Clock::now_ms(&*self.clock);
        self.log.write(Command::new(at_ms, op)).await.expect("it leads")
    }

    fn state(&self) -> State {
        self.log.state().state
    }

    /// A node that dies after so many steps.
    fn node(&self, steps: i64, applies: bool) -> (CatalogServer, Arc<Power>) {
        let power = Arc::new(Power {
            left: AtomicI64::new(steps),
            ran_out: AtomicBool::new(false),
        });
        let log = Log {
            inner: Arc::clone(&self.log),
            power: Arc::clone(&power),
            applies,
        };
        let options = CatalogOptions::new(
            Arc::new(log),
            Arc::new(Files(self.files.clone(), Arc::clone(&power))),
            Warehouse::new("lake", "memory:///lake").expect("a good location"),
            Arc::clone(&self.clock) as _,
            Arc::new(SeededRng::new(1)),
            Tasks::new("test"),
        );
        (CatalogServer::new(options), power)
    }

    fn new_reign(&self) {
        self.log.follow(None);
        self.log.follow_self();
    }

    /// A node that lives does all there is to do.
    async fn work(&self, sort: Sort) {
        let (node, _) = self.node(i64::MAX, false);
        node.service().work_on_drops(sort, &mut Resting::new()).await;
    }

    /// Makes a table at `place` and appends the files, one commit each, those that are not there yet with them.
    async fn table(&self, name: &str, place: &str, content: &[&str]) -> LoadedTable {
        let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
        let schema = Schema::builder()
            .with_fields([Arc::new(field)])
            .build()
            .expect("a schema");
        let mut new = NewTable::new(format!("a.{name}").parse().expect("a name"), schema);
        new.location = Some(place.to_owned());
        let mut table = self.tables.create_table(new).await.expect("a new table");
        for path in content {
            if !MetadataStore::exists(&self.files, path).await.expect("an answer") {
                self.put(path).await;
            }
            let file = DataFileBuilder::default()
                .content(DataContentType::Data)
                .file_path((*path).to_owned())
                .file_format(DataFileFormat::Parquet)
                .partition(Struct::empty())
                .partition_spec_id(0)
                .record_count(1)
                .file_size_in_bytes(1)
                .build()
                .expect("a data file");
            let change = Change::append(vec![Added::new(file, 0)]);
            let options = CommitOptions::default();
            let done = commit_change(&self.tables, &self.files, &table.name, &change, &options).await;
            table = done.expect("a commit").table;
        }
        let change = TableChange {
            table: ident(name),
            expect: Expect::Absent {
                id: table.metadata.uuid(),
            },
            pointer: Pointer {
                uuid: table.metadata.uuid(),
                location: place.to_owned(),
                metadata_location: table.metadata_location.clone(),
                snapshot_id: table.metadata.current_snapshot_id(),
            },
        };
        let made = self.apply(Op::Commit { changes: vec![change] }).await;
        assert!(matches!(made, Outcome::Committed(_)), "{made:?}");
        table
    }

    async fn put(&self, path: &str) {
        MetadataStore::put_new(&self.files, path, Bytes::from_static(b"x"))
            .await
            .expect("a new file");
    }

    async fn stored(&self) -> BTreeSet<String> {
        let files = MetadataStore::list(&self.files, "memory:///").await.expect("a list");
        files.into_iter().collect()
    }

    async fn drop_table(&self, name: &str, keep_ms: u64) -> Outcome {
        self.apply(Op::Drop(DropOp::Table {
            table: ident(name),
            id: None,
            job: JOB,
            terms: DropTerms { keep_ms, purge: true },
        }))
        .await
    }

    async fn undrop(&self, name: &str, to: &str) -> Outcome {
        let (table, to) = (ident(name), ident(to));
        self.apply(Op::Drop(DropOp::Undrop { table, id: None, to })).await
    }

    fn phase(&self) -> Option<JobPhase> {
        self.state().drop_job(JOB).map(|job| job.phase)
    }
}

fn ident(name: &str) -> Ident {
    Ident {
        namespace: vec!["a".into()],
        name: name.into(),
    }
}

// Goal: wherever a purge is killed, in the end exactly the table's own files are gone. Method: a table that also names a neighbour's file and one outside
// of the warehouse, beside an orphan; death after each number of steps, with the last entry lost or applied; then a new reign.
#[tokio::test]
async fn a_purge_survives_death_at_every_step() {
    for applies in [false, true] {
        let mut steps = 0;
        loop {
            let lake = Lake::new().await;
            let own = ["1", "2", "3", "4", "5"].map(|name| format!("{PLACE}/data/{name}.parquet"));
            lake.table("u", "memory:///lake/a/u", &["memory:///lake/a/u/data/1.parquet"])
                .await;
            lake.put(&format!("{PLACE}/data/orphan")).await;
            lake.put("memory:///elsewhere/x").await;
            lake.put("memory:///lake/a/t2/x").await;
            let kept = lake.stored().await;
            let mut content: Vec<&str> = own.iter().map(String::as_str).collect();
            content.extend([
                "memory:///lake/a/u/data/1.parquet",
                "memory:///elsewhere/x",
                "memory:///lake/a/t2/x",
            ]);
            lake.table("t", PLACE, &content).await;
            lake.drop_table("t", 0).await;
            let (node, power) = lake.node(steps, applies);
            node.service().work_on_drops(Sort::Tables, &mut Resting::new()).await;
            let died = power.ran_out.load(Relaxed);
            if died {
                lake.new_reign();
                lake.work(Sort::Tables).await;
            }
            assert_eq!(lake.stored().await, kept, "killed after {steps} steps");
            assert_eq!(lake.phase(), Some(JobPhase::Succeeded), "killed after {steps} steps");
            assert_eq!(lake.state().dropped_count(), 0);
            if !died {
                break;
            }
            steps += 1;
        }
        assert!(steps > 20, "the fault came {steps} times only");
    }
}

// Goal: a table that is made at the place of a purged one keeps all its files, those it took over included. Method: the same name and location before
// the purge begins, with one old file added; and the old metadata file registered again while the purge is at work.
#[tokio::test]
async fn a_table_at_the_same_place_keeps_its_files() {
    let lake = Lake::new().await;
    let (one, two, new) = (
        format!("{PLACE}/1.parquet"),
        format!("{PLACE}/2.parquet"),
        format!("{PLACE}/3.parquet"),
    );
    let old = lake.table("t", PLACE, &[&one, &two]).await;
    lake.drop_table("t", 0).await;
    lake.tables.drop_table(&old.name, true).await.expect("it is there");
    let before = lake.stored().await;
    lake.table("t", PLACE, &[&new, &two]).await;
    let mut kept: BTreeSet<String> = lake.stored().await.difference(&before).cloned().collect();
    kept.extend(before.iter().filter(|path| path.ends_with("2.parquet")).cloned());
    let fence = Fence {
        term: 1,
        node: NodeId(1),
    };
    lake.apply(Op::Drop(DropOp::Claim { job: JOB, fence })).await;
    let again = TableChange {
        table: ident("again"),
        expect: Expect::Absent { id: Uuid::from_u128(9) },
        pointer: Pointer {
            uuid: old.metadata.uuid(),
            location: PLACE.into(),
            metadata_location: old.metadata_location.clone(),
            snapshot_id: None,
        },
    };
    let refused = lake.apply(Op::Commit { changes: vec![again] }).await;
    assert!(matches!(refused, Outcome::Refused(_)), "{refused:?}");
    lake.work(Sort::Tables).await;
    assert_eq!(lake.phase(), Some(JobPhase::Succeeded));
    assert_eq!(lake.stored().await, kept);
}

// Goal: a drop can be taken back until its time is over, and then not; a purge that has begun is not cancelled. Method: a clock that is moved by hand.
#[tokio::test]
async fn a_drop_can_be_taken_back_in_time() {
    let lake = Lake::new().await;
    lake.table("t", PLACE, &["memory:///lake/a/t/1.parquet"]).await;
    let all = lake.stored().await;
    lake.drop_table("t", 500).await;
    lake.work(Sort::Tables).await;
    assert_eq!(
        (lake.phase(), lake.stored().await),
        (Some(JobPhase::Queued), all.clone())
    );
    assert!(matches!(lake.undrop("t", "back").await, Outcome::Committed(_)));
    assert_eq!(lake.phase(), Some(JobPhase::Cancelled));
    lake.clock.advance(Duration::from_secs(5));
    lake.work(Sort::Tables).await;
    assert_eq!(lake.stored().await, all);
    let again = lake.apply(Op::Drop(DropOp::Table {
        table: ident("back"),
        id: None,
        job: Uuid::from_u128(78),
        terms: DropTerms {
            keep_ms: 500,
            purge: true,
        },
    }));
    again.await;
    lake.clock.advance(Duration::from_millis(500));
    let fence = Fence {
        term: 1,
        node: NodeId(1),
    };
    let job = Uuid::from_u128(78);
    assert_eq!(lake.apply(Op::Drop(DropOp::Claim { job, fence })).await, Outcome::Done);
    let refused = lake.undrop("back", "back").await;
    assert_eq!(refused, Outcome::Refused(Refusal::PurgeBegun(ident("back"))));
    lake.work(Sort::Tables).await;
    assert!(lake.stored().await.is_empty());
    let refused = lake.undrop("back", "back").await;
    assert_eq!(refused, Outcome::Refused(Refusal::NotDropped(ident("back"))));
}

// Goal: a worker of an earlier reign can report nothing once a later one has claimed its job. Method: claim under two terms, report under both.
#[tokio::test]
async fn a_stale_worker_is_fenced() {
    let lake = Lake::new().await;
    lake.table("t", PLACE, &["memory:///lake/a/t/1.parquet"]).await;
    lake.drop_table("t", 0).await;
    let fence = |term| Fence { term, node: NodeId(1) };
    let claim = |term| {
        Op::Drop(DropOp::Claim {
            job: JOB,
            fence: fence(term),
        })
    };
    let tell = |term| {
        Op::Drop(DropOp::Progress {
            job: JOB,
            fence: fence(term),
            progress: PurgeProgress::default(),
        })
    };
    let fenced = Outcome::Refused(Refusal::DropJob {
        job: JOB,
        problem: DropJobProblem::Fenced,
    });
    assert_eq!(lake.apply(claim(1)).await, Outcome::Done);
    assert_eq!(lake.apply(tell(1)).await, Outcome::Done);
    assert_eq!(lake.apply(claim(2)).await, Outcome::Done);
    assert_eq!(lake.apply(tell(1)).await, fenced);
    assert_eq!(lake.apply(claim(1)).await, fenced);
    let before = lake.stored().await;
    // The node still believes in its first term.
    lake.work(Sort::Tables).await;
    assert_eq!((lake.phase(), lake.stored().await), (Some(JobPhase::Running), before));
    lake.new_reign();
    lake.new_reign();
    lake.work(Sort::Tables).await;
    assert_eq!(lake.phase(), Some(JobPhase::Succeeded));
}

// Goal: a namespace goes with all it holds, in bounded steps, also when the worker dies between them; look-alikes stay. Method: more tables than a step
// takes, a view and nested namespaces; death after each number of steps.
#[tokio::test]
async fn a_namespace_goes_with_all_it_holds() {
    for steps in 0..6 {
        let lake = Lake::new().await;
        for levels in [&["a", "x"][..], &["a", "x", "y"], &["ab"]] {
            let namespace = levels.iter().map(|level| (*level).to_owned()).collect();
            let properties = Default::default();
            lake.apply(Op::CreateNamespace { namespace, properties }).await;
        }
        let change = |levels: &[&str], number: u128| TableChange {
            table: Ident {
                namespace: levels.iter().map(|level| (*level).to_owned()).collect(),
                name: format!("t{number}"),
            },
            expect: Expect::Absent {
                id: Uuid::from_u128(number),
            },
            pointer: Pointer {
                uuid: Uuid::from_u128(number),
                location: format!("memory:///lake/{number}"),
                metadata_location: format!("memory:///lake/{number}/x.metadata.json"),
                snapshot_id: None,
            },
        };
        let mut changes: Vec<TableChange> = (1..=150).map(|number| change(&["a"], number)).collect();
        changes.extend((151..=230).map(|number| change(&["a", "x", "y"], number)));
        changes.push(change(&["ab"], 300));
        assert!(matches!(
            lake.apply(Op::Commit { changes }).await,
            Outcome::Committed(_)
        ));
        let view = change(&["a", "x"], 400);
        assert!(matches!(
            lake.apply(Op::CommitView { change: view }).await,
            Outcome::Committed(_)
        ));
        let begin = |job| {
            Op::Drop(DropOp::Namespace {
                namespace: vec!["a".into()],
                job,
                terms: DropTerms {
                    keep_ms: 1_000,
                    purge: false,
                },
            })
        };
        assert_eq!(lake.apply(begin(JOB)).await, Outcome::DropJob { id: JOB });
        let again = lake.apply(begin(Uuid::from_u128(5))).await;
        assert_eq!(again, Outcome::DropJob { id: JOB }, "one job for one namespace");
        let (node, power) = lake.node(steps, steps % 2 == 1);
        node.service()
            .work_on_drops(Sort::Namespaces, &mut Resting::new())
            .await;
        assert_eq!(power.ran_out.load(Relaxed), steps < 4, "{steps}");
        lake.new_reign();
        lake.work(Sort::Namespaces).await;
        assert_eq!(lake.phase(), Some(JobPhase::Succeeded), "{steps}");
        let state = lake.state();
        assert_eq!(
            (state.namespaces_count(), state.tables_count(), state.views_count()),
            (1, 1, 0)
        );
        assert_eq!(state.dropped_count(), 230);
        lake.clock.advance(Duration::from_secs(2));
        for _ in 0..3 {
            lake.apply(Op::AllocateNode).await;
        }
        assert_eq!(lake.state().dropped_count(), 0, "forgotten when their time is over");
    }
}

/// Bytes of a metadata file, changed.
type Changed<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// What is left of a purge that begins after this happened to a table's metadata file.
async fn purged_after(change: Option<Changed<'_>>, told: &str) -> Lake {
    let lake = Lake::new().await;
    let table = lake.table("t", PLACE, &["memory:///lake/a/t/1.parquet"]).await;
    lake.drop_table("t", 0).await;
    let location = &table.metadata_location;
    let good = MetadataStore::get(&lake.files, location).await.expect("an answer");
    MetadataStore::delete(&lake.files, location).await.expect("deleted");
    if let Some(change) = change {
        let bad = change(&good.expect("a file"));
        let written = MetadataStore::put_new(&lake.files, location, bad.into()).await;
        written.expect("written");
    }
    let before = lake.stored().await;
    lake.work(Sort::Tables).await;
    assert_eq!((lake.phase(), lake.stored().await), (Some(JobPhase::Failed), before));
    let state = lake.state();
    let problem = state.drop_job(JOB).and_then(|job| job.problem.clone());
    let problem = problem.expect("a problem");
    assert!(problem.contains(told), "{problem}");
    lake
}

// Goal: a damaged table is told as a failed job, and nothing of it is deleted. Method: its metadata file is gone before the purge, or has a
// blank more, which any parser takes.
#[tokio::test]
async fn a_purge_that_cannot_know_deletes_nothing() {
    let longer = |good: &[u8]| [good, b" "].concat();
    purged_after(Some(&longer), "not those that were written").await;
    let lake = purged_after(None, "is gone").await;
    let (node, _) = lake.node(1, false);
    let service: &Service = node.service();
    let op = Op::Drop(DropOp::Undrop {
        table: ident("t"),
        id: None,
        to: ident("t"),
    });
    let refused = service.propose(&Ticket::default(), op).await;
    assert!(matches!(refused, Err(CatalogError::NotDropped { .. })), "{refused:?}");
}
