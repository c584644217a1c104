//! What one connection is in the middle of: its settings, transaction, statements and portals.

mod answers;
mod backends;
mod extended;
mod notices;
mod simple;
mod transaction;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use uuid::Uuid;

use tidewater_engine::pg_catalog::{self, Postgres};
use tidewater_engine::{Execution, SessionOptions};
use tidewater_security::Principal;

use self::backends::Own;
use self::transaction::Transaction;
use super::connection::{Unreachable, Wire};
use super::encode::Style;
use super::failure::{Failure, state};
use super::message::{MESSAGE_BYTES_MAX, Message, Target};
use super::registry::Place;
use super::rows::{Cursor, Sending, Stopped};
use super::script::{Scripts, Sentence, What};
use super::settings::Settings;
use crate::service::{Cut, QueryService, WAP_ID};

/// Statements that a session keeps at most: drivers keep some hundreds.
const STATEMENTS_MAX: usize = 2_000;

/// Portals and cursors that are open at once; each may hold a running query.
const PORTALS_MAX: usize = 100;

/// Memory of all that a session keeps: texts, values and what is told of columns, of statements and portals together. Twice what one
/// message may bring.
const KEPT_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Goes,
    Ends,
}

/// A statement that is kept.
#[derive(Debug, Clone)]
struct Kept {
    /// None for an empty text.
    sentence: Option<Sentence>,
    /// Types of the parameters, as the client said or as they were told.
    parameters: Vec<u32>,
    /// What the client said.
    declared: Vec<u32>,
    columns: Option<SchemaRef>,
    /// What it takes, about.
    bytes: usize,
}

/// A statement with values.
#[derive(Debug)]
struct Portal {
    kept: Arc<Kept>,
    values: Vec<datafusion::scalar::ScalarValue>,
    style: Style,
    progress: Progress,
    /// What it takes, about, its statement included: that may be gone before it.
    bytes: usize,
}

/// How far a portal is.
#[derive(Debug)]
enum Progress {
    Bound,
    /// Its rows, under this id, and the word of its tag.
    Rows(Box<Sending>, Uuid, &'static str),
    Done,
}

/// A cursor that was declared.
#[derive(Debug)]
struct Declared {
    cursor: Cursor,
    /// The statement that its rows come of.
    id: Uuid,
    /// Whether it outlives its transaction.
    hold: bool,
    /// Savepoints of its transaction when it was declared; none if it is of no transaction that is open.
    within: Option<usize>,
    /// Whether a statement that took rows of it failed: which of them have come is not known.
    failed: bool,
}

/// One connection's state.
pub(super) struct Session {
    service: QueryService,
    scripts: Scripts,
    principal: Principal,
    place: Place,
    settings: Settings,
    transaction: Transaction,
    statements: HashMap<String, Arc<Kept>>,
    portals: HashMap<String, Portal>,
    cursors: HashMap<String, Declared>,
    /// Messages are skipped until the end of the batch that one of them failed in.
    skips: bool,
}

impl Session {
    pub(super) fn new(
        service: QueryService,
        scripts: Scripts,
        principal: Principal,
        place: Place,
        settings: Settings,
    ) -> Self {
        Self {
            service,
            scripts,
            principal,
            place,
            settings,
            transaction: Transaction::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            skips: false,
        }
    }

    /// How long the client may be silent now, and what it is told when it was for longer.
    pub(super) fn idle_limit(&self) -> Option<(Duration, Failure)> {
        let (name, state, text) = match self.transaction.open() {
            true => (
                "idle_in_transaction_session_timeout",
                state::IDLE_IN_TRANSACTION,
                "terminating connection due to idle-in-transaction timeout",
            ),
            false => (
                "idle_session_timeout",
                state::IDLE,
                "terminating connection due to idle-session timeout",
            ),
        };
        let limit = self.settings.duration(name)?;
        Some((limit, Failure::new(state, text)))
    }

    /// Does what a message asks for.
    pub(super) async fn handle(&mut self, message: Message, wire: &mut Wire) -> Result<Settled, Unreachable> {
        if self.skips && !matches!(message, Message::Sync | Message::Terminate) {
            return Ok(Settled::Goes);
        }
        match message {
            Message::Terminate => return Ok(Settled::Ends),
            Message::Query(text) => {
                let done = self.query(&text, wire).await;
                self.settle(done, wire)?;
                self.ready(wire).await?;
            }
            Message::Sync => {
                self.skips = false;
                self.ready(wire).await?;
            }
            Message::Flush => wire.flush().await?,
            // Rows of a COPY that was refused.
            Message::Copy => {}
            message => {
                let done = self.step(message, wire).await;
                let failed = matches!(done, Err(Stopped::Failed(_)));
                self.settle(done, wire)?;
                self.skips = failed;
                if failed {
                    // Some clients wait for it before they end the batch, and what would flush it is skipped now.
                    wire.flush().await?;
                }
            }
        }
        Ok(Settled::Goes)
    }

    async fn step(&mut self, message: Message, wire: &mut Wire) -> Result<(), Stopped> {
        match message {
            Message::Parse { name, sql, types } => self.parse(name, &sql, types, wire).await,
            Message::Bind(bind) => Ok(self.bind(bind, wire)?),
            Message::Describe(target) => Ok(self.describe(&target, wire)?),
            Message::Execute { portal, rows_max } => self.execute(&portal, rows_max, wire).await,
            Message::Close(target) => {
                match target {
                    Target::Statement(name) => drop(self.statements.remove(&name)),
                    Target::Portal(name) => {
                        self.portals.remove(&name);
                        self.cursors.remove(&name);
                    }
                }
                wire.replies.close_complete();
                Ok(())
            }
            Message::Password(_) => Err(Failure::protocol("a password was not asked for").into()),
            Message::Unknown(kind) => Err(Failure::protocol(format!("no message is of kind {kind}")).into()),
            _ => Ok(()),
        }
    }

