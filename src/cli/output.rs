//! Results on standard output: a table for people, JSON for programs.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::failure::{Failure, Reason};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Where results go.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Many things of one kind: a row each. `columns` names the keys of the serialized value in order.
    pub(crate) fn rows<T: Serialize>(&self, columns: &[&str], items: &[T]) -> Result<(), Failure> {
        let values = serde_json::to_value(items)
            .map_err(|error| Failure::of(Reason::Answer, format!("cannot print the result: {error}")))?;
        if self.is_json() {
            return self.json(&values);
        }
        let mut table = self.table();
        table.set_header(columns.iter().copied());
        for item in values.as_array().into_iter().flatten() {
            table.add_row(
                columns
                    .iter()
                    .map(|column| text(item.get(*column).unwrap_or(&Value::Null))),
            );
        }
        self.line(&table.to_string())
    }

    /// One thing: a line for each of its keys.
    pub(crate) fn one<T: Serialize>(&self, item: &T) -> Result<(), Failure> {
        let value = serde_json::to_value(item)
            .map_err(|error| Failure::of(Reason::Answer, format!("cannot print the result: {error}")))?;
        if self.is_json() {
            return self.json(&value);
        }
        let mut table = self.table();
        for (key, value) in value.as_object().into_iter().flatten() {
            table.add_row([key.clone(), text(value)]);
        }
        self.line(&table.to_string())
    }

    pub(crate) fn json(&self, value: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::of(Reason::Answer, format!("cannot print the result: {error}")))?;
        self.line(&text)
    }

    /// A table that fits the terminal, or as wide as it needs when the output is not one.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        if std::io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        table
    }

    /// Plain text on standard output. A reader that has gone away is no failure.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        match writeln!(std::io::stdout(), "{text}") {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::io("write the result", error)),
            _ => Ok(()),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
