//! Sending calls: finds the leader, waits out elections, repeats what is safe to repeat.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::Uri;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_NONE_MATCH, InvalidHeaderValue, LOCATION,
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

use crate::client::{Bearer, ClientOptions};
use crate::error::{ClientError, Result};
use crate::nearby::Nearby;
use tidewater_core::{SharedClock, SharedRng};

/// How long a connection may take. The nodes are near.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// How long a single attempt may take, so that a node that hangs does not use up the whole deadline.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(30);

/// Wait before the first repetition; doubles with each one up to the maximum. An election takes about a second.
const BACKOFF_MIN_MS: u64 = 20;
const BACKOFF_MAX_MS: u64 = 1_000;

/// Calls that an operator makes.
const CLUSTER: &str = "/internal/v1/cluster";
const OPERATOR: &str = "x-tidewater-operator";

/// Asks a follower to name the leader rather than to send the call on.
const REDIRECT: &str = "x-tidewater-redirect";

/// On a commit, with `false`: refuse an append that lost its race.
const REBASE_APPENDS: &str = "x-tidewater-rebase-appends";

/// Connections in a row that may break before an answer, where nobody waits for a start: what listens there may be no catalog.
const BROKEN_MAX: u32 = 8;

/// How often one attempt is sent on to another node.
const REDIRECTS_MAX: u32 = 3;

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    /// Makes a mutation safe to send again.
    pub(crate) key: Option<Uuid>,
    pub(crate) known_etag: Option<String>,
    /// How long the catalog is asked to wait before it answers.
    pub(crate) wait: Duration,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            key: None,
            known_etag: None,
            wait: Duration::ZERO,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// An answer that is not an error.
#[derive(Debug)]
pub(crate) struct Reply {
    call: String,
    pub(crate) status: StatusCode,
    pub(crate) etag: Option<String>,
    body: Bytes,
}

impl Reply {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|source| ClientError::Answer {
            call: self.call.clone(),
            source: source.into(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
struct ErrorModel {
    #[serde(default)]
    message: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default, rename = "error-code")]
    error_code: String,
    #[serde(default)]
    hint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorModel,
}

/// What an attempt came to.
enum Attempt {
    Done(Reply),
    /// Nothing happened there; another node or a later moment may do.
    Again(String),
    /// Nobody listens there.
    Nobody(String),
    /// It may have happened.
    Lost(String),
    /// The same, as the connection broke before an answer: nobody said that he is a catalog.
    Broken(String),
    Refused(ClientError),
    /// Another node leads.
    Elsewhere(Url),
}

/// Connections to the catalog's nodes.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    endpoints: Vec<Url>,
    /// The node that answered last.
    preferred: Mutex<Url>,
    /// The node in this process, and its address.
    near: OnceLock<(Url, Arc<dyn Nearby>)>,
    token: Option<Bearer>,
    operator: Option<Bearer>,
    deadline: Duration,
    await_start: bool,
    clock: SharedClock,
    rng: SharedRng,
}

