//! The same world as SQL for a real PostgreSQL: tables, the rows a connector's snapshot finds, then transactions over time.
//!
//! Run to the end, the databases hold exactly the oracle's tables. Defects of delivery are Debezium's business here.

mod statement;

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use self::statement::{canonical_query, create_table, insert, quoted, statement};
use crate::delivery::{DeliveryCounts, Report};
use crate::error::SynthError;
use crate::options::WorldOptions;
use crate::schema::{self, Service};
use crate::world::{Transaction, World};

/// Rows of one INSERT while the first rows are loaded.
const ROWS_PER_INSERT: usize = 200;

/// Where the services' tables lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// One database, a schema named after each service (`medical_records.vitals`).
    #[default]
    SchemaPerService,
    /// A database for each service (`hospital_medical_records`), tables in `public`.
    DatabasePerService,
    /// One database, all tables in `public`: their names are unique.
    Public,
}

/// Statements that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlStep {
    /// The service whose database changes, as in topics.
    pub service: &'static str,
    /// The database to connect to; empty for the one of your choice.
    pub database: String,
    /// When it happens by the hospital's clock, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What the world did: one row each, in order, all in one transaction.
    pub statements: Vec<String>,
}

/// A world told in SQL.
#[derive(Debug)]
pub struct SqlWorkload {
    world: World,
    layout: Layout,
    queue: VecDeque<Transaction>,
}

impl SqlWorkload {
    /// Founds a world.
    pub fn new(world: WorldOptions, layout: Layout) -> Result<Self, SynthError> {
        Ok(Self {
            world: World::new(world)?,
            layout,
            queue: VecDeque::new(),
        })
    }

    /// Databases, schemas and tables. The `CREATE DATABASE` steps, if any, come first and are to run outside transactions.
    pub fn tables(&self) -> Vec<SqlStep> {
        let at_ms = self.world.now_ms();
        let mut steps = Vec::new();
        for service in schema::services() {
            let database = self.database(service);
            if !database.is_empty() {
                let statements = vec![format!("CREATE DATABASE {database}")];
                steps.push(SqlStep {
                    service: service.name,
                    database: String::new(),
                    at_ms,
                    statements,
                });
            }
        }
        for service in schema::services() {
            let mut statements = Vec::new();
            if self.layout == Layout::SchemaPerService {
                statements.push(format!("CREATE SCHEMA {}", quoted(&self.schema(service))));
            }
            for table in service.tables {
                statements.extend(create_table(&self.schema(service), table));
            }
            steps.push(SqlStep {
                service: service.name,
                database: self.database(service),
                at_ms,
                statements,
            });
        }
        steps
    }

    /// The rows that are there when a connector first looks. Give them to the database before you start one.
    pub fn first_rows(&self) -> Vec<SqlStep> {
        let at_ms = self.world.now_ms();
        let mut steps = Vec::new();
        for service in schema::services() {
            let mut statements = Vec::new();
            for table in service.tables {
                let Some((id, _)) = schema::table(table.name) else {
                    continue;
                };
                let rows: Vec<_> = self.world.rows(id).collect();
                let chunks = rows.chunks(ROWS_PER_INSERT);
                statements.extend(chunks.map(|rows| insert(&self.schema(service), table, rows)));
            }
            steps.push(SqlStep {
                service: service.name,
                database: self.database(service),
                at_ms,
                statements,
            });
        }
        steps
    }

    /// A query that gives a table's rows as lines of the oracle's file for it, in the same order, and the database to ask.
    /// None if there is no such table.
    pub fn canonical_query(&self, table: &str) -> Option<(String, String)> {
        let (id, table) = schema::table(table)?;
        let service = schema::services().get(id.service)?;
        Some((self.database(service), canonical_query(&self.schema(service), table)))
    }

    /// The hospital behind the statements; its rows are those of the databases once the last step was run.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Were all transactions of what has happened given out?
    pub fn at_boundary(&self) -> bool {
        self.queue.is_empty()
    }

