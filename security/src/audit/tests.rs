use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use tidewater_core::{Clock, ManualClock, SystemClock};

use super::files::{DAY_MS, list};
use super::*;

/// A day in the middle of all days.
const NOW_MS: i64 = 20_000 * DAY_MS + 5_000;

fn options(directory: &Path, bytes_max: u64) -> AuditOptions {
    AuditOptions {
        directory: directory.to_owned(),
        keep: Duration::from_secs(3 * 24 * 60 * 60),
        bytes_max,
        required: true,
        process: "lake-1:8080".to_owned(),
    }
}

fn files(options: AuditOptions, now_ms: i64) -> (Files, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let files = Files::open(options, Arc::clone(&counters), now_ms).expect("a folder");
    (files, counters)
}

/// The line of the statement with this number.
fn numbered(number: usize, at_ms: i64) -> Vec<u8> {
    line_of("statement", at_ms, "lake-1:8080", &json!({"number": number})).expect("a line")
}

fn all(directory: &Path) -> (Vec<Value>, u64) {
    let mut lines = Vec::new();
    let unreadable = read(directory, &AuditFilter::default(), |line| lines.push(line)).expect("a folder");
    (lines, unreadable)
}

fn numbers(directory: &Path) -> Vec<u64> {
    let (lines, unreadable) = all(directory);
    assert_eq!(unreadable, 0);
    lines.iter().filter_map(|line| line["number"].as_u64()).collect()
}

// Goal: what was waited for is on the disk with who, when and where, only its owner may read it, and what nobody waited for is there soon
// after. Method: a line of each sort through the log as processes have it, read back while it is open.
#[tokio::test]
async fn lines_are_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("audit");
    let log = AuditLog::start(options(&folder, 1 << 20), SystemClock::shared()).expect("a log");
    log.keep("login", &json!({"user": "eve", "error": "SEC-0001"}));
    log.kept("began", &json!({"user": "ana", "tables": ["gold.x"]}))
        .await
        .expect("kept");
    let (lines, _) = all(&folder);
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().expect("a text");
            assert_eq!(text("process"), "lake-1:8080");
            assert!(line["at_ms"].as_i64().is_some_and(|at_ms| at_ms > NOW_MS), "{line}");
            (text("event"), text("user"))
        })
        .collect();
    assert_eq!(told, [("login", "eve"), ("began", "ana")]);
    log.keep("statement", &json!({"user": "ana"}));
    log.flush().await.expect("flushed");
    assert_eq!(all(&folder).0.len(), 3);
    let counts = log.counts();
    assert_eq!((counts.written, counts.lost, counts.failures), (3, 0, 0));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in list(&folder).expect("a folder") {
        assert_eq!(mode(&file.path), 0o600);
    }
}

// Goal: a day ends a file, and so does its size, and no line is lost between two of them. Method: lines of three days, then more than one file
// may hold, on a clock that is told; names and numbers are read back.
#[test]
fn files_take_turns() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut files, counters) = files(options(dir.path(), 1 << 20), NOW_MS);
    for day in 0..3 {
        let at_ms = NOW_MS + i64::try_from(day).expect("few") * DAY_MS;
        files.write(&numbered(day, at_ms), at_ms).expect("written");
        files.write(&numbered(day, at_ms), at_ms).expect("written");
    }
    let found = list(dir.path()).expect("a folder");
    let began: Vec<i64> = found.iter().map(|file| file.began_ms).collect();
    assert_eq!(began, [NOW_MS, NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS]);
    let at_ms = NOW_MS + 2 * DAY_MS + 1;
    for number in 3..5_000 {
        files.write(&numbered(number, at_ms), at_ms).expect("written");
    }
    assert!(list(dir.path()).expect("a folder").len() > 4, "size ends a file too");
    let mut expected: Vec<u64> = vec![0, 0, 1, 1, 2, 2];
    expected.extend(3..5_000);
    assert_eq!(numbers(dir.path()), expected);
    assert_eq!(counters.removed_early.load(Ordering::Relaxed), 0);
}

// Goal: the folder does not grow beyond its bound, the oldest goes first and that is counted, and what is too old goes without being
// counted. Method: many times the bound; then days later another process begins.
#[test]
fn the_oldest_goes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bytes_max = 64 << 10;
    let (mut files, counters) = files(options(dir.path(), bytes_max), NOW_MS);
    for number in 0..10_000 {
        let at_ms = NOW_MS + i64::try_from(number).expect("few");
        files.write(&numbered(number, at_ms), at_ms).expect("written");
    }
    let bytes: u64 = fs::read_dir(dir.path())
        .expect("a folder")
        .map(|file| file.expect("a file").metadata().expect("its size").len())
        .sum();
    assert!(bytes <= bytes_max && bytes > bytes_max / 2, "{bytes} of {bytes_max}");
    let left = numbers(dir.path());
    assert_eq!(left.last(), Some(&9_999));
    let newest: Vec<u64> = (10_000 - left.len() as u64..10_000).collect();
    assert_eq!(left, newest, "the newest are there, with none missing between them");
    let early = counters.removed_early.load(Ordering::Relaxed);
    assert!(early > 0);
    drop(files);
    let later = self::files(options(dir.path(), bytes_max), NOW_MS + 5 * DAY_MS);
    assert!(list(dir.path()).expect("a folder").is_empty());
    assert_eq!(later.1.removed_early.load(Ordering::Relaxed), 0);
}

