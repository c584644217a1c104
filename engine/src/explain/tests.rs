use datafusion::arrow::array::Int64Array;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use tidewater_table::FileStore;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::reachable::manifests_of;

use super::*;
use crate::testing::{Lake, lines};
use crate::{Class, Judge, Named, PlanRequest, PlanRunner, SessionOptions, TableEstimate};

/// Files of each table.
const FILES: i64 = 4;

/// Two tables of some files on a disk, of which nothing was read yet.
async fn unread(directory: &tempfile::TempDir) -> Lake {
    let mut lake = Lake::at(&format!("file://{}", directory.path().display()));
    let field = || Arc::new(NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)));
    for name in ["gold.one", "gold.other"] {
        let schema = Schema::builder().with_fields([field()]).build();
        lake.create(name, schema.expect("a schema"), None).await;
        for file in 0..FILES {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(file * 10..file * 10 + 10));
            let rows = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
            lake.append(name, rows).await;
        }
    }
    lake.forget_files();
    lake
}

/// What the statement says of itself, as a session of its own asks for it.
async fn explained(lake: &Lake, sql: &str) -> Vec<String> {
    explained_in(lake, lake.session(), sql).await
}

async fn explained_in(lake: &Lake, session: SessionContext, sql: &str) -> Vec<String> {
    let watch = Watch::attach(&lake.engine, &session, sql.starts_with("EXPLAIN ANALYZE"));
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let estimate = lake.engine.estimate(&session, &plan).await.expect("an estimate");
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: None,
    };
    let output = lake.engine.local_runner().run(request).await.expect("a run");
    let output = with_route(output, &Route::local("asked"), &estimate, Some(watch), &[]);
    lines(&output.collect().await.expect("rows"))
}

fn line(told: &[String], kind: &str) -> Option<String> {
    let start = format!("{kind},");
    told.iter()
        .find_map(|line| line.strip_prefix(&start))
        .map(str::to_owned)
}

// Goal: EXPLAIN ANALYZE tells what its own statement met: nothing at hand in a process that has read nothing, all of it the second time,
// each list, manifest and footer once although the statement is planned more than once, and nothing of what another statement reads
// meanwhile. EXPLAIN tells of manifests, and has nothing to tell without a table. Method: the same statement three times, the second time
// beside the same of another table; a store of its own counts the manifests.
#[tokio::test]
async fn explanations_tell_what_was_at_hand() {
    let directory = tempfile::tempdir().expect("a folder");
    let lake = unread(&directory).await;
    let metadata = lake.load("gold.one").await.metadata;
    let snapshot = metadata.current_snapshot().expect("a snapshot");
    let manifests = manifests_of(&FileStore::system(), &metadata, snapshot).await;
    let manifests = manifests.expect("manifests").len();
    assert!(manifests > 0);
    let of = |table: &str| format!("EXPLAIN ANALYZE SELECT id FROM gold.{table}");
    let read = |told: &[String]| {
        let expected = format!("0 kept, {manifests} read; their lists: 0 kept, 1 read");
        assert_eq!(line(told, "manifests"), Some(expected), "{told:#?}");
        assert_eq!(
            line(told, "footers"),
            Some(format!("0 kept, {FILES} read")),
            "{told:#?}"
        );
    };
    let kept = |told: &[String]| {
        let expected = format!("{manifests} kept, 0 read; their lists: 1 kept, 0 read");
        assert_eq!(line(told, "manifests"), Some(expected), "{told:#?}");
        assert_eq!(
            line(told, "footers"),
            Some(format!("{FILES} kept, 0 read")),
            "{told:#?}"
        );
    };
    read(&explained(&lake, &of("one")).await);
    let (one, other) = (of("one"), of("other"));
    let (again, beside) = tokio::join!(explained(&lake, &one), explained(&lake, &other));
    kept(&again);
    read(&beside);
    kept(&explained(&lake, &of("one")).await);
    // Nothing lies on a local disk here but the tables themselves.
    assert_eq!(line(&again, "blocks"), None);
    let planned = explained(&lake, "EXPLAIN SELECT id FROM gold.one").await;
    let expected = format!("{manifests} kept, 0 read; their lists: 1 kept, 0 read");
    assert_eq!(line(&planned, "manifests"), Some(expected), "{planned:#?}");
    assert_eq!(line(&planned, "footers"), None, "{planned:#?}");
    let of_none = explained(&lake, "EXPLAIN ANALYZE SELECT 1").await;
    assert!(line(&of_none, "route").is_some(), "{of_none:#?}");
    assert_eq!((line(&of_none, "manifests"), line(&of_none, "footers")), (None, None));
}

