//! Requests that reach a node that does not lead.
//!
//! Reads are answered here, behind a barrier that asks the leader (or, when the caller allows the answer some age, behind
//! none at all). Everything else is sent on to the leader by this node, so that clients which drop their token on a
//! redirect, or follow none, work all the same. A client that would rather go to the leader itself says so with a header
//! and is answered 307.
//!
//! A request is sent on once: who receives one that was sent on and does not lead says that, and does nothing. A change
//! whose answer was lost with its leader is sent to the next one under the same idempotency key, which this node gives it
//! when the client gave none.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::{Certificate, ClientBuilder};
use tokio::sync::Semaphore;

use super::authenticate::Caller;
use super::extract::IDEMPOTENCY_KEY;
use super::oauth;
use super::respond::{LedElsewhere, OutcomeUnknown};
use crate::error::{CatalogError, Result};
use crate::raft::{Consensus, ConsensusError};
use crate::server::Following;
use crate::service::STALENESS;
use tidewater_core::limits::REST_BODY_BYTES_MAX;
use tidewater_core::{SharedClock, SharedRng};

/// On a request that a node has sent on: the node.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static("x-tidewater-forwarded");

/// On a request: answer with a redirect rather than send it on.
const REDIRECT: HeaderName = HeaderName::from_static("x-tidewater-redirect");

/// On an answer: nothing was done, since this node does not lead.
const NOT_LEADER: HeaderName = HeaderName::from_static("x-tidewater-not-leader");

/// On an answer to a request that was sent on: whether it was done is not known here, as leadership was lost over it.
const UNKNOWN: HeaderName = HeaderName::from_static("x-tidewater-outcome-unknown");

/// On a read: how old the answer may be, in milliseconds.
const MAX_STALENESS: HeaderName = HeaderName::from_static("x-tidewater-max-staleness-ms");

/// How old an answer to a user may be, by whose state they are let in and looked at too: as long as SQL endpoints decide by grants when they
/// cannot ask.
const USERS_AGE_MAX: Duration = Duration::from_secs(15);

/// How long a request waits for a leader that takes it: several elections of a starved machine fit in.
const LEADER_WAIT: Duration = Duration::from_secs(10);

/// Between two tries while nobody leads.
const PAUSE: Duration = Duration::from_millis(50);

/// Longest time for the leader's answer, a little below the limit of a request here.
const FORWARD_DEADLINE: Duration = Duration::from_secs(85);

/// The nodes are near.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// Requests sent on at a time: each holds its body.
const FORWARDS_AT_ONCE: usize = 256;

/// What is about this node and no other; and logging in, so that a password does not travel on.
const OF_THIS_NODE: &[&str] = &["/internal/v1/cluster/snapshot", oauth::PATH];

/// What keeps its answer under an idempotency key. Below other paths a lost answer stays lost.
const KEEPS_ANSWERS: &str = "/v1/";

/// What sending on takes.
#[derive(Debug)]
pub(crate) struct Follower {
    consensus: Arc<dyn Consensus>,
    following: Following,
    clock: SharedClock,
    rng: SharedRng,
    http: Option<reqwest::Client>,
    places: Semaphore,
}

