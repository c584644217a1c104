//! Conditions of a query turned into conditions that files can be pruned by.

use datafusion::common::ScalarValue;
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::expr::{Between, InList, Like, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use tidewater_table::iceberg::spec::{Datum, NestedFieldRef, PrimitiveType, Schema, StructType, Type};
use tidewater_table::{Comparison, Predicate};

/// Longer lists prune little and cost much.
const IN_VALUES_MAX: usize = 200;

/// What rows fulfil that fulfil all `filters`. What cannot be told keeps every row.
pub(crate) fn some_rows(filters: &[&Expr], columns: &Schema) -> Predicate {
    let all = filters
        .iter()
        .map(|filter| weak(filter, columns))
        .filter(|one| *one != Predicate::Always);
    let mut all: Vec<Predicate> = all.collect();
    match (all.pop(), all.is_empty()) {
        (None, _) => Predicate::Always,
        (Some(one), true) => one,
        (Some(one), false) => {
            all.push(one);
            Predicate::And(all)
        }
    }
}

/// The condition of the rows that fulfil all `filters`, and of no others; `None` if it cannot be told.
pub(crate) fn same_rows(filters: &[&Expr], columns: &Schema) -> Option<Predicate> {
    let mut all = filters.iter().map(|filter| exact(filter, columns));
    let first = all.next()??;
    all.try_fold(first, |before, one| Some(before.and(one?)))
}

/// A condition that holds at least wherever `expr` holds.
fn weak(expr: &Expr, columns: &Schema) -> Predicate {
    if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr {
        match op {
            Operator::And => return weak(left, columns).and(weak(right, columns)),
            Operator::Or => {
                let (left, right) = (weak(left, columns), weak(right, columns));
                if left == Predicate::Always || right == Predicate::Always {
                    return Predicate::Always;
                }
                return left.or(right);
            }
            _ => {}
        }
    }
    match expr {
        Expr::Alias(alias) => weak(&alias.expr, columns),
        Expr::IsTrue(inner) => weak(inner, columns),
        Expr::Like(like) => prefix(like, columns).unwrap_or(Predicate::Always),
        expr => exact(expr, columns).unwrap_or(Predicate::Always),
    }
}

/// The same condition, or nothing: only this may be negated.
fn exact(expr: &Expr, columns: &Schema) -> Option<Predicate> {
    match expr {
        Expr::Alias(alias) => exact(&alias.expr, columns),
        Expr::Not(inner) => Some(!exact(inner, columns)?),
        Expr::IsNull(inner) => Some(Predicate::IsNull {
            field_id: column(inner, columns)?.id,
        }),
        Expr::IsNotNull(inner) => Some(!Predicate::IsNull {
            field_id: column(inner, columns)?.id,
        }),
        Expr::BinaryExpr(binary) => exact_binary(binary, columns),
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let (column, low) = column_and_value(expr, low, columns)?;
            let (_, high) = column_and_value(expr, high, columns)?;
            let within = Predicate::compare(column.id, Comparison::GreaterOrEqual, low).and(Predicate::compare(
                column.id,
                Comparison::LessOrEqual,
                high,
            ));
            Some(if *negated { !within } else { within })
        }
        Expr::InList(InList { expr, list, negated }) if list.len() <= IN_VALUES_MAX => {
            let field_id = column(expr, columns)?.id;
            let values = list.iter().map(|value| Some(column_and_value(expr, value, columns)?.1));
            let values = values.collect::<Option<Vec<_>>>()?;
            let within = Predicate::In { field_id, values };
            Some(if *negated { !within } else { within })
        }
        Expr::Column(_) => {
            let column = column(expr, columns)?;
            let boolean = matches!(&*column.field_type, Type::Primitive(PrimitiveType::Boolean));
            boolean.then(|| Predicate::equal(column.id, Datum::bool(true)))
        }
        _ => None,
    }
}

