//! Casts to types of PostgreSQL's own.

use datafusion::arrow::datatypes::{DataType as ArrowType, TimeUnit};
use datafusion::sql::sqlparser::ast::{
    Array, ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Expr, ObjectNamePart, TimezoneInfo, Value,
};

use super::super::names::{as_number, as_text, call, cast, text};
use super::moments::{figures, in_order};
use super::{spans, take, words};
use crate::pg_catalog::Postgres;
use crate::pg_catalog::array_text::elements;

/// A number that is cast to a decimal is read digit by digit, not as a floating-point number first.
pub(super) fn exact(expression: &mut Expr) {
    let Expr::Cast { expr, data_type, .. } = expression else {
        return;
    };
    if !matches!(data_type, DataType::Numeric(_) | DataType::Decimal(_)) {
        return;
    }
    let number = as_number(expr).or_else(|| as_text(expr).map(str::to_owned));
    let Some(number) =
        number.filter(|number| number.parse::<f64>().is_ok() && !number.contains(['e', 'E', 'n', 'N', 'i']))
    else {
        return;
    };
    if matches!(
        data_type,
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None)
    ) {
        let number = number.trim();
        let scale = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let digits = number.bytes().filter(u8::is_ascii_digit).count().max(1);
        if digits > 38 {
            return;
        }
        let (digits, scale) = (
            u64::try_from(digits).unwrap_or(38),
            i64::try_from(scale).unwrap_or_default(),
        );
        *data_type = DataType::Numeric(ExactNumberInfo::PrecisionAndScale(digits, scale));
    }
    **expr = text(&number);
}

/// The type's name without its schema, in lower case.
fn named(data_type: &DataType) -> String {
    match data_type {
        DataType::Custom(name, _) => {
            let last = name.0.last().and_then(ObjectNamePart::as_ident);
            last.map(|ident| ident.value.to_lowercase()).unwrap_or_default()
        }
        other => other.to_string().to_lowercase(),
    }
}

/// `json '{}'` is `CAST('{}' AS json)`, of whatever type it is. A name in quotes behind a type is no text.
pub(in super::super) fn of_literal(expression: &mut Expr) {
    if let Expr::TypedString(typed) = expression
        && !matches!(typed.value.value, Value::DoubleQuotedString(_))
        && let Some(written) = typed.value.value.clone().into_string()
    {
        *expression = cast(text(&written), typed.data_type.clone());
    }
}

pub(super) fn change(expression: &mut Expr, postgres: &Postgres) {
    clock(expression);
    if let Some(told) = words::meant(expression) {
        *expression = told;
        return;
    }
    let Expr::Cast { expr, data_type, .. } = expression else {
        return;
    };
    wide(data_type);
    let name = named(data_type);
    let inner = expr.as_mut();
    let changed = match name.as_str() {
        "regclass" => Some(class(inner)),
        "regtype" => Some(call("pg_regtype", vec![inner.clone()])),
        "regtype[]" => Some(call("pg_regtype_names", vec![inner.clone()])),
        "regproc" | "regprocedure" => Some(call("pg_regproc", vec![inner.clone()])),
        "regoper" | "regrole" | "regconfig" | "regcollation" => Some(cast(inner.clone(), DataType::Text)),
        "regnamespace" => Some(cast(inner.clone(), DataType::Text)),
        "oid" | "xid" | "cid" | "tid" => Some(match inner {
            Expr::Function(_) | Expr::Cast { .. } => inner.clone(),
            _ => cast(inner.clone(), DataType::BigInt(None)),
        }),
        "bytea" => Some(call("pg_bytea", vec![inner.clone()])),
        "uuid" => Some(call("pg_uuid", vec![inner.clone()])),
        "numeric" | "decimal" => Some(call("pg_numeric", vec![inner.clone()])),
        // The name of what a number stands for.
        "text" | "varchar" | "name" => of_number(inner).or_else(|| as_shown(inner, postgres)),
        "json" if !bare(inner) || as_text(inner).is_some() => Some(call("pg_json", vec![inner.clone()])),
        "jsonb" if !bare(inner) || as_text(inner).is_some() => Some(call("pg_jsonb", vec![inner.clone()])),
        "int2" | "smallint" => rounded("pg_int2", inner),
        "int4" | "int" | "integer" => rounded("pg_int4", inner),
        "int8" | "bigint" => rounded("pg_int8", inner),
        _ => varying(data_type).map(|length| {
            let shown = as_shown(inner, postgres).unwrap_or_else(|| cast(inner.clone(), DataType::Text));
            call(
                "left",
                vec![shown, Expr::value(Value::Number(length.to_string(), false))],
            )
        }),
    };
    if let Some(changed) = changed {
        *expression = changed;
        return;
    }
    if let (Some(of), Some(literal)) = (innermost(data_type), as_text(inner))
        && let Ok(items) = elements(literal)
    {
        *expression = listed(items, &of, postgres);
        return;
    }
    plain(data_type);
    span(inner, data_type);
    if let Some(written) = as_text(inner) {
        *inner = text(&read(written, data_type, postgres));
    }
    // A truth written as PostgreSQL may.
    if matches!(data_type, DataType::Boolean | DataType::Bool)
        && let Some(value) = as_text(inner).and_then(truth)
    {
        *expression = Expr::value(Value::Boolean(value));
    }
}

