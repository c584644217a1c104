//! Leaves out manifests and files that hold no row of a filter. What is not known keeps the file.

use std::collections::HashMap;

use iceberg::spec::{Datum, FieldSummary, Literal, ManifestFile, PrimitiveType, TableMetadata, Transform};

use super::ScanFile;
use super::parts::Verdict;
use crate::manifest::{Description, Entry};
use crate::predicate::{Leaf, Predicate, Range, Value, may_hold, must_hold, trusted};

/// DuckDB cut the upper bounds of texts in manifest lists at so many bytes until June 2026, and did not round them up.
const CUT_BYTES: usize = 16;

/// Knows which partition values tell something about which column.
#[derive(Debug)]
pub(crate) struct Pruner<'a> {
    filter: Option<&'a Predicate>,
    /// By partition spec id, its fields in order.
    specs: HashMap<i32, Vec<Option<Bound>>>,
}

/// A partition field whose source column the table still has.
#[derive(Debug)]
struct Bound {
    source_id: i32,
    transform: Transform,
    /// Type of the partition value.
    kind: PrimitiveType,
}

impl<'a> Pruner<'a> {
    pub(crate) fn new(table: &TableMetadata, filter: Option<&'a Predicate>) -> Self {
        let bind = |field: &iceberg::spec::PartitionField| {
            let source = table.current_schema().field_by_id(field.source_id)?;
            let result = field.transform.result_type(&source.field_type).ok()?;
            let counts = !matches!(field.transform, Transform::Identity | Transform::Truncate(_));
            Some(Bound {
                source_id: field.source_id,
                transform: field.transform,
                // Buckets and times are counts, whatever the specification calls their type.
                kind: if counts {
                    PrimitiveType::Int
                } else {
                    result.as_primitive_type()?.clone()
                },
            })
        };
        let specs = match filter {
            Some(_) => {
                let all = table.partition_specs_iter();
                all.map(|spec| (spec.spec_id(), spec.fields().iter().map(bind).collect()))
                    .collect()
            }
            None => HashMap::new(),
        };
        Self { filter, specs }
    }

    pub(super) fn keeps_manifest(&self, manifest: &ManifestFile) -> bool {
        let (Some(filter), Some(summaries)) = (self.filter, &manifest.partitions) else {
            return true;
        };
        let bounds = self.bounds(manifest.partition_spec_id, summaries.len());
        let ranges: Vec<(&Bound, Range)> = bounds
            .iter()
            .zip(summaries)
            .filter_map(|(bound, summary)| bound.as_ref().map(|bound| (bound, of_summary(summary, &bound.kind))))
            .collect();
        may_hold(filter, &|field_id, leaf| among_partitions(&ranges, field_id, leaf))
    }

    pub(crate) fn keeps_file(&self, entry: &Entry) -> bool {
        let Some(filter) = self.filter else { return true };
        let ranges = self.values(entry.spec_id, entry.file.partition().fields());
        may_hold(filter, &|field_id, leaf| {
            among_partitions(&ranges, field_id, leaf)
                && (is_told(&ranges, field_id) || of_column(&entry.file, field_id).may(leaf))
        })
    }

    /// What the partition alone says of a condition on the rows of a file.
    pub(super) fn verdict(&self, condition: &Predicate, file: &ScanFile) -> Verdict {
        let ranges = self.values(file.spec_id, file.partition.fields());
        let may = |condition: &Predicate| may_hold(condition, &|id, leaf| among_partitions(&ranges, id, leaf));
        if !may(condition) {
            return Verdict::NoRow;
        }
        // A partition value is null exactly where its column is; there most conditions are unknown, and so are their opposites.
        let is_unknown = |id: i32, leaf: &Leaf| {
            let null = |(bound, range): &(&Bound, Range)| bound.source_id == id && !range.may_be_value;
            !matches!(leaf, Leaf::IsNull | Leaf::NotNull) && ranges.iter().any(null)
        };
        let opposite = !condition.clone();
        match may_hold(&opposite, &|id, leaf| {
            is_unknown(id, leaf) || among_partitions(&ranges, id, leaf)
        }) {
            true => Verdict::Unknown,
            false => Verdict::EveryRow,
        }
    }

    /// Whether every row of a file surely fulfils a condition.
    pub(super) fn covers(&self, condition: &Predicate, file: &ScanFile) -> bool {
        let ranges = self.values(file.spec_id, file.partition.fields());
        must_hold(condition, &|field_id, leaf| {
            must_among_partitions(&ranges, field_id, leaf)
                || (!is_told(&ranges, field_id) && of_column(file.description(), field_id).must(leaf))
        })
    }

    fn values(&self, spec_id: i32, values: &[Option<Literal>]) -> Vec<(&Bound, Range)> {
        let bounds = self.bounds(spec_id, values.len());
        bounds
            .iter()
            .zip(values)
            .filter_map(|(bound, value)| bound.as_ref().and_then(|bound| Some((bound, of_value(value, bound)?))))
            .collect()
    }

