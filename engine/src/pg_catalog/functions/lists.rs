//! Functions of lists that the query engine has with another meaning.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, UInt32Array, new_empty_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::kernels::cmp::not_distinct;
use datafusion::arrow::compute::{cast, concat, filter, not, take};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err, plan_err};

use super::native::{Native, argument, number, numbers, strings, text, texts};
use super::output::written;

/// The functions of the query engine by these names mean something else; ours have `pg_` before it.
pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("pg_array_to_string", (2, 3), DataType::Utf8, |arrays, rows| {
            let list = argument(arrays, 0)?;
            let between = texts(argument(arrays, 1)?)?;
            let missing = arrays.get(2).map(texts).transpose()?;
            let found = (0..rows).map(|row| {
                if list.is_null(row) {
                    return Ok(None);
                }
                let Some(between) = text(&between, row) else {
                    return Ok(None);
                };
                let missing = missing.as_ref().and_then(|missing| text(missing, row));
                let mut items = Vec::new();
                flat(list, row, missing, &mut items)?;
                Ok(Some(items.join(between)))
            });
            Ok(strings(found.collect::<Result<Vec<_>>>()?.into_iter()))
        }),
        // Of lists whose elements stand beside each other, the places of those of the longest.
        Native::new(
            "pg_ordinals",
            (1, usize::MAX),
            DataType::new_list(DataType::Int64, true),
            |arrays, rows| {
                let (mut places, mut ends) = (Vec::new(), vec![0_i32]);
                for row in 0..rows {
                    let mut longest = 0;
                    for list in arrays {
                        longest = length(list, row)?.max(longest);
                    }
                    places.extend(1..=longest);
                    match i32::try_from(places.len()) {
                        Ok(end) => ends.push(end),
                        Err(_) => return exec_err!("array size exceeds the maximum allowed"),
                    }
                }
                let item = Arc::new(Field::new_list_field(DataType::Int64, true));
                let ends = OffsetBuffer::new(ends.into());
                let found = ListArray::try_new(item, ends, Arc::new(Int64Array::from(places)), None)?;
                Ok(Arc::new(found))
            },
        ),
        Native::new("trim_array", (2, 2), DataType::Null, |arrays, rows| {
            trimmed(argument(arrays, 0)?, argument(arrays, 1)?, rows)
        })
        .returning(|types| match types {
            [list @ DataType::List(_), count] if count.is_integer() || count.is_null() => Ok(list.clone()),
            _ => plan_err!("trim_array takes an array and a whole number"),
        }),
        // Of a group's texts in their order: null if there is none.
        Native::new("pg_string_agg", (2, 2), DataType::Utf8, |arrays, rows| {
            let list = argument(arrays, 0)?;
            let between = texts(argument(arrays, 1)?)?;
            let found = (0..rows).map(|row| {
                let mut items = Vec::new();
                if !list.is_null(row) && *list.data_type() != DataType::Null {
                    flat(list, row, None, &mut items)?;
                }
                let between = text(&between, row).filter(|_| !items.is_empty());
                Ok(between.map(|between| items.join(between)))
            });
            Ok(strings(found.collect::<Result<Vec<_>>>()?.into_iter()))
        }),
        // Of a map whose fields have metadata, as those of tables have, the query engine's makes a list of another type than it says.
        Native::new("map_entries", (1, 1), DataType::Null, |arrays, _| {
            let maps = argument(arrays, 0)?;
            let Some(maps) = maps.as_map_opt() else {
                return Ok(Arc::clone(maps));
            };
            let item = Arc::new(Field::new_list_field(maps.entries().data_type().clone(), true));
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            let found = ListArray::try_new(item, maps.offsets().clone(), entries, maps.nulls().cloned())?;
            Ok(Arc::new(found))
        })
        .returning(|types| match types {
            [DataType::Map(entries, _)] => Ok(DataType::new_list(entries.data_type().clone(), true)),
            [DataType::Null] => Ok(DataType::Null),
            _ => plan_err!("map_entries takes a map"),
        }),
        Native::new("pg_array_remove", (2, 2), DataType::Null, |arrays, rows| {
            without(argument(arrays, 0)?, argument(arrays, 1)?, rows)
        })
        .returning(|types| match types {
            [list @ DataType::List(_), _] => Ok(list.clone()),
            [DataType::LargeList(item) | DataType::FixedSizeList(item, _), _] => Ok(DataType::List(Arc::clone(item))),
            [DataType::Null, _] => Ok(DataType::Null),
            _ => plan_err!("array_remove takes an array and an element"),
        }),
    ]
}

