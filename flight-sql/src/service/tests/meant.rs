//! That a command changes what it was judged by, and nothing that came to bear the name meanwhile.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream;
use tidewater_engine::{
    BulkLoad, Command, Done, IfExists, LocalRunner, Made, PlanOutput, PlanRequest, PlanRunner, Workshop,
};

use super::judged::{ana, done, furnish, granted, lake, root};
use super::makers::governed;
use super::*;
use crate::service::authorise::{About, Verdict};

/// What is done to a table.
const OF_TABLES: &[&str] = &[
    "INSERT INTO mine.t VALUES (9, 'x')",
    "INSERT INTO mine.t SELECT id + 1, v FROM mine.t",
    "INSERT OVERWRITE mine.t SELECT 9, 'x'",
    "INSERT OVERWRITE mine.t PARTITION (id = 1) (v) VALUES ('x')",
    "INSERT INTO mine.t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'",
    "INSERT INTO mine.t VALUES (1, 'x') ON CONFLICT (id) DO NOTHING",
    "UPDATE mine.t SET v = 'x'",
    "UPDATE mine.t SET v = 'x' WHERE id = 77",
    "DELETE FROM mine.t",
    "DELETE FROM mine.t WHERE id = 77",
    "TRUNCATE TABLE mine.t",
    "MERGE INTO mine.t AS t USING (SELECT 9 AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'x')",
    "ALTER TABLE mine.t ADD COLUMN x bigint",
    "ALTER TABLE IF EXISTS mine.t ADD COLUMN x bigint",
    "ALTER TABLE mine.t SET TBLPROPERTIES ('a' = '1')",
    "ALTER TABLE mine.t CREATE BRANCH audit",
    "ALTER TABLE mine.t RENAME TO other",
    "COMMENT ON TABLE mine.t IS 'x'",
    "COMMENT ON COLUMN mine.t.v IS 'x'",
    "DROP TABLE mine.t",
    "DROP TABLE IF EXISTS mine.t PURGE",
    "CALL system.rewrite_data_files(table => 'mine.t')",
    "CALL system.expire_snapshots('mine.t')",
    "CALL system.compute_table_stats('mine.t')",
    "CALL system.ancestors_of('mine.t')",
    "CREATE OR REPLACE TABLE mine.t (id bigint)",
    "CREATE OR REPLACE TABLE mine.t AS SELECT CAST(9 AS bigint) AS id",
];

/// What is done to a view.
const OF_VIEWS: &[&str] = &[
    "CREATE OR REPLACE VIEW mine.vx AS SELECT 2 AS id",
    "ALTER VIEW mine.vx AS SELECT 2 AS id",
    "ALTER VIEW mine.vx SET TBLPROPERTIES ('a' = '1')",
    "ALTER VIEW mine.vx RENAME TO vy",
    "DROP VIEW mine.vx",
    "DROP VIEW IF EXISTS mine.vx",
];

fn options_of(service: &QueryService, principal: &Principal) -> SessionOptions {
    let options = service.seen_by(principal, SessionOptions::default());
    options.expect("they are let in")
}

/// A command that was judged, with the engine that carries it out.
async fn judged(service: &QueryService, options: &SessionOptions, sql: &str) -> (Engine, Command) {
    let command = service.command(&Statement::new(sql), options);
    let mut command = command.expect(sql).expect("a command");
    let settled = Box::pin(service.0.engine.settle(options, &mut command)).await;
    settled.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    match service.may_change(&ana(), options, &command).await {
        Ok(Verdict::Goes(about)) => {
            let engine = about.bind(&service.0.engine, &mut command);
            (engine, command)
        }
        told => panic!("{sql}: {told:?}"),
    }
}

async fn carried_out(
    service: &QueryService,
    engine: &Engine,
    options: &SessionOptions,
    command: &Command,
) -> Result<Done, QueryError> {
    let shop = Workshop {
        engine,
        runner: service.0.runner.as_ref(),
        options,
        deadline: None,
    };
    Ok(Box::pin(shop.execute(command)).await?)
}

async fn rename(engine: &Engine, from: &str, to: &str) {
    let (from, to) = (from.parse().expect("a name"), to.parse().expect("a name"));
    let renamed = engine.catalog().rename_table(&from, &to).await;
    renamed.expect("it is there, and the name is free");
}

