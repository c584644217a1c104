//! Functions: those of the session, and those that are called otherwise.

use datafusion::sql::sqlparser::ast::{AccessExpr, Array, DataType, Expr, FunctionArguments, Ident, Subscript, Value};

use super::super::names::{arguments, call, cast, name, parts, text};
use crate::pg_catalog::Postgres;
use crate::pg_catalog::functions::{SAME, renamed};

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

pub(super) fn change(expression: &mut Expr, postgres: &Postgres) {
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
        *expression = super::subqueries::array(query.as_ref());
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
        ("generate_subscripts", [array, _]) => {
            let length = cast(call("array_length", vec![array.clone()]), DataType::BigInt(None));
            let one = Expr::value(Value::Number("1".into(), false));
            *expression = call("unnest", vec![call("generate_series", vec![one, length])]);
        }
        ("array_upper", [array, _]) => *expression = call("array_length", vec![array.clone()]),
        ("array_lower", [_, _]) => *expression = Expr::value(Value::Number("1".into(), false)),
        ("age", [at]) => {
            let today = call("date_trunc", vec![text("day"), call("now", Vec::new())]);
            *expression = call("age", vec![today, at.clone()]);
        }
        ("substring" | "substr", [text, pattern]) if super::as_text(pattern).is_some() => {
            *expression = call("pg_substring", vec![text.clone(), pattern.clone()]);
        }
        ("log", [base, number]) if super::super::names::as_number(base).is_some() => {
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
