//! A request: a statement as plain text, or as JSON with values and wishes.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use datafusion::scalar::ScalarValue;
use serde::Deserialize;
use serde_json::Value;

use tidewater_engine::{Execution, SessionOptions};

use super::DEADLINE_MIN;
use super::failure::Failure;
use crate::placeholder::number_placeholders;
use crate::service::QueryService;

const HINT: &str = "send {\"sql\": \"SELECT 1\"} as application/json, or the statement alone as text/plain";

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// The statement, its parameters numbered.
    pub(super) sql: String,
    /// Their values in order.
    pub(super) values: Vec<ScalarValue>,
    /// Whether the rows are fetched later.
    pub(super) later: bool,
    schema: Option<String>,
    execution: Option<Execution>,
    cache: Option<bool>,
    timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    sql: String,
    #[serde(default)]
    parameters: Vec<Value>,
    #[serde(default)]
    r#async: bool,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    execution: Option<String>,
    #[serde(default)]
    cache: Option<bool>,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

impl Ask {
    /// Reads a request.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Failure> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/json" => Self::from_json(body),
            "text/plain" | "application/sql" => {
                let sql = std::str::from_utf8(body)
                    .map_err(|error| Failure::bad_request(format!("the statement is not UTF-8: {error}"), HINT))?;
                Ok(Self::plain(sql))
            }
            // JSON that says nothing of itself, as curl sends it, is understood; forms are not.
            "" | "application/x-www-form-urlencoded" if body.trim_ascii_start().starts_with(b"{") => {
                Self::from_json(body)
            }
            other => Err(Failure::bad_request(
                format!("\"{other}\" is no content type of a statement"),
                HINT,
            )),
        }
    }

    fn plain(sql: &str) -> Self {
        Self {
            sql: number_placeholders(sql).into_owned(),
            values: Vec::new(),
            later: false,
            schema: None,
            execution: None,
            cache: None,
            timeout: None,
        }
    }

    fn from_json(body: &[u8]) -> Result<Self, Failure> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|error| Failure::bad_request(format!("the request cannot be read: {error}"), HINT))?;
        let execution = body.execution.map(|name| {
            Execution::named(&name).ok_or_else(|| {
                let hint = format!("it is one of {}", Execution::NAMES.join(", "));
                Failure::bad_request(format!("\"{name}\" is no value of execution"), hint)
            })
        });
        Ok(Self {
            values: body.parameters.iter().map(value).collect::<Result<_, _>>()?,
            later: body.r#async,
            schema: body.schema,
            execution: execution.transpose()?,
            cache: body.cache,
            timeout: body.timeout_ms.map(Duration::from_millis),
            ..Self::plain(&body.sql)
        })
    }

    /// The service as this request wants it; what it does not say, its headers do.
    pub(super) fn of(&self, service: QueryService) -> QueryService {
        let service = match self.cache {
            Some(cached) => service.cached(cached),
            None => service,
        };
        match self.execution {
            Some(execution) => service.execution(execution),
            None => service,
        }
    }

    /// The session that the statement runs in.
    pub(super) fn options(&self, service: &QueryService) -> SessionOptions {
        SessionOptions {
            default_schema: self.schema.clone(),
            execution: service.wanted_execution(),
            ..SessionOptions::default()
        }
    }

    /// How long it may take: what it asks for, but not more than anybody gets.
    pub(super) fn deadline(&self, allowed: Duration) -> Duration {
        self.timeout
            .map_or(allowed, |wanted| wanted.clamp(DEADLINE_MIN, allowed))
    }
}

/// A value of JSON as one of SQL. Text is cast where it meets another type, so dates and decimals are sent as text.
fn value(value: &Value) -> Result<ScalarValue, Failure> {
    Ok(match value {
        Value::Null => ScalarValue::Utf8(None),
        Value::Bool(truth) => ScalarValue::Boolean(Some(*truth)),
        Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => ScalarValue::Int64(Some(whole)),
            (None, Some(float)) => ScalarValue::Float64(Some(float)),
            (None, None) => {
                return Err(Failure::bad_request(
                    format!("{number} is out of range"),
                    "send it as text",
                ));
            }
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(Failure::bad_request(
                "a parameter is a list or an object",
                "parameters are text, numbers, truths and nulls",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(kind: &'static str, body: &str) -> Result<Ask, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ask::read(&headers, body.as_bytes())
    }

    // Goal: a statement comes through from any client, and what cannot be meant is told. Method: each form once, each mistake once.
    #[test]
    fn requests_are_read() {
        let ask = read("text/plain; charset=utf-8", "SELECT ?").expect("text");
        assert_eq!(ask.sql.as_str(), "SELECT $1");
        let body = r#"{"sql": "SELECT ?, ?", "parameters": [1, "x"], "timeout_ms": 5, "execution": "local"}"#;
        let ask = read("application/json", body).expect("JSON");
        let values = [ScalarValue::Int64(Some(1)), ScalarValue::Utf8(Some("x".into()))];
        assert_eq!((ask.values.as_slice(), ask.later), (values.as_slice(), false));
        assert_eq!(ask.deadline(Duration::from_secs(1)), Duration::from_millis(5));
        assert_eq!(ask.deadline(Duration::from_millis(2)), Duration::from_millis(2));
        assert!(read("application/x-www-form-urlencoded", body).is_ok(), "curl -d");
        for (kind, body) in [
            ("application/json", "{"),
            ("application/json", r#"{"sql": "SELECT 1", "colour": 1}"#),
            ("application/json", r#"{"sql": "SELECT ?", "parameters": [[1]]}"#),
            ("application/json", r#"{"sql": "SELECT 1", "execution": "moon"}"#),
            ("image/png", "SELECT 1"),
            ("application/x-www-form-urlencoded", "sql=SELECT+1"),
        ] {
            assert!(read(kind, body).is_err(), "{kind} {body}");
        }
    }
}
