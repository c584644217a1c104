//! Topics and the bounds of their partitions, asked for beside reading: neither records nor leases wait for a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use regex::Regex;
use tokio::task::JoinHandle;

use super::context::Told;
use super::failed;
use crate::error::{Chain, IngestError, Result};
use crate::record::Partition;
use crate::source::Discovered;
use tidewater_core::Coded;

/// Longest wait for an answer about topics or offsets.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How often brokers are asked.
const QUERY_INTERVAL: Duration = Duration::from_secs(5);

/// Brokers asked at the same time: each takes a thread that waits.
const ASKS_MAX: usize = 16;

/// Topics of Kafka itself begin like this.
const INTERNAL_PREFIX: &str = "__consumer_offsets";

/// A question on its way.
#[derive(Debug)]
struct Ask<T> {
    begun_at: Duration,
    answer: JoinHandle<Result<T>>,
}

impl<T> Ask<T> {
    /// The answer, once.
    fn ended(&mut self) -> Option<Result<T>> {
        let answer = (&mut self.answer).now_or_never()?;
        Some(answer.unwrap_or(Err(IngestError::Task { what: "asking kafka" })))
    }
}

/// A partition of a topic that matches.
#[derive(Debug, Clone)]
struct Listed {
    topic: String,
    number: i32,
    /// Whom to ask; none while it has no leader.
    leader: Option<i32>,
}

/// What a cluster has.
#[derive(Debug)]
struct Listing {
    partitions: Vec<Listed>,
    /// Topics that the broker could not tell of now.
    unclear: BTreeSet<String>,
}

impl Listing {
    fn topics(&self) -> BTreeSet<String> {
        let clear = self.partitions.iter().map(|listed| &listed.topic);
        clear.chain(&self.unclear).cloned().collect()
    }
}

/// Where a partition begins and ends.
type Answer = (String, i32, i64, i64);

#[derive(Debug, Clone, Copy)]
struct Found {
    low: i64,
    high: i64,
    asked_at: Duration,
}

/// What is known, and what is asked.
#[derive(Debug)]
pub(super) struct Bounds {
    topics: Vec<Regex>,
    /// The topics of the last list, also those without a leader or with bounds that are not known.
    there: Option<BTreeSet<String>>,
    names: Arc<BTreeMap<String, Arc<str>>>,
    listing: Option<Ask<Listing>>,
    /// By leader.
    asks: BTreeMap<i32, Ask<Vec<Answer>>>,
    /// When the list was asked for last; none if it is wanted now.
    listed_at: Option<Duration>,
    found: BTreeMap<Partition, Found>,
    /// How far was read since the ask that runs, or ran last, began: an answer that is older than that is no end of a log.
    read: BTreeMap<Partition, i64>,
}

