//! Which source of this process has which topics. Offsets are kept by topic and partition alone: of a topic that two sources have, nobody
//! knows whose they are, now or after a restart.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::source::Reach;

/// What sources told of their topics, by their place among the sources.
#[derive(Debug)]
pub(crate) struct Topics(Mutex<Vec<Known>>);

#[derive(Debug)]
struct Known {
    reach: Reach,
    /// None before the source told them for the first time.
    topics: Option<BTreeSet<String>>,
}

/// Whether a source may read a topic that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// No other source has it.
    Alone,
    /// This other source has it too.
    Shared(usize),
    /// This other source may have it, and has not told yet.
    Awaits(usize),
}

impl Topics {
    /// Of sources that have told nothing yet.
    pub(crate) fn new(reaches: impl IntoIterator<Item = Reach>) -> Self {
        let known = reaches.into_iter().map(|reach| Known { reach, topics: None });
        Self(Mutex::new(known.collect()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are all topics that a source has now. Told before they are claimed, so that of two sources at least the later one sees the other.
    pub(crate) fn tell(&self, source: usize, topics: BTreeSet<String>) {
        if let Some(known) = self.lock().get_mut(source) {
            known.topics = Some(topics);
        }
    }

    /// Whether `source` may read a topic that it has.
    pub(crate) fn claim(&self, source: usize, topic: &str) -> Claim {
        let mut awaited = None;
        let known = self.lock();
        for (other, known) in known.iter().enumerate().filter(|(other, _)| *other != source) {
            match &known.topics {
                Some(topics) if topics.contains(topic) => return Claim::Shared(other),
                None if known.reach.includes(topic) => awaited = Some(other),
                _ => {}
            }
        }
        awaited.map_or(Claim::Alone, Claim::Awaits)
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn only(pattern: &str) -> Reach {
        Reach::Matching(vec![Regex::new(pattern).expect("a pattern")])
    }

    fn told(topics: &Topics, source: usize, names: &[&str]) {
        topics.tell(source, names.iter().map(|name| (*name).to_owned()).collect());
    }

    // Goal: a topic is read only where every source that may have it told that it has not. Method: three sources of different reach, which tell
    // one after the other.
    #[test]
    fn a_topic_waits_for_whoever_may_have_it() {
        let topics = Topics::new([only("^(?:a.*)$"), only("^(?:b.*)$"), Reach::All]);
        told(&topics, 0, &["a1", "a2"]);
        assert_eq!(topics.claim(0, "a1"), Claim::Awaits(2), "not for the second");
        told(&topics, 2, &["a2", "b1"]);
        assert_eq!(topics.claim(0, "a1"), Claim::Alone);
        assert_eq!(topics.claim(0, "a2"), Claim::Shared(2));
        assert_eq!(topics.claim(2, "a2"), Claim::Shared(0));
        assert_eq!(topics.claim(2, "b1"), Claim::Awaits(1));
        told(&topics, 1, &["b1"]);
        assert_eq!(topics.claim(2, "b1"), Claim::Shared(1));
    }

    // Goal: a topic that comes later is seen by the source that had it alone, and one that is shared already waits for nobody. Method: the same
    // claim before and after; a third source that tells nothing.
    #[test]
    fn a_topic_that_comes_later_is_seen() {
        let topics = Topics::new([Reach::All, Reach::All]);
        told(&topics, 0, &["a"]);
        told(&topics, 1, &[]);
        assert_eq!(topics.claim(0, "a"), Claim::Alone);
        told(&topics, 1, &["a"]);
        assert_eq!(topics.claim(0, "a"), Claim::Shared(1));
        let topics = Topics::new([Reach::All, Reach::All, Reach::All]);
        told(&topics, 0, &["a"]);
        told(&topics, 1, &["a"]);
        assert_eq!(topics.claim(0, "a"), Claim::Shared(1));
    }
}
