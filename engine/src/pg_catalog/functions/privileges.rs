//! `has_table_privilege` and its like: what the session's user may do, by grants where they decide.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::scalar::ScalarValue;

use tidewater_security::{Access, Privilege, PrivilegeSet};

use super::catalog::numbered;
use super::native::{Native, argument, number, numbers, text, texts, truths};
use crate::pg_catalog::{Postgres, Relation, Relations};

/// What a function asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Table,
    AnyColumn,
    Column,
    Schema,
    Database,
    /// Of which there are none that anybody may change.
    Else,
}

const FUNCTIONS: [(&str, On); 12] = [
    ("has_table_privilege", On::Table),
    ("has_any_column_privilege", On::AnyColumn),
    ("has_column_privilege", On::Column),
    ("has_schema_privilege", On::Schema),
    ("has_database_privilege", On::Database),
    ("has_function_privilege", On::Else),
    ("has_sequence_privilege", On::Else),
    ("has_type_privilege", On::Else),
    ("has_language_privilege", On::Else),
    ("has_tablespace_privilege", On::Else),
    ("has_server_privilege", On::Else),
    ("pg_has_role", On::Else),
];

/// The changes of rows that there are privileges for, with PostgreSQL's bits for them.
const CHANGES: &[(Privilege, i32)] = &[
    (Privilege::Update, 1 << 2),
    (Privilege::Insert, 1 << 3),
    (Privilege::Delete, 1 << 4),
];

pub(super) fn all(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> impl Iterator<Item = Native> {
    FUNCTIONS.into_iter().map(|(name, on)| match (on, &postgres.access) {
        (_, None) => by_role(name, postgres.writes),
        (On::Else, Some(_)) => by_role(name, false),
        (_, Some(access)) => {
            let asked = Asked {
                on,
                postgres: Arc::clone(postgres),
                relations: Arc::clone(relations),
                access: Arc::clone(access),
            };
            let call = move |arrays: &[ArrayRef], rows: usize| asked.answer(arrays, rows);
            Native::new(name, (2, 4), DataType::Boolean, call)
        }
    })
}

/// `pg_relation_is_updatable`: which changes of a table's rows the user may make, as PostgreSQL numbers them; none of a view's.
pub(super) fn updatable(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> Native {
    let name = "pg_relation_is_updatable";
    let Some(access) = &postgres.access else {
        let all = CHANGES.iter().map(|(_, bit)| bit).sum::<i32>();
        let value = if postgres.writes { all } else { 0 };
        return Native::constant(name, ScalarValue::Int32(Some(value)));
    };
    let (access, relations) = (Arc::clone(access), Arc::clone(relations));
    Native::new(name, (2, 2), DataType::Int32, move |arrays, rows| {
        let oids = numbers(argument(arrays, 0)?)?;
        let changes = |oid: i64| -> i32 {
            let Some(relation) = relations.numbered(oid).filter(|relation| !relation.view) else {
                return 0;
            };
            let on = access.on_object(&levels(&relation.schema), &relation.name, None);
            let may = CHANGES.iter().filter(|(privilege, _)| has(on, *privilege));
            may.map(|(_, bit)| bit).sum()
        };
        let found: Int32Array = (0..rows).map(|row| number(&oids, row).map(changes)).collect();
        Ok(Arc::new(found))
    })
}

/// Where no grant decides: read always, change where they are a writer. Where grants do, of what they are not about: nothing is changed.
fn by_role(name: &str, writes: bool) -> Native {
    Native::new(name, (2, 4), DataType::Boolean, move |arrays, rows| {
        let rights = texts(argument(arrays, arrays.len() - 1)?)?;
        let may = |right: &str| {
            let mut rights = right.split(',').map(|right| right.trim().to_lowercase());
            writes
                || rights.any(|right| matches!(right.as_str(), "select" | "usage" | "connect" | "member" | "execute"))
        };
        Ok(truths((0..rows).map(|row| text(&rights, row).map(may))))
    })
}

struct Asked {
    on: On,
    postgres: Arc<Postgres>,
    relations: Arc<Relations>,
    access: Arc<Access>,
}

/// An argument that may be a name or a number.
enum Named {
    Text(ArrayRef),
    Number(ArrayRef),
}

impl Named {
    fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type().is_integer() {
            true => Self::Number(numbers(array)?),
            false => Self::Text(texts(array)?),
        })
    }

    fn number(&self, row: usize) -> Option<i64> {
        match self {
            Self::Text(texts) => text(texts, row)?.parse().ok(),
            Self::Number(array) => number(array, row),
        }
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text(texts) => text(texts, row),
            Self::Number(_) => None,
        }
    }
}