fn exact_binary(binary: &BinaryExpr, columns: &Schema) -> Option<Predicate> {
    let BinaryExpr { left, op, right } = binary;
    match op {
        Operator::And => return Some(exact(left, columns)?.and(exact(right, columns)?)),
        Operator::Or => return Some(exact(left, columns)?.or(exact(right, columns)?)),
        _ => {}
    }
    let (op, (column, value)) = match column_and_value(left, right, columns) {
        Some(found) => (*op, found),
        None => (op.swap()?, column_and_value(right, left, columns)?),
    };
    let comparison = match op {
        Operator::Eq => Comparison::Equal,
        Operator::NotEq => Comparison::NotEqual,
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    };
    Some(Predicate::compare(column.id, comparison, value))
}

/// `column LIKE 'abc%'` lies between `abc` and `abd`.
fn prefix(like: &Like, columns: &Schema) -> Option<Predicate> {
    if like.negated || like.case_insensitive || like.escape_char.is_some() {
        return None;
    }
    let column = column(&like.expr, columns)?;
    if !matches!(&*column.field_type, Type::Primitive(PrimitiveType::String)) {
        return None;
    }
    let Expr::Literal(pattern, _) = like.pattern.as_ref() else {
        return None;
    };
    let pattern = pattern.try_as_str().flatten()?;
    let prefix: String = pattern.chars().take_while(|c| !matches!(c, '%' | '_' | '\\')).collect();
    let last = prefix.chars().last()?;
    let from = Predicate::compare(column.id, Comparison::GreaterOrEqual, Datum::string(&prefix));
    let stem = prefix.strip_suffix(last)?;
    // After the last character before the surrogates comes none: then only the lower end is known.
    match u32::from(last).checked_add(1).and_then(char::from_u32) {
        Some(next) => {
            let end = Datum::string(format!("{stem}{next}"));
            Some(from.and(Predicate::compare(column.id, Comparison::Less, end)))
        }
        None => Some(from),
    }
}

fn column_and_value<'a>(left: &Expr, right: &Expr, columns: &'a Schema) -> Option<(&'a NestedFieldRef, Datum)> {
    let column = column(left, columns)?;
    let Expr::Literal(value, _) = right else {
        return None;
    };
    let Type::Primitive(primitive) = &*column.field_type else {
        return None;
    };
    Some((column, datum(value, primitive)?))
}

/// The field an expression stands for: a column, or a field of a struct column.
fn column<'a>(expr: &Expr, columns: &'a Schema) -> Option<&'a NestedFieldRef> {
    match expr {
        Expr::Column(column) => field(columns.as_struct(), &column.name),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.inner().is::<GetFieldFunc>() => {
            let (source, path) = args.split_first()?;
            let mut current = column(source, columns)?;
            for name in path {
                let (Expr::Literal(name, _), Type::Struct(children)) = (name, &*current.field_type) else {
                    return None;
                };
                current = field(children, name.try_as_str().flatten()?)?;
            }
            Some(current)
        }
        _ => None,
    }
}

fn field<'a>(fields: &'a StructType, name: &str) -> Option<&'a NestedFieldRef> {
    fields.fields().iter().find(|field| field.name == name)
}

