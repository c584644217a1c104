//! The columns that tell about a record: where it stood, when, and what is odd about it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array};
use arrow::error::ArrowError;

use super::column::Column;
use super::column_type::ColumnType;
use super::group::Notes;
use super::options::KeepRaw;
use super::temporal::{self, Moment};
use crate::layout::{FLAG_OUT_OF_RANGE, FLAG_SPLIT};
use crate::record::Record;

/// What a record tells apart from its row.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) op: &'static str,
    pub(crate) ts_ms: Option<i64>,
    pub(crate) event_us: Option<i64>,
    pub(crate) lsn: Option<i64>,
    pub(crate) schema_id: Option<i32>,
    pub(crate) flags: i32,
}

/// Columns about records.
#[derive(Debug)]
pub(crate) struct Metadata {
    partition: Vec<i32>,
    offset: Vec<i64>,
    op: Column,
    ts_ms: Column,
    kafka_ts: Column,
    ingested_at: Column,
    event_ts: Column,
    lsn: Column,
    schema_id: Column,
    unavailable: Column,
    flags: Column,
    raw: Column,
}

/// The columns, finished, with their names.
pub(crate) struct Finished {
    /// Whether rows stand in the order of partition and offset already.
    pub(crate) sorted: bool,
    pub(crate) partition: ArrayRef,
    pub(crate) offset: ArrayRef,
    pub(crate) others: Vec<(&'static str, ArrayRef)>,
}

impl Metadata {
    pub(crate) fn new() -> Self {
        Self {
            partition: Vec::new(),
            offset: Vec::new(),
            op: Column::new(&ColumnType::String),
            ts_ms: Column::new(&ColumnType::Long),
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

    /// Writes row `row`, as the last thing of a record: nothing fails here. Answers how much of the record is kept as it came.
    pub(crate) fn write(
        &mut self,
        row: usize,
        record: &Record,
        now_ms: i64,
        facts: &Facts,
        notes: &Notes,
        keep_raw: KeepRaw,
    ) -> usize {
        let kafka_ms = record.timestamp_ms.filter(|ms| *ms >= 0).unwrap_or(now_ms);
        let event_us = facts.event_us.unwrap_or_else(|| kafka_ms.saturating_mul(1_000));
        let mut flags = facts.flags;
        for (column, at) in [
            (&mut self.kafka_ts, temporal::timestamp(kafka_ms, 1_000, 1)),
            (&mut self.ingested_at, temporal::timestamp(now_ms, 1_000, 1)),
            (&mut self.event_ts, temporal::timestamp(event_us, 1, 1)),
        ] {
            match at {
                Moment::At(us) => push_long(column, row, Some(us)),
                Moment::Beyond => flags |= FLAG_OUT_OF_RANGE,
            }
        }
        if notes.out_of_range {
            flags |= FLAG_OUT_OF_RANGE;
        }
        if notes.split {
            flags |= FLAG_SPLIT;
        }
        self.partition.push(record.partition.number);
        self.offset.push(record.offset);
        self.op.push_bytes(facts.op.as_bytes());
        push_long(&mut self.ts_ms, row, facts.ts_ms);
        push_long(&mut self.lsn, row, facts.lsn);
        if let Some(id) = facts.schema_id {
            self.schema_id.pad_to(row);
            self.schema_id.push_int(id);
        }
        self.flags.push_int(flags);
        if !notes.unavailable.is_empty() {
            self.unavailable.pad_to(row);
            self.unavailable.push_texts(&notes.unavailable);
        }
        let keep = match keep_raw {
            KeepRaw::Never => false,
            KeepRaw::OnLoss => flags & FLAG_OUT_OF_RANGE != 0,
            KeepRaw::Always => true,
        };
        let (true, Some(value)) = (keep, &record.value) else {
            return 0;
        };
        self.raw.pad_to(row);
        self.raw.push_bytes(value);
        value.len()
    }

    pub(crate) fn finish(self, rows: usize) -> Result<Finished, ArrowError> {
        Ok(Finished {
            sorted: self.partition.iter().zip(&self.offset).is_sorted(),
            partition: Arc::new(Int32Array::from(self.partition)),
            offset: Arc::new(Int64Array::from(self.offset)),
            others: vec![
                ("op", self.op.finish(rows)?),
                ("ts_ms", self.ts_ms.finish(rows)?),
                ("_kafka_ts", self.kafka_ts.finish(rows)?),
                ("_ingested_at", self.ingested_at.finish(rows)?),
                ("_event_ts", self.event_ts.finish(rows)?),
                ("_lsn", self.lsn.finish(rows)?),
                ("_schema_id", self.schema_id.finish(rows)?),
                ("_unavailable", self.unavailable.finish(rows)?),
                ("_flags", self.flags.finish(rows)?),
                ("_raw", self.raw.finish(rows)?),
            ],
        })
    }
}

fn push_long(column: &mut Column, row: usize, value: Option<i64>) {
    if let Some(value) = value {
        column.pad_to(row);
        column.push_long(value);
    }
}
