//! The process that schedules dies while a statement runs on its executors.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::executor_cancel::bench::{Bench, ROWS};
use crate::executor_cancel::now;
use crate::kit::wire::{Said, Wire};
use crate::kit::{Node, wait_for};

/// What a busy machine may take for what is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// Deaths of a run of the usual size: of a read and a write at work, and on both sides of a commit. `TIDEWATER_SCHEDULER_KILLS=80` makes
/// it longer, and has each of the rounds.
const KILLS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statement {
    Select,
    Insert,
    Create,
}

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Every place has a task of it, and there are files of its first stages.
    Works,
    /// Its process has come to this fail point; executors have done their part.
    At(&'static str),
}

/// What dies when, and whether its rows are there afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    statement: Statement,
    moment: Moment,
    whole: bool,
}

const fn round(statement: Statement, moment: Moment, whole: bool) -> Round {
    Round {
        statement,
        moment,
        whole,
    }
}

const ROUNDS: [Round; 8] = [
    round(Statement::Insert, Moment::Works, false),
    round(Statement::Select, Moment::Works, false),
    round(Statement::Insert, Moment::At("statements.files_written"), false),
    round(Statement::Create, Moment::At("statements.commit_answered"), true),
    round(Statement::Create, Moment::Works, false),
    round(Statement::Insert, Moment::At("statements.commit_answered"), true),
    round(Statement::Insert, Moment::At("catalog.metadata_written"), false),
    round(Statement::Create, Moment::At("statements.files_written"), false),
];

impl Round {
    /// Its statement, which writes this table if it writes. One that is to die at work takes hours.
    fn sql(self, bench: &mut Bench, table: &str) -> String {
        let rows = match self.moment {
            Moment::Works => format!("SELECT id, n FROM ({}) AS e", bench.endless()),
            Moment::At(_) => "SELECT id, count(*) AS n FROM busy.t GROUP BY id".to_owned(),
        };
        match self.statement {
            Statement::Select => rows,
            Statement::Insert => format!("INSERT INTO busy.{table} {rows}"),
            Statement::Create => format!("CREATE TABLE busy.{table} AS {rows}"),
        }
    }

    /// What has the process stand still in this round, and tell by the file that it does.
    fn env(self, marker: &Path) -> Vec<(String, String)> {
        let Moment::At(point) = self.moment else {
            return Vec::new();
        };
        vec![
            ("TIDEWATER_FAIL_POINT".into(), format!("{point}@1")),
            ("TIDEWATER_FAIL_POINT_FILE".into(), marker.to_str().unwrap().to_owned()),
        ]
    }
}

