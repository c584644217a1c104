//! Places and lines, without waiting: who comes in, who stands in line, who is called next, and whose place is lent to others
//! while nobody reads what they give.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{AdmissionLimits, Lane, Load};
use crate::error::{Result, SchedulerError};

/// The number of a place, or of a waiter: both are counted as one.
pub(super) type Number = u64;

/// How somebody comes in.
pub(super) enum Entry {
    /// To a place, at once.
    Place(Number),
    /// Its number in line, and by what it is told its place.
    Line(Number, oneshot::Receiver<Number>),
}

/// A place that somebody has.
struct Seat {
    lane: Lane,
    user: Option<String>,
    /// Since when its reader takes nothing: nothing is computed meanwhile.
    resting: Option<Duration>,
}

/// Plans that lent their places at a time: each keeps its memory.
const LENT_MAX: usize = 16;

pub(super) struct Hall {
    limits: AdmissionLimits,
    lines: BTreeMap<Lane, Line>,
    seats: BTreeMap<Number, Seat>,
    /// Plans that have lent their places and not come back.
    pub(super) lent: usize,
    next: Number,
}

#[derive(Default)]
struct Line {
    running: usize,
    running_by_user: BTreeMap<String, usize>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: Number,
    user: Option<String>,
    call: oneshot::Sender<Number>,
}

