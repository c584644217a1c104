use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use uuid::Uuid;

use super::*;
use crate::job_store::MemoryJobStore;
use tidewater_core::{ErrorKind, SystemClock};

fn spec(attempts_max: u32) -> JobSpec {
    JobSpec {
        id: JobId(Uuid::from_u128(7)),
        kind: "model".into(),
        name: "gold.patient_360".into(),
        attempts_max,
        detail: serde_json::json!({"input": 1}),
    }
}

fn lost() -> SchedulerError {
    SchedulerError::ExecutorsLost { attempts: 1 }
}

// Goal: what may be tried again is tried again, and the row tells how it went. Method: a job that fails once.
#[tokio::test]
async fn tried_again() {
    let (store, clock) = (MemoryJobStore::default(), SystemClock::shared());
    let calls = AtomicU32::new(0);
    let done: u32 = run_job(&store, &clock, spec(3), |attempt| {
        let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            assert_eq!(attempt.number, call);
            if call == 1 { Err(lost()) } else { Ok(42) }
        }
    })
    .await
    .expect("the second attempt works");
    assert_eq!(done, 42);
    let row = store.get(spec(3).id).await.expect("a store").expect("a row");
    assert!(
        matches!(&row.state, JobState::Succeeded { attempt: 2, outcome, .. } if *outcome == 42),
        "{row:?}"
    );

    // Asked for once more, it is not run once more.
    let again: u32 = run_job(&store, &clock, spec(3), |_| async { Err(lost()) })
        .await
        .expect("the outcome of before");
    assert_eq!(again, 42);
}

// Goal: attempts end, and an error that stays is not tried again. Method: a job that always fails, one way and the other.
#[tokio::test]
async fn given_up() {
    let (store, clock) = (MemoryJobStore::default(), SystemClock::shared());
    let calls = AtomicU32::new(0);
    let error = run_job::<(), _, _, _>(&store, &clock, spec(2), |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        async { Err(lost()) }
    })
    .await
    .expect_err("it always fails");
    assert_eq!((error.code(), calls.load(Ordering::Relaxed)), ("SCH-0004", 2));
    let row = store.get(spec(2).id).await.expect("a store").expect("a row");
    assert!(
        matches!(&row.state, JobState::Failed { attempt: 2, error, .. } if error.kind == ErrorKind::Unavailable),
        "{row:?}"
    );

    let store = MemoryJobStore::default();
    let calls = AtomicU32::new(0);
    let refused = run_job::<(), _, _, _>(&store, &clock, spec(5), |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        async { Err(SchedulerError::Options { reason: "no".into() }) }
    });
    refused.await.expect_err("it never works");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

// Goal: who was overtaken learns it and does not say "succeeded". Method: another process takes the row over meanwhile.
#[tokio::test]
async fn taken_over() {
    let (store, clock) = (Arc::new(MemoryJobStore::default()), SystemClock::shared());
    let other = store.clone();
    let result = run_job::<(), _, _, _>(store.as_ref(), &clock, spec(3), |_| {
        let other = other.clone();
        async move {
            let mut row = other.get(spec(3).id).await?.expect("begun");
            row.state = JobState::Running {
                attempt: 2,
                since_ms: 0,
            };
            other.put(&row).await?;
            Ok::<(), SchedulerError>(())
        }
    });
    let error = result.await.expect_err("somebody else has it");
    assert_eq!((error.code(), error.kind()), ("SCH-0014", ErrorKind::Fenced));
}
