//! The rows of one topic under construction: records go in, a batch of bronze rows comes out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::error::ArrowError;

use super::cell::Placeholder;
use super::column_type::ColumnType;
use super::fault::RecordFault;
use super::group::{Group, Notes, Place, Plan, struct_members};
use super::json::{self, Document, Object, Scratch};
use super::kind::{About, Control, Envelope, Kind, about, recognise};
use super::metadata::{Facts, Metadata};
use super::options::DecodeOptions;
use super::schemas::{Payload, Schema, Schemas};
use super::wire::Wire;
use crate::layout::{COLUMNS, FLAG_TOMBSTONE, FLAG_UNWRAPPED, PLAIN_KEY, source_columns, transaction_columns};
use crate::record::Record;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// A row.
    Row,
    /// Nothing: Debezium wrote it about itself.
    Control(Control),
}

/// Sides of the group of rows.
const BEFORE: usize = 0;
const AFTER: usize = 1;
/// Place of columns in `source`, see [`source_columns`].
const SOURCE_TS_MS: usize = 3;
const SOURCE_TS_US: usize = 7;
const SOURCE_LSN: usize = 12;

/// The plans of one value schema, or of values without one.
#[derive(Debug, Default)]
struct ValuePlans {
    row: Plan,
    source: Plan,
    transaction: Plan,
    message: Plan,
}

/// Plans by schema id; [`NO_SCHEMA`] for values without one. There are few, and each record looks its own up.
type Plans<P> = BTreeMap<i32, P>;
const NO_SCHEMA: i32 = -1;

/// Memory of the documents of a record.
#[derive(Debug, Default)]
struct Scratches {
    key: Scratch,
    value: Scratch,
}

/// Rows of one topic.
#[derive(Debug)]
pub struct TopicBuffer {
    topic: Arc<str>,
    options: Arc<DecodeOptions>,
    placeholder: Placeholder,
    hints: HashMap<String, Wire>,
    message_hints: HashMap<String, Wire>,
    no_hints: HashMap<String, Wire>,
    values: Schemas,
    keys: Schemas,
    value_plans: Plans<ValuePlans>,
    key_plans: Plans<Plan>,
    row: Group,
    source: Group,
    transaction: Group,
    message: Group,
    key: Group,
    metadata: Metadata,
    scratches: Scratches,
    rows: usize,
    size_bytes: usize,
    /// Per partition: where in the source's log its last row was if that was unwrapped, for deletes that come without a value.
    last_lsn: BTreeMap<i32, Option<i64>>,
}

impl TopicBuffer {
    /// For a table with these columns; an empty schema for a table that is yet to be.
    pub fn new(topic: Arc<str>, options: Arc<DecodeOptions>, table: &ArrowSchema) -> Self {
        let hints = options.hints_of(&topic);
        let mut buffer = Self {
            placeholder: Placeholder::new(&options.unavailable_placeholder),
            topic,
            options,
            hints,
            message_hints: message_hints(),
            no_hints: HashMap::new(),
            values: Schemas::new("value"),
            keys: Schemas::new("key"),
            value_plans: BTreeMap::new(),
            key_plans: BTreeMap::new(),
            row: Group::new(2),
            source: Group::new(1),
            transaction: Group::new(1),
            message: Group::new(1),
            key: Group::new(1),
            metadata: Metadata::new(),
            scratches: Scratches::default(),
            rows: 0,
            size_bytes: 0,
            last_lsn: BTreeMap::new(),
        };
        buffer.rebase(table);
        buffer
    }

    /// Forgets all rows and takes the table's columns as they are now.
    pub fn rebase(&mut self, table: &ArrowSchema) {
        let members = |name: &str| {
            let field = table.field_with_name(name);
            field.map(|field| struct_members(field.data_type())).unwrap_or_default()
        };
        let group = |sides: usize, names: &[&str], declared: &[(&str, ColumnType)]| {
            let mut group = Group::new(sides);
            group.declare(declared);
            for name in names {
                group.adopt(&members(name));
            }
            group
        };
        self.row = group(2, &["after", "before"], &[]);
        self.source = group(1, &["source"], source_columns());
        self.transaction = group(1, &["transaction"], transaction_columns());
        self.message = group(1, &["message"], &[]);
        self.key = group(1, &["_key"], &[]);
        self.value_plans.clear();
        self.key_plans.clear();
        self.metadata = Metadata::new();
        self.rows = 0;
        self.size_bytes = 0;
    }

    /// Tells where in the source's log the last row of a partition was, which some other buffer took in.
    pub fn resume(&mut self, partition: i32, last_lsn: i64) {
        self.last_lsn.entry(partition).or_insert(Some(last_lsn));
    }