    /// Files for `psql -f`, in a folder for each database when there are several: `tables.sql`, the first rows in `rows.sql`,
    /// at least `changes` row changes in the order they happened in `changes.sql`, and in `canonical.sql` the query of every
    /// table whose answers, one after the other, are the oracle's `tables/*.jsonl`.
    ///
    /// The report counts the rows and changes that were written; what a connector adds (tombstones, heartbeats) is not known
    /// here and stays zero.
    pub fn write(&mut self, folder: &Path, changes: u64) -> Result<Report, SynthError> {
        let mut files = Files {
            folder,
            open: BTreeMap::new(),
        };
        for step in self.tables() {
            files.write("tables.sql", &step)?;
        }
        for step in self.first_rows() {
            files.write("rows.sql", &step)?;
        }
        let mut delivery = DeliveryCounts {
            reads: self.rows_count(),
            ..DeliveryCounts::default()
        };
        let mut written = 0;
        while written < changes || !self.at_boundary() {
            let Some(step) = self.next() else { break };
            written += step.statements.len() as u64;
            for statement in &step.statements {
                let count = match statement.split(' ').next() {
                    Some("INSERT") => &mut delivery.creates,
                    Some("DELETE") => &mut delivery.deletes,
                    _ => &mut delivery.updates,
                };
                *count += 1;
            }
            files.write("changes.sql", &step)?;
        }
        for (_, table) in schema::tables() {
            if let Some((database, query)) = self.canonical_query(table.name) {
                files.line(&database, "canonical.sql", &query)?;
            }
        }
        files.finish()?;
        delivery.records = delivery.reads + written;
        Ok(Report {
            world: self.world.counts(),
            delivery,
        })
    }

    fn rows_count(&self) -> u64 {
        let tables = schema::tables().iter();
        tables
            .filter_map(|(_, table)| schema::table(table.name))
            .map(|(id, _)| self.world.rows(id).count() as u64)
            .sum()
    }

    fn database(&self, service: &Service) -> String {
        match self.layout {
            Layout::DatabasePerService => service.database("hospital"),
            Layout::SchemaPerService | Layout::Public => String::new(),
        }
    }

    fn schema(&self, service: &Service) -> String {
        match self.layout {
            Layout::SchemaPerService => service.database(""),
            Layout::DatabasePerService | Layout::Public => "public".to_owned(),
        }
    }
}

impl Iterator for SqlWorkload {
    type Item = SqlStep;

    fn next(&mut self) -> Option<SqlStep> {
        if self.queue.is_empty() {
            self.queue.extend(self.world.step());
        }
        let transaction = self.queue.pop_front()?;
        let service = schema::services().get(transaction.service)?;
        let schema = self.schema(service);
        let statements = transaction
            .changes
            .iter()
            .filter_map(|change| statement(&schema, change))
            .collect();
        let at_ms = transaction.committed_us.div_euclid(1_000);
        Some(SqlStep {
            service: service.name,
            database: self.database(service),
            at_ms,
            statements,
        })
    }
}

/// Files by their database and name.
struct Files<'a> {
    folder: &'a Path,
    open: BTreeMap<(String, &'static str), BufWriter<fs::File>>,
}

impl Files<'_> {
    fn write(&mut self, name: &'static str, step: &SqlStep) -> Result<(), SynthError> {
        let alone = matches!(step.statements.as_slice(), [one] if one.starts_with("CREATE DATABASE"));
        let (begin, end) = if alone { ("", "") } else { ("BEGIN;\n", ";\nCOMMIT") };
        self.line(
            &step.database,
            name,
            &format!("{begin}{}{end}", step.statements.join(";\n")),
        )
    }

    fn line(&mut self, database: &str, name: &'static str, sql: &str) -> Result<(), SynthError> {
        let folder = if database.is_empty() {
            self.folder.to_owned()
        } else {
            self.folder.join(database)
        };
        let path = folder.join(name);
        let file = match self.open.entry((database.to_owned(), name)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                fs::create_dir_all(&folder).map_err(SynthError::io("create the folder", folder.as_path()))?;
                let file = fs::File::create(&path).map_err(SynthError::io("create", path.as_path()))?;
                entry.insert(BufWriter::new(file))
            }
        };
        writeln!(file, "{sql};").map_err(SynthError::io("write", path))
    }

    fn finish(self) -> Result<(), SynthError> {
        for ((_, name), mut file) in self.open {
            file.flush().map_err(SynthError::io("write", name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