/// How many elements a list has; one that is null has none.
fn length(list: &ArrayRef, row: usize) -> Result<i64> {
    if list.is_null(row) {
        return Ok(0);
    }
    match list.data_type() {
        DataType::List(_) => Ok(i64::from(list.as_list::<i32>().value_length(row))),
        DataType::LargeList(_) => Ok(list.as_list::<i64>().value_length(row)),
        DataType::FixedSizeList(_, length) => Ok(i64::from(*length)),
        DataType::Null => Ok(0),
        of => exec_err!("{of} is no array"),
    }
}

/// Each list without so many of its last elements.
fn trimmed(list: &ArrayRef, counts: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let (DataType::List(item), Some(lists)) = (list.data_type(), list.as_list_opt::<i32>()) else {
        return exec_err!("{} is no array", list.data_type());
    };
    let counts = numbers(counts)?;
    let (mut items, mut ends, mut known) = (Vec::new(), vec![0_i32], Vec::with_capacity(rows));
    let mut total = 0;
    for row in 0..rows {
        let count = number(&counts, row).filter(|_| !lists.is_null(row));
        if let Some(count) = count {
            let all = lists.value(row);
            let kept = usize::try_from(count)
                .ok()
                .and_then(|count| all.len().checked_sub(count));
            let Some(kept) = kept else {
                return exec_err!("number of elements to trim must be between 0 and {}", all.len());
            };
            total += kept;
            items.push(all.slice(0, kept));
        }
        known.push(count.is_some());
        match i32::try_from(total) {
            Ok(end) => ends.push(end),
            Err(_) => return exec_err!("array size exceeds the maximum allowed"),
        }
    }
    let items: Vec<&dyn Array> = items.iter().map(|items| items.as_ref()).collect();
    let items = match items.as_slice() {
        [] => new_empty_array(item.data_type()),
        items => concat(items)?,
    };
    let ends = OffsetBuffer::new(ends.into());
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(item),
        ends,
        items,
        Some(known.into()),
    )?))
}

/// The items of a list as they are put out, and of lists within it.
fn flat(list: &ArrayRef, row: usize, missing: Option<&str>, into: &mut Vec<String>) -> Result<()> {
    let items = match list.data_type() {
        DataType::List(_) => list.as_list::<i32>().value(row),
        DataType::LargeList(_) => list.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => list.as_fixed_size_list().value(row),
        _ => return exec_err!("array_to_string takes an array"),
    };
    if items.data_type().is_list() {
        for at in 0..items.len() {
            match (items.is_null(at), missing) {
                (false, _) => flat(&items, at, missing, into)?,
                (true, Some(missing)) => into.push(missing.to_owned()),
                (true, None) => {}
            }
        }
        return Ok(());
    }
    let shown = written(&items, None, ["t", "f"])?;
    into.extend(
        shown
            .into_iter()
            .filter_map(|item| item.or_else(|| missing.map(str::to_owned))),
    );
    Ok(())
}

/// Each list without the items that are its row's element, null among them.
fn without(list: &ArrayRef, element: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let of = match list.data_type() {
        DataType::Null => return Ok(Arc::clone(list)),
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => DataType::List(Arc::clone(item)),
        of => of.clone(),
    };
    let list = cast(list, &of)?;
    let DataType::List(item) = &of else {
        return exec_err!("array_remove takes an array");
    };
    // Of no type there is nothing but null.
    if *item.data_type() == DataType::Null {
        return Ok(list);
    }
    let lists = list.as_list::<i32>();
    let elements = cast(element, item.data_type())?;
    let mut place = Vec::with_capacity(lists.values().len());
    let (mut owner, mut lengths) = (Vec::new(), Vec::with_capacity(rows));
    for row in 0..rows {
        let offsets = lists.value_offsets();
        let (begin, end) = match (offsets.get(row), offsets.get(row + 1)) {
            (Some(begin), Some(end)) if !lists.is_null(row) => (*begin, *end),
            _ => (0, 0),
        };
        for at in begin..end {
            place.push(u32::try_from(at).unwrap_or(u32::MAX));
            owner.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        lengths.push(usize::try_from(end - begin).unwrap_or(0));
    }
    let items = take(lists.values(), &UInt32Array::from(place), None)?;
    let sought = take(&elements, &UInt32Array::from(owner), None)?;
    let stays: BooleanArray = not(&not_distinct(&items, &sought)?)?;
    let mut begin = 0;
    let kept = lengths.into_iter().map(|length| {
        let kept = stays.slice(begin, length).true_count();
        begin += length;
        kept
    });
    let offsets = OffsetBuffer::from_lengths(kept.collect::<Vec<_>>());
    let values = filter(&items, &stays)?;
    let found = ListArray::try_new(Arc::clone(item), offsets, values, lists.nulls().cloned())?;
    Ok(Arc::new(found))
}
