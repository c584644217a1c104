use super::*;
use tidewater_core::{Coded, ManualClock, Retry};

fn limits(running_max: usize) -> ClassLimits {
    ClassLimits {
        running_max,
        queued_max: 1,
        wait_max: Duration::from_secs(5),
        weight: 1,
        user_running_max: 8,
        user_queued_max: 8,
    }
}

fn admission(clock: &Arc<ManualClock>, change: impl FnOnce(&mut AdmissionLimits)) -> Admission {
    let mut all = AdmissionLimits {
        running_max: 8,
        interactive: limits(1),
        batch: limits(1),
        maintenance: limits(1),
    };
    change(&mut all);
    all.validate().expect("limits that can be met");
    Admission::new(all, clock.clone())
}

// Goal: one runs, one waits, the next is refused with an error that says "again"; classes do not disturb each other.
// Method: three requests of one class by hand.
#[tokio::test]
async fn runs_waits_refuses() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |_| {});
    let first = admission.admit(Class::Interactive, None).await.expect("free");
    let mut second = Box::pin(admission.admit(Class::Interactive, None));
    assert!(futures::poll!(&mut second).is_pending());
    let third = admission.admit(Class::Interactive, None).await.expect_err("full");
    assert!(matches!(third, SchedulerError::QueueFull { queued: 1, .. }), "{third}");
    assert_eq!(third.retry(), Retry::Safe);
    let told = admission
        .room(Class::Interactive, None)
        .expect_err("full for who only looks");
    assert_eq!(told.code(), third.code());
    admission.room(Class::Batch, None).expect("another class");
    admission.admit(Class::Batch, None).await.expect("another class");
    assert_eq!(admission.load(Class::Interactive), Load { running: 1, queued: 1 });
    drop(first);
    admission.room(Class::Interactive, None).expect("the line is empty");
    second.await.expect("its turn");
    assert_eq!(
        admission.load(Class::Interactive),
        Load { running: 0, queued: 0 },
        "looking takes no place"
    );
}

// Goal: nobody waits for ever, and who gave up does not count. Method: move the clock past the limit; drop a wait.
#[tokio::test]
async fn the_wait_has_an_end() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |_| {});
    let first = admission.admit(Class::Batch, None).await.expect("free");
    let mut second = Box::pin(admission.admit(Class::Batch, None));
    assert!(futures::poll!(&mut second).is_pending());
    clock.advance(Duration::from_secs(6));
    let refused = second.await.expect_err("too late");
    assert_eq!((refused.code(), refused.retry()), ("SCH-0010", Retry::Safe));
    assert_eq!(admission.load(Class::Batch), Load { running: 1, queued: 0 });
    let mut third = Box::pin(admission.admit(Class::Batch, None));
    assert!(futures::poll!(&mut third).is_pending());
    // Called, and gone before it could hear it: the place goes back.
    drop(first);
    assert_eq!(admission.load(Class::Batch), Load { running: 1, queued: 0 });
    drop(third);
    assert_eq!(admission.load(Class::Batch), Load { running: 0, queued: 0 });
}

// Goal: where places are short, each class gets its share, and none starves. Method: two places for all, many waiting of two
// classes of weights 3 and 1; who is called as one place after another becomes free.
#[tokio::test]
async fn shares_go_by_weight() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |all| {
        all.running_max = 4;
        all.interactive = ClassLimits {
            running_max: 4,
            queued_max: 100,
            weight: 3,
            ..limits(4)
        };
        all.maintenance = ClassLimits {
            running_max: 4,
            queued_max: 100,
            ..limits(4)
        };
    });
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(admission.admit(Class::Interactive, None).await.expect("free"));
    }
    let mut waiting = Vec::new();
    for _ in 0..12 {
        for lane in [Lane::Interactive, Lane::Maintenance] {
            let mut wait = Box::pin(admission.admit(lane, None));
            assert!(futures::poll!(&mut wait).is_pending());
            waiting.push(wait);
        }
    }
    drop(held);
    let running = |lane| admission.load(lane).running;
    assert_eq!((running(Lane::Interactive), running(Lane::Maintenance)), (3, 1));
    assert_eq!(admission.load(Lane::Batch).running, 0);
    // Four places among the 24 that wait: all of them come in as places become free.
    let done = waiting
        .into_iter()
        .map(async |wait| drop(wait.await.expect("its turn")));
    futures::future::join_all(done).await;
    assert_eq!((running(Lane::Interactive), running(Lane::Maintenance)), (0, 0));
}

// Goal: within a class who came first runs first, whoever asks. Method: one place, six who wait, of two users and of none, of whom one gives
// up; as the place becomes free again and again the others come in as they stand, and nobody behind them does.
#[tokio::test]
async fn who_came_first_runs_first() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |all| all.interactive.queued_max = 8);
    let mut running = admission.admit(Class::Interactive, None).await.expect("free");
    let mut waiting = Vec::new();
    for user in [Some("ana"), Some("ben"), None, Some("ana"), None, Some("ben")] {
        let mut wait = Box::pin(admission.admit(Class::Interactive, user));
        assert!(futures::poll!(&mut wait).is_pending());
        waiting.push(wait);
    }
    drop(waiting.remove(2));
    while !waiting.is_empty() {
        drop(running);
        let first = waiting.remove(0);
        for behind in &mut waiting {
            assert!(
                futures::poll!(behind).is_pending(),
                "{} are left",
                admission.load(Class::Interactive).queued
            );
        }
        running = first.await.expect("its turn");
    }
    drop(running);
    assert_eq!(admission.load(Class::Interactive), Load { running: 0, queued: 0 });
}

