//! Functions: those of the session, and those that are called otherwise.

use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    TimezoneInfo, Value,
};

use super::super::names::{arguments, as_number, as_text, call, cast, name, parts, text, value};
use super::documents;
use super::elements::{before, first_of, is_vector, length, number};
use super::gathered;
use super::ordered;
use super::spellings::{era, grain, named_part};
use crate::pg_catalog::functions::{SAME, renamed};
use crate::pg_catalog::{DATE_STYLE, Postgres};

/// Functions of the query engine by names that other engines have for them.
const EVERYWHERE: &[(&str, &str)] = &[
    ("every", "bool_and"),
    ("ceiling", "ceil"),
    ("sign", "signum"),
    ("variance", "var_samp"),
];

/// Settings that do something when they are set.
const EFFECTIVE: &[&str] = &[
    DATE_STYLE,
    "TimeZone",
    "search_path",
    "statement_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
];

/// What a function of the session answers.
pub(super) fn own(function: &str, postgres: &Postgres) -> Option<Expr> {
    Some(match function {
        "current_user" | "session_user" | "user" | "current_role" => text(&postgres.user),
        "current_database" | "current_catalog" => text(&postgres.database),
        "current_schema" => match postgres.schemas.first() {
            Some(schema) => text(schema),
            None => Expr::value(Value::Null),
        },
        "version" => text(&format!(
            "PostgreSQL {} (tidewater {})",
            postgres.version,
            env!("CARGO_PKG_VERSION")
        )),
        _ => return None,
    })
}

/// Functions that every statement has by these names: those that are called otherwise here, `date(x)`, which is a cast, and `mod`.
pub(super) fn shared(expression: &mut Expr) {
    let Expr::Function(function) = expression else {
        return;
    };
    let found = parts(&function.name);
    let [only] = found.as_slice() else { return };
    let listed = ordered::rows(function, only)
        .or_else(|| ordered::texts(function, only))
        .or_else(|| documents::of_rows(function, only));
    if let Some(listed) = listed {
        *expression = listed;
        return;
    }
    documents::tell(function, only);
    if let Some(known) = EVERYWHERE
        .iter()
        .find(|(alias, _)| alias == only)
        .map(|(_, known)| *known)
    {
        function.name = name(&[known]);
        return;
    }
    match (only.as_str(), arguments(&function.args).as_deref()) {
        ("date", Some([day])) => *expression = cast(day.clone(), DataType::Date),
        ("mod", Some([left, right])) => *expression = modulo(left, right),
        // Patterns of `strftime`, which the query engine's have, have a sign that PostgreSQL's have not.
        (name @ ("to_char" | "to_date" | "to_timestamp"), Some([_, pattern]))
            if as_text(pattern).is_some_and(|pattern| !pattern.contains('%')) =>
        {
            *expression = call(&format!("pg_{name}"), arguments(&function.args).unwrap_or_default());
        }
        _ => {}
    }
}

fn modulo(left: &Expr, right: &Expr) -> Expr {
    let side = |side: &Expr| Box::new(Expr::Nested(Box::new(side.clone())));
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: side(left),
        op: BinaryOperator::Modulo,
        right: side(right),
    }))
}

/// Window functions that number rows: without a sign in the query engine, which would be decimals to clients.
const PLACES: &[&str] = &["row_number", "rank", "dense_rank", "ntile"];

/// A place among rows is a `bigint`; which of some parts a row is in, an `int`.
fn place(expression: &mut Expr) -> bool {
    let Expr::Function(function) = expression else {
        return false;
    };
    let last = parts(&function.name).pop().unwrap_or_default();
    if function.over.is_none() || !PLACES.contains(&last.as_str()) {
        return false;
    }
    function.name = name(&[&last]);
    let of = match last.as_str() {
        "ntile" => DataType::Int(None),
        _ => DataType::BigInt(None),
    };
    *expression = cast(expression.clone(), of);
    true
}