    /// Where in the source's log the last row of each partition was; none if that was an envelope, or told nothing.
    pub fn last_lsn(&self) -> &BTreeMap<i32, Option<i64>> {
        &self.last_lsn
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What its rows took as text, without schemas that are known.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Decodes a record. After a fault the buffer is as it was.
    pub fn push(&mut self, record: &Record, now_ms: i64) -> Result<Pushed, RecordFault> {
        let outcome = match &record.fault {
            Some(fault) => Err(fault.clone()),
            None => {
                let mut scratches = std::mem::take(&mut self.scratches);
                let outcome = self.decode(record, now_ms, &mut scratches);
                scratches.key.shrink();
                scratches.value.shrink();
                self.scratches = scratches;
                outcome
            }
        };
        match &outcome {
            Ok(Pushed::Row) => {
                self.rows += 1;
            }
            Ok(Pushed::Control(_)) => {}
            Err(_) => self.roll_back(),
        }
        outcome
    }

    fn roll_back(&mut self) {
        let row = self.rows;
        for group in [
            &mut self.row,
            &mut self.source,
            &mut self.transaction,
            &mut self.message,
            &mut self.key,
        ] {
            group.truncate(row);
        }
    }

    fn decode(&mut self, record: &Record, now_ms: i64, scratches: &mut Scratches) -> Result<Pushed, RecordFault> {
        let key = self.read_key(record, &mut scratches.key)?;
        let value = match &record.value {
            Some(bytes) => Some(self.values.read(bytes, &mut scratches.value)?),
            None => None,
        };
        let mut notes = Notes::default();
        let payload = value.as_ref().map(|value| value.document.root());
        let payload = payload.filter(|payload| !payload.is_null());
        let schema = value.as_ref().and_then(|value| value.schema.as_deref());
        let key = key.as_ref().filter(|key| !key.document.root().is_null());
        let mut facts = match payload {
            // Without a key, from a table that has none, it says nothing; it is a row all the same, as it is a record.
            None => self.tombstone(record.partition.number),
            Some(payload) => {
                let name = schema.map_or("", |schema| schema.name.as_str());
                match recognise(payload, key.map(|key| key.document.root()), name)? {
                    Kind::Control(control) => return Ok(Pushed::Control(control)),
                    Kind::Envelope(envelope) => self.envelope(&envelope, schema, key.is_some(), &mut notes)?,
                    Kind::Unwrapped(row) => self.unwrapped(row, schema, key.is_some(), &mut notes)?,
                }
            }
        };
        facts.schema_id = schema.map(|schema| schema.id);
        if let Some(key) = key {
            self.write_key(key, &mut notes)?;
        }
        self.metadata
            .write(self.rows, record, now_ms, &facts, &notes, self.options.keep_raw);
        if facts.flags & FLAG_TOMBSTONE == 0 {
            let unwrapped = facts.flags & FLAG_UNWRAPPED != 0;
            let lsn = facts.lsn.filter(|_| unwrapped);
            self.last_lsn.insert(record.partition.number, lsn);
        }
        let held = |payload: Option<&Payload<'_>>| payload.map_or(0, |payload| payload.document.size_bytes());
        self.size_bytes += held(key) + held(value.as_ref()) + size_of::<Record>();
        Ok(Pushed::Row)
    }

    /// A key is JSON, or any other text.
    fn read_key<'a>(
        &mut self,
        record: &'a Record,
        scratch: &'a mut Scratch,
    ) -> Result<Option<Payload<'a>>, RecordFault> {
        let Some(bytes) = &record.key else { return Ok(None) };
        if matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'"')) {
            return self.keys.read(bytes, scratch).map(Some);
        }
        let text = match json::parse(bytes, "key", scratch) {
            Ok(text) => text,
            Err(RecordFault::NotJson { .. }) => match std::str::from_utf8(bytes) {
                // Control characters tell a binary format, Avro's above all.
                Ok(text) if !text.contains(char::is_control) => {
                    json::plain(text, scratch);
                    text
                }
                _ => return Err(RecordFault::InvalidKey),
            },
            Err(fault) => return Err(fault),
        };
        Ok(Some(Payload {
            document: Document::new(text, scratch),
            schema: None,
        }))
    }

    fn write_key(&mut self, key: &Payload<'_>, notes: &mut Notes) -> Result<(), RecordFault> {
        let id = key.schema.as_ref().map_or(NO_SCHEMA, |schema| schema.id);
        let plan = match self.key_plans.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(match key.schema.as_deref() {
                Some(Schema {
                    wire: Wire::Struct(fields),
                    ..
                }) => self.key.plan(fields)?,
                Some(Schema { wire, .. }) => self.key.plan(&[(PLAIN_KEY.to_owned(), wire.clone())])?,
                None => Plan::default(),
            }),
        };
        // Left-out values and ranges are not told of keys: a key is there, or the record is useless.
        let mut own = Notes::default();
        let place = Place {
            side: 0,
            row: self.rows,
            hints: &self.hints,
            placeholder: &self.placeholder,
        };
        let payload = key.document.root();
        match payload.as_object() {
            Some(object) => {
                self.key.write(place, plan, object.iter(), &mut own)?;
            }
            None => {
                let plain = std::iter::once((PLAIN_KEY, payload));
                self.key.write(place, plan, plain, &mut own)?;
            }
        }
        notes.split |= own.split;
        Ok(())
    }

    /// A delete that is told by the absence of a row. In a log of envelopes the real delete came before it and this one has no
    /// place in the order of changes; among unwrapped rows it is the delete, right behind the last change.
    fn tombstone(&self, partition: i32) -> Facts<'static> {
        Facts {
            op: "d",
            lsn: self.last_lsn.get(&partition).copied().flatten(),
            flags: FLAG_TOMBSTONE,
            ..Facts::default()
        }
    }

    /// Makes the plans of a schema, if this is its first record.
    fn ensure_plans(&mut self, schema: Option<&Schema>, enveloped: bool) -> Result<(), RecordFault> {
        let id = schema.map_or(NO_SCHEMA, |schema| schema.id);
        if !self.value_plans.contains_key(&id) {
            let plans = match schema {
                Some(Schema {
                    wire: Wire::Struct(fields),
                    ..
                }) if enveloped => self.envelope_plans(fields)?,
                Some(Schema {
                    wire: Wire::Struct(fields),
                    ..
                }) => ValuePlans {
                    row: {
                        let own: Vec<_> = fields
                            .iter()
                            .filter(|(name, _)| about(name).is_none())
                            .cloned()
                            .collect();
                        self.row.plan(&own)?
                    },
                    ..ValuePlans::default()
                },
                _ => ValuePlans::default(),
            };
            self.value_plans.insert(id, plans);
        }
        Ok(())
    }

    fn envelope_plans(&mut self, fields: &[(String, Wire)]) -> Result<ValuePlans, RecordFault> {
        let part = |names: &[&str]| -> &[(String, Wire)] {
            let found = names
                .iter()
                .find_map(|name| fields.iter().find(|(field, _)| field == name));
            match found {
                Some((_, Wire::Struct(fields))) => fields,
                _ => &[],
            }
        };
        Ok(ValuePlans {
            row: self.row.plan(part(&["after", "before"]))?,
            source: self.source.plan(part(&["source"]))?,
            transaction: self.transaction.plan(part(&["transaction"]))?,
            message: self.message.plan(part(&["message"]))?,
        })
    }

    fn envelope<'v>(
        &mut self,
        envelope: &Envelope<'v>,
        schema: Option<&Schema>,
        keyed: bool,
        notes: &mut Notes,
    ) -> Result<Facts<'v>, RecordFault> {
        if envelope.op == "d" && !keyed && envelope.before.is_none() {
            return Err(RecordFault::MissingKey);
        }
        self.ensure_plans(schema, true)?;
        let id = schema.map_or(NO_SCHEMA, |schema| schema.id);
        let Some(plans) = self.value_plans.get_mut(&id) else {
            return Err(RecordFault::MissingKey);
        };
        let (row, hints) = (self.rows, &self.hints);
        let place = |side, hints| Place {
            side,
            row,
            hints,
            placeholder: &self.placeholder,
        };
        if let Some(before) = envelope.before {
            self.row
                .write(place(BEFORE, hints), &mut plans.row, before.iter(), notes)?;
            for name in &mut notes.unavailable {
                name.insert_str(0, "before.");
            }
        }
        if let Some(after) = envelope.after {
            self.row
                .write(place(AFTER, hints), &mut plans.row, after.iter(), notes)?;
        }
        if let Some(source) = envelope.source {
            self.source
                .write(place(0, &self.no_hints), &mut plans.source, source.iter(), notes)?;
        }
        if let Some(transaction) = envelope.transaction {
            let plan = &mut plans.transaction;
            self.transaction
                .write(place(0, &self.no_hints), plan, transaction.iter(), notes)?;
        }
        if let Some(message) = envelope.message {
            self.message
                .write(place(0, &self.message_hints), &mut plans.message, message.iter(), notes)?;
        }
        Ok(Facts {
            op: envelope.op,
            ts_ms: envelope.ts_ms,
            event_us: self.event_us(),
            lsn: self.source.long_in(0, SOURCE_LSN, row),
            ..Facts::default()
        })
    }

    fn event_us(&self) -> Option<i64> {
        let us = self.source.long_in(0, SOURCE_TS_US, self.rows);
        us.or_else(|| {
            self.source
                .long_in(0, SOURCE_TS_MS, self.rows)
                .and_then(|ms| ms.checked_mul(1_000))
        })
    }

    fn unwrapped<'v>(
        &mut self,
        object: Object<'v>,
        schema: Option<&Schema>,
        keyed: bool,
        notes: &mut Notes,
    ) -> Result<Facts<'v>, RecordFault> {
        let mut facts = Facts {
            flags: FLAG_UNWRAPPED,
            ..Facts::default()
        };
        let (mut op, mut deleted, mut sourced) = (None, false, false);
        for (name, value) in object.iter().filter(|(name, _)| name.starts_with("__")) {
            match about(name) {
                Some(About::Deleted) => deleted = value.as_str() == Some("true") || value.as_bool() == Some(true),
                Some(About::Operation) => op = value.as_str(),
                Some(About::Time) => facts.ts_ms = value.as_i64(),
                Some(About::Source(_)) => sourced = true,
                None => {}
            }
        }
        facts.op = match op {
            _ if deleted => "d",
            Some(op @ ("c" | "r" | "u" | "d" | "t" | "m")) => op,
            Some(op) => {
                return Err(RecordFault::UnknownOperation {
                    op: op.chars().take(32).collect(),
                });
            }
            // The row is there now; whether it was before is not told.
            None => "u?",
        };
        self.ensure_plans(schema, false)?;
        let id = schema.map_or(NO_SCHEMA, |schema| schema.id);
        let Some(plans) = self.value_plans.get_mut(&id) else {
            return Err(RecordFault::MissingKey);
        };
        let row = self.rows;
        let place = |side, hints| Place {
            side,
            row,
            hints,
            placeholder: &self.placeholder,
        };
        let side = if facts.op == "d" { BEFORE } else { AFTER };
        let own = object.iter().filter(|(name, _)| about(name).is_none());
        self.row.write(place(side, &self.hints), &mut plans.row, own, notes)?;
        if object.is_empty() && !keyed {
            return Err(RecordFault::MissingKey);
        }
        if sourced {
            let source = object.iter().filter_map(|(name, value)| match about(name) {
                Some(About::Source(name)) => Some((name, value)),
                _ => None,
            });
            self.source
                .write(place(0, &self.no_hints), &mut plans.source, source, notes)?;
            facts.event_us = self.event_us();
            facts.lsn = self.source.long_in(0, SOURCE_LSN, row);
        }
        Ok(facts)
    }

    /// The rows as a batch, in the order of partition and offset; none if there are none. The buffer begins anew with the same columns.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        self.size_bytes = 0;
        let mut columns: HashMap<&'static str, ArrayRef> = HashMap::new();
        let metadata = std::mem::replace(&mut self.metadata, Metadata::new()).finish(rows)?;
        if let Some(sides) = self.row.finish(rows)? {
            columns.extend(["before", "after"].into_iter().zip(sides));
        }
        for (name, group) in [
            ("source", &mut self.source),
            ("transaction", &mut self.transaction),
            ("message", &mut self.message),
            ("_key", &mut self.key),
        ] {
            let sides = group.finish(rows)?;
            columns.extend(sides.into_iter().flatten().map(|side| (name, side)));
        }
        let topic = StringArray::from_iter_values(std::iter::repeat_n(&*self.topic, rows));
        columns.insert("_topic", Arc::new(topic));
        columns.insert("_kafka_partition", Arc::clone(&metadata.partition));
        columns.insert("_offset", Arc::clone(&metadata.offset));
        columns.extend(metadata.others);
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for name in COLUMNS {
            if let Some(array) = columns.remove(name) {
                fields.push(Field::new(*name, array.data_type().clone(), true));
                arrays.push(array);
            }
        }
        let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?;
        if metadata.sorted {
            return Ok(Some(batch));
        }
        let order: UInt32Array = lexsort_to_indices(&[sort_by(metadata.partition), sort_by(metadata.offset)], None)?;
        take_record_batch(&batch, &order).map(Some)
    }
}

fn sort_by(values: ArrayRef) -> SortColumn {
    SortColumn { values, options: None }
}

/// The content of a logical message is bytes, schema or not.
fn message_hints() -> HashMap<String, Wire> {
    HashMap::from([("content".to_owned(), Wire::Bytes)])
}