/// The names of `ana`'s table and view become those of others.
async fn swap(service: &QueryService) {
    rename(&service.0.engine, "mine.t", "mine.x").await;
    rename(&service.0.engine, "hr.secret", "mine.t").await;
    for sql in [
        "ALTER VIEW mine.vx RENAME TO vz",
        "CREATE VIEW mine.vx AS SELECT CAST(5 AS bigint) AS id",
    ] {
        done(service, sql).await;
    }
}

/// What bears a name, and how it stands.
async fn stands(service: &QueryService, name: &str) -> Option<String> {
    let name = name.parse().expect("a name");
    let catalog = service.0.engine.catalog();
    if let Some(table) = catalog.load_table(&name).await.expect("an answer") {
        return Some(table.metadata_location);
    }
    let view = catalog.load_view(&name).await.expect("an answer")?;
    Some(format!("{} {} {:?}", view.uuid, view.version_id, view.properties))
}

/// All that might have been meant.
async fn all_stand(service: &QueryService) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for name in ["mine.t", "mine.x", "mine.vx", "mine.vz"] {
        all.push(stands(service, name).await);
    }
    all
}

// Goal: no command does anything to a table or view that came to bear its name after it was judged, and each one goes through where none did.
// Method: each kind of command is judged, the names are given to others, and it is carried out.
#[tokio::test]
async fn a_name_that_is_anothers_by_now_is_left_alone() {
    for sql in OF_TABLES.iter().chain(OF_VIEWS) {
        for swapped in [false, true] {
            let (_lake, service) = lake().await;
            let options = options_of(&service, &ana());
            let (engine, command) = judged(&service, &options, sql).await;
            if !swapped {
                let done = carried_out(&service, &engine, &options, &command).await;
                done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
                continue;
            }
            swap(&service).await;
            let before = all_stand(&service).await;
            assert!(before.iter().all(Option::is_some), "{before:?}");
            let told = carried_out(&service, &engine, &options, &command).await;
            let error = told.expect_err(sql);
            assert_eq!(error.code(), "TBL-0040", "{sql}: {}", error.chain());
            assert_eq!(error.kind(), ErrorKind::Conflict, "{sql}");
            assert_eq!(all_stand(&service).await, before, "{sql}");
        }
    }
}

// Goal: a command that others make run anew is about the same table at each attempt. Method: while the first plan of a command runs, its table
// gets another name and another table its own; the command goes the way of every client.
#[tokio::test]
async fn each_attempt_is_about_the_same_table() {
    for sql in [
        "INSERT INTO mine.t SELECT 9, 'x'",
        "INSERT OVERWRITE mine.t SELECT 9, 'x'",
        "INSERT INTO mine.t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'",
        "UPDATE mine.t SET v = 'x' WHERE id > 0",
        "MERGE INTO mine.t AS t USING (SELECT 9 AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'x')",
        "CREATE OR REPLACE TABLE mine.t AS SELECT CAST(9 AS bigint) AS id",
    ] {
        let (lake, mut service, _) = governed(granted()).await;
        let amid = Arc::new(Amid {
            engine: lake.engine().clone(),
            runner: lake.engine().local_runner(),
            renames: Mutex::default(),
        });
        Arc::get_mut(&mut service.0).expect("nobody shares it yet").runner = amid.clone();
        furnish(&service).await;
        let before = (stands(&service, "mine.t").await, stands(&service, "hr.secret").await);
        *amid.renames.lock().unwrap_or_else(PoisonError::into_inner) =
            vec![("mine.t", "mine.x"), ("hr.secret", "mine.t")];
        let told = service.change(&ana(), &Statement::new(sql)).await.map(|_| ());
        let error = told.expect_err(sql);
        assert_eq!(error.code(), "TBL-0040", "{sql}: {}", error.chain());
        let after = (stands(&service, "mine.x").await, stands(&service, "mine.t").await);
        assert_eq!(after, before, "{sql}");
    }
}

/// Runs plans, and before the first of them gives tables other names.
#[derive(Debug)]
struct Amid {
    engine: Engine,
    runner: LocalRunner,
    renames: Mutex<Vec<(&'static str, &'static str)>>,
}

impl PlanRunner for Amid {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        async move {
            let renames = {
                let mut renames = self.renames.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *renames)
            };
            for (from, to) in renames {
                rename(&self.engine, from, to).await;
            }
            self.runner.run(request).await
        }
        .boxed()
    }
}

