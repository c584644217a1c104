use object_store::path::Path;
use tidewater_core::{Rng, SeededRng};

use super::*;

const ROOM: u64 = PAGE_BYTES;

fn meta(size: u64) -> ObjectMeta {
    ObjectMeta {
        location: Path::from("a"),
        last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
        size,
        e_tag: None,
        version: None,
    }
}

/// Asks for a block, and puts it there if it is not. Whether it was.
fn touch(index: &mut Index, name: &Arc<str>, number: u64, ticket: &mut u64) -> bool {
    if index.find(name, number).is_some() {
        return true;
    }
    assert!(index.take(ROOM, &mut Vec::new()));
    *ticket += 1;
    let stored = Stored {
        ticket: *ticket,
        length: 1,
    };
    assert!(index.insert(name, &meta(1), number, stored, ROOM));
    false
}

// Goal: blocks that are asked for again and again stay while everything is read once, which a queue by age alone does not give. Method:
// a hot tenth of the room, then a scan of ten times the room in between; hits of the hot blocks afterwards.
#[test]
fn a_scan_leaves_what_is_hot() {
    let (mut index, mut ticket) = (Index::new(100 * ROOM), 0);
    let (hot, cold): (Arc<str>, Arc<str>) = ("hot".into(), "cold".into());
    for _ in 0..4 {
        for number in 0..10 {
            touch(&mut index, &hot, number, &mut ticket);
        }
    }
    for number in 0..1000 {
        touch(&mut index, &cold, number, &mut ticket);
    }
    assert_eq!(index.blocks(), 100);
    let hits = (0..10)
        .filter(|number| touch(&mut index, &hot, *number, &mut ticket))
        .count();
    assert_eq!(hits, 10);
    assert!(
        !touch(&mut index, &cold, 0, &mut ticket),
        "the scan went over the bound"
    );
}

// Goal: what comes back soon after it had to go stays from then on. Method: a block that goes in a scan, comes back, and is asked for after
// another scan of less than its queue.
#[test]
fn who_comes_back_settles() {
    let (mut index, mut ticket) = (Index::new(100 * ROOM), 0);
    let (one, cold): (Arc<str>, Arc<str>) = ("one".into(), "cold".into());
    touch(&mut index, &one, 0, &mut ticket);
    for number in 0..150 {
        touch(&mut index, &cold, number, &mut ticket);
    }
    assert!(!touch(&mut index, &one, 0, &mut ticket), "it had to go");
    for number in 150..1000 {
        touch(&mut index, &cold, number, &mut ticket);
    }
    assert!(touch(&mut index, &one, 0, &mut ticket), "it came back and stayed");
}

// Goal: sums are right and the bound holds whatever is done in whatever order. Method: random calls against a map of what should be there,
// by seed; at the end everything goes and nothing is left, in the queues neither.
#[test]
fn sums_are_right() {
    for seed in 0..20 {
        let (rng, mut model) = (SeededRng::new(seed), HashMap::new());
        let bytes_max = 40 * ROOM;
        let (mut index, mut ticket) = (Index::new(bytes_max), 0);
        let names: Vec<Arc<str>> = (0..5).map(|n| format!("o{n}").into()).collect();
        for _ in 0..5_000 {
            let (name, number) = (&names[rng.below(5) as usize], rng.below(30));
            let key = (Arc::clone(name), number);
            match rng.below(20) {
                0 => {
                    let gone = index.remove_object(name).len();
                    let before = model.len();
                    model.retain(|(other, _), _| other != name);
                    assert_eq!(gone, before - model.len());
                }
                1 | 2 => {
                    let known = model.remove(&key);
                    let ticket = known.map_or(u64::MAX, |(ticket, _)| ticket);
                    assert_eq!(index.remove(name, number, ticket), known.is_some());
                    assert!(!index.remove(name, number, ticket));
                }
                _ if model.contains_key(&key) => {
                    let found = index.find(name, number).map(|stored| stored.ticket);
                    assert_eq!(found, model.get(&key).map(|(ticket, _)| *ticket));
                }
                _ => {
                    assert_eq!(index.find(name, number), None);
                    let charge = Index::charge(1 + rng.below(3 * ROOM));
                    let mut evicted = Vec::new();
                    assert!(index.take(charge, &mut evicted));
                    model.retain(|_, (ticket, _)| !evicted.contains(ticket));
                    ticket += 1;
                    let stored = Stored { ticket, length: 1 };
                    if rng.below(10) == 0 {
                        index.give_back(charge);
                    } else {
                        assert!(index.insert(name, &meta(1), number, stored, charge));
                        model.insert(key, (ticket, charge));
                        assert!(!index.insert(name, &meta(2), number + 100, stored, charge));
                    }
                }
            }
            let sum: u64 = model.values().map(|(_, charge)| charge).sum();
            assert_eq!((index.taken_bytes(), index.blocks()), (sum, model.len()));
            assert!(sum <= bytes_max);
            assert!(index.probation.len() + index.settled.len() <= 2 * index.blocks() + 2 * TRACES_MIN);
        }
        assert!(ticket > 500, "little happened");
        for name in &names {
            index.remove_object(name);
        }
        assert_eq!((index.taken_bytes(), index.probation_bytes, index.blocks()), (0, 0, 0));
        assert!(index.objects.is_empty());
        assert!(!index.take(bytes_max + 1, &mut Vec::new()));
        assert!(index.take(bytes_max, &mut Vec::new()));
        assert!(!index.take(1, &mut Vec::new()), "room that is taken cannot be evicted");
    }
}
