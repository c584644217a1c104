//! Which blocks lie on the disk, and which go when there is no room: S3-FIFO, which a scan of everything does not sweep empty.
//!
//! A new block is on probation, in a queue that gets a tenth of the room when room is short. At its end a block that was asked for
//! again settles in the second queue, any other goes and leaves its trace; who comes back while the trace is there settles at once. The
//! second queue gives those that were asked for another round. See Yang et al., "FIFO queues are all you need for cache eviction", 2023.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use object_store::ObjectMeta;

/// Blocks that are kept at most, whatever room there is: what is remembered of one takes some 300 bytes of memory.
const BLOCKS_MAX: usize = 1_000_000;

/// File systems give room in pages of this size.
const PAGE_BYTES: u64 = 4096;

/// Part of the room that blocks on probation keep when room is short: a tenth.
const PROBATION_PART: u64 = 10;

/// Times that a block must be asked for to settle. One statement asks more than once for a block that holds several columns.
const SETTLES_AFTER: u8 = 2;

/// Rounds that a settled block can earn.
const USES_MAX: u8 = 3;

/// Traces that are kept at least; otherwise as many as there are blocks.
const TRACES_MIN: usize = 1024;

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) ticket: u64,
    /// Plain bytes.
    pub(super) length: u64,
}

#[derive(Debug)]
struct Block {
    stored: Stored,
    charge: u64,
    uses: u8,
    settled: bool,
}

#[derive(Debug)]
struct Object {
    meta: ObjectMeta,
    blocks: HashMap<u64, Block>,
}

/// A block's place in a queue. Blocks that are gone leave theirs behind: another ticket, or none, tells.
#[derive(Debug)]
struct Spot {
    name: Arc<str>,
    number: u64,
    ticket: u64,
}

/// All that is on the disk. Room is taken before a block is written, so that its bound is never exceeded.
#[derive(Debug)]
pub(super) struct Index {
    bytes_max: u64,
    objects: HashMap<Arc<str>, Object>,
    /// Kept and being written.
    taken_bytes: u64,
    probation_bytes: u64,
    blocks: usize,
    probation: VecDeque<Spot>,
    settled: VecDeque<Spot>,
    traces: VecDeque<u64>,
    traced: HashSet<u64>,
    hasher: RandomState,
}

