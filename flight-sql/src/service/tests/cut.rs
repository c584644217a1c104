//! Statements that a limit ends, as their history has them.

use std::pin::pin;

use futures::{FutureExt, StreamExt};

use super::*;

impl Lake {
    /// The codes of statements that have ended, the newest first.
    fn ends(&self) -> Vec<Option<String>> {
        let all = self.service.history().all().into_iter();
        all.filter(|record| record.duration_ms.is_some())
            .map(|record| record.error)
            .collect()
    }
}

// Goal: a statement that a limit ends stands in the history under that limit's code, and one that is cancelled or left as cancelled. Method:
// rows that nobody takes, of which one is over time, one was to be held and is too large, one is cancelled, and one is dropped.
#[tokio::test]
async fn limits_are_told_in_the_history() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let (service, user) = (&lake.service, Principal::local());
    let begin = async |number: u128| {
        let statement = Statement {
            id: Uuid::from_u128(number),
            ..Statement::new(format!("SELECT id + {number} FROM numbers"))
        };
        service.run(&user, &statement).await.expect("rows")
    };
    let late = begin(1).await;
    clock.advance(QueryOptions::default().query_timeout + Duration::from_secs(10));
    service.end_late();
    assert_eq!(lake.ends(), [Some("ENG-0009".to_owned())]);
    drop(late);
    let mut large = begin(2).await;
    service.cut(Uuid::from_u128(2), Cut::TooLarge(1));
    let told = large.batches.next().await.expect("an end").expect_err("an error");
    assert_eq!(told.code(), "SQL-0024");
    assert_eq!(lake.ends()[0].as_deref(), Some("SQL-0024"));
    let cancelled = begin(3).await;
    assert!(service.end(Uuid::from_u128(3)));
    // A limit that comes later changes nothing.
    service.cut(Uuid::from_u128(3), Cut::Late(Duration::ZERO));
    assert_eq!(lake.ends()[0].as_deref(), Some("SQL-0006"));
    drop((cancelled, begin(4).await));
    assert_eq!(lake.ends()[0].as_deref(), Some("SQL-0006"));
    assert_eq!(lake.ends().len(), 4);
}

// Goal: the same of one that has no rows yet. Method: a cross join of hours that is over the time of its session.
#[tokio::test]
async fn limits_are_told_of_what_has_no_rows() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let (service, user) = (&lake.service, Principal::local());
    let tables: Vec<String> = (0..12).map(|at| format!("numbers t{at}")).collect();
    let hours = format!("SELECT sum(sqrt(t0.id * t1.id)) FROM {}", tables.join(" CROSS JOIN "));
    let id = Uuid::from_u128(1);
    let statement = Statement {
        id,
        ..Statement::new(hours)
    };
    let results = service.run(&user, &statement).await.expect("it begins");
    let mut rows = results.batches;
    {
        let mut first = pin!(rows.next());
        assert!(first.as_mut().now_or_never().is_none(), "it has none yet");
    }
    service.cut(id, Cut::Late(Duration::from_secs(5)));
    assert_eq!(rows.next().await.expect("an end").expect_err("late").code(), "ENG-0009");
    assert_eq!(lake.ends(), [Some("ENG-0009".to_owned())]);
}