pub(super) fn change(expression: &mut Expr, postgres: &Postgres) {
    if place(expression) {
        return;
    }
    shared(expression);
    let Expr::Function(function) = expression else {
        return;
    };
    let found = parts(&function.name);
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    let last = match found.as_slice() {
        ["pg_catalog" | "information_schema", last] | [last] => (*last).to_owned(),
        _ => return,
    };
    if let FunctionArguments::Subquery(query) = &function.args
        && last == "array"
    {
        if let Some(array) = gathered::array(query.as_ref()) {
            *expression = array;
        }
        return;
    }
    if last == "make_interval"
        && let Some(parts) = parts_of_interval(&function.args)
    {
        *expression = call("make_interval", parts);
        return;
    }
    let Some(arguments) = arguments(&function.args) else {
        // Arguments such as `*` and `DISTINCT` stay; only the name may change.
        let wanted = same(&last);
        if found.len() > 1 || wanted != last {
            function.name = name(&[&wanted]);
        }
        return;
    };
    if let Some(answer) = own(&last, postgres).filter(|_| arguments.is_empty()) {
        *expression = answer;
        return;
    }
    // Of two lists there is no column.
    if let Some(([list], _)) = documents::parts_of(&last) {
        *expression = call("unnest", vec![call(list, arguments)]);
        return;
    }
    match (last.as_str(), arguments.as_slice()) {
        ("current_schemas", [system]) => {
            let implicit = matches!(system, Expr::Value(value) if value.value == Value::Boolean(true));
            let system = implicit.then(|| "pg_catalog".to_owned());
            let elements = system.into_iter().chain(postgres.schemas.iter().cloned());
            *expression = Expr::Array(Array {
                elem: elements.map(|schema| text(&schema)).collect(),
                named: true,
            });
        }
        ("_pg_expandarray", [array]) => {
            *expression = call("unnest", vec![call("pg_expandarray", vec![array.clone()])]);
        }
        ("generate_subscripts", [array, dimension]) => {
            let (first, last) = match is_vector(array) {
                true => ("0", before(length(array, dimension))),
                false => ("1", length(array, dimension)),
            };
            let bounds = vec![number(first), cast(last, DataType::BigInt(None))];
            *expression = call("unnest", vec![call("generate_series", bounds)]);
        }
        ("regexp_split_to_table", _) => {
            *expression = call("unnest", vec![call("regexp_split_to_array", arguments)]);
        }
        ("regexp_matches", _) => *expression = call("unnest", vec![call("pg_regexp_matches", arguments)]),
        ("string_to_table", _) => *expression = call("unnest", vec![call("string_to_array", arguments)]),
        ("array_lower", [array, dimension]) if is_vector(array) => {
            *expression = first_of(length(array, dimension), "0")
        }
        ("array_upper", [array, dimension]) if is_vector(array) => *expression = before(length(array, dimension)),
        ("array_length" | "array_upper", [array, dimension]) => *expression = length(array, dimension),
        ("array_lower", [array, dimension]) => {
            *expression = first_of(length(array, dimension), "1");
        }
        // Places and lengths have no sign in the query engine.
        ("cardinality" | "array_ndims" | "array_position", _) => {
            *expression = cast(call(&last, arguments), DataType::Int(None));
        }
        ("array_positions", _) => {
            let places = ArrayElemTypeDef::SquareBracket(Box::new(DataType::Int(None)), None);
            *expression = cast(call(&last, arguments), DataType::Array(places));
        }
        ("to_hex", [whole]) if as_number(whole).is_some_and(|whole| is_int(&whole)) => {
            *expression = call("pg_to_hex", vec![cast(whole.clone(), DataType::Int(None))]);
        }
        ("encode", [bytes, form]) if is_base64(form) => {
            let bytes = match as_text(bytes) {
                Some(_) => call("pg_bytea", vec![bytes.clone()]),
                None => bytes.clone(),
            };
            *expression = call("pg_base64", vec![bytes]);
        }
        // Its lines may be parted.
        ("decode", [written, form]) if is_base64(form) => {
            let letters = call("translate", vec![written.clone(), text(" \n\r\t"), text("")]);
            *expression = call("decode", vec![letters, text("base64")]);
        }
        // Of what is no number PostgreSQL says zero, and the query engine NaN.
        ("signum", [of]) => {
            let sign = call("signum", vec![of.clone()]);
            let parts = [sign, number("0")].map(|part| cast(part, DataType::DoublePrecision));
            *expression = call("nanvl", parts.to_vec());
        }
        // As `SET`, for settings that are only taken; those that do something want `SET`.
        ("set_config", [name, value, _])
            if as_text(name).is_some_and(|name| !EFFECTIVE.iter().any(|known| known.eq_ignore_ascii_case(name))) =>
        {
            *expression = cast(value.clone(), DataType::Text);
        }
        ("age", [at]) => {
            let today = call("date_trunc", vec![text("day"), call("now", Vec::new())]);
            *expression = call("age", vec![today, at.clone()]);
        }
        // A series in the place of a table, which is a list there.
        ("pg_series", _) => *expression = call("generate_series", arguments),
        ("generate_series", _) => *expression = call("unnest", vec![call("generate_series", arguments)]),
        // Of a parameter the query engine's own say which type it has.
        ("ceil" | "ceiling" | "floor" | "round" | "trunc", [Expr::Value(value), ..])
            if matches!(value.value, Value::Placeholder(_)) => {}
        ("ceil" | "ceiling" | "floor", [number]) => {
            let ours = if last == "floor" { "pg_floor" } else { "pg_ceil" };
            *expression = call(ours, vec![number.clone()]);
        }
        ("round" | "trunc", [number]) => *expression = call(&format!("pg_{last}"), vec![number.clone()]),
        ("round" | "trunc", [value, places]) if as_number(places).is_some() => {
            let places = number(&as_number(places).unwrap_or_default());
            *expression = call(&format!("pg_{last}"), vec![value.clone(), places]);
        }
        ("localtimestamp", []) => {
            let now = call("now", Vec::new());
            *expression = cast(now, DataType::Timestamp(Some(6), TimezoneInfo::None));
        }
        ("gen_random_uuid", []) => *expression = call("pg_uuid", vec![call("uuid", Vec::new())]),
        ("concat" | "concat_ws" | "format", _) => {
            let shown = |(at, argument): (usize, Expr)| match argument {
                Expr::Value(literal) if !matches!(literal.value, Value::Boolean(_)) => Expr::Value(literal),
                first if at == 0 && last != "concat" => first,
                other => call("pg_output", vec![other]),
            };
            let arguments = arguments.into_iter().enumerate().map(shown).collect();
            *expression = call(&last, arguments);
        }
        ("date_part", [part, value]) if as_text(part).is_some_and(|part| named_part(part).is_some()) => {
            if let Some(function) = as_text(part).and_then(named_part) {
                *expression = cast(call(function, vec![value.clone()]), DataType::DoublePrecision);
            }
        }
        ("date_trunc", [written, value]) if grain(written).is_some() => {
            let grain = grain(written).unwrap_or_default();
            *expression = call("date_trunc", vec![text(grain), value.clone()]);
        }
        ("date_trunc", [written, value]) if era(written).is_some() => {
            *expression = call(era(written).unwrap_or_default(), vec![value.clone()]);
        }
        ("date_trunc", [written, value, zone]) => {
            let local = call("timezone", vec![zone.clone(), value.clone()]);
            let cut = match era(written) {
                Some(era) => call(era, vec![local]),
                None => {
                    let grain = grain(written).map_or_else(|| written.clone(), text);
                    call("date_trunc", vec![grain, local])
                }
            };
            *expression = call("timezone", vec![zone.clone(), cut]);
        }
        ("make_timestamptz", [moment @ .., zone]) if moment.len() == 6 && is_name(zone) => {
            let moment = call("make_timestamp", moment.to_vec());
            *expression = call("timezone", vec![zone.clone(), moment]);
        }
        ("make_timestamptz", [_, _, _, _, _, _]) => {
            let moment = call("make_timestamp", arguments);
            *expression = call("timezone", vec![text(postgres.zone()), moment]);
        }
        ("num_nulls" | "num_nonnulls", [_, ..]) => {
            let one = |argument: Expr| {
                let null = match last == "num_nulls" {
                    true => Expr::IsNull(Box::new(argument)),
                    false => Expr::IsNotNull(Box::new(argument)),
                };
                cast(null, DataType::Int(None))
            };
            let sum = arguments.into_iter().map(one).reduce(|left, right| Expr::BinaryOp {
                left: Box::new(left),
                op: BinaryOperator::Plus,
                right: Box::new(right),
            });
            if let Some(sum) = sum {
                *expression = Expr::Nested(Box::new(sum));
            }
        }
        ("substring" | "substr", [text, pattern]) if as_text(pattern).is_some() => {
            *expression = call("pg_substring", vec![text.clone(), pattern.clone()]);
        }
        ("log", [base, number]) if as_number(base).is_some() => {
            *expression = call("log", vec![base.clone(), number.clone()]);
        }
        ("format_type", [_]) | ("nextval" | "setval" | "currval", _) => {}
        _ => {
            let wanted = same(&last);
            if found.len() > 1 || wanted != last {
                function.name = name(&[&wanted]);
            }
        }
    }
}

