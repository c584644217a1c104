//! Statements that are ended where another process was asked to.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::*;
use crate::history::Process;
use crate::siblings::{Answer, Ask, Found, Heard};

/// All services of a test, each of which may ask them all, itself among them.
#[derive(Debug, Default)]
pub(crate) struct Near {
    services: OnceLock<Vec<QueryService>>,
    asked: Mutex<Vec<Ask>>,
    /// What is told of those that say nothing.
    silent: Mutex<Vec<String>>,
}

impl Near {
    /// A second service over the same tables, which asks the first one and itself. It is called `second`, and the first one is not called
    /// anything.
    pub(crate) fn beside(lake: &Lake) -> (Arc<Self>, QueryService) {
        let near = Arc::new(Self::default());
        let runner = Arc::new(lake.engine().local_runner());
        let second = lake
            .over_same(runner, ResultCache::new(CacheOptions::default()))
            .remember(QueryHistory::new(lake.engine().clock().clone()).of_process(second_process()))
            .beside(Arc::clone(&near) as Arc<dyn Siblings>);
        let services = vec![second.clone(), lake.service.clone()];
        assert!(near.services.set(services).is_ok(), "set once");
        (near, second)
    }

    /// What was asked since the last look.
    pub(crate) fn asked(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has those that say nothing told of.
    pub(crate) fn silence(&self, silent: &[&str]) {
        let silent = silent.iter().map(|&place| place.to_owned()).collect();
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = silent;
    }

    /// What each says.
    fn put(&self, ask: &Ask) -> Vec<Answer> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ask.clone());
        // As it goes over the wire.
        let sent = serde_json::to_string(ask).expect("data");
        let ask: Ask = serde_json::from_str(&sent).expect("the same");
        let services = self.services.get().expect("they are set").iter();
        let answers = services.map(|service| serde_json::to_string(&service.heed(&ask)).expect("data"));
        answers
            .map(|answer| serde_json::from_str(&answer).expect("the same"))
            .collect()
    }
}

fn second_process() -> Process {
    Process {
        name: "second".to_owned(),
        id: Uuid::from_u128(2),
    }
}

#[async_trait]
impl Siblings for Near {
    async fn ask(&self, ask: &Ask) -> Answer {
        let mut together = Answer::default();
        for answer in self.put(ask) {
            together.join(answer);
        }
        together
    }

    async fn hear(&self, ask: &Ask) -> Heard {
        Heard {
            answers: self.put(ask),
            silent: self.silent.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn tell(&self, ask: Ask) -> bool {
        self.put(&ask);
        true
    }
}

// Goal: its owner ends a statement at another process than the one that runs it, or keeps it from beginning in any; nobody else can, what
// has ended by itself is not told to be cancelled, and nothing is asked of others that was found here. Method: two services that ask each
// other, with a cross join of hours.
#[tokio::test]
async fn the_owner_cancels_anywhere() {
    let lake = Lake::new().await;
    let (near, second) = Near::beside(&lake);
    let [ana, bob] = ["ana", "bob"].map(Principal::named);
    let statement = hours();
    let mut batches = lake.service.run(&ana, &statement).await.expect("it starts").batches;
    assert!(futures::poll!(batches.next()).is_pending(), "it yields while it works");
    assert!(!second.cancel_anywhere(&bob, &statement).await, "another's");
    assert!(futures::poll!(batches.next()).is_pending(), "it goes on");
    assert!(second.cancel_anywhere(&ana, &statement).await);
    let error = batches.next().await.expect("an answer").expect_err("it was cancelled");
    assert_eq!(error.code(), "SQL-0006");
    assert!(second.cancel_anywhere(&ana, &statement).await, "it is ended");
    let never = Statement {
        id: Uuid::from_u128(7),
        ..hours()
    };
    assert!(second.cancel_anywhere(&ana, &never).await, "it never begins");
    for service in [&lake.service, &second] {
        let error = service.run(&ana, &never).await.expect_err("cancelled");
        assert_eq!(error.code(), "SQL-0006");
    }
    let ended = Statement {
        id: Uuid::from_u128(8),
        ..Statement::new("SELECT 1")
    };
    let rows = lake.service.run(&ana, &ended).await.expect("it starts").batches;
    assert_eq!(rows.count().await, 1);
    assert!(!second.cancel_anywhere(&ana, &ended).await, "it has ended by itself");
    assert_eq!(near.asked().len(), 5);
    let prepared = Statement::new("SELECT 1");
    assert!(!second.cancel_anywhere(&ana, &prepared).await, "it has no name");
    let own = Statement {
        id: Uuid::from_u128(9),
        ..hours()
    };
    let running = second.run(&ana, &own).await.expect("it starts");
    assert!(second.cancel_anywhere(&ana, &own).await);
    drop(running);
    assert_eq!(near.asked(), [], "both were decided here");
}

// Goal: the same of what is polled, of what is held, and of whatever an operator ends. Method: a name of each kind at the first service,
// ended at the second one by another user, by its own, and once more.
#[tokio::test]
async fn what_is_held_is_ended_anywhere() {
    let lake = Lake::new().await;
    let (_, second) = Near::beside(&lake);
    let [ana, bob] = ["ana", "bob"].map(Principal::named);
    let (polled, held) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for id in [polled, held] {
        lake.service.held().begin(&ana, id, None).expect("room");
    }
    assert!(!second.cancel_polled_anywhere(&bob, polled).await);
    assert!(second.cancel_polled_anywhere(&ana, polled).await);
    assert!(second.cancel_polled_anywhere(&ana, polled).await, "it is ended");
    for user in [&bob, &ana, &ana] {
        let known = lake.service.held().look(&ana, held).is_ok();
        let forgotten = second.forget_anywhere(user, held).await;
        assert_eq!(forgotten.is_ok(), known && user == &ana, "{user:?}");
        if let Err(error) = forgotten {
            assert_eq!(error.code(), "SQL-0022");
        }
    }
    let statement = hours();
    let mut batches = lake.service.run(&ana, &statement).await.expect("it starts").batches;
    assert!(second.end_anywhere(statement.id).await, "whoever runs it");
    let error = batches.next().await.expect("an answer").expect_err("it was ended");
    assert_eq!(error.code(), "SQL-0006");
    assert!(!second.end_anywhere(statement.id).await, "it is not at work");
}

// Goal: a process without others is as it was. Method: what is not here, in each way.
#[tokio::test]
async fn who_is_alone_asks_nobody() {
    let lake = Lake::new().await;
    let (service, ana, id) = (&lake.service, Principal::named("ana"), Uuid::from_u128(4));
    assert!(!service.end_anywhere(id).await && !service.cancel_polled_anywhere(&ana, id).await);
    assert!(service.forget_anywhere(&ana, id).await.is_err());
    assert!(!service.tell_siblings(Ask::Any { id }) && !service.has_siblings());
    assert_eq!(service.heed(&Ask::Any { id }).found, Found::Nothing);
}