// Goal: no process takes away a file that another one writes. Method: one that holds its file open while another, for whom everything is too
// old and too much, begins in the same folder; then the first has ended.
#[test]
fn what_is_written_stays() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut first, _) = files(options(dir.path(), 1 << 20), NOW_MS);
    first.write(&numbered(1, NOW_MS), NOW_MS).expect("written");
    let later_ms = NOW_MS + 100 * DAY_MS;
    let begin = || drop(files(options(dir.path(), 1 << 10), later_ms));
    begin();
    assert_eq!(numbers(dir.path()), [1]);
    drop(first);
    begin();
    assert_eq!(numbers(dir.path()), [0_u64; 0]);
}

// Goal: a crash in the middle of a line costs that line and nothing else: what was before is read, what is written afterwards is whole, and
// a line that was changed is told of. Method: a file is cut within its last line, a new process writes, then a line is overwritten.
#[test]
fn a_torn_line_is_left_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut killed, _) = files(options(dir.path(), 1 << 20), NOW_MS);
    for number in 1..=3 {
        killed.write(&numbered(number, NOW_MS), NOW_MS).expect("written");
    }
    drop(killed);
    let path = list(dir.path()).expect("a folder").remove(0).path;
    let whole = fs::read(&path).expect("a file");
    fs::write(&path, &whole[..whole.len() - 5]).expect("cut");
    let (mut next, _) = files(options(dir.path(), 1 << 20), NOW_MS + 1);
    next.write(&numbered(4, NOW_MS + 1), NOW_MS + 1).expect("written");
    assert_eq!(numbers(dir.path()), [1, 2, 4]);
    let mut changed = whole;
    changed[1] = b'?';
    fs::write(&path, changed).expect("changed");
    let (lines, unreadable) = all(dir.path());
    assert_eq!((lines.len(), unreadable), (3, 1));
}

// Goal: where the disk fails, what must be kept is refused, what need not be is counted, and both are told when it is well again. Method: the
// folder is taken away under the log and put back.
#[tokio::test]
async fn a_failing_disk_is_told() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("audit");
    let log = AuditLog::start(options(&folder, 1 << 20), SystemClock::shared()).expect("a log");
    fs::remove_dir(&folder).expect("it is empty");
    log.keep("statement", &json!({"number": 1}));
    log.kept("began", &json!({"number": 2})).await.expect_err("no folder");
    let counts = log.counts();
    assert_eq!((counts.written, counts.lost), (0, 2));
    assert!(counts.failures > 0);
    fs::create_dir(&folder).expect("a folder");
    log.kept("began", &json!({"number": 3})).await.expect("kept again");
    let (lines, _) = all(&folder);
    let told: Vec<(&str, Option<u64>)> = lines
        .iter()
        .map(|line| (line["event"].as_str().expect("a word"), line["lines"].as_u64()))
        .collect();
    assert_eq!(told, [("lost", Some(2)), ("began", None)]);
}

// Goal: who asks gets the lines that they ask for. Method: statements of several users about two tables, one of them refused before its tables
// were known, one with more tables than are told and one that was refused and is too long to be told, asked for in each way.
#[test]
fn lines_are_found() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let clock = ManualClock::new(NOW_MS);
    let (mut files, _) = files(options(dir.path(), 1 << 20), clock.now_ms());
    let told = [
        json!({"number": 1, "user": "ana", "tables": ["gold.patients"], "statement": "SELECT * FROM patients"}),
        json!({"number": 2, "user": "eve", "tables": [], "statement": "SELECT * FROM \"gold\".\"Patients\"", "error": "SEC-0012"}),
        json!({"number": 3, "user": "ana", "tables": ["gold.inpatients"], "statement": "SELECT * FROM inpatients"}),
        json!({"number": 4, "user": "ana", "tables": [], "statement": "SELECT * FROM inpatients", "error": "SEC-0012"}),
        json!({"number": 5, "user": "bob", "tables": ["gold.a"], "tables_left_out": 1, "statement": "SELECT * FROM a, b"}),
        json!({"number": 6, "user": "mal", "tables": [], "statement": "SELECT ?, ?, ?, …"}),
        json!({"number": 7, "user": "mal", "tables": ["gold.a"], "statement": "SELECT ?, ?, ?, …"}),
    ];
    for line in &told {
        clock.advance(Duration::from_secs(60));
        let line = line_of("statement", clock.now_ms(), "lake-1:8080", line).expect("a line");
        files.write(&line, clock.now_ms()).expect("written");
    }
    let find = |wanted: AuditFilter| {
        let mut found = Vec::new();
        read(dir.path(), &wanted, |line| found.extend(line["number"].as_u64())).expect("a folder");
        found
    };
    let table = AuditFilter {
        table: Some("gold.patients".into()),
        ..AuditFilter::default()
    };
    assert_eq!(find(table), [1, 2, 5, 6]);
    let user = AuditFilter {
        user: Some("ana".into()),
        since_ms: Some(NOW_MS + 180_000),
        ..AuditFilter::default()
    };
    assert_eq!(find(user), [3, 4]);
    let failed = AuditFilter {
        only_failed: true,
        until_ms: Some(NOW_MS + 240_000),
        ..AuditFilter::default()
    };
    assert_eq!(find(failed), [2]);
    let tomorrow = AuditFilter {
        since_ms: Some(NOW_MS + 3 * DAY_MS),
        ..AuditFilter::default()
    };
    assert_eq!(find(tomorrow), [0_u64; 0]);
}