impl Transport {
    pub(crate) fn new(options: ClientOptions) -> Result<Self> {
        let refuse = |reason: String| ClientError::Options { reason };
        let mut endpoints = Vec::with_capacity(options.endpoints.len());
        for endpoint in &options.endpoints {
            endpoints.push(address(endpoint)?);
        }
        let Some(first) = endpoints.first().cloned() else {
            return Err(refuse("no address of a catalog node is given".into()));
        };
        for token in options.token.iter().chain(&options.operator) {
            header(token).map_err(|_| refuse("the token holds characters that a header cannot".into()))?;
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        for authority in options.authorities {
            http = http.add_root_certificate(authority);
        }
        let http = http.build().map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            http,
            endpoints,
            preferred: Mutex::new(first),
            near: OnceLock::new(),
            token: options.token,
            operator: options.operator,
            deadline: options.deadline,
            await_start: options.await_start,
            clock: options.clock,
            rng: options.rng,
        })
    }

    /// The first node that is told to be near stays it.
    pub(crate) fn nearby(&self, endpoint: &str, node: Arc<dyn Nearby>) -> Result<()> {
        let endpoint = address(endpoint)?;
        self.near.get_or_init(|| (endpoint, node));
        Ok(())
    }

    pub(crate) fn new_key(&self) -> Uuid {
        self.rng.uuid_v7(self.clock.now_ms())
    }

    /// The time of this machine.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Sends a call until it is answered or the deadline is over.
    pub(crate) async fn send(&self, call: &Call) -> Result<Reply> {
        let until = self.clock.monotonic() + self.deadline + call.wait;
        let (mut attempts, mut redirects, mut lost) = (0_u32, 0, None::<String>);
        // The node that answered last may be none of those that were given.
        let (mut silent, silent_max) = (0, self.endpoints.len() + 1);
        let mut broken = 0;
        loop {
            let endpoint = self.preferred();
            let left = until.saturating_sub(self.clock.monotonic());
            let attempt = self
                .attempt(call, &endpoint, left.min(ATTEMPT_DEADLINE + call.wait))
                .await;
            broken = match attempt {
                Attempt::Broken(_) => broken + 1,
                _ => 0,
            };
            let reason = match attempt {
                Attempt::Done(reply) => return Ok(reply),
                Attempt::Refused(error) => {
                    return Err(match lost {
                        Some(reason) if call.method != Method::GET && tells_nothing(&error) => {
                            unknown(call, format!("{reason}, then {error}"))
                        }
                        _ => error,
                    });
                }
                Attempt::Elsewhere(leader) if redirects < REDIRECTS_MAX => {
                    redirects += 1;
                    self.prefer(leader);
                    continue;
                }
                Attempt::Elsewhere(leader) => format!("sent on to {leader} once too often"),
                Attempt::Again(reason) => {
                    silent = 0;
                    reason
                }
                Attempt::Nobody(reason) => {
                    silent += 1;
                    reason
                }
                Attempt::Lost(reason) | Attempt::Broken(reason) => {
                    silent = 0;
                    lost = Some(reason.clone());
                    if call.method != Method::GET && call.key.is_none() {
                        return Err(unknown(call, reason));
                    }
                    reason
                }
            };
            self.prefer(self.after(&endpoint));
            redirects = 0;
            let pause = self.backoff(attempts);
            attempts += 1;
            let given_up = !self.await_start && (silent >= silent_max || broken >= BROKEN_MAX);
            if given_up || self.clock.monotonic() + pause >= until {
                return Err(match lost {
                    Some(reason) if call.method != Method::GET => unknown(call, reason),
                    _ => ClientError::Unavailable {
                        call: call.name(),
                        reason,
                    },
                });
            }
            self.clock.sleep(pause).await;
        }
    }

    /// The first answer of a node that serves a large body. Not repeated half-way: its reader begins anew.
    pub(crate) async fn download(&self, call: &Call) -> Result<reqwest::Response> {
        let mut last = "no address of a catalog node is given".to_owned();
        let first = self.preferred();
        for endpoint in std::iter::once(&first).chain(&self.endpoints) {
            let response = match self.request(call, endpoint).send().await {
                Ok(response) => response,
                Err(error) => {
                    last = chain(&error);
                    continue;
                }
            };
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let body = response.bytes().await.unwrap_or_default();
            match refused(call, status, &body) {
                Attempt::Refused(error) => return Err(error),
                Attempt::Again(reason) | Attempt::Nobody(reason) | Attempt::Lost(reason) | Attempt::Broken(reason) => {
                    last = reason
                }
                Attempt::Done(_) | Attempt::Elsewhere(_) => last = format!("{status}"),
            }
        }
        Err(ClientError::Unavailable {
            call: call.name(),
            reason: last,
        })
    }

    fn request(&self, call: &Call, endpoint: &Url) -> reqwest::RequestBuilder {
        let target = format!("{}{}", endpoint.as_str().trim_end_matches('/'), call.path);
        let mut request = self.http.request(call.method.clone(), target);
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key.to_string());
        }
        if let Some(Ok(token)) = self.token.as_ref().map(header) {
            request = request.header(AUTHORIZATION, token);
        }
        if let Some(etag) = &call.known_etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if call.path.starts_with(CLUSTER)
            && let Some(Ok(token)) = self.operator.as_ref().map(bare_header)
        {
            request = request.header(OPERATOR, token);
        }
        // This client knows how to go to the leader, which is one hop less; and whoever commits through it looks at what came in
        // between before he plans again: a job may have been committed by a second run of it.
        request.header(REDIRECT, "1").header(REBASE_APPENDS, "false")
    }

    async fn attempt(&self, call: &Call, endpoint: &Url, deadline: Duration) -> Attempt {
        let answered = match self.near.get().filter(|(near, _)| near == endpoint) {
            Some((_, node)) => self.ask_nearby(node.as_ref(), call, endpoint, deadline).await,
            None => self.ask(call, endpoint, deadline).await,
        };
        let response = match answered {
            Ok(response) => response,
            Err(attempt) => return attempt,
        };
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return elsewhere(&response);
        }
        let etag = response
            .headers()
            .get(ETAG)
            .and_then(|etag| etag.to_str().ok())
            .map(str::to_owned);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Attempt::Lost(chain(&error)),
        };
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Attempt::Done(Reply {
                call: call.name(),
                status,
                etag,
                body,
            });
        }
        refused(call, status, &body)
    }

    async fn ask(
        &self,
        call: &Call,
        endpoint: &Url,
        deadline: Duration,
    ) -> std::result::Result<reqwest::Response, Attempt> {
        let sent = self.request(call, endpoint).timeout(deadline).send().await;
        sent.map_err(|error| match error.is_connect() || error.is_builder() {
            true if is_refused(&error) => Attempt::Nobody(chain(&error)),
            true => Attempt::Again(chain(&error)),
            false => Attempt::Broken(chain(&error)),
        })
    }

    async fn ask_nearby(
        &self,
        node: &dyn Nearby,
        call: &Call,
        endpoint: &Url,
        deadline: Duration,
    ) -> std::result::Result<reqwest::Response, Attempt> {
        let unsent = |error: &dyn std::error::Error| Attempt::Again(chain(error));
        let request = self
            .request(call, endpoint)
            .build()
            .and_then(http::Request::<reqwest::Body>::try_from);
        let (mut parts, _) = request.map_err(|error| unsent(&error))?.into_parts();
        if let Some(host) = parts.uri.authority() {
            let host = HeaderValue::from_str(host.as_str()).map_err(|error| unsent(&error))?;
            parts.headers.insert(HOST, host);
        }
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map(Uri::from).unwrap_or_default();
        let request = http::Request::from_parts(parts, call.body.clone().unwrap_or_default());
        let answer = node.answer(request);
        match select(answer, self.clock.sleep(deadline)).await {
            Either::Left((Ok(response), _)) => Ok(response.into()),
            Either::Left((Err(error), _)) => Err(Attempt::Lost(chain(error.as_ref()))),
            Either::Right(_) => Err(Attempt::Lost("no answer in time".into())),
        }
    }

    fn preferred(&self) -> Url {
        self.preferred.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn prefer(&self, endpoint: Url) {
        *self.preferred.lock().unwrap_or_else(PoisonError::into_inner) = endpoint;
    }

    /// The configured node after this one; the first when this one was learned from a redirect.
    fn after(&self, endpoint: &Url) -> Url {
        let next = self
            .endpoints
            .iter()
            .position(|known| known == endpoint)
            .map_or(0, |at| at + 1);
        let next = self.endpoints.get(next).or_else(|| self.endpoints.first());
        next.unwrap_or(endpoint).clone()
    }

    /// Grows and differs between clients, so that they do not come back all at once after an election.
    fn backoff(&self, attempts: u32) -> Duration {
        let ceiling_ms = (BACKOFF_MIN_MS << attempts.min(10)).min(BACKOFF_MAX_MS);
        Duration::from_millis(ceiling_ms / 2 + self.rng.below(ceiling_ms / 2 + 1))
    }
}

