//! What tools that know PostgreSQL expect: its catalog, its functions, and its way to write statements.
//!
//! A session with [`Postgres`] in its options reads statements in PostgreSQL's dialect. What the query engine calls otherwise is
//! changed in the parsed statement ([`rewrite`]), never in its text; `pg_catalog` and `information_schema` are tables in
//! memory that are made for one statement ([`tables`]), from what the catalog says at that time ([`known`]).

pub mod array_text;
pub mod byte_text;
mod functions;
mod keywords;
mod known;
mod operators;
pub mod procedures;
mod relations;
mod rewrite;
pub mod shown;
mod span_text;
mod tables;
pub mod types;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::config::Dialect;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use tidewater_core::TableName;
use tidewater_security::Access;

pub use self::functions::{depends_on_session, pure as functions};
pub(crate) use self::known::Known;
pub use self::relations::{Column, Relation, Relations};
pub(crate) use self::rewrite::figures;
pub use self::rewrite::{DateOrder, in_order, sent_text};
pub(crate) use self::tables::is_table;
use crate::error::Result;
use crate::session::ZONE;

/// The schema that the catalog's tables are in, those of `information_schema` among them.
const SCHEMA: &str = "pg_catalog";

/// The setting that tells in which order a date of three numbers is read.
pub const DATE_STYLE: &str = "DateStyle";

/// The metadata of a field whose values PostgreSQL calls otherwise than their Arrow type tells: the name of its type.
pub const TYPE_KEY: &str = "postgres.type";

/// The schema of `->` and `#>` whose answer is put into a document: what they take of one is one. Written `OPERATOR(document.->)`, as a
/// statement may be printed and parsed again.
const FIELD_AS_DOCUMENT: &str = "document";

/// What `SHOW` shows of what there is.
const SHOWN: &[&str] = &["tables", "views", "schemas", "columns", "databases", "namespaces"];

/// Words in statements that need to know what there is.
const WORDS: &[&str] = &[
    "pg_",
    "information_schema",
    "regclass",
    "regtype",
    "regproc",
    "_privilege",
    "_description",
    "format_type",
];

/// Other connections, as far as a session may touch them.
pub trait Backends: fmt::Debug + Send + Sync {
    /// Ends the statement that a connection runs. False where there is no such connection.
    fn cancel(&self, pid: i32) -> bool;

    /// Ends a connection. False where there is none.
    fn terminate(&self, pid: i32) -> bool;

    /// The connections, and whether they are `active` or `idle`.
    fn pids(&self) -> BTreeMap<i32, String>;

    /// How many processes did not say which connections they have.
    fn silent(&self) -> usize;
}

/// A session of the PostgreSQL wire, as statements see it.
#[derive(Debug, Clone, Default)]
pub struct Postgres {
    /// Who it is.
    pub user: String,
    /// The one database.
    pub database: String,
    /// The version that is told.
    pub version: String,
    /// What names the connection.
    pub pid: i32,
    /// Schemas of names that have none.
    pub schemas: Vec<String>,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
    /// The zone whose days and hours instants have, by a name or an offset that the query engine knows; UTC if not given.
    pub zone: Option<String>,
    /// Whether the user may change data.
    pub writes: bool,
    /// What grants let the user do; none where no grant binds them.
    pub access: Option<Arc<Access>>,
    /// Types of the parameters, as far as the client said.
    pub parameters: Vec<Option<DataType>>,
    /// What there is, for statements that ask.
    pub relations: Option<Arc<Relations>>,
    /// The other connections.
    pub backends: Option<Arc<dyn Backends>>,
}

/// Whether a statement may need to know what there is. It may say so of one that does not.
pub fn asks(sql: &str) -> bool {
    let sql = words_of(sql);
    WORDS.iter().any(|word| sql.contains(word))
}

/// A statement in small letters; behind one that shows what there is (`SHOW TABLES`) stand the tables that answer it.
fn words_of(sql: &str) -> String {
    let mut text = sql.to_ascii_lowercase();
    let mut words = text.split_ascii_whitespace();
    if words.next() == Some("show") && words.any(|word| SHOWN.iter().any(|shown| word.starts_with(shown))) {
        text.push_str(" information_schema.tables schemata columns");
    }
    text
}

impl Postgres {
    /// The tables of the catalog that a statement may name, for the overlay of its session; none without relations.
    pub fn tables(&self, sql: &str) -> Result<HashMap<TableName, Arc<dyn TableProvider>>> {
        match &self.relations {
            Some(relations) => tables::named(&words_of(sql), self, relations),
            None => Ok(HashMap::new()),
        }
    }

