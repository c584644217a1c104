//! Session options: messages of Flight.proto that the arrow-flight crate does not carry, and what our options take.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;

use tidewater_engine::Execution;

use super::session::{Session, named};
use crate::postgres::milliseconds;
use crate::service::WAP_ID;

/// A value of an option.
#[derive(Clone, PartialEq, Message)]
pub struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub value: Option<OptionValue>,
}

/// The kinds of value.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    TextList(TextList),
}

/// A list of texts.
#[derive(Clone, PartialEq, Message)]
pub struct TextList {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, OptionError>,
}

/// Why an option was not set: 1 = unknown name, 2 = unusable value.
#[derive(Clone, PartialEq, Message)]
pub struct OptionError {
    #[prost(int32, tag = "1")]
    pub value: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

/// 1 = closed.
#[derive(Clone, PartialEq, Message)]
pub struct CloseSessionResult {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

pub(super) const UNKNOWN_NAME: i32 = 1;
pub(super) const UNUSABLE_VALUE: i32 = 2;
pub(super) const CLOSED: i32 = 1;

/// The options there are.
const CATALOG: &str = "catalog";
const SCHEMA: &str = "schema";
const CACHE: &str = "tidewater.cache";
const EXECUTION: &str = "tidewater.execution";
const TIMEOUT: &str = "statement_timeout";

/// Longest id of staged writes: it is kept in the cookie.
const WAP_ID_BYTES_MAX: usize = 256;

/// What is so for everybody, where a session says nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual<'a> {
    pub(super) catalog: &'a str,
    pub(super) schema: &'a str,
}

/// The session with those of the options that can be, and why the others cannot. An option without a value is as usual again.
pub(super) fn set(
    mut session: Session,
    request: &SetSessionOptionsRequest,
    usual: Usual<'_>,
    schemas: &[String],
) -> (Session, SetSessionOptionsResult) {
    let mut errors = HashMap::new();
    for (name, value) in &request.session_options {
        if let Err(value) = set_one(&mut session, name, value.value.as_ref(), usual, schemas) {
            errors.insert(name.clone(), OptionError { value });
        }
    }
    (session, SetSessionOptionsResult { errors })
}

fn set_one(
    session: &mut Session,
    name: &str,
    value: Option<&OptionValue>,
    usual: Usual<'_>,
    schemas: &[String],
) -> Result<(), i32> {
    match (name, value) {
        (CATALOG, None) => {}
        (CATALOG, Some(OptionValue::Text(wanted))) if wanted == usual.catalog => {}
        (SCHEMA, None) => session.schema = None,
        (SCHEMA, Some(OptionValue::Text(wanted))) if schemas.contains(wanted) => session.schema = Some(wanted.clone()),
        (CACHE, None) => session.cached = None,
        (CACHE, Some(OptionValue::Bool(wanted))) => session.cached = Some(*wanted),
        (CACHE, Some(OptionValue::Text(wanted))) => session.cached = Some(switch(wanted)?),
        (EXECUTION, None) => session.execution = None,
        (EXECUTION, Some(OptionValue::Text(wanted))) => {
            session.execution = Some(Execution::named(wanted).ok_or(UNUSABLE_VALUE)?);
        }
        (TIMEOUT, None) => session.timeout = None,
        (TIMEOUT, Some(OptionValue::Text(wanted))) => {
            session.timeout = timeout(milliseconds(wanted).ok_or(UNUSABLE_VALUE)?);
        }
        (TIMEOUT, Some(OptionValue::Integer(wanted))) => {
            session.timeout = timeout(u64::try_from(*wanted).map_err(|_| UNUSABLE_VALUE)?);
        }
        (WAP_ID, None) => session.wap_id = None,
        (WAP_ID, Some(OptionValue::Text(wanted))) if wanted.len() <= WAP_ID_BYTES_MAX => {
            session.wap_id = Some(wanted.clone()).filter(|id| !id.is_empty());
        }
        (CATALOG | SCHEMA | CACHE | EXECUTION | TIMEOUT | WAP_ID, _) => return Err(UNUSABLE_VALUE),
        _ => return Err(UNKNOWN_NAME),
    }
    Ok(())
}

fn switch(word: &str) -> Result<bool, i32> {
    match word.to_ascii_lowercase().as_str() {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(UNUSABLE_VALUE),
    }
}

/// 0 is none, as PostgreSQL has it.
fn timeout(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

/// All options as they are for a session.
pub(super) fn told(session: &Session, usual: Usual<'_>) -> GetSessionOptionsResult {
    let text = |text: &str| OptionValue::Text(text.to_owned());
    let milliseconds = session.timeout.map_or(0, |timeout| timeout.as_millis());
    let schema = session.schema.as_deref().unwrap_or(usual.schema);
    let session_options = [
        (CATALOG, text(usual.catalog)),
        (SCHEMA, text(schema)),
        (CACHE, text(if session.cached.unwrap_or(true) { "on" } else { "off" })),
        (EXECUTION, text(named(session.execution.unwrap_or_default()))),
        (WAP_ID, text(session.wap_id.as_deref().unwrap_or_default())),
        (
            TIMEOUT,
            OptionValue::Integer(i64::try_from(milliseconds).unwrap_or(i64::MAX)),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), SessionOptionValue { value: Some(value) }))
    .into();
    GetSessionOptionsResult { session_options }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Usual<'static> = Usual {
        catalog: "lake",
        schema: "gold",
    };