    /// Tells an error, which ends the transaction that it happened in.
    fn settle(&mut self, done: Result<(), Stopped>, wire: &mut Wire) -> Result<(), Unreachable> {
        self.place.works_on(None);
        match done {
            Ok(()) => Ok(()),
            Err(Stopped::Unreachable) => Err(Unreachable),
            Err(Stopped::Failed(failure)) => {
                self.transaction.fail();
                self.portals.clear();
                wire.replies.fields(b'E', &failure.fields("ERROR"));
                Ok(())
            }
        }
    }

    /// Lets a cursor give no more rows after a statement that took some of them failed: those that were on their way are lost.
    fn spoil(&mut self, what: &What) {
        // In a transaction that had failed before nothing was taken.
        if let (What::Fetch { name, .. }, false) = (what, self.transaction.failed())
            && let Some(declared) = self.cursors.get_mut(name)
        {
            declared.failed = true;
        }
    }

    /// The end of a batch. Outside a transaction block it ends what it was, and the portals with it.
    async fn ready(&mut self, wire: &mut Wire) -> Result<(), Unreachable> {
        if !self.transaction.open() {
            self.portals.clear();
            self.cursors.retain(|_, declared| declared.hold);
        }
        wire.replies.ready(self.transaction.status());
        wire.flush().await
    }

    /// Refuses what would make the session keep more than it may. The portal of the name that is `replaced` goes for it.
    fn room_for(&self, bytes: usize, replaced: Option<&str>) -> Result<(), Failure> {
        let statements = self.statements.values().map(|kept| kept.bytes);
        let portals = self.portals.iter();
        let portals = portals.filter(|(name, _)| replaced != Some(name.as_str()));
        let held = statements.chain(portals.map(|(_, portal)| portal.bytes));
        match held.fold(bytes, usize::saturating_add) > KEPT_BYTES_MAX {
            false => Ok(()),
            true => {
                let limit = KEPT_BYTES_MAX >> 20;
                let text = format!("a session keeps {limit} MiB of statements and bound values at most");
                let hint =
                    "close statements and portals that are not used (DEALLOCATE, DISCARD ALL), or bind less at once";
                Err(Failure::new(state::LIMIT, text).hint(hint))
            }
        }
    }

    /// The longest time that a statement may take here.
    fn deadline(&self) -> Duration {
        let own = self.settings.duration("statement_timeout");
        own.map_or_else(
            || self.service.query_timeout(),
            |own| own.min(self.service.query_timeout()),
        )
    }

    /// The statement as it is asked of the service: with the schemas of names that are found behind the first one.
    async fn on_path<'a>(&mut self, sql: &'a str, options: &SessionOptions) -> Result<Cow<'a, str>, Failure> {
        let found = Box::pin(self.service.on_path(&self.principal, sql, options)).await;
        let found = found.map_err(|error| Failure::of(&error, sql))?;
        Ok(found.map_or(Cow::Borrowed(sql), Cow::Owned))
    }

    /// What a statement of this session sees. `types` are those of its parameters, as far as the client said.
    async fn options(&mut self, sql: &str, types: &[u32]) -> Result<SessionOptions, Failure> {
        let schemas = self.settings.schemas();
        let wants_relations = pg_catalog::asks(sql);
        let backends = Own::named_by(sql, &self.service, &self.principal).await;
        let access = self.service.access(&self.principal);
        let mut postgres = Postgres {
            user: self.settings.get("session_authorization").to_owned(),
            database: self.service.catalog_name().to_owned(),
            version: super::settings::SERVER_VERSION.to_owned(),
            pid: self.place.key.pid(),
            schemas: schemas.clone(),
            settings: self.settings.all(),
            zone: self.settings.zone().name(),
            writes: self.service.authenticator().may_write(&self.principal),
            access: access.map_err(|error| Failure::of(&error, sql))?,
            parameters: types
                .iter()
                .map(|oid| super::types::arrow(*oid))
                .collect::<Vec<Option<DataType>>>(),
            relations: None,
            backends: Some(Arc::new(backends)),
        };
        if wants_relations {
            let relations = self.service.relations(&self.principal).await;
            postgres.relations = Some(relations.map_err(|error| Failure::of(&error, sql))?);
        }
        let mut options = SessionOptions {
            default_schema: schemas.first().cloned(),
            execution: Execution::named(self.settings.get("tidewater.execution")).unwrap_or_default(),
            wap_id: Some(self.settings.get(WAP_ID).to_owned()).filter(|id| !id.is_empty()),
            in_transaction: self.transaction.open(),
            one_moment: self.transaction.one_moment(),
            ..SessionOptions::default()
        };
        options.overlay = postgres.tables(sql).map_err(|error| Failure::of(&error.into(), sql))?;
        options.postgres = Some(Arc::new(postgres));
        Ok(options)
    }
}

/// Waits until a statement is over its session's time, which ends it.
async fn late(service: QueryService, id: Uuid, limit: Option<Duration>) {
    match limit {
        None => std::future::pending().await,
        Some(limit) => {
            service.clock().sleep(limit).await;
            service.cut(id, Cut::Late(limit));
        }
    }
}

fn timed_out() -> Failure {
    Failure::new(state::CANCELLED, "canceling statement due to statement timeout")
}

/// The tag after rows.
fn tagged(word: &str, count: u64) -> String {
    match word {
        "SHOW" | "EXPLAIN" | "CALL" => word.to_owned(),
        _ => format!("{word} {count}"),
    }
}
