//! Functions that tell of the session and of what there is.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::scalar::ScalarValue;

use super::native::{Native, argument, longs, number, numbers, strings, text, texts, truths};
use super::texts::quoted_name;
use crate::pg_catalog::tables::SYSTEM;
use crate::pg_catalog::{Postgres, Relation, Relations};

pub(super) fn all(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> Vec<Native> {
    let mut all = vec![
        class(postgres, relations),
        class_name(postgres, relations),
        to_class(postgres, relations),
        described("obj_description", relations, false),
        described("col_description", relations, true),
        visible(postgres, relations),
        sizes("pg_relation_size", relations),
        sizes("pg_total_relation_size", relations),
        sizes("pg_table_size", relations),
        definition("pg_get_viewdef", relations, |relation| relation.definition.clone()),
        definition("pg_get_constraintdef", relations, |relation| {
            Some(key_definition(relation))
        }),
        definition("pg_get_indexdef", relations, |relation| {
            Some(index_definition(relation))
        }),
        setting(postgres),
        Native::constant("pg_advisory_unlock_all", ScalarValue::Utf8(None)),
        Native::new("pg_partition_ancestors", (1, 1), DataType::Int64, |arrays, _| {
            numbers(argument(arrays, 0)?)
        }),
    ];
    let truth = |value| ScalarValue::Boolean(Some(value));
    let none = ScalarValue::Utf8(None);
    for name in [
        "pg_type_is_visible",
        "pg_function_is_visible",
        "pg_operator_is_visible",
        "pg_collation_is_visible",
    ] {
        all.push(Native::constant(name, truth(true)));
    }
    all.push(Native::constant("pg_relation_is_publishable", truth(false)));
    all.push(super::privileges::updatable(postgres, relations));
    for name in [
        "pg_get_expr",
        "pg_get_partkeydef",
        "pg_get_serial_sequence",
        "pg_get_triggerdef",
        "pg_get_ruledef",
        "pg_get_functiondef",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_statisticsobjdef_columns",
        "shobj_description",
        "pg_tablespace_location",
    ] {
        all.push(Native::constant(name, none.clone()));
    }
    all.push(Native::constant("pg_get_function_result", ScalarValue::from("text")));
    all.push(Native::constant("pg_encoding_to_char", ScalarValue::from("UTF8")));
    all.push(Native::constant("pg_char_to_encoding", ScalarValue::Int32(Some(6))));
    all.push(Native::constant(
        "pg_database_size",
        ScalarValue::Int64(Some(relations.relations.iter().map(|r| r.bytes).sum())),
    ));
    all.push(Native::constant(
        "pg_backend_pid",
        ScalarValue::Int32(Some(postgres.pid)),
    ));
    all.push(Native::constant("pg_stat_get_numscans", ScalarValue::Int64(Some(0))));
    all.push(Native::constant("pg_my_temp_schema", ScalarValue::Int64(Some(0))));
    all.push(Native::constant("pg_is_other_temp_schema", truth(false)));
    let user = ScalarValue::from(postgres.user.as_str());
    all.push(Native::constant("pg_get_userbyid", user));
    all.extend(super::privileges::all(postgres, relations));
    all.extend(backends(postgres));
    all
}

/// The number of a table: of its name, or as it is.
fn class(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> Native {
    let (postgres, relations) = (Arc::clone(postgres), Arc::clone(relations));
    Native::new("pg_regclass", (1, 1), DataType::Int64, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        if array.data_type().is_integer() {
            return numbers(array);
        }
        let names = texts(array)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match text(&names, row) {
                None => None,
                Some(name) => match numbered(name, &relations, &postgres) {
                    Some(oid) => Some(oid),
                    None => return exec_err!("table '{name}' not found"),
                },
            });
        }
        Ok(longs(found.into_iter()))
    })
}

