//! Many deaths: three moments, stages made by each of Ballista's three ways, reading and writing, with an aggregate that orders its rows
//! and without. `TIDEWATER_EXECUTOR_KILLS=1000` makes it longer.

use std::collections::BTreeSet;
use std::time::Duration;

use tidewater_scheduler::{Planner, Scheduler, SchedulerOptions};

use crate::child::ExecutorChild;
use crate::lake::{Lake, START_DEADLINE};
use crate::loss::{Moment, PATIENCE, progress, reached};
use crate::work::{Work, begin, columns_of, nothing_is_left};

/// Kills of a run of the usual size: each of the twelve cases of a cluster twice.
const KILLS: usize = 100;

/// Clusters that are killed at the same time, as most of what a kill takes is waiting, by who makes their stages. The product has the
/// adaptive planner only, so it has two.
const CLUSTERS: [Planner; 4] = [Planner::Adaptive, Planner::Static, Planner::Physical, Planner::Adaptive];

/// Moments, orders and works.
const CASES: usize = 12;

pub(crate) const MOMENTS: [Moment; 3] = [Moment::Mapping, Moment::Written, Moment::Reading];

/// The statement of a moment, with an aggregate that orders its rows or without.
pub(crate) fn statement(moment: Moment, orders: bool) -> String {
    let ordered = |column: &str| match orders {
        false => "0 AS a".to_owned(),
        true => format!("array_length(array_agg({column} ORDER BY {column})) AS a"),
    };
    match moment {
        Moment::Mapping => format!(
            "SELECT note, count(*) AS n, sum(slow(id, {{ms}})) AS s, {} FROM orders GROUP BY note",
            ordered("id")
        ),
        Moment::Written => format!(
            "SELECT note, count(*) AS n, sum(k) AS s, {}
             FROM orders JOIN (SELECT slow(order_id, {{ms}}) AS k FROM items) ON id = k GROUP BY note",
            ordered("k")
        ),
        Moment::Reading => format!(
            "SELECT CAST(k % 7 AS VARCHAR) AS note, count(*) AS n, sum(slow(n * k, {{ms}})) AS s, {}
             FROM (SELECT order_id AS k, count(*) AS n FROM items GROUP BY order_id) GROUP BY 1",
            ordered("k")
        ),
    }
}

/// Kills the victim once the moment has come. False: the job ended before.
pub(crate) async fn kill_at(
    lake: &Lake,
    scheduler: &Scheduler,
    moment: Moment,
    id: &str,
    victim: &mut ExecutorChild,
) -> bool {
    let came = comes(lake, scheduler, moment, id).await;
    if came {
        victim.kill();
    }
    came
}

/// Waits until the moment has come for the executor of this name. False: the job ended before.
pub(crate) async fn comes(lake: &Lake, scheduler: &Scheduler, moment: Moment, id: &str) -> bool {
    let begun = lake.clock.monotonic();
    let mut seen = false;
    loop {
        let now = progress(scheduler).await;
        if reached(moment, id, &now) {
            return true;
        }
        if seen && now.is_empty() {
            return false;
        }
        seen |= !now.is_empty();
        assert!(
            lake.clock.monotonic() - begun < PATIENCE,
            "{moment:?} never came: {now:?}"
        );
        lake.clock.sleep(Duration::from_millis(5)).await;
    }
}

// Goal: whenever an executor dies, and whoever made the stages, rows are right, each file is listed once, and none is left that no snapshot
// has. Method: clusters with adaptive, static and physical plans whose executors are killed and replaced again and again: at three moments,
// with ordered aggregates and without, reading and writing; rows against one process, files against the folder; in the end a job that takes
// up every core. What did not die at its moment does not count, and enough have to, of each case.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "scripts/chaos runs it: minutes"]
async fn executors_die_again_and_again() {
    let wanted = std::env::var("TIDEWATER_EXECUTOR_KILLS")
        .ok()
        .and_then(|count| count.parse().ok());
    let wanted: usize = wanted.unwrap_or(KILLS);
    let each = wanted.div_ceil(CLUSTERS.len());
    let clusters = CLUSTERS.into_iter().enumerate();
    let clusters = clusters.map(|(at, planner)| a_cluster(at, planner, each));
    for (kills, planner) in futures::future::join_all(clusters).await.into_iter().zip(CLUSTERS) {
        println!("{planner:?} plans:\n{}", kills.join("\n"));
    }
}

