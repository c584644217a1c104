//! What calls to the catalog can end with.

use thiserror::Error;

use tidewater_core::{Coded, ErrorKind, Retry};
use tidewater_table::CatalogFault;

/// The result of this crate's calls.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Every failure of the client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Settings that cannot work.
    #[error("the catalog client cannot be set up: {reason}")]
    Options {
        /// Why.
        reason: String,
    },
    /// No node of the catalog took the call; nothing happened.
    #[error("no catalog node took the call {call}: {reason}")]
    Unavailable {
        /// Method and path.
        call: String,
        /// What the last attempt met.
        reason: String,
    },
    /// The call may or may not have been applied.
    #[error("the outcome of the call {call} is unknown: {reason}")]
    Unknown {
        /// Method and path.
        call: String,
        /// What the last attempt met.
        reason: String,
    },
    /// The catalog refuses the call.
    #[error("the catalog refuses {call}: {message} [{error_code}]")]
    Refused {
        /// Method and path.
        call: String,
        /// HTTP status.
        status: u16,
        /// The protocol's type of error, such as `NoSuchTableException`.
        kind: String,
        /// The catalog's words.
        message: String,
        /// The catalog's own code, `CAT-…`.
        error_code: String,
        /// The catalog's advice.
        catalog_hint: Option<String>,
    },
    /// An answer that cannot be understood.
    #[error("the answer to {call} cannot be understood")]
    Answer {
        /// Method and path.
        call: String,
        /// What does not fit.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that broke off.
    #[error("the answer to {call} broke off")]
    Interrupted {
        /// Method and path.
        call: String,
        /// What the connection met.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A body that cannot be encoded.
    #[error("the body of {call} cannot be encoded")]
    Encode {
        /// Method and path.
        call: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Whether the catalog answered with this type of error.
    pub fn is_refusal(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }
}

impl Coded for ClientError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Options { .. } | Self::Encode { .. } => ErrorKind::Invalid,
            Self::Unavailable { .. } | Self::Interrupted { .. } => ErrorKind::Unavailable,
            Self::Unknown { .. } => ErrorKind::Timeout,
            Self::Answer { .. } => ErrorKind::Internal,
            Self::Refused { status, .. } => match status {
                401 | 403 => ErrorKind::Denied,
                404 => ErrorKind::NotFound,
                406 => ErrorKind::Unsupported,
                409 => ErrorKind::Conflict,
                429 => ErrorKind::Exhausted,
                400..=499 => ErrorKind::Invalid,
                _ => ErrorKind::Internal,
            },
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Options { .. } => "CLT-0001",
            Self::Unavailable { .. } => "CLT-0002",
            Self::Unknown { .. } => "CLT-0003",
            Self::Refused { .. } => "CLT-0004",
            Self::Answer { .. } => "CLT-0005",
            Self::Encode { .. } => "CLT-0006",
            Self::Interrupted { .. } => "CLT-0007",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } | Self::Interrupted { .. } => Retry::Safe,
            Self::Unknown { .. } => Retry::Unknown,
            Self::Refused { kind, .. } if kind == "CommitFailedException" => Retry::AfterRefresh,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unavailable { .. } => {
                "start the catalog (tidewater up), or name the place where it runs: catalog.endpoints of the configuration; its port is that of catalog.listen (8181), and no other of tidewater's".into()
            },
            Self::Refused { error_code, kind, .. } if error_code.is_empty() && kind.is_empty() => {
                "what answers is no catalog: name its address (catalog.listen, port 8181 unless it was set) in catalog.endpoints".into()
            }
            Self::Unknown { .. } => "look at the table or the offsets before doing it again".into(),
            Self::Answer { .. } => "check that the address is that of a tidewater catalog of this version".into(),
            Self::Refused {
                catalog_hint: Some(hint),
                ..
            } => hint.clone(),
            // The catalog's page tells more than the one of this crate's code.
            Self::Refused { error_code, .. } if error_code.starts_with("CAT-") => {
                format!("see docs/errors/{error_code}.md")
            }
            _ => return None,
        })
    }
}