pub(super) fn numbered(name: &str, relations: &Relations, postgres: &Postgres) -> Option<i64> {
    if let Ok(oid) = name.parse() {
        return Some(oid);
    }
    let system = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let own = || {
        relations
            .named(name, &postgres.schemas)
            .map(|relation| i64::from(relation.oid))
    };
    let system = SYSTEM.iter().find(|(known, _)| *known == system);
    system.map(|(_, oid)| *oid).or_else(own)
}

/// The name of a table by its number.
fn class_name(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> Native {
    let (postgres, relations) = (Arc::clone(postgres), Arc::clone(relations));
    Native::new("pg_regclass_name", (1, 1), DataType::Utf8, move |arrays, rows| {
        let oids = numbers(argument(arrays, 0)?)?;
        let name = |oid: i64| match relations.numbered(oid) {
            Some(relation) if is_visible(relation, &relations, &postgres) => quoted_name(&relation.name),
            Some(relation) => format!("{}.{}", quoted_name(&relation.schema), quoted_name(&relation.name)),
            None => SYSTEM
                .iter()
                .find(|(_, known)| *known == oid)
                .map_or_else(|| oid.to_string(), |(name, _)| (*name).to_owned()),
        };
        Ok(strings((0..rows).map(|row| number(&oids, row).map(name))))
    })
}

/// `to_regclass`: null for what there is not.
fn to_class(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> Native {
    let (postgres, relations) = (Arc::clone(postgres), Arc::clone(relations));
    Native::new("to_regclass", (1, 1), DataType::Int64, move |arrays, rows| {
        let names = texts(argument(arrays, 0)?)?;
        Ok(longs(
            (0..rows).map(|row| numbered(text(&names, row)?, &relations, &postgres)),
        ))
    })
}

/// Comments: of a table, or of the column that the second argument numbers.
fn described(name: &str, relations: &Arc<Relations>, column: bool) -> Native {
    let relations = Arc::clone(relations);
    Native::new(name, (1, 2), DataType::Utf8, move |arrays, rows| {
        let oids = numbers(argument(arrays, 0)?)?;
        let places = match column {
            true => Some(numbers(argument(arrays, 1)?)?),
            false => None,
        };
        let comment = |row: usize| {
            let relation = relations.numbered(number(&oids, row)?)?;
            match &places {
                None => relation.comment.clone(),
                Some(places) => {
                    let at = usize::try_from(number(places, row)? - 1).ok()?;
                    relation.columns.get(at)?.comment.clone()
                }
            }
        };
        Ok(strings((0..rows).map(comment)))
    })
}

/// Whether a name without a schema means this table, and not one of an earlier schema.
fn is_visible(relation: &Relation, relations: &Relations, postgres: &Postgres) -> bool {
    let found = relations.named(&quoted_name(&relation.name), &postgres.schemas);
    found.is_some_and(|found| found.oid == relation.oid)
}

/// Whether a table is found by its bare name.
fn visible(postgres: &Arc<Postgres>, relations: &Arc<Relations>) -> Native {
    let (postgres, relations) = (Arc::clone(postgres), Arc::clone(relations));
    Native::new("pg_table_is_visible", (1, 1), DataType::Boolean, move |arrays, rows| {
        let oids = numbers(argument(arrays, 0)?)?;
        let visible = |oid| {
            let relation = relations.numbered(oid);
            relation.is_some_and(|relation| is_visible(relation, &relations, &postgres))
        };
        Ok(truths((0..rows).map(|row| number(&oids, row).map(visible))))
    })
}

/// Bytes of a table, by number or name.
fn sizes(name: &str, relations: &Arc<Relations>) -> Native {
    let relations = Arc::clone(relations);
    Native::new(name, (1, 2), DataType::Int64, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        let of = |relation: &Relation| relation.bytes;
        if array.data_type().is_integer() {
            let oids = numbers(array)?;
            return Ok(longs(
                (0..rows).map(|row| relations.numbered(number(&oids, row)?).map(of)),
            ));
        }
        let names = texts(array)?;
        Ok(longs(
            (0..rows).map(|row| relations.named(text(&names, row)?, &[]).map(of)),
        ))
    })
}

/// The definition of what a number stands for: of a table, or of its key.
fn definition(name: &str, relations: &Arc<Relations>, of: fn(&Relation) -> Option<String>) -> Native {
    let relations = Arc::clone(relations);
    Native::new(name, (1, 3), DataType::Utf8, move |arrays, rows| {
        let oids = numbers(argument(arrays, 0)?)?;
        let columns = arrays
            .get(1)
            .filter(|array| array.data_type().is_integer())
            .map(numbers)
            .transpose()?;
        let found = |row: usize| {
            let oid = number(&oids, row)?;
            let relation = relations.numbered(oid).or_else(|| {
                let mut keyed = relations.relations.iter().filter(|relation| !relation.key.is_empty());
                keyed.find(|relation| i64::from(relation.key_oid()) == oid)
            })?;
            // One column of an index.
            let column = columns
                .as_ref()
                .and_then(|columns| number(columns, row))
                .filter(|at| *at > 0);
            match column {
                Some(at) => {
                    let key = relation.key.get(usize::try_from(at - 1).ok()?)?;
                    let column = relation.columns.get(usize::try_from(*key - 1).ok()?)?;
                    Some(quoted_name(&column.name))
                }
                None => of(relation),
            }
        };
        Ok(strings((0..rows).map(found)))
    })
}

fn key_columns(relation: &Relation) -> String {
    let columns = relation
        .key
        .iter()
        .filter_map(|key| relation.columns.get(usize::try_from(*key - 1).ok()?));
    let columns: Vec<String> = columns.map(|column| quoted_name(&column.name)).collect();
    columns.join(", ")
}

fn key_definition(relation: &Relation) -> String {
    format!("PRIMARY KEY ({})", key_columns(relation))
}

/// The key as the index that PostgreSQL would have for it.
pub(in crate::pg_catalog) fn index_definition(relation: &Relation) -> String {
    format!(
        "CREATE UNIQUE INDEX {} ON {}.{} USING btree ({})",
        quoted_name(&format!("{}_pkey", relation.name)),
        quoted_name(&relation.schema),
        quoted_name(&relation.name),
        key_columns(relation)
    )
}

/// `current_setting`.
fn setting(postgres: &Arc<Postgres>) -> Native {
    let postgres = Arc::clone(postgres);
    Native::new("current_setting", (1, 2), DataType::Utf8, move |arrays, rows| {
        let names = texts(argument(arrays, 0)?)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(name) = text(&names, row) else {
                found.push(None);
                continue;
            };
            let setting = postgres
                .settings
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            match setting {
                Some((_, value)) => found.push(Some(value.clone())),
                None if arrays.len() > 1 => found.push(None),
                None => return exec_err!("unrecognized configuration parameter \"{name}\""),
            }
        }
        Ok(strings(found.into_iter()))
    })
}

fn backends(postgres: &Arc<Postgres>) -> [Native; 2] {
    let ended = |name: &str, cancel: bool| {
        let postgres = Arc::clone(postgres);
        let call = move |arrays: &[ArrayRef], rows: usize| -> Result<ArrayRef> {
            let pids = numbers(argument(arrays, 0)?)?;
            let end = |pid: i64| {
                let (Ok(pid), Some(backends)) = (i32::try_from(pid), &postgres.backends) else {
                    return false;
                };
                if cancel {
                    backends.cancel(pid)
                } else {
                    backends.terminate(pid)
                }
            };
            Ok(truths((0..rows).map(|row| number(&pids, row).map(end))))
        };
        Native::new(name, (1, 2), DataType::Boolean, call).volatile()
    };
    [ended("pg_cancel_backend", true), ended("pg_terminate_backend", false)]
}