// Goal: one user leaves places for others, and is refused alone. Method: a user with one place and one in line; another user
// comes in beside; a third statement of the first is refused.
#[tokio::test]
async fn users_have_caps() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |all| {
        all.interactive = ClassLimits {
            running_max: 3,
            queued_max: 10,
            user_running_max: 1,
            user_queued_max: 1,
            ..limits(3)
        };
    });
    let first = admission.admit(Class::Interactive, Some("ana")).await.expect("free");
    let mut second = Box::pin(admission.admit(Class::Interactive, Some("ana")));
    assert!(futures::poll!(&mut second).is_pending());
    let third = admission
        .admit(Class::Interactive, Some("ana"))
        .await
        .expect_err("her own");
    assert_eq!((third.code(), third.retry()), ("SCH-0018", Retry::Safe));
    let other = admission
        .admit(Class::Interactive, Some("ben"))
        .await
        .expect("another user");
    drop(first);
    drop(second.await.expect("her turn"));
    drop(other);
    assert_eq!(admission.load(Class::Interactive), Load { running: 0, queued: 0 });
}

// Goal: limits that nothing could run under are refused. Method: break one at a time.
#[test]
fn impossible_limits_are_refused() {
    let good = AdmissionLimits::default();
    assert!(good.validate().is_ok());
    let broken: [fn(&mut AdmissionLimits); 4] = [
        |all| all.running_max = 0,
        |all| all.batch.running_max = 0,
        |all| all.maintenance.weight = 0,
        |all| all.interactive.user_running_max = 0,
    ];
    for change in broken {
        let mut limits = good;
        change(&mut limits);
        assert!(limits.validate().is_err(), "{limits:?}");
    }
}

// Goal: a reader who takes nothing keeps nobody out, and goes on as the first when others are done. Method: one place; its plan
// rests for less and for more than the patience while others wait, then wants rows again.
#[tokio::test]
async fn places_of_readers_who_do_not_read_are_lent() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |all| all.interactive.queued_max = 8);
    let mut slow = admission.admit(Class::Interactive, None).await.expect("free");
    let mut second = Box::pin(admission.admit(Class::Interactive, None));
    assert!(futures::poll!(&mut second).is_pending());
    clock.advance(PATIENCE * 2);
    assert!(
        futures::poll!(&mut second).is_pending(),
        "what computes keeps its place"
    );
    slow.rest();
    clock.advance(PATIENCE / 2);
    assert!(
        futures::poll!(&mut second).is_pending(),
        "it rests no longer than a reader may"
    );
    clock.advance(PATIENCE);
    let second = second.await.expect("a lent place");
    let mut third = Box::pin(admission.admit(Class::Interactive, None));
    assert!(futures::poll!(&mut third).is_pending());
    {
        let mut again = Box::pin(slow.resume());
        assert!(futures::poll!(&mut again).is_pending(), "the place is taken");
        drop(second);
        again.await;
    }
    assert!(futures::poll!(&mut third).is_pending(), "who came back was first");
    slow.rest();
    slow.resume().await;
    clock.advance(PATIENCE * 2);
    assert!(futures::poll!(&mut third).is_pending(), "it rests no more");
    drop(slow);
    drop(third.await.expect("its turn"));
    assert_eq!(admission.load(Class::Interactive), Load { running: 0, queued: 0 });
}

// Goal: places that were lent are counted right however their owners end. Method: owners that end while others sit there, while
// they wait to come back, and in the moment they are called; then as many come in as may, and no more.
#[tokio::test]
async fn lent_places_are_counted_once() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |all| {
        all.interactive = ClassLimits {
            queued_max: 8,
            ..limits(2)
        };
    });
    for ends in 0..3 {
        let mut slow = Vec::new();
        for _ in 0..2 {
            let permit = admission.admit(Class::Interactive, Some("ana")).await.expect("free");
            permit.rest();
            slow.push(permit);
        }
        clock.advance(PATIENCE * 2);
        let others = [
            admission.admit(Class::Interactive, None).await.expect("a lent place"),
            admission.admit(Class::Interactive, None).await.expect("a lent place"),
        ];
        match ends {
            0 => {
                drop(slow);
                drop(others);
            }
            _ => {
                let mut again = Box::pin(slow[0].resume());
                assert!(futures::poll!(&mut again).is_pending());
                if ends == 2 {
                    drop(others);
                    drop(again);
                    drop(slow);
                } else {
                    drop(again);
                    drop(slow);
                    drop(others);
                }
            }
        }
        assert_eq!(
            admission.load(Class::Interactive),
            Load { running: 0, queued: 0 },
            "{ends}"
        );
    }
}

// Goal: jobs keep their places. Method: one rests while another waits.
#[tokio::test]
async fn jobs_lend_nothing() {
    let clock = Arc::new(ManualClock::new(0));
    let admission = admission(&clock, |_| {});
    let job = admission.admit(Class::Batch, None).await.expect("free");
    job.rest();
    let mut second = Box::pin(admission.admit(Class::Batch, None));
    assert!(futures::poll!(&mut second).is_pending());
    clock.advance(PATIENCE * 3);
    assert!(futures::poll!(&mut second).is_pending());
    drop(job);
    second.await.expect("its turn");
}