// Goal: the metrics of a scan tell of footers too, which is how executors tell. Method: the plan with metrics of a cold and a warm run.
#[tokio::test]
async fn scans_count_footers() {
    let directory = tempfile::tempdir().expect("a folder");
    let lake = unread(&directory).await;
    for (has, expected) in [("footers_read", FILES), ("footers_read", 0)] {
        let told = lake.lines("EXPLAIN ANALYZE SELECT id FROM gold.one").await.join("\n");
        assert!(told.contains(&format!("{has}={expected}")), "{told}");
        assert!(told.contains("footers_kept="), "{told}");
    }
}

// Goal: people read how much of the files is read. Method: a scan of all of what is in its files, and one of a part.
#[test]
fn files_rows_tell_what_is_read() {
    for (bytes, expected) in [
        (50, "gold.one: 1 of 3 files (2 pruned), 50 bytes, at most 7 rows"),
        (10, "gold.one: 1 of 3 files (2 pruned), 10 of 50 bytes, at most 7 rows"),
    ] {
        let scan = TableEstimate {
            table: "gold.one".parse().expect("a name"),
            snapshot_id: None,
            files: 1,
            files_total: Some(3),
            bytes,
            file_bytes: 50,
            rows: 7,
            delete_files: 0,
        };
        let lines = route_lines(&Route::local("asked"), &ScanEstimate { scans: vec![scan] });
        assert_eq!(lines.last(), Some(&("files".to_owned(), expected.to_owned())));
    }
}

/// Binds whoever it judges, and lets them read everything.
#[derive(Debug)]
struct Everything;

impl Judge for Everything {
    fn may_read(&self, _: &SessionOptions, _: &Named, _: &LogicalPlan) -> Result<()> {
        Ok(())
    }
}

// Goal: whom grants bind is told the names of files and no folder, which may be made of values, by each explanation that tells files, with
// the figures of what ran; others are told whole paths. What a statement writes itself stays, so that nobody learns by it which folders
// there are. Method: each kind of explanation under a judge and without one, of a table in a folder of a name of its own.
#[tokio::test]
async fn whom_grants_bind_is_told_no_folders() {
    let directory = tempfile::tempdir().expect("a folder");
    let lake = unread(&directory).await;
    let folder = directory.path().to_str().expect("a path").trim_start_matches('/');
    let bound = SessionOptions {
        judge: Some(Arc::new(Everything)),
        ..SessionOptions::default()
    };
    for kind in ["", "VERBOSE", "ANALYZE", "ANALYZE VERBOSE"] {
        let sql = format!("EXPLAIN {kind} SELECT id FROM gold.one");
        for (options, whole) in [(SessionOptions::default(), true), (bound.clone(), false)] {
            let session = lake.engine.session(Class::Interactive, &options);
            let told = explained_in(&lake, session, &sql).await.join("\n");
            assert!(told.contains(".parquet"), "{kind}: {told}");
            assert_eq!(told.contains(folder), whole, "{kind}: {told}");
            let ran = kind.starts_with("ANALYZE");
            assert_eq!(
                told.contains(&format!("output_rows={}", FILES * 10)),
                ran,
                "{kind}: {told}"
            );
        }
    }
    let session = lake.engine.session(Class::Interactive, &bound);
    let sql = format!("EXPLAIN VERBOSE SELECT id, '{folder}/x' AS written FROM gold.one");
    let told = explained_in(&lake, session, &sql).await.join("\n");
    assert!(told.contains(&format!("{folder}/x")), "{told}");
}
