//! Parts of statements that are put together here.

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Value,
};

/// The parts of a name in lower case unless they are in quotes.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    let idents = name.0.iter().filter_map(ObjectNamePart::as_ident);
    idents.map(value).collect()
}

/// A word as it is meant.
pub(super) fn value(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

pub(super) fn name(parts: &[&str]) -> ObjectName {
    let parts = parts
        .iter()
        .map(|part| ObjectNamePart::Identifier(Ident::with_quote('"', *part)));
    ObjectName(parts.collect())
}

/// A call of a function.
pub(super) fn call(function: &str, arguments: Vec<Expr>) -> Expr {
    let arguments = arguments
        .into_iter()
        .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    Expr::Function(Function {
        name: name(&[function]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A text.
pub(super) fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

/// The text that an expression is, if it is one.
pub(super) fn as_text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            Value::DollarQuotedString(quoted) => Some(&quoted.value),
            _ => None,
        },
        Expr::Nested(inner) => as_text(inner),
        _ => None,
    }
}

/// The number that an expression is, with its sign, if it is one.
pub(super) fn as_number(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Some(number.clone()),
            _ => None,
        },
        Expr::Nested(inner) => as_number(inner),
        Expr::UnaryOp { op, expr } if op.to_string() == "-" => as_number(expr).map(|number| format!("-{number}")),
        _ => None,
    }
}

/// A plain cast.
pub(super) fn cast(expression: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: datafusion::sql::sqlparser::ast::CastKind::Cast,
        expr: Box::new(expression),
        data_type,
        array: false,
        format: None,
    }
}

/// The arguments of a call, if they are plain expressions.
pub(super) fn arguments(arguments: &FunctionArguments) -> Option<Vec<Expr>> {
    match arguments {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::Subquery(_) => None,
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
                _ => None,
            })
            .collect(),
    }
}