// Goal: what was judged as something new is made, and takes the place of nothing that somebody else made meanwhile. Method: statements that
// replace what is there, of a name that is free, and of one that becomes a table's or a view's after they were judged.
#[tokio::test]
async fn what_is_new_replaces_nothing() {
    for sql in [
        "CREATE OR REPLACE TABLE mine.fresh (id bigint)",
        "CREATE OR REPLACE TABLE mine.fresh AS SELECT CAST(9 AS bigint) AS id",
        "CREATE OR REPLACE VIEW mine.fresh AS SELECT CAST(9 AS bigint) AS id",
    ] {
        for other in [
            None,
            Some("CREATE TABLE mine.fresh AS SELECT CAST(5 AS bigint) AS id"),
            Some("CREATE VIEW mine.fresh AS SELECT CAST(5 AS bigint) AS id"),
        ] {
            let (_lake, service) = lake().await;
            let options = options_of(&service, &ana());
            let (engine, command) = judged(&service, &options, sql).await;
            let Some(other) = other else {
                let done = carried_out(&service, &engine, &options, &command).await;
                let done = done.unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
                assert!(matches!(done.made, Some(Made::Object(_))), "{sql}: {done:?}");
                continue;
            };
            done(&service, other).await;
            let before = stands(&service, "mine.fresh").await;
            assert!(before.is_some(), "{other}");
            let told = carried_out(&service, &engine, &options, &command).await;
            let error = told.expect_err(sql);
            assert_eq!(error.code(), "TBL-0031", "{sql}, {other}: {}", error.chain());
            assert_eq!(stands(&service, "mine.fresh").await, before, "{sql}, {other}");
        }
    }
}

// Goal: rows that a client brings go to the table that was judged, and those of a table that is to be made to no other one. Method: loads of
// each kind, whose table's name is another's after they were judged, and whose table somebody else made meanwhile.
#[tokio::test]
async fn rows_go_to_the_table_that_was_judged() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let batch = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
    for (table, create, if_exists, code) in [
        ("mine.t", false, IfExists::Append, "TBL-0040"),
        ("mine.t", false, IfExists::Replace, "TBL-0040"),
        ("mine.t", true, IfExists::Append, "TBL-0040"),
        ("mine.t", true, IfExists::Replace, "TBL-0040"),
        ("mine.fresh", true, IfExists::Append, "TBL-0031"),
        ("mine.fresh", true, IfExists::Replace, "TBL-0031"),
    ] {
        for raced in [false, true] {
            let (_lake, service) = lake().await;
            let options = options_of(&service, &ana());
            let mut load = BulkLoad {
                table: table.parse().expect("a name"),
                schema: batch.schema(),
                create,
                if_exists,
            };
            let about = service.may_load(&ana(), &options, &load).await.expect("they may");
            let engine = about.bind_load(&service.0.engine, &mut load);
            if raced {
                swap(&service).await;
                done(&service, "CREATE TABLE mine.fresh AS SELECT CAST(5 AS bigint) AS id").await;
            }
            let before = stands(&service, table).await;
            let shop = Workshop {
                engine: &engine,
                runner: service.0.runner.as_ref(),
                options: &options,
                deadline: None,
            };
            let rows = stream::iter([Ok::<_, QueryError>(batch.clone())]);
            match Box::pin(shop.load(&load, rows)).await {
                Ok(loaded) => assert!(!raced && loaded.rows == Some(1), "{load:?}: {loaded:?}"),
                Err(error) => {
                    assert!(raced, "{load:?}: {}", error.chain());
                    assert_eq!(error.code(), code, "{load:?}: {}", error.chain());
                    assert_eq!(stands(&service, table).await, before, "{load:?}");
                }
            }
        }
    }
}

// Goal: to whom no grants bind a name is what it is when the command is carried out. Method: an administrator's commands and load are judged.
#[tokio::test]
async fn nothing_is_bound_to_whom_no_grants_bind() {
    let (_lake, service) = lake().await;
    let options = options_of(&service, &root());
    for sql in OF_TABLES.iter().chain(OF_VIEWS) {
        let command = service.command(&Statement::new(*sql), &options);
        let command = command.expect(sql).expect("a command");
        let verdict = service.may_change(&root(), &options, &command).await.expect(sql);
        assert_eq!(verdict, Verdict::Goes(About::Anything), "{sql}");
    }
    let load = BulkLoad {
        table: "mine.t".parse().expect("a name"),
        schema: Arc::new(Schema::empty()),
        create: true,
        if_exists: IfExists::Replace,
    };
    let about = service.may_load(&root(), &options, &load).await.expect("they may");
    assert_eq!(about, About::Anything);
}
