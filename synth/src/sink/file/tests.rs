use super::*;
use crate::delivery::RecordStream;
use crate::options::{DeliveryOptions, WorldOptions};

fn stream() -> RecordStream {
    let world = WorldOptions {
        patients: 5,
        history_days: 10,
        ..WorldOptions::default()
    };
    RecordStream::new(world, DeliveryOptions::default())
        .unwrap()
        .with_limit(Some(1_500))
}

fn content(folder: &Path) -> Vec<u8> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

fn small() -> FileSinkOptions {
    FileSinkOptions { segment_bytes: 200_000 }
}

// Goal: a log that was cut off anywhere goes on without loss or doubling. Method: write half, tear the last line, open
// again, skip what is there, write the rest; compare with a log written at once.
#[test]
fn torn_log_goes_on() {
    let (whole, torn) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sink = FileSink::open(whole.path(), small()).unwrap();
    stream().for_each(|record| sink.append(&record).unwrap());
    drop(sink);

    let mut sink = FileSink::open(torn.path(), small()).unwrap();
    stream().take(700).for_each(|record| sink.append(&record).unwrap());
    drop(sink);
    let last = fs::read_dir(torn.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let bytes = fs::metadata(&last).unwrap().len();
    OpenOptions::new()
        .write(true)
        .open(&last)
        .unwrap()
        .set_len(bytes - 10)
        .unwrap();

    let mut sink = FileSink::open(torn.path(), small()).unwrap();
    assert_eq!(sink.next_sequence(), 699);
    let mut rest = stream();
    rest.skip_to(sink.next_sequence());
    rest.for_each(|record| sink.append(&record).unwrap());
    drop(sink);
    assert_eq!(content(whole.path()), content(torn.path()));
}

// Goal: only what was read goes, and never the segment being written. Method: trim with nothing, half and everything read.
#[test]
fn trims_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = FileSink::open(folder.path(), small()).unwrap();
    let mut committed = NextOffsets::new();
    assert_eq!(sink.trim(&committed).unwrap(), 0);
    for (number, record) in stream().enumerate() {
        sink.append(&record).unwrap();
        if number < 700 {
            committed.insert((record.topic.to_string(), record.partition), record.offset + 1);
        }
    }
    sink.sync().unwrap();
    let (segments, bytes) = (sink.segments(), sink.bytes());
    let removed = sink.trim(&committed).unwrap();
    assert!(removed > 0 && removed < segments && sink.bytes() < bytes);
    let mut again = FileSink::open(folder.path(), small()).unwrap();
    assert_eq!(
        (again.next_sequence(), again.bytes()),
        (sink.next_sequence(), sink.bytes())
    );
    let all = stream()
        .map(|record| ((record.topic.to_string(), record.partition), record.offset + 1))
        .collect();
    again.trim(&all).unwrap();
    assert_eq!(again.segments(), 1);
}

// Goal: a folder with something else in it is refused. Method: a file with another name, a gap between segments.
#[test]
fn foreign_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.jsonl"), "{}\n").unwrap();
    assert!(matches!(
        FileSink::open(folder.path(), small()),
        Err(SynthError::Foreign { .. })
    ));
    let folder = tempfile::tempdir().unwrap();
    for name in ["00000000000000000000.jsonl", "00000000000000000005.jsonl"] {
        fs::write(
            folder.path().join(name),
            "{\"topic\":\"t\",\"partition\":0,\"offset\":0}\n",
        )
        .unwrap();
    }
    assert!(matches!(
        FileSink::open(folder.path(), small()),
        Err(SynthError::Foreign { .. })
    ));
}
