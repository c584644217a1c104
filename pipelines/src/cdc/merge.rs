//! SQL that brings newest changes and stored rows together.

use std::collections::BTreeSet;

use tidewater_engine::{LAST_UPDATED_COLUMN, ROW_ID_COLUMN};

use crate::sql::{literal, quoted};

use super::events::{DELETED, Events, PRESENT, STORED, Sequence, greater, newer, sequence_of, value_name};

/// Sequence of a value that was never seen: every change is newer.
const NEVER: i64 = -1;

/// What changes are merged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// Nothing: they are all there is.
    Nothing,
    /// The rows of stored files.
    Rows,
    /// The same of a table whose rows have ids, with these and the numbers of the commits that changed them last.
    NumberedRows,
}

/// The rows of the table after the run, in the stored files that were given and new; without stored files, all rows. A row that is
/// stored keeps its id, and what it has in the columns `beside` the model's, whatever changes it; the number of its last commit is null where
/// this one changes it.
pub(super) fn merged(events: &Events<'_>, old: Old, beside: &BTreeSet<String>) -> String {
    match old {
        Old::Nothing => afresh(events),
        Old::Rows => with_old(events, beside, false),
        Old::NumberedRows => with_old(events, beside, true),
    }
}

/// No old rows: the newest changes are the table.
fn afresh(events: &Events<'_>) -> String {
    let carried: Vec<(usize, &str)> = events
        .carried_columns()
        .map(|(at, column)| (at, column.name.as_str()))
        .collect();
    let mut items = Vec::new();
    for column in &events.shape.columns {
        let name = quoted(&column.name);
        match carried.iter().find(|(_, carried)| *carried == column.name) {
            Some((at, _)) => items.push(format!(
                "{} AS {name}",
                part(&format!("\"n\".{}", quoted(&value_name(*at))), "v")
            )),
            None => items.push(format!("\"n\".{name} AS {name}")),
        }
    }
    items.extend(hidden(events).map(|name| format!("\"n\".{0} AS {0}", quoted(&name))));
    for (at, column) in &carried {
        let value = format!("\"n\".{}", quoted(&value_name(*at)));
        for sequence in events.sequence {
            let from = format!("coalesce({}, {NEVER})", part(&value, &sequence.name));
            let own: Vec<(String, String)> = events
                .sequence
                .iter()
                .map(|s| (part(&value, &s.name), format!("\"n\".{}", quoted(&s.name))))
                .collect();
            items.push(stored_sequence(&own, &from, &sequence_of(&sequence.name, column)));
        }
    }
    format!(
        "SELECT {} FROM ({}) AS \"n\" WHERE NOT \"n\".{}",
        items.join(", "),
        events.newest(),
        quoted(DELETED)
    )
}

/// Old rows and newest changes meet by key; the greater sequence wins, column by column where columns may be left out.
fn with_old(events: &Events<'_>, beside: &BTreeSet<String>, numbered: bool) -> String {
    let first_key = events.key.first().map(|key| quoted(key)).unwrap_or_default();
    let no_old = format!("\"o\".{first_key} IS NULL");
    let present = format!("coalesce(\"n\".{}, false)", quoted(PRESENT));
    let wins = format!(
        "({present} AND ({no_old} OR {}))",
        newer(events.sequence, "\"n\"", "\"o\"", true)
    );
    let choose = |condition: &str, new: &str, old: &str, name: &str| {
        format!("CASE WHEN {condition} THEN {new} ELSE {old} END AS {}", quoted(name))
    };

    let carried: Vec<(usize, &str)> = events
        .carried_columns()
        .map(|(at, column)| (at, column.name.as_str()))
        .collect();
    let mut items = Vec::new();
    let mut changes = vec![wins.clone()];
    for column in &events.shape.columns {
        let name = quoted(&column.name);
        let (new, old) = (format!("\"n\".{name}"), format!("\"o\".{name}"));
        if events.key.contains(&column.name) {
            items.push(format!("coalesce({new}, {old}) AS {name}"));
        } else if let Some((at, _)) = carried.iter().find(|(_, carried)| *carried == column.name) {
            let registers = Register::of(events, *at, &column.name, &no_old);
            items.push(choose(
                &registers.takes_new,
                &part(&registers.value, "v"),
                &old,
                &column.name,
            ));
            changes.push(registers.takes_new);
        } else {
            items.push(choose(&wins, &new, &old, &column.name));
        }
    }
    for name in hidden(events) {
        let column = quoted(&name);
        items.push(choose(
            &wins,
            &format!("\"n\".{column}"),
            &format!("\"o\".{column}"),
            &name,
        ));
    }
    for (at, column) in &carried {
        let register = Register::of(events, *at, column, &no_old);
        let from = |name: &str| {
            let new = format!("coalesce({}, {NEVER})", part(&register.value, name));
            let old = format!(
                "coalesce(\"o\".{}, \"o\".{})",
                quoted(&sequence_of(name, column)),
                quoted(name)
            );
            format!("CASE WHEN {} THEN {new} ELSE {old} END", register.takes_new)
        };
        let row = |name: &str| format!("CASE WHEN {wins} THEN \"n\".{0} ELSE \"o\".{0} END", quoted(name));
        let own: Vec<(String, String)> = events.sequence.iter().map(|s| (from(&s.name), row(&s.name))).collect();
        for sequence in events.sequence {
            items.push(stored_sequence(
                &own,
                &from(&sequence.name),
                &sequence_of(&sequence.name, column),
            ));
        }
    }

    items.extend(beside.iter().map(|name| format!("\"o\".{0} AS {0}", quoted(name))));
    if numbered {
        items.push(format!("\"o\".{0} AS {0}", quoted(ROW_ID_COLUMN)));
        let last = format!("\"o\".{}", quoted(LAST_UPDATED_COLUMN));
        items.push(choose(&changes.join(" OR "), "NULL", &last, LAST_UPDATED_COLUMN));
    }
    let on: Vec<String> = events
        .key
        .iter()
        .map(|key| format!("\"o\".{0} = \"n\".{0}", quoted(key)))
        .collect();
    format!(
        "SELECT {items} FROM ({old}) AS \"o\" FULL JOIN ({newest}) AS \"n\" ON {on} WHERE NOT ({wins} AND \"n\".{deleted})",
        items = items.join(", "),
        old = stored(events, beside, numbered),
        newest = events.newest(),
        on = on.join(" AND "),
        deleted = quoted(DELETED),
    )
}

