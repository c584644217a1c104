//! What the catalog refuses and why, with the HTTP status and the Iceberg error type of each.

mod coded;
mod found;
mod status;

use thiserror::Error;
use uuid::Uuid;

use crate::command::{DropJobProblem, Ident, IngestRefusal, ProducerRange, Relation};
use crate::raft::ConsensusError;
use tidewater_security::SecurityError;

/// How much of the path of a refused file is shown.
const PATH_SHOWN_CHARS: usize = 300;

/// The result of this crate's calls.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// Every failure of the catalog server. Messages that begin with a capital are those of the protocol's reference server:
/// clients and their tests look for them.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The namespace is not there.
    #[error("Namespace does not exist: {namespace}")]
    NoSuchNamespace {
        /// Its levels, joined by dots.
        namespace: String,
    },
    /// The table is not there.
    #[error("Table does not exist: {table}")]
    NoSuchTable {
        /// Its name.
        table: Ident,
    },
    /// The namespace is there already.
    #[error("Namespace already exists")]
    NamespaceExists,
    /// The table is there already.
    #[error("Table already exists: {table}")]
    TableExists {
        /// Its name.
        table: Ident,
    },
    /// The table is there already, under another name.
    #[error("the table with uuid {uuid}, {}, exists already", named(by.as_ref()))]
    UuidTaken {
        /// The uuid.
        uuid: Uuid,
        /// Its name there, for who may know of it.
        by: Option<Ident>,
    },
    /// The view is not there.
    #[error("View does not exist: {view}")]
    NoSuchView {
        /// Its name.
        view: Ident,
    },
    /// The view is there already.
    #[error("View already exists: {view}")]
    ViewExists {
        /// Its name.
        view: Ident,
    },
    /// A table cannot have the name of a view, nor the other way round.
    #[error("{by} with same name already exists: {name}")]
    NameTaken {
        /// The name.
        name: Ident,
        /// What bears it.
        by: Relation,
    },
    /// The new name of a table or view is taken.
    #[error("Cannot rename {from} to {to}. {by} already exists")]
    RenameTaken {
        /// The present name.
        from: Ident,
        /// The name asked for.
        to: Ident,
        /// What bears it.
        by: Relation,
    },
    /// A view that cannot be. The words are those of the reference implementation, and nothing else.
    #[error("{reason}")]
    InvalidView {
        /// What is wrong with it.
        reason: String,
    },
    /// A requirement of a commit to a view does not hold, or others were faster.
    #[error("{reason} (view {view})")]
    ViewCommitFailed {
        /// The view.
        view: Ident,
        /// Which requirement.
        reason: String,
    },
    /// A namespace that holds something cannot be dropped.
    #[error("Namespace is not empty")]
    NamespaceNotEmpty,
    /// A requirement does not hold, or others were faster.
    #[error("{reason} (table {table})")]
    CommitFailed {
        /// The table.
        table: Ident,
        /// Which requirement.
        reason: String,
    },
    /// The commit may or may not have been applied.
    #[error("it is not known whether the change was applied: {reason}")]
    StateUnknown {
        /// What interrupted it.
        reason: String,
    },
    /// The request is wrong.
    #[error("{reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// A name that cannot be used.
    #[error("name {name:?} is refused: {reason}")]
    BadName {
        /// The name, cut.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A location that cannot be used.
    #[error("location {location:?} is refused: {reason}")]
    BadLocation {
        /// The location, cut.
        location: String,
        /// Why.
        reason: String,
    },
    /// Understood and contradictory.
    #[error("{reason}")]
    Unprocessable {
        /// The contradiction.
        reason: String,
    },
    /// Understood, and not done here.
    #[error("{what} is not supported")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// A limit on the size of a request.
    #[error("{what} is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A limit of the catalog's state.
    #[error("the catalog is full: {limit}")]
    Full {
        /// Which limit.
        limit: String,
    },
    /// The object store failed; nothing was changed.
    #[error("could not {action} {location}")]
    Store {
        /// What was attempted.
        action: &'static str,
        /// On what.
        location: String,
        /// The store's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A metadata file that is not there or cannot be read as one.
    #[error("metadata file {location} is damaged: {reason}")]
    Damaged {
        /// The file.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// A metadata file that is not there.
    #[error("Failed to open input stream for file: {location}")]
    MissingFile {
        /// The file.
        location: String,
    },
    /// No such route, or not with this method.
    #[error("no such endpoint: {endpoint}")]
    NoSuchEndpoint {
        /// Method and path.
        endpoint: String,
    },
    /// A warehouse that is not this one.
    #[error("warehouse {warehouse:?} does not exist")]
    NoSuchWarehouse {
        /// What was asked for.
        warehouse: String,
    },
    /// The job row is not there.
    #[error("job {job} does not exist")]
    NoSuchJob {
        /// Its id.
        job: String,
    },
    /// The job row has another version, or the job has ended.
    #[error("the job row has version {version}")]
    JobVersion {
        /// The version it has.
        version: u64,
    },
    /// No dropped table had the name, or none with that id.
    #[error("no dropped table {table} can be brought back")]
    NotDropped {
        /// The name.
        table: Ident,
    },
    /// The files of a dropped table are being deleted.
    #[error("the files of dropped table {table} are being deleted: it cannot be used any more")]
    PurgeBegun {
        /// The name it had.
        table: Ident,
    },
    /// A report on a job that finishes a drop was refused.
    #[error("a report on drop job {job} is refused: {problem:?}")]
    DropJob {
        /// The job.
        job: Uuid,
        /// Why.
        problem: DropJobProblem,
    },
    /// What is needed to know which files a dropped table has is damaged or gone.
    #[error("the files of dropped table {table} cannot be told: {reason}")]
    NotPurged {
        /// The name it had.
        table: Ident,
        /// What is wrong.
        reason: String,
    },
    /// Offsets or leases do not fit.
    #[error("ingest commit is refused")]
    Ingest(IngestRefusal),
    /// The answer that this idempotency key got before.
    #[error("{message}")]
    Remembered {
        /// HTTP status.
        status: u16,
        /// Error type.
        kind: String,
        /// Message.
        message: String,
    },
    /// A producer appended some of the range before, in another range.
    #[error(
        "append of {from} to {to} to {table} is refused: producer {:?} appended some of it already; its last range is {} to {}",
        last.producer, last.from, last.to
    )]
    AppendOverlap {
        /// The table.
        table: Ident,
        /// First position of the range asked for.
        from: u64,
        /// One past its last position.
        to: u64,
        /// The last range of that producer.
        last: ProducerRange,
    },
    /// A data file that cannot join a table.
    #[error("data file {path} cannot be appended to {table}: {reason}")]
    BadDataFile {
        /// The table.
        table: Ident,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What several requests failed for together.
    #[error(transparent)]
    Shared(std::sync::Arc<CatalogError>),
    /// A plan or a plan task that is none of this table's, or whose snapshot is gone.
    #[error("{what} does not exist; plan the scan again")]
    NoSuchPlan {
        /// Which of the two.
        what: &'static str,
    },
    /// A request to the object store that reaches beyond the table.
    #[error("{reason}")]
    OutOfScope {
        /// What it reaches.
        reason: String,
    },
    /// STS gave no keys.
    #[error("could not get temporary credentials from STS: {reason}")]
    NoSts {
        /// What it said.
        reason: String,
    },
    /// No credential can be made for this table.
    #[error("no credential can be given: {reason}")]
    NoCredential {
        /// Why.
        reason: String,
    },
    /// The caller did not show who he is.
    #[error("{reason}")]
    Unauthenticated {
        /// What is missing.
        reason: String,
    },
    /// The caller's token was good once.
    #[error("the token has expired")]
    TokenExpired,
    /// The request was not answered in time.
    #[error("the request was not done within {seconds} s")]
    DeadlineExceeded {
        /// The deadline.
        seconds: u64,
    },
    /// The body of the request did not come in time.
    #[error("the body of the request did not come within {seconds} s")]
    SlowBody {
        /// The limit.
        seconds: u64,
    },
    /// The role is there already.
    #[error("role {role} exists already")]
    RoleExists {
        /// Its name.
        role: String,
    },
    /// The role is not there.
    #[error("role {role} does not exist")]
    NoSuchRole {
        /// Its name.
        role: String,
    },
    /// A role would contain itself.
    #[error("role {role} cannot be given to {member}: it would contain itself")]
    RoleCircle {
        /// The role.
        role: String,
        /// Who was to get it.
        member: String,
    },
    /// A port that would be open to others, or something that the caller may not do.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The log.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// A defect.
    #[error("internal error: {reason}")]
    Internal {
        /// What was seen.
        reason: String,
    },
}

/// Which name a table has, as far as it is told.
fn named(name: Option<&Ident>) -> String {
    name.map_or_else(
        || "which has another name".to_owned(),
        |name| format!("which is {name}"),
    )
}

impl CatalogError {
    /// A wrong request.
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::BadRequest { reason: reason.into() }
    }

    /// A defect.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::Internal { reason: reason.into() }
    }

    /// A data file that cannot join a table. Of a path that is too long to be one, the beginning is shown.
    pub(crate) fn bad_data_file(table: &Ident, path: &str, reason: String) -> Self {
        Self::BadDataFile {
            table: table.clone(),
            path: path.chars().take(PATH_SHOWN_CHARS).collect(),
            reason,
        }
    }

    /// The error itself, also when several requests share it.
    pub(crate) fn itself(&self) -> &Self {
        match self {
            Self::Shared(shared) => shared.itself(),
            other => other,
        }
    }
}
