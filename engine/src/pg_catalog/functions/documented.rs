//! `docs/functions.md` lists what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::SAME;
use crate::pg_catalog::Postgres;
use crate::testing::Lake;
use crate::{Class, SessionOptions};

/// Functions of lambdas, which no statement can write: told in a sentence.
const OF_LAMBDAS: &[&str] = &[
    "any_match",
    "array_any_match",
    "array_filter",
    "array_first",
    "array_transform",
    "list_any_match",
    "list_filter",
    "list_first",
    "list_transform",
];

/// Functions that a statement means by another one's name, or by an expression, and so are registered nowhere.
const WRITTEN_OUTRIGHT: &[&str] = &[
    "array_lower",
    "array_upper",
    "ceiling",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_user",
    "date",
    "every",
    "extract",
    "gen_random_uuid",
    "generate_subscripts",
    "json_agg",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_agg",
    "json_object_keys",
    "jsonb_agg",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_agg",
    "jsonb_object_keys",
    "jsonb_path_query",
    "localtimestamp",
    "make_map",
    "make_timestamptz",
    "mod",
    "mode",
    "num_nonnulls",
    "num_nulls",
    "percentile_disc",
    "regexp_matches",
    "regexp_split_to_table",
    "session_user",
    "set_config",
    "sign",
    "string_to_table",
    "try_cast",
    "unnest",
    "user",
    "variance",
];

/// Functions that are called without parentheses.
const BARE: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtimestamp",
    "session_user",
    "user",
];

/// The names in the first column of the document's tables.
fn documented() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/functions.md");
    let text = fs::read_to_string(file).expect("docs/functions.md");
    let first_columns = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('|'));
    first_columns
        .flat_map(|(column, _)| column.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|written| {
            let name = written.split(['(', ' ']).next().unwrap_or_default();
            (!name.is_empty()).then(|| name.to_owned())
        })
        .collect()
}

// Goal: the written list of functions has every function that a statement can call, and none that there is not. Method: the names that a
// session of the PostgreSQL wire knows against those of the document.
#[tokio::test]
async fn every_function_is_written_down() {
    let lake = Lake::new();
    let postgres = Postgres::default();
    let options = SessionOptions {
        postgres: Some(Arc::new(postgres)),
        ..SessionOptions::default()
    };
    let state = lake.engine.session(Class::Interactive, &options).state();
    let registered: BTreeSet<String> = state
        .scalar_functions()
        .keys()
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys())
        .chain(state.table_functions().keys())
        .chain(state.higher_order_functions().keys())
        .filter(|name| !name.starts_with("__") && !OF_LAMBDAS.contains(&name.as_str()))
        .cloned()
        .collect();
    let documented = documented();
    assert!(documented.len() > 400, "{} names", documented.len());
    let missing: Vec<_> = registered.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/functions.md lacks {missing:?}");
    let outright =
        |name: &&String| WRITTEN_OUTRIGHT.contains(&name.as_str()) || SAME.iter().any(|(postgres, _)| postgres == name);
    let unknown: Vec<_> = documented
        .difference(&registered)
        .filter(|name| !outright(name))
        .collect();
    assert!(unknown.is_empty(), "docs/functions.md has {unknown:?}");
}

/// What the statements of `tests/slt` call, and those of [`BARE`] that they name.
fn asked() -> BTreeSet<String> {
    let is_in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut asked = BTreeSet::new();
    for folder in ["common", "lake"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slt").join(folder);
        for file in fs::read_dir(folder).expect("a folder of tests/slt") {
            let text = fs::read_to_string(file.expect("a file").path()).expect("a corpus file");
            for line in text.to_lowercase().lines().filter(|line| !line.starts_with('#')) {
                let before_parentheses = line.match_indices('(').filter_map(|(at, _)| line.get(..at));
                let called = before_parentheses
                    .filter_map(|before| before.trim_end().rsplit(|letter: char| !is_in_name(letter)).next());
                let words = line.split(|letter: char| !is_in_name(letter));
                let named = words.filter(|word| BARE.contains(word));
                asked.extend(called.chain(named).map(str::to_owned));
            }
        }
    }
    asked
}

// Goal: what is written down is tried: each function is asked in the corpus, whose answers are PostgreSQL's where it has the function.
// Method: the document's names against the calls in `tests/slt`, without those that statements are rewritten to (`pg_…`).
#[test]
fn every_function_is_asked_for() {
    let asked = asked();
    let documented = documented();
    let never: Vec<_> = documented
        .iter()
        .filter(|name| !name.starts_with("pg_") && !asked.contains(*name))
        .collect();
    assert!(never.is_empty(), "no file of tests/slt calls {never:?}");
}