/// Jobs that executors have files of.
fn jobs_with_files(executors: &[Node]) -> BTreeSet<String> {
    let folders = executors
        .iter()
        .map(|executor| executor.builder().data_dir().join("work").join("shuffle"));
    // Files come and go meanwhile.
    let entries = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Names of the executors that a process knows; none while it does not schedule.
fn executors(head: &Node) -> Option<BTreeSet<String>> {
    let told = head.control("/v1/executors")?;
    let listed = told["executors"].as_array()?;
    listed
        .iter()
        .map(|executor| Some(executor["id"].as_str()?.to_owned()))
        .collect()
}

/// The first row of a query, on a connection of its own.
fn asked(head: &Node, sql: &str) -> Result<Vec<String>, String> {
    let mut wire = Wire::open(head.ports().postgres);
    assert_eq!(wire.log_in("ana", ""), Said::Welcome);
    wire.row(sql)
}

/// A round, behind which the process that schedules runs again. It is to stand still where the next one wants.
fn dies(mut bench: Bench, round: Round, table: &str, marker: &Path, next: Vec<(String, String)>) -> Bench {
    let before = jobs_with_files(&bench.cluster.executors);
    let names = executors(&bench.cluster.head).unwrap();
    let sql = round.sql(&mut bench, table);
    let (mut wire, _) = bench.wire();
    wire.ask(&sql);
    match round.moment {
        Moment::Works => bench.wait_until_it_works(),
        Moment::At(point) => wait_for(point, DEADLINE, || marker.is_file().then_some(())),
    }
    let files = wait_for("executors have files of it", DEADLINE, || {
        let new = &jobs_with_files(&bench.cluster.executors) - &before;
        (!new.is_empty()).then_some(new)
    });
    let mut builder = bench.cluster.head.kill();
    let told = wire.answer();
    builder.env = next;
    if !builder.config.contains("[maintenance]") {
        // Its commits come to fail points too.
        builder = builder.config("[maintenance]\nenabled = false");
    }
    bench.cluster.head = builder.start();

    // It had no answer to give, so none may have been told.
    let told = told.unwrap_err();
    assert!(told == "gone" || told.len() == 5, "{round:?}: {told}");
    let head = &bench.cluster.head;
    wait_for("all executors begin anew", DEADLINE, || {
        executors(head).filter(|known| known.len() == names.len() && known.is_disjoint(&names))
    });
    let left = jobs_with_files(&bench.cluster.executors);
    assert!(left.is_disjoint(&files), "{round:?}: {left:?} of {files:?}");
    bench.ended_after(now());

    let found = asked(head, &format!("SELECT count(*), count(DISTINCT id) FROM busy.{table}"));
    let rows = ROWS.to_string();
    match (round.statement, round.whole) {
        (Statement::Select, _) => {}
        (_, true) => assert_eq!(found, Ok(vec![rows.clone(), rows.clone()]), "{round:?}"),
        (Statement::Insert, false) => assert_eq!(found, Ok(vec!["0".into(), "0".into()]), "{round:?}"),
        (Statement::Create, false) => assert_eq!(found, Err("42P01".into()), "{round:?}"),
    }
    if round.whole {
        let files = format!(
            "SELECT count(*) = count(DISTINCT file_path), CAST(sum(record_count) AS bigint) FROM busy.\"{table}$files\""
        );
        assert_eq!(
            asked(head, &files),
            Ok(vec!["t".into(), rows]),
            "{round:?}: each file once"
        );
    }
    bench.answers();
    bench
}

// Goal: when the process that schedules dies, a read is over for its client and a write is there once or not at all, as its commit was;
// executors end what they did for it and keep none of its files, and what comes next has every place. Method: kill -9 while both executors
// work on a statement, and on both sides of its commit; the process starts again at the same address before executors have given it up.
// They must come under new names, without tasks, memory or files; rows and files of the table are counted; a statement is answered, and
// one of the next rounds, or the last statement, takes up every place.
#[test]
#[ignore = "scripts/chaos runs it: a minute"]
fn statements_end_with_their_scheduler() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = std::env::var("TIDEWATER_SCHEDULER_KILLS")
        .ok()
        .and_then(|kills| kills.parse::<usize>().ok());
    let rounds: Vec<Round> = ROUNDS.into_iter().cycle().take(wanted.unwrap_or(KILLS)).collect();
    let mut bench = Bench::start(dir.path());
    bench.answers();
    for (at, round) in rounds.iter().enumerate() {
        // All of them now: their commits would come to fail points too.
        if round.statement == Statement::Insert {
            let create = format!("CREATE TABLE busy.d{at} (id bigint, n bigint)");
            asked(&bench.cluster.head, &create).unwrap();
        }
    }
    let marker = |at: usize| dir.path().join(format!("reached-{at}"));
    for (at, round) in rounds.iter().enumerate() {
        let next = rounds.get(at + 1).map(|next| next.env(&marker(at + 1)));
        bench = dies(bench, *round, &format!("d{at}"), &marker(at), next.unwrap_or_default());
    }
    let (mut wire, _) = bench.wire();
    wire.ask(&bench.endless());
    bench.wait_until_it_works();
}