impl Hall {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            lines: Lane::ALL.into_iter().map(|lane| (lane, Line::default())).collect(),
            seats: BTreeMap::new(),
            lent: 0,
            next: 0,
        }
    }

    /// A place, or one in line.
    pub(super) fn enter(&mut self, lane: Lane, user: Option<&str>) -> Result<Entry> {
        if self.room(lane, user)? {
            return Ok(Entry::Place(self.take(lane, user)));
        }
        let (waiter, entry) = self.waiter(user);
        self.lines.entry(lane).or_default().queue.push_back(waiter);
        Ok(entry)
    }

    /// Whether whoever came now would have a place at once. An error: not even one in line.
    pub(super) fn room(&self, lane: Lane, user: Option<&str>) -> Result<bool> {
        // Everybody who could run was called when their place became free, so nobody is overtaken.
        if self.has_place(lane) && self.user_may(lane, user) {
            return Ok(true);
        }
        let limits = self.limits.of(lane);
        let queue = self.lines.get(&lane).map(|line| &line.queue);
        let queued = queue.map_or(0, VecDeque::len);
        if queued >= limits.queued_max {
            return Err(SchedulerError::QueueFull {
                class: lane.name(),
                queued,
            });
        }
        if let Some(user) = user {
            let is_theirs = |waiter: &&Waiter| waiter.user.as_deref() == Some(user);
            let own = queue.map_or(0, |queue| queue.iter().filter(is_theirs).count());
            if own >= limits.user_queued_max {
                return Err(SchedulerError::UserQueueFull {
                    user: user.to_owned(),
                    class: lane.name(),
                    queued: own,
                });
            }
        }
        Ok(false)
    }

    /// Comes back to a place that was lent: `None` if it was not, else as [`Self::enter`], but before all who wait and whatever
    /// their number.
    pub(super) fn come_back(&mut self, number: Number, lane: Lane, user: Option<&str>) -> Option<Entry> {
        if let Some(seat) = self.seats.get_mut(&number) {
            seat.resting = None;
            return None;
        }
        if self.has_place(lane) && self.user_may(lane, user) {
            self.came_back();
            return Some(Entry::Place(self.take(lane, user)));
        }
        let (waiter, entry) = self.waiter(user);
        self.lines.entry(lane).or_default().queue.push_front(waiter);
        Some(entry)
    }

    /// One whose place was lent has another, or ended.
    pub(super) fn came_back(&mut self) {
        self.lent = self.lent.saturating_sub(1);
    }

    /// Nobody reads what the plan at this place gives, from `now` on.
    pub(super) fn rest(&mut self, number: Number, now: Duration) {
        if let Some(seat) = self.seats.get_mut(&number) {
            seat.resting = Some(now);
        }
    }

    /// Gives the places of plans that rest since before `since` to those who wait in the same lane.
    pub(super) fn lend(&mut self, lane: Lane, since: Duration) {
        let rests = |seat: &Seat| seat.lane == lane && seat.resting.is_some_and(|began| began <= since);
        let resting: Vec<Number> = self
            .seats
            .iter()
            .filter(|(_, seat)| rests(seat))
            .map(|(number, _)| *number)
            .collect();
        for number in resting {
            if self.lent >= LENT_MAX || self.lines.get(&lane).is_none_or(|line| line.queue.is_empty()) {
                return;
            }
            self.lent += 1;
            self.free(number);
            self.call_next();
        }
    }

    /// Ends the plan at a place, lent or not, and calls those who can run now.
    pub(super) fn leave(&mut self, number: Number) {
        match self.free(number) {
            true => self.call_next(),
            false => self.came_back(),
        }
    }

    /// False: nobody sits there.
    fn free(&mut self, number: Number) -> bool {
        let Some(Seat { lane, user, .. }) = self.seats.remove(&number) else {
            return false;
        };
        if let Some(line) = self.lines.get_mut(&lane) {
            line.running = line.running.saturating_sub(1);
            if let Some(user) = user
                && let Some(running) = line.running_by_user.get_mut(&user)
            {
                *running = running.saturating_sub(1);
                if *running == 0 {
                    line.running_by_user.remove(&user);
                }
            }
        }
        true
    }

    fn waiter(&mut self, user: Option<&str>) -> (Waiter, Entry) {
        let (call, called) = oneshot::channel();
        let number = self.number();
        let user = user.map(str::to_owned);
        (Waiter { number, user, call }, Entry::Line(number, called))
    }

    fn number(&mut self) -> Number {
        self.next += 1;
        self.next
    }

    /// Leaves the line. False: it does not stand there.
    pub(super) fn give_up(&mut self, lane: Lane, number: Number) -> bool {
        let Some(line) = self.lines.get_mut(&lane) else {
            return false;
        };
        let before = line.queue.len();
        line.queue.retain(|waiter| waiter.number != number);
        line.queue.len() < before
    }

    pub(super) fn load(&self, lane: Lane) -> Load {
        self.lines
            .get(&lane)
            .map_or(Load { running: 0, queued: 0 }, |line| Load {
                running: line.running,
                queued: line.queue.len(),
            })
    }

    fn call_next(&mut self) {
        while let Some((lane, at)) = self.most_entitled() {
            let waiter = self.lines.get_mut(&lane).and_then(|line| line.queue.remove(at));
            let Some(waiter) = waiter else { return };
            let place = self.take(lane, waiter.user.as_deref());
            // Who does not hear any more gave up and has no place.
            if waiter.call.send(place).is_err() {
                self.free(place);
            }
        }
    }

    /// The first who may run of the class that has least of its share.
    fn most_entitled(&self) -> Option<(Lane, usize)> {
        let waiting = self.lines.iter().filter(|(lane, _)| self.has_place(**lane));
        let candidates = waiting.filter_map(|(lane, line)| {
            let mut queue = line.queue.iter();
            let at = queue.position(|waiter| self.user_may(*lane, waiter.user.as_deref()))?;
            Some((*lane, at, line.running, self.limits.of(*lane).weight))
        });
        // Compares running / weight without fractions; of equals the first class.
        let best = candidates.min_by(|(_, _, running, weight), (_, _, other_running, other_weight)| {
            let (own, other) = (running * other_weight, other_running * weight);
            own.cmp(&other)
        });
        best.map(|(lane, at, _, _)| (lane, at))
    }

    fn has_place(&self, lane: Lane) -> bool {
        let all: usize = self.lines.values().map(|line| line.running).sum();
        let running = self.lines.get(&lane).map_or(0, |line| line.running);
        all < self.limits.running_max && running < self.limits.of(lane).running_max
    }

    fn user_may(&self, lane: Lane, user: Option<&str>) -> bool {
        let running = self
            .lines
            .get(&lane)
            .zip(user)
            .and_then(|(line, user)| line.running_by_user.get(user));
        running.copied().unwrap_or_default() < self.limits.of(lane).user_running_max
    }

    fn take(&mut self, lane: Lane, user: Option<&str>) -> Number {
        let line = self.lines.entry(lane).or_default();
        line.running += 1;
        if let Some(user) = user {
            *line.running_by_user.entry(user.to_owned()).or_default() += 1;
        }
        let number = self.number();
        let seat = Seat {
            lane,
            user: user.map(str::to_owned),
            resting: None,
        };
        self.seats.insert(number, seat);
        number
    }
}
