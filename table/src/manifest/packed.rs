//! The description of a file as its manifest has it: a tenth of the memory of the maps that it unpacks to, and pruning looks at a few
//! columns of it. It was understood wholly when it was read, so nothing can fail later.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, PrimitiveLiteral, Struct,
};

use super::avro::{block_length, number, string, take};
use super::kind::Kind;
use super::shape::{Field, Part, PartitionValue, Shape};

/// Why what is unpacked needs no error.
const UNDERSTOOD: &str = "it was understood when it was read";

/// What a manifest says of the columns of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Metric {
    ColumnSizes,
    Values,
    Nulls,
    Nans,
    Lower,
    Upper,
}

const METRICS: usize = 6;

#[derive(Debug, Clone)]
pub(crate) struct Packed {
    shape: Arc<Shape>,
    /// The bytes of the manifest.
    record: Box<[u8]>,
    path: Range<u32>,
    /// Where each metric begins in them, if it is there.
    metrics: [Option<u32>; METRICS],
    pub(super) content: DataContentType,
    pub(super) format: DataFileFormat,
    pub(super) partition: Struct,
    pub(super) record_count: u64,
    pub(super) size_bytes: u64,
    /// Its own, or the one that it inherits.
    pub(super) first_row_id: Option<i64>,
}

impl Packed {
    /// Takes a file from the front of the bytes; `None` if it is not wholly as it should be.
    pub(super) fn read(shape: &Arc<Shape>, rest: &mut &[u8]) -> Option<Self> {
        let whole = *rest;
        let place = |rest: &[u8]| u32::try_from(whole.len() - rest.len()).ok();
        let (mut content, mut path, mut format, mut partition) = (None, None, None, None);
        let (mut record_count, mut size_bytes, mut first_row_id) = (None, None, None);
        let mut metrics = [None; METRICS];
        for field in &shape.file {
            if is_null(field.null, rest)? {
                continue;
            }
            let begin = place(rest)?;
            match field.part {
                Part::Content => content = Some(DataContentType::try_from(int(rest)?).ok()?),
                Part::Path => {
                    let end_of = text(rest)?;
                    let end = place(rest)?;
                    path = Some(end.checked_sub(u32::try_from(end_of.len()).ok()?)?..end);
                }
                Part::Format => format = Some(text(rest)?.parse().ok()?),
                Part::Partition => partition = Some(read_partition(&shape.partition, rest)?),
                Part::Records => record_count = Some(u64::try_from(number(rest)?).ok()?),
                Part::Size => size_bytes = Some(u64::try_from(number(rest)?).ok()?),
                Part::FirstRow => first_row_id = Some(number(rest)?),
                part => match metric(part) {
                    Some(metric) => {
                        *metrics.get_mut(metric as usize)? = Some(begin);
                        check(shape, metric, rest)?;
                    }
                    None => Details::default().read(field, rest)?,
                },
            }
        }
        Some(Self {
            shape: shape.clone(),
            record: take(&mut { whole }, whole.len() - rest.len())?.into(),
            path: path?,
            metrics,
            content: content?,
            format: format?,
            partition: partition?,
            record_count: record_count?,
            size_bytes: size_bytes?,
            first_row_id,
        })
    }

    pub(super) fn path(&self) -> &str {
        let bytes = self.record.get(self.path.start as usize..self.path.end as usize);
        bytes.and_then(|bytes| str::from_utf8(bytes).ok()).expect(UNDERSTOOD)
    }

    pub(super) fn count(&self, metric: Metric, field_id: i32) -> Option<u64> {
        let (mut rest, mut found) = (self.metric(metric)?, None);
        counts(&mut rest, |id, count| {
            if id == field_id && count.is_some() {
                found = count;
            }
        });
        found
    }

    pub(super) fn bound(&self, metric: Metric, field_id: i32) -> Option<Datum> {
        let (mut rest, mut found) = (self.metric(metric)?, None);
        bounds(&mut rest, |id, bound| {
            if id == field_id {
                found = Some(bound);
            }
        });
        let kind = self.shape.bounds_of(field_id)??;
        Some(Datum::try_from_bytes(found?, kind.clone()).expect(UNDERSTOOD))
    }

