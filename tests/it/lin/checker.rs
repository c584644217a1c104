//! Whether a history of one register is linearizable: the search of Wing and Gong with Lowe's memory of where it was.
//!
//! Every write has a value of its own. So a write of unknown outcome that nobody read may be left out: whatever it did,
//! nobody saw it. One that was read has taken effect before the first read of it ended, and that bounds it.

use std::collections::{BTreeSet, HashMap, HashSet};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The register was set.
    Write(u64),
    /// The register was seen to hold this; 0 before any write.
    Read(u64),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well, at this moment.
    At(u64),
    /// Nobody knows: it may take effect at any later time, or never.
    Unknown,
    /// It was refused and has no effect.
    Refused,
}

/// One operation of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub begun: u64,
    pub action: Action,
    pub end: End,
}

#[derive(Debug, Clone, Copy)]
struct Bounded {
    begun: u64,
    ended: u64,
    action: Action,
}

/// Nothing, or what is wrong with the history.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let operations = bounded(history)?;
    if operations.is_empty() {
        return Ok(());
    }
    let (mut order, mut done, mut value) = (Vec::<(usize, u64)>::new(), Done::default(), 0);
    let mut seen = HashSet::new();
    let (mut from, mut furthest) = (0, 0);
    loop {
        match next(&operations, &done, value, from) {
            Some(at) => {
                let before = value;
                done.insert(at);
                if let Action::Write(written) = operations[at].action {
                    value = written;
                }
                if seen.insert((done.clone(), value)) {
                    order.push((at, before));
                    from = 0;
                    if order.len() == operations.len() {
                        return Ok(());
                    }
                    furthest = furthest.max(order.len());
                } else {
                    done.remove(at);
                    value = before;
                    from = after_failure(&operations[at], at);
                }
            }
            None => {
                let Some((at, before)) = order.pop() else {
                    let stuck = operations.get(furthest);
                    return Err(format!(
                        "no order explains the history; of {} operations {furthest} could be put in order, then {stuck:?}",
                        operations.len()
                    ));
                };
                done.remove(at);
                value = before;
                from = after_failure(&operations[at], at);
            }
        }
    }
}

/// What to try next where `tried` led nowhere. A read that fits changes nothing: had it come later, no more would have been
/// possible.
fn after_failure(tried: &Bounded, at: usize) -> usize {
    match tried.action {
        Action::Read(_) => usize::MAX,
        Action::Write(_) => at + 1,
    }
}

/// A read that fits, if there is one, or else the first write from `from` on.
fn next(operations: &[Bounded], done: &Done, value: u64, from: usize) -> Option<usize> {
    if from == usize::MAX {
        return None;
    }
    let candidates = candidates(operations, done);
    let fits = |at: &&usize| operations[**at].action == Action::Read(value);
    if from == 0
        && let Some(read) = candidates.iter().find(fits)
    {
        return Some(*read);
    }
    let write = |at: &usize| *at >= from && matches!(operations[*at].action, Action::Write(_));
    candidates.into_iter().find(write)
}

/// The operations that had an effect, each with a bound, in order of their beginning.
fn bounded(history: &[Operation]) -> Result<Vec<Bounded>, String> {
    let mut first_read = HashMap::new();
    for operation in history {
        if let (Action::Read(value), End::At(ended)) = (operation.action, operation.end) {
            let first = first_read.entry(value).or_insert(ended);
            *first = ended.min(*first);
        }
    }
    let mut written = BTreeSet::from([0]);
    let mut operations = Vec::new();
    for operation in history {
        let ended = match (operation.action, operation.end) {
            (_, End::At(ended)) => ended,
            (Action::Write(value), End::Unknown) => match first_read.get(&value) {
                Some(ended) => *ended,
                None => continue,
            },
            (Action::Write(value), End::Refused) if first_read.contains_key(&value) => {
                return Err(format!("{value} was read, and the write of it was refused"));
            }
            _ => continue,
        };
        if let Action::Write(value) = operation.action
            && !written.insert(value)
        {
            return Err(format!("{value} was written twice: the history cannot be judged"));
        }
        let (begun, action) = (operation.begun, operation.action);
        operations.push(Bounded { begun, ended, action });
    }
    if let Some(value) = first_read.keys().find(|value| !written.contains(value)) {
        return Err(format!("{value} was read and never written"));
    }
    operations.sort_by_key(|operation| operation.begun);
    Ok(operations)
}

/// Which operations are in order already: all before `first`, and these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Done {
    first: usize,
    beyond: BTreeSet<usize>,
}

impl Done {
    fn insert(&mut self, at: usize) {
        self.beyond.insert(at);
        while self.beyond.remove(&self.first) {
            self.first += 1;
        }
    }

    fn remove(&mut self, at: usize) {
        if at < self.first {
            self.beyond.extend(at + 1..self.first);
            self.first = at;
        } else {
            self.beyond.remove(&at);
        }
    }

    fn contains(&self, at: usize) -> bool {
        at < self.first || self.beyond.contains(&at)
    }
}

