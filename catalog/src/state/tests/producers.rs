//! What producers appended: once each, within bounds, for a time.

use proptest::prelude::*;
use uuid::Uuid;

use super::{commit, create, ident, swap, with_namespace};
use crate::command::{AppendChange, Command, Op, Outcome, ProducerRange, Refusal};
use crate::state::{Meeting, PRODUCER_LIFETIME_MS, PRODUCERS_PER_TABLE_MAX, RANGES_PER_PRODUCER_MAX, State};

const ID: u128 = 1;

fn with_table() -> State {
    let mut state = with_namespace();
    assert!(matches!(
        commit(&mut state, vec![create("t", ID)]),
        Outcome::Committed(_)
    ));
    state
}

fn range(producer: &str, from: u64, to: u64) -> ProducerRange {
    ProducerRange {
        producer: producer.into(),
        from,
        to,
    }
}

fn append(state: &mut State, at_ms: i64, ranges: Vec<ProducerRange>) -> Outcome {
    let version = state.table(&ident("a", "t")).expect("there").version;
    let op = Op::Append(AppendChange {
        change: swap("t", ID, version),
        snapshot_id: i64::try_from(version).expect("small"),
        sequence: 1,
        ranges,
    });
    state.apply(state.index() + 1, Command::new(at_ms, op))
}

fn landed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed(_))
}

// Goal: a range is appended once, and what does not overlap is taken as long as it does not reach behind what is remembered.
// Method: random batches of ranges of two producers, against a list of all that was ever taken.
#[derive(Default)]
struct Model {
    taken: Vec<ProducerRange>,
}

impl Model {
    fn overlaps(&self, range: &ProducerRange) -> bool {
        let mut own = self.taken.iter().filter(|one| one.producer == range.producer);
        own.any(|one| one.from < range.to && range.from < one.to)
    }

    /// One past what a producer of so few ranges may have forgotten.
    fn floor(&self, producer: &str) -> u64 {
        let mut ends: Vec<u64> = self
            .taken
            .iter()
            .filter(|one| one.producer == producer)
            .map(|one| one.to)
            .collect();
        ends.sort_unstable();
        ends.len()
            .checked_sub(RANGES_PER_PRODUCER_MAX + 1)
            .and_then(|at| ends.get(at).copied())
            .unwrap_or(0)
    }
}

proptest! {
    #[test]
    fn a_range_is_appended_once(
        batches in prop::collection::vec(prop::collection::vec((0..2usize, 0..60u64, 1..6u64), 1..4), 1..60)
    ) {
        let (mut state, mut model) = (with_table(), Model::default());
        for batch in batches {
            let batch: Vec<_> = batch
                .into_iter()
                .map(|(producer, from, count)| range(["p", "q"][producer], from, from + count))
                .collect();
            let mut after = Model { taken: model.taken.clone() };
            let (mut wrong, mut open) = (false, false);
            for one in &batch {
                wrong |= after.overlaps(one);
                open |= one.from < after.floor(&one.producer);
                after.taken.push(one.clone());
            }
            let before = state.clone();
            let outcome = append(&mut state, 10, batch.clone());
            if wrong {
                prop_assert!(matches!(outcome, Outcome::Refused(Refusal::AppendOverlap { .. })), "{outcome:?}");
            } else if !open {
                prop_assert!(landed(&outcome), "{batch:?} {outcome:?}");
            }
            if landed(&outcome) {
                prop_assert!(!wrong);
                for one in &batch {
                    let row = state.producer(Uuid::from_u128(ID), &one.producer).expect("remembered");
                    let meets = row.meet(one.from, one.to);
                    let told = matches!(meets, Meeting::Repeated(_)) || one.from < row.floor;
                    prop_assert!(told, "{one:?} {row:?}");
                    prop_assert!(row.ranges.len() <= RANGES_PER_PRODUCER_MAX);
                }
                model = after;
            } else {
                let mut unmoved = state.clone();
                unmoved.index = before.index;
                prop_assert_eq!(unmoved, before);
            }
        }
    }
}

// Goal: what is remembered is bounded, and is forgotten only by its age. Method: as many producers as fit and one more; then time.
#[test]
fn producers_are_bounded_and_age() {
    let mut state = with_table();
    let all: Vec<_> = (0..PRODUCERS_PER_TABLE_MAX)
        .map(|number| range(&format!("p{number}"), 0, 1))
        .collect();
    assert!(landed(&append(&mut state, 1_000, all)));
    let full = append(&mut state, 1_001, vec![range("one more", 0, 1)]);
    assert!(matches!(full, Outcome::Refused(Refusal::Full { .. })), "{full:?}");
    // One that is known goes on, and lives on.
    assert!(landed(&append(&mut state, 5_000, vec![range("p7", 1, 2)])));
    assert!(landed(&append(
        &mut state,
        1_001 + PRODUCER_LIFETIME_MS,
        vec![range("one more", 0, 1)]
    )));
    assert_eq!(state.producers_count(), 2);
    let id = Uuid::from_u128(ID);
    assert!(state.producer(id, "p7").is_some_and(|row| row.last() == (1, 2)));
    assert!(state.producer(id, "p8").is_none());
}

// Goal: ranges stay with a table through its names, and a lost race remembers nothing. Method: rename; a stale version.
#[test]
fn ranges_belong_to_the_table() {
    let mut state = with_table();
    assert!(landed(&append(&mut state, 10, vec![range("p", 0, 5)])));
    let stale = Op::Append(AppendChange {
        change: swap("t", ID, 1),
        snapshot_id: 1,
        sequence: 1,
        ranges: vec![range("p", 5, 6)],
    });
    let refused = state.apply(90, Command::new(10, stale));
    assert_eq!(refused, Outcome::Refused(Refusal::Stale(ident("a", "t"))));
    let rename = Op::RenameTable {
        from: ident("a", "t"),
        to: ident("a", "u"),
    };
    assert_eq!(state.apply(91, Command::new(10, rename)), Outcome::Done);
    let row = state.producer(Uuid::from_u128(ID), "p").expect("remembered");
    assert_eq!(row.meet(5, 6), Meeting::New);
    assert!(matches!(row.meet(0, 5), Meeting::Repeated(_)));
}