/// A value as one of the column's type; nothing where the two types differ.
fn datum(value: &ScalarValue, primitive: &PrimitiveType) -> Option<Datum> {
    use PrimitiveType as P;
    use ScalarValue as S;
    let datum = match (primitive, value) {
        (P::Boolean, S::Boolean(Some(v))) => Datum::bool(*v),
        (P::Int, S::Int32(Some(v))) => Datum::int(*v),
        (P::Long, S::Int64(Some(v))) => Datum::long(*v),
        (P::Float, S::Float32(Some(v))) if !v.is_nan() => Datum::float(*v),
        (P::Double, S::Float64(Some(v))) if !v.is_nan() => Datum::double(*v),
        (P::Date, S::Date32(Some(v))) => Datum::date(*v),
        (P::Time, S::Time64Microsecond(Some(v))) => Datum::time_micros(*v).ok()?,
        (P::Timestamp, S::TimestampMicrosecond(Some(v), None)) => Datum::timestamp_micros(*v),
        (P::Timestamptz, S::TimestampMicrosecond(Some(v), Some(_))) => Datum::timestamptz_micros(*v),
        (P::TimestampNs, S::TimestampNanosecond(Some(v), None)) => Datum::timestamp_nanos(*v),
        (P::TimestamptzNs, S::TimestampNanosecond(Some(v), Some(_))) => Datum::timestamptz_nanos(*v),
        (P::String, S::Utf8(Some(v)) | S::LargeUtf8(Some(v)) | S::Utf8View(Some(v))) => Datum::string(v),
        (P::Binary, S::Binary(Some(v)) | S::LargeBinary(Some(v)) | S::BinaryView(Some(v))) => {
            Datum::binary(v.iter().copied())
        }
        (P::Decimal { scale, .. }, S::Decimal128(Some(v), _, value_scale))
            if u32::try_from(*value_scale) == Ok(*scale) =>
        {
            Datum::try_from_bytes(&v.to_be_bytes(), primitive.clone()).ok()?
        }
        _ => return None,
    };
    Some(datum)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};
    use tidewater_table::iceberg::spec::NestedField;

    use super::*;

    fn columns() -> Schema {
        let nested = StructType::new(vec![
            NestedField::optional(11, "x", Type::Primitive(PrimitiveType::Long)).into(),
        ]);
        Schema::builder()
            .with_fields(vec![
                NestedField::optional(1, "a", Type::Primitive(PrimitiveType::Long)).into(),
                NestedField::optional(2, "s", Type::Primitive(PrimitiveType::String)).into(),
                NestedField::optional(3, "n", Type::Struct(nested)).into(),
            ])
            .build()
            .expect("a schema")
    }

    // Goal: nothing that cannot be told prunes, above all not under NOT. Method: filters and what must come of them.
    #[test]
    fn untold_conditions_keep_every_row() {
        let untold = col("a") % lit(2_i64);
        let told = col("a").gt(lit(5_i64));
        let a = Predicate::compare(1, Comparison::Greater, Datum::long(5));
        let table = columns();
        let one = |filter: Expr| some_rows(&[&filter], &table);
        assert_eq!(one(untold.clone().eq(lit(0_i64))), Predicate::Always);
        assert_eq!(
            one(Expr::Not(Box::new(told.clone().and(untold.clone().eq(lit(0_i64)))))),
            Predicate::Always
        );
        assert_eq!(one(told.clone().or(untold.eq(lit(0_i64)))), Predicate::Always);
        assert_eq!(one(told.clone()), a);
        assert_eq!(one(lit(5_i64).lt(col("a"))), a);
        assert_eq!(one(Expr::Not(Box::new(told))), !a);
        assert_eq!(one(col("a").gt(lit(5_i32))), Predicate::Always);
    }

    // Goal: nested fields and prefixes prune. Method: filters and what must come of them.
    #[test]
    fn nested_fields_and_prefixes_prune() {
        let table = columns();
        let nested = datafusion::functions::core::expr_fn::get_field(col("n"), "x");
        assert_eq!(
            some_rows(&[&nested.eq(lit(1_i64))], &table),
            Predicate::equal(11, Datum::long(1))
        );
        let from = Predicate::compare(2, Comparison::GreaterOrEqual, Datum::string("ab"));
        let to = Predicate::compare(2, Comparison::Less, Datum::string("ac"));
        assert_eq!(some_rows(&[&col("s").like(lit("ab%c"))], &table), from.and(to));
        assert_eq!(some_rows(&[&col("s").like(lit("%c"))], &table), Predicate::Always);
    }
}
