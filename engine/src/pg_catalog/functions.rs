//! Functions that PostgreSQL has and the query engine has not, or has with another meaning.
//!
//! Those that depend on their arguments alone are known in every process ([`pure`]), for a plan with them may run anywhere. Where
//! the query engine has one of the same name, ours has `pg_` before it, and statements of the PostgreSQL wire mean ours.

mod ages;
mod array_fill;
mod array_texts;
mod buckets;
mod catalog;
mod dates;
#[cfg(test)]
mod documented;
mod encoded;
mod eras;
mod extract;
mod instants;
mod json;
mod liked;
mod lists;
mod moments;
mod native;
mod number_patterns;
mod number_reading;
mod numbers;
mod objects;
mod ordered;
mod output;
mod overlaps;
mod patterns;
mod privileges;
mod regexes;
mod spans;
mod split;
mod texts;
mod values;
mod zones;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion::prelude::SessionContext;

use self::native::Native;
use super::{Postgres, Relations};

pub(super) use self::catalog::index_definition;
pub(super) use self::regexes::{Options, translated};
pub(super) use self::texts::like_pattern;

/// Functions of the query engine that mean something else in PostgreSQL; ours has `pg_` before its name.
pub(super) const RENAMED: &[&str] = &[
    "array_remove",
    "array_to_string",
    "to_char",
    "to_date",
    "to_hex",
    "to_timestamp",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
];

/// The functions of the query engine that are called otherwise in PostgreSQL.
pub(super) const SAME: &[(&str, &str)] = &[
    ("clock_timestamp", "now"),
    ("statement_timestamp", "now"),
    ("transaction_timestamp", "now"),
    ("every", "bool_and"),
    ("char_length", "character_length"),
    ("ceiling", "pg_ceil"),
    ("variance", "var_samp"),
    ("array_replace", "array_replace_all"),
    ("array_to_json", "to_json"),
    ("sign", "signum"),
];

/// A call of one of the functions that every process knows.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    static KNOWN: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
        let functions = pure().into_iter();
        functions
            .map(|function| (function.name().to_owned(), Arc::new(function)))
            .collect()
    });
    match KNOWN.get(name) {
        Some(function) => Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::clone(function),
            arguments,
        ))),
        None => plan_err!("there is no function {name}"),
    }
}

/// The functions that every process knows.
pub fn pure() -> Vec<ScalarUDF> {
    let all = dates::all().into_iter().chain(instants::all());
    let all = all.chain(zones::all()).chain(ages::all());
    let all = all.chain(spans::all()).chain(extract::all());
    let all = all.chain(eras::all()).chain(overlaps::all()).chain(liked::all());
    let all = all
        .chain(numbers::all())
        .chain(buckets::all())
        .chain(texts::all())
        .chain(output::all());
    let all = all.chain(json::all()).chain(values::all());
    let all = all.chain(objects::all()).chain(split::all()).chain(regexes::all());
    let all = all.chain(lists::all()).chain(ordered::all()).chain(array_texts::all());
    let all = all
        .chain(array_fill::all())
        .chain(number_reading::all())
        .chain(encoded::all());
    all.map(Native::into_function).collect()
}

/// Makes the functions known that tell of this session and of what there is.
pub(super) fn register(session: &SessionContext, postgres: &Arc<Postgres>) {
    let relations = postgres
        .relations
        .clone()
        .unwrap_or_else(|| Arc::new(Relations::default()));
    for function in catalog::all(postgres, &relations) {
        session.register_udf(function.of_session().into_function());
    }
}

/// Whether a function tells of the session that a statement runs in, or of what it may see: its answers are for nobody else.
pub fn depends_on_session(function: &ScalarUDF) -> bool {
    let native = function.inner().downcast_ref::<Native>();
    native.is_some_and(|native| native.of_session)
}

/// The names of functions, as `pg_proc` lists them, with `f` for functions, `a` for aggregates and `w` for window functions.
pub(super) fn names() -> BTreeMap<String, &'static str> {
    let mut names = BTreeMap::new();
    for function in datafusion::functions::all_default_functions() {
        names.insert(function.name().to_owned(), "f");
    }
    for function in datafusion::functions_nested::all_default_nested_functions() {
        names.insert(function.name().to_owned(), "f");
    }
    for function in datafusion::functions_window::all_default_window_functions() {
        names.insert(function.name().to_owned(), "w");
    }
    for function in datafusion::functions_aggregate::all_default_aggregate_functions() {
        names.insert(function.name().to_owned(), "a");
    }
    for function in pure() {
        names.insert(function.name().trim_start_matches("pg_").to_owned(), "f");
    }
    names
}

/// Whether there is one of these whose name has `pg_` before what statements say.
pub(super) fn renamed(name: &str) -> Option<String> {
    RENAMED.contains(&name).then(|| format!("pg_{name}"))
}