    fn bounds(&self, spec_id: i32, fields: usize) -> &[Option<Bound>] {
        // A partition that does not fit its spec tells nothing.
        self.specs
            .get(&spec_id)
            .filter(|bounds| bounds.len() == fields)
            .map_or(&[], Vec::as_slice)
    }
}

/// Whether a partition tells the column's value itself. Then nothing else is asked: the file may lack the column, and what its writer
/// counts of it is of nothing.
fn is_told(ranges: &[(&Bound, Range)], field_id: i32) -> bool {
    let mut of_column = ranges.iter().filter(|(bound, _)| bound.source_id == field_id);
    of_column.any(|(bound, _)| bound.transform == Transform::Identity)
}

/// Every partition field of the column must allow the condition.
fn among_partitions(ranges: &[(&Bound, Range)], field_id: i32, leaf: &Leaf) -> bool {
    let of_column = ranges.iter().filter(|(bound, _)| bound.source_id == field_id);
    of_column
        .into_iter()
        .all(|(bound, range)| match leaf.projected(bound.transform) {
            Some(projected) => projected.iter().any(|leaf| range.may(leaf)),
            None => true,
        })
}

/// Some partition field of the column tells that the condition holds for all of its rows.
fn must_among_partitions(ranges: &[(&Bound, Range)], field_id: i32, leaf: &Leaf) -> bool {
    let mut of_column = ranges.iter().filter(|(bound, _)| bound.source_id == field_id);
    of_column.any(|(bound, range)| match (bound.transform, leaf) {
        (Transform::Void | Transform::Unknown, _) => false,
        (Transform::Identity, leaf) => range.must(leaf),
        // A partition value is null exactly where its column is.
        (_, Leaf::IsNull | Leaf::NotNull) => range.must(leaf),
        (transform, leaf) => {
            let excludes = |leaves: Vec<Leaf>| !leaves.iter().any(|leaf| range.may(leaf));
            !range.may_be_null && !leaf.is_contested() && leaf.opposite().projected(transform).is_some_and(excludes)
        }
    })
}

fn of_summary(summary: &FieldSummary, kind: &PrimitiveType) -> Range {
    let bound = |bytes: Option<&[u8]>| Value::of(&Datum::try_from_bytes(bytes?, kind.clone()).ok()?);
    let lower = bound(summary.lower_bound.as_ref().map(|bytes| bytes.as_slice()));
    let is_whole = |bytes: &&[u8]| !(is_text(kind) && bytes.len() == CUT_BYTES);
    let upper = summary.upper_bound.as_ref().map(|bytes| bytes.as_slice());
    let (lower, upper) = trusted(lower, bound(upper.filter(is_whole)));
    let may_be_nan = is_float(kind) && summary.contains_nan.unwrap_or(true);
    Range {
        may_be_null: summary.contains_null,
        // Without bounds all may be null, or the writer did not tell.
        may_be_value: true,
        may_be_nan,
        is_one: false,
        lower,
        upper,
    }
}

fn of_value(value: &Option<Literal>, bound: &Bound) -> Option<Range> {
    match value {
        None => Some(Range::exactly(None)),
        Some(Literal::Primitive(literal)) => Some(Range::exactly(Some(Value::from_literal(literal, &bound.kind)?))),
        Some(_) => None,
    }
}

fn of_column(file: &Description, field_id: i32) -> Range {
    let (nulls, values) = (file.null_value_count(field_id), file.value_count(field_id));
    let (lower, upper) = (file.lower_bound(field_id), file.upper_bound(field_id));
    // Bounds leave NaN out: a column of nothing else has none.
    let may_be_nan = match (&lower, &upper) {
        (None, None) => true,
        bounds => [bounds.0, bounds.1]
            .into_iter()
            .flatten()
            .any(|bound| is_float(bound.data_type())),
    } && file.nan_value_count(field_id) != Some(0);
    let is_bounded = lower.is_some() || upper.is_some();
    let (lower, upper) = trusted(lower.as_ref().and_then(Value::of), upper.as_ref().and_then(Value::of));
    // Some writers count values without nulls, others what is in all files of a commit: that tells nothing of the rows of this one.
    let rows = file.record_count();
    let nulls = nulls.filter(|nulls| *nulls <= rows && values.is_none_or(|values| values == rows));
    Range {
        may_be_null: nulls != Some(0),
        // Of nulls only there are no bounds.
        may_be_value: is_bounded || values.is_none() || nulls != Some(rows),
        may_be_nan,
        is_one: false,
        lower,
        upper,
    }
}

fn is_float(kind: &PrimitiveType) -> bool {
    matches!(kind, PrimitiveType::Float | PrimitiveType::Double)
}

fn is_text(kind: &PrimitiveType) -> bool {
    matches!(kind, PrimitiveType::String | PrimitiveType::Binary)
}

#[cfg(test)]
mod tests;
