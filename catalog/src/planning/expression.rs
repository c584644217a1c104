//! The protocol's filter expressions: read, bound to a schema, turned into conditions for pruning and into residuals.

use iceberg::spec::{Datum, NestedFieldRef, Schema};
use serde_json::{Value, json};

use super::literal::datum;
use crate::error::{CatalogError, Result};
use tidewater_table::{Comparison, Predicate, Verdict};

/// A filter whose columns are known. It holds no negation: that moved into the leaves, as the table format defines it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    True,
    False,
    And(Vec<Filter>),
    Or(Vec<Filter>),
    /// A condition as it is written, and as pruning understands it.
    Leaf {
        written: Value,
        condition: Predicate,
        /// Whether engines differ on what the condition is for null: it may hold there, or be unknown.
        null_too: Option<i32>,
    },
}

/// What a filter's names mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) schema: &'a Schema,
    pub(super) case_sensitive: bool,
}

impl Names<'_> {
    pub(super) fn field(&self, name: &str) -> Result<&NestedFieldRef> {
        let found = match self.case_sensitive {
            true => self.schema.field_by_name(name),
            false => self.schema.field_by_name_case_insensitive(name),
        };
        found.ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            CatalogError::bad_request(format!("the schema has no column {shown:?}"))
        })
    }
}

impl Filter {
    pub(super) fn bind(expression: &Value, names: Names<'_>) -> Result<Self> {
        bind(expression, false, names)
    }

    /// For pruning: holds wherever the filter may hold, in any engine's reading of null.
    pub(super) fn condition(&self) -> Predicate {
        let all = |parts: &[Self]| parts.iter().map(Self::condition).collect();
        match self {
            Self::True => Predicate::Always,
            Self::False => Predicate::Never,
            Self::And(parts) => Predicate::And(all(parts)),
            Self::Or(parts) => Predicate::Or(all(parts)),
            Self::Leaf {
                condition,
                null_too: Some(field_id),
                ..
            } => condition.clone().or(Predicate::IsNull { field_id: *field_id }),
            Self::Leaf { condition, .. } => condition.clone(),
        }
    }

    /// What is left to check when `verdict` tells what holds for each row.
    pub(super) fn residual(&self, verdict: &impl Fn(&Predicate) -> Verdict) -> Self {
        match self {
            Self::True | Self::False => self.clone(),
            Self::And(parts) => and(parts.iter().map(|part| part.residual(verdict))),
            Self::Or(parts) => or(parts.iter().map(|part| part.residual(verdict))),
            // Nothing is settled that engines read in different ways: the leaf stays, and each has its own reading.
            Self::Leaf { condition, .. } => match (verdict(condition), verdict(&self.condition())) {
                (Verdict::EveryRow, _) => Self::True,
                (_, Verdict::NoRow) => Self::False,
                _ => self.clone(),
            },
        }
    }

    /// As the protocol writes it.
    pub(super) fn to_json(&self) -> Value {
        let joined = |kind: &str, parts: &[Self]| {
            let written = parts.iter().map(Self::to_json);
            let joined = written.reduce(|left, right| json!({"type": kind, "left": left, "right": right}));
            joined.unwrap_or_else(|| Value::Bool(kind == "and"))
        };
        match self {
            Self::True => Value::Bool(true),
            Self::False => Value::Bool(false),
            Self::And(parts) => joined("and", parts),
            Self::Or(parts) => joined("or", parts),
            Self::Leaf { written, .. } => written.clone(),
        }
    }
}

fn and(parts: impl Iterator<Item = Filter>) -> Filter {
    let mut left = Vec::new();
    for part in parts {
        match part {
            Filter::True => {}
            Filter::False => return Filter::False,
            Filter::And(inner) => left.extend(inner),
            part => left.push(part),
        }
    }
    match left.len() {
        0 => Filter::True,
        1 => left.remove(0),
        _ => Filter::And(left),
    }
}

fn or(parts: impl Iterator<Item = Filter>) -> Filter {
    let mut left = Vec::new();
    for part in parts {
        match part {
            Filter::False => {}
            Filter::True => return Filter::True,
            Filter::Or(inner) => left.extend(inner),
            part => left.push(part),
        }
    }
    match left.len() {
        0 => Filter::False,
        1 => left.remove(0),
        _ => Filter::Or(left),
    }
}

fn bind(expression: &Value, negated: bool, names: Names<'_>) -> Result<Filter> {
    let constant = |value: bool| if value == negated { Filter::False } else { Filter::True };
    if let Value::Bool(value) = expression {
        return Ok(constant(*value));
    }
    let kind = expression.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| malformed("an expression has no type"))?;
    let part = |name: &str| {
        expression
            .get(name)
            .ok_or_else(|| malformed(&format!("{kind} has no {name}")))
    };
    match kind {
        "true" => Ok(constant(true)),
        "false" => Ok(constant(false)),
        "not" => bind(part("child")?, !negated, names),
        "and" | "or" => {
            let parts = [
                bind(part("left")?, negated, names)?,
                bind(part("right")?, negated, names)?,
            ];
            Ok(match (kind == "and") != negated {
                true => and(parts.into_iter()),
                false => or(parts.into_iter()),
            })
        }
        kind => leaf(expression, kind, negated, names),
    }
}

