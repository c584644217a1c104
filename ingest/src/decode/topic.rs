//! The rows of one topic under construction: records go in, a batch of bronze rows comes out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::error::ArrowError;
use sonic_rs::{JsonContainerTrait, JsonValueTrait, Object, Value};

use super::cell::Placeholder;
use super::column::Column;
use super::column_type::ColumnType;
use super::fault::RecordFault;
use super::group::{Group, Notes, Plan, struct_members};
use super::kind::{About, Control, Envelope, Kind, about, recognise};
use super::options::{DecodeOptions, KeepRaw};
use super::schemas::{Document, Schema, Schemas};
use super::temporal::{self, Moment};
use super::wire::Wire;
use crate::layout::{
    FLAG_OUT_OF_RANGE, FLAG_SPLIT, FLAG_TOMBSTONE, FLAG_UNWRAPPED, PLAIN_KEY, source_columns, transaction_columns,
};
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

/// Plans by schema id; [`NO_SCHEMA`] for values without one.
type Plans<P> = HashMap<i32, P>;
const NO_SCHEMA: i32 = -1;

/// Columns about the record.
#[derive(Debug)]
struct Metadata {
    op: Column,
    ts_ms: Column,
    partition: Vec<i32>,
    offset: Vec<i64>,
    kafka_ts: Column,
    ingested_at: Column,
    event_ts: Column,
    lsn: Column,
    schema_id: Column,
    unavailable: Column,
    flags: Column,
    raw: Column,
}

impl Metadata {
    fn new() -> Self {
        Self {
            op: Column::new(&ColumnType::String),
            ts_ms: Column::new(&ColumnType::Long),
            partition: Vec::new(),
            offset: Vec::new(),
            kafka_ts: Column::new(&ColumnType::TimestampTz),
            ingested_at: Column::new(&ColumnType::TimestampTz),
            event_ts: Column::new(&ColumnType::TimestampTz),
            lsn: Column::new(&ColumnType::Long),
            schema_id: Column::new(&ColumnType::Int),
            unavailable: Column::new(&ColumnType::List(Box::new(ColumnType::String))),
            flags: Column::new(&ColumnType::Int),
            raw: Column::new(&ColumnType::Binary),
        }
    }
}

/// What a record tells apart from its row.
#[derive(Debug, Default)]
struct Facts<'a> {
    op: &'a str,
    ts_ms: Option<i64>,
    event_us: Option<i64>,
    lsn: Option<i64>,
    schema_id: Option<i32>,
    flags: i32,
}