    pub(super) fn referenced_data_file(&self) -> Option<String> {
        self.details().referenced
    }

    pub(super) fn content_offset(&self) -> Option<i64> {
        self.details().offset
    }

    pub(super) fn content_size_in_bytes(&self) -> Option<i64> {
        self.details().length
    }

    pub(super) fn split_offsets(&self) -> Option<Vec<i64>> {
        self.details().splits
    }

    pub(super) fn unpacked(&self) -> DataFile {
        let details = self.details();
        let mut built = DataFileBuilder::default();
        built
            .content(self.content)
            .file_path(self.path().to_owned())
            .file_format(self.format)
            .partition(self.partition.clone())
            .partition_spec_id(self.shape.spec_id)
            .record_count(self.record_count)
            .file_size_in_bytes(self.size_bytes)
            .column_sizes(self.counts(Metric::ColumnSizes))
            .value_counts(self.counts(Metric::Values))
            .null_value_counts(self.counts(Metric::Nulls))
            .nan_value_counts(self.counts(Metric::Nans))
            .lower_bounds(self.bounds(Metric::Lower))
            .upper_bounds(self.bounds(Metric::Upper))
            .key_metadata(details.key)
            .split_offsets(details.splits)
            .equality_ids(details.equality_ids)
            .first_row_id(self.first_row_id)
            .referenced_data_file(details.referenced)
            .content_offset(details.offset)
            .content_size_in_bytes(details.length);
        if let Some(order) = details.sort_order {
            built.sort_order_id(order);
        }
        built.build().expect("everything that a file must have was set")
    }

    /// Memory that is not in the value itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.record.len() + partition_bytes(&self.partition)
    }

    fn metric(&self, metric: Metric) -> Option<&[u8]> {
        let begin = (*self.metrics.get(metric as usize)?)?;
        self.record.get(begin as usize..)
    }

    /// Gives each count with the field id of its column.
    pub(super) fn each_count(&self, metric: Metric, mut each: impl FnMut(i32, u64)) {
        if let Some(mut rest) = self.metric(metric) {
            counts(&mut rest, |id, count| {
                if let Some(count) = count {
                    each(id, count);
                }
            });
        }
    }

    fn counts(&self, metric: Metric) -> HashMap<i32, u64> {
        let mut found = HashMap::new();
        self.each_count(metric, |id, count| {
            found.insert(id, count);
        });
        found
    }

    fn bounds(&self, metric: Metric) -> HashMap<i32, Datum> {
        let mut found = HashMap::new();
        if let Some(mut rest) = self.metric(metric) {
            bounds(&mut rest, |id, bound| {
                let kind = self.shape.bounds_of(id).expect(UNDERSTOOD);
                let datum = |kind| Datum::try_from_bytes(bound, kind).expect(UNDERSTOOD);
                found.extend(kind.cloned().map(|kind| (id, datum(kind))));
            });
        }
        found
    }

    fn details(&self) -> Details {
        let (mut rest, mut details) = (&self.record[..], Details::default());
        for field in &self.shape.file {
            let read = is_null(field.null, &mut rest).and_then(|null| match null {
                true => Some(()),
                false => details.read(field, &mut rest),
            });
            read.expect(UNDERSTOOD);
        }
        details
    }
}

/// Memory of partition values that is not in the struct itself, in bytes.
pub(crate) fn partition_bytes(partition: &Struct) -> usize {
    let texts = partition.iter().flatten().map(|value| match value {
        Literal::Primitive(PrimitiveLiteral::String(text)) => text.len(),
        Literal::Primitive(PrimitiveLiteral::Binary(bytes)) => bytes.len(),
        _ => 0,
    });
    size_of_val(partition.fields()) + texts.sum::<usize>()
}

/// What is seldom asked for.
#[derive(Debug, Default)]
struct Details {
    key: Option<Vec<u8>>,
    splits: Option<Vec<i64>>,
    equality_ids: Option<Vec<i32>>,
    sort_order: Option<i32>,
    referenced: Option<String>,
    offset: Option<i64>,
    length: Option<i64>,
}