/// `float` has eight bytes, unless it is given fewer bits than those of four.
fn wide(data_type: &mut DataType) {
    if let DataType::Float(ExactNumberInfo::None | ExactNumberInfo::Precision(25..)) = data_type {
        *data_type = DataType::DoublePrecision;
    }
}

/// A time of day has microseconds, as columns have.
pub(in super::super) fn clock(expression: &mut Expr) {
    let is_clock = |of: &DataType| {
        matches!(
            of,
            DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone)
        )
    };
    let written = match expression {
        Expr::Cast { expr, data_type, .. } if is_clock(data_type) => take(expr),
        Expr::TypedString(typed) if is_clock(&typed.data_type) => match typed.value.value.clone().into_string() {
            Some(written) => text(&written),
            None => return,
        },
        _ => return,
    };
    *expression = call("arrow_cast", vec![written, text("Time64(Microsecond)")]);
}

/// The text of an interval as the query engine reads it.
fn span(inner: &mut Expr, data_type: &mut DataType) {
    if let DataType::Interval { fields, precision } = data_type
        && let Some(read) = as_text(inner).and_then(|written| spans::words(written, *fields, *precision))
    {
        (*fields, *precision) = (None, None);
        *inner = text(&read);
    }
}

/// Of a text that is cast to `varchar(n)` no more than `n` letters stay, and one that is cast to an interval is read as PostgreSQL reads it,
/// whoever asks.
pub(super) fn shared(expression: &mut Expr) {
    let Expr::Cast { expr, data_type, .. } = expression else {
        return;
    };
    wide(data_type);
    span(expr, data_type);
    if let Some(length) = varying(data_type) {
        let shown = cast(take(expr), DataType::Text);
        let length = Expr::value(Value::Number(length.to_string(), false));
        *expression = call("left", vec![shown, length]);
    }
}

