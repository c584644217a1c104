//! What handlers take from a request: names, bodies within limits, idempotency keys.

use std::collections::{HashMap, HashSet};
use std::fmt::Formatter;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use uuid::Uuid;

use super::authenticate::Caller;
use crate::command::Ident;
use crate::error::{CatalogError, Result};
use crate::names::{checked_ident, parse_namespace};
use crate::service::Ticket;
use tidewater_core::limits::REST_BODY_BYTES_MAX;
use tidewater_table::disguise;

/// How deep JSON may nest. Schemas of the deepest real tables stay below 60.
const JSON_DEPTH_MAX: usize = 100;

/// The header of a request that may come twice.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The namespace of a path.
#[derive(Debug)]
pub(crate) struct InNamespace(pub(crate) Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for InNamespace {
    type Rejection = CatalogError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let mut names = path(parts, state).await?;
        let namespace = names.remove("namespace").unwrap_or_default();
        if namespace.is_empty() {
            return Err(CatalogError::NoSuchNamespace { namespace });
        }
        parse_namespace(&namespace).map(Self)
    }
}

/// The table of a path.
#[derive(Debug)]
pub(crate) struct InTable(pub(crate) Ident);

impl<S: Send + Sync> FromRequestParts<S> for InTable {
    type Rejection = CatalogError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let mut names = path(parts, state).await?;
        let (namespace, name) = (
            names.remove("namespace").unwrap_or_default(),
            names.remove("table").unwrap_or_default(),
        );
        if namespace.is_empty() {
            // Spark looks for metadata tables this way and wants to hear that there is none.
            let table = Ident {
                namespace: Vec::new(),
                name,
            };
            return Err(CatalogError::NoSuchTable { table });
        }
        checked_ident(parse_namespace(&namespace)?, name).map(Self)
    }
}

/// The view of a path.
#[derive(Debug)]
pub(crate) struct InView(pub(crate) Ident);

impl<S: Send + Sync> FromRequestParts<S> for InView {
    type Rejection = CatalogError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let mut names = path(parts, state).await?;
        let namespace = names.remove("namespace").unwrap_or_default();
        let name = names.remove("view").unwrap_or_default();
        if namespace.is_empty() {
            let view = Ident {
                namespace: Vec::new(),
                name,
            };
            return Err(CatalogError::NoSuchView { view });
        }
        checked_ident(parse_namespace(&namespace)?, name).map(Self)
    }
}

async fn path<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<HashMap<String, String>> {
    match Path::<HashMap<String, String>>::from_request_parts(parts, state).await {
        Ok(Path(names)) => Ok(names),
        Err(rejection) => Err(CatalogError::bad_request(rejection.body_text())),
    }
}

/// Query parameters.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = CatalogError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(CatalogError::bad_request(rejection.body_text())),
        }
    }
}

/// The ticket of a mutation without a body.
#[derive(Debug)]
pub(crate) struct Keyed(pub(crate) Ticket);

impl<S: Send + Sync> FromRequestParts<S> for Keyed {
    type Rejection = CatalogError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
        Ok(Self(ticket(parts, target, &[])?))
    }
}

/// A JSON body and the ticket of the mutation it asks for.
#[derive(Debug)]
pub(crate) struct Body<T> {
    pub(crate) value: T,
    pub(crate) ticket: Ticket,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = CatalogError;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = axum::body::to_bytes(body, REST_BODY_BYTES_MAX).await else {
            return Err(CatalogError::TooLarge {
                what: "the request's body",
                limit: REST_BODY_BYTES_MAX,
            });
        };
        let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let ticket = ticket(&parts, target, &bytes)?;
        Ok(Self {
            value: parse(&bytes)?,
            ticket,
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T> {
    if depth(bytes) > JSON_DEPTH_MAX {
        return Err(CatalogError::bad_request(format!(
            "the body nests deeper than {JSON_DEPTH_MAX} levels"
        )));
    }
    let parsed = match may_hold_schemas(bytes) {
        true => in_disguise(bytes),
        false => serde_json::from_slice(bytes),
    };
    parsed.map_err(|error| CatalogError::bad_request(format!("the body is not valid: {error}")))
}

/// Most commits hold none, and are parsed once only.
fn may_hold_schemas(bytes: &Bytes) -> bool {
    let holds = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    holds(b"\"fields\"") || holds(b"\\u")
}

fn in_disguise<T: DeserializeOwned>(bytes: &Bytes) -> serde_json::Result<T> {
    let mut document: Value = serde_json::from_slice(bytes)?;
    match disguise::hide(&mut document) {
        // Not from the tree: some bodies are kept as they were written.
        true => serde_json::from_slice(&serde_json::to_vec(&document)?),
        false => serde_json::from_slice(bytes),
    }
}

/// Whether a body is JSON; refuses one with a member of one name twice, at any depth: of those, who decides about the body might take one and
/// who carries it out the other. Of what is no JSON to its end, such as text that is no text, readers that leave it out might still take
/// the rest, in two ways.
pub(super) fn reads_in_one_way(bytes: &Bytes) -> Result<bool> {
    match serde_json::from_slice::<OneReading>(bytes) {
        Ok(OneReading) => Ok(true),
        Err(error) if error.is_data() => Err(CatalogError::bad_request(format!("the body is not valid: {error}"))),
        Err(_) => Ok(false),
    }
}

/// JSON that reads in one way.
struct OneReading;

impl<'de> Deserialize<'de> for OneReading {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for OneReading {
    type Value = Self;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if let Some(name) = names.replace(name) {
                return Err(A::Error::custom(format!("{name:?} is in it twice")));
            }
            members.next_value::<Self>()?;
        }
        Ok(Self)
    }
}

/// How deep the brackets nest, strings left out.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What a user asked for is another request when somebody else asks for it: they are given what they made, and nobody else is.
fn ticket(parts: &Parts, target: &str, body: &[u8]) -> Result<Ticket> {
    let Some(key) = parts.headers.get(IDEMPOTENCY_KEY) else {
        return Ok(Ticket::default());
    };
    let key: Option<Uuid> = key.to_str().ok().and_then(|key| key.parse().ok());
    let Some(key) = key.filter(|key| !key.is_nil()) else {
        return Err(CatalogError::bad_request("the Idempotency-Key is not a UUID"));
    };
    let mut hasher = blake3::Hasher::new();
    let method = parts.method.as_str().as_bytes();
    let user = match parts.extensions.get::<Caller>() {
        Some(Caller::User(user)) => Some(user.name.as_bytes()),
        _ => None,
    };
    for part in [method, target.as_bytes(), body].into_iter().chain(user) {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut print = [0; 8];
    hasher.finalize_xof().fill(&mut print);
    // 0 means "not checked" in the log.
    Ok(Ticket {
        key: Some(key),
        print: u64::from_le_bytes(print).max(1),
    })
}
