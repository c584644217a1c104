//! Bodies are read before a request takes a place among those at work, so that slow clients take none from others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{CatalogError, Result};
use crate::raft::ConsensusError;
use tidewater_core::limits::REST_BODY_BYTES_MAX;

/// How long the body of a request may take to come: the largest one at half a megabyte a second.
const READ_MAX: Duration = Duration::from_secs(30);

/// What is held of all bodies at a time, those of requests at work included.
const HELD_KIB_MAX: usize = 512 << 10;

/// The room for bodies, and the time they may take.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    room_kib: Arc<Semaphore>,
    read_max: Duration,
}

impl Bodies {
    fn new(room_kib: usize, read_max: Duration) -> Self {
        Self {
            room_kib: Arc::new(Semaphore::new(room_kib)),
            read_max,
        }
    }

    /// All of a body, with the room that it takes.
    async fn read(&self, body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>)> {
        let (mut read, mut held) = (Read::default(), None);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| CatalogError::bad_request("the body of the request broke off"))?;
            if read.len() + piece.len() > REST_BODY_BYTES_MAX {
                return Err(too_large());
            }
            read.push(piece);
            self.make_room(&mut held, read.len())?;
        }
        Ok((read.all(), held))
    }

    /// Room for so many bytes. Nobody waits for it who holds some already: two could wait for each other.
    fn make_room(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<()> {
        let kib = bytes.div_ceil(1 << 10);
        let more = kib.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.room_kib).try_acquire_many_owned(more) else {
            return Err(CatalogError::from(ConsensusError::Overloaded {
                what: "bodies of requests",
                waited: Duration::ZERO,
            }));
        };
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(HELD_KIB_MAX, READ_MAX)
    }
}

/// What was read of a body. Most come in one piece, which is not copied.
#[derive(Default)]
struct Read {
    first: Bytes,
    joined: BytesMut,
}

impl Read {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.joined.extend_from_slice(&first);
        self.joined.extend_from_slice(&piece);
    }

    fn all(self) -> Bytes {
        match self.joined.is_empty() {
            true => self.first,
            false => self.joined.freeze(),
        }
    }
}

fn too_large() -> CatalogError {
    CatalogError::TooLarge {
        what: "the request's body",
        limit: REST_BODY_BYTES_MAX,
    }
}

/// Reads the body of a request, and lets the request go on with it.
pub(crate) async fn read_body(State(bodies): State<Bodies>, request: Request, next: Next) -> Result<Response> {
    if request.body().is_end_stream() {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    // One that is too large is refused before it comes.
    if body.size_hint().lower() > REST_BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let Ok(read) = tokio::time::timeout(bodies.read_max, bodies.read(body)).await else {
        return Err(CatalogError::SlowBody {
            seconds: bodies.read_max.as_secs(),
        });
    };
    let (bytes, _room) = read?;
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use http::StatusCode;
    use tower::ServiceExt;

    use super::*;

    fn router(bodies: Bodies) -> Router {
        Router::new()
            .route("/", post(|body: Bytes| async move { body }))
            .layer(from_fn_with_state(bodies, read_body))
    }

    async fn send(router: Router, body: Body) -> (StatusCode, Bytes) {
        let request = Request::post("/").body(body).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        (
            status,
            axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap(),
        )
    }

    fn in_pieces(pieces: Vec<Bytes>) -> Body {
        Body::from_stream(futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
    }

    // Goal: bodies arrive whole however they come, and those that are too large, come too slowly or find no room are refused with the
    // code for it. Method: a handler that sends back what it got, behind limits of a few bytes and milliseconds.
    #[tokio::test]
    async fn bodies_are_read_within_limits() {
        let all = router(Bodies::default());
        for pieces in [vec!["a"], vec!["a", "", "b"], vec!["", "ab", "c"]] {
            let sent = pieces.concat();
            let body = in_pieces(pieces.into_iter().map(Bytes::from).collect());
            assert_eq!(send(all.clone(), body).await, (StatusCode::OK, Bytes::from(sent)));
        }
        let code = |answer: (StatusCode, Bytes)| {
            let body: serde_json::Value = serde_json::from_slice(&answer.1).unwrap();
            (answer.0, body["error"]["error-code"].as_str().unwrap().to_owned())
        };
        let half = Bytes::from(vec![b' '; REST_BODY_BYTES_MAX / 2 + 1]);
        for body in [
            Body::from([&half[..], &half[..]].concat()),
            in_pieces(vec![half.clone(), half]),
        ] {
            let refused = code(send(all.clone(), body).await);
            assert_eq!(refused, (StatusCode::PAYLOAD_TOO_LARGE, "CAT-0013".into()));
        }
        let never = Body::from_stream(futures::stream::pending::<std::io::Result<Bytes>>());
        let refused = code(send(router(Bodies::new(1, Duration::from_millis(20))), never).await);
        assert_eq!(refused, (StatusCode::REQUEST_TIMEOUT, "CAT-0031".into()));
        let small = router(Bodies::new(1, READ_MAX));
        let refused = send(small.clone(), Body::from(vec![0; 2_000])).await;
        assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
        // The room is given back.
        assert_eq!(send(small, Body::from(vec![0; 1_000])).await.0, StatusCode::OK);
    }
}