fn address(endpoint: &str) -> Result<Url> {
    Url::parse(endpoint).map_err(|error| ClientError::Options {
        reason: format!("{endpoint:?} is no URL: {error}"),
    })
}

fn bare_header(token: &Bearer) -> std::result::Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&token.token())?;
    value.set_sensitive(true);
    Ok(value)
}

fn header(token: &Bearer) -> std::result::Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.token()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn elsewhere(response: &reqwest::Response) -> Attempt {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    match location.and_then(|location| Url::parse(location).ok()) {
        Some(mut leader) => {
            leader.set_path("");
            leader.set_query(None);
            Attempt::Elsewhere(leader)
        }
        None => Attempt::Again("a redirect to nowhere".into()),
    }
}

fn refused(call: &Call, status: StatusCode, body: &[u8]) -> Attempt {
    let model = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
    let reason = format!("{status}: {}", model.message);
    let mutates = call.method != Method::GET;
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Attempt::Again(reason),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Attempt::Lost(reason),
        _ if model.kind == "CommitStateUnknownException" => Attempt::Lost(reason),
        // A defect in the middle of a change: nobody knows how far it came. Sending it again would meet the same defect.
        _ if status.is_server_error() && mutates => Attempt::Refused(unknown(call, reason)),
        _ => Attempt::Refused(ClientError::Refused {
            call: call.name(),
            status: status.as_u16(),
            kind: model.kind,
            message: model.message,
            error_code: model.error_code,
            catalog_hint: model.hint,
        }),
    }
}

/// Whether a refusal may come from before the catalog looked what it knows of the call: where a token has expired meanwhile, or a node of
/// another version does not understand it. Then it does not tell that an attempt before it, whose answer was lost, was not applied.
fn tells_nothing(refusal: &ClientError) -> bool {
    let of_the_path = |kind: &str| matches!(kind, "" | "NoSuchEndpointException" | "NoSuchWarehouseException");
    match refusal {
        ClientError::Refused { status, kind, .. } => of_the_path(kind) || !matches!(status, 404 | 409),
        _ => false,
    }
}

fn unknown(call: &Call, reason: String) -> ClientError {
    ClientError::Unknown {
        call: call.name(),
        reason,
    }
}

/// Whether a connection met no listener.
fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        next = error.source();
    }
    false
}

/// An error with its causes: reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