/// A truth as PostgreSQL takes it; what is none stays to be refused.
fn truth(word: &str) -> Option<bool> {
    match word.trim().to_lowercase().as_str() {
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Some(true),
        "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A day or moment as the query engine reads it; other texts as they are.
fn read(written: &str, of: &DataType, postgres: &Postgres) -> String {
    if !matches!(of, DataType::Date | DataType::Timestamp(..)) {
        return written.to_owned();
    }
    let ordered = postgres.date_order().and_then(|order| in_order(written, order));
    let written = ordered.as_deref().unwrap_or(written);
    figures(written).unwrap_or_else(|| written.to_owned())
}

/// A literal or a parameter, whose cast says what it is.
fn bare(expression: &Expr) -> bool {
    match expression {
        Expr::Value(_) => true,
        Expr::Nested(inner) => bare(inner),
        _ => false,
    }
}

/// A cast to a whole number, which rounds; plain where there is nothing to round.
fn rounded(function: &str, inner: &Expr) -> Option<Expr> {
    let fraction = as_number(inner).is_some_and(|number| number.contains(['.', 'e', 'E']));
    (!bare(inner) || fraction).then(|| call(function, vec![inner.clone()]))
}

/// A value as the text that clients are shown, instants in the session's zone; literals are what they are.
fn as_shown(inner: &Expr, postgres: &Postgres) -> Option<Expr> {
    if bare(inner) {
        return None;
    }
    let zone = postgres
        .settings
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("timezone"));
    let zone = zone
        .map(|(_, zone)| zone.as_str())
        .filter(|zone| !zone.eq_ignore_ascii_case("utc"));
    let mut arguments = vec![inner.clone()];
    arguments.extend(zone.map(text));
    Some(call("pg_text", arguments))
}

/// The length of `varchar(n)`.
fn varying(of: &DataType) -> Option<u64> {
    match of {
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharacterVarying(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharVarying(Some(CharacterLength::IntegerLength { length, .. })) => Some(*length),
        _ => None,
    }
}

fn element_type(element: &ArrayElemTypeDef) -> Option<DataType> {
    match element {
        ArrayElemTypeDef::AngleBracket(of)
        | ArrayElemTypeDef::SquareBracket(of, _)
        | ArrayElemTypeDef::Parenthesis(of) => Some(of.as_ref().clone()),
        ArrayElemTypeDef::None => None,
    }
}

/// The type of an array's elements, however many dimensions are said: PostgreSQL does not count them.
fn innermost(of: &DataType) -> Option<DataType> {
    let DataType::Array(element) = of else {
        return None;
    };
    let element = element_type(element)?;
    innermost(&element).or(Some(element))
}

/// An array of these elements, each of them read as a literal of this type.
fn listed(items: Vec<Option<String>>, of: &DataType, postgres: &Postgres) -> Expr {
    let none = items.is_empty();
    let items = items.into_iter().map(|item| {
        let item = item.map_or_else(|| Expr::value(Value::Null), |item| text(&item));
        let mut item = cast(item, of.clone());
        exact(&mut item);
        change(&mut item, postgres);
        item
    });
    let array = Expr::Array(Array {
        elem: items.collect(),
        named: true,
    });
    let mut of = of.clone();
    plain(&mut of);
    // What has no elements that tell its type is told it, if the query engine has it by a name.
    match none && !matches!(of, DataType::Uuid | DataType::Regclass | DataType::Custom(..)) {
        true => cast(
            array,
            DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(of), None)),
        ),
        false => array,
    }
}

/// Types as the query engine has them.
pub(super) fn plain(data_type: &mut DataType) {
    let changed = match &*data_type {
        // Microseconds, as PostgreSQL has them: nanoseconds end in 2262.
        DataType::Timestamp(None | Some(4..), zone) => Some(DataType::Timestamp(Some(6), *zone)),
        DataType::Custom(..) => match named(data_type).as_str() {
            "timestamptz" => Some(DataType::Timestamp(Some(6), TimezoneInfo::Tz)),
            "name" | "char" | "unknown" | "citext" | "json" | "jsonb" | "inet" | "cidr" | "xml" | "money"
            | "bpchar" => Some(DataType::Text),
            "text" | "varchar" => Some(DataType::Text),
            "date" => Some(DataType::Date),
            "timestamp" => Some(DataType::Timestamp(Some(6), TimezoneInfo::None)),
            "interval" => Some(DataType::Interval {
                fields: None,
                precision: None,
            }),
            "bool" => Some(DataType::Boolean),
            "int2" => Some(DataType::SmallInt(None)),
            "int4" => Some(DataType::Integer(None)),
            "int8" | "oid" => Some(DataType::BigInt(None)),
            "float4" => Some(DataType::Real),
            "float8" => Some(DataType::DoublePrecision),
            "int2vector" | "oidvector" => None,
            _ => None,
        },
        DataType::JSON | DataType::JSONB | DataType::Character(_) | DataType::Char(_) => Some(DataType::Text),
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => Some(DataType::Text),
        DataType::Array(element) => {
            let element = element_type(element);
            element.map(|mut of| {
                plain(&mut of);
                DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(of), None))
            })
        }
        _ => None,
    };
    if let Some(changed) = changed {
        *data_type = changed;
    }
}