    /// The zone of its session, as types of instants tell it.
    pub(crate) fn zone(&self) -> &str {
        self.zone.as_deref().unwrap_or(ZONE)
    }

    /// Gives `part` everything that decides how a statement is planned which neither asks what there is nor calls a function of the
    /// session ([`depends_on_session`]).
    pub(crate) fn planned_by(&self, mut part: impl FnMut(&[u8])) {
        let Self {
            user,
            database,
            version,
            pid: _,
            schemas,
            settings,
            zone: _,
            writes,
            access: _,
            parameters,
            relations: _,
            backends: _,
        } = self;
        for text in [user, database, version] {
            part(text.as_bytes());
        }
        part(&[u8::from(*writes)]);
        part(&schemas.len().to_le_bytes());
        schemas.iter().for_each(|schema| part(schema.as_bytes()));
        part(&settings.len().to_le_bytes());
        for (name, value) in settings {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        for parameter in parameters {
            part(format!("{parameter:?}").as_bytes());
        }
    }

    /// In which order a date of three numbers is read; `None`: it is refused.
    fn date_order(&self) -> Option<DateOrder> {
        self.settings.get(DATE_STYLE).and_then(|style| DateOrder::of(style))
    }

    /// Lets a session read statements as PostgreSQL does.
    pub(crate) fn register(self: &Arc<Self>, session: &SessionContext) {
        {
            let state = session.state_ref();
            let mut state = state.write();
            let config = state.config_mut();
            config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
            // `1.5` is a decimal there.
            config.options_mut().sql_parser.parse_float_as_decimal = true;
            config.set_extension(Arc::clone(self));
            // One more is added: it has no way to fail.
            let _ = state.register_expr_planner(Arc::new(operators::Arithmetic));
        }
        functions::register(session, self);
    }
}

/// A value as the text that PostgreSQL shows of it.
pub(crate) fn shown_as_text(value: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_text", vec![value])
}

/// The instant that a text tells, in a zone if it names none.
pub(crate) fn instant_of_text(text: Expr, zone: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_instant", vec![text, zone])
}

/// The hour that an instant lies in, by clocks of its zone.
pub(crate) fn instant_hour(instant: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_instant_hour", vec![instant])
}

/// An instant so much later, by the calendar of its zone.
pub(crate) fn instant_plus(instant: Expr, span: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_instant_plus", vec![instant, span])
}

/// `value AT TIME ZONE zone`.
pub(crate) fn at_zone(zone: Expr, value: Expr) -> datafusion::common::Result<Expr> {
    functions::call("timezone", vec![zone, value])
}

/// The bytes that a text stands for (`bytea`).
pub(crate) fn bytes_of_text(text: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_bytea", vec![text])
}

/// The `uuid` that a text stands for.
pub(crate) fn uuid_of_text(text: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_uuid", vec![text])
}

/// The interval that a text which is written stands for; none for what is no such text.
pub(crate) fn span_of_text(text: &Expr) -> datafusion::common::Result<Option<Expr>> {
    let Expr::Literal(text, _) = text else {
        return Ok(None);
    };
    match text.try_as_str().flatten() {
        Some(text) => Ok(Some(lit(span_text::read(text)?))),
        None => Ok(None),
    }
}

/// The array that a text stands for, of texts.
pub(crate) fn array_of_text(text: Expr) -> datafusion::common::Result<Expr> {
    functions::call("pg_array_of_text", vec![text])
}

/// Lets a state read the text of a view, which is to say the same to whoever asks: dates of three numbers have no order there, and are
/// refused.
pub(crate) fn reads_view(state: &mut SessionState) {
    if let Some(postgres) = state.config().get_extension::<Postgres>() {
        let mut postgres = Postgres::clone(&postgres);
        postgres.settings.remove(DATE_STYLE);
        state.config_mut().set_extension(Arc::new(postgres));
    }
}

/// Whether a table is one of PostgreSQL's catalog, as which a session of the wire has those of `information_schema` too: they are made for
/// one statement, by what its text names.
pub(crate) fn is_made(name: &TableName) -> bool {
    let schema = name.namespace().to_string();
    schema == SCHEMA
}

/// Changes a parsed statement into what the query engine understands: all of it if it is of such a session, else the little that
/// must mean the same everywhere.
pub(crate) fn understand(state: &SessionState, statement: &mut Statement) {
    match state.config().get_extension::<Postgres>() {
        Some(postgres) => rewrite::statement(statement, &postgres),
        None => rewrite::other(statement),
    }
}
