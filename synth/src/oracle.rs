//! What a lake must hold: every table's current rows and the gold tables, computed from the world in plain Rust.
//!
//! # Files
//!
//! [`Oracle::write`] makes `tables/<table>.jsonl` for all of [`crate::schema::tables`],
//! `gold/<name>.jsonl` for the three gold tables, and `report.json` with the counts of operations and defects and the
//! moment the gold tables are of (`as_of_ms`).
//!
//! # Canonical form
//!
//! One row is one JSON object, its members in the table's column order. Every scalar is text or `null`:
//!
//! | type | text |
//! |---|---|
//! | text, jsonb (as PostgreSQL prints it) | itself |
//! | uuid | lower case with dashes |
//! | integer, bigint, counts | decimal digits |
//! | numeric(p, s) | exactly s digits after the point: `-0.50` |
//! | boolean | `true`, `false` |
//! | date | `2026-01-08` |
//! | timestamp | `2026-01-08T10:00:00.123456`, always six digits |
//! | timestamptz | the same in UTC, with `Z` |
//!
//! Structs are objects, lists are arrays, both of canonical scalars. Rows are sorted by the canonical text of their key
//! columns, compared byte by byte. A test brings query results into this form, sorts them the same way and compares lines.

mod cell;
mod measures;
mod operational_kpis;
mod patient_360;
mod provider_metrics;
mod rows;

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

pub use self::cell::Cell;
use self::rows::Rows;
use crate::delivery::Report;
use crate::error::SynthError;
use crate::schema;
use crate::world::World;

/// Names of the gold tables.
pub const GOLD: [&str; 3] = ["patient_360", "provider_metrics", "operational_kpis"];

/// One row: column names and cells in order.
pub type OracleRow = Vec<(&'static str, Cell)>;

/// The expected tables of a world as it is now.
#[derive(Debug)]
pub struct Oracle<'w> {
    world: &'w World,
}

impl<'w> Oracle<'w> {
    /// Of this world. Records of its last step must all have been delivered: see
    /// [`RecordStream::at_boundary`](crate::RecordStream::at_boundary).
    pub fn new(world: &'w World) -> Self {
        Self { world }
    }

    /// The rows of a silver table, by key. None if there is no such table.
    pub fn table(&self, name: &str) -> Option<Vec<OracleRow>> {
        let (_, table) = schema::table(name)?;
        let keys = table.key_positions();
        let mut rows: Vec<(Vec<String>, OracleRow)> = Vec::new();
        for row in Rows::of(self.world, name).iter() {
            let cells: OracleRow = table
                .columns
                .iter()
                .map(|column| (column.name, row.cell(column.name)))
                .collect();
            let key = keys
                .iter()
                .filter_map(|position| cells.get(*position))
                .map(|(_, cell)| cell.sort_text())
                .collect();
            rows.push((key, cells));
        }
        rows.sort_by(|(left, _), (right, _)| left.cmp(right));
        Some(rows.into_iter().map(|(_, cells)| cells).collect())
    }

    /// The rows of a gold table as of a moment, by key. None if there is no such table.
    pub fn gold(&self, name: &str, as_of_ms: i64) -> Option<Vec<OracleRow>> {
        let as_of_us = as_of_ms.saturating_mul(1_000);
        match name {
            "patient_360" => Some(patient_360::rows(self.world, as_of_us)),
            "provider_metrics" => Some(provider_metrics::rows(self.world, as_of_us)),
            "operational_kpis" => Some(operational_kpis::rows(self.world, as_of_us)),
            _ => None,
        }
    }

    /// Writes all tables below `folder`. Of the report it takes what was delivered: nothing, if the default is given.
    pub fn write(&self, folder: &Path, as_of_ms: i64, report: &Report) -> Result<(), SynthError> {
        let (tables, gold) = (folder.join("tables"), folder.join("gold"));
        for folder in [&tables, &gold] {
            fs::create_dir_all(folder).map_err(SynthError::io("create the folder", folder.as_path()))?;
        }
        for (_, table) in schema::tables() {
            write_rows(
                &tables.join(format!("{}.jsonl", table.name)),
                &self.table(table.name).unwrap_or_default(),
            )?;
        }
        for name in GOLD {
            write_rows(
                &gold.join(format!("{name}.jsonl")),
                &self.gold(name, as_of_ms).unwrap_or_default(),
            )?;
        }
        let path = folder.join("report.json");
        let report = json!({ "as_of_ms": as_of_ms, "world": self.world.counts(), "delivery": report.delivery });
        fs::write(&path, format!("{report:#}\n")).map_err(SynthError::io("write", path))
    }
}

fn write_rows(path: &Path, rows: &[OracleRow]) -> Result<(), SynthError> {
    let file = fs::File::create(path).map_err(SynthError::io("create", path))?;
    let mut file = BufWriter::new(file);
    for row in rows {
        writeln!(file, "{}", cell::line(row)).map_err(SynthError::io("write", path))?;
    }
    file.flush().map_err(SynthError::io("write", path))
}

/// A row as the line it is in a file, without its end.
pub fn line(row: &OracleRow) -> String {
    cell::line(row)
}

#[cfg(test)]
mod tests;
