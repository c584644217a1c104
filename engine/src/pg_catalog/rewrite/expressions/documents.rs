//! Functions of JSON that become others: those whose answers are rows, and those that make JSON, of values that are JSON already, which is
//! told by how they are written, and of a group's rows, which are put together of a list of their texts.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Value,
};

use super::super::names::{arguments, call, cast, name, parts, text};

/// Functions that make JSON of their arguments.
const MAKERS: &[&str] = &[
    "array_to_json",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "row_to_json",
    "to_json",
    "to_jsonb",
];

/// Functions that make JSON of a group's values.
const GATHERERS: &[&str] = &["json_agg", "json_object_agg", "jsonb_agg", "jsonb_object_agg"];

/// Others that answer JSON. What `->` answers may be a field of a struct, and is not among them.
const OTHERS: &[&str] = &[
    "json_extract_path",
    "json_strip_nulls",
    "jsonb_extract_path",
    "jsonb_path_query_array",
    "jsonb_path_query_first",
    "jsonb_set",
    "jsonb_strip_nulls",
    "pg_json",
    "pg_json_list",
    "pg_jsonb",
    "pg_jsonb_concat",
    "pg_jsonb_list",
];

/// Whether a function makes JSON of its arguments, of which it wants to know what they are.
pub(in crate::pg_catalog::rewrite) fn makes_json(called: &str) -> bool {
    MAKERS.contains(&called) || GATHERERS.contains(&called)
}

/// Whether a function answers JSON.
pub(in crate::pg_catalog::rewrite) fn is_json(called: &str) -> bool {
    makes_json(called) || OTHERS.contains(&called)
}

/// The lists of the parts that a function of JSON has as rows, and what PostgreSQL calls their columns.
pub(in crate::pg_catalog::rewrite) fn parts_of(
    called: &str,
) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match called {
        "json_array_elements" => (&["pg_json_elements"], &["value"]),
        "json_array_elements_text" => (&["pg_json_elements_text"], &["value"]),
        "json_each" => (&["pg_json_keys", "pg_json_values"], &["key", "value"]),
        "json_each_text" => (&["pg_json_keys", "pg_json_values_text"], &["key", "value"]),
        "json_object_keys" => (&["pg_json_keys"], &[]),
        "jsonb_array_elements" => (&["pg_jsonb_elements"], &["value"]),
        "jsonb_array_elements_text" => (&["pg_jsonb_elements_text"], &["value"]),
        "jsonb_each" => (&["pg_jsonb_keys", "pg_jsonb_values"], &["key", "value"]),
        "jsonb_each_text" => (&["pg_jsonb_keys", "pg_jsonb_values_text"], &["key", "value"]),
        "jsonb_object_keys" => (&["pg_jsonb_keys"], &[]),
        "jsonb_path_query" => (&["pg_jsonb_path_query"], &[]),
        _ => return None,
    })
}

/// `document || document`, where both are seen to be documents, or one is and the other has no type yet. A column is a text, and stays one.
pub(super) fn concatenated(expression: &mut Expr) {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::StringConcat,
        right,
    } = expression
    else {
        return;
    };
    if (is_jsonb(left) && may_be_jsonb(right)) || (may_be_jsonb(left) && is_jsonb(right)) {
        *expression = call("pg_jsonb_concat", vec![left.as_ref().clone(), right.as_ref().clone()]);
    }
}

fn may_be_jsonb(value: &Expr) -> bool {
    matches!(value, Expr::Value(_)) || is_jsonb(value)
}

/// Whether it is written as a value of `jsonb`.
fn is_jsonb(value: &Expr) -> bool {
    match value {
        Expr::Nested(inner) => is_jsonb(inner),
        Expr::Function(function) => match parts(&function.name).as_slice() {
            [only] | [_, only] => {
                let makes = MAKERS.contains(&only.as_str()) || OTHERS.contains(&only.as_str());
                makes && only.contains("jsonb")
            }
            _ => false,
        },
        _ => false,
    }
}

/// Tells a function that makes JSON which of its arguments are JSON: without it they are texts.
pub(super) fn tell(function: &mut Function, called: &str) {
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    if !MAKERS.contains(&called) {
        return;
    }
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument
            && is_document(value)
        {
            *value = told(value);
        }
    }
}

fn told(value: &Expr) -> Expr {
    call("pg_document", vec![value.clone()])
}

fn is_document(value: &Expr) -> bool {
    match value {
        Expr::Nested(inner) => is_document(inner),
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::JSON | DataType::JSONB),
        Expr::Function(function) => match parts(&function.name).as_slice() {
            [only] | [_, only] if only == "coalesce" => {
                arguments(&function.args).is_some_and(|all| all.iter().all(is_document))
            }
            [only] | [_, only] => MAKERS.contains(&only.as_str()) || OTHERS.contains(&only.as_str()),
            _ => false,
        },
        _ => false,
    }
}

/// What `json_agg`, `json_object_agg` and the same of `jsonb` are. None for other functions, and over windows.
pub(super) fn of_rows(function: &Function, called: &str) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    if function.over.is_some() {
        return None;
    }
    let given = arguments(&function.args)?;
    let of_list = |element: Expr| {
        let list = FunctionArgumentList {
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(element))],
            ..list.clone()
        };
        Expr::Function(Function {
            name: name(&["array_agg"]),
            args: FunctionArguments::List(list),
            ..function.clone()
        })
    };
    match (called, given.as_slice()) {
        ("json_agg", [value]) => Some(call("pg_json_list", vec![of_list(typed(value))])),
        ("jsonb_agg", [value]) => Some(call("pg_jsonb_list", vec![of_list(typed(value))])),
        ("json_object_agg" | "jsonb_object_agg", [key, value]) => {
            let (to_json, looked_at) = match called.starts_with("json_") {
                true => ("to_json", "pg_json"),
                false => ("to_jsonb", "pg_jsonb"),
            };
            let key = cast(key.clone(), DataType::Text);
            // Without a name it is no document, which is told when it is looked at.
            let pair = joined(shown(to_json, key, ""), text(" : "));
            let pairs = of_list(joined(pair, shown(to_json, typed(value), "null")));
            let pairs = call("pg_string_agg", vec![pairs, text(", ")]);
            let document = joined(joined(text("{ "), pairs), text(" }"));
            Some(call(looked_at, vec![document]))
        }
        _ => None,
    }
}

/// A value whose type tells whether it is JSON.
fn typed(value: &Expr) -> Expr {
    match value {
        Expr::Value(null) if null.value == Value::Null => cast(value.clone(), DataType::Text),
        value if is_document(value) => told(value),
        _ => value.clone(),
    }
}

/// A value as JSON, or this where it is null.
fn shown(to_json: &str, value: Expr, null: &str) -> Expr {
    call("coalesce", vec![call(to_json, vec![value]), text(null)])
}

fn joined(left: Expr, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::StringConcat,
        right: Box::new(right),
    }))
}