/// Each operator with its opposite.
const OPPOSITES: [(&str, &str); 7] = [
    ("is-null", "not-null"),
    ("is-nan", "not-nan"),
    ("lt", "gt-eq"),
    ("gt", "lt-eq"),
    ("eq", "not-eq"),
    ("in", "not-in"),
    ("starts-with", "not-starts-with"),
];

fn leaf(expression: &Value, kind: &str, negated: bool, names: Names<'_>) -> Result<Filter> {
    let pair = OPPOSITES.iter().find(|(one, other)| kind == *one || kind == *other);
    let Some((one, other)) = pair else {
        let shown: String = kind.chars().take(40).collect();
        return Err(malformed(&format!("there is no expression {shown:?}")));
    };
    let kind = if (kind == *one) == negated { other } else { one };
    let term = expression
        .get("term")
        .ok_or_else(|| malformed(&format!("{kind} has no term")))?;
    let operands = operands(expression, kind)?;
    let mut written = expression.clone();
    if let Some(members) = written.as_object_mut() {
        members.insert("type".into(), json!(kind));
    }
    let (condition, null_too) = match column(term)? {
        Some(name) => {
            let field = names.field(name)?;
            let negative = matches!(*kind, "not-nan" | "not-eq" | "not-in" | "not-starts-with");
            (condition(kind, field, &operands, names), negative.then_some(field.id))
        }
        None => {
            transformed(term, names)?;
            (Predicate::Always, None)
        }
    };
    let null_too = null_too.filter(|_| condition != Predicate::Always);
    Ok(Filter::Leaf {
        written,
        condition,
        null_too,
    })
}

fn operands<'a>(expression: &'a Value, kind: &str) -> Result<Vec<&'a Value>> {
    match kind {
        "is-null" | "not-null" | "is-nan" | "not-nan" => Ok(Vec::new()),
        "in" | "not-in" => match expression.get("values").and_then(Value::as_array) {
            Some(values) => Ok(values.iter().collect()),
            None => Err(malformed(&format!("{kind} has no values"))),
        },
        _ => match expression.get("value") {
            Some(value) if !value.is_null() => Ok(vec![value]),
            _ => Err(malformed(&format!("{kind} has no value"))),
        },
    }
}

/// The column of a plain reference; none for a transform of one.
fn column(term: &Value) -> Result<Option<&str>> {
    match (term, term.get("type").and_then(Value::as_str)) {
        (Value::String(name), _) => Ok(Some(name)),
        (_, Some("reference")) => match term.get("term").and_then(Value::as_str) {
            Some(name) => Ok(Some(name)),
            None => Err(malformed("a reference names no column")),
        },
        (_, Some("transform")) => Ok(None),
        _ => Err(malformed("a term is neither a column nor a transform")),
    }
}

/// A transform of a column prunes nothing, but the column has to be there.
fn transformed(term: &Value, names: Names<'_>) -> Result<()> {
    let inner = term.get("term").ok_or_else(|| malformed("a transform has no term"))?;
    match column(inner)? {
        Some(name) => names.field(name).map(|_| ()),
        None => Err(malformed("a transform of a transform")),
    }
}

/// The condition with null as unknown.
fn condition(kind: &str, field: &NestedFieldRef, operands: &[&Value], names: Names<'_>) -> Predicate {
    let field_id = field.id;
    // Columns within lists and maps have many values a row: their statistics say nothing of the row.
    let (Some(primitive), true) = (
        field.field_type.as_primitive_type(),
        names.schema.accessor_by_field_id(field_id).is_some(),
    ) else {
        return Predicate::Always;
    };
    match kind {
        "is-null" => return Predicate::IsNull { field_id },
        "not-null" => return !Predicate::IsNull { field_id },
        "is-nan" => return Predicate::IsNan { field_id },
        "not-nan" => return !Predicate::IsNan { field_id },
        _ => {}
    }
    let values: Option<Vec<Datum>> = operands.iter().map(|value| datum(value, primitive)).collect();
    let Some(values) = values else {
        return Predicate::Always;
    };
    if matches!(kind, "in" | "not-in") {
        let within = Predicate::In { field_id, values };
        return if kind == "in" { within } else { !within };
    }
    let Some(value) = values.into_iter().next() else {
        return Predicate::Always;
    };
    let compare = |comparison, value| Predicate::compare(field_id, comparison, value);
    match kind {
        "lt" => compare(Comparison::Less, value),
        "lt-eq" => compare(Comparison::LessOrEqual, value),
        "gt" => compare(Comparison::Greater, value),
        "gt-eq" => compare(Comparison::GreaterOrEqual, value),
        "eq" => compare(Comparison::Equal, value),
        "not-eq" => compare(Comparison::NotEqual, value),
        "starts-with" | "not-starts-with" => {
            let Some(prefix) = operands.first().and_then(|value| value.as_str()) else {
                return Predicate::Always;
            };
            let Some(end) = after_all_with(prefix) else {
                return Predicate::Always;
            };
            let end = Datum::string(end);
            match kind == "starts-with" {
                true => compare(Comparison::GreaterOrEqual, value).and(compare(Comparison::Less, end)),
                false => compare(Comparison::Less, value).or(compare(Comparison::GreaterOrEqual, end)),
            }
        }
        _ => Predicate::Always,
    }
}

/// The first text that is after everything that begins with `prefix`.
fn after_all_with(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            // Between these two are the numbers that are no characters.
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

fn malformed(reason: &str) -> CatalogError {
    CatalogError::bad_request(format!("the filter is not valid: {reason}"))
}
