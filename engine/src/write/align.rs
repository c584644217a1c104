//! A query's columns brought to those of the table it is written to.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::functions::datetime::expr_fn::date_trunc;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use tidewater_table::LoadedTable;
use tidewater_table::iceberg::spec::Transform;
use tidewater_table::schema::write_default;

use crate::error::{EngineError, Result};
use crate::functions::plain_list;
use crate::functions::rounded::{is_rounded_first, rounded};
use crate::functions::rounded_within::{rounded_within, rounds};
use crate::session::{clock_of, instant_of};

/// The target's columns in its order: matched by name, cast to its types, and where the query has none, what they are by default, or
/// null. Clocks and instants are told by those of `zone`.
pub(super) fn align(input: LogicalPlan, target: &LoadedTable, zone: &str) -> Result<LogicalPlan> {
    let refused = |reason: String| EngineError::Columns {
        table: target.name.clone(),
        reason,
    };
    let schema = tidewater_table::schema::to_arrow(target.metadata.current_schema())?;
    let mut given: HashMap<String, (Column, DataType)> = HashMap::new();
    for (qualifier, field) in input.schema().iter() {
        let column = Column::new(qualifier.cloned(), field.name());
        if given
            .insert(field.name().clone(), (column, field.data_type().clone()))
            .is_some()
        {
            return Err(refused(format!("column {:?} comes twice", field.name())));
        }
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let value = match given.remove(field.name()) {
            Some((column, data_type)) => stored(Expr::Column(column), &data_type, field.data_type(), zone)?,
            None => match write_default(field)? {
                Some(value) => lit(ScalarValue::try_from_array(&value, 0)?),
                None if field.is_nullable() => lit(ScalarValue::try_new_null(field.data_type())?),
                None => return Err(refused(format!("required column {:?} is missing", field.name()))),
            },
        };
        columns.push(value.alias(field.name()));
    }
    if let Some(unknown) = given.keys().min() {
        return Err(refused(format!("the table has no column {unknown:?}")));
    }
    Ok(LogicalPlanBuilder::from(input).project(columns)?.build()?)
}

/// A value `of` one type as a column of the type `to` has it. Clocks and instants are told by those of `zone`.
pub(crate) fn stored(value: Expr, of: &DataType, to: &DataType, zone: &str) -> Result<Expr> {
    if of == to {
        return Ok(value);
    }
    let value = match to {
        DataType::Timestamp(_, Some(_)) => instant_of(value, of, zone)?,
        DataType::Timestamp(_, None) => clock_of(value, of, zone)?,
        to if to.is_integer() && is_rounded_first(of) => rounded(value),
        to => {
            let value = match rounds(of, to) {
                true => rounded_within(value, to)?,
                false => value,
            };
            // As rows: a single value loses what a type says of its parts when it is cast (DataFusion 55.2).
            match to.is_nested() {
                true => plain_list::in_rows(value),
                false => value,
            }
        }
    };
    Ok(cast(value, to.clone()))
}

/// Expressions that are equal for rows of one partition; none if SQL cannot say it.
pub(super) fn partition_keys(target: &LoadedTable) -> Vec<Expr> {
    let metadata = &target.metadata;
    let key = |source_id: i32, transform: Transform| {
        let field = metadata
            .current_schema()
            .as_struct()
            .fields()
            .iter()
            .find(|field| field.id == source_id)?;
        let column = Expr::Column(Column::from_name(&field.name));
        let key = match transform {
            Transform::Identity => column,
            Transform::Year => date_trunc(lit("year"), column),
            Transform::Month => date_trunc(lit("month"), column),
            Transform::Day => cast(column, DataType::Date32),
            Transform::Hour => date_trunc(lit("hour"), column),
            _ => return None,
        };
        Some(key)
    };
    let fields = metadata.default_partition_spec().fields();
    let keys = fields.iter().map(|field| key(field.source_id, field.transform));
    keys.collect::<Option<Vec<Expr>>>().unwrap_or_default()
}
