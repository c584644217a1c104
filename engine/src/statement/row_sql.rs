//! The queries that a change of rows is made of.
//!
//! They are put together as text, from expressions as the parser read them: names mean what they mean in any query.

mod once;
mod own_name;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Query, Value, Visit, Visitor};
use tidewater_table::schema::write_default;

pub(super) use self::once::ONCE;
use super::{ROWS_CATALOG, ROWS_SCHEMA};
use crate::error::{EngineError, Result};
use crate::functions::plain_list;
use crate::lineage::Part;
use crate::provider::{FILE, POSITION};
use crate::sql::{Action, Clause, Merge, When, quoted};

/// All of the table's rows.
pub(super) const TARGET: &str = "target";
/// The rows of the files that are written anew.
pub(super) const REWRITTEN: &str = "rewritten";

/// Marks rows that have a row of the source, whose own columns have no such name: it cannot be written.
const SOURCE_MARK: &str = "\u{1}_source";

/// Writes the queries of one statement.
#[derive(Clone)]
pub(super) struct RowSql<'a> {
    merge: &'a Merge,
    schema: SchemaRef,
    /// What expressions call the table.
    table: String,
    /// What expressions call the source.
    source: Option<String>,
    /// What columns are in rows that are added without them, where that is not null.
    defaults: BTreeMap<String, String>,
    /// Whether `schema` has what rows of format 3 are known by.
    tells_lineage: bool,
    /// Whether a text that is written out stands for the list that it tells of.
    reads_texts: bool,
    /// Whether the rows that it is about are written down.
    is_written_down: bool,
}

impl<'a> RowSql<'a> {
    /// For a table of this name with these columns. Refuses columns that it does not have.
    pub(super) fn new(merge: &'a Merge, name: &str, schema: SchemaRef) -> Result<Self> {
        let table = merge.alias.clone().unwrap_or_else(|| name.to_owned());
        let source = merge.source.as_ref().and_then(|source| source.alias.clone());
        if source.as_ref() == Some(&table) {
            return Err(EngineError::statement(format!(
                "{table:?} is both the table and the source: give one of them an alias"
            )));
        }
        if merge.alias.is_none() {
            own_name::check(merge, &table)?;
        }
        for clause in &merge.clauses {
            let (Action::Update(values) | Action::Insert(values)) = &clause.action else {
                continue;
            };
            for (at, (column, _)) in values.iter().enumerate() {
                if schema.column_with_name(column).is_none() {
                    return Err(EngineError::statement(format!(
                        "{} has no column {column:?}",
                        merge.table
                    )));
                }
                if values.iter().take(at).any(|(before, _)| before == column) {
                    return Err(EngineError::statement(format!("column {column:?} is given twice")));
                }
            }
        }
        let mut defaults = BTreeMap::new();
        for field in schema.fields() {
            if let Some(value) = write_default(field)? {
                defaults.insert(field.name().clone(), as_sql(&value)?);
            }
        }
        Ok(Self {
            merge,
            schema,
            table,
            source,
            defaults,
            tells_lineage: false,
            reads_texts: false,
            is_written_down: false,
        })
    }

    /// The same for a session of PostgreSQL, to which `'{1,2}'` is a list where one is wanted.
    pub(super) fn reading_texts(self, reads_texts: bool) -> Self {
        Self { reads_texts, ..self }
    }

    /// The same for rows that are written with what they are known by, which are columns of `schema` too. Those that stay as they are
    /// keep all of it, those that are changed their ids; the rest follows from the file that a row comes to be in.
    pub(super) fn with_lineage(&self, schema: SchemaRef) -> Self {
        Self {
            schema,
            tells_lineage: true,
            ..self.clone()
        }
    }

    /// Whether a row's fate can be told from the row itself.
    pub(super) fn plain(&self) -> bool {
        self.merge.source.is_none() && !self.merge.on.as_ref().is_some_and(has_query)
    }

    /// The rows of the table that the statement is about, if its fate is told from the rows themselves and nothing else is asked.
    pub(super) fn reached(&self) -> Option<String> {
        let asks = |clause: &Clause| {
            let values = match &clause.action {
                Action::Update(values) => values.as_slice(),
                _ => &[],
            };
            clause.condition.as_ref().is_some_and(has_query) || values.iter().any(|(_, value)| has_query(value))
        };
        let told = self.plain() && self.merge.on.is_some() && !self.merge.clauses.iter().any(asks);
        told.then(|| format!("SELECT * {}", self.joined(TARGET, true)))
    }

    /// A key that more than one row of the source has, if the source is to have a key.
    pub(super) fn duplicates(&self) -> Option<String> {
        let source = self.merge.source.as_ref()?;
        let key = self.source_key()?;
        if self.is_written_down {
            return Some(Self::repeated_keys());
        }
        Some(format!(
            "SELECT {key} FROM {} GROUP BY {key} HAVING count(*) > 1 LIMIT 1",
            source.from
        ))
    }

