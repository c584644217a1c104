//! Judges of the table format as a whole: writers that meet, a store that fails, files that are damaged. Each compares what is read
//! with a replay of what was answered, one commit after the other.

mod changes;
mod damage;
mod deletes;
mod faults;
mod history;
mod lake;
mod storm;
