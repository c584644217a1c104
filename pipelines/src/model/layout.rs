//! `partition_by` and `sort_by`.

use std::fmt;

use iceberg::spec::Transform;

use crate::error::{PipelineError, Place, Result};

/// One partition field: an Iceberg transform of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionBy {
    /// The column.
    pub column: String,
    /// The transform.
    pub transform: Transform,
}

impl PartitionBy {
    /// Name of the partition field, as other engines give it.
    pub fn field_name(&self) -> String {
        match self.transform {
            Transform::Identity => self.column.clone(),
            Transform::Bucket(_) => format!("{}_bucket", self.column),
            Transform::Truncate(_) => format!("{}_trunc", self.column),
            other => format!("{}_{other}", self.column),
        }
    }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transform {
            Transform::Identity => f.write_str(&self.column),
            Transform::Bucket(count) => write!(f, "bucket({count}, {})", self.column),
            Transform::Truncate(width) => write!(f, "truncate({width}, {})", self.column),
            other => write!(f, "{other}({})", self.column),
        }
    }
}

/// One sort column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortBy {
    /// The column.
    pub column: String,
    /// Greatest first.
    pub descending: bool,
}

impl fmt::Display for SortBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.descending { " desc" } else { "" };
        write!(f, "{}{order}", self.column)
    }
}

/// `bucket(16, patient_id)`, `day(at)`, `truncate(4, zip)`, `status`; Spark's plural names as well.
pub(super) fn partition_by(place: &Place, text: &str) -> Result<PartitionBy> {
    let invalid = || PipelineError::Value {
        place: place.clone(),
        reason: format!(
            "partition_by {text:?}: write a column, or bucket(n, column), truncate(n, column), year(column), \
             month(column), day(column), hour(column); within a list in quotes, as YAML divides it at commas: \
             ['bucket(4, id)']"
        ),
    };
    let text = text.trim();
    let Some((function, arguments)) = text.split_once('(') else {
        return match column(text) {
            Some(column) => Ok(PartitionBy {
                column,
                transform: Transform::Identity,
            }),
            None => Err(invalid()),
        };
    };
    let arguments = arguments.strip_suffix(')').ok_or_else(invalid)?;
    let (number, name) = match arguments.split_once(',') {
        Some((first, second)) => match first.trim().parse::<u32>() {
            Ok(number) => (Some(number), second),
            Err(_) => (Some(second.trim().parse::<u32>().map_err(|_| invalid())?), first),
        },
        None => (None, arguments),
    };
    let transform = match (function.trim().to_ascii_lowercase().as_str(), number) {
        ("bucket", Some(count)) if count > 0 => Transform::Bucket(count),
        ("truncate", Some(width)) if width > 0 => Transform::Truncate(width),
        ("identity", None) => Transform::Identity,
        ("year" | "years", None) => Transform::Year,
        ("month" | "months", None) => Transform::Month,
        ("day" | "days", None) => Transform::Day,
        ("hour" | "hours", None) => Transform::Hour,
        _ => return Err(invalid()),
    };
    let column = column(name.trim()).ok_or_else(invalid)?;
    Ok(PartitionBy { column, transform })
}

/// `patient_id`, `recorded_at desc`.
pub(super) fn sort_by(place: &Place, text: &str) -> Result<SortBy> {
    let mut words = text.split_whitespace();
    let name = words.next().and_then(column);
    let order = words.next().map(str::to_ascii_lowercase);
    match (name, order.as_deref(), words.next()) {
        (Some(column), None | Some("asc"), None) => Ok(SortBy {
            column,
            descending: false,
        }),
        (Some(column), Some("desc"), None) => Ok(SortBy {
            column,
            descending: true,
        }),
        _ => Err(PipelineError::Value {
            place: place.clone(),
            reason: format!("sort_by {text:?}: write a column, then asc or desc"),
        }),
    }
}

fn column(text: &str) -> Option<String> {
    let plain = text.trim_matches('"');
    let good = !plain.is_empty() && plain.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    good.then(|| plain.to_owned())
}
