//! Places and lines, without time and without waiting: who comes in, who stands in line, who is called next.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use super::{AdmissionLimits, Lane, Load};
use crate::error::{Result, SchedulerError};

/// Its number in line, and by what it is called.
type Ticket = (u64, oneshot::Receiver<()>);

pub(super) struct Hall {
    limits: AdmissionLimits,
    lines: BTreeMap<Lane, Line>,
    next: u64,
}

#[derive(Default)]
struct Line {
    running: usize,
    running_by_user: BTreeMap<String, usize>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    user: Option<String>,
    call: oneshot::Sender<()>,
}

impl Hall {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            lines: Lane::ALL.into_iter().map(|lane| (lane, Line::default())).collect(),
            next: 0,
        }
    }

    /// `None`: come in. Otherwise a place in line.
    pub(super) fn enter(&mut self, lane: Lane, user: Option<&str>) -> Result<Option<Ticket>> {
        // Everybody who could run was called when their place became free, so nobody is overtaken.
        if self.has_place(lane) && self.user_may(lane, user) {
            self.take(lane, user);
            return Ok(None);
        }
        let limits = *self.limits.of(lane);
        let Some(line) = self.lines.get_mut(&lane) else {
            return Ok(None);
        };
        let queued = line.queue.len();
        if queued >= limits.queued_max {
            return Err(SchedulerError::QueueFull {
                class: lane.name(),
                queued,
            });
        }
        if let Some(user) = user {
            let own = line
                .queue
                .iter()
                .filter(|waiter| waiter.user.as_deref() == Some(user))
                .count();
            if own >= limits.user_queued_max {
                return Err(SchedulerError::UserQueueFull {
                    user: user.to_owned(),
                    class: lane.name(),
                    queued: own,
                });
            }
        }
        let (call, called) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        line.queue.push_back(Waiter {
            number,
            user: user.map(str::to_owned),
            call,
        });
        Ok(Some((number, called)))
    }

    /// Gives a place back and calls those who can run now.
    pub(super) fn leave(&mut self, lane: Lane, user: Option<&str>) {
        if let Some(line) = self.lines.get_mut(&lane) {
            line.running = line.running.saturating_sub(1);
            if let Some(user) = user
                && let Some(running) = line.running_by_user.get_mut(user)
            {
                *running = running.saturating_sub(1);
                if *running == 0 {
                    line.running_by_user.remove(user);
                }
            }
        }
        self.call_next();
    }

    /// Leaves the line. False: it does not stand there.
    pub(super) fn give_up(&mut self, lane: Lane, number: u64) -> bool {
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
            // Who does not hear any more gave up and has no place.
            if waiter.call.send(()).is_ok() {
                self.take(lane, waiter.user.as_deref());
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

    fn take(&mut self, lane: Lane, user: Option<&str>) {
        if let Some(line) = self.lines.get_mut(&lane) {
            line.running += 1;
            if let Some(user) = user {
                *line.running_by_user.entry(user.to_owned()).or_default() += 1;
            }
        }
    }
}