impl From<ClientError> for CatalogFault {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match &error {
            ClientError::Unavailable { .. } | ClientError::Interrupted { .. } => Self::Unavailable {
                message,
                source: Some(Box::new(error)),
            },
            ClientError::Unknown { .. } => Self::Timeout { message },
            ClientError::Refused {
                kind,
                message: told,
                error_code,
                ..
            } => match (error.kind(), kind.as_str()) {
                // Somebody else's 404 is of the path, and not of what it names. Nor is it a refusal of what was asked: ingest would halt.
                (ErrorKind::NotFound, "") if error_code.is_empty() && subject(told).is_none() => Self::Internal {
                    message,
                    source: Some(Box::new(error)),
                },
                (ErrorKind::NotFound, _) => Self::NotFound {
                    what: subject(told).unwrap_or(message),
                },
                (ErrorKind::Conflict, "AlreadyExistsException") => Self::AlreadyExists {
                    what: subject(told).unwrap_or(message),
                },
                (ErrorKind::Conflict, "NamespaceNotEmptyException") => Self::NotEmpty { message },
                (ErrorKind::Conflict, _) => Self::Conflict { message },
                (ErrorKind::Denied, _) => Self::Denied { message },
                (ErrorKind::Internal, _) => Self::Internal {
                    message,
                    source: Some(Box::new(error)),
                },
                _ => Self::Invalid { message },
            },
            ClientError::Options { .. } | ClientError::Encode { .. } => Self::Invalid { message },
            ClientError::Answer { .. } => Self::Internal {
                message,
                source: Some(Box::new(error)),
            },
        }
    }
}

/// What the catalog's words are about: a fault says itself what is the matter with it.
fn subject(told: &str) -> Option<String> {
    let verdicts = ["does not exist", "already exists", "exists already"];
    let found = verdicts.into_iter().find_map(|verdict| {
        let (before, after) = told.split_once(verdict)?;
        let before = before.trim_end();
        match after.strip_prefix(": ") {
            _ if before.is_empty() => None,
            Some(name) => Some(format!("{before} {name}")),
            None if after.is_empty() => Some(before.to_owned()),
            None => None,
        }
    })?;
    let mut letters = found.chars();
    let first = letters.next()?.to_lowercase();
    Some(first.chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a fault says once what is the matter, and of what. Method: refusals in the words of the catalog.
    #[test]
    fn a_fault_says_it_once() {
        let fault = |status: u16, message: &str| {
            let kind = if status == 409 { "AlreadyExistsException" } else { "" };
            let refused = ClientError::Refused {
                call: "GET /v1/namespaces/a/tables/t".into(),
                status,
                kind: kind.into(),
                message: message.into(),
                error_code: "CAT-0002".into(),
                catalog_hint: None,
            };
            CatalogFault::from(refused).to_string()
        };
        for (status, told, said) in [
            (404, "Table does not exist: a.t", "table a.t does not exist"),
            (404, "warehouse \"x\" does not exist", "warehouse \"x\" does not exist"),
            (409, "Table already exists: a.T", "table a.T exists already"),
            (409, "Namespace already exists", "namespace exists already"),
            (409, "role r exists already", "role r exists already"),
        ] {
            assert_eq!(fault(status, told), said);
        }
        assert!(fault(404, "no such endpoint: /x").contains("no such endpoint: /x"));
    }

    // Goal: what is no catalog says nothing of a table: neither that it is not there, nor that its rows are refused for good. Method: a 404
    // without the catalog's words.
    #[test]
    fn a_strangers_404_is_of_no_table() {
        let refused = ClientError::Refused {
            call: "GET /v1/namespaces/a/tables/t".into(),
            status: 404,
            kind: String::new(),
            message: String::new(),
            error_code: String::new(),
            catalog_hint: None,
        };
        assert!(refused.hint().is_some_and(|hint| hint.contains("no catalog")));
        let fault = CatalogFault::from(refused);
        assert!(matches!(fault, CatalogFault::Internal { .. }), "{fault:?}");
    }
}
