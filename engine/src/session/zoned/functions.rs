//! Functions that do not follow the zone of their arguments by themselves.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::Zoned;
use super::values::{at_zone, cast, instant_of};
use crate::pg_catalog;

/// Functions of values of one type.
const ALIKE: &[&str] = &["greatest", "least", "coalesce", "nullif", "pg_timestamp_minus"];

/// Parts of `date_trunc` that begin with a day.
const OF_CALENDAR: &[&str] = &["day", "week", "month", "quarter", "year"];

impl Zoned<'_> {
    /// A call of a function.
    pub(super) fn function(&self, mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
        if ALIKE.contains(&call.name()) {
            let changed = self.beside(&mut call.args.iter_mut().collect::<Vec<_>>(), schema)?;
            return Ok(Transformed::new_transformed(Expr::ScalarFunction(call), changed));
        }
        if !self.is_apart() {
            return Ok(Transformed::no(Expr::ScalarFunction(call)));
        }
        // Of now, which a statement that asks more than once is told (`statement/settled.rs`).
        let of_now = match call.name() {
            "current_date" | "today" => Some(DataType::Date32),
            "current_time" => Some(DataType::Time64(TimeUnit::Nanosecond)),
            _ => None,
        };
        if let (Some(to), Some(now), []) = (of_now, &self.now, call.args.as_slice()) {
            let now = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(now), Vec::new()));
            return Ok(Transformed::yes(cast(self.answered(now, schema).data, to)));
        }
        let name = call.name().to_owned();
        match (name.as_str(), call.args.as_mut_slice()) {
            ("arrow_cast", [value, Expr::Literal(ScalarValue::Utf8(Some(name)), _)]) => {
                if let Ok(to) = name.parse::<DataType>()
                    && let Ok(zoned) = self.between(value.clone(), value.get_type(schema).ok(), &to)?
                {
                    return Ok(Transformed::yes(zoned));
                }
            }
            ("pg_to_timestamp", [_, Expr::Literal(ScalarValue::Utf8(Some(pattern)), _)]) if !names_zone(pattern) => {
                let clock = at_zone("UTC", Expr::ScalarFunction(call))?;
                let told = self.answered(at_zone(self.zone, clock)?, schema).data;
                return Ok(Transformed::yes(told));
            }
            ("date_trunc", [Expr::Literal(ScalarValue::Utf8(Some(grain)), _), value])
                if matches!(value.get_type(schema), Ok(DataType::Timestamp(_, Some(_)))) =>
            {
                if grain.eq_ignore_ascii_case("hour") {
                    return Ok(Transformed::yes(pg_catalog::instant_hour(std::mem::take(value))?));
                }
                // A midnight that comes twice would be the first for some rows of its day, and the second for others.
                if OF_CALENDAR.iter().any(|known| grain.eq_ignore_ascii_case(known)) {
                    *value = at_zone(self.zone, std::mem::take(value))?;
                    let begins = at_zone(self.zone, Expr::ScalarFunction(call))?;
                    return Ok(Transformed::yes(self.answered(begins, schema).data));
                }
            }
            // Its origin is a moment of the session's zone too.
            ("date_bin", [_, value, origin]) => {
                let changed = self.beside(&mut [value, origin], schema)?;
                let answered = self.answered(Expr::ScalarFunction(call), schema);
                return Ok(Transformed::new_transformed(
                    answered.data,
                    changed || answered.transformed,
                ));
            }
            // A day is the instant with which it begins in the session's zone, whatever the zone that it is shown in.
            ("timezone", [_, day]) => {
                if let Ok(of @ (DataType::Date32 | DataType::Date64)) = day.get_type(schema) {
                    *day = instant_of(std::mem::take(day), &of, self.zone)?;
                    let shown = self.answered(Expr::ScalarFunction(call), schema).data;
                    return Ok(Transformed::yes(shown));
                }
            }
            _ => {}
        }
        Ok(self.answered(Expr::ScalarFunction(call), schema))
    }
}

/// Whether a pattern of `to_timestamp` tells the zone.
fn names_zone(pattern: &str) -> bool {
    let pattern = pattern.to_uppercase();
    pattern.contains("TZ") || pattern.contains("OF")
}
