//! Aggregates of ordered rows, `percentile_cont`, `percentile_disc` and `mode` (PostgreSQL 15, 9.21), of the list of a group's values in
//! their order. DataFusion 55.2 has the first one, which reckons with six digits.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Float64Builder, ListBuilder, UInt32Array};
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{cast, filter, is_not_null, take};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, UInt32Type};
use datafusion::common::{Result, exec_err, plan_err};

use super::native::{Native, argument};

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("pg_percentile_cont", (2, 2), DataType::Float64, between).returning(|types| match types {
            [list, share] if of_numbers(list) => Ok(match share.is_list() {
                true => DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true))),
                false => DataType::Float64,
            }),
            [DataType::Null, _] => Ok(DataType::Float64),
            _ => plan_err!("percentile_cont is of numbers"),
        }),
        Native::new("pg_percentile_disc", (2, 2), DataType::Null, |arrays, rows| {
            let shares = cast(argument(arrays, 1)?, &DataType::Float64)?;
            let shares = shares.as_primitive::<Float64Type>();
            chosen(argument(arrays, 0)?, rows, |row, values| {
                if shares.is_null(row) {
                    return Ok(None);
                }
                let place = (share(shares.value(row))? * as_number(values.len())).ceil();
                Ok(Some(whole(place).saturating_sub(1)))
            })
        })
        .returning(item_of),
        Native::new("pg_mode", (1, 1), DataType::Null, |arrays, rows| {
            chosen(argument(arrays, 0)?, rows, |_, values| most_frequent(values))
        })
        .returning(item_of),
    ]
}

fn of_numbers(list: &DataType) -> bool {
    matches!(list, DataType::List(item) if item.data_type().is_numeric() || *item.data_type() == DataType::Null)
}

fn item_of(types: &[DataType]) -> Result<DataType> {
    match types.first() {
        Some(DataType::List(item)) => Ok(item.data_type().clone()),
        Some(DataType::Null) => Ok(DataType::Null),
        _ => plan_err!("this is of a group's values"),
    }
}

/// A share of all, from 0 to 1.
fn share(of: f64) -> Result<f64> {
    match (0.0..=1.0).contains(&of) {
        true => Ok(of),
        false => exec_err!("percentile value {of} is not between 0 and 1"),
    }
}

/// Exact below 2^53, which no list's length is.
#[expect(clippy::cast_precision_loss, reason = "lengths are below 2^53")]
fn as_number(count: usize) -> f64 {
    count as f64
}

/// Of a number that is a place in a list.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places are whole and not negative"
)]
fn whole(place: f64) -> usize {
    place as usize
}

/// `percentile_cont`: between the two neighbours of a place, for one share or each of a list.
fn between(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (list, shares) = (argument(arrays, 0)?, argument(arrays, 1)?);
    let numbers = |row: usize| -> Result<Vec<f64>> {
        match list.as_list_opt::<i32>() {
            Some(lists) if !lists.is_null(row) => {
                let values = cast(&lists.value(row), &DataType::Float64)?;
                Ok(values.as_primitive::<Float64Type>().iter().flatten().collect())
            }
            _ => Ok(Vec::new()),
        }
    };
    let at = |numbers: &[f64], of: f64| -> Result<Option<f64>> {
        let of = share(of)?;
        let Some(last) = numbers.len().checked_sub(1) else {
            return Ok(None);
        };
        let place = of * as_number(last);
        let (below, above) = (numbers.get(whole(place.floor())), numbers.get(whole(place.ceil())));
        Ok(below
            .zip(above)
            .map(|(below, above)| below + (place - place.floor()) * (above - below)))
    };
    let Some(lists) = shares.as_list_opt::<i32>() else {
        let shares = cast(shares, &DataType::Float64)?;
        let shares = shares.as_primitive::<Float64Type>();
        let found = (0..rows).map(|row| match shares.is_null(row) {
            true => Ok(None),
            false => at(&numbers(row)?, shares.value(row)),
        });
        return Ok(Arc::new(found.collect::<Result<Float64Array>>()?));
    };
    let mut builder = ListBuilder::new(Float64Builder::new());
    for row in 0..rows {
        let numbers = numbers(row)?;
        if lists.is_null(row) || numbers.is_empty() {
            builder.append(false);
            continue;
        }
        let shares = cast(&lists.value(row), &DataType::Float64)?;
        for of in shares.as_primitive::<Float64Type>() {
            let found = of.map(|of| at(&numbers, of)).transpose()?;
            builder.values().append_option(found.flatten());
        }
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}

/// Of each list the value at a place that is chosen among those which are not null.
fn chosen(list: &ArrayRef, rows: usize, place: impl Fn(usize, &ArrayRef) -> Result<Option<usize>>) -> Result<ArrayRef> {
    let Some(lists) = list.as_list_opt::<i32>() else {
        return Ok(Arc::clone(list));
    };
    let values = lists.values();
    let mut places = Vec::with_capacity(rows);
    for row in 0..rows {
        let offsets = lists.value_offsets();
        let (begin, end) = match (offsets.get(row), offsets.get(row + 1)) {
            (Some(begin), Some(end)) if !lists.is_null(row) => (*begin, *end),
            _ => {
                places.push(None);
                continue;
            }
        };
        let numbered = UInt32Array::from_iter_values((begin..end).filter_map(|at| u32::try_from(at).ok()));
        let there = filter(&numbered, &is_not_null(&lists.value(row))?)?;
        let there = there.as_primitive::<UInt32Type>();
        if there.is_empty() {
            places.push(None);
            continue;
        }
        let found = place(row, &take(values, there, None)?)?;
        places.push(found.map(|at| there.value(at.min(there.len() - 1))));
    }
    Ok(take(values, &UInt32Array::from(places), None)?)
}

/// The first of the longest run of equal values, which stand in their order.
fn most_frequent(values: &ArrayRef) -> Result<Option<usize>> {
    let last = values.len().saturating_sub(1);
    let changes = distinct(&values.slice(0, last), &values.slice(1, last))?;
    let (mut best, mut begin) = ((0, 0), 0);
    for at in 1..=values.len() {
        if at == values.len() || changes.value(at - 1) {
            if at - begin > best.1 {
                best = (begin, at - begin);
            }
            begin = at;
        }
    }
    Ok(Some(best.0))
}
