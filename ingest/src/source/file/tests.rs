use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use tidewater_core::SystemClock;

const BOUNDS: PollBounds = PollBounds {
    bytes: 1 << 20,
    records: 1_000,
    wait: Duration::ZERO,
};

fn line(topic: &str, offset: i64) -> String {
    format!(
        r#"{{"topic":"{topic}","partition":0,"offset":{offset},"timestamp":1,"headers":[],"key":{{"text":"k\"{offset}"}},"value":{{"b64":"eA=="}}}}"#
    )
}

fn append(path: &Path, text: &str) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("a writable file");
}

fn partition(topic: &str) -> Partition {
    Partition {
        topic: topic.into(),
        number: 0,
    }
}

async fn offsets(source: &mut FileSource) -> Vec<(String, i64)> {
    let poll = source.poll(BOUNDS).await.expect("readable segments");
    poll.records
        .iter()
        .map(|record| (record.partition.topic.to_string(), record.offset))
        .collect()
}

fn expected(records: &[(&str, i64)]) -> Vec<(String, i64)> {
    records
        .iter()
        .map(|(topic, offset)| ((*topic).to_owned(), *offset))
        .collect()
}

// Goal: a growing segment is followed to its last whole line, then into the next segment. Method: append piece by piece.
#[tokio::test]
async fn growth_is_followed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (folder.path().join("0001.jsonl"), folder.path().join("0002.jsonl"));
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    append(&first, &format!("{}\n{}\n", line("a", 5), line("a", 6)));
    let found = source.partitions().await.expect("readable segments");
    assert_eq!((found[0].low, found[0].high), (5, 7));
    source.assign(&[(partition("a"), 6)]).await.expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("a", 6)]));
    let (head, tail) = (&line("a", 8)[..30], &line("a", 8)[30..]);
    append(&first, head);
    assert_eq!(offsets(&mut source).await, expected(&[]));
    append(&first, &format!("{tail}\n"));
    assert_eq!(offsets(&mut source).await, expected(&[("a", 8)]));
    append(&second, &format!("{}\n{}\n", line("a", 8), line("a", 9)));
    source.partitions().await.expect("readable segments");
    assert_eq!(offsets(&mut source).await, expected(&[("a", 9)]));
}

// Goal: nothing of a partition is passed over before it can be assigned. Method: a new topic between records of a known one.
#[tokio::test]
async fn new_partitions_are_waited_for() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("1.jsonl");
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    append(&path, &format!("{}\n", line("a", 0)));
    source.partitions().await.expect("readable segments");
    source.assign(&[(partition("a"), 0)]).await.expect("assigned");
    append(&path, &format!("{}\n{}\n", line("b", 0), line("a", 1)));
    let poll = source.poll(BOUNDS).await.expect("readable segments");
    assert_eq!(poll.records.len(), 1);
    assert!(poll.changed);
    let found = source.partitions().await.expect("readable segments");
    assert_eq!(found.len(), 2);
    source
        .assign(&[(partition("a"), 1), (partition("b"), 0)])
        .await
        .expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("b", 0), ("a", 1)]));
}

// Goal: a position that moves back is read again, a partition of others is passed over until it is ours. Method: assign anew.
#[tokio::test]
async fn positions_may_move() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let lines = [line("a", 0), line("b", 0), line("a", 1), line("b", 1)].join("\n");
    append(&folder.path().join("1.jsonl"), &format!("{lines}\n"));
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    source.partitions().await.expect("readable segments");
    source.assign(&[(partition("a"), 0)]).await.expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("a", 0), ("a", 1)]));
    source
        .assign(&[(partition("a"), 2), (partition("b"), 0)])
        .await
        .expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("b", 0), ("b", 1)]));
    source
        .assign(&[(partition("a"), 1), (partition("b"), 2)])
        .await
        .expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("a", 1)]));
}

// Goal: a partition that was another's for a while is read from where it is given back, wherever reading is by then. Method: one that leaves
// and comes back at an earlier position; one whose records are all in a segment that a rewind for another one leaves behind.
#[tokio::test]
async fn partitions_come_back() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let lines = [line("a", 0), line("a", 1), line("b", 0)].join("\n");
    append(&folder.path().join("1.jsonl"), &format!("{lines}\n"));
    append(&folder.path().join("2.jsonl"), &format!("{}\n", line("b", 1)));
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    source.partitions().await.expect("readable segments");
    for (positions, read) in [
        (vec![("a", 0)], vec![("a", 0), ("a", 1)]),
        (vec![], vec![]),
        (vec![("a", 1)], vec![("a", 1)]),
        (vec![("b", 0)], vec![("b", 0), ("b", 1)]),
        (vec![("b", 1)], vec![("b", 1)]),
        (vec![("a", 0), ("b", 2)], vec![("a", 0), ("a", 1)]),
    ] {
        let positions: Vec<_> = positions.iter().map(|(topic, at)| (partition(topic), *at)).collect();
        source.assign(&positions).await.expect("assigned");
        assert_eq!(offsets(&mut source).await, expected(&read), "{positions:?}");
    }
}

