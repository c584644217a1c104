//! Columns called what PostgreSQL calls them: `count`, `?column?`.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Ident, ObjectNamePart, Select, SelectItem, TrimWhereField, Value,
};

use super::names::value;
use crate::session::APART;

/// Gives the columns of a SELECT their names. Where two would have the same one, the second has a number behind it that the
/// client does not see.
pub(super) fn name(select: &mut Select) {
    select.projection.iter_mut().for_each(column);
    let mut taken = BTreeSet::new();
    for item in &select.projection {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            taken.insert(value(alias));
        }
    }
    let mut columns: BTreeSet<String> = BTreeSet::new();
    for (at, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expression) = item else {
            continue;
        };
        let wanted = called(expression);
        let plain = matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        // A column keeps its own name, and its table with it, unless it is there twice.
        let again = !columns.insert(expression.to_string());
        if plain && !again && !taken.contains(&wanted) {
            taken.insert(wanted);
            continue;
        }
        if plain && !again {
            continue;
        }
        let alias = match taken.insert(wanted.clone()) {
            true => wanted,
            false => format!("{wanted}{APART}{at}"),
        };
        *item = SelectItem::ExprWithAlias {
            expr: expression.clone(),
            alias: Ident::with_quote('"', alias),
        };
    }
}

/// `text "x"` is a column `text` that is to be called `x`. The parser takes it for a literal of that type.
fn column(item: &mut SelectItem) {
    let SelectItem::UnnamedExpr(Expr::TypedString(typed)) = item else {
        return;
    };
    let Value::DoubleQuotedString(alias) = &typed.value.value else {
        return;
    };
    let word = typed.data_type.to_string().to_lowercase();
    if word.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
        *item = SelectItem::ExprWithAlias {
            expr: Expr::Identifier(Ident::new(word)),
            alias: Ident::with_quote('"', alias.clone()),
        };
    }
}

/// What PostgreSQL calls the column of an expression.
pub(super) fn called(expression: &Expr) -> String {
    known(expression).unwrap_or_else(|| "?column?".into())
}

fn known(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(ident) => Some(value(ident)),
        Expr::CompoundIdentifier(idents) => idents.last().map(value),
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(AccessExpr::Dot(field)) => known(field),
            _ => known(root),
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => known(inner),
        Expr::Cast { expr, data_type, .. } => known(expr)
            .filter(|_| !weak(expr))
            .or_else(|| Some(of_type(&data_type.to_string()))),
        Expr::TypedString(typed) => Some(of_type(&typed.data_type.to_string())),
        Expr::Function(function) => function.name.0.last().and_then(ObjectNamePart::as_ident).map(value),
        Expr::Case { else_result, .. } => {
            let named = else_result.as_deref().and_then(|last| match last {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => known(last),
                _ => None,
            });
            Some(named.unwrap_or_else(|| "case".into()))
        }
        Expr::Exists { negated: false, .. } => Some("exists".into()),
        Expr::Array(_) => Some("array".into()),
        Expr::Interval(_) => Some("interval".into()),
        Expr::Extract { .. } => Some("extract".into()),
        Expr::Ceil { .. } => Some("ceil".into()),
        Expr::Floor { .. } => Some("floor".into()),
        Expr::Position { .. } => Some("position".into()),
        Expr::Substring { shorthand, .. } => Some(if *shorthand { "substr" } else { "substring" }.into()),
        Expr::Trim { trim_where, .. } => Some(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim".into(),
            Some(TrimWhereField::Trailing) => "rtrim".into(),
            _ => "btrim".into(),
        }),
        Expr::Overlay { .. } => Some("overlay".into()),
        Expr::BinaryOp {
            op: BinaryOperator::Overlaps,
            ..
        } => Some("overlaps".into()),
        Expr::AtTimeZone { .. } => Some("timezone".into()),
        Expr::Subquery(query) => match query.body.as_select()?.projection.first()? {
            SelectItem::UnnamedExpr(inner) => known(inner),
            SelectItem::ExprWithAlias { alias, .. } => Some(value(alias)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression has a name that a cast around it replaces by its type's.
fn weak(expression: &Expr) -> bool {
    match expression {
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => weak(inner),
        Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Cast { expr, .. } => weak(expr) || known(expr).is_none(),
        Expr::Case { else_result, .. } => !else_result
            .as_deref()
            .is_some_and(|last| known(last).is_some() && !weak(last)),
        _ => false,
    }
}

/// The name of a type in PostgreSQL's catalog.
fn of_type(written: &str) -> String {
    let lower = written.to_lowercase();
    // `"char"` is a type of its own.
    if let Some(quoted) = lower.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return quoted.to_owned();
    }
    let plain = lower.split('(').next().unwrap_or(&lower).trim();
    let plain = plain
        .strip_prefix("pg_catalog.")
        .unwrap_or(plain)
        .trim_end_matches("[]");
    match plain {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "real" => "float4",
        "double precision" | "float" | "double" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "character varying" => "varchar",
        "char" | "character" => "bpchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        fields if fields.starts_with("interval ") => "interval",
        other => other,
    }
    .to_owned()
}
