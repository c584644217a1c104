//! What every request works with: the log, the files, the clock; and how a request is made to happen once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use uuid::Uuid;

use crate::append::AppendQueue;
use crate::command::{Command, Ident, Op, Outcome, Refusal, Relation};
use crate::commit::TableQueue;
use crate::credentials::Delegate;
use crate::error::{CatalogError, Result};
use crate::internal::LastPointers;
use crate::metadata::MetadataCache;
use crate::purge::DropRetention;
use crate::raft::Consensus;
use crate::reports::Reports;
use crate::rest::Logins;
use crate::state::{State, TableRow};
use crate::store::MetadataStore;
use crate::warehouse::Warehouse;
use tidewater_core::{SharedClock, SharedRng, Tasks};
use tidewater_security::Authorizer;

tokio::task_local! {
    /// How old the state may be that the request at work reads; unset or none: not at all.
    pub(crate) static STALENESS: Option<std::time::Duration>;
}

/// What a mutation says about itself, for the log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ticket {
    /// The client's idempotency key.
    pub(crate) key: Option<Uuid>,
    /// What was asked for, hashed.
    pub(crate) print: u64,
}

/// Shared by all requests.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) consensus: Arc<dyn Consensus>,
    pub(crate) store: Arc<dyn MetadataStore>,
    pub(crate) warehouse: Warehouse,
    pub(crate) cache: MetadataCache,
    /// Where all tables stood when somebody asked last.
    pub(crate) pointers: LastPointers,
    pub(crate) queue: TableQueue,
    /// Appends that wait to be folded into a snapshot.
    pub(crate) appends: AppendQueue,
    /// Whether appends that lost a race are put on the new head.
    pub(crate) rebase_appends: bool,
    pub(crate) delegate: Option<Delegate>,
    pub(crate) plan_files_max: usize,
    /// How long drops can be taken back.
    pub(crate) retention: DropRetention,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) tasks: Tasks,
    /// What clients reported about their scans and commits.
    pub(crate) reports: Reports,
    /// Who can log in, where somebody can.
    pub(crate) logins: Option<Logins>,
    /// Decides what users may do, where there are any.
    pub(crate) authorizer: Option<Arc<Authorizer>>,
}

impl Service {
    /// The state with everything that was acknowledged before this call (INV-CAT-2), unless the request allows it an age.
    pub(crate) async fn fresh_state(&self) -> Result<State> {
        match STALENESS.try_with(|staleness| *staleness) {
            Ok(Some(staleness)) => self.consensus.barrier_within(staleness).await?,
            _ => self.consensus.barrier().await?,
        }
        Ok(self.consensus.state().state)
    }

    /// A table as of now.
    pub(crate) async fn table(&self, name: &Ident) -> Result<TableRow> {
        let state = self.fresh_state().await?;
        find(&state, name).cloned()
    }

    /// Proposes an operation and gives its outcome; refusals are errors.
    pub(crate) async fn propose(&self, ticket: &Ticket, op: Op) -> Result<Outcome> {
        let at_ms = self.clock.now_ms();
        let command = match ticket.key {
            Some(key) => Command::once(key, ticket.print, at_ms, op),
            None => Command::new(at_ms, op),
        };
        match self.consensus.write(command).await? {
            Outcome::Refused(refusal) => Err(refusal.into()),
            outcome => Ok(outcome),
        }
    }

    /// The same refusal with the name of the table in the way, for callers who may know of every table.
    pub(crate) fn with_holder(&self, error: CatalogError) -> CatalogError {
        match error {
            CatalogError::UuidTaken { uuid, by: None } => {
                let state = self.consensus.state().state;
                let by = state.table_of_uuid(uuid, Uuid::nil()).map(|row| row.name.clone());
                CatalogError::UuidTaken { uuid, by }
            }
            other => other,
        }
    }