/// What may come next: whatever began before anything that is still open ended.
fn candidates(operations: &[Bounded], done: &Done) -> Vec<usize> {
    let mut found = Vec::new();
    let mut first_end = u64::MAX;
    for (at, operation) in operations.iter().enumerate().skip(done.first) {
        if operation.begun > first_end {
            break;
        }
        if !done.contains(at) {
            first_end = first_end.min(operation.ended);
            found.push(at);
        }
    }
    found.retain(|at| operations[*at].begun <= first_end);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(value: u64, begun: u64, ended: u64) -> Operation {
        let (action, end) = (Action::Write(value), End::At(ended));
        Operation { begun, action, end }
    }

    fn read(value: u64, begun: u64, ended: u64) -> Operation {
        let (action, end) = (Action::Read(value), End::At(ended));
        Operation { begun, action, end }
    }

    fn ending(mut operation: Operation, end: End) -> Operation {
        operation.end = end;
        operation
    }

    // Goal: histories that a register can have are accepted. Method: one for each liberty it has.
    #[test]
    fn good_histories() {
        let unknown = |value, begun| ending(write(value, begun, 0), End::Unknown);
        let good = [
            vec![],
            vec![write(1, 0, 10), read(1, 20, 30)],
            vec![read(0, 0, 5), write(1, 6, 10)],
            // While a write is under way both values may be seen, the old one first.
            vec![write(1, 0, 100), read(0, 10, 20), read(1, 30, 40), read(1, 50, 60)],
            // Concurrent writes in either order.
            vec![write(1, 0, 100), write(2, 0, 100), read(2, 110, 120), read(2, 130, 140)],
            vec![write(1, 0, 100), write(2, 0, 100), read(1, 110, 120)],
            // Of unknown outcome: never, at once, much later.
            vec![unknown(1, 0), read(0, 50, 60)],
            vec![unknown(1, 0), read(1, 50, 60), read(1, 70, 80)],
            vec![unknown(1, 0), write(2, 10, 20), read(2, 30, 40), read(1, 500, 510)],
            vec![ending(write(1, 0, 0), End::Refused), read(0, 50, 60)],
        ];
        for (number, history) in good.iter().enumerate() {
            assert_eq!(check(history), Ok(()), "history {number}");
        }
    }

    // Goal: histories that a register cannot have are refused. Method: one for each promise.
    #[test]
    fn bad_histories() {
        let unknown = |value, begun| ending(write(value, begun, 0), End::Unknown);
        let bad = [
            // Stale.
            vec![write(1, 0, 10), read(0, 20, 30)],
            vec![write(1, 0, 10), write(2, 20, 30), read(1, 40, 50)],
            // The new value, and then the old one.
            vec![write(1, 0, 100), read(1, 10, 20), read(0, 30, 40)],
            vec![write(1, 0, 10), write(2, 20, 100), read(2, 30, 40), read(1, 50, 60)],
            // From nowhere, from the future, from a refusal.
            vec![read(7, 0, 10)],
            vec![read(1, 0, 10), write(1, 20, 30)],
            vec![ending(write(1, 0, 0), End::Refused), read(1, 50, 60)],
            // One of unknown outcome takes effect once, and not before it began.
            vec![
                unknown(1, 0),
                read(1, 10, 20),
                write(2, 30, 40),
                read(2, 50, 60),
                read(1, 70, 80),
            ],
            vec![read(1, 0, 10), unknown(1, 20)],
            // Two readers that disagree about the order.
            vec![
                write(1, 0, 100),
                write(2, 0, 100),
                read(1, 110, 120),
                read(2, 130, 140),
                read(1, 150, 160),
            ],
        ];
        for (number, history) in bad.iter().enumerate() {
            assert!(check(history).is_err(), "history {number}");
        }
    }

    // Goal: long histories are judged, and one wrong read in them is found. Method: eight clients that take turns at a
    // real register with overlapping times; then one read is made stale.
    #[test]
    fn long_histories() {
        let (mut history, mut value, mut chance) = (Vec::new(), 0, 7_u64);
        for number in 1..4_000_u64 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Each takes effect somewhere in its time, at ten times its number.
            let moment = number * 10;
            let (begun, ended) = (moment.saturating_sub((chance >> 40) % 40), moment + (chance >> 50) % 40);
            if chance >> 63 == 0 {
                value = number;
                history.push(write(number, begun, ended));
            } else {
                history.push(read(value, begun, ended));
            }
        }
        assert_eq!(check(&history), Ok(()));
        let late = history
            .iter()
            .rposition(|operation| matches!(operation.action, Action::Read(_)))
            .unwrap();
        let written = |operation: &&Operation| matches!(operation.action, Action::Write(_));
        let Some(Operation {
            action: Action::Write(old),
            ..
        }) = history.iter().find(written).cloned()
        else {
            panic!("nothing was written")
        };
        history[late].action = Action::Read(old);
        assert!(check(&history).is_err());
    }
}
