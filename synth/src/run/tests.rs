use std::fs;
use std::path::Path;

use super::*;
use tidewater_core::{Clock, ManualClock, SystemClock};

fn options(folder: &Path, records: u64) -> RunOptions {
    let world = WorldOptions {
        patients: 5,
        history_days: 10,
        ..WorldOptions::default()
    };
    RunOptions {
        world,
        records_max: Some(records),
        ..RunOptions::new(SinkOptions::folder(folder))
    }
}

fn content(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

async fn done(options: RunOptions) -> Result<Report, SynthError> {
    run(
        options,
        SystemClock::shared(),
        Hooks::default(),
        CancellationToken::new(),
    )
    .await
}

// Goal: a run in two parts equals a run at once, and the oracle is written. Method: compare logs and oracle files.
#[tokio::test]
async fn run_goes_on_where_it_was_left() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first_oracle, second_oracle) = (whole.path().join("oracle"), parts.path().join("oracle"));
    let report = done(RunOptions {
        oracle: Some(first_oracle.clone()),
        ..options(whole.path(), 1_500)
    })
    .await
    .unwrap();
    assert!(report.delivery.records >= 1_500);
    done(options(parts.path(), 900)).await.unwrap();
    done(RunOptions {
        oracle: Some(second_oracle.clone()),
        ..options(parts.path(), 1_500)
    })
    .await
    .unwrap();
    assert_eq!(content(whole.path()), content(parts.path()));
    for file in [
        "tables/users.jsonl",
        "gold/patient_360.jsonl",
        "gold/operational_kpis.jsonl",
    ] {
        let text = fs::read_to_string(first_oracle.join(file)).unwrap();
        assert!(!text.is_empty());
        assert_eq!(text, fs::read_to_string(second_oracle.join(file)).unwrap());
    }
}

// Goal: a log is never continued by another world. Method: another seed on the same folder.
#[tokio::test]
async fn other_world_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    done(options(folder.path(), 10)).await.unwrap();
    let mut other = options(folder.path(), 10);
    other.world.seed = 99;
    assert!(matches!(done(other).await, Err(SynthError::Foreign { .. })));
}

// Goal: a stopped run ends at a boundary and can go on. Method: stop an endless run by its progress, then run to a limit.
#[tokio::test]
async fn stopped_run_ends_whole() {
    let folder = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let endless = RunOptions {
        records_max: None,
        ..options(folder.path(), 0)
    };
    let report = run(endless, SystemClock::shared(), Hooks::default(), stop)
        .await
        .unwrap();
    // Being stopped before the first record, it still finishes the snapshot it has begun.
    assert!(report.delivery.reads > 0);
    let more = done(options(folder.path(), report.delivery.records + 100))
        .await
        .unwrap();
    assert!(more.delivery.records >= report.delivery.records + 100);
}

// Goal: a log that nobody reads fills up with an error of its own. Method: a small bound and no reader.
#[tokio::test]
async fn unread_log_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let sink = SinkOptions::File {
        folder: folder.path().to_owned(),
        segment_bytes: 100_000,
        bytes_max: Some(300_000),
        full_wait: Duration::ZERO,
    };
    let endless = RunOptions {
        sink,
        records_max: None,
        ..options(folder.path(), 0)
    };
    assert!(matches!(done(endless).await, Err(SynthError::Full { .. })));
}

// Goal: a rate is kept. Method: a slow run of few records after the snapshot takes about as long as it must.
#[tokio::test]
async fn rate_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = done(options(folder.path(), 1)).await.unwrap().delivery.records;
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let slow = RunOptions {
        records_per_second: Some(200),
        ..options(folder.path(), first + 100)
    };
    done(slow).await.unwrap();
    assert!(clock.monotonic() - begun >= Duration::from_millis(300));
}

// Goal: a live world that was stopped skips the time it missed and goes on at the rate that is asked for now, and its log is still what its
// saved options give. Method: stop, move the clock an hour on, go on at another rate; compare the whole log with a stream of the options in
// the state.
#[tokio::test]
async fn live_world_skips_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let start_ms = 1_767_859_200_000;
    let clock = Arc::new(ManualClock::new(start_ms));
    let live = |records, changes_per_second| {
        let mut live = options(folder.path(), records);
        live.world = WorldOptions {
            patients: 5,
            history_days: 10,
            ..WorldOptions::live(clock.now_ms(), changes_per_second)
        };
        live.live = true;
        let run = run(live, clock.clone(), Hooks::default(), CancellationToken::new());
        let clock = Arc::clone(&clock);
        async move {
            tokio::select! {
                report = run => report.unwrap().delivery.records,
                () = async { loop { clock.advance(Duration::from_millis(1)); tokio::task::yield_now().await } } => 0,
            }
        }
    };
    let first = live(600, 500).await;
    clock.advance(Duration::from_secs(3_600));
    let second = live(first + 300, 250).await;
    assert!(second >= first + 300);

    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("synth-state.json")).unwrap()).unwrap();
    let world: WorldOptions = serde_json::from_value(state["world"].clone()).unwrap();
    assert_eq!(world.pauses.len(), 1);
    assert!(world.pauses[0].by_ms > 3_000_000);
    let rates: Vec<u64> = world.rate_changes.iter().map(|rate| rate.changes_per_day).collect();
    assert_eq!((world.changes_per_day, rates), (500 * 86_400, vec![250 * 86_400]));
    let stream = RecordStream::new(world, DeliveryOptions::default()).unwrap();
    let mut expected = Vec::new();
    for record in stream.take(usize::try_from(second).unwrap()) {
        record.write_line(&mut expected);
    }
    assert_eq!(content(folder.path()), expected);
}
