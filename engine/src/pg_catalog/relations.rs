//! What there is, as one statement sees it: schemas, tables and views with their numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use tidewater_core::TableName;
use tidewater_security::{Access, Readable};
use tidewater_table::LoadedTable;

use crate::error::{EngineError, Result};

/// Numbers below are PostgreSQL's own.
const OID_FIRST: u32 = 16_384;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub of: DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// The id of its field; none in a view.
    pub field: Option<i32>,
}

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its number; the same on every node as long as it has its name.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub view: bool,
    /// Its columns.
    pub columns: Arc<Vec<Column>>,
    /// Which columns are its key, from 1.
    pub key: Vec<i16>,
    /// Its comment.
    pub comment: Option<String>,
    /// Its rows, as the catalog counts them.
    pub rows: i64,
    /// The bytes of its files.
    pub bytes: i64,
    /// The query of a view.
    pub definition: Option<String>,
}

impl Relation {
    /// The number of its key.
    pub(crate) fn key_oid(&self) -> u32 {
        hashed(&["key", &self.schema, &self.name])
    }

    /// Whether it differs in its numbers of rows and bytes at most.
    fn is_shaped_as(&self, other: &Self) -> bool {
        let Self {
            oid,
            schema,
            name,
            view,
            columns,
            key,
            comment,
            rows: _,
            bytes: _,
            definition,
        } = self;
        (oid, schema, name, view) == (&other.oid, &other.schema, &other.name, &other.view)
            && (columns, key, comment, definition) == (&other.columns, &other.key, &other.comment, &other.definition)
    }
}

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct Relations {
    /// Schemas with their numbers.
    pub schemas: BTreeMap<String, u32>,
    /// Tables and views, by schema and name.
    pub relations: Vec<Relation>,
    /// Their places by number.
    places: HashMap<u32, usize>,
    /// Tables of PostgreSQL's catalog that were made of this already, and say nothing of rows and bytes.
    made: Arc<Mutex<HashMap<&'static str, RecordBatch>>>,
}

impl Relations {
    /// Gives everything its number.
    pub fn new(schemas: BTreeSet<String>, mut relations: Vec<Relation>) -> Self {
        relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        let mut taken = BTreeSet::new();
        let mut schemas = schemas;
        schemas.extend(relations.iter().map(|relation| relation.schema.clone()));
        let schemas = schemas.into_iter().map(|name| {
            let oid = free(&mut taken, hashed(&["schema", &name]));
            (name, oid)
        });
        let schemas = schemas.collect();
        for relation in &mut relations {
            relation.oid = free(&mut taken, hashed(&["relation", &relation.schema, &relation.name]));
        }
        let places = relations.iter().enumerate();
        Self {
            schemas,
            places: places.map(|(at, relation)| (relation.oid, at)).collect(),
            relations,
            made: Arc::default(),
        }
    }

    /// Whether nothing differs.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.schemas == other.schemas && self.relations == other.relations
    }

    /// Takes over what was made of these others, if it would be made of this in the same way.
    pub(super) fn inherit(&mut self, other: &Self) {
        let mut pairs = self.relations.iter().zip(&other.relations);
        if self.schemas == other.schemas
            && self.relations.len() == other.relations.len()
            && pairs.all(|(one, other)| one.is_shaped_as(other))
        {
            self.made = Arc::clone(&other.made);
        }
    }

    /// A table of PostgreSQL's catalog that says nothing of rows and bytes: made once.
    pub(super) fn once(&self, name: &'static str, make: impl FnOnce() -> Result<RecordBatch>) -> Result<RecordBatch> {
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = made().get(name) {
            return Ok(batch.clone());
        }
        let batch = make()?;
        made().insert(name, batch.clone());
        Ok(batch)
    }

    /// What somebody may know of: schemas, tables and columns, with the numbers that they have for everybody. How many rows and bytes there
    /// are is told to who may read the whole table, and what a view says to who may read the view.
    #[must_use]
    pub fn seen_by(mut self, access: &Access) -> Self {
        let levels = |schema: &str| schema.split('.').map(str::to_owned).collect::<Vec<String>>();
        self.schemas.retain(|schema, _| access.sees_namespace(&levels(schema)));
        self.relations
            .retain(|of| access.sees_object(&levels(&of.schema), &of.name));
        for of in &mut self.relations {
            let namespace = levels(&of.schema);
            let readable = access.readable(&namespace, &of.name, None);
            if readable != Readable::All {
                (of.rows, of.bytes, of.definition) = (0, 0, None);
            }
            if access.sees_shape(&namespace, &of.name) {
                continue;
            }
            let before = of.columns.len();
            Arc::make_mut(&mut of.columns).retain(|column| column.field.is_some_and(|field| readable.has(field)));
            if of.columns.len() < before {
                // Its places are those of all columns.
                of.key.clear();
            }
        }
        let places = self.relations.iter().enumerate();
        self.places = places.map(|(at, relation)| (relation.oid, at)).collect();
        // What was made of everything is nothing for them.
        self.made = Arc::default();
        self
    }

    /// For somebody who sees a part of some tables' rows: how many there are, and of how many bytes, is told of none.
    #[must_use]
    pub fn without_counts(mut self) -> Self {
        for of in &mut self.relations {
            (of.rows, of.bytes) = (0, 0);
        }
        self
    }

    /// The table or view of a name, which may have no schema.
    pub(crate) fn named(&self, name: &str, path: &[String]) -> Option<&Relation> {
        let parts = parts(name)?;
        let find = |schema: &str, name: &str| {
            let by_name = |relation: &Relation| (relation.schema.as_str(), relation.name.as_str()).cmp(&(schema, name));
            let at = self.relations.binary_search_by(by_name).ok()?;
            self.relations.get(at)
        };
        match parts.as_slice() {
            [name] => path.iter().find_map(|schema| find(schema, name)),
            [schema, name] | [_, schema, name] => find(schema, name),
            _ => None,
        }
    }

    /// The table or view of a number.
    pub(crate) fn numbered(&self, oid: i64) -> Option<&Relation> {
        let place = self.places.get(&u32::try_from(oid).ok()?)?;
        self.relations.get(*place)
    }
}

