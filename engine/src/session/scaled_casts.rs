//! Casts of decimals to many more digits behind the point: `CAST(d AS DECIMAL(76, 60))` of a `DECIMAL(76, 0)`.
//!
//! Where the digits that there are and those that come to them are more than 127 together, the cast (arrow 59.3) takes it that every number
//! fits, and those that do not become other numbers.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, TryCast};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::called::as_called;

/// Functions of which casts are made, and of which casts that give null for what does not fit.
const CASTS: [&str; 2] = ["arrow_cast", "cast_to_type"];
const TRIES: [&str; 2] = ["arrow_try_cast", "try_cast_to_type"];

/// Casts such numbers to so few digits first that all that are left fit. It has to run before each rule that folds.
#[derive(Debug)]
pub(super) struct ScaledCasts;

impl OptimizerRule for ScaledCasts {
    fn name(&self) -> &str {
        "scaled_casts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut any = false;
        plan.apply_expressions(|expr| {
            any = any || expr.exists(|part| Ok(is_cast(part)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !any {
            return Ok(Transformed::no(plan));
        }
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let columns = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
            schema.merge(&columns);
        }
        let names = NamePreserver::new(&plan);
        let mut change = |expr: Expr| expr.transform_up(|part| Ok(in_two_steps(part, &schema)));
        plan.map_expressions(|expr| as_called(expr, &names, &mut change))
    }
}

/// Whether it may be a cast to decimals of more than 38 digits.
fn is_cast(part: &Expr) -> bool {
    match part {
        Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => has_wide(field.data_type()),
        Expr::ScalarFunction(function) => CASTS.contains(&function.name()) || TRIES.contains(&function.name()),
        _ => false,
    }
}

fn has_wide(kind: &DataType) -> bool {
    match kind {
        DataType::Decimal256(..) => true,
        DataType::Dictionary(_, values) => has_wide(values),
        DataType::Struct(fields) => fields.iter().any(|field| has_wide(field.data_type())),
        DataType::Map(entries, _) => has_wide(entries.data_type()),
        kind => element(kind).is_some_and(|field| has_wide(field.data_type())),
    }
}

fn in_two_steps(part: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let wanted = match is_cast(&part) {
        true => part.get_type(schema).ok(),
        false => None,
    };
    let first = |value: &Expr| {
        let wanted = wanted.as_ref()?;
        halfway(&value.get_type(schema).ok()?, wanted)
    };
    match part {
        Expr::Cast(Cast { expr, field }) => match first(&expr) {
            Some(kind) => {
                let narrow = Expr::Cast(Cast::new(expr, kind));
                Transformed::yes(Expr::Cast(Cast::new_from_field(Box::new(narrow), field)))
            }
            None => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::TryCast(TryCast { expr, field }) => match first(&expr) {
            Some(kind) => {
                let narrow = Expr::TryCast(TryCast::new(expr, kind));
                Transformed::yes(Expr::TryCast(TryCast::new_from_field(Box::new(narrow), field)))
            }
            None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
        },
        Expr::ScalarFunction(mut function) => {
            let tries = TRIES.contains(&function.name());
            let Some(value) = function.args.first_mut() else {
                return Transformed::no(Expr::ScalarFunction(function));
            };
            let Some(kind) = first(value) else {
                return Transformed::no(Expr::ScalarFunction(function));
            };
            let whole = Box::new(std::mem::take(value));
            *value = match tries {
                true => Expr::TryCast(TryCast::new(whole, kind)),
                false => Expr::Cast(Cast::new(whole, kind)),
            };
            Transformed::yes(Expr::ScalarFunction(function))
        }
        part => Transformed::no(part),
    }
}

/// The type with just as many digits before the point as the wanted one has, and as many behind it as there are; none where the cast sees by
/// itself what fits. What does not fit there is refused, or null.
fn halfway(from: &DataType, to: &DataType) -> Option<DataType> {
    match (from, to) {
        (DataType::Decimal256(digits, places), DataType::Decimal256(wanted, wanted_places)) => {
            let more = i16::from(*wanted_places) - i16::from(*places);
            if i16::from(*digits) + more <= i16::from(i8::MAX) {
                return None;
            }
            let fitting = (i16::from(*wanted) - more).max(1);
            Some(DataType::Decimal256(u8::try_from(fitting).ok()?, *places))
        }
        (DataType::Dictionary(_, from), to) => halfway(from, to),
        (from, DataType::Dictionary(_, to)) => halfway(from, to),
        (DataType::Struct(from), DataType::Struct(to)) => {
            let parts = from.iter().enumerate().map(|(at, field)| {
                let named = to.iter().find(|wanted| wanted.name() == field.name());
                let kind = halfway(field.data_type(), named.or(to.get(at))?.data_type())?;
                Some(of_type(field, kind))
            });
            let parts: Vec<Option<FieldRef>> = parts.collect();
            let changed = parts.iter().any(Option::is_some);
            let fields = parts
                .into_iter()
                .zip(from)
                .map(|(part, field)| part.unwrap_or_else(|| Arc::clone(field)));
            changed.then(|| DataType::Struct(fields.collect()))
        }
        (DataType::Map(from, sorted), DataType::Map(to, _)) => {
            let kind = halfway(from.data_type(), to.data_type())?;
            Some(DataType::Map(of_type(from, kind), *sorted))
        }
        (from, to) => match (element(from), element(to)) {
            (Some(of), Some(wanted)) => {
                let kind = halfway(of.data_type(), wanted.data_type())?;
                with_element(from, of_type(of, kind))
            }
            (None, Some(wanted)) => halfway(from, wanted.data_type()),
            _ => None,
        },
    }
}

fn element(kind: &DataType) -> Option<&FieldRef> {
    match kind {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => Some(field),
        _ => None,
    }
}

fn with_element(kind: &DataType, field: FieldRef) -> Option<DataType> {
    match kind {
        DataType::List(_) => Some(DataType::List(field)),
        DataType::LargeList(_) => Some(DataType::LargeList(field)),
        DataType::ListView(_) => Some(DataType::ListView(field)),
        DataType::LargeListView(_) => Some(DataType::LargeListView(field)),
        DataType::FixedSizeList(_, length) => Some(DataType::FixedSizeList(field, *length)),
        _ => None,
    }
}

fn of_type(field: &FieldRef, kind: DataType) -> FieldRef {
    Arc::new(Field::clone(field).with_data_type(kind))
}

#[cfg(test)]
mod tests {
    use tidewater_core::{Coded, ErrorKind};

    use super::*;
    use crate::testing::Lake;

    /// A number with sixteen digits before the point, as many as `DECIMAL(76, 60)` has, and one with one more.
    const FITS: &str = "9876543210987654";
    const TOO_LONG: &str = "98765432109876543";

    // Goal: a decimal that has no place in the wanted type is refused or null, and any other is what it was, in process and after a journey.
    // Method: numbers of as many digits as fit and of one more, of literals and of rows, cast by all that casts, also unasked.
    #[tokio::test]
    async fn decimals_stay_what_they_are() {
        let lake = Lake::new();
        let whole = |text: &str| format!("CAST('{text}' AS DECIMAL(76, 0))");
        let wanted = format!("{FITS}.{}", "0".repeat(60));
        let casts: [fn(&str) -> String; 3] = [
            |value| format!("CAST({value} AS DECIMAL(76, 60))"),
            |value| format!("arrow_cast({value}, 'Decimal256(76, 60)')"),
            |value| format!("make_array({value}, CAST(NULL AS DECIMAL(76, 60)))[1]"),
        ];
        for cast in casts {
            let rows = |text: &str| {
                let cast = cast("CAST(t AS DECIMAL(76, 0))");
                format!("SELECT {cast} FROM (VALUES ('{text}'), (NULL)) AS v (t) WHERE t IS NOT NULL")
            };
            for (fits, too_long) in [
                (
                    format!("SELECT {}", cast(&whole(FITS))),
                    format!("SELECT {}", cast(&whole(TOO_LONG))),
                ),
                (rows(FITS), rows(TOO_LONG)),
            ] {
                assert_eq!(lake.lines(&fits).await, [wanted.as_str()], "{fits}");
                assert_eq!(lake.travelled(&fits).await.expect("rows"), [wanted.as_str()], "{fits}");
                for answer in [lake.answered(&too_long).await, lake.travelled(&too_long).await] {
                    let error = answer.expect_err(&too_long);
                    assert_eq!(error.kind(), ErrorKind::Invalid, "{too_long}: {error:?}");
                }
            }
        }
        for (sql, wanted) in [
            (format!("TRY_CAST({} AS DECIMAL(76, 60))", whole(FITS)), wanted.as_str()),
            (format!("TRY_CAST({} AS DECIMAL(76, 60))", whole(TOO_LONG)), ""),
            (format!("CAST({} AS DECIMAL(76, 76)) = 0", whole("0")), "true"),
            (format!("{} = CAST('12' AS DECIMAL(76, 60))", whole("12")), "true"),
            (format!("{} < CAST('12' AS DECIMAL(76, 60))", whole("-13")), "true"),
        ] {
            assert_eq!(lake.lines(&format!("SELECT {sql}")).await, [wanted], "{sql}");
        }
        let compared = format!("SELECT {} = CAST('1' AS DECIMAL(76, 60))", whole(TOO_LONG));
        assert!(lake.answered(&compared).await.is_err(), "{compared}");
    }

    // Goal: a first step is made only where the cast would not look at its numbers, and leaves one that does. Method: pairs of types, plain
    // ones and such as have others within them.
    #[test]
    fn a_first_step_is_made_where_it_is_needed() {
        let (whole, wanted, first) = (
            DataType::Decimal256(76, 0),
            DataType::Decimal256(76, 60),
            DataType::Decimal256(16, 0),
        );
        let list = |kind: &DataType| DataType::new_list(kind.clone(), true);
        let parts = |kind: &DataType| {
            let fields = [
                Field::new("a", DataType::Int64, true),
                Field::new("b", kind.clone(), true),
            ];
            DataType::Struct(fields.into_iter().collect())
        };
        for (from, to, step) in [
            (whole.clone(), wanted.clone(), Some(first.clone())),
            (first.clone(), wanted.clone(), None),
            (wanted.clone(), whole.clone(), None),
            (DataType::Decimal128(38, 0), wanted.clone(), None),
            (DataType::Decimal256(67, 0), wanted.clone(), None),
            (DataType::Decimal256(68, 0), wanted.clone(), Some(first.clone())),
            (
                DataType::Decimal256(76, 2),
                DataType::Decimal256(60, 60),
                Some(DataType::Decimal256(2, 2)),
            ),
            (
                whole.clone(),
                DataType::Decimal256(76, 76),
                Some(DataType::Decimal256(1, 0)),
            ),
            (list(&whole), list(&wanted), Some(list(&first))),
            (parts(&whole), parts(&wanted), Some(parts(&first))),
            (list(&parts(&whole)), list(&parts(&first)), None),
        ] {
            assert_eq!(halfway(&from, &to), step, "{from} as {to}");
            if let Some(step) = step {
                assert_eq!(halfway(&step, &to), None, "{step} as {to}");
            }
        }
    }
}