    /// Does `work` unless its key was answered before, in which case that answer is given again.
    ///
    /// A refusal that is final is recorded under the key. Recording and applying go through the log, so of a repeated request exactly one thing becomes true: when
    /// the first attempt was applied after all, recording its refusal answers with that success; when the refusal was recorded first, the late attempt is refused too.
    pub(crate) async fn once<F>(&self, ticket: &Ticket, work: F) -> Result<Outcome>
    where
        F: Future<Output = Result<Outcome>>,
    {
        let Some(key) = ticket.key else { return work.await };
        match self.fresh_state().await?.replay(key.as_u128(), ticket.print) {
            Some(Outcome::Refused(refusal)) => return Err(refusal.into()),
            Some(outcome) => return Ok(outcome),
            None => {}
        }
        let error = match work.await {
            Ok(outcome) => return Ok(outcome),
            Err(error) if error.is_final() => error,
            Err(error) => return Err(error),
        };
        let (status, kind) = error.status_and_type();
        let message = match &error {
            // Its particulars tell the caller how to go on.
            CatalogError::Ingest(refusal) => serde_json::to_string(refusal).unwrap_or_default(),
            other => other.to_string(),
        };
        let kind = kind.to_owned();
        let remember = Op::Remember { status, kind, message };
        let command = Command::once(key, ticket.print, self.clock.now_ms(), remember);
        match self.consensus.write(command).await? {
            Outcome::Refused(Refusal::Remembered { .. }) => Err(error),
            Outcome::Refused(other) => Err(other.into()),
            applied => Ok(applied),
        }
    }

    /// Runs `work` to its end even when the client goes away: half a commit would leave files behind.
    pub(crate) async fn detached<T, F>(&self, name: &str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.tasks.spawn(name, async move {
            // A request that makes a library panic must not end the role that serves all the others.
            let done = AssertUnwindSafe(work).catch_unwind().await;
            let done = done.unwrap_or_else(|_| Err(CatalogError::internal("a request panicked, see the lines above")));
            // Nobody listens any more: the work is done all the same.
            let _gone = answer.send(done);
        });
        answered.await.unwrap_or_else(|_| {
            Err(CatalogError::StateUnknown {
                reason: "the server stops".into(),
            })
        })
    }
}

/// The row of a table, or why there is none.
pub(crate) fn find<'a>(state: &'a State, name: &Ident) -> Result<&'a TableRow> {
    if let Some(row) = state.table(name) {
        return Ok(row);
    }
    // Clients tell a missing namespace from a missing table only when listing or creating.
    Err(CatalogError::NoSuchTable { table: name.clone() })
}

/// The row of a view, or that there is none.
pub(crate) fn find_view<'a>(state: &'a State, name: &Ident) -> Result<&'a TableRow> {
    let missing = || CatalogError::NoSuchView { view: name.clone() };
    state.view(name).ok_or_else(missing)
}

/// Refuses a name that is not that of the table or view with this uuid.
pub(crate) fn require_uuid(state: &State, kind: Relation, name: &Ident, uuid: Uuid) -> Result<()> {
    let row = match kind {
        Relation::Table => find(state, name)?,
        Relation::View => find_view(state, name)?,
    };
    if row.pointer.uuid == uuid {
        return Ok(());
    }
    let reason = format!("Requirement failed: UUID does not match: expected {uuid}");
    Err(match kind {
        Relation::Table => CatalogError::CommitFailed {
            table: name.clone(),
            reason,
        },
        Relation::View => CatalogError::ViewCommitFailed {
            view: name.clone(),
            reason,
        },
    })
}

/// Refuses a name for a `kind` that is taken or has no namespace to be in: before anything is written for it.
pub(crate) fn require_free(state: &State, kind: Relation, name: &Ident) -> Result<()> {
    require_namespace(state, &name.namespace)?;
    let name = name.clone();
    let by = match (state.table(&name), state.view(&name)) {
        (Some(_), _) => Relation::Table,
        (_, Some(_)) => Relation::View,
        (None, None) => return Ok(()),
    };
    Err(match (kind, by) {
        (Relation::Table, Relation::Table) => CatalogError::TableExists { table: name },
        (Relation::View, Relation::View) => CatalogError::ViewExists { view: name },
        _ => CatalogError::NameTaken { name, by },
    })
}

/// Refuses a namespace that is not there.
pub(crate) fn require_namespace(state: &State, namespace: &[String]) -> Result<()> {
    match state.namespace(namespace) {
        Some(_) => Ok(()),
        None => Err(CatalogError::NoSuchNamespace {
            namespace: namespace.join("."),
        }),
    }
}