impl Details {
    fn read(&mut self, field: &Field, rest: &mut &[u8]) -> Option<()> {
        match field.part {
            Part::Key => self.key = Some(string(rest)?.to_vec()),
            Part::Splits => self.splits = Some(list(rest, number)?),
            Part::EqualityIds => self.equality_ids = Some(list(rest, int)?),
            Part::SortOrder => self.sort_order = Some(int(rest)?),
            Part::Referenced => self.referenced = Some(text(rest)?.to_owned()),
            Part::Offset => self.offset = Some(number(rest)?),
            Part::Length => self.length = Some(number(rest)?),
            _ => field.kind.skip(rest)?,
        }
        Some(())
    }
}

fn metric(part: Part) -> Option<Metric> {
    Some(match part {
        Part::ColumnSizes => Metric::ColumnSizes,
        Part::Values => Metric::Values,
        Part::Nulls => Metric::Nulls,
        Part::Nans => Metric::Nans,
        Part::Lower => Metric::Lower,
        Part::Upper => Metric::Upper,
        _ => return None,
    })
}

/// Passes over a metric that can be unpacked.
fn check(shape: &Shape, metric: Metric, rest: &mut &[u8]) -> Option<()> {
    match metric {
        Metric::Lower | Metric::Upper => {
            let mut all = true;
            bounds(rest, |id, bound| {
                all &= match shape.bounds_of(id) {
                    Some(Some(kind)) => Datum::try_from_bytes(bound, kind.clone()).is_ok(),
                    Some(None) => true,
                    None => false,
                };
            })?;
            all.then_some(())
        }
        Metric::ColumnSizes | Metric::Values | Metric::Nulls | Metric::Nans => counts(rest, |_, _| {}),
    }
}

/// Gives each count with the field id of its column; none where it is below zero.
fn counts(rest: &mut &[u8], mut each: impl FnMut(i32, Option<u64>)) -> Option<()> {
    blocks(rest, |rest| {
        each(int(rest)?, u64::try_from(number(rest)?).ok());
        Some(())
    })
}

fn bounds<'a>(rest: &mut &'a [u8], mut each: impl FnMut(i32, &'a [u8])) -> Option<()> {
    blocks(rest, |rest| {
        each(int(rest)?, string(rest)?);
        Some(())
    })
}

fn list<T>(rest: &mut &[u8], item: fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let mut found = Vec::new();
    blocks(rest, |rest| {
        found.push(item(rest)?);
        Some(())
    })?;
    Some(found)
}

pub(super) fn blocks<'a>(rest: &mut &'a [u8], mut item: impl FnMut(&mut &'a [u8]) -> Option<()>) -> Option<()> {
    loop {
        let count = block_length(rest)?;
        if count == 0 {
            return Some(());
        }
        for _ in 0..count {
            item(rest)?;
        }
    }
}

fn read_partition(values: &[PartitionValue], rest: &mut &[u8]) -> Option<Struct> {
    let read = values.iter().map(|value| {
        if is_null(value.null, rest)? {
            return Some(None);
        }
        let literal = match value.kind {
            Kind::Boolean => match take(rest, 1)? {
                [0] => PrimitiveLiteral::Boolean(false),
                [1] => PrimitiveLiteral::Boolean(true),
                _ => return None,
            },
            Kind::Int => PrimitiveLiteral::Int(int(rest)?),
            Kind::Long => PrimitiveLiteral::Long(number(rest)?),
            Kind::Text => PrimitiveLiteral::String(text(rest)?.to_owned()),
            _ => return None,
        };
        Some(Some(Literal::Primitive(literal)))
    });
    Some(Struct::from_iter(read.collect::<Option<Vec<_>>>()?))
}

/// Whether the branch of a union that comes next is null. What is always there has no branches.
pub(super) fn is_null(null: Option<i64>, rest: &mut &[u8]) -> Option<bool> {
    let Some(null) = null else { return Some(false) };
    let branch = number(rest)?;
    (0..=1).contains(&branch).then_some(branch == null)
}

pub(super) fn int(rest: &mut &[u8]) -> Option<i32> {
    i32::try_from(number(rest)?).ok()
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    str::from_utf8(string(rest)?).ok()
}