// Goal: what was read since partitions were last looked for is read again where its position moves back. Method: a record behind the last look,
// and a segment after it that reading has met already.
#[tokio::test]
async fn positions_move_back_behind_the_last_look() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (folder.path().join("1.jsonl"), folder.path().join("2.jsonl"));
    append(&first, &format!("{}\n", line("a", 0)));
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    source.partitions().await.expect("readable segments");
    source.assign(&[(partition("a"), 0)]).await.expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("a", 0)]));
    append(&first, &format!("{}\n", line("a", 1)));
    assert_eq!(offsets(&mut source).await, expected(&[("a", 1)]));
    append(&second, &format!("{}\n", line("a", 2)));
    assert_eq!(offsets(&mut source).await, expected(&[]));
    source.assign(&[(partition("a"), 1)]).await.expect("assigned");
    assert_eq!(offsets(&mut source).await, expected(&[("a", 1), ("a", 2)]));
}

// Goal: a broken line is a record with a fault in a partition of its own, once, and the rest goes on. Method: broken lines.
#[tokio::test]
async fn broken_lines_are_told() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("1.jsonl");
    append(
        &path,
        &format!("{}\nnonsense\n{{\"topic\":1}}\n{}\n", line("a", 0), line("a", 1)),
    );
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    let found = source.partitions().await.expect("readable segments");
    assert_eq!(found.len(), 2);
    let broken = partition("file:1.jsonl");
    source
        .assign(&[(partition("a"), 0), (broken.clone(), found[1].low)])
        .await
        .expect("assigned");
    let poll = source.poll(BOUNDS).await.expect("readable segments");
    let faults: Vec<_> = poll.records.iter().filter(|record| record.fault.is_some()).collect();
    assert_eq!((poll.records.len(), faults.len()), (4, 2));
    let next = faults[1].offset;
    source
        .assign(&[(partition("a"), 0), (broken, next)])
        .await
        .expect("assigned");
    let poll = source.poll(BOUNDS).await.expect("readable segments");
    assert_eq!(poll.records.iter().filter(|record| record.fault.is_some()).count(), 1);
}

// Goal: what a segment ends with is known though its end is missing, once another one follows. Method: a whole record, and a torn one.
#[tokio::test]
async fn tails_without_end_are_known() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| folder.path().join(name);
    append(&path("1.jsonl"), &format!("{}\n{}", line("a", 0), line("a", 1)));
    append(&path("2.jsonl"), &line("a", 2)[..30]);
    append(&path("3.jsonl"), &format!("{}\n", line("a", 2)));
    let mut source = FileSource::new(folder.path(), SystemClock::shared());
    let found = source.partitions().await.expect("readable segments");
    let bounds: Vec<_> = found
        .iter()
        .map(|found| (found.partition.clone(), found.low, found.high))
        .collect();
    let torn = partition("file:2.jsonl");
    assert_eq!(bounds, [(partition("a"), 0, 3), (torn.clone(), 0, 1)]);
    source
        .assign(&[(partition("a"), 0), (torn, 0)])
        .await
        .expect("assigned");
    let all = [("a", 0), ("a", 1), ("file:2.jsonl", 0), ("a", 2)];
    assert_eq!(offsets(&mut source).await, expected(&all));
}

// Goal: payloads come out as they went in. Method: a line of each spelling.
#[test]
fn lines_are_read() {
    let record = parse_line(&Bytes::from(line("a", 3))).expect("a record");
    assert_eq!(record.key.as_deref(), Some(&b"k\"3"[..]));
    assert_eq!(record.value.as_deref(), Some(&b"x"[..]));
    assert_eq!((record.timestamp_ms, record.headers), (Some(1), None));
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"topic":"","partition":0,"offset":0}"#,
        r#"{"topic":"a","partition":-1,"offset":0}"#,
    ] {
        assert!(parse_line(&Bytes::copy_from_slice(bad.as_bytes())).is_err(), "{bad}");
    }
}

// Goal: all forms of a payload give the bytes they stand for. Method: one line of each; JSON keeps its blanks and escapes.
#[test]
fn payloads_have_three_forms() {
    let of = |payload: &str| {
        let line = format!(r#"{{"topic":"a","partition":0,"offset":1,"key":null,"value":{payload}}}"#);
        parse_line(&Bytes::from(line))
            .map(|record| record.value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    let json = r#"{ "a" : "ü\n\"", "b":[1.50 , null] }"#;
    assert_eq!(of(&format!(r#"{{"json":{json}}}"#)), Ok(Some(json.to_owned())));
    assert_eq!(of(r#"{"json":null}"#), Ok(Some("null".to_owned())));
    assert_eq!(of(r#"{"text":"{\"a\":1}"}"#), Ok(Some(r#"{"a":1}"#.to_owned())));
    assert_eq!(of(r#"{"b64":"eA=="}"#), Ok(Some("x".to_owned())));
    assert_eq!(of("null"), Ok(None));
    // What stands in a payload is for the decoder to judge.
    assert_eq!(of(r#"{"json":{"a":}}"#), Ok(Some(r#"{"a":}"#.to_owned())));
    for broken in [r#"{"json":}"#, r#"{"json":{"a":}"#, r#"{"other":1}"#, "{}", "1"] {
        assert!(of(broken).is_err(), "{broken}");
    }
}
