//! Pages of other origins that may read answers (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>): those that the configuration
//! names, one by one. Browsers keep answers from all others.
//!
//! Nothing is said of credentials: what a browser would add by itself, certificates and remembered passwords, is not for other
//! origins. A page shows the token that it was given.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// What pages may do.
const METHODS: &str = "GET, POST, DELETE";

/// What they may send besides what every page may.
const SENT: &str = "authorization, content-type, accept, tidewater.cache, tidewater.execution";

/// What they may read besides what every page may.
const READ: &str = "x-query-id, x-cache, x-tidewater-warning, age, location, retry-after";

/// Seconds for which a browser need not ask again. An origin that is taken out of the configuration is refused sooner: by what is said
/// with each answer.
const ASKED_FOR: &str = "600";

/// Schemes of origins, and their own ports, which browsers leave out.
const SCHEMES: [(&str, u16); 2] = [("https", 443), ("http", 80)];

/// An origin as browsers write it: `https://notebooks.example` or `http://localhost:8888`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = |why: &str| format!("{text:?} is no origin: {why}");
        if text.contains('*') {
            return Err(refused("there is no wildcard, each origin is named by itself"));
        }
        let form = "it is written as https://host or https://host:port, with nothing behind it";
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = lower.split_once("://").ok_or_else(|| refused(form))?;
        let known = SCHEMES.iter().find(|(known, _)| *known == scheme);
        let (_, own_port) = known.ok_or_else(|| refused("its scheme is https or http"))?;
        let authority: Option<Authority> = rest.parse().ok();
        let authority = authority.filter(|_| !rest.contains(['/', '?', '#', '@']));
        let authority = authority.ok_or_else(|| refused(form))?;
        let host = authority.host();
        let port = match rest.strip_prefix(host).unwrap_or(rest) {
            _ if host.is_empty() => return Err(refused(form)),
            "" => *own_port,
            port => number(port).ok_or_else(|| refused(form))?,
        };
        Ok(Self(match port == *own_port {
            true => format!("{scheme}://{host}"),
            false => format!("{scheme}://{host}:{port}"),
        }))
    }
}

/// A port with the colon before it.
fn number(port: &str) -> Option<u16> {
    let digits = port.strip_prefix(':')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_plain)
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

/// The origins whose pages may read.
#[derive(Clone)]
pub(super) struct Readers(Arc<[Origin]>);

impl Readers {
    pub(super) fn new(origins: Vec<Origin>) -> Self {
        Self(origins.into())
    }

    /// The origin of a request, if its pages may read the answer.
    fn origin(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(ORIGIN)?;
        let known = self.0.iter().any(|known| origin.as_bytes() == known.0.as_bytes());
        known.then(|| origin.clone())
    }
}

/// Tells browsers which pages may read an answer, and answers those that ask before they send.
pub(super) async fn tell(State(readers): State<Readers>, request: Request, next: Next) -> Response {
    let origin = readers.origin(&request);
    let asks = request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks && origin.is_some() {
        true => may_send(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    // What is kept between here and the browser is another's for another origin.
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
    }
    response
}

fn may_send() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, SENT),
        (ACCESS_CONTROL_MAX_AGE, ASKED_FOR),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: an origin of the configuration is the one that browsers send, and what names none or many is refused. Method: forms of one
    // origin, and what people write instead.
    #[test]
    fn origins_are_exact() {
        for (written, sent) in [
            ("https://notebooks.example", "https://notebooks.example"),
            ("HTTPS://Notebooks.Example:443", "https://notebooks.example"),
            ("http://localhost:8888", "http://localhost:8888"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(Origin::try_from(written.to_owned()), Ok(Origin(sent.to_owned())));
        }
        for wrong in [
            "*",
            "https://*.example",
            "null",
            "",
            "notebooks.example",
            "ftp://notebooks.example",
            "https://",
            "https://notebooks.example/",
            "https://notebooks.example/lab",
            "https://ana@notebooks.example",
            "https://notebooks.example:",
            "https://notebooks.example:99999",
            "https://notebooks.example:+443",
            "https://a.example, https://b.example",
        ] {
            assert!(Origin::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