impl Follower {
    /// `authorities` vouch for the other nodes, besides the public CAs.
    pub(crate) fn new(
        consensus: Arc<dyn Consensus>,
        following: Following,
        authorities: &[Certificate],
        clock: SharedClock,
        rng: SharedRng,
    ) -> Self {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(FORWARD_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let believing = |http: ClientBuilder, ca: &Certificate| http.add_root_certificate(ca.clone());
        let http = authorities.iter().fold(http, believing).build();
        Self {
            consensus,
            following,
            clock,
            rng,
            http: http.ok(),
            places: Semaphore::new(FORWARDS_AT_ONCE),
        }
    }

    fn leads(&self) -> bool {
        self.consensus.leadership().borrow().is_leader()
    }

    /// The leader's base URL, as soon as one is known; none when it is this node or nobody.
    async fn leader(&self, wait: Duration) -> Option<String> {
        let mut leadership = self.consensus.leadership();
        let found = tokio::time::timeout(wait, leadership.wait_for(|now| now.leader.is_some())).await;
        let now = found.ok()?.ok()?;
        let leader = now.leader.as_ref().filter(|_| !now.is_leader())?;
        Some(leader.address.api.clone()).filter(|api| !api.is_empty())
    }
}

/// Serves a request here or lets the leader serve it.
pub(crate) async fn follow_leader(State(follower): State<Arc<Follower>>, request: Request, next: Next) -> Response {
    follow(&follower, request, next)
        .await
        .unwrap_or_else(|error| answer_for_other(error.into_response()))
}

async fn follow(follower: &Follower, request: Request, next: Next) -> Result<Response> {
    let headers = request.headers();
    let was_forwarded = headers.contains_key(FORWARDED);
    let redirects = follower.following == Following::Redirect || headers.contains_key(REDIRECT);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_local = OF_THIS_NODE.contains(&request.uri().path());
    let staleness = staleness(headers)?.filter(|_| reads);
    let staleness = match request.extensions().get::<Caller>() {
        Some(Caller::User(_)) => staleness.map(|told| told.min(USERS_AGE_MAX)),
        _ => staleness,
    };
    if reads || is_local {
        let path = target(request.uri()).to_owned();
        let (parts, body) = request.into_parts();
        let again = (parts.clone(), next.clone());
        let response = STALENESS
            .scope(staleness, next.run(Request::from_parts(parts, body)))
            .await;
        return match led_elsewhere(&response) {
            None => Ok(response),
            Some(_) if was_forwarded => Ok(answer_for_other(response)),
            Some(api) if redirects => Ok(redirect(api.as_deref(), &path).unwrap_or(response)),
            Some(api) => send_on(follower, again.0, Bytes::new(), api, again.1).await,
        };
    }
    if !follower.leads() {
        // Nothing is begun here that could not be ended here.
        if was_forwarded {
            let leadership = follower.consensus.leadership().borrow().clone();
            return Err(CatalogError::from(ConsensusError::NotLeader {
                node: leadership.node,
                leader: leadership.leader,
            }));
        }
        if redirects {
            let api = follower.leader(LEADER_WAIT).await;
            if let Some(redirect) = redirect(api.as_deref(), target(request.uri())) {
                return Ok(redirect);
            }
        }
    }
    if was_forwarded || redirects {
        let path = target(request.uri()).to_owned();
        let response = next.run(request).await;
        return Ok(match led_elsewhere(&response) {
            _ if was_forwarded => answer_for_other(response),
            Some(api) => redirect(api.as_deref(), &path).unwrap_or(response),
            None => response,
        });
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, REST_BODY_BYTES_MAX).await else {
        return Err(CatalogError::TooLarge {
            what: "the request's body",
            limit: REST_BODY_BYTES_MAX,
        });
    };
    if !follower.leads() {
        return send_on(follower, parts, body, None, next).await;
    }
    let here = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let response = next.clone().run(here).await;
    match led_elsewhere(&response) {
        // Lost with this node's leadership: the next leader knows, or does it.
        None if is_unknown(&response) && parts.headers.contains_key(IDEMPOTENCY_KEY) => {
            send_on(follower, parts, body, None, next).await
        }
        None => Ok(response),
        Some(api) => send_on(follower, parts, body, api, next).await,
    }
}

/// Sends a request to `first`, or to whoever leads, until a leader took it.
async fn send_on(
    follower: &Follower,
    mut parts: Parts,
    body: Bytes,
    first: Option<String>,
    next: Next,
) -> Result<Response> {
    let Some(http) = &follower.http else {
        return Err(CatalogError::internal("no client to reach the leader with"));
    };
    let Ok(_place) = follower.places.try_acquire() else {
        return Err(CatalogError::from(ConsensusError::Overloaded {
            what: "requests for the leader",
            waited: Duration::ZERO,
        }));
    };
    let node = follower.consensus.status().node;
    let begun = follower.clock.monotonic();
    let mut named = first;
    let repeatable = give_key(follower, &mut parts)?;
    // What may have been done already must not be answered as if it were not.
    let mut lost: Option<String> = None;
    loop {
        let left = LEADER_WAIT.saturating_sub(follower.clock.monotonic() - begun);
        let leader = match named.take() {
            Some(api) => Some(api),
            None => follower.leader(left).await,
        };
        if leader.is_none() && follower.leads() {
            // It fell to this node meanwhile, and may have gone on before the request came to it.
            let here = Request::from_parts(parts.clone(), Body::from(body.clone()));
            let response = next.clone().run(here).await;
            let is_known = !is_unknown(&response) || !repeatable;
            if led_elsewhere(&response).is_none() && is_known {
                return Ok(response);
            }
            if !is_known {
                lost = Some("this node lost its leadership over it".to_owned());
            }
        } else if let Some(api) = leader {
            let url = format!("{}{}", api.trim_end_matches('/'), target(&parts.uri));
            let request = http
                .request(parts.method.clone(), url)
                .headers(end_to_end(&parts.headers))
                .header(FORWARDED, node.to_string())
                .body(body.clone());
            match request.send().await {
                Ok(answer) if answer.headers().contains_key(NOT_LEADER) => {}
                Ok(answer) if repeatable && answer.headers().contains_key(UNKNOWN) => {
                    lost = Some("the leader lost its leadership over it".to_owned());
                }
                Ok(answer) => return Ok(passed_on(answer)),
                Err(error) if error.is_connect() => {}
                Err(error) => {
                    let reason = format!("the leader did not answer: {error}");
                    if !repeatable {
                        return Err(CatalogError::StateUnknown { reason });
                    }
                    lost = Some(reason).filter(|_| !parts.method.is_safe());
                }
            }
        }
        if follower.clock.monotonic() - begun + PAUSE >= LEADER_WAIT {
            return Err(match lost {
                Some(reason) => CatalogError::StateUnknown { reason },
                None => CatalogError::from(ConsensusError::NotLeader { node, leader: None }),
            });
        }
        follower.clock.sleep(PAUSE).await;
    }
}

/// Makes sure that a change can be sent again without being done twice; whether the request may be.
fn give_key(follower: &Follower, parts: &mut Parts) -> Result<bool> {
    if parts.method.is_safe() || parts.headers.contains_key(IDEMPOTENCY_KEY) {
        return Ok(true);
    }
    if !parts.uri.path().starts_with(KEEPS_ANSWERS) {
        return Ok(false);
    }
    let key = HeaderValue::from_str(&follower.rng.uuid().to_string());
    let key = key.map_err(|error| CatalogError::internal(error.to_string()))?;
    parts.headers.insert(IDEMPOTENCY_KEY, key);
    Ok(true)
}

fn staleness(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get(MAX_STALENESS) else {
        return Ok(None);
    };
    let millis = value.to_str().ok().and_then(|value| value.trim().parse().ok());
    let millis = millis.ok_or_else(|| CatalogError::bad_request(format!("{MAX_STALENESS} is not a number")))?;
    Ok(Some(Duration::from_millis(millis)))
}

fn target(uri: &http::Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// Set when the answer says that another node leads, or nobody.
fn led_elsewhere(response: &Response) -> Option<Option<String>> {
    let led = response.extensions().get::<LedElsewhere>();
    led.map(|led| led.api.clone())
}

/// Set when the answer says that nobody here knows whether the request was done.
fn is_unknown(response: &Response) -> bool {
    response.extensions().get::<OutcomeUnknown>().is_some()
}

/// Says to the node that sent a request on that it was not taken, or that nobody knows.
fn answer_for_other(mut response: Response) -> Response {
    if is_unknown(&response) {
        response.headers_mut().insert(UNKNOWN, HeaderValue::from_static("1"));
    }
    if response.extensions().get::<LedElsewhere>().is_some() {
        response.headers_mut().insert(NOT_LEADER, HeaderValue::from_static("1"));
    }
    response
}

fn redirect(api: Option<&str>, path: &str) -> Option<Response> {
    let target = format!("{}{path}", api?.trim_end_matches('/'));
    let target = HeaderValue::from_str(&target).ok()?;
    Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, target)]).into_response())
}

/// Without what is between two neighbours only.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let between = [
        CONNECTION,
        HOST,
        CONTENT_LENGTH,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-authorization"),
    ];
    let mut headers = headers.clone();
    for name in between {
        headers.remove(name);
    }
    headers
}

fn passed_on(answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes_stream().map_err(std::io::Error::other);
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    for name in [CONNECTION, TRANSFER_ENCODING, HeaderName::from_static("keep-alive")] {
        response.headers_mut().remove(name);
    }
    response
}