    fn source_key(&self) -> Option<String> {
        let key: Vec<String> = self.merge.source_key.iter().map(|column| quoted(column)).collect();
        (!key.is_empty()).then(|| key.join(", "))
    }

    /// Each file that has rows with a fate, and each fate, as its clause's number: how many rows, and the most rows of the source
    /// that one of them has. Rows without a file are those that are added.
    pub(super) fn counts(&self) -> String {
        format!(
            "SELECT \"file\", \"fate\", count(*) AS \"rows\", sum(\"times\") AS \"total\", max(\"times\") AS \"most\" FROM \
             (SELECT \"file\", \"pos\", min(\"fate\") AS \"fate\", count(*) AS \"times\" FROM ({}) GROUP BY \"file\", \"pos\") \
             GROUP BY \"file\", \"fate\"",
            self.fates()
        )
    }

    /// The place of every row of the table that is changed or deleted.
    pub(super) fn places(&self) -> String {
        format!(
            "SELECT \"file\", \"pos\" FROM ({}) WHERE \"file\" IS NOT NULL",
            self.fates()
        )
    }

    /// The rows to be written: those that are changed or added, and where files are written anew, those that stay as they are.
    pub(super) fn written(&self, keep: bool) -> String {
        if self.is_written_down {
            return self.written_once(keep);
        }
        if !keep {
            return self.changed(TARGET);
        }
        if self.plain() {
            return self.changed_in_place();
        }
        format!("{} UNION ALL {}", self.changed(TARGET), self.kept())
    }

    /// The rows that are changed or added, where what they become is read from more than the table.
    pub(super) fn values(&self) -> Option<String> {
        let asks = |clause: &Clause| match &clause.action {
            Action::Update(values) | Action::Insert(values) => values.iter().any(|(_, value)| has_query(value)),
            Action::UpdateAll | Action::InsertAll | Action::Delete | Action::Nothing => false,
        };
        let reads = self.merge.source.is_some() || self.merge.clauses.iter().any(asks);
        (reads && self.writes_rows()).then(|| self.changed(TARGET))
    }

    /// Files, positions and fates of the rows that have one.
    fn fates(&self) -> String {
        if self.is_written_down {
            return Self::fates_once();
        }
        let table = quoted(&self.table);
        format!(
            "SELECT * FROM (SELECT {table}.{} AS \"file\", {table}.{} AS \"pos\", {} AS \"fate\" {}) WHERE \"fate\" IS NOT NULL",
            quoted(FILE),
            quoted(POSITION),
            self.fate(true),
            self.joined(TARGET, true),
        )
    }

    fn joined(&self, rows: &str, filtered: bool) -> String {
        self.joined_with(rows, filtered, "")
    }

    /// The same with more columns of the source.
    fn joined_with(&self, rows: &str, filtered: bool, of_source: &str) -> String {
        let table = format!("{ROWS_CATALOG}.{ROWS_SCHEMA}.{rows} AS {}", quoted(&self.table));
        let on = self.merge.on.as_ref().map(|on| self.text(on));
        let only = match (&on, filtered) {
            (Some(on), true) => format!(" WHERE {on}"),
            _ => String::new(),
        };
        let Some(source) = &self.merge.source else {
            return format!("FROM {table}{only}");
        };
        let Some(alias) = &self.source else {
            return format!("FROM {table}, {}{only}", source.from);
        };
        let has = |when| self.merge.clauses.iter().any(|clause| clause.when == when);
        let kind = match (has(When::NotMatched), has(When::NotMatchedBySource)) {
            (true, true) => "FULL",
            (true, false) => "RIGHT",
            (false, true) => "LEFT",
            (false, false) => "INNER",
        };
        format!(
            "FROM {table} {kind} JOIN (SELECT *, true AS {}{of_source} FROM {}) AS {} ON {}",
            quoted(SOURCE_MARK),
            source.from,
            quoted(alias),
            on.unwrap_or_else(|| "true".to_owned()),
        )
    }

    /// The number of the first clause that is for a row; null if there is none, or if it does nothing. Without a source, the
    /// condition of the whole statement is in it unless rows are `filtered` by it.
    fn fate(&self, filtered: bool) -> String {
        let mut fate = "CASE".to_owned();
        for (number, clause) in self.merge.clauses.iter().enumerate() {
            let number = match clause.action {
                Action::Nothing => "CAST(NULL AS INT)".to_owned(),
                _ => format!("CAST({number} AS INT)"),
            };
            // Writing to a string does not fail.
            let _ = write!(fate, " WHEN {} THEN {number}", self.holds(clause, filtered));
        }
        fate + " END"
    }

