//! What Flight SQL gave to one user, shown by another: tickets, prepared statements, polls, endpoints, sessions.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest, Any,
    DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, FlightEndpoint, FlightInfo, RenewFlightEndpointRequest,
    Ticket,
};
use axum::body::Bytes;
use prost::Message;
use tonic::{Code, Status};

use tidewater_flight_sql::flight::options::{
    GetSessionOptionsResult, OptionValue, SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult,
};

use super::caller::{Caller, prepared, prepared_update, query, row};
use super::commands::start;

/// What is answered to a request to cancel: it was, and there is nothing to cancel.
const CANCELLED: i32 = 1;
const NOT_CANCELLABLE: i32 = 3;

/// An option that cannot have this value.
const UNUSABLE_VALUE: i32 = 2;

/// The one row that each of the statements here answers with.
fn seven() -> Vec<Vec<Option<String>>> {
    vec![vec![Some("7".to_owned())]]
}

impl Caller {
    async fn bind(&self, handle: &Bytes, value: i64) -> Result<Bytes, Status> {
        let told = self.put(prepared(handle.clone()), Some(row("1", value))).await?;
        let bound = DoPutPreparedStatementResult::decode(told).unwrap();
        Ok(bound.prepared_statement_handle.unwrap())
    }

    async fn renew(&self, endpoint: &FlightEndpoint) -> Result<FlightEndpoint, Status> {
        let request = RenewFlightEndpointRequest {
            endpoint: Some(endpoint.clone()),
        };
        let told = self.act("RenewFlightEndpoint", request.encode_to_vec()).await?;
        Ok(FlightEndpoint::decode(told).unwrap())
    }

    /// In both ways in which clients ask for it.
    async fn cancel(&self, info: &FlightInfo) -> [i32; 2] {
        let request = CancelFlightInfoRequest {
            info: Some(info.clone()),
        };
        let told = self.act("CancelFlightInfo", request.encode_to_vec()).await.unwrap();
        let first = CancelFlightInfoResult::decode(told).unwrap().status;
        let request = ActionCancelQueryRequest {
            info: info.encode_to_vec().into(),
        };
        let told = self.act("CancelQuery", request.as_any().encode_to_vec()).await.unwrap();
        let second: ActionCancelQueryResult = Any::decode(told).unwrap().unpack().unwrap().unwrap();
        [first, second.result]
    }

    /// Sets the schema of names that have none: the cookie, or why it is not set.
    async fn set_schema(&self, schema: &str) -> Result<String, i32> {
        let value = SessionOptionValue {
            value: Some(OptionValue::Text(schema.to_owned())),
        };
        let request = SetSessionOptionsRequest {
            session_options: [("schema".to_owned(), value)].into(),
        };
        let action = Action {
            r#type: "SetSessionOptions".to_owned(),
            body: request.encode_to_vec().into(),
        };
        let answer = self.client.clone().do_action(self.with(action)).await.unwrap();
        let cookie = answer.metadata().get("set-cookie").cloned();
        let told = answer.into_inner().message().await.unwrap().unwrap().body;
        let told = SetSessionOptionsResult::decode(told).unwrap();
        match told.errors.get("schema") {
            Some(error) => Err(error.value),
            None => Ok(cookie.unwrap().to_str().unwrap().to_owned()),
        }
    }

    /// The schema of a session with this cookie.
    async fn schema_with(&self, cookie: &str) -> String {
        let mut request = self.with(Action {
            r#type: "GetSessionOptions".to_owned(),
            body: Bytes::new(),
        });
        let cookie = cookie.split(';').next().unwrap().parse().unwrap();
        request.metadata_mut().insert("cookie", cookie);
        let mut answers = self.client.clone().do_action(request).await.unwrap().into_inner();
        let told = answers.message().await.unwrap().unwrap().body;
        let told = GetSessionOptionsResult::decode(told).unwrap();
        match told.session_options["schema"].value.clone() {
            Some(OptionValue::Text(schema)) => schema,
            other => panic!("{other:?}"),
        }
    }
}

/// The ticket of a flight.
fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

// Goal: nobody fetches, binds, asks, carries out, polls, renews, ends or closes what another was given, though they might ask for the same
// themselves, nor takes their settings, and it stays good for its owner. Method: an administrator's poll, session, ticket, prepared query and
// prepared change, each shown by a reader of the same table in each call that takes it, then by the administrator.
#[tokio::test]
async fn what_another_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let started = tokio::task::spawn_blocking(move || start(&path)).await.unwrap();
    let (issuer, node, [_, bea, root]) = started;
    let owner = Caller::connect(&node, root).await;
    let other = Caller::connect(&node, bea).await;
    polls(&owner, &other).await;
    sessions(&owner, &other).await;
    tickets_and_prepared_statements(&owner, &other).await;
    tokio::task::spawn_blocking(move || drop((issuer, node))).await.unwrap();
}

