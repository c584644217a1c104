//! Writers of every kind of statement that meet on one table of a running process, with readers beside them.

mod model;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tidewater_core::SeededRng;

use self::model::{Change, Row, State, TABLE, Told, WRITERS, replay, seen};
use crate::kit::sql::Sql;
use crate::kit::wire::Wire;
use crate::kit::{Node, NodeBuilder};

const READERS: usize = 2;

/// Statements that change rows; `TIDEWATER_WRITERS_CHANGES` asks for more.
const CHANGES: u64 = 150;

/// Times that a client sends a statement again that was refused because of others.
const TRIES: u32 = 12;

/// What is said of a statement that others stood in the way of: nothing happened, and it may be sent again.
const REFUSED: [&str; 3] = ["40001", "53000", "53300"];

/// What the log says of a statement that begins anew because of others.
const MET: &str = "rows were changed by others meanwhile";

/// Of a hundred statements so many have to end well.
const WELL_MIN: u64 = 95;

/// Statements between two looks at the snapshots that they made, and between two reads of a reader.
const LOOK_EVERY: u64 = 4;
const READ_EVERY: u64 = 2;

/// Statements that may end before somebody looked: their snapshots are there still.
const UNSEEN_MAX: u64 = 24;

/// A compaction is planned anew for each commit of others that it meets, and lets them go first.
const ANSWER_MAX: Duration = Duration::from_secs(120);

const DEADLINE: Duration = Duration::from_secs(180);

const ROWS: &str = "SELECT id, part, n, token FROM meet.t";

/// What writers, readers and the one who looks at snapshots wait for.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    writers: i64,
    /// Statements that ended well, and those among them that changed rows.
    ended: u64,
    changes: u64,
    /// How many had ended when the snapshots were looked at.
    looked: u64,
}

#[derive(Debug, Default)]
struct Progress {
    counts: Mutex<Counts>,
    moved: Condvar,
}

impl Progress {
    fn wait(&self, until: impl Fn(&Counts) -> bool) -> Counts {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.moved.wait_timeout_while(counts, DEADLINE, |counts| !until(counts));
        let (counts, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let counts = *counts;
        assert!(!waited.timed_out(), "nothing moves any more: {counts:?}");
        counts
    }

    fn note(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
    }
}

/// A writer, as long as it is there: others must not wait for one that failed.
struct Writer<'a>(&'a Progress);

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.0.note(|counts| counts.writers -= 1);
    }
}

/// What became of a writer's statements.
#[derive(Debug, Default)]
struct Tally {
    /// Those that changed rows, in their order.
    told: Vec<Told>,
    well: BTreeMap<&'static str, u64>,
    given_up: BTreeMap<&'static str, u64>,
    refused: u64,
}

fn changes_wanted() -> u64 {
    let asked = std::env::var("TIDEWATER_WRITERS_CHANGES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(CHANGES)
}

fn enter(node: &Node) -> Wire {
    let (wire, _) = Wire::enter(node.ports().postgres, "ana", "");
    wire.waiting(ANSWER_MAX)
}

/// The number of rows in what a statement says that it did.
fn rows_said(said: &str) -> u64 {
    said.rsplit(' ').next().unwrap().parse().unwrap()
}

fn write(node: &Node, progress: &Progress, number: i64, wanted: u64) -> Tally {
    let _writer = Writer(progress);
    let (mut wire, mut tally) = (enter(node), Tally::default());
    let rng = SeededRng::new(number.unsigned_abs() + 1);
    for step in 0.. {
        let counts = progress.wait(|counts| counts.changes >= wanted || counts.ended < counts.looked + UNSEEN_MAX);
        if counts.changes >= wanted {
            break;
        }
        let change = Change::any(&rng, number, step);
        let sql = change.sql();
        let answer = (0..TRIES).find_map(|_| match wire.done(&sql) {
            Ok((_, said)) => Some(said),
            Err(state) if REFUSED.contains(&state.as_str()) => {
                tally.refused += 1;
                None
            }
            Err(state) => panic!("{sql}: {state}"),
        });
        let Some(said) = answer else {
            *tally.given_up.entry(change.kind()).or_default() += 1;
            continue;
        };
        *tally.well.entry(change.kind()).or_default() += 1;
        let rows = match change {
            Change::Rewrite | Change::Expire => 0,
            _ => rows_said(&said),
        };
        if rows > 0 {
            tally.told.push(Told { change, rows });
        }
        progress.note(|counts| {
            counts.ended += 1;
            counts.changes += u64::from(rows > 0);
        });
    }
    tally
}

fn row<'a>(values: impl Iterator<Item = &'a str>) -> Row {
    let values: Vec<i64> = values.map(|value| value.parse().unwrap()).collect();
    values.try_into().unwrap()
}

