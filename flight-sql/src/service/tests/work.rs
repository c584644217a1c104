//! Statements at work: how many, how long, and who ends them.

use super::*;

// Goal: no more statements are at work than may, and a dropped answer makes room. Method: one place.
#[tokio::test]
async fn statements_at_work_are_bounded() {
    let options = QueryOptions {
        statements_max: 1,
        ..QueryOptions::default()
    };
    let lake = Lake::with(options, SystemClock::shared()).await;
    let running = lake.start("SELECT 1", Bytes::new()).await.expect("a free place");
    let error = lake.start("SELECT 2", Bytes::new()).await.expect_err("no second place");
    assert_eq!((error.code(), error.kind()), ("SQL-0004", ErrorKind::Exhausted));
    drop(running);
    assert_eq!(lake.rows("SELECT 3").await, ["3"], "a free place again");
    assert_eq!(lake.service.0.running.count(), 0);
}

// Goal: its owner ends a statement at once, also when nobody reads its rows, or keeps it from beginning; nobody else can, and what has
// ended by itself cannot be cancelled. Method: a cross join of hours, asked about by two users and with other ids.
#[tokio::test]
async fn only_the_owner_cancels() {
    let lake = Lake::new().await;
    let [ana, bob] = ["ana", "bob"].map(Principal::named);
    let statement = hours();
    let never = Statement {
        id: Uuid::from_u128(7),
        ..statement.clone()
    };
    assert!(
        lake.service.cancel(&ana, &never) && lake.service.cancel(&ana, &never),
        "it never begins"
    );
    assert_eq!(
        lake.service.run(&ana, &never).await.expect_err("cancelled").code(),
        "SQL-0006"
    );
    let mut batches = lake.service.run(&ana, &statement).await.expect("it starts").batches;
    assert!(futures::poll!(batches.next()).is_pending(), "it yields while it works");
    assert!(!lake.service.cancel(&bob, &statement), "another's");
    let prepared = Statement::new(statement.sql.clone());
    assert!(!lake.service.cancel(&ana, &prepared), "a prepared statement is none");
    assert!(lake.service.cancel(&ana, &statement));
    let error = batches.next().await.expect("an answer").expect_err("it was cancelled");
    assert_eq!((error.code(), error.kind()), ("SQL-0006", ErrorKind::Cancelled));
    assert!(batches.next().await.is_none());
    assert_eq!(lake.service.0.running.count(), 0);
    assert!(
        lake.service.cancel(&ana, &statement),
        "it is ended, as often as it is asked"
    );
    let ended = Statement {
        id: Uuid::from_u128(8),
        ..Statement::new("SELECT 1")
    };
    let rows = lake.service.run(&ana, &ended).await.expect("it starts").batches;
    assert_eq!(rows.count().await, 1);
    assert!(!lake.service.cancel(&ana, &ended), "it has ended by itself");
}

// Goal: a query that takes longer than it may ends with an error that says so. Method: a cross join of hours; the clock is
// moved past the limit.
#[tokio::test]
async fn queries_end_at_their_time_limit() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let tables: Vec<String> = (0..12).map(|at| format!("numbers t{at}")).collect();
    let sql = format!("SELECT sum(sqrt(t0.id * t1.id)) FROM {}", tables.join(" CROSS JOIN "));
    let mut batches = lake.start(&sql, Bytes::new()).await.expect("it starts").batches;
    assert!(futures::poll!(batches.next()).is_pending(), "it yields while it works");
    clock.advance(QueryOptions::default().query_timeout + Duration::from_secs(1));
    let error = batches
        .try_collect::<Vec<_>>()
        .await
        .expect_err("it cannot end in time");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{}", error.chain());
}
