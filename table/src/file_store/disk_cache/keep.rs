//! Blocks on their way to the disk. Nobody waits for it: who asked has the bytes already, and others take them from memory meanwhile.

use std::io;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::DiskCache;
use super::fetch::{At, Duty, Run};
use super::folder::Folder;
use super::index::{Index, Stored, is_same};
use super::seal::{Identity, TAG_BYTES};

impl DiskCache {
    /// Lets a run be written, unless too much waits for the disk already.
    pub(super) fn keep(&self, run: &Arc<Run>, duty: Duty) {
        let counters = &self.inner.counters;
        let count = u32::try_from(run.count()).unwrap_or(u32::MAX);
        let Ok(permits) = Arc::clone(&self.inner.writes).try_acquire_many_owned(count) else {
            counters.unkept.add(run.count());
            return;
        };
        let is_other = {
            let state = self.state();
            if state.is_off(self.inner.clock.monotonic()) {
                return;
            }
            state
                .index
                .meta(&duty.name)
                .is_some_and(|known| !is_same(known, &run.meta))
        };
        if is_other {
            // Somebody put another object in its place, which the format forbids: nothing of either is kept this time.
            self.forget(&duty.name);
            return;
        }
        {
            let mut state = self.state();
            for (number, _) in run.blocks() {
                if let Some(pending) = state.pending.get_mut(&(Arc::clone(&duty.name), number))
                    && pending.fetch == run.fetch
                {
                    pending.at = At::Memory(Arc::clone(run));
                }
            }
        }
        let (cache, run) = (self.clone(), Arc::clone(run));
        let write = move || {
            for (number, bytes) in run.blocks() {
                let Some(folder) = cache.folder() else { break };
                if let Err(error) = cache.write(&folder, &run, &duty.name, number, &bytes) {
                    cache.switch_off(&folder, &error);
                    break;
                }
            }
            // First the duty: with a permit to be had, all that was waited for is to be found.
            drop(duty);
            drop(permits);
        };
        drop(tokio::task::spawn_blocking(write));
    }

    /// The folder, which is made if there is none. None while the disk is not to be used.
    fn folder(&self) -> Option<Arc<Folder>> {
        let _one_at_a_time = self.inner.opening.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let state = self.state();
            if state.is_off(self.inner.clock.monotonic()) {
                return None;
            }
            if let Some(folder) = &state.folder {
                return Some(Arc::clone(folder));
            }
        }
        match Folder::open(&self.inner.options.directory, self.inner.rng.uuid()) {
            Ok(opened) => {
                let opened = Arc::new(opened);
                self.state().folder = Some(Arc::clone(&opened));
                Some(opened)
            }
            Err(error) => {
                self.switch_off_if(|_| true, &error);
                None
            }
        }
    }

    /// Writes one block where room can be made for it.
    fn write(&self, folder: &Arc<Folder>, run: &Run, name: &Arc<str>, number: u64, bytes: &Bytes) -> io::Result<()> {
        let length = bytes.len() as u64;
        let charge = Index::charge(length.saturating_add(TAG_BYTES));
        let mut evicted = Vec::new();
        let has_room = {
            let mut state = self.state();
            let is_current = state
                .folder
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, folder));
            if !is_current || !state.is_pending(name, number, run.fetch) {
                return Ok(());
            }
            state.index.take(charge, &mut evicted)
        };
        self.inner.counters.evicted.add(evicted.len() as u64);
        // Before the new block is written: the bound is of the disk, not of the index.
        for ticket in evicted {
            folder.remove(ticket)?;
        }
        if !has_room {
            self.inner.counters.unkept.add(1);
            return Ok(());
        }
        let identity = Identity {
            name,
            number,
            object_bytes: run.meta.size,
        };
        let ticket = folder.write(identity, bytes)?;
        {
            let mut state = self.state();
            let is_current = state
                .folder
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, folder));
            if !is_current {
                return Ok(());
            }
            let stored = Stored { ticket, length };
            if state.is_pending(name, number, run.fetch) && state.index.insert(name, &run.meta, number, stored, charge)
            {
                return Ok(());
            }
        }
        // It was deleted meanwhile. The room is given back when it is free.
        folder.remove(ticket)?;
        let mut state = self.state();
        if state
            .folder
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, folder))
        {
            state.index.give_back(charge);
        }
        Ok(())
    }
}