/// What a reader found each time.
fn read(node: &Node, progress: &Progress) -> Vec<Vec<Row>> {
    let (mut wire, mut reads, mut at) = (enter(node), Vec::new(), 0);
    loop {
        let counts = progress.wait(|counts| counts.writers == 0 || counts.ended >= at + READ_EVERY);
        let (values, _) = wire.done(ROWS).unwrap();
        let mut rows: Vec<Row> = values
            .iter()
            .map(|values| row(values.iter().map(String::as_str)))
            .collect();
        rows.sort_unstable();
        reads.push(rows);
        if counts.writers == 0 {
            return reads;
        }
        at = counts.ended;
    }
}

/// The rows of a query of the four columns, in their order.
fn rows_of(sql: &mut Sql, query: &str) -> Vec<Row> {
    let values = sql.rows(query).unwrap();
    let mut rows: Vec<Row> = values
        .iter()
        .map(|values| row(values.iter().map(|value| value.as_deref().unwrap())))
        .collect();
    rows.sort_unstable();
    rows
}

/// All snapshots, each as long as it is there.
fn watch(node: &Node, progress: &Progress) -> Vec<State> {
    let (mut sql, mut states) = (Sql::connect(node), vec![State::default()]);
    loop {
        let counts = progress.wait(|counts| counts.writers == 0 || counts.ended >= counts.looked + LOOK_EVERY);
        let listed = "SELECT parent_id, snapshot_id, operation FROM meet.\"t$snapshots\"";
        let mut behind = HashMap::new();
        for values in sql.rows(listed).unwrap() {
            let [parent, Some(snapshot_id), Some(operation)] = <[Option<String>; 3]>::try_from(values).unwrap() else {
                panic!("a snapshot without a name");
            };
            let other = behind.insert(parent, (snapshot_id, operation));
            assert!(other.is_none(), "two snapshots behind one: {other:?}");
        }
        while let Some((snapshot_id, operation)) = behind.remove(&states.last().unwrap().snapshot_id) {
            let rows = rows_of(&mut sql, &format!("{ROWS} FOR VERSION AS OF {snapshot_id}"));
            states.push(State {
                snapshot_id: Some(snapshot_id),
                operation,
                rows,
            });
        }
        progress.note(|now| now.looked = counts.ended);
        if counts.writers == 0 {
            return states;
        }
    }
}

