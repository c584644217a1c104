//! Ranges of an object, put together from blocks wherever these are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use object_store::{Error, ObjectMeta};

use super::fetch::{At, Coming, RUN_BLOCKS_MAX, Run, Source, again};
use super::folder::{Folder, Found};
use super::index::{Stored, is_same};
use super::seal::Identity;
use super::{DISK_DEADLINE, DiskCache, State};
use crate::at_hand::Met;

/// Blocks of one read. A larger one is a copy of a whole file, which the store gives faster as one and for which others would have to go.
const READ_BLOCKS_MAX: u64 = 256;

/// Requests and files that one read has open at once.
const AT_ONCE: usize = 16;

/// How often a read looks again for blocks that could not be read from the disk.
const ROUNDS_MAX: usize = 2;

/// Blocks that hold all that was asked for.
#[derive(Debug, Default)]
pub(super) struct Held {
    blocks: BTreeMap<u64, Bytes>,
    meta: Option<ObjectMeta>,
}

/// A block that lies on the disk, with the folder that it lies in.
struct OnDisk {
    number: u64,
    stored: Stored,
    folder: Arc<Folder>,
    object_bytes: u64,
}

/// What is to be waited for.
#[derive(Default)]
struct Plan {
    on_disk: Vec<OnDisk>,
    in_memory: Vec<Arc<Run>>,
    coming: Vec<(u64, Coming)>,
    /// Whether some blocks may be beyond the end of the object, which nobody knows yet.
    is_guess: bool,
}

enum Part {
    Run(Arc<Run>),
    Block(u64, Bytes),
    Lost,
}

impl Held {
    /// What is known of the object.
    pub(super) fn meta(&self) -> Option<&ObjectMeta> {
        self.meta.as_ref()
    }

    /// A range, which ends where the object ends, in as many pieces as it has blocks. None if the object ends before it.
    pub(super) fn pieces(&self, range: &Range<u64>, block_bytes: u64) -> Option<Vec<Bytes>> {
        let end = range.end.min(self.meta.as_ref()?.size);
        if range.start >= end {
            return None;
        }
        let mut pieces = Vec::new();
        for number in blocks_of(&(range.start..end), block_bytes) {
            let block = self.blocks.get(&number)?;
            let begin = number.saturating_mul(block_bytes);
            let from = usize::try_from(range.start.saturating_sub(begin)).ok()?;
            let to = usize::try_from(end.saturating_sub(begin)).ok()?.min(block.len());
            if from >= to {
                return None;
            }
            pieces.push(block.slice(from..to));
        }
        Some(pieces)
    }

    /// Adds blocks of `meta`. False if what is there already is of another object.
    fn add(&mut self, meta: &ObjectMeta, blocks: impl IntoIterator<Item = (u64, Bytes)>) -> bool {
        let known = self.meta.get_or_insert_with(|| meta.clone());
        if !is_same(known, meta) {
            return false;
        }
        self.blocks.extend(blocks);
        true
    }
}

impl DiskCache {
    /// The blocks of some ranges. None if the store is to be asked as if there were no cache.
    ///
    /// # Errors
    /// What the store says, also to others who asked for the same blocks.
    pub(super) async fn read(&self, source: &Source, ranges: &[Range<u64>]) -> object_store::Result<Option<Held>> {
        let mut held = Held::default();
        for _ in 0..ROUNDS_MAX {
            let Some(plan) = self.plan(source, ranges, &mut held) else {
                return Ok(None);
            };
            let is_guess = plan.is_guess;
            let mut parts = stream::iter(self.parts(source, plan)).buffer_unordered(AT_ONCE);
            let mut is_whole = true;
            while let Some(part) = parts.next().await {
                let is_same = match part {
                    Ok(Part::Run(run)) => held.add(&run.meta, run.blocks()),
                    Ok(Part::Block(number, bytes)) => {
                        held.blocks.insert(number, bytes);
                        true
                    }
                    Ok(Part::Lost) => {
                        is_whole = false;
                        true
                    }
                    // Stores refuse a request beyond the end, and serve one that only ends there.
                    Err(Error::Generic { .. }) if is_guess => return Ok(None),
                    Err(error) => return Err(error),
                };
                if !is_same {
                    self.forget(&source.name);
                    return Ok(None);
                }
            }
            if is_whole {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    pub(super) fn block_bytes(&self) -> u64 {
        self.inner.block_bytes
    }

    /// Where all blocks are that are not held yet; missing ones are asked for. One look, so that no block is asked for twice.
    fn plan(&self, source: &Source, ranges: &[Range<u64>], held: &mut Held) -> Option<Plan> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.is_off(self.inner.clock.monotonic()) {
            return None;
        }
        let known = state.index.meta(&source.name);
        if let Some(known) = known
            && !held.add(known, None)
        {
            return None;
        }
        let block_bytes = self.inner.block_bytes;
        let size = held.meta.as_ref().map_or(u64::MAX, |meta| meta.size);
        let wanted = wanted(ranges, size, block_bytes)?;
        let mut plan = Plan {
            is_guess: held.meta.is_none() && ranges.iter().any(|range| blocks_of(range, block_bytes).count() > 1),
            ..Plan::default()
        };
        let mut missing: Vec<Range<u64>> = Vec::new();
        for number in wanted.into_iter().filter(|number| !held.blocks.contains_key(number)) {
            if state.find(source, number, size, &mut plan) {
                continue;
            }
            match missing.last_mut() {
                Some(run) if run.end == number && run.end - run.start < RUN_BLOCKS_MAX => run.end += 1,
                _ => missing.push(number..number + 1),
            }
        }
        let joined = plan.coming.len() as u64;
        self.inner.counters.joined.add(joined);
        source.tell(|at_hand| at_hand.joined(joined));
        for run in missing {
            let coming = self.fetch(state, source, run);
            plan.coming.push((state.fetches, coming));
        }
        Some(plan)
    }

    fn parts<'a>(&self, source: &'a Source, plan: Plan) -> Vec<BoxFuture<'a, object_store::Result<Part>>> {
        let mut parts: Vec<BoxFuture<'a, object_store::Result<Part>>> = Vec::new();
        for (_, coming) in plan.coming {
            let wait = async move { coming.await.map(Part::Run).map_err(|error| again(&error)) };
            parts.push(wait.boxed());
        }
        for run in plan.in_memory {
            self.inner.counters.hits.add(run.count());
            source.tell(|at_hand| at_hand.blocks(run.count(), Met::Kept));
            parts.push(async move { Ok(Part::Run(run)) }.boxed());
        }
        for block in plan.on_disk {
            let cache = self.clone();
            let load = async move {
                let part = cache.load(&source.name, block).await;
                if matches!(part, Part::Block(..)) {
                    source.tell(|at_hand| at_hand.blocks(1, Met::Kept));
                }
                Ok(part)
            };
            parts.push(load.boxed());
        }
        parts
    }