/// So many kills in one cluster, which begins with another case than the others. What each of them was.
async fn a_cluster(at: usize, planner: Planner, wanted: usize) -> Vec<String> {
    let (mut told, mut died) = (Vec::new(), BTreeSet::new());
    let lake = Lake::new().await;
    let options = SchedulerOptions {
        planner,
        ..SchedulerOptions::loopback()
    };
    let scheduler = lake.scheduler(options).await;
    let _survivor = ExecutorChild::start("survivor", scheduler.address(), lake.home.path());
    scheduler
        .wait_for_executors(1, START_DEADLINE)
        .await
        .expect("the survivor");
    let survivor = scheduler.executors().await.expect("a list")[0].id.clone();
    let (mut kills, mut tries) = (0, 0);
    while kills < wanted {
        let case = tries + at * 3;
        let (moment, orders, writes) = (MOMENTS[case % 3], case / 3 % 2 == 1, case / 6 % 2 == 1);
        tries += 1;
        assert!(tries <= wanted * 2, "{kills} kills in {tries} tries");
        let mut victim = ExecutorChild::start(&format!("victim-{tries}"), scheduler.address(), lake.home.path());
        let registered = scheduler.wait_for_executors(2, START_DEADLINE).await;
        assert!(registered.is_ok(), "{}", victim.log_tail());
        let executors = scheduler.executors().await.expect("a list");
        let id = executors
            .iter()
            .find(|executor| executor.id != survivor)
            .expect("the victim")
            .id
            .clone();
        let sql = statement(moment, orders);
        let sql = columns_of(&sql);
        let expected = lake.rows(&lake.engine.local_runner(), &sql.replace("{ms}", "0")).await;
        let killed = lake.clock.monotonic();
        let work = if writes { Work::Writes } else { Work::Reads };
        let target = format!("gold.kill_{tries}");
        let begun = begin(&lake, &scheduler, work, &sql.replace("{ms}", "100"), &target).await;
        if kill_at(&lake, &scheduler, moment, &id, &mut victim).await {
            kills += 1;
            died.insert(case % CASES);
        }
        let found = begun.rows(&lake).await.expect("rows");
        let took = lake.clock.monotonic() - killed;
        told.push(format!(
            "{kills} kills: {moment:?} orders {orders} writes {writes}: {took:?}"
        ));
        assert_eq!(
            found, expected,
            "{planner:?}: {moment:?} orders {orders} writes {writes}"
        );
        if writes {
            nothing_is_left(&lake, &target).await;
        }
        drop(victim);
        let begun = lake.clock.monotonic();
        while scheduler.executors().await.expect("a list").len() > 1 {
            assert!(lake.clock.monotonic() - begun < PATIENCE, "the dead stay on the list");
            lake.clock.sleep(Duration::from_millis(50)).await;
        }
    }
    let all = wanted.min(CASES);
    assert!(died.len() >= all, "{planner:?}: of the cases only {died:?} died");
    let last = columns_of(&statement(Moment::Mapping, true)).replace("{ms}", "100");
    let rows = begin(&lake, &scheduler, Work::Reads, &last, "gold.none").await;
    let begun = lake.clock.monotonic();
    while scheduler.load_of(&survivor).await.vcores < 2 {
        assert!(
            lake.clock.monotonic() - begun < PATIENCE,
            "cores stay idle after {kills} kills"
        );
        lake.clock.sleep(Duration::from_millis(10)).await;
    }
    rows.rows(&lake).await.expect("rows");
    told.push(format!("{kills} kills in {tries} tries"));
    told
}
