//! The handshake: who a client is, said once, for the token that it shows ever after.
//!
//! Clients of today say it in a header. Older ones, whose handlers of authentication write messages, send a `BasicAuth` as their first.

use std::time::Duration;

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use bytes::Bytes;
use futures::future::ready;
use futures::{Stream, StreamExt, stream};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use tidewater_core::SharedClock;
use tidewater_security::Peer;

use super::authentication::{self, Shown};
use super::status::to_status;
use super::{DataStream, FlightSql};
use crate::service::QueryService;

/// How long a client that shows nothing in a header may take to say who it is.
const SAYS_WHO: Duration = Duration::from_secs(5);

/// How long a client that has its token may take to end what it says.
const ENDS: Duration = Duration::from_secs(5);

impl FlightSql {
    pub(super) async fn let_in(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<DataStream<HandshakeResponse>>, Status> {
        let peer = authentication::peer(&request);
        let (metadata, _, mut said) = request.into_parts();
        let token = token(&self.service, &metadata, &peer, &mut said).await?;
        let answer = HandshakeResponse {
            protocol_version: 0,
            payload: Bytes::from(token.clone()),
        };
        // A client of C++ that still writes when the call ends waits for ever.
        let clock = self.service.clock().clone();
        let end = async move {
            tokio::select! {
                () = async { while let Ok(Some(_)) = said.message().await {} } => {}
                () = clock.sleep(ENDS) => {}
            }
        };
        let ended = stream::once(end).filter_map(|()| ready(None));
        let answers: DataStream<HandshakeResponse> = Box::pin(stream::once(ready(Ok(answer))).chain(ended));
        let mut response = Response::new(answers);
        // The JDBC driver reads the token from this header only.
        let header = format!("Bearer {token}")
            .parse()
            .map_err(|_| Status::internal("a token that is no header"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }
}

/// The token of who says who they are: in the header, or else in the first message. Older clients that log in again send their last
/// token beside that message, which may be why they do: it counts only without one.
async fn token(
    service: &QueryService,
    metadata: &MetadataMap,
    peer: &Peer,
    said: &mut (impl Stream<Item = Result<HandshakeRequest, Status>> + Unpin),
) -> Result<String, Status> {
    let shown = match Shown::by_header(metadata) {
        Shown::Nothing if service.authenticator().required() => match first(said, service.clock()).await? {
            Shown::Nothing => Shown::by_call(metadata),
            shown => shown,
        },
        shown => shown,
    };
    authentication::token_for(service, shown, peer).await.map_err(to_status)
}

/// What the first message says.
async fn first(
    said: &mut (impl Stream<Item = Result<HandshakeRequest, Status>> + Unpin),
    clock: &SharedClock,
) -> Result<Shown, Status> {
    let message = tokio::select! {
        message = said.next() => message.transpose()?,
        () = clock.sleep(SAYS_WHO) => None,
    };
    let payload = message.map(|message| message.payload).unwrap_or_default();
    if payload.is_empty() {
        return Ok(Shown::Nothing);
    }
    Ok(match BasicAuth::decode(payload) {
        Ok(basic) => Shown::Password {
            user: basic.username,
            password: basic.password,
        },
        Err(_) => Shown::Garbled,
    })
}

#[cfg(test)]
mod tests;
