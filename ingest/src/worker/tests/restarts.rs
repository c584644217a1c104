//! Nothing is lost or doubled where processes end, come back and take over, and where the catalog is away or changes.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidewater_table::plan_scan;

use super::{Process, World, wait_for};
use crate::testing::Fault;

// Goal: a commit that finds no catalog does not keep the process from ending, and nothing of its batch is lost or doubled. Method: a catalog
// that is away for longer than a worker waits for its last commit, and a process after it.
#[test]
fn a_commit_ends_with_its_worker() {
    let mut world = World::new();
    world.log.inject(std::iter::repeat_n(Fault::Unavailable, 12));
    world.append("db.public.users", 50, 10);
    let process = world.start();
    wait_for(&process, || world.log.calls() >= 3);
    let ended = process
        .runtime
        .block_on(process.tasks.shutdown(Duration::from_secs(10)));
    assert!(ended, "{:?}", process.tasks.running());
    process.kill();
    let process = world.start();
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: leases are kept while a full batch waits for one that is on its way. Method: batches of a record each, a catalog that takes no commit for a
// while, and how often it is asked for leases meanwhile.
#[test]
fn leases_are_kept_while_a_batch_waits() {
    let mut world = World::new();
    world.options.commit_bytes = 1;
    world.options.lease_ttl_ms = 3 * world.options.discovery_interval_ms;
    world.log.inject(std::iter::repeat_n(Fault::Unavailable, 7));
    world.append("a.public.users", 5, 100);
    let process = world.start();
    wait_for(&process, || world.log.calls() >= 2);
    let before = world.log.asked();
    wait_for(&process, || world.log.calls() >= 6);
    assert!(world.log.asked() > before + 2);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: what was committed keeps its files where the answer cannot be read, and is read no second time. Method: such an answer to a batch, and
// another batch after it.
#[test]
fn an_answer_that_cannot_be_read_is_none() {
    let mut world = World::new();
    world.log.inject([Fault::AnswerBroken]);
    world.append("a.public.users", 5, 100);
    let process = world.start();
    world.wait(&process);
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    process.stop();
}

// Goal: a delete without a value has its place behind the last change of its partition, whoever wrote that. Method: changes of two
// partitions, a new process each time, then deletes alone, twice.
#[test]
fn a_delete_keeps_its_place_over_restarts() {
    let mut world = World::new();
    world.append_unwrapped(0, 0, Some(41));
    world.append_unwrapped(1, 0, Some(7));
    for (partition, offset) in [(0, 1), (1, 1), (1, 2)] {
        let process = world.start();
        world.wait(&process);
        process.stop();
        world.append_unwrapped(partition, offset, None);
    }
    let process = world.start();
    world.wait(&process);
    assert_eq!(world.stored(&process.runtime), world.written);
    let lsn = process.runtime.block_on(world.lsn_by_place());
    assert_eq!(
        lsn,
        BTreeMap::from([
            ((0, 0), Some(41)),
            ((0, 1), Some(41)),
            ((1, 0), Some(7)),
            ((1, 1), Some(7)),
            ((1, 2), Some(7)),
        ])
    );
    process.stop();
}

// Goal: rows for a table that is replaced while they are on their way are in the columns of the new one. Method: a table with rows makes way
// just before the next commit; what its files tell is of columns that it has.
#[test]
fn a_replaced_table_gets_its_rows() {
    let mut world = World::new();
    world.append("a.public.users", 5, 100);
    let process = world.start();
    world.wait(&process);
    world.log.inject([Fault::TablesReplaced]);
    world.append("a.public.users", 5, 100);
    world.wait(&process);
    // What was there before went with the old table.
    world.written.retain(|(_, _, offset), _| *offset >= 5);
    assert_eq!(world.stored(&process.runtime), world.written);
    let tables = world.log.tables();
    let metadata = &tables[0].metadata;
    let scan = process.runtime.block_on(plan_scan(&world.store, metadata, None, None));
    for file in scan.expect("a readable table") {
        let counts = file.data_file().value_counts();
        let has = |id: &i32| metadata.current_schema().field_by_id(*id).is_some();
        assert!(!counts.is_empty() && counts.keys().all(has), "{counts:?}");
    }
    process.stop();
}

#[derive(Debug, Clone)]
enum Step {
    Append {
        topic: usize,
        partition: i32,
        count: i64,
    },
    Faults(Vec<Fault>),
    /// Kill once this many more commits were tried.
    KillAfter(usize),
    /// Another process starts and takes all leases over; the one before does not know, and goes on.
    TakeOver,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::None),
        Just(Fault::AnswerLost),
        Just(Fault::AnswerBroken),
        Just(Fault::RequestLost),
        Just(Fault::Unavailable),
        Just(Fault::TableMoved),
        Just(Fault::LeaseTaken),
    ];
    prop_oneof![
        4 => (0..3_usize, 0..3_i32, 1..40_i64)
            .prop_map(|(topic, partition, count)| Step::Append { topic, partition, count }),
        3 => prop::collection::vec(fault, 1..5).prop_map(Step::Faults),
        2 => (0..3_usize).prop_map(Step::KillAfter),
        2 => Just(Step::TakeOver),
        1 => Just(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 4, ..ProptestConfig::default() })]

    // Goal: whatever fails, every record is stored exactly once (INV-ING-1, INV-ING-2). Method: random appends to
    // several partitions, faults of the log, kills and processes that take over from living ones; in the end the places in all tables are the places written, each once.
    #[test]
    fn stored_exactly_once(steps in prop::collection::vec(step(), 3..12)) {
        let topics = ["a.public.users", "a.public.orders", "a.public.visits"];
        let mut world = World::new();
        world.append(topics[0], 3, 7);
        let mut process = world.start();
        let mut replaced = Vec::new();
        for step in steps {
            match step {
                Step::Append { topic, partition, count } => world.append_to(topics[topic], partition, count, 7),
                Step::TakeOver => replaced.push(std::mem::replace(&mut process, world.start())),
                Step::Faults(faults) => world.log.inject(faults),
                Step::Wait => world.wait(&process),
                Step::KillAfter(calls) => {
                    for _ in 0..calls {
                        let before = world.log.calls();
                        world.append(topics[0], 2, 7);
                        wait_for(&process, || world.log.calls() > before);
                    }
                    process.kill();
                    process = world.start();
                }
            }
        }
        world.wait(&process);
        replaced.into_iter().for_each(Process::kill);
        prop_assert_eq!(world.stored(&process.runtime), world.written.clone());
        process.stop();
    }
}
