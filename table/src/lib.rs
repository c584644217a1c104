//! The Iceberg table format: files, schemas, data files, commits, scan planning and changes between snapshots.
//!
//! It writes every kind of snapshot itself, on the public parts of the `iceberg` crate, which serves for metadata only: its
//! Arrow types never cross this crate's interface. It does not run queries, does not keep table pointers (that is a
//! [`Catalog`]), and reads rows only where deletes, statistics or a verification need them.
//!
//! Main types: [`FileStore`] (local disk, S3, memory), [`Catalog`] (the seam to the table pointers), [`DataFileWriter`]
//! (rows to [`Added`] files), [`Change`] with [`commit_change`] (a snapshot), [`Scan`] (files that may hold rows of a
//! [`Predicate`]), [`PartitionColumns`] (what a file's partition tells of its rows), [`changes_between`]; [`stage`] and
//! [`create_with`] (tables), [`alter_table`] (their form), [`change_refs`] and [`cherry_pick`] (branches and tags), [`find_orphans`],
//! [`rewrite_manifests`], [`verify`](verify()), [`compute_statistics`], [`overwrite_partitions`].
//!
//! Invariants: a snapshot never names a file that is not durable (INV-TBL-1); a commit that lost its race is planned again
//! from the new head, never applied again (INV-TBL-2); pruning keeps every file that may hold a row.

pub mod alter;
pub mod at_hand;
pub mod catalog;
pub mod change;
pub mod changelog;
pub mod commit;
pub mod create;
pub mod deletes;
pub mod digest;
pub mod disguise;
pub mod error;
pub mod expire;
pub mod file_store;
pub mod foreign;
pub mod inspect;
pub mod marks;
pub mod meant;
pub mod orphans;
pub mod overwrite;
pub mod partition_value;
pub mod predicate;
pub mod reachable;
pub mod refs;
pub mod rewrite;
pub mod scan;
pub mod schema;
pub mod statistics;
#[doc(hidden)]
pub mod testing;
pub mod verify;
pub mod view;
pub mod write;

mod earlier;
#[cfg(test)]
mod judges;
mod manifest;
#[cfg(test)]
mod sample;
mod transform;

pub use alter::{
    Alteration, ColumnPath, NewColumn, PartitionBy, PartitionField, Position, SortBy, alter_table,
    check_partition_fields, usual_name,
};
pub use at_hand::{AtHand, AtHandFigures, Found, Met};
pub use catalog::{
    Catalog, CatalogFault, CommitOutcome, LoadedTable, NewTable, Pointers, Since, TableCommit, TablePointer,
};
pub use change::{Added, Change, Conditions, JOB_ID_KEY, Target};
pub use changelog::{SnapshotChange, changes_between};
pub use commit::{
    CommitOptions, Committed, LostAppend, PlannedAppend, PlannedCommit, Rebase, RewriteManifests, RewrittenManifests,
    Tail, commit_change, commit_changes, misfit, plan_append, plan_commit, rebase_append, rewrite_manifests,
};
pub use create::{Created, OnExisting, Staged, StagedTable, create_with, creation_updates, stage};
pub use deletes::{FileDeletes, RowMask, write_deletes};
pub use error::{Result, TableError};
pub use expire::{
    CONSUMED_KEY, Consumers, Expired, Expiry, FileKind, Keep, Retention, ToldRetention, expire, plan_expiry,
    remove_unreachable,
};
pub use file_store::{DiskCacheFigures, DiskCacheOptions, FileInfo, FileStore, ReadAnew, S3Options, StoreOptions};
pub use iceberg;
pub use manifest::partition_key;
pub use meant::{Bound, Meant};
pub use orphans::{OrphanOptions, Orphans, find_orphans, remove_orphans};
pub use overwrite::{overwrite_partitions, overwrite_where};
pub use predicate::{Comparison, Predicate};
pub use refs::{
    HeadMoved, Picked, RefChange, before_replacement, change_refs, cherry_pick, fast_forward, is_before_replacement,
    is_wap_enabled, lost_source, plan_rollback, refs_of, rollback_to_snapshot, rollback_to_timestamp,
    set_current_snapshot, snapshot_of, staged_as,
};
pub use rewrite::{GroupOrder, RewriteGroup, RewriteOptions, plan_rewrite};
pub use scan::{
    Constant, Coverage, DeleteFile, Listing, Part, PartitionColumns, Scan, ScanFile, ScanParts, Verdict, covers,
    plan_scan,
};
pub use statistics::{ComputedStatistics, DISTINCT, StatisticsOptions, compute_statistics};
pub use transform::transformed;
pub use verify::{Damage, Depth, Problem, Verified, VerifyOptions, verify};
pub use view::{NewView, View};
pub use write::{
    DataFileWriter, ParquetCodec, WriteOptions, WriteRun, check_write_properties, conformed, discard, sweep_run,
};
