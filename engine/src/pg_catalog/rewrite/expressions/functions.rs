//! Functions: those of the session, and those that are called otherwise.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, Subscript, TimezoneInfo, Value,
};

use super::super::names::{arguments, as_number, as_text, call, cast, name, parts, text, value};
use super::documents;
use super::gathered;
use super::spellings::{era, grain, named_part};
use crate::pg_catalog::Postgres;
use crate::pg_catalog::functions::{SAME, renamed};

/// Functions of the query engine by names that other engines have for them.
const EVERYWHERE: &[(&str, &str)] = &[
    ("every", "bool_and"),
    ("ceiling", "ceil"),
    ("sign", "signum"),
    ("variance", "var_samp"),
];

/// Settings that do something when they are set.
const EFFECTIVE: &[&str] = &[
    "timezone",
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
    let listed = of_ordered_rows(function, only)
        .or_else(|| of_ordered_texts(function, only))
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

/// `string_agg` in an order of its own: the query engine takes one order for all of a query's.
fn of_ordered_texts(function: &Function, called: &str) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [FunctionArgumentClause::OrderBy(_)] = list.clauses.as_slice() else {
        return None;
    };
    let [value, FunctionArg::Unnamed(FunctionArgExpr::Expr(between))] = list.args.as_slice() else {
        return None;
    };
    if called != "string_agg" || function.over.is_some() {
        return None;
    }
    let between = text(as_text(between)?);
    let list = FunctionArgumentList {
        args: vec![value.clone()],
        ..list.clone()
    };
    let list = Expr::Function(Function {
        name: name(&["array_agg"]),
        args: FunctionArguments::List(list),
        ..function.clone()
    });
    Some(call("pg_string_agg", vec![list, between]))
}

/// `percentile_cont`, `percentile_disc` and `mode`, of the list of a group's values in their order.
fn of_ordered_rows(function: &Function, called: &str) -> Option<Expr> {
    let ours = match called {
        "percentile_cont" => "pg_percentile_cont",
        "percentile_disc" => "pg_percentile_disc",
        "mode" => "pg_mode",
        _ => return None,
    };
    let [order] = function.within_group.as_slice() else {
        return None;
    };
    if function.over.is_some() {
        return None;
    }
    let list = FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(order.expr.clone()))],
        clauses: vec![FunctionArgumentClause::OrderBy(vec![order.clone()])],
    };
    let list = Expr::Function(Function {
        name: name(&["array_agg"]),
        args: FunctionArguments::List(list),
        within_group: Vec::new(),
        ..function.clone()
    });
    let shares = arguments(&function.args)?;
    Some(call(ours, [vec![list], shares].concat()))
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
        // As `SET`, for settings that are only taken; those that do something want `SET`.
        ("set_config", [name, value, _]) if as_text(name).is_some_and(|name| !EFFECTIVE.contains(&name)) => {
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

/// How many elements an array has in a dimension. The dimension is kept whatever it is: it may be a parameter, whose type is
/// told by this.
fn length(array: &Expr, dimension: &Expr) -> Expr {
    let dimension = cast(dimension.clone(), DataType::BigInt(None));
    let length = cast(
        call("array_length", vec![array.clone(), dimension]),
        DataType::Int(None),
    );
    // An empty array has none.
    call("nullif", vec![length, cast(number("0"), DataType::Int(None))])
}

fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.into(), false))
}

/// The first place of an array of this length; an empty one has none.
fn first_of(length: Expr, place: &str) -> Expr {
    let place = cast(number(place), DataType::Int(None));
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: Expr::IsNotNull(Box::new(length)),
            result: place,
        }],
        else_result: None,
    }
}

/// One less.
fn before(length: Expr) -> Expr {
    let one = cast(number("1"), DataType::Int(None));
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(length),
        op: BinaryOperator::Minus,
        right: Box::new(one),
    }))
}

/// Columns of PostgreSQL's tables whose places are counted from 0 (`int2vector`, `oidvector`).
const VECTORS: &[&str] = &[
    "indkey",
    "indclass",
    "indcollation",
    "indoption",
    "proargtypes",
    "tgattr",
    "partattrs",
    "partclass",
    "partcollation",
    "stxkeys",
    "prattrs",
];

/// Whether an expression is a column of vectors.
pub(in super::super) fn is_vector(expression: &Expr) -> bool {
    let last = match expression {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        Expr::Nested(inner) => return is_vector(inner),
        _ => None,
    };
    last.is_some_and(|ident| VECTORS.contains(&ident.value.to_lowercase().as_str()))
}

fn same(last: &str) -> String {
    if let Some(ours) = renamed(last) {
        return ours;
    }
    let found = SAME.iter().find(|(postgres, _)| *postgres == last);
    found.map_or(last, |(_, ours)| ours).to_owned()
}

/// `(x).field` of a row is a field of a struct, and elements are counted from 1.
pub(super) fn fields(expression: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expression else {
        return;
    };
    let mut vector = is_vector(root);
    for access in access_chain.iter_mut() {
        match access {
            AccessExpr::Dot(field) => vector = is_vector(field),
            AccessExpr::Subscript(Subscript::Index { index }) if std::mem::take(&mut vector) => {
                let place = std::mem::replace(index, number("1"));
                *index = Expr::BinaryOp {
                    left: Box::new(Expr::Nested(Box::new(place))),
                    op: BinaryOperator::Plus,
                    right: Box::new(number("1")),
                };
            }
            AccessExpr::Subscript(_) => {}
        }
        if let AccessExpr::Subscript(Subscript::Slice {
            lower_bound,
            upper_bound,
            ..
        }) = access
        {
            // A slice may begin at the first and end at the last element without saying so.
            lower_bound.get_or_insert_with(|| number("1"));
            upper_bound.get_or_insert_with(|| number("2147483647"));
        }
    }
    // `t.column[1]` is a column of a table, `(row).field` is not.
    let Expr::Nested(inner) = root.as_ref() else {
        return;
    };
    let mut value = inner.as_ref().clone();
    for access in access_chain.iter() {
        value = match access {
            AccessExpr::Dot(Expr::Identifier(Ident { value: field, .. })) => {
                call("get_field", vec![value, text(field)])
            }
            AccessExpr::Subscript(Subscript::Index { index }) => Expr::CompoundFieldAccess {
                root: Box::new(value),
                access_chain: vec![AccessExpr::Subscript(Subscript::Index { index: index.clone() })],
            },
            other => Expr::CompoundFieldAccess {
                root: Box::new(value),
                access_chain: vec![other.clone()],
            },
        };
    }
    *expression = value;
}