impl Asked {
    /// The last argument says what, those before it on what; one more at the beginning names a user.
    fn answer(&self, arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let rights = texts(argument(arrays, arrays.len() - 1)?)?;
        let fixed = if self.on == On::Column { 3 } else { 2 };
        let user = match arrays.len() > fixed {
            true => Some(Named::of(argument(arrays, 0)?)?),
            false => None,
        };
        let first = usize::from(user.is_some());
        let on = Named::of(argument(arrays, first)?)?;
        let column = match self.on {
            On::Column => Some(Named::of(argument(arrays, first + 1)?)?),
            _ => None,
        };
        let may = |row: usize| {
            // What others may do is theirs to know.
            let other = user.as_ref().and_then(|user| user.text(row));
            if other.is_some_and(|name| name != self.postgres.user) {
                return Some(false);
            }
            let mut rights = text(&rights, row)?.split(',').map(str::trim);
            match self.on {
                On::Schema => {
                    let levels = self.schema(&on, row)?;
                    Some(rights.any(|right| self.on_schema(&levels, right)))
                }
                On::Database => Some(rights.any(|right| self.on_database(right))),
                _ => {
                    let oid = match &on {
                        Named::Text(names) => numbered(text(names, row)?, &self.relations, &self.postgres)?,
                        Named::Number(_) => on.number(row)?,
                    };
                    let Some(relation) = self.relations.numbered(oid) else {
                        // A table of PostgreSQL's own, which everybody may read.
                        return Some(rights.any(|right| right.eq_ignore_ascii_case("select")));
                    };
                    let column = column.as_ref().map(|column| (column.text(row), column.number(row)));
                    Some(rights.any(|right| self.on_table(relation, column, right)))
                }
            }
        };
        Ok(truths((0..rows).map(may)))
    }

    fn schema(&self, on: &Named, row: usize) -> Option<Vec<String>> {
        let found = match on.text(row) {
            Some(name) => name,
            None => {
                let oid = u32::try_from(on.number(row)?).ok()?;
                let mut schemas = self.relations.schemas.iter();
                schemas.find(|(_, known)| **known == oid)?.0
            }
        };
        Some(levels(found))
    }

    fn on_schema(&self, schema: &[String], right: &str) -> bool {
        let system = matches!(schema, [name] if name == "pg_catalog" || name == "information_schema");
        match wanted(right) {
            Some(Privilege::Usage) => system || self.access.sees_namespace(schema),
            Some(privilege) => has(self.access.on_namespace(schema), privilege),
            None => false,
        }
    }

    fn on_database(&self, right: &str) -> bool {
        match right.eq_ignore_ascii_case("connect") {
            true => true,
            false => wanted(right).is_some_and(|privilege| has(self.access.on_warehouse(), privilege)),
        }
    }

    fn on_table(&self, relation: &Relation, column: Option<(Option<&str>, Option<i64>)>, right: &str) -> bool {
        let levels = levels(&relation.schema);
        let Some(privilege) = wanted(right) else {
            return false;
        };
        if has(self.access.on_object(&levels, &relation.name, None), privilege) {
            return true;
        }
        if privilege != Privilege::Select || self.on == On::Table {
            return false;
        }
        // Rows of some columns only.
        let readable = self.access.readable(&levels, &relation.name, None);
        let mut columns = relation.columns.iter().zip(1_i64..).filter(|(of, place)| match column {
            Some((Some(name), _)) => of.name == name,
            Some((None, number)) => number == Some(*place),
            None => true,
        });
        columns.any(|(of, _)| of.field.is_some_and(|field| readable.has(field)))
    }
}

fn levels(schema: &str) -> Vec<String> {
    schema.split('.').map(str::to_owned).collect()
}

fn has(privileges: PrivilegeSet, wanted: Privilege) -> bool {
    privileges.has(wanted)
}

/// Our privilege for PostgreSQL's; none for those that there are none of here.
fn wanted(right: &str) -> Option<Privilege> {
    let right = right.to_ascii_uppercase();
    if right.ends_with("WITH GRANT OPTION") {
        return Some(Privilege::ManageGrants);
    }
    Some(match right.as_str() {
        "SELECT" => Privilege::Select,
        "INSERT" => Privilege::Insert,
        "UPDATE" => Privilege::Update,
        "DELETE" | "TRUNCATE" => Privilege::Delete,
        "CREATE" => Privilege::Create,
        "USAGE" => Privilege::Usage,
        _ => return None,
    })
}
