//! The calls and actions of Flight, with every kind of key.

use std::fs;
use std::path::Path;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandGetCatalogs, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, BasicAuth, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use super::{KEYS, keys, lake};
use crate::kit::issuer::Issuer;

/// In which header a call shows its key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// The one of today.
    Bearer,
    /// That of older clients of Arrow Flight.
    Older,
}

impl Way {
    pub(super) fn with<T>(self, body: T, token: Option<&str>) -> Request<T> {
        let mut request = Request::new(body);
        match (self, token) {
            (_, None) => {}
            (Self::Bearer, Some(token)) => {
                let header = format!("Bearer {token}").parse().unwrap();
                request.metadata_mut().insert("authorization", header);
            }
            (Self::Older, Some(token)) => {
                let header = MetadataValue::from_bytes(token.as_bytes());
                request.metadata_mut().insert_bin("auth-token-bin", header);
            }
        }
        request
    }
}

async fn call(
    client: &mut FlightServiceClient<Channel>,
    name: &str,
    token: Option<&str>,
    way: Way,
) -> Result<(), tonic::Status> {
    async fn drained<T>(stream: tonic::Response<tonic::Streaming<T>>) -> Result<(), tonic::Status> {
        let mut stream = stream.into_inner();
        while stream.message().await?.is_some() {}
        Ok(())
    }
    let query = CommandStatementQuery {
        query: "SELECT * FROM g.t".into(),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let catalogs = Any::pack(&CommandGetCatalogs {}).unwrap().encode_to_vec();
    let data = FlightData::default().with_descriptor(descriptor.clone());
    match name {
        "handshake" => {
            let stream = futures::stream::iter([HandshakeRequest::default()]);
            drained(client.handshake(way.with(stream, token)).await?).await
        }
        "list_flights" => drained(client.list_flights(way.with(Criteria::default(), token)).await?).await,
        "get_flight_info" => client.get_flight_info(way.with(descriptor, token)).await.map(drop),
        "poll_flight_info" => {
            let mut next = Some(descriptor);
            while let Some(descriptor) = next {
                let polled = client.poll_flight_info(way.with(descriptor, token)).await?;
                next = polled.into_inner().flight_descriptor;
            }
            Ok(())
        }
        "get_schema" => client.get_schema(way.with(descriptor, token)).await.map(drop),
        "do_get" => drained(client.do_get(way.with(Ticket::new(catalogs), token)).await?).await,
        "do_put" => drained(client.do_put(way.with(futures::stream::iter([data]), token)).await?).await,
        "do_exchange" => {
            drained(
                client
                    .do_exchange(way.with(futures::stream::iter([data]), token))
                    .await?,
            )
            .await
        }
        "list_actions" => drained(client.list_actions(way.with(Empty {}, token)).await?).await,
        action => {
            let kind = action.strip_prefix("do_action ").unwrap();
            let action = Action {
                r#type: kind.to_owned(),
                body: Vec::new().into(),
            };
            drained(client.do_action(way.with(action, token)).await?).await
        }
    }
}

/// The calls of Flight, as its service is made of; and the actions that it lists.
fn calls() -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("flight-sql/src/flight/schema_calls.rs");
    let text = fs::read_to_string(source).unwrap();
    let names = text
        .split("async fn ")
        .skip(1)
        .map(|part| part.split('(').next().unwrap().to_owned());
    names
        .filter(|name| name != "do_action" && !name.starts_with("admitted"))
        .collect()
}

// Goal: no call and no action of Flight answers who is not in, and who may do nothing gets nothing of what is there. Method: all calls
// as the service makes them and all actions that it lists, with each key in each of the headers that are taken.
#[tokio::test]
async fn every_call_of_flight_with_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let (issuer, node, keys) = tokio::task::spawn_blocking({
        let dir = dir.path().to_owned();
        move || {
            let issuer = Issuer::start();
            let node = lake(&dir, &issuer);
            let keys = keys(&issuer);
            (issuer, node, keys)
        }
    })
    .await
    .unwrap();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports().flight)).unwrap();
    let mut client = FlightServiceClient::new(endpoint.connect().await.unwrap());
    let mut names = calls();
    assert_eq!(names.len(), 9, "calls of Flight beside do_action: {names:?}");
    let mut request = Request::new(Empty {});
    let header = format!("Bearer {}", keys["role"].as_ref().unwrap()).parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    let mut actions = client.list_actions(request).await.unwrap().into_inner();
    while let Some(action) = actions.message().await.unwrap() {
        names.push(format!("do_action {}", action.r#type));
    }
    assert!(names.len() > 12, "{names:?}");
    for name in &names {
        for (key, way) in KEYS.iter().flat_map(|key| [(*key, Way::Bearer), (*key, Way::Older)]) {
            let answer = call(&mut client, name, keys[key].as_deref(), way).await;
            let code = answer.as_ref().err().map(tonic::Status::code);
            let expected = match key {
                "role" => match name.as_str() {
                    // What everybody who is in may ask.
                    "handshake" | "list_actions" | "do_get" => code.is_none(),
                    "list_flights" | "do_exchange" => code == Some(Code::Unimplemented),
                    _ => {
                        code.is_none()
                            || code.is_some_and(|code| code != Code::Unauthenticated && code != Code::Internal)
                    }
                },
                _ => code == Some(Code::Unauthenticated),
            };
            assert!(expected, "{name} with {key} ({way:?}): {answer:?}");
            if key == "role" && matches!(name.as_str(), "get_flight_info" | "poll_flight_info" | "get_schema") {
                assert!(answer.is_err(), "{name}: a table that its caller may not know of");
            }
        }
    }
    // The login of older clients, whose message holds the key in the place of a password.
    for key in KEYS {
        let basic = BasicAuth {
            username: "corp/ana".into(),
            password: keys[key].clone().unwrap_or_default(),
        };
        let said = HandshakeRequest {
            protocol_version: 0,
            payload: basic.encode_to_vec().into(),
        };
        let answer = client.handshake(futures::stream::iter([said])).await;
        let answer = match answer {
            Ok(answer) => answer.into_inner().message().await,
            Err(refused) => Err(refused),
        };
        match key {
            "role" => assert!(answer.unwrap().is_some_and(|answer| !answer.payload.is_empty())),
            _ => assert_eq!(answer.expect_err(key).code(), Code::Unauthenticated, "{key}"),
        }
    }
    tokio::task::spawn_blocking(move || drop((issuer, node))).await.unwrap();
}
