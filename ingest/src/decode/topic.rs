//! The rows of one topic under construction: records go in, a batch of bronze rows comes out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use arrow::error::ArrowError;

use super::cell::Placeholder;
use super::fault::RecordFault;
use super::group::{Notes, Place, Plan};
use super::groups::{AFTER, BEFORE, Groups, ValuePlans};
use super::json::{self, Document, Scratch};
use super::kind::{
    About, Control, Envelope, Kind, Said, Unwrapped, about, is_true, operation, recognise, unknown_operation,
};
use super::metadata::{Facts, Metadata};
use super::options::DecodeOptions;
use super::schemas::{Payload, Schema, Schemas};
use super::template::{self, Shape, Sink, Templates};
use super::wire::Wire;
use crate::layout::{COLUMNS, FLAG_TOMBSTONE, FLAG_UNWRAPPED, PLAIN_KEY};
use crate::record::Record;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// A row.
    Row,
    /// Nothing: Debezium wrote it about itself.
    Control(Control),
}

/// Plans by schema id; [`NO_SCHEMA`] for values without one. There are few, and each record looks its own up.
type Plans<P> = BTreeMap<i32, P>;
const NO_SCHEMA: i32 = -1;

/// What a record is, once its parts are written.
enum Decoded {
    /// With what it took as text.
    Row(Facts, usize),
    Control(Control),
}

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
    templates: Templates,
    key_templates: Templates,
    groups: Groups,
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
        Self {
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
            templates: Templates::default(),
            key_templates: Templates::default(),
            groups: Groups::of_table(table),
            metadata: Metadata::new(),
            scratches: Scratches::default(),
            rows: 0,
            size_bytes: 0,
            last_lsn: BTreeMap::new(),
        }
    }

    /// Forgets all rows and takes the table's columns as they are now.
    pub fn rebase(&mut self, table: &ArrowSchema) {
        self.groups = Groups::of_table(table);
        self.templates.clear();
        self.key_templates.clear();
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

    /// What its rows took as text, without schemas that are known but where records are kept as they came.
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
            Err(_) => self.groups.truncate(self.rows),
        }
        outcome
    }

    fn decode(&mut self, record: &Record, now_ms: i64, scratches: &mut Scratches) -> Result<Pushed, RecordFault> {
        let mut notes = Notes::default();
        let (facts, held) = match self.by_template(record, &mut scratches.value, &mut notes) {
            Some((facts, held)) => (facts, held + self.key(record, &mut scratches.key, &mut notes)?),
            None => match self.by_names(record, scratches, &mut notes)? {
                Decoded::Row(facts, held) => (facts, held),
                Decoded::Control(control) => return Ok(Pushed::Control(control)),
            },
        };
        let raw = self
            .metadata
            .write(self.rows, record, now_ms, &facts, &notes, self.options.keep_raw);
        if facts.flags & FLAG_TOMBSTONE == 0 {
            let unwrapped = facts.flags & FLAG_UNWRAPPED != 0;
            let lsn = facts.lsn.filter(|_| unwrapped);
            self.last_lsn.insert(record.partition.number, lsn);
        }
        self.size_bytes += held + raw + size_of::<Record>();
        Ok(Pushed::Row)
    }

    /// Writes the value of a record that is like one before. Answers what it took as text, too.
    fn by_template(&mut self, record: &Record, scratch: &mut Scratch, notes: &mut Notes) -> Option<(Facts, usize)> {
        let (text, schema) = self.values.text(record.value.as_ref()?)?;
        let said = self.templates.write(
            text,
            schema,
            Sink {
                groups: &mut self.groups,
                row: self.rows,
                placeholder: &self.placeholder,
                scratch,
                notes,
            },
        )?;
        Some((self.facts(said, schema), text.len()))
    }

    /// Decodes a record by the names of its fields.
    fn by_names(
        &mut self,
        record: &Record,
        scratches: &mut Scratches,
        notes: &mut Notes,
    ) -> Result<Decoded, RecordFault> {
        let key = self.read_key(record, &mut scratches.key)?;
        let value = match &record.value {
            Some(bytes) => Some(self.values.read(bytes, &mut scratches.value)?),
            None => None,
        };
        let payload = value.as_ref().map(|value| value.document.root());
        let payload = payload.filter(|payload| !payload.is_null());
        let schema = value.as_ref().and_then(|value| value.schema.as_deref());
        let key = key.as_ref().filter(|key| !key.document.root().is_null());
        let facts = match payload {
            // Without a key, from a table that has none, it says nothing; it is a row all the same, as it is a record.
            None => Facts {
                schema_id: schema.map(|schema| schema.id),
                ..self.tombstone(record.partition.number)
            },
            Some(payload) => {
                let name = schema.map_or("", |schema| schema.name.as_str());
                let said = match recognise(payload, key.map(|key| key.document.root()), name)? {
                    Kind::Control(control) => return Ok(Decoded::Control(control)),
                    Kind::Envelope(envelope) => self.envelope(&envelope, schema, key.is_some(), notes)?,
                    Kind::Unwrapped(row) => self.unwrapped(row, schema, key.is_some(), notes)?,
                };
                let schema = schema.map(|schema| schema.id);
                let whole = value.as_ref().and_then(|value| value.document.whole());
                if let (Some(text), Some(plans)) = (whole, self.value_plans.get(&schema.unwrap_or(NO_SCHEMA))) {
                    self.templates
                        .learn(schema, || template::learn(text, Shape::of_value(&said, plans)));
                }
                self.facts(said, schema)
            }
        };
        if let Some(key) = key {
            self.write_key(key, notes)?;
        }
        let held = |payload: Option<&Payload<'_>>| payload.map_or(0, |payload| payload.document.size_bytes());
        Ok(Decoded::Row(facts, held(key) + held(value.as_ref())))
    }

    /// What a row that was just written tells.
    fn facts(&self, said: Said, schema_id: Option<i32>) -> Facts {
        Facts {
            op: said.operation(),
            ts_ms: said.ts_ms,
            event_us: self.groups.event_us(self.rows),
            lsn: self.groups.lsn(self.rows),
            schema_id,
            flags: if said.enveloped { 0 } else { FLAG_UNWRAPPED },
        }
    }

    /// Reads and writes a key; answers what it took as text.
    fn key(&mut self, record: &Record, scratch: &mut Scratch, notes: &mut Notes) -> Result<usize, RecordFault> {
        let Some(bytes) = &record.key else { return Ok(0) };
        if let Some((text, schema)) = self.keys.text(bytes) {
            let sink = Sink {
                groups: &mut self.groups,
                row: self.rows,
                placeholder: &self.placeholder,
                scratch,
                // A key of a template loses nothing.
                notes: &mut Notes::default(),
            };
            if self.key_templates.write(text, schema, sink).is_some() {
                return Ok(text.len());
            }
        }
        match self
            .read_key(record, scratch)?
            .filter(|key| !key.document.root().is_null())
        {
            Some(key) => {
                self.write_key(&key, notes)?;
                Ok(key.document.size_bytes())
            }
            None => Ok(0),
        }
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
                }) => self.groups.key.plan(fields)?,
                Some(Schema { wire, .. }) => self.groups.key.plan(&[(PLAIN_KEY.to_owned(), wire.clone())])?,
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
                self.groups.key.write(place, plan, object.iter(), &mut own)?;
            }
            None => {
                let plain = std::iter::once((PLAIN_KEY, payload));
                self.groups.key.write(place, plan, plain, &mut own)?;
            }
        }
        notes.split |= own.split;
        if let Some(text) = key.document.whole() {
            let schema = key.schema.as_ref().map(|schema| schema.id);
            self.key_templates
                .learn(schema, || template::learn(text, Shape::Key(plan)));
        }
        Ok(())
    }

    /// A delete that is told by the absence of a row. In a log of envelopes the real delete came before it and this one has no
    /// place in the order of changes; among unwrapped rows it is the delete, right behind the last change.
    fn tombstone(&self, partition: i32) -> Facts {
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
            let plans = self.groups.plans(schema, enveloped)?;
            self.value_plans.insert(id, plans);
        }
        Ok(())
    }

    fn envelope(
        &mut self,
        envelope: &Envelope<'_>,
        schema: Option<&Schema>,
        keyed: bool,
        notes: &mut Notes,
    ) -> Result<Said, RecordFault> {
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
            self.groups
                .row
                .write(place(BEFORE, hints), &mut plans.row, before.iter(), notes)?;
            for name in &mut notes.unavailable {
                name.insert_str(0, "before.");
            }
        }
        if let Some(after) = envelope.after {
            self.groups
                .row
                .write(place(AFTER, hints), &mut plans.row, after.iter(), notes)?;
        }
        if let Some(source) = envelope.source {
            self.groups
                .source
                .write(place(0, &self.no_hints), &mut plans.source, source.iter(), notes)?;
        }
        if let Some(transaction) = envelope.transaction {
            let plan = &mut plans.transaction;
            self.groups
                .transaction
                .write(place(0, &self.no_hints), plan, transaction.iter(), notes)?;
        }
        if let Some(message) = envelope.message {
            self.groups
                .message
                .write(place(0, &self.message_hints), &mut plans.message, message.iter(), notes)?;
        }
        Ok(Said {
            enveloped: true,
            op: Some(envelope.op),
            ts_ms: envelope.ts_ms,
            deleted: false,
        })
    }

    fn unwrapped(
        &mut self,
        Unwrapped { own, rest }: Unwrapped<'_>,
        schema: Option<&Schema>,
        keyed: bool,
        notes: &mut Notes,
    ) -> Result<Said, RecordFault> {
        let empty = own.is_empty() && rest.is_empty();
        let (mut said, mut op, mut sourced) = (Said::default(), None, false);
        for (name, value) in rest.clone() {
            match about(name) {
                Some(About::Deleted) => said.deleted = is_true(value),
                Some(About::Operation) => op = value.as_str(),
                Some(About::Time) => said.ts_ms = value.as_i64(),
                Some(About::Source(_)) => sourced = true,
                None => {}
            }
        }
        said.op = op.and_then(operation);
        if let (Some(unknown), None, false) = (op, said.op, said.deleted) {
            return Err(unknown_operation(unknown));
        }
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
        let own = own.chain(rest.clone().filter(|(name, _)| about(name).is_none()));
        self.groups
            .row
            .write(place(said.side(), &self.hints), &mut plans.row, own, notes)?;
        if empty && !keyed {
            return Err(RecordFault::MissingKey);
        }
        if sourced {
            let source = rest.filter_map(|(name, value)| match about(name) {
                Some(About::Source(name)) => Some((name, value)),
                _ => None,
            });
            self.groups
                .source
                .write(place(0, &self.no_hints), &mut plans.source, source, notes)?;
        }
        Ok(said)
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
        columns.extend(self.groups.finish(rows)?);
        let topic = StringArray::new_repeated(&self.topic, rows);
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

#[cfg(test)]
impl TopicBuffer {
    /// Decodes the next record by its names.
    pub(super) fn forget_templates(&mut self) {
        self.templates.clear();
        self.key_templates.clear();
    }

    /// Of the templates of values.
    pub(super) fn template_sizes(&self) -> Vec<(usize, usize)> {
        self.templates.sizes()
    }

    /// Values and keys that were of a template.
    pub(super) fn templates_used(&self) -> (usize, usize) {
        (self.templates.used, self.key_templates.used)
    }
}

fn sort_by(values: ArrayRef) -> SortColumn {
    SortColumn { values, options: None }
}

/// The content of a logical message is bytes, schema or not.
fn message_hints() -> HashMap<String, Wire> {
    HashMap::from([("content".to_owned(), Wire::Bytes)])
}
