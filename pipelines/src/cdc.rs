//! Kind `cdc`: the current state of a change log, by key.
//!
//! Every column is a register that the newest change of a key sets: `(sequence_by…)` orders the changes, never the time at
//! which they arrive. A delete sets them all to null and the row to absent; a truncate does so for every older row. A column
//! whose value the source left out (an unchanged TOAST column) is not set by that change, so an older change of it still
//! counts, even one that arrives later. A row that the model does not keep is absent as well, and has lost nothing: what is left
//! out when it comes back is read from the whole log (`shown.rs`). What is stored is enough to place any late or repeated change:
//! - in the table, hidden columns after the model's own: the sequence of the row's newest change (`_lsn`, `_offset`), where
//!   that change came from (`_kafka_partition`), and, for columns that were ever left out, the sequence their value is from
//!   (`_lsn_of_<column>`, null if it is the row's own, -1 if it was never seen);
//! - in `ops.tombstones__<schema>__<name>`, key and sequence of every delete, and of what hid a row, committed in the same
//!   transaction;
//! - in the refresh state, the newest truncate, the columns that were ever left out, and which tombstones belong to the rows.

mod affected;
mod events;
mod log;
mod merge;
mod run;
pub(crate) mod shape;
mod shown;
pub(crate) mod tombstones;

pub(crate) use run::prepare;

#[cfg(test)]
mod tests;