/// The parts of a name, without their quotes.
fn parts(name: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => parts.last_mut()?.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other if quoted => parts.last_mut()?.push(other),
            other => parts.last_mut()?.extend(other.to_lowercase()),
        }
    }
    Some(parts)
}

/// A number that a name leads to, everywhere and always.
fn hashed(parts: &[&str]) -> u32 {
    // FNV-1a: it must never change, and nobody gains by names that collide.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.join("\0").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let folded = u32::try_from((hash ^ (hash >> 32)) & 0x7fff_ffff).unwrap_or_default();
    folded.max(OID_FIRST)
}

fn free(taken: &mut BTreeSet<u32>, wanted: u32) -> u32 {
    let mut oid = wanted;
    while !taken.insert(oid) {
        oid = (oid % 0x7fff_ffff) + 1;
        oid = oid.max(OID_FIRST);
    }
    oid
}

pub(super) fn of_table(table: &LoadedTable) -> Result<Relation> {
    let metadata = &table.metadata;
    let schema = metadata.current_schema();
    let arrow = tidewater_table::schema::to_arrow(schema).map_err(EngineError::from)?;
    let fields = schema.as_struct().fields();
    let columns = fields.iter().zip(arrow.fields()).map(|(field, arrow)| Column {
        name: field.name.clone(),
        of: arrow.data_type().clone(),
        nullable: !field.required,
        comment: field.doc.clone(),
        field: Some(field.id),
    });
    let place = |id| fields.iter().position(|field| field.id == id);
    let mut key: Vec<i16> = schema
        .identifier_field_ids()
        .filter_map(|id| i16::try_from(place(id)? + 1).ok())
        .collect();
    key.sort_unstable();
    let total = |name: &str| {
        let snapshot = metadata.current_snapshot()?;
        snapshot.summary().additional_properties.get(name)?.parse().ok()
    };
    Ok(Relation {
        oid: 0,
        schema: table.name.namespace().to_string(),
        name: table.name.name().to_owned(),
        view: false,
        columns: Arc::new(columns.collect()),
        key,
        comment: metadata.properties().get("comment").cloned(),
        rows: total("total-records").unwrap_or_default(),
        bytes: total("total-files-size").unwrap_or_default(),
        definition: None,
    })
}

pub(super) fn of_view(name: &TableName, columns: &SchemaRef) -> Relation {
    let columns = columns.fields().iter().map(|field| Column {
        name: field.name().clone(),
        of: field.data_type().clone(),
        nullable: true,
        comment: None,
        field: None,
    });
    Relation {
        oid: 0,
        schema: name.namespace().to_string(),
        name: name.name().to_owned(),
        view: true,
        columns: Arc::new(columns.collect()),
        key: Vec::new(),
        comment: None,
        rows: 0,
        bytes: 0,
        definition: None,
    }
}

#[cfg(test)]
mod tests;