/// Rows of one topic.
#[derive(Debug)]
pub struct TopicBuffer {
    topic: Arc<str>,
    options: Arc<DecodeOptions>,
    placeholder: Placeholder,
    hints: HashMap<String, Wire>,
    values: Schemas,
    keys: Schemas,
    value_plans: Plans<ValuePlans>,
    key_plans: Plans<Plan>,
    row: Group,
    source: Group,
    transaction: Group,
    message: Group,
    key: Group,
    about: Metadata,
    rows: usize,
    size_bytes: usize,
    /// Per partition: where in the log the last unwrapped row was, for deletes that come without a value.
    last_lsn: HashMap<i32, i64>,
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
            values: Schemas::new("value"),
            keys: Schemas::new("key"),
            value_plans: HashMap::new(),
            key_plans: HashMap::new(),
            row: Group::new(2),
            source: Group::new(1),
            transaction: Group::new(1),
            message: Group::new(1),
            key: Group::new(1),
            about: Metadata::new(),
            rows: 0,
            size_bytes: 0,
            last_lsn: HashMap::new(),
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
        self.about = Metadata::new();
        self.rows = 0;
        self.size_bytes = 0;
        self.last_lsn.clear();
    }

    /// The topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the records in it.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Decodes a record. After a fault the buffer is as it was.
    pub fn push(&mut self, record: &Record, now_ms: i64) -> Result<Pushed, RecordFault> {
        let outcome = match &record.fault {
            Some(fault) => Err(fault.clone()),
            None => self.decode(record, now_ms),
        };
        match &outcome {
            Ok(Pushed::Row) => {
                self.rows += 1;
                self.size_bytes += record.size_bytes();
            }
            Ok(Pushed::Control(_)) => {}
            Err(_) => self.roll_back(),
        }
        outcome
    }

    fn roll_back(&mut self) {
        let row = self.rows;
        for group in [&mut self.row, &mut self.source, &mut self.transaction, &mut self.message, &mut self.key] {
            group.truncate(row);
        }
        let about = &mut self.about;
        about.partition.truncate(row);
        about.offset.truncate(row);
        for column in [
            &mut about.op,
            &mut about.ts_ms,
            &mut about.kafka_ts,
            &mut about.ingested_at,
            &mut about.event_ts,
            &mut about.lsn,
            &mut about.schema_id,
            &mut about.unavailable,
            &mut about.flags,
            &mut about.raw,
        ] {
            column.truncate(row);
        }
    }

    fn decode(&mut self, record: &Record, now_ms: i64) -> Result<Pushed, RecordFault> {
        let key = self.read_key(record)?;
        let value = match &record.value {
            Some(bytes) => Some(self.values.read(bytes)?),
            None => None,
        };
        let mut notes = Notes::default();
        let payload = value.as_ref().filter(|document| !document.payload.is_null());
        let schema = value.as_ref().and_then(|document| document.schema.as_deref());
        let keyed = key.as_ref().is_some_and(|key| !key.payload.is_null());
        let mut facts = match payload {
            // Without a key, from a table that has none, it says nothing; it is a row all the same, as it is a record.
            None => self.tombstone(record.partition.number),
            Some(document) => {
                let name = schema.map_or("", |schema| schema.name.as_str());
                let facts = match recognise(&document.payload, key.as_ref().map(|key| &key.payload), name)? {
                    Kind::Control(control) => return Ok(Pushed::Control(control)),
                    Kind::Envelope(envelope) => self.envelope(&envelope, schema, keyed, &mut notes)?,
                    Kind::Unwrapped(row) => self.unwrapped(row, schema, keyed, &mut notes)?,
                };
                match (facts.flags & FLAG_UNWRAPPED, facts.lsn) {
                    (0, _) | (_, None) => self.last_lsn.remove(&record.partition.number),
                    (_, Some(lsn)) => self.last_lsn.insert(record.partition.number, lsn),
                };
                facts
            }
        };
        facts.schema_id = schema.map(|schema| schema.id);
        if let Some(key) = key.filter(|key| !key.payload.is_null()) {
            self.write_key(&key, &mut notes)?;
        }
        self.write_about(record, now_ms, facts, notes);
        Ok(Pushed::Row)
    }

    /// A key is JSON, or any other text.
    fn read_key(&mut self, record: &Record) -> Result<Option<Document>, RecordFault> {
        let Some(bytes) = &record.key else { return Ok(None) };
        let structured = matches!(bytes.first(), Some(b'{' | b'[' | b'"'));
        match self.keys.read(bytes) {
            Ok(document) => Ok(Some(document)),
            Err(fault @ RecordFault::NotJson { .. }) if structured => Err(fault),
            Err(RecordFault::NotJson { .. }) => match std::str::from_utf8(bytes) {
                // Control characters tell a binary format, Avro's above all.
                Ok(text) if !text.contains(char::is_control) => Ok(Some(Document {
                    payload: Value::from(text),
                    schema: None,
                })),
                _ => Err(RecordFault::InvalidKey),
            },
            Err(fault) => Err(fault),
        }
    }

    fn write_key(&mut self, key: &Document, notes: &mut Notes) -> Result<(), RecordFault> {
        let id = key.schema.as_ref().map_or(NO_SCHEMA, |schema| schema.id);
        let plan = match self.key_plans.entry(id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(match key.schema.as_deref() {
                Some(Schema { wire: Wire::Struct(fields), .. }) => self.key.plan(fields)?,
                Some(Schema { wire, .. }) => self.key.plan(&[(PLAIN_KEY.to_owned(), wire.clone())])?,
                None => Plan::default(),
            }),
        };
        // Left-out values and ranges are not told of keys: a key is there, or the record is useless.
        let mut own = Notes::default();
        match key.payload.as_object() {
            Some(object) => {
                self.key.write(0, plan, object.iter(), &self.hints, self.rows, &mut own, &self.placeholder)?;
            }
            None => {
                let plain = std::iter::once((PLAIN_KEY, &key.payload));
                self.key.write(0, plan, plain, &self.hints, self.rows, &mut own, &self.placeholder)?;
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
            lsn: self.last_lsn.get(&partition).copied(),
            flags: FLAG_TOMBSTONE,
            ..Facts::default()
        }
    }

    fn plans(&mut self, schema: Option<&Schema>, enveloped: bool) -> Result<&mut ValuePlans, RecordFault> {
        let id = schema.map_or(NO_SCHEMA, |schema| schema.id);
        // Two lookups on the first record of a schema, one on all others.
        if !self.value_plans.contains_key(&id) {
            let plans = match schema {
                Some(Schema { wire: Wire::Struct(fields), .. }) if enveloped => self.envelope_plans(fields)?,
                Some(Schema { wire: Wire::Struct(fields), .. }) => ValuePlans {
                    row: {
                        let own: Vec<_> = fields.iter().filter(|(name, _)| about(name).is_none()).cloned().collect();
                        self.row.plan(&own)?
                    },
                    ..ValuePlans::default()
                },
                _ => ValuePlans::default(),
            };
            self.value_plans.insert(id, plans);
        }
        Ok(self.value_plans.entry(id).or_default())
    }

    fn envelope_plans(&mut self, fields: &[(String, Wire)]) -> Result<ValuePlans, RecordFault> {
        let part = |names: &[&str]| -> &[(String, Wire)] {
            let found = names.iter().find_map(|name| fields.iter().find(|(field, _)| field == name));
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
        self.plans(schema, true)?;
        let id = schema.map_or(NO_SCHEMA, |schema| schema.id);
        let Some(plans) = self.value_plans.get_mut(&id) else { return Err(RecordFault::MissingKey) };
        let (row, hints, placeholder) = (self.rows, &self.hints, &self.placeholder);
        if let Some(before) = envelope.before {
            self.row.write(BEFORE, &mut plans.row, before.iter(), hints, row, notes, placeholder)?;
            for name in &mut notes.unavailable {
                name.insert_str(0, "before.");
            }
        }
        if let Some(after) = envelope.after {
            self.row.write(AFTER, &mut plans.row, after.iter(), hints, row, notes, placeholder)?;
        }
        let none = HashMap::new();
        if let Some(source) = envelope.source {
            self.source.write(0, &mut plans.source, source.iter(), &none, row, notes, placeholder)?;
        }
        if let Some(transaction) = envelope.transaction {
            let plan = &mut plans.transaction;
            self.transaction.write(0, plan, transaction.iter(), &none, row, notes, placeholder)?;
        }
        if let Some(message) = envelope.message {
            let hints = message_hints();
            self.message.write(0, &mut plans.message, message.iter(), &hints, row, notes, placeholder)?;
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
        us.or_else(|| self.source.long_in(0, SOURCE_TS_MS, self.rows).and_then(|ms| ms.checked_mul(1_000)))
    }

    fn unwrapped<'v>(
        &mut self,
        object: &'v Object,
        schema: Option<&Schema>,
        keyed: bool,
        notes: &mut Notes,
    ) -> Result<Facts<'v>, RecordFault> {
        let mut facts = Facts {
            flags: FLAG_UNWRAPPED,
            ..Facts::default()
        };
        let (mut op, mut deleted, mut source) = (None, false, Vec::new());
        for (name, value) in object.iter().filter(|(name, _)| name.starts_with("__")) {
            match about(name) {
                Some(About::Deleted) => deleted = value.as_str() == Some("true") || value.as_bool() == Some(true),
                Some(About::Operation) => op = value.as_str(),
                Some(About::Time) => facts.ts_ms = value.as_i64(),
                Some(About::Source(name)) => source.push((name, value)),
                None => {}
            }
        }
        facts.op = match op {
            _ if deleted => "d",
            Some(op @ ("c" | "r" | "u" | "d" | "t" | "m")) => op,
            Some(op) => return Err(RecordFault::UnknownOperation { op: op.chars().take(32).collect() }),
            // The row is there now; whether it was before is not told.
            None => "u?",
        };
        self.plans(schema, false)?;
        let id = schema.map_or(NO_SCHEMA, |schema| schema.id);
        let Some(plans) = self.value_plans.get_mut(&id) else { return Err(RecordFault::MissingKey) };
        let (row, placeholder) = (self.rows, &self.placeholder);
        let side = if facts.op == "d" { BEFORE } else { AFTER };
        let own = object.iter().filter(|(name, _)| about(name).is_none());
        self.row.write(side, &mut plans.row, own, &self.hints, row, notes, placeholder)?;
        if object.is_empty() && !keyed {
            return Err(RecordFault::MissingKey);
        }
        if !source.is_empty() {
            let none = HashMap::new();
            self.source.write(0, &mut plans.source, source.into_iter(), &none, row, notes, placeholder)?;
            facts.event_us = self.event_us();
            facts.lsn = self.source.long_in(0, SOURCE_LSN, row);
        }
        Ok(facts)
    }

    fn write_about(&mut self, record: &Record, now_ms: i64, facts: Facts<'_>, notes: Notes) {
        let row = self.rows;
        let about = &mut self.about;
        let kafka_ms = record.timestamp_ms.filter(|ms| *ms >= 0).unwrap_or(now_ms);
        let mut flags = facts.flags;
        let mut instant = |column: &mut Column, us: Moment| match us {
            Moment::At(us) => {
                column.pad_to(row);
                column.push_long(us);
            }
            Moment::Beyond => flags |= FLAG_OUT_OF_RANGE,
        };
        instant(&mut about.kafka_ts, temporal::timestamp(kafka_ms, 1_000, 1));
        instant(&mut about.ingested_at, temporal::timestamp(now_ms, 1_000, 1));
        if let Some(us) = facts.event_us.or_else(|| kafka_ms.checked_mul(1_000)) {
            instant(&mut about.event_ts, temporal::timestamp(us, 1, 1));
        }
        if notes.out_of_range {
            flags |= FLAG_OUT_OF_RANGE;
        }
        if notes.split {
            flags |= FLAG_SPLIT;
        }
        let long = |column: &mut Column, value: Option<i64>| {
            if let Some(value) = value {
                column.pad_to(row);
                column.push_long(value);
            }
        };
        about.op.push_bytes(facts.op.as_bytes());
        long(&mut about.ts_ms, facts.ts_ms);
        long(&mut about.lsn, facts.lsn);
        about.partition.push(record.partition.number);
        about.offset.push(record.offset);
        if let Some(id) = facts.schema_id {
            about.schema_id.pad_to(row);
            about.schema_id.push_int(id);
        }
        about.flags.push_int(flags);
        if !notes.unavailable.is_empty() {
            about.unavailable.pad_to(row);
            about.unavailable.push_texts(&notes.unavailable);
        }
        let lossy = flags & FLAG_OUT_OF_RANGE != 0;
        let keep = match self.options.keep_raw {
            KeepRaw::Never => false,
            KeepRaw::OnLoss => lossy,
            KeepRaw::Always => true,
        };
        if let (true, Some(value)) = (keep, &record.value) {
            about.raw.pad_to(row);
            about.raw.push_bytes(value);
        }
    }

    /// The rows as a batch, in the order of partition and offset; none if there are none. The buffer begins anew with the same columns.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        self.size_bytes = 0;
        let mut fields: Vec<Field> = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut show = |name: &str, array: ArrayRef| {
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        };
        let about = std::mem::replace(&mut self.about, Metadata::new());
        if let Some((_, sides)) = self.row.finish(rows)? {
            for (name, side) in ["before", "after"].into_iter().zip(sides) {
                show(name, side);
            }
        }
        let mut single = |name: &str, group: &mut Group| -> Result<(), ArrowError> {
            if let Some((_, sides)) = group.finish(rows)? {
                sides.into_iter().for_each(|side| show(name, side));
            }
            Ok(())
        };
        single("source", &mut self.source)?;
        single("transaction", &mut self.transaction)?;
        single("message", &mut self.message)?;
        single("_key", &mut self.key)?;
        let sorted = about.partition.iter().zip(&about.offset).is_sorted();
        let partition: ArrayRef = Arc::new(arrow::array::Int32Array::from(about.partition));
        let offset: ArrayRef = Arc::new(arrow::array::Int64Array::from(about.offset));
        show("op", about.op.finish(rows)?);
        show("ts_ms", about.ts_ms.finish(rows)?);
        show("_topic", Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&*self.topic, rows))));
        show("_partition", Arc::clone(&partition));
        show("_offset", Arc::clone(&offset));
        show("_kafka_ts", about.kafka_ts.finish(rows)?);
        show("_ingested_at", about.ingested_at.finish(rows)?);
        show("_event_ts", about.event_ts.finish(rows)?);
        show("_lsn", about.lsn.finish(rows)?);
        show("_schema_id", about.schema_id.finish(rows)?);
        show("_unavailable", about.unavailable.finish(rows)?);
        show("_flags", about.flags.finish(rows)?);
        show("_raw", about.raw.finish(rows)?);
        let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)?;
        if sorted {
            return Ok(Some(batch));
        }
        let order: UInt32Array = lexsort_to_indices(&[sort_by(partition), sort_by(offset)], None)?;
        take_record_batch(&batch, &order).map(Some)
    }
}

fn sort_by(values: ArrayRef) -> SortColumn {
    SortColumn {
        values,
        options: None,
    }
}

/// The content of a logical message is bytes, schema or not.
fn message_hints() -> HashMap<String, Wire> {
    HashMap::from([("content".to_owned(), Wire::Bytes)])
}
