//! What every request of the control endpoint passes: who is at the other end, and how long its body may take.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};

use super::Refusal;
use tidewater_catalog::{AtWork, Remote};
use tidewater_core::SharedClock;
use tidewater_flight_sql::http::REQUEST_BYTES_MAX;
use tidewater_security::Peer;

/// How long the body of a request may take to come: the largest one at some hundred kilobytes a second.
const READ_MAX: Duration = Duration::from_secs(30);

/// What is answered without TLS wherever it is asked from.
const OPEN: [&str; 3] = ["/health", "/ready", "/metrics"];

/// Tells the routes who is at the other end, in the terms that they know. While it is answered, a connection may be silent.
pub(super) async fn tell_peer(
    ConnectInfo(Remote { peer, working }): ConnectInfo<Remote>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(peer);
    let at_work = working.begin();
    let response = next.run(request).await;
    response.map(|body| {
        Body::new(Held {
            body,
            _at_work: at_work,
        })
    })
}

/// Refuses what others may read along, but for what probes and scrapes ask. To be asked before a token is looked at.
pub(super) async fn refuse_plain(request: Request, next: Next) -> Response {
    let is_private = request.extensions().get::<Peer>().is_some_and(Peer::is_private);
    if is_private || OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let text = "requests of other machines are taken over TLS only";
    let hint = "call by https, and replace the token if one was sent".to_owned();
    Refusal::new(StatusCode::FORBIDDEN, "CTL-0018", text, Some(hint)).into_response()
}

/// Reads the body of a request before anything of it is done.
pub(super) async fn read_body(State(clock): State<SharedClock>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let too_large = || {
        let message = format!("the body of a request has at most {REQUEST_BYTES_MAX} bytes");
        let hint = "send what is larger in parts; rows come in by Flight SQL".to_owned();
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "CTL-0016", message, Some(hint)).into_response()
    };
    // One that says so is refused before it comes.
    if body.size_hint().lower() > REQUEST_BYTES_MAX as u64 {
        return too_large();
    }
    let read = tokio::select! {
        read = to_bytes(body, REQUEST_BYTES_MAX + 1) => read,
        () = clock.sleep(READ_MAX) => {
            let message = format!("the body of the request did not come within {READ_MAX:?}");
            let hint = "send it at once, and look at the network between".to_owned();
            let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "CTL-0015", message, Some(hint));
            return refusal.into_response();
        }
    };
    match read {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(_) => too_large(),
    }
}

/// A body, as long as which something is at work for its connection.
struct Held {
    body: Body,
    _at_work: AtWork,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn;
    use tower::ServiceExt;

    use super::*;

    // Goal: where TLS is required nothing but probes and scrapes is answered in clear to another machine. Method: paths of each kind, one
    // that is none among them, asked for in clear from elsewhere and from here, by TLS from elsewhere, and from nobody knows where.
    #[tokio::test]
    async fn plain_requests_of_others_are_refused() {
        let paths = [
            ("/health", true),
            ("/ready", true),
            ("/metrics", true),
            ("/v1/status", false),
            ("/api/v1/sql", false),
            ("/internal/v1/siblings", false),
            ("/health/x", false),
        ];
        let routes = Router::new().fallback(|| async { "here" });
        let routes = routes.layer(from_fn(refuse_plain));
        let at = |address: &str| Peer::at(Some(address.parse().expect("an address")));
        let encrypted = at("10.0.0.9:4000");
        encrypted.encrypted();
        let peers = [
            (Some(at("10.0.0.9:4000")), false),
            (None, false),
            (Some(at("127.0.0.1:4000")), true),
            (Some(encrypted), true),
        ];
        for (peer, is_private) in peers {
            for (path, is_open) in paths {
                let mut request = Request::new(Body::empty());
                *request.uri_mut() = path.parse().expect("a path");
                if let Some(peer) = &peer {
                    request.extensions_mut().insert(peer.clone());
                }
                let answer = routes.clone().oneshot(request).await.expect("an answer");
                let wanted = match is_private || is_open {
                    true => StatusCode::OK,
                    false => StatusCode::FORBIDDEN,
                };
                assert_eq!(answer.status(), wanted, "{path} from {peer:?}");
            }
        }
    }
}