/// Of others nobody learns whether there are any, until when they are kept, or how they end.
async fn polls(owner: &Caller, other: &Caller) {
    let info = owner.polled(query("SELECT id FROM g.t")).await.unwrap();
    let held = ticket(&info);
    for (call, refused) in [
        ("polled", other.polled(held.ticket.clone()).await.map(drop)),
        ("fetched", other.rows(held.clone()).await.map(drop)),
        ("renewed", other.renew(&info.endpoint[0]).await.map(drop)),
    ] {
        let refused = refused.expect_err(call);
        assert_eq!(refused.code(), Code::NotFound, "{call}: {refused}");
        assert!(refused.message().starts_with("SQL-0022"), "{call}: {refused}");
    }
    assert_eq!(other.cancel(&info).await, [NOT_CANCELLABLE; 2]);
    owner.renew(&info.endpoint[0]).await.unwrap();
    owner.polled(held.ticket.clone()).await.unwrap();
    assert_eq!(owner.rows(held).await.unwrap(), seven());
}

/// None names a schema that its user may not know of.
async fn sessions(owner: &Caller, other: &Caller) {
    let cookie = owner.set_schema("g").await.unwrap();
    assert_eq!(owner.schema_with(&cookie).await, "g");
    assert_ne!(other.schema_with(&cookie).await, "g");
    assert!(other.set_schema("g").await.is_ok());
    assert!(owner.set_schema("h").await.is_ok());
    for schema in ["h", "nothing"] {
        assert_eq!(other.set_schema(schema).await, Err(UNUSABLE_VALUE), "{schema}");
    }
}

/// Those of others are refused as such: who shows one knows that there is one.
async fn tickets_and_prepared_statements(owner: &Caller, other: &Caller) {
    let info = owner.info(query("SELECT id FROM g.t")).await.unwrap();
    let asks = owner.prepare("SELECT id FROM g.t WHERE id = ?").await.unwrap();
    let bound = owner.bind(&asks, 7).await.unwrap();
    let changes = owner.prepare("INSERT INTO g.t VALUES (?)").await.unwrap();
    let change = owner.bind(&changes, 8).await.unwrap();
    let of_change = || Some(row("1", 8));
    for (call, refused) in [
        ("fetched", other.rows(ticket(&info)).await.map(drop)),
        ("renewed", other.renew(&info.endpoint[0]).await.map(drop)),
        ("bound", other.bind(&asks, 7).await.map(drop)),
        ("asked", other.info(prepared(bound.clone())).await.map(drop)),
        ("polled", other.polled(prepared(bound.clone())).await.map(drop)),
        (
            "fetched as prepared",
            other.rows(Ticket::new(prepared(bound.clone()))).await.map(drop),
        ),
        ("bound for a change", other.bind(&changes, 8).await.map(drop)),
        (
            "changed",
            other.put(prepared_update(changes.clone()), of_change()).await.map(drop),
        ),
        (
            "changed by what is bound",
            other.put(prepared_update(change.clone()), None).await.map(drop),
        ),
        (
            "changed by a query",
            other.info(prepared(change.clone())).await.map(drop),
        ),
    ] {
        let refused = refused.expect_err(call);
        assert_eq!(refused.code(), Code::PermissionDenied, "{call}: {refused}");
        assert!(refused.message().starts_with("SQL-0038"), "{call}: {refused}");
        assert!(!refused.message().contains("g.t"), "{call}: {refused}");
    }
    assert_eq!(other.cancel(&info).await, [NOT_CANCELLABLE; 2]);
    for handle in [&asks, &bound, &changes, &change] {
        let close = ActionClosePreparedStatementRequest {
            prepared_statement_handle: handle.clone(),
        };
        other
            .act("ClosePreparedStatement", close.as_any().encode_to_vec())
            .await
            .unwrap();
    }
    assert_eq!(owner.rows(ticket(&info)).await.unwrap(), seven());
    let renewed = owner.renew(&info.endpoint[0]).await.unwrap();
    assert_eq!(owner.rows(renewed.ticket.unwrap()).await.unwrap(), seven());
    let asked = owner.info(prepared(bound)).await.unwrap();
    assert_eq!(owner.fetched(asked).await.unwrap(), seven());
    owner.put(prepared_update(changes), of_change()).await.unwrap();
    let counted = owner.info(query("SELECT count(*), max(id) FROM g.t")).await.unwrap();
    let counted = owner.fetched(counted).await.unwrap();
    assert_eq!(
        counted,
        [[Some("2".to_owned()), Some("8".to_owned())]],
        "the owner's change, and no other"
    );
    let never = owner.info(query("SELECT 1 AS one")).await.unwrap();
    assert_eq!(other.cancel(&never).await, [NOT_CANCELLABLE; 2]);
    assert_eq!(owner.cancel(&never).await, [CANCELLED; 2]);
}