    fn one(name: &str, value: Option<OptionValue>) -> Result<Session, i32> {
        let request = SetSessionOptionsRequest {
            session_options: HashMap::from([(name.to_owned(), SessionOptionValue { value })]),
        };
        let schemas = ["gold".to_owned(), "silver".to_owned()];
        let (session, result) = set(Session::default(), &request, USUAL, &schemas);
        match result.errors.get(name) {
            Some(error) => Err(error.value),
            None => Ok(session),
        }
    }

    fn text(name: &str, value: &str) -> Result<Session, i32> {
        one(name, Some(OptionValue::Text(value.into())))
    }

    // Goal: known options are taken, others named with the reason. Method: each option with a good value and with a bad one, and a
    // name that nobody knows.
    #[test]
    fn options_are_checked() {
        assert_eq!(text("catalog", "lake"), Ok(Session::default()));
        assert_eq!(text("schema", "silver").map(|s| s.schema), Ok(Some("silver".into())));
        assert_eq!(text("tidewater.cache", "OFF").map(|s| s.cached), Ok(Some(false)));
        assert_eq!(
            one("tidewater.cache", Some(OptionValue::Bool(true))).map(|s| s.cached),
            Ok(Some(true))
        );
        let staged = text("tidewater.wap_id", "night-1").map(|s| s.wap_id);
        assert_eq!(staged, Ok(Some("night-1".into())));
        assert_eq!(
            text("tidewater.wap_id", &"x".repeat(WAP_ID_BYTES_MAX + 1)),
            Err(UNUSABLE_VALUE)
        );
        let execution = text("tidewater.execution", "local").map(|s| s.execution);
        assert_eq!(execution, Ok(Some(Execution::Local)));
        let five = Some(Duration::from_secs(5));
        assert_eq!(text("statement_timeout", "5s").map(|s| s.timeout), Ok(five));
        assert_eq!(
            one("statement_timeout", Some(OptionValue::Integer(5_000))).map(|s| s.timeout),
            Ok(five)
        );
        for (name, value) in [
            ("catalog", "sea"),
            ("schema", "copper"),
            ("tidewater.cache", "sometimes"),
            ("tidewater.execution", "moon"),
            ("statement_timeout", "soon"),
        ] {
            assert_eq!(text(name, value), Err(UNUSABLE_VALUE), "{name}");
            assert_eq!(one(name, Some(OptionValue::Double(1.0))), Err(UNUSABLE_VALUE), "{name}");
            assert_eq!(one(name, None), Ok(Session::default()), "{name}");
        }
        assert_eq!(
            one("statement_timeout", Some(OptionValue::Integer(-1))),
            Err(UNUSABLE_VALUE)
        );
        assert_eq!(text("colour", "red"), Err(UNKNOWN_NAME));
    }

    // Goal: what was set is told, and the rest as it is for everybody. Method: the options of a session with and without values.
    #[test]
    fn options_are_told() {
        let value = |session: &Session, name: &str| told(session, USUAL).session_options[name].value.clone();
        let session = Session {
            schema: Some("silver".into()),
            timeout: Some(Duration::from_millis(7)),
            ..Session::default()
        };
        assert_eq!(value(&session, "schema"), Some(OptionValue::Text("silver".into())));
        assert_eq!(value(&session, "statement_timeout"), Some(OptionValue::Integer(7)));
        assert_eq!(
            value(&Session::default(), "schema"),
            Some(OptionValue::Text("gold".into()))
        );
        assert_eq!(
            value(&Session::default(), "tidewater.execution"),
            Some(OptionValue::Text("auto".into()))
        );
    }
}
