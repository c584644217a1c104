//! A long log at the start: threads decode its entries while those before them are applied.
//!
//! openraft reads and applies the log itself, in pieces of 64 entries, one thing after the other, and every piece is published.
//! What is applied here first it finds applied. It only makes the start faster: at anything that is not as it should be it stops
//! and changes nothing, and openraft comes to the same place and says what is wrong.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, ScopedJoinHandle, available_parallelism, scope};

use super::log_store::{LogStore, open_record};
use super::state_store::{Machine, StateStore};
use super::types::Entry;

/// Fewer entries than this are read in milliseconds.
const ENTRIES_MIN: u64 = if cfg!(test) { 16 } else { 1_000 };

/// Bytes of records that are decoded in one go, some milliseconds of work.
const PIECE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 256 << 10 };

/// Pieces that wait before and after each decoder: with the one that is worked on, a few megabytes.
const PIECES_WAITING: usize = 2;

/// More decoders than this would wait for the one that applies.
const DECODERS_MAX: usize = 4;

/// Records as they stand in the log.
#[derive(Debug, Default)]
pub(super) struct Piece {
    bytes: Vec<u8>,
    /// The index of each record, and where it ends.
    ends: Vec<(u64, usize)>,
}

impl Piece {
    pub(super) fn push(&mut self, index: u64, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push((index, self.bytes.len()));
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE_BYTES
    }

    fn decode(&self) -> io::Result<Vec<Entry>> {
        let mut from = 0;
        let mut entries = Vec::with_capacity(self.ends.len());
        for (index, end) in &self.ends {
            let record = self.bytes.get(from..*end).unwrap_or_default();
            entries.push(open_record(*index, record)?);
            from = *end;
        }
        Ok(entries)
    }
}

/// Applies what the log knows to be committed and the state does not hold yet, if it is much; answers how many entries it was.
pub(super) fn replay(log: &LogStore, states: &StateStore) -> u64 {
    let Some(committed) = log.committed() else { return 0 };
    let mut machine = Machine::clone(&states.published().machine());
    let begin = machine.applied.map_or(0, |id| id.index + 1);
    let end = committed.index + 1;
    if end.saturating_sub(begin) < ENTRIES_MIN {
        return 0;
    }
    let applied = scope(|scope| {
        let decoders = available_parallelism().map_or(1, usize::from).min(DECODERS_MAX);
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..decoders {
            let (input, pieces) = sync_channel::<Piece>(PIECES_WAITING);
            let (decoded, output) = sync_channel::<Vec<Entry>>(PIECES_WAITING);
            let name = Builder::new().name("replay-decode".into());
            let spawned: io::Result<ScopedJoinHandle<'_, ()>> =
                name.spawn_scoped(scope, move || decode(&pieces, &decoded));
            spawned.ok()?;
            inputs.push(input);
            outputs.push(output);
        }
        let name = Builder::new().name("replay-read".into());
        // Who takes no more pieces has said why by not answering.
        let read = name.spawn_scoped(scope, move || {
            let mut turn = inputs.iter().cycle();
            log.pieces(begin..end, |piece| {
                turn.next().is_some_and(|input| input.send(piece).is_ok())
            })
        });
        let read = read.ok()?;
        let mut expected = begin;
        for output in outputs.iter().cycle() {
            let Ok(entries) = output.recv() else { break };
            for entry in entries {
                if entry.log_id.index != expected {
                    return None;
                }
                expected += 1;
                machine.apply(entry, states.pressure());
            }
        }
        drop(outputs);
        let whole = read.join().is_ok_and(|read| read.is_ok()) && expected == end && machine.applied == Some(committed);
        whole.then_some(())
    });
    match applied {
        Some(()) => {
            states.publish(machine);
            end - begin
        }
        None => 0,
    }
}

fn decode(pieces: &Receiver<Piece>, decoded: &SyncSender<Vec<Entry>>) {
    for piece in pieces {
        // Without an answer the others stop as well.
        let Ok(entries) = piece.decode() else { return };
        if decoded.send(entries).is_err() {
            return;
        }
    }
}
