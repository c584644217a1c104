//! Functions of the numbers and names of types and functions, which are the same for everybody.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::exec_err;

use super::native::{Native, argument, longs, number, numbers, strings, text, texts};
use crate::pg_catalog::{procedures, shown, types};

pub(super) fn all() -> Vec<Native> {
    vec![
        numbered("pg_regtype", "type", types::named).called("regtype"),
        numbered("pg_regproc", "function", procedures::number).called("regproc"),
        found("to_regtype", types::named).called("regtype"),
        found("to_regproc", procedures::number).called("regproc"),
        named("pg_regtype_name", "regtype"),
        named("pg_regproc_name", "regproc"),
        type_names(),
        format_type(),
    ]
}

/// The number of a name, or a number as it is.
fn numbered(function: &str, what: &'static str, of: fn(&str) -> Option<u32>) -> Native {
    Native::new(function, (1, 1), DataType::Int64, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        if array.data_type().is_integer() {
            return numbers(array);
        }
        let names = texts(array)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(name) = text(&names, row) else {
                found.push(None);
                continue;
            };
            match of(name).map(i64::from).or_else(|| name.parse().ok()) {
                Some(oid) => found.push(Some(oid)),
                None => return exec_err!("{what} \"{name}\" does not exist"),
            }
        }
        Ok(longs(found.into_iter()))
    })
}

/// The number of a name, or null where nothing has it.
fn found(function: &str, of: fn(&str) -> Option<u32>) -> Native {
    Native::new(function, (1, 1), DataType::Int64, move |arrays, rows| {
        let names = texts(argument(arrays, 0)?)?;
        Ok(longs((0..rows).map(|row| of(text(&names, row)?).map(i64::from))))
    })
}

/// The name of a number; what is no number stays as it is.
fn named(function: &str, what: &'static str) -> Native {
    Native::new(function, (1, 1), DataType::Utf8, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        if !array.data_type().is_integer() {
            return texts(array);
        }
        let oids = numbers(array)?;
        Ok(strings(
            (0..rows).map(|row| number(&oids, row).map(|oid| shown::named(what, oid))),
        ))
    })
}

/// `x::regtype[]`: the names of an array's numbers.
fn type_names() -> Native {
    let returns = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Native::new("pg_regtype_names", (1, 1), returns, |arrays, rows| {
        let array = argument(arrays, 0)?;
        let Some(lists) = array.as_list_opt::<i32>() else {
            return exec_err!("regtype[] is made of an array of numbers");
        };
        let mut builder = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            if lists.is_null(row) {
                builder.append(false);
                continue;
            }
            let oids = numbers(&lists.value(row))?;
            for at in 0..oids.len() {
                let name = number(&oids, at).map(|oid| shown::named("regtype", oid));
                builder.values().append_option(name);
            }
            builder.append(true);
        }
        Ok(Arc::new(builder.finish()) as ArrayRef)
    })
}

fn format_type() -> Native {
    Native::new("format_type", (2, 2), DataType::Utf8, |arrays, rows| {
        let (oids, modifiers) = (numbers(argument(arrays, 0)?)?, numbers(argument(arrays, 1)?)?);
        let name = |row: usize| {
            let oid = u32::try_from(number(&oids, row)?).ok()?;
            types::formatted(oid, number(&modifiers, row).unwrap_or(-1)).or_else(|| Some("???".into()))
        };
        Ok(strings((0..rows).map(name)))
    })
}