// Goal: of statements that meet on one table, each does the whole of what it says or nothing, as if they had come one after the other, and
// no reader sees anything but a snapshot, nor an earlier one than before. Method: eight clients of the PostgreSQL wire insert, update,
// merge, delete, overwrite partitions, rewrite files and expire snapshots, and send again what is refused because of others; somebody reads
// every snapshot as it comes; a replay of the answered statements in plain Rust has to come to the rows of each of them.
#[test]
#[ignore = "scripts/chaos runs it: a minute"]
fn statements_that_meet_equal_a_replay() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path())
        .config("[maintenance]\nenabled = false")
        .start();
    for sql in ["CREATE SCHEMA meet", TABLE] {
        enter(&node).done(sql).unwrap();
    }
    let (progress, wanted) = (Progress::default(), changes_wanted());
    progress.note(|counts| counts.writers = WRITERS);
    let (states, tallies, reads) = std::thread::scope(|scope| {
        let (node, progress) = (&node, &progress);
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| scope.spawn(move || write(node, progress, number, wanted)))
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(move || read(node, progress)))
            .collect();
        let states = watch(node, progress);
        let tallies: Vec<Tally> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let reads: Vec<Vec<Vec<Row>>> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        (states, tallies, reads)
    });

    let told: Vec<&[Told]> = tallies.iter().map(|tally| tally.told.as_slice()).collect();
    assert_eq!(replay(&states, &told), Ok(()));
    for reads in &reads {
        assert_eq!(seen(&states, reads), Ok(()));
    }
    let mut sql = Sql::connect(&node);
    assert_eq!(rows_of(&mut sql, ROWS), states.last().unwrap().rows);
    node.cli(&["table", "verify", "meet.t"]).unwrap();

    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for tally in &tallies {
        for (kind, count) in &tally.well {
            kinds.entry(kind).or_default().0 += count;
        }
        for (kind, count) in &tally.given_up {
            kinds.entry(kind).or_default().1 += count;
        }
    }
    let refused: u64 = tallies.iter().map(|tally| tally.refused).sum();
    let reads: usize = reads.iter().map(Vec::len).sum();
    let snapshots = states.len() - 1;
    println!("{snapshots} snapshots, {reads} reads, {refused} times refused; ended well and given up: {kinds:?}");
    let (well, given_up) = kinds
        .values()
        .fold((0_u64, 0_u64), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
    assert!(
        well * 100 >= WELL_MIN * (well + given_up),
        "{given_up} were given up, {well} ended well"
    );
    assert_eq!(kinds.len(), 9, "not every kind was there");
    // The server sees to most of it itself, and nothing is refused.
    assert!(node.log().contains(MET), "the writers did not meet");
    let replaced = states.iter().filter(|state| state.operation == "replace").count();
    assert!(replaced > 0, "no files were written anew");
    let kept = sql.rows("SELECT snapshot_id FROM meet.\"t$snapshots\"").unwrap().len();
    assert!(kept < snapshots, "no snapshot was expired");
    assert!(reads > 20, "{reads} reads");
}

// Goal: the replay tells a row that is lost, doubled or older, a statement without its rows and rows without a statement, and what readers
// must not see. Method: four snapshots of three statements and a rewrite, with each of these done to them.
#[test]
fn a_replay_can_fail() {
    let changes = [
        Change::Insert {
            rows: vec![[1, 0, 0, 5], [2, 1, 0, 5]],
        },
        Change::Add { id: 1, token: 6 },
        Change::Rewrite,
        Change::Empty { part: 1 },
    ];
    let (mut states, mut told) = (vec![State::default()], Vec::new());
    for change in changes {
        let (rows, count) = change.after(&states.last().unwrap().rows);
        let rewrites = matches!(change, Change::Rewrite);
        let operation = if rewrites { "replace" } else { "overwrite" };
        states.push(State {
            snapshot_id: Some(states.len().to_string()),
            operation: operation.into(),
            rows,
        });
        if !rewrites {
            told.push(Told { change, rows: count });
        }
    }
    let check = |states: &[State], told: &[Told]| replay(states, &[told]);
    assert_eq!(check(&states, &told), Ok(()));
    assert!(check(&states, &told[..2]).is_err(), "rows without a statement");
    assert!(check(&states[..4], &told).is_err(), "a statement without its rows");
    for wrong in [vec![], vec![[1, 0, 1, 6], [1, 0, 1, 6]], vec![[1, 0, 0, 5]]] {
        let mut states = states.clone();
        states[4].rows = wrong;
        assert!(check(&states, &told).is_err(), "{:?}", states[4]);
    }
    let mut rewritten = states.clone();
    rewritten[3].rows.pop();
    assert!(check(&rewritten, &told).is_err(), "a rewrite lost a row");
    let miscounted = [
        told[0].clone(),
        Told {
            rows: 2,
            ..told[1].clone()
        },
        told[2].clone(),
    ];
    assert!(
        check(&states, &miscounted).is_err(),
        "a number of rows that is not theirs"
    );

    let rows = |at: usize| states[at].rows.clone();
    assert_eq!(seen(&states, &[rows(0), rows(1), rows(1), rows(4)]), Ok(()));
    assert!(seen(&states, &[rows(2), rows(1)]).is_err(), "an earlier snapshot");
    assert!(seen(&states, &[vec![[1, 0, 0, 5]]]).is_err(), "half a snapshot");
}