/// Whether it is `'t'::regclass` of a name that is written out.
pub(in super::super) fn of_class(expression: &Expr) -> bool {
    matches!(expression, Expr::Cast { expr, data_type, .. } if named(data_type) == "regclass" && as_text(expr).is_some())
}

/// `x::regclass`: a name is a number, a number shows as a name.
fn class(inner: &Expr) -> Expr {
    match inner {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => call("pg_regclass_name", vec![inner.clone()]),
        Expr::Nested(nested) => class(nested),
        _ => call("pg_regclass", vec![inner.clone()]),
    }
}

/// `x::regclass::text`, and the same of types and functions.
fn of_number(inner: &mut Expr) -> Option<Expr> {
    let Expr::Function(function) = inner else {
        return None;
    };
    let name = function.name.0.last().and_then(ObjectNamePart::as_ident)?.value.clone();
    let shown = match name.as_str() {
        "pg_regclass" => "pg_regclass_name",
        "pg_regtype" => "pg_regtype_name",
        "pg_regproc" => "pg_regproc_name",
        "pg_regclass_name" | "pg_regtype_name" | "pg_regproc_name" => return Some(inner.clone()),
        _ => return None,
    };
    let mut boxed = Box::new(inner.clone());
    Some(call(shown, vec![take(&mut boxed)]))
}

/// A text that a client sends for a moment or a span, as the query engine reads it; `None` where it stands so already.
pub fn sent_text(text: &str, of: &ArrowType) -> Option<String> {
    match of {
        ArrowType::Timestamp(..) => figures(text),
        ArrowType::Interval(_) => spans::words(text, None, None),
        _ => None,
    }
}

/// A parameter of the type that the client said.
pub(super) fn parameter(name: &str, postgres: &Postgres) -> Option<Expr> {
    let number: usize = name.strip_prefix('$')?.parse().ok()?;
    let of = postgres.parameters.get(number.checked_sub(1)?)?.as_ref()?;
    let wanted = match of {
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int16 => DataType::SmallInt(None),
        ArrowType::Int32 => DataType::Integer(None),
        ArrowType::Int64 => DataType::BigInt(None),
        ArrowType::Float32 => DataType::Real,
        ArrowType::Float64 => DataType::DoublePrecision,
        ArrowType::Date32 => DataType::Date,
        ArrowType::Time64(_) => DataType::Time(None, TimezoneInfo::None),
        ArrowType::Timestamp(TimeUnit::Microsecond, None) => DataType::Timestamp(Some(6), TimezoneInfo::None),
        ArrowType::Timestamp(TimeUnit::Microsecond, Some(_)) => DataType::Timestamp(Some(6), TimezoneInfo::Tz),
        ArrowType::Interval(_) => DataType::Interval {
            fields: None,
            precision: None,
        },
        ArrowType::Utf8 => DataType::Text,
        ArrowType::Binary => DataType::Bytea,
        // Decimals come with their own digits, arrays with their elements.
        _ => return None,
    };
    let placeholder = Expr::value(Value::Placeholder(name.to_owned()));
    Some(cast(placeholder, wanted))
}
