//! What every call goes through before the Flight SQL front sees it: nothing of a message is read before it is known who sent it, but for
//! the short ones of a handshake, and what is answered is watched until it is taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;

use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;

use super::connections::{Answer, Line};
use crate::budget::{Budget, Limits};
use crate::flight::WithSchemaCalls;
use crate::flight::authentication;
use crate::flight::status::to_status;
use crate::service::QueryService;

/// Longest message of a call that is one message: a statement (4 MiB), or a ticket that holds one with its values and its answer. Only
/// rows that are written may be longer.
const CALL_BYTES_MAX: usize = 16 << 20;

/// The most that is in the middle of being read of such messages (sixteen of the longest, thousands of usual ones), and of rows that are
/// written (four of the longest). One connection has a quarter at most, so that others find room. What is its own lets every connection
/// send statements of everyday size, whatever others send: with as many connections as there may be (10,000) that is 640 MB for each of
/// the two, less than what HTTP/2 itself may hold for them.
const READING: Limits = Limits {
    own: 64 << 10,
    share: 64 << 20,
    all: 256 << 20,
};
const WRITING: Limits = Limits {
    own: 64 << 10,
    share: GRPC_MESSAGE_BYTES_MAX,
    all: 512 << 20,
};

/// The longest message of a handshake, which is read before it is known who sent it: a name with a token of another issuer in the place of
/// a password, as long as headers may be.
const ENTERING_BYTES_MAX: usize = 64 << 10;

/// The most that is in the middle of being read of them. Whoever can connect can use up what all share, and keeps nobody else from
/// working, nor from coming in with a password or a usual token: there is room for these in what is each connection's own, 80 MB of all.
const ENTERING: Limits = Limits {
    own: 8 << 10,
    share: 1 << 20,
    all: 64 << 20,
};

/// The one call by which it is learned who somebody is.
const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// The calls by which rows are written.
const WRITES: [&str; 2] = [
    "/arrow.flight.protocol.FlightService/DoPut",
    "/arrow.flight.protocol.FlightService/DoExchange",
];

/// The Flight SQL service of a network.
#[derive(Debug, Clone)]
pub(super) struct Door {
    service: QueryService,
    entering: Budget,
    reading: Budget,
    writing: Budget,
    handshakes: FlightServiceServer<WithSchemaCalls>,
    calls: FlightServiceServer<WithSchemaCalls>,
    writes: FlightServiceServer<WithSchemaCalls>,
}

impl Door {
    pub(super) fn new(service: QueryService, calls: WithSchemaCalls) -> Self {
        let limited = |bytes_max| {
            FlightServiceServer::new(calls.clone())
                .max_decoding_message_size(bytes_max)
                .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        };
        Self {
            service,
            entering: Budget::new(ENTERING),
            reading: Budget::new(READING),
            writing: Budget::new(WRITING),
            handshakes: limited(ENTERING_BYTES_MAX),
            calls: limited(CALL_BYTES_MAX),
            writes: limited(GRPC_MESSAGE_BYTES_MAX),
        }
    }

    async fn pass(mut self, mut request: http::Request<Body>) -> http::Response<Body> {
        let line = request.extensions().get::<Line>().cloned();
        if let Some(line) = &line {
            request.extensions_mut().insert(line.peer.clone());
        }
        let shares = line.as_ref().map(|line| line.shares.clone()).unwrap_or_default();
        let (budget, share, server) = match request.uri().path() {
            HANDSHAKE => (self.entering, shares.entering, &mut self.handshakes),
            path => {
                let parts = match WRITES.contains(&path) {
                    true => (self.writing, shares.writing, &mut self.writes),
                    false => (self.reading, shares.reading, &mut self.calls),
                };
                let metadata = MetadataMap::from_headers(std::mem::take(request.headers_mut()));
                let peer = line.as_ref().map(|line| line.peer.clone()).unwrap_or_default();
                let admitted = authentication::caller_by(&self.service, &metadata, &peer).await;
                *request.headers_mut() = metadata.into_headers();
                match admitted {
                    Ok(principal) => request.extensions_mut().insert(principal),
                    Err(error) => return to_status(error).into_http(),
                };
                parts
            }
        };
        let Ok(response) = server.call(request.map(|body| budget.of(body, share))).await;
        match line {
            None => response,
            Some(line) => response.map(|body| {
                let answer = line.unread.begin();
                Body::new(Watched { body, answer })
            }),
        }
    }
}

impl NamedService for Door {
    const NAME: &'static str = <FlightServiceServer<WithSchemaCalls> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.pass(request).await) })
    }
}

/// An answer of which is known whether its client takes it.
struct Watched {
    body: Body,
    answer: Answer,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.get_mut();
        this.answer.is_wanted();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_ready() {
            this.answer.is_ready();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