/// The stored rows that a truncate leaves, with older values of their columns taken away.
fn stored(events: &Events<'_>, beside: &BTreeSet<String>, numbered: bool) -> String {
    let Some(left) = events.after_truncate(|s| quoted(&s.name)) else {
        return format!("SELECT * FROM {STORED}");
    };
    let mut items: Vec<String> = Vec::new();
    let mut unchanged: Vec<String> = Vec::new();
    for column in &events.shape.columns {
        let name = quoted(&column.name);
        if events.carried.contains(&column.name) && !events.key.contains(&column.name) {
            let of = |s: &Sequence| quoted(&sequence_of(&s.name, &column.name));
            let unknown = events
                .sequence
                .first()
                .map_or_else(|| "true".into(), |s| format!("{} IS NULL", of(s)));
            let left = events.after_truncate(of).unwrap_or_else(|| "true".into());
            items.push(format!("CASE WHEN {unknown} OR {left} THEN {name} END AS {name}"));
            unchanged.push(format!("({name} IS NULL OR {unknown} OR {left})"));
        } else {
            items.push(name);
        }
    }
    items.extend(hidden(events).map(|name| quoted(&name)));
    for (_, column) in events.carried_columns() {
        items.extend(
            events
                .sequence
                .iter()
                .map(|s| quoted(&sequence_of(&s.name, &column.name))),
        );
    }
    items.extend(beside.iter().map(|name| quoted(name)));
    if numbered {
        items.push(quoted(ROW_ID_COLUMN));
        let last = quoted(LAST_UPDATED_COLUMN);
        items.push(match unchanged.is_empty() {
            true => last,
            false => format!("CASE WHEN {} THEN {last} END AS {last}", unchanged.join(" AND ")),
        });
    }
    format!("SELECT {} FROM {STORED} WHERE {left}", items.join(", "))
}

/// A column that is set on its own.
struct Register {
    /// Newest value in the changes with its sequence; null if none of them sets the column.
    value: String,
    /// Whether the changes' value is the newer one.
    takes_new: String,
}

impl Register {
    fn of(events: &Events<'_>, at: usize, column: &str, no_old: &str) -> Self {
        let value = format!("\"n\".{}", quoted(&value_name(at)));
        let pairs: Vec<(String, String)> = events
            .sequence
            .iter()
            .map(|s| {
                let old = format!(
                    "coalesce(\"o\".{}, \"o\".{})",
                    quoted(&sequence_of(&s.name, column)),
                    quoted(&s.name)
                );
                (part(&value, &s.name), old)
            })
            .collect();
        let takes_new = format!("({no_old} OR coalesce({}, false))", greater(&pairs, true));
        Self { value, takes_new }
    }
}

/// The sequence a value is from, null if it is the row's own.
fn stored_sequence(own: &[(String, String)], from: &str, name: &str) -> String {
    let same: Vec<String> = own.iter().map(|(value, row)| format!("({value}) = ({row})")).collect();
    format!(
        "CASE WHEN {} THEN NULL ELSE {from} END AS {}",
        same.join(" AND "),
        quoted(name)
    )
}

/// Hidden columns that every table of the kind has.
pub(super) fn hidden(events: &Events<'_>) -> impl Iterator<Item = String> {
    let partition = events.with_partition.then(|| "_kafka_partition".to_owned());
    events.sequence.iter().map(|s| s.name.clone()).chain(partition)
}

fn part(value: &str, name: &str) -> String {
    format!("{value}[{}]", literal(name))
}