    fn holds(&self, clause: &Clause, filtered: bool) -> String {
        let mut conditions = Vec::new();
        if let Some(source) = &self.source {
            let of_table = format!("{}.{}", quoted(&self.table), quoted(FILE));
            let of_source = format!("{}.{}", quoted(source), quoted(SOURCE_MARK));
            conditions.push(match clause.when {
                When::Matched => format!("{of_table} IS NOT NULL AND {of_source} IS NOT NULL"),
                When::NotMatched => format!("{of_table} IS NULL"),
                When::NotMatchedBySource => format!("{of_source} IS NULL"),
            });
        } else if let (Some(on), false) = (&self.merge.on, filtered) {
            conditions.push(format!("({})", self.text(on)));
        }
        if let Some(condition) = &clause.condition {
            conditions.push(format!("({})", self.text(condition)));
        }
        match conditions.is_empty() {
            true => "true".to_owned(),
            false => conditions.join(" AND "),
        }
    }

    fn writes(clause: &Clause) -> bool {
        !matches!(clause.action, Action::Delete | Action::Nothing)
    }

    /// Rows that are changed or added.
    fn changed(&self, rows: &str) -> String {
        let columns = self.columns(true, false);
        let only = match self.writers() {
            None => "false".to_owned(),
            Some(writers) => format!("({}) IN ({writers})", self.fate(true)),
        };
        let joined = self.joined(rows, true);
        let word = match self.source.is_none() && self.merge.on.is_some() {
            true => "AND",
            false => "WHERE",
        };
        format!("SELECT {columns} {joined} {word} {only}")
    }

    /// The numbers of the clauses that write rows; none if all of them delete.
    fn writers(&self) -> Option<String> {
        let writers = self.merge.clauses.iter().enumerate();
        let writers = writers.filter(|(_, clause)| Self::writes(clause));
        let writers: Vec<String> = writers.map(|(number, _)| number.to_string()).collect();
        (!writers.is_empty()).then(|| writers.join(", "))
    }

    /// All rows of the files that are written anew, but those that are deleted.
    fn changed_in_place(&self) -> String {
        let deleted = self.merge.clauses.iter().enumerate();
        let deleted = deleted.filter(|(_, clause)| matches!(clause.action, Action::Delete));
        let deleted: Vec<String> = deleted.map(|(number, _)| number.to_string()).collect();
        let only = match deleted.is_empty() {
            true => String::new(),
            false => format!(
                " WHERE coalesce({}, -1) NOT IN ({})",
                self.fate(false),
                deleted.join(", ")
            ),
        };
        let columns = match self.merge.clauses.iter().any(Self::writes) {
            true => self.columns(false, true),
            false => self.own_columns(),
        };
        format!("SELECT {columns} {}{only}", self.joined(REWRITTEN, false))
    }

    /// Rows of the files that are written anew and have no fate.
    fn kept(&self) -> String {
        let table = quoted(&self.table);
        format!(
            "SELECT {} FROM {ROWS_CATALOG}.{ROWS_SCHEMA}.{REWRITTEN} AS {table} LEFT ANTI JOIN ({}) AS \"gone\" \
             ON {table}.{} = \"gone\".\"file\" AND {table}.{} = \"gone\".\"pos\"",
            self.own_columns(),
            self.places(),
            quoted(FILE),
            quoted(POSITION),
        )
    }