// Goal: a line of a length that nothing of ours has costs itself and not the memory of who reads, and those behind it are read. Method: one of
// more bytes than are held between two good ones, then a torn one.
#[test]
fn endless_lines_are_passed_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut files, _) = files(options(dir.path(), 64 << 20), NOW_MS);
    files.write(&numbered(1, NOW_MS), NOW_MS).expect("written");
    let endless = json!({"number": 2, "statement": "x".repeat(3 << 20)});
    let endless = line_of("statement", NOW_MS, "lake-1:8080", &endless).expect("a line");
    files.write(&endless, NOW_MS).expect("written");
    files.write(&numbered(3, NOW_MS), NOW_MS).expect("written");
    files.write(b"{\"number\": 4", NOW_MS).expect("written");
    let (lines, unreadable) = all(dir.path());
    let numbers: Vec<Option<u64>> = lines.iter().map(|line| line["number"].as_u64()).collect();
    assert_eq!((numbers, unreadable), (vec![Some(1), Some(3)], 1));
}

// Goal: a line of which a part is there is not taken for one that somebody changed when the rest comes. Method: a file whose last line has no
// end yet when it is read, and has one, with another behind it, when the reader goes on.
#[test]
fn what_is_written_meanwhile_is_not_unreadable() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut files, _) = files(options(dir.path(), 1 << 20), NOW_MS);
    let second = numbered(2, NOW_MS);
    files.write(&numbered(1, NOW_MS), NOW_MS).expect("written");
    files.write(&second[..second.len() - 1], NOW_MS).expect("written");
    let mut lines = AuditLines::of(dir.path(), AuditFilter::default()).expect("a folder");
    let mut number = || lines.next().map(|line| line.expect("a line")["number"].as_u64());
    assert_eq!((number(), number()), (Some(Some(1)), Some(Some(2))));
    files.write(b"\n", NOW_MS).expect("written");
    files.write(&numbered(3, NOW_MS), NOW_MS).expect("written");
    assert_eq!(number(), None);
    assert_eq!(lines.unreadable(), 0);
    assert_eq!(numbers(dir.path()), [1, 2, 3]);
}

// Goal: who asks for a time has no file opened that is of another one. Method: files of three days of which two cannot be opened, asked for the
// day between them and for all.
#[test]
fn files_of_other_days_are_not_opened() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut files, _) = files(options(dir.path(), 1 << 20), NOW_MS);
    for day in 0..5 {
        let at_ms = NOW_MS + day * DAY_MS;
        files
            .write(&numbered(usize::try_from(day).expect("few"), at_ms), at_ms)
            .expect("written");
    }
    drop(files);
    for (day, file) in list(dir.path()).expect("a folder").into_iter().enumerate() {
        if matches!(day, 0 | 4) {
            fs::remove_file(&file.path).expect("a file");
            fs::create_dir(&file.path).expect("a folder in its place");
        }
    }
    let wanted = AuditFilter {
        since_ms: Some(NOW_MS + 2 * DAY_MS),
        until_ms: Some(NOW_MS + 2 * DAY_MS + 1),
        ..AuditFilter::default()
    };
    let lines = AuditLines::of(dir.path(), wanted).expect("a folder");
    let numbers: Vec<Option<u64>> = lines.map(|line| line.expect("a line")["number"].as_u64()).collect();
    assert_eq!(numbers, [Some(2)]);
    let mut all = AuditLines::of(dir.path(), AuditFilter::default()).expect("a folder");
    assert!(all.any(|line| line.is_err()), "a folder is no file");
}
