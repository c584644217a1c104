//! What every request of the control endpoint passes: who is at the other end, how long its body may take, and how much room it has.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use futures::StreamExt;
use http_body::{Frame, SizeHint};

use super::Refusal;
use tidewater_catalog::{AtWork, Connections, Remote};
use tidewater_core::SharedClock;
use tidewater_flight_sql::budget::{Budget, Limits, Share, Taken};
use tidewater_flight_sql::http::REQUEST_BYTES_MAX;
use tidewater_security::Peer;

/// How long the body of a request may take to come: the largest one at some hundred kilobytes a second.
const READ_MAX: Duration = Duration::from_secs(30);

/// The most that is held of bodies, those of requests at work included: sixty-four of the longest, thousands of usual ones. One connection
/// has a sixteenth at most. What is its own lets every connection send statements of everyday size, whatever others send: with as many
/// connections as there may be (10,000) that is 640 MB.
const READING: Limits = Limits {
    own: 64 << 10,
    share: 16 << 20,
    all: 256 << 20,
};

/// What is answered without TLS wherever it is asked from.
const OPEN: [&str; 3] = ["/health", "/ready", "/metrics"];

/// What is known of a request's connection.
#[derive(Debug, Clone)]
pub(super) struct Line {
    remote: Remote,
    /// What it has of bodies.
    share: Share,
}

impl Connected<IncomingStream<'_, Connections>> for Line {
    fn connect_info(incoming: IncomingStream<'_, Connections>) -> Self {
        Self {
            remote: Remote::connect_info(incoming),
            share: Share::default(),
        }
    }
}

/// Tells the routes who is at the other end, in the terms that they know. While it is answered, a connection may be silent.
pub(super) async fn tell_peer(
    ConnectInfo(Line { remote, share }): ConnectInfo<Line>,
    mut request: Request,
    next: Next,
) -> Response {
    let Remote { peer, working } = remote;
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(share);
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

/// The room for bodies, and the clock that they are timed by.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    clock: SharedClock,
    reading: Budget,
}

impl Bodies {
    /// With nothing in it.
    pub(super) fn new(clock: &SharedClock) -> Self {
        Self {
            clock: SharedClock::clone(clock),
            reading: Budget::new(READING),
        }
    }
}

/// Reads the body of a request before anything of it is done.
pub(super) async fn read_body(State(bodies): State<Bodies>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // One that says so is refused before it comes.
    if body.size_hint().lower() > REQUEST_BYTES_MAX as u64 {
        return too_large().into_response();
    }
    let share = parts.extensions.get::<Share>().cloned().unwrap_or_default();
    let mut taken = bodies.reading.begin(share);
    let read = tokio::select! {
        read = whole(body, &mut taken) => read,
        () = bodies.clock.sleep(READ_MAX) => {
            let message = format!("the body of the request did not come within {READ_MAX:?}");
            let hint = "send it at once, and look at the network between".to_owned();
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "CTL-0015", message, Some(hint)))
        }
    };
    match read {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// All of a body, which takes what it needs.
async fn whole(body: Body, taken: &mut Taken) -> Result<Vec<u8>, Refusal> {
    let (mut whole, mut pieces) = (Vec::new(), body.into_data_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| too_large())?;
        if whole.len() + piece.len() > REQUEST_BYTES_MAX {
            return Err(too_large());
        }
        taken.add(piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn too_large() -> Refusal {
    let message = format!("the body of a request has at most {REQUEST_BYTES_MAX} bytes");
    let hint = "send what is larger in parts; rows come in by Flight SQL".to_owned();
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "CTL-0016", message, Some(hint))
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
    use axum::middleware::{from_fn, from_fn_with_state};
    use futures::{poll, stream};
    use tidewater_core::SystemClock;
    use tower::ServiceExt;

    use super::*;

    // Goal: where halves of others' bodies take all there is, short ones are read and long ones refused, and what is given up makes room.
    // Method: a body that does not go on and takes all; short and long ones beside it, and a long one behind it.
    #[tokio::test]
    async fn halves_of_bodies_take_nothing_from_others() {
        let limits = Limits {
            own: 10,
            share: 30,
            all: 30,
        };
        let bodies = Bodies {
            clock: SystemClock::shared(),
            reading: Budget::new(limits),
        };
        let routes = Router::new().fallback(|body: Bytes| async move { body });
        let routes = routes.layer(from_fn_with_state(bodies, read_body));
        let ask = |body: Body| routes.clone().oneshot(Request::new(body));
        let half = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 40]))]);
        let mut held = Box::pin(ask(Body::from_stream(half.chain(stream::pending()))));
        assert!(poll!(held.as_mut()).is_pending());
        let status = async |text: &'static str| ask(Body::from(text)).await.expect("an answer").status();
        assert_eq!(status("short").await, StatusCode::OK);
        assert_eq!(status("longer than its own").await, StatusCode::TOO_MANY_REQUESTS);
        drop(held);
        assert_eq!(status("longer than its own").await, StatusCode::OK);
    }

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
