//! Session options and cancellation: messages of Flight.proto that the arrow-flight crate does not carry (options) or leave
//! to the server (cancel).
//!
//! A session holds nothing here: the catalog and schema options are checked and answered, since every name a client uses
//! after them is qualified or stands in the default schema.

use std::collections::HashMap;

use arrow_flight::Action;
use prost::Message;
use tonic::Status;

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

const UNKNOWN_NAME: i32 = 1;
const UNUSABLE_VALUE: i32 = 2;
const CLOSED: i32 = 1;

/// What an action of ours answers, or `None` when it is not one.
pub fn answer(action: &Action, catalog: &str) -> Result<Option<Vec<u8>>, Status> {
    match action.r#type.as_str() {
        "SetSessionOptions" => {
            let request = SetSessionOptionsRequest::decode(&*action.body)
                .map_err(|error| Status::invalid_argument(format!("unreadable SetSessionOptions request: {error}")))?;
            Ok(Some(set(&request, catalog).encode_to_vec()))
        }
        "GetSessionOptions" => {
            let value = Some(OptionValue::Text(catalog.to_owned()));
            let session_options = HashMap::from([("catalog".to_owned(), SessionOptionValue { value })]);
            Ok(Some(GetSessionOptionsResult { session_options }.encode_to_vec()))
        }
        "CloseSession" => Ok(Some(CloseSessionResult { status: CLOSED }.encode_to_vec())),
        _ => Ok(None),
    }
}

fn set(request: &SetSessionOptionsRequest, catalog: &str) -> SetSessionOptionsResult {
    let mut errors = HashMap::new();
    for (name, value) in &request.session_options {
        let fault = match (name.as_str(), &value.value) {
            ("catalog", Some(OptionValue::Text(wanted))) if wanted == catalog => None,
            ("catalog", _) => Some(UNUSABLE_VALUE),
            _ => Some(UNKNOWN_NAME),
        };
        if let Some(value) = fault {
            errors.insert(name.clone(), OptionError { value });
        }
    }
    SetSessionOptionsResult { errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: known options are taken, others named. Method: one right, one wrong, one unknown.
    #[test]
    fn options_are_checked() {
        let text = |t: &str| SessionOptionValue {
            value: Some(OptionValue::Text(t.into())),
        };
        let request = |name: &str, value: &str| SetSessionOptionsRequest {
            session_options: HashMap::from([(name.to_owned(), text(value))]),
        };
        assert!(set(&request("catalog", "lake"), "lake").errors.is_empty());
        assert_eq!(
            set(&request("catalog", "sea"), "lake").errors["catalog"].value,
            UNUSABLE_VALUE
        );
        assert_eq!(
            set(&request("colour", "red"), "lake").errors["colour"].value,
            UNKNOWN_NAME
        );
    }
}
