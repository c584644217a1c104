//! Who changed what users may do, dropped something, or operated the group, and who tried: kept in the audit log of the process that was asked.
//!
//! Tables are read and changed here too, by other engines and by statements that are kept where they are asked: of these nothing is kept.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::authenticate::{Caller, peer_of};
use super::follow::FORWARDED;
use super::respond::ErrorCode;
use crate::error::{CatalogError, Result};
use crate::names::parse_namespace;
use crate::raft::ConsensusError;
use tidewater_catalog_client::dto;
use tidewater_core::Coded;
use tidewater_core::limits::REST_BODY_BYTES_MAX;
use tidewater_security::{AuditLog, PolicyChange, Target};

/// Longest text that is kept of what was asked for, a grant on hundreds of columns, and longest name of a table: who is refused too says what
/// they are, and must not push out what was kept before.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Longest number of a node.
const NODE_CHARS_MAX: usize = 20;

/// Keeps what becomes of a request that is worth it.
pub(crate) async fn keep_deeds(
    State(audit): State<Option<AuditLog>>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let route = request.extensions().get::<MatchedPath>();
    let sort = route.and_then(|route| Sort::of(request.method(), route.as_str()));
    let (Some(audit), Some(sort)) = (audit, sort) else {
        return Ok(next.run(request).await);
    };
    let address = peer_of(&request).ip();
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REST_BODY_BYTES_MAX).await;
    let body = body.map_err(|_| CatalogError::TooLarge {
        what: "the request's body",
        limit: REST_BODY_BYTES_MAX,
    })?;
    let (statement, tables) = sort.asked(&mut parts, &body).await;
    let caller = parts.extensions.get::<Caller>();
    let (by, user) = match caller {
        Some(Caller::User(user)) => ("user", Some(user.name.clone())),
        Some(Caller::Installation(name)) => ("nodes", Some(name.clone())),
        Some(Caller::Open) | None => ("anyone", None),
    };
    let sent_on = parts.headers.get(FORWARDED).and_then(|node| node.to_str().ok());
    let deed = Deed {
        user,
        by,
        address,
        sent_on_by: sent_on.map(|node| node.chars().take(NODE_CHARS_MAX).collect()),
        statement: cut(statement),
        tables: tables.into_iter().map(cut).collect(),
        outcome: "unknown",
        error: Some(given_up().to_owned()),
    };
    let event = match sort {
        Sort::Policy => "policy",
        _ => "operation",
    };
    let mut pending = Pending {
        audit: Some(audit),
        event,
        deed,
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    pending.answered(&response);
    Ok(response)
}

/// The code for what nobody waited for: it may have been done.
fn given_up() -> &'static str {
    let reason = String::new();
    ConsensusError::OutcomeUnknown { reason }.code()
}

/// What is kept.
#[derive(Debug, Serialize)]
struct Deed {
    /// Whom the token or certificate names.
    user: Option<String>,
    /// Whose token it is: a user's, or one of the nodes' secret.
    by: &'static str,
    address: Option<IpAddr>,
    /// The node that sent it on, which keeps where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_on_by: Option<String>,
    statement: String,
    tables: Vec<String>,
    outcome: &'static str,
    error: Option<String>,
}

/// A deed whose end is not known yet. It is kept when this is dropped, also when nobody waits for the end.
struct Pending {
    audit: Option<AuditLog>,
    event: &'static str,
    deed: Deed,
}

impl Pending {
    fn answered(&mut self, response: &Response) {
        let status = response.status();
        if status.is_redirection() {
            // Nothing was done, and the node that is asked next keeps it.
            self.audit = None;
            return;
        }
        self.deed.outcome = outcome(status);
        let code = response.extensions().get::<ErrorCode>();
        self.deed.error = match status.is_success() {
            true => None,
            // Another node's answer has the code in its text only, and that node keeps it.
            false => Some(code.map_or_else(|| format!("HTTP {}", status.as_u16()), |code| code.0.to_owned())),
        };
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(audit) = &self.audit {
            audit.keep(self.event, &self.deed);
        }
    }
}

