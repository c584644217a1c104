//! Rows as text: tables that fit the terminal, or a line for each value.

use std::fmt::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::super::failure::{Failure, Reason};

/// Characters of a value in a table; longer ones are cut off.
const CELL_CHARS_MAX: usize = 120;

/// The same where each value has a line.
const LINE_CHARS_MAX: usize = 10_000;

/// What stands for no value.
const NULL: &str = "NULL";

/// How rows are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// A line for each value.
    pub(super) expanded: bool,
    /// Columns of the terminal, if it is one.
    pub(super) width: Option<u16>,
    /// Rows up to the last of these.
    pub(super) rows_before: usize,
}

/// Rows as text, with the names of their columns.
pub(super) fn rows(schema: &SchemaRef, batches: &[RecordBatch], look: &Look) -> Result<String, Failure> {
    let shown = match look.expanded {
        true => expanded(schema, batches, look),
        false => table(schema, batches, look),
    };
    shown.map_err(|error| {
        Failure::of(Reason::Answer, format!("cannot print the result: {error}"))
            .hint("cast the column to text, or ask for other columns")
    })
}

fn table(schema: &SchemaRef, batches: &[RecordBatch], look: &Look) -> Result<String, ArrowError> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if let Some(width) = look.width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    let fields = schema.fields().iter();
    table.set_header(fields.map(|field| Cell::new(clean(field.name(), CELL_CHARS_MAX))));
    let right: Vec<bool> = schema
        .fields()
        .iter()
        .map(|field| is_number(field.data_type()))
        .collect();
    each(batches, |values| {
        let cells = values.iter().zip(&right).map(|(value, right)| {
            let cell = Cell::new(clean(value, CELL_CHARS_MAX));
            match right {
                true => cell.set_alignment(CellAlignment::Right),
                false => cell,
            }
        });
        table.add_row(cells.collect::<Vec<_>>());
    })?;
    Ok(format!("{table}\n"))
}

fn expanded(schema: &SchemaRef, batches: &[RecordBatch], look: &Look) -> Result<String, ArrowError> {
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| clean(field.name(), CELL_CHARS_MAX))
        .collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut number = look.rows_before.saturating_sub(count);
    let mut text = String::new();
    each(batches, |values| {
        number += 1;
        // Text grows without failing.
        let _ = writeln!(text, "-[ row {number} ]-");
        for (name, value) in names.iter().zip(values) {
            let _ = writeln!(text, "{name:width$} | {}", clean(value, LINE_CHARS_MAX));
        }
    })?;
    Ok(text)
}

fn each(batches: &[RecordBatch], mut take: impl FnMut(&[String])) -> Result<(), ArrowError> {
    let options = FormatOptions::default().with_null(NULL).with_display_error(true);
    for batch in batches {
        let columns = batch.columns().iter();
        let formatters = columns
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let values: Vec<String> = formatters.iter().map(|column| column.value(row).to_string()).collect();
            take(&values);
        }
    }
    Ok(())
}

fn is_number(of: &DataType) -> bool {
    of.is_numeric()
}

/// A value on one line, without what would move the cursor or colour the terminal: values come from anybody.
fn clean(value: &str, chars_max: usize) -> String {
    let mut text = String::with_capacity(value.len().min(chars_max * 4));
    for (at, char) in value.chars().enumerate() {
        if at >= chars_max {
            text.push('…');
            break;
        }
        match char {
            '\n' => text.push('⏎'),
            // Marks that turn the direction of text around hide what it says.
            char if char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                text.extend(char.escape_unicode());
            }
            char => text.push(char),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn batch() -> RecordBatch {
        let fields = vec![
            Field::new("id", DataType::Int64, true),
            Field::new("what", DataType::Utf8, true),
        ];
        let texts = vec![Some("\u{1b}[31mred\nline"), None, Some("x")];
        let columns = vec![
            Arc::new(Int64Array::from(vec![1, 22, 333])) as _,
            Arc::new(StringArray::from(texts)) as _,
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
    }

    // Goal: rows are as wide as the terminal at most, and no value reaches the terminal's controls. Method: a value with an escape
    // sequence, one that is long, on a narrow terminal and line by line.
    #[test]
    fn rows_fit_and_do_no_harm() {
        let batch = batch();
        for (expanded, width) in [(false, Some(40)), (false, None), (true, Some(40))] {
            let look = Look {
                expanded,
                width,
                rows_before: 3,
            };
            let text = rows(&batch.schema(), std::slice::from_ref(&batch), &look).expect("text");
            assert!(
                !text.contains('\u{1b}') && text.contains("NULL") && text.contains("333"),
                "{text}"
            );
            if let Some(width) = width {
                assert!(
                    text.lines().all(|line| line.chars().count() <= usize::from(width)),
                    "{text}"
                );
            }
        }
        assert_eq!(
            clean(&"x".repeat(500), CELL_CHARS_MAX).chars().count(),
            CELL_CHARS_MAX + 1
        );
        assert_eq!(clean("a\u{202e}b", 10), "a\\u{202e}b");
    }
}
