//! Time, owners and limits of what is held, on a clock of the test's own.

use std::future::{pending, ready};

use datafusion::arrow::array::{ArrayRef, Int64Array};
use futures::stream;

use tidewater_core::{Coded, ManualClock};

use super::*;

struct Store {
    held: Held,
    clock: Arc<ManualClock>,
    owner: Principal,
}

impl Store {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(0));
        Self {
            held: Held::new(clock.clone()),
            clock,
            owner: Principal::named("ana"),
        }
    }

    async fn rows(&self, id: Uuid) {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("v", column)]).expect("a batch");
        let results = Results {
            schema: batch.schema(),
            batches: Box::pin(stream::iter([Ok(batch)])),
            warnings: Vec::new(),
            basis: None,
        };
        let patience = Some(Duration::from_secs(60));
        self.held.begin(&self.owner, id, patience).expect("room");
        let rows = Ended::collect(results, |_| ());
        self.held.hold(id, rows, |_| ()).await;
    }

    fn look(&self, id: Uuid) -> Result<Look, &'static str> {
        self.held.look(&self.owner, id).map_err(|error| error.code())
    }
}

// Goal: rows stay for their time, longer if that is asked for, and never longer than the most. Method: the clock moved to just
// before each end, and to the last.
#[tokio::test]
async fn rows_are_held_for_their_time() {
    let store = Store::new();
    let id = Uuid::from_u128(1);
    store.rows(id).await;
    let second = Duration::from_secs(1);
    store.clock.advance(KEPT - second);
    assert!(matches!(store.look(id), Ok(Look::Done(ended, left)) if ended.rows() == 2 && left == second));
    assert_eq!(store.held.renew(&store.owner, id).ok(), Some(KEPT));
    for _ in 0..4 {
        store.clock.advance(KEPT - second);
        assert!(store.held.renew(&store.owner, id).is_ok());
    }
    store.clock.advance(KEPT - second);
    let left = store.held.renew(&store.owner, id).expect("it is there still");
    assert_eq!(left, KEPT_MAX - (KEPT - second) * 6);
    store.clock.advance(left);
    assert_eq!(store.look(id).err(), Some("SQL-0022"));
    let gone = store.held.renew(&store.owner, id).err();
    assert_eq!(gone.map(|error| error.code()), Some("SQL-0022"));
}

// Goal: nobody else learns of a statement or ends it. Method: another name asks in each way.
#[tokio::test]
async fn others_find_nothing() {
    let store = Store::new();
    let id = Uuid::from_u128(1);
    store.rows(id).await;
    let other = Principal::named("bob");
    let errors = [
        store.held.look(&other, id).err(),
        store.held.wait(&other, id, KEPT).await.err(),
        store.held.renew(&other, id).err(),
        store.held.cancel(&other, id).err(),
        store.held.forget(&other, id).err(),
    ];
    for error in errors {
        assert_eq!(error.map(|error| error.code()), Some("SQL-0022"));
    }
    assert!(matches!(store.look(id), Ok(Look::Done(..))));
}

// Goal: work ends when nobody asks for it any more, and goes on as long as somebody does. Method: work without an end, asked for
// a few times and then not.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "work whose end is looked at")]
async fn what_nobody_asks_for_is_given_up() {
    let store = Store::new();
    let (id, patience) = (Uuid::from_u128(1), Duration::from_secs(60));
    store.held.begin(&store.owner, id, Some(patience)).expect("room");
    let held = store.held.clone();
    let (told, told_of) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let tells = Arc::clone(&told);
    let work = tokio::spawn(async move {
        held.hold(id, pending(), |cut| *tells.lock().expect("a cause") = Some(cut))
            .await;
    });
    for _ in 0..3 {
        store.clock.advance(patience / 2);
        tokio::task::yield_now().await;
        assert!(matches!(store.look(id), Ok(Look::Runs)));
    }
    assert!(!work.is_finished());
    store.clock.advance(patience);
    work.await.expect("it has been given up");
    assert_eq!(store.look(id).err(), Some("SQL-0022"));
    assert_eq!(*told.lock().expect("a cause"), Some(Cut::Unseen(patience)));
    // One that its owner lets go of is not given up.
    store.held.begin(&store.owner, id, Some(patience)).expect("room");
    let lets_go = async { store.held.forget(&store.owner, id) };
    let given_up = |cut| *told_of.lock().expect("a cause") = Some(cut);
    let ((), ran) = tokio::join!(store.held.hold(id, pending(), given_up), lets_go);
    assert!(matches!(ran, Ok(true)));
    assert_eq!(*told_of.lock().expect("a cause"), None);
}

// Goal: whoever waits is told at once, of an end and of its cancelling. Method: two who wait longer than the test lasts.
#[tokio::test]
async fn those_who_wait_are_told() {
    let store = Store::new();
    let (ends, cancelled) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for id in [ends, cancelled] {
        store.held.begin(&store.owner, id, None).expect("room");
    }
    let changed = ready(Ok(Ended::changed("DELETE", Some(1))));
    let (look, ()) = tokio::join!(
        store.held.wait(&store.owner, ends, KEPT),
        store.held.hold(ends, changed, |_| ())
    );
    assert!(
        matches!(look, Ok(Look::Done(Ended::Changed { .. }, _))),
        "it was told of its end"
    );
    let cancel = async { store.held.cancel(&store.owner, cancelled) };
    let (look, (), cancel) = tokio::join!(
        store.held.wait(&store.owner, cancelled, KEPT),
        store.held.hold(cancelled, pending(), |_| ()),
        cancel
    );
    assert!(cancel.is_ok());
    assert!(matches!(look, Ok(Look::Failed(failed)) if failed.error.code() == "SQL-0006"));
}

// Goal: one user cannot take all the room. Method: as many as one may have, one more, one let go, one more.
#[tokio::test]
async fn one_user_has_so_many() {
    let store = Store::new();
    let begin = |number: usize| {
        let id = Uuid::from_u128(number as u128);
        store.held.begin(&store.owner, id, None)
    };
    for number in 0..HELD_OF_ONE_MAX {
        begin(number).expect("room");
    }
    let refused = begin(HELD_OF_ONE_MAX).err().map(|error| error.code());
    assert_eq!(refused, Some("SQL-0023"));
    assert!(matches!(store.held.forget(&store.owner, Uuid::nil()), Ok(true)));
    begin(HELD_OF_ONE_MAX).expect("room again");
    let failed = ready(Err(QueryError::BadHandle.into()));
    store.held.hold(Uuid::from_u128(1), failed, |_| ()).await;
    assert!(matches!(store.look(Uuid::from_u128(1)), Ok(Look::Failed(_))));
}