    async fn load(&self, name: &Arc<str>, block: OnDisk) -> Part {
        let OnDisk {
            number,
            stored,
            folder,
            object_bytes,
        } = block;
        let read = {
            let (name, folder) = (Arc::clone(name), Arc::clone(&folder));
            tokio::task::spawn_blocking(move || {
                let identity = Identity {
                    name: &name,
                    number,
                    object_bytes,
                };
                folder.read(identity, stored.ticket, stored.length)
            })
        };
        let found = tokio::select! {
            read = read => read.unwrap_or_else(|error| Err(io::Error::other(error))),
            () = self.inner.clock.sleep(DISK_DEADLINE) => Err(io::ErrorKind::TimedOut.into()),
        };
        let counters = &self.inner.counters;
        match found {
            Ok(Found::Block(bytes)) => {
                counters.hits.add(1);
                counters.hit_bytes.add(bytes.len() as u64);
                return Part::Block(number, bytes);
            }
            Ok(Found::Damaged) => {
                self.state().index.remove(name, number, stored.ticket);
                if counters.damaged.add(1) == 0 {
                    let directory = self.inner.options.directory.display();
                    tracing::warn!(%directory, "a block on the disk of the cache was changed, it is read from the store; more are only counted");
                }
            }
            Ok(Found::Gone) => {
                // It may have been evicted since, which is no fault of the disk.
                if self.state().index.remove(name, number, stored.ticket) {
                    counters.errors.add(1);
                }
            }
            Err(error) => self.switch_off(&folder, &error),
        }
        Part::Lost
    }
}

impl State {
    /// Adds to `plan` where a block is. False if it is nowhere.
    fn find(&mut self, source: &Source, number: u64, object_bytes: u64, plan: &mut Plan) -> bool {
        if let Some(folder) = &self.folder
            && let Some(stored) = self.index.find(&source.name, number)
        {
            plan.on_disk.push(OnDisk {
                number,
                stored,
                folder: Arc::clone(folder),
                object_bytes,
            });
            return true;
        }
        let Some(pending) = self.pending.get(&(Arc::clone(&source.name), number)) else {
            return false;
        };
        match &pending.at {
            At::Memory(run) => {
                if !plan.in_memory.iter().any(|known| known.fetch == pending.fetch) {
                    plan.in_memory.push(Arc::clone(run));
                }
                true
            }
            // Nobody moves a request on of which only this weak handle is left: it is asked for anew.
            At::Store(coming) => match coming.upgrade() {
                Some(coming) => {
                    if !plan.coming.iter().any(|(known, _)| *known == pending.fetch) {
                        plan.coming.push((pending.fetch, coming));
                    }
                    true
                }
                None => false,
            },
        }
    }
}

fn blocks_of(range: &Range<u64>, block_bytes: u64) -> Range<u64> {
    range.start / block_bytes..range.end.div_ceil(block_bytes)
}

/// The blocks of all ranges of an object of at most `size` bytes. None if there are too many, or if a range is not within it.
fn wanted(ranges: &[Range<u64>], size: u64, block_bytes: u64) -> Option<BTreeSet<u64>> {
    let mut wanted = BTreeSet::new();
    for range in ranges {
        let range = range.start..range.end.min(size);
        let numbers = blocks_of(&range, block_bytes);
        if range.start >= range.end || numbers.end - numbers.start > READ_BLOCKS_MAX {
            return None;
        }
        wanted.extend(numbers);
    }
    (wanted.len() as u64 <= READ_BLOCKS_MAX).then_some(wanted)
}