/// Whether a number that is written out is an `int` there: it is told without its sign.
fn is_int(number: &str) -> bool {
    number.trim_start_matches('-').parse::<i32>().is_ok()
}

fn is_base64(form: &Expr) -> bool {
    as_text(form).is_some_and(|form| form.eq_ignore_ascii_case("base64"))
}

/// Whether a zone is told by its name. Of hours it is not sure to which side of Greenwich they are.
fn is_name(zone: &Expr) -> bool {
    as_text(zone).is_some_and(|zone| zone.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// The arguments of `make_interval` in their order, where some have names; zero for what is left out.
fn parts_of_interval(given: &FunctionArguments) -> Option<Vec<Expr>> {
    const NAMES: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
    let FunctionArguments::List(list) = given else {
        return None;
    };
    let mut found = vec![None; NAMES.len()];
    for (at, argument) in list.args.iter().enumerate() {
        let (at, given) = match argument {
            FunctionArg::Unnamed(given) => (at, given),
            FunctionArg::Named { name, arg, .. } => (NAMES.iter().position(|known| *known == value(name))?, arg),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg,
                ..
            } => (NAMES.iter().position(|known| *known == value(name))?, arg),
            FunctionArg::ExprNamed { .. } => return None,
        };
        let FunctionArgExpr::Expr(given) = given else {
            return None;
        };
        if found.get_mut(at)?.replace(given.clone()).is_some() {
            return None;
        }
    }
    Some(
        found
            .into_iter()
            .map(|part| part.unwrap_or_else(|| number("0")))
            .collect(),
    )
}

fn same(last: &str) -> String {
    if let Some(ours) = renamed(last) {
        return ours;
    }
    let found = SAME.iter().find(|(postgres, _)| *postgres == last);
    found.map_or(last, |(_, ours)| ours).to_owned()
}
