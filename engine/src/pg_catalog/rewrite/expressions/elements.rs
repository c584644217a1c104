//! Elements of arrays and fields of rows, by the places and names that PostgreSQL has for them.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{AccessExpr, BinaryOperator, CaseWhen, DataType, Expr, Ident, Subscript, Value};

use super::super::names::{call, cast, text};

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

/// How many elements an array has in a dimension. The dimension is kept whatever it is: it may be a parameter, whose type is
/// told by this.
pub(super) fn length(array: &Expr, dimension: &Expr) -> Expr {
    let dimension = cast(dimension.clone(), DataType::BigInt(None));
    let length = cast(
        call("array_length", vec![array.clone(), dimension]),
        DataType::Int(None),
    );
    // An empty array has none.
    call("nullif", vec![length, cast(number("0"), DataType::Int(None))])
}

/// The first place of an array of this length; an empty one has none.
pub(super) fn first_of(length: Expr, place: &str) -> Expr {
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
pub(super) fn before(length: Expr) -> Expr {
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

/// A number that is written out.
pub(super) fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.into(), false))
}