    fn own_columns(&self) -> String {
        let columns = self.schema.fields().iter();
        let columns = columns.map(|field| format!("{} AS {}", self.own(field.name()), quoted(field.name())));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// What a row of the table has in a column.
    fn own(&self, column: &str) -> String {
        let name = self.lineage(column).map_or(column, |part| part.hidden());
        format!("{}.{}", quoted(&self.table), quoted(name))
    }

    fn lineage(&self, column: &str) -> Option<Part> {
        Part::of(column).filter(|_| self.tells_lineage)
    }

    /// What each column of a written row is.
    fn columns(&self, filtered: bool, others_stay: bool) -> String {
        let fields = self.schema.fields().iter();
        let columns = fields.map(|field| {
            let name = quoted(field.name());
            let own = match plain_list::is_plain(field.data_type()) {
                true => plainly(&self.own(field.name())),
                false => self.own(field.name()),
            };
            let mut choice = "CASE".to_owned();
            for clause in &self.merge.clauses {
                // The first that holds decides, so those that write nothing count too.
                let value = self.value(clause, field.name(), field.data_type(), &own);
                let _ = write!(choice, " WHEN {} THEN {value}", self.holds(clause, filtered));
            }
            let stays = if others_stay {
                format!(" ELSE {own}")
            } else {
                String::new()
            };
            format!("{choice}{stays} END AS {name}")
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    fn value(&self, clause: &Clause, column: &str, data_type: &DataType, own: &str) -> String {
        if let Some(part) = self.lineage(column) {
            return match (part, &clause.action) {
                (Part::RowId, Action::Update(_) | Action::UpdateAll) => own.to_owned(),
                _ => "CAST(NULL AS BIGINT)".to_owned(),
            };
        }
        let cast = |value: String| match data_type {
            of if plain_list::is_plain(of) => plainly(&value),
            // What it is to become is found when the row is written.
            of if of.is_nested() => value,
            // These round what they are given.
            DataType::Int32 => format!("CAST({value} AS INT)"),
            DataType::Int64 => format!("CAST({value} AS BIGINT)"),
            // Each by itself: what a row keeps is not to pass through the type that holds all the branches.
            of => format!("arrow_cast({value}, '{of}')"),
        };
        let of_source = || match &self.source {
            Some(source) => cast(format!("{}.{}", quoted(source), quoted(column))),
            None => own.to_owned(),
        };
        let given = |values: &[(String, Expr)]| {
            let found = values.iter().find(|(name, _)| name == column);
            found.map(|(_, value)| match self.list_of_text(value, data_type) {
                // A row that is added has no value yet.
                _ if is_default(value) && (clause.when == When::NotMatched || !self.has_column("default")) => {
                    self.default_of(column).unwrap_or_else(|| cast("NULL".to_owned()))
                }
                Some(list) => plainly(&list),
                None => cast(format!("({})", self.text(value))),
            })
        };
        match &clause.action {
            Action::Delete | Action::Nothing => "NULL".to_owned(),
            Action::Update(values) => given(values).unwrap_or_else(|| own.to_owned()),
            Action::Insert(values) => given(values)
                .or_else(|| self.default_of(column))
                .unwrap_or_else(|| "NULL".to_owned()),
            Action::UpdateAll | Action::InsertAll => of_source(),
        }
    }

    fn has_column(&self, name: &str) -> bool {
        self.schema.column_with_name(name).is_some()
    }

    /// What a column is where nothing is said of it, unless that is null.
    fn default_of(&self, column: &str) -> Option<String> {
        self.defaults.get(column).cloned()
    }

    /// A text that is written out, as the list that a column of this type takes it for; `None` for anything else.
    fn list_of_text(&self, value: &Expr, of: &DataType) -> Option<String> {
        let (DataType::List(element), true) = (of, self.reads_texts && is_text(value)) else {
            return None;
        };
        let element = match element.data_type() {
            DataType::Boolean => "BOOLEAN".to_owned(),
            DataType::Int32 => "INTEGER".to_owned(),
            DataType::Int64 => "BIGINT".to_owned(),
            DataType::Float32 => "REAL".to_owned(),
            DataType::Float64 => "DOUBLE PRECISION".to_owned(),
            DataType::Decimal128(digits, scale) => format!("NUMERIC({digits}, {scale})"),
            DataType::Date32 => "DATE".to_owned(),
            DataType::Utf8 => "TEXT".to_owned(),
            _ => return None,
        };
        Some(format!("CAST({} AS {element}[])", self.text(value)))
    }

    /// An expression's text, with the table called by its alias.
    fn text(&self, expr: &Expr) -> String {
        match &self.merge.alias {
            // It hides the name, which is another table's then: a source's or a subquery's.
            Some(_) => expr.to_string(),
            None => own_name::called(expr, &self.merge.table, &self.table).to_string(),
        }
    }
}

/// A list of which all branches have the same type, whether it is a table's or written out.
fn plainly(list: &str) -> String {
    format!("{}({list})", plain_list::NAME)
}

/// Whether it is the word that stands for a column's default.
pub(super) fn is_default(value: &Expr) -> bool {
    match value {
        Expr::Identifier(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"),
        _ => false,
    }
}

/// The one value of an array, as an expression.
pub(super) fn as_sql(value: &ArrayRef) -> Result<String> {
    let text = array_value_to_string(value, 0).map_err(DataFusionError::from)?;
    let of = value.data_type();
    let literal = match of {
        DataType::Binary | DataType::FixedSizeBinary(_) => format!("X'{text}'"),
        _ => format!("'{}'", text.replace('\'', "''")),
    };
    Ok(format!("arrow_cast({literal}, '{of}')"))
}

/// Whether it is a text that says no type.
pub(super) fn is_text(value: &Expr) -> bool {
    match value {
        Expr::Value(value) => matches!(
            value.value,
            Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_)
        ),
        Expr::Nested(value) => is_text(value),
        _ => false,
    }
}

pub(super) fn has_query(expr: &Expr) -> bool {
    struct Queries;
    impl Visitor for Queries {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Queries).is_break()
}