/// In the words that logins are told in.
fn outcome(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "denied",
        // It may have been done.
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => "unknown",
        status if status.is_success() => "ok",
        _ => "failed",
    }
}

/// What is kept, by what there is to read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A change of the policy.
    Policy,
    /// The path tells all.
    Path,
    Undrop,
    DropNamespace,
    Node,
    Nodes,
    Leader,
}

impl Sort {
    fn of(method: &Method, route: &str) -> Option<Self> {
        Some(match (method.as_str(), route) {
            ("POST", "/internal/v1/policy") => Self::Policy,
            (
                "DELETE",
                "/v1/namespaces/{namespace}"
                | "/v1/namespaces/{namespace}/tables/{table}"
                | "/v1/namespaces/{namespace}/views/{view}",
            )
            | ("POST", "/v1/namespaces/{namespace}/tables/{table}/unregister")
            | ("GET", "/internal/v1/cluster/backup")
            | ("POST", "/internal/v1/cluster/nodes" | "/internal/v1/cluster/snapshot") => Self::Path,
            ("POST", "/internal/v1/dropped/undrop") => Self::Undrop,
            ("POST", "/internal/v1/namespaces/drop") => Self::DropNamespace,
            ("PUT", "/internal/v1/cluster/nodes/{node}") => Self::Node,
            ("POST", "/internal/v1/cluster/promote" | "/internal/v1/cluster/remove") => Self::Nodes,
            ("POST", "/internal/v1/cluster/transfer") => Self::Leader,
            _ => return None,
        })
    }

    /// What was asked for, without what is kept of passwords, and the tables that it names. Of a body that is none only the path is told:
    /// nobody knows what is in it.
    async fn asked(self, parts: &mut Parts, body: &[u8]) -> (String, Vec<String>) {
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let path = format!("{} {path}", parts.method);
        match self {
            Self::Policy => match serde_json::from_slice::<PolicyChange>(body) {
                Ok(change) => (change.to_string(), of_target(change.target())),
                Err(_) => (path, Vec::new()),
            },
            Self::Path => (path, of_path(parts).await),
            Self::Undrop => match serde_json::from_slice::<dto::Undrop>(body) {
                Ok(undrop) => {
                    let table = format!("{}.{}", undrop.namespace.join("."), undrop.name);
                    (with(path, serde_json::to_string(&undrop).ok()), vec![table])
                }
                Err(_) => (path, Vec::new()),
            },
            Self::DropNamespace => (with(path, said::<dto::NamespaceDrop>(body)), Vec::new()),
            Self::Node => (with(path, said::<dto::NodeAddress>(body)), Vec::new()),
            Self::Nodes => (with(path, said::<dto::NodeList>(body)), Vec::new()),
            Self::Leader => (with(path, said::<dto::LeaderTransfer>(body)), Vec::new()),
        }
    }
}

fn with(path: String, said: Option<String>) -> String {
    match said {
        Some(said) => format!("{path} {said}"),
        None => path,
    }
}

/// A body as it was understood, without what was not.
fn said<T: DeserializeOwned + Serialize>(body: &[u8]) -> Option<String> {
    let understood: T = serde_json::from_slice(body).ok()?;
    serde_json::to_string(&understood).ok()
}

fn of_target(target: &Target) -> Vec<String> {
    match target {
        Target::Object { namespace, name } => vec![format!("{}.{name}", namespace.join("."))],
        Target::Warehouse | Target::Namespace(_) => Vec::new(),
    }
}

async fn of_path(parts: &mut Parts) -> Vec<String> {
    let Ok(names) = RawPathParams::from_request_parts(parts, &()).await else {
        return Vec::new();
    };
    let (mut namespace, mut name) = (None, None);
    for (key, value) in &names {
        match key {
            "namespace" => namespace = parse_namespace(value).ok(),
            "table" | "view" => name = Some(value),
            _ => {}
        }
    }
    let whole = namespace.zip(name);
    whole
        .map(|(namespace, name)| format!("{}.{name}", namespace.join(".")))
        .into_iter()
        .collect()
}

/// A text that nobody makes longer than lines of the log should be.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}