impl Bounds {
    pub(super) fn new(topics: Vec<Regex>) -> Self {
        Self {
            topics,
            there: None,
            names: Arc::default(),
            listing: None,
            asks: BTreeMap::new(),
            listed_at: None,
            found: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// One name for all records of a topic.
    pub(super) fn names(&self) -> Arc<BTreeMap<String, Arc<str>>> {
        Arc::clone(&self.names)
    }

    pub(super) fn patterns(&self) -> &[Regex] {
        &self.topics
    }

    /// All topics that match; none before they were listed.
    pub(super) fn there(&self) -> Option<&BTreeSet<String>> {
        self.there.as_ref()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn is_asking(&self) -> bool {
        self.listing.is_some() || !self.asks.is_empty()
    }

    pub(super) fn ask_anew(&mut self) {
        self.listed_at = None;
    }

    /// A partition was read up to here.
    pub(super) fn passed(&mut self, partition: &Partition, position: i64) {
        if let Some(found) = self.found.get_mut(partition) {
            found.high = found.high.max(position);
            self.read.insert(partition.clone(), position);
        }
    }

    pub(super) fn discovered(&self) -> Vec<Discovered> {
        let discovered = self.found.iter().map(|(partition, found)| Discovered {
            partition: partition.clone(),
            low: found.low,
            high: found.high,
            asked_at: found.asked_at,
        });
        discovered.collect()
    }

    /// Takes in what was answered and asks what is due. Fails only while nothing is known: then there is nothing to go on with.
    pub(super) fn serve(&mut self, consumer: &Arc<BaseConsumer<Told>>, now: Duration) -> Result<()> {
        self.take_answers()?;
        if let Some(listed) = self.listing.as_mut().and_then(Ask::ended) {
            self.listing = None;
            match listed {
                Ok(listing) => {
                    self.there = Some(listing.topics());
                    self.ask_leaders(consumer, listing, now);
                }
                Err(error) => self.failed(error)?,
            }
        }
        let due = self.listed_at.is_none_or(|at| now.saturating_sub(at) >= QUERY_INTERVAL);
        if due && self.listing.is_none() {
            let (consumer, topics) = (Arc::clone(consumer), self.topics.clone());
            self.listing = Some(Ask {
                begun_at: now,
                answer: tokio::task::spawn_blocking(move || list(&consumer, &topics)),
            });
            self.listed_at = Some(now);
        }
        Ok(())
    }

    fn failed(&self, error: IngestError) -> Result<()> {
        if self.found.is_empty() {
            return Err(error);
        }
        tracing::warn!(code = error.code(), error = %Chain(&error), "what is known of kafka's partitions is old");
        Ok(())
    }

    fn take_answers(&mut self) -> Result<()> {
        let ended: Vec<_> = self
            .asks
            .iter_mut()
            .filter_map(|(leader, ask)| Some((*leader, ask.begun_at, ask.ended()?)))
            .collect();
        for (leader, asked_at, answer) in ended {
            self.asks.remove(&leader);
            match answer {
                Ok(answers) => self.merge(answers, asked_at),
                Err(error) => self.failed(error)?,
            }
        }
        Ok(())
    }

    fn merge(&mut self, answers: Vec<Answer>, asked_at: Duration) {
        for (topic, number, low, high) in answers {
            let partition = self.partition(&topic, number);
            let read = self.read.get(&partition).copied().unwrap_or(i64::MIN);
            let high = high.max(read);
            self.found.insert(partition, Found { low, high, asked_at });
        }
    }

    /// One ask for all partitions of a leader: a broker that is slow holds up nobody else's.
    fn ask_leaders(&mut self, consumer: &Arc<BaseConsumer<Told>>, listing: Listing, now: Duration) {
        let there: BTreeSet<(&str, i32)> = listing.partitions.iter().map(|l| (&*l.topic, l.number)).collect();
        let stays = |partition: &Partition| {
            there.contains(&(&*partition.topic, partition.number)) || listing.unclear.contains(&*partition.topic)
        };
        self.found.retain(|partition, _| stays(partition));
        self.read.retain(|partition, _| stays(partition));
        let mut by_leader: BTreeMap<i32, Vec<Listed>> = BTreeMap::new();
        for listed in listing.partitions {
            if let Some(leader) = listed.leader {
                by_leader.entry(leader).or_default().push(listed);
            }
        }
        for (leader, partitions) in by_leader {
            // Whoever wants to know waits for an ask that begins after the wish.
            if self.asks.contains_key(&leader) || self.asks.len() >= ASKS_MAX {
                self.listed_at = None;
                continue;
            }
            for listed in &partitions {
                let partition = self.partition(&listed.topic, listed.number);
                self.read.remove(&partition);
            }
            let consumer = Arc::clone(consumer);
            let ask = Ask {
                begun_at: now,
                answer: tokio::task::spawn_blocking(move || bounds(&consumer, &partitions)),
            };
            self.asks.insert(leader, ask);
        }
    }

    fn partition(&mut self, topic: &str, number: i32) -> Partition {
        let topic = match self.names.get(topic) {
            Some(name) => Arc::clone(name),
            None => {
                let name: Arc<str> = topic.into();
                Arc::make_mut(&mut self.names).insert(topic.to_owned(), Arc::clone(&name));
                name
            }
        };
        Partition { topic, number }
    }
}

fn list(consumer: &BaseConsumer<Told>, topics: &[Regex]) -> Result<Listing> {
    let metadata = consumer
        .fetch_metadata(None, QUERY_TIMEOUT)
        .map_err(failed("list topics"))?;
    let mut listing = Listing {
        partitions: Vec::new(),
        unclear: BTreeSet::new(),
    };
    for topic in metadata.topics() {
        let name = topic.name();
        if name.starts_with(INTERNAL_PREFIX) || !topics.iter().any(|pattern| pattern.is_match(name)) {
            continue;
        }
        if topic.error().is_some() {
            listing.unclear.insert(name.to_owned());
        }
        let partitions = topic.partitions().iter().map(|partition| Listed {
            topic: name.to_owned(),
            number: partition.id(),
            leader: Some(partition.leader()).filter(|leader| *leader >= 0),
        });
        listing.partitions.extend(partitions);
    }
    Ok(listing)
}

/// The bounds of partitions with the same leader, in two requests. A partition that it does not answer for is left out.
fn bounds(consumer: &BaseConsumer<Told>, partitions: &[Listed]) -> Result<Vec<Answer>> {
    let ask = |end: Offset| {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(&partition.topic, partition.number, end)
                .map_err(failed("name a partition"))?;
        }
        let answered = consumer.offsets_for_times(list, QUERY_TIMEOUT);
        let answered = answered.map_err(failed("ask for the bounds of partitions"))?;
        let mut offsets = BTreeMap::new();
        for element in answered.elements() {
            if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset()) {
                offsets.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
        Ok(offsets)
    };
    // The end is asked for first: a log that goes on meanwhile then never seems to begin behind its end.
    let (highs, lows) = (ask(Offset::End)?, ask(Offset::Beginning)?);
    let answers = highs.into_iter().filter_map(|((topic, number), high)| {
        let low = *lows.get(&(topic.clone(), number))?;
        Some((topic, number, low, high.max(low)))
    });
    Ok(answers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an answer that is older than what was read never looks like the end of the log; one that is newer may. Method: merge
    // answers with and without reading while they were on their way.
    #[test]
    fn an_old_answer_is_no_end() {
        let mut bounds = Bounds::new(Vec::new());
        let answer = |high| vec![("t".to_owned(), 0, 0, high)];
        bounds.merge(answer(5), Duration::from_secs(1));
        let partition = bounds.discovered()[0].partition.clone();
        bounds.passed(&partition, 9);
        assert_eq!(bounds.discovered()[0].high, 9);
        bounds.merge(answer(7), Duration::from_secs(2));
        assert_eq!(bounds.discovered()[0].high, 9);
        // The next ask begins: nothing is read after it.
        bounds.read.clear();
        bounds.merge(answer(3), Duration::from_secs(3));
        assert_eq!(
            (bounds.discovered()[0].high, bounds.discovered()[0].asked_at),
            (3, Duration::from_secs(3))
        );
    }
}