impl Index {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            objects: HashMap::new(),
            taken_bytes: 0,
            probation_bytes: 0,
            blocks: 0,
            probation: VecDeque::new(),
            settled: VecDeque::new(),
            traces: VecDeque::new(),
            traced: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Room that a file of `length` bytes takes.
    pub(super) fn charge(length: u64) -> u64 {
        length.div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES)
    }

    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// What is known of an object of which blocks are kept.
    pub(super) fn meta(&self, name: &str) -> Option<&ObjectMeta> {
        self.objects.get(name).map(|object| &object.meta)
    }

    /// Where a block lies, for somebody who reads it now.
    pub(super) fn find(&mut self, name: &str, number: u64) -> Option<Stored> {
        let block = self.objects.get_mut(name)?.blocks.get_mut(&number)?;
        block.uses = block.uses.saturating_add(1).min(USES_MAX);
        Some(block.stored)
    }

    /// Takes room; the tickets of the blocks that have to go first are added to `evicted`. False if there is not enough.
    pub(super) fn take(&mut self, charge: u64, evicted: &mut Vec<u64>) -> bool {
        if charge > self.bytes_max {
            return false;
        }
        while self.taken_bytes.saturating_add(charge) > self.bytes_max || self.blocks >= BLOCKS_MAX {
            match self.evict() {
                Some(ticket) => evicted.push(ticket),
                None => return false,
            }
        }
        self.taken_bytes = self.taken_bytes.saturating_add(charge);
        true
    }

    /// Gives room back that was taken and not used.
    pub(super) fn give_back(&mut self, charge: u64) {
        self.taken_bytes = self.taken_bytes.saturating_sub(charge);
    }

    /// Notes a block that lies on the disk now, in room that was taken. False, and nothing is noted, if blocks of another object of this
    /// name are there, or this very block.
    pub(super) fn insert(
        &mut self,
        name: &Arc<str>,
        meta: &ObjectMeta,
        number: u64,
        stored: Stored,
        charge: u64,
    ) -> bool {
        let object = self.objects.entry(Arc::clone(name)).or_insert_with(|| Object {
            meta: meta.clone(),
            blocks: HashMap::new(),
        });
        if !is_same(&object.meta, meta) || object.blocks.contains_key(&number) {
            return false;
        }
        let settled = self.traced.remove(&self.hasher.hash_one((name, number)));
        object.blocks.insert(
            number,
            Block {
                stored,
                charge,
                uses: 0,
                settled,
            },
        );
        self.blocks += 1;
        let spot = Spot {
            name: Arc::clone(name),
            number,
            ticket: stored.ticket,
        };
        if settled {
            self.settled.push_back(spot);
        } else {
            self.probation_bytes = self.probation_bytes.saturating_add(charge);
            self.probation.push_back(spot);
        }
        true
    }

    /// Forgets a block. False if it was not there any more.
    pub(super) fn remove(&mut self, name: &str, number: u64, ticket: u64) -> bool {
        let is_there = self.is_there(name, number, ticket);
        if is_there {
            self.drop_block(name, number);
            self.tidy_queues();
        }
        is_there
    }

    /// Forgets an object; the tickets of its blocks.
    pub(super) fn remove_object(&mut self, name: &str) -> Vec<u64> {
        let Some(object) = self.objects.get(name) else {
            return Vec::new();
        };
        let blocks: Vec<_> = object
            .blocks
            .iter()
            .map(|(number, block)| (*number, block.stored.ticket))
            .collect();
        for (number, _) in &blocks {
            self.drop_block(name, *number);
        }
        self.tidy_queues();
        blocks.into_iter().map(|(_, ticket)| ticket).collect()
    }

    /// Forgets everything, also the room of what is being written.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    fn is_there(&self, name: &str, number: u64, ticket: u64) -> bool {
        let block = self.objects.get(name).and_then(|object| object.blocks.get(&number));
        block.is_some_and(|block| block.stored.ticket == ticket)
    }

    fn drop_block(&mut self, name: &str, number: u64) {
        let Some(object) = self.objects.get_mut(name) else {
            return;
        };
        if let Some(block) = object.blocks.remove(&number) {
            self.blocks = self.blocks.saturating_sub(1);
            self.taken_bytes = self.taken_bytes.saturating_sub(block.charge);
            if !block.settled {
                self.probation_bytes = self.probation_bytes.saturating_sub(block.charge);
            }
        }
        if object.blocks.is_empty() {
            self.objects.remove(name);
        }
    }

    /// The ticket of the block that goes; None if there is none.
    fn evict(&mut self) -> Option<u64> {
        loop {
            let from_probation = self.probation_bytes.saturating_mul(PROBATION_PART) > self.taken_bytes;
            let spot = match from_probation {
                true => self.probation.pop_front().or_else(|| self.settled.pop_front())?,
                false => self.settled.pop_front().or_else(|| self.probation.pop_front())?,
            };
            let object = self.objects.get_mut(&spot.name);
            let Some(block) = object.and_then(|object| object.blocks.get_mut(&spot.number)) else {
                continue;
            };
            if block.stored.ticket != spot.ticket {
                continue;
            }
            if block.settled && block.uses > 0 {
                block.uses -= 1;
                self.settled.push_back(spot);
            } else if !block.settled && block.uses >= SETTLES_AFTER {
                (block.settled, block.uses) = (true, 0);
                self.probation_bytes = self.probation_bytes.saturating_sub(block.charge);
                self.settled.push_back(spot);
            } else {
                if !block.settled {
                    self.trace(&spot);
                }
                self.drop_block(&spot.name, spot.number);
                return Some(spot.ticket);
            }
        }
    }

    fn trace(&mut self, spot: &Spot) {
        let trace = self.hasher.hash_one((&spot.name, spot.number));
        if self.traced.insert(trace) {
            self.traces.push_back(trace);
        }
        while self.traces.len() > self.blocks.max(TRACES_MIN) {
            if let Some(oldest) = self.traces.pop_front() {
                self.traced.remove(&oldest);
            }
        }
    }

    /// Spots of blocks that are gone must not outgrow those of blocks that are there.
    fn tidy_queues(&mut self) {
        let spots = self.probation.len() + self.settled.len();
        if spots <= self.blocks.saturating_mul(2).max(TRACES_MIN) {
            return;
        }
        let objects = &self.objects;
        let is_there = |spot: &Spot| {
            let block = objects
                .get(&spot.name)
                .and_then(|object| object.blocks.get(&spot.number));
            block.is_some_and(|block| block.stored.ticket == spot.ticket)
        };
        self.probation.retain(is_there);
        self.settled.retain(is_there);
    }
}

/// Whether two answers of a store are about the same object, as far as it tells.
pub(super) fn is_same(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.size == other.size && one.e_tag == other.e_tag
}

#[cfg(test)]
mod tests;
