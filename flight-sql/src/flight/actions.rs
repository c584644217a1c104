//! Actions beside those of prepared statements: settings of a session, results that are held, cancelling.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{Action, ActionType, CancelFlightInfoResult};
use futures::stream;
use prost::Message;
use tonic::{Request, Response, Status};

use super::options::{self, CloseSessionResult, SetSessionOptionsRequest, Usual};
use super::session::Session;
use super::status::to_status;
use super::{FlightSql, cancel};

type Answers = Response<<FlightSql as FlightService>::DoActionStream>;

/// What can be asked, and what the request and the answer are.
const ACTIONS: [(&str, &str); 8] = [
    (
        "CreatePreparedStatement",
        "ActionCreatePreparedStatementRequest: ActionCreatePreparedStatementResult",
    ),
    (
        "ClosePreparedStatement",
        "ActionClosePreparedStatementRequest: no answer",
    ),
    ("CancelQuery", "ActionCancelQueryRequest: ActionCancelQueryResult"),
    ("CancelFlightInfo", "CancelFlightInfoRequest: CancelFlightInfoResult"),
    ("RenewFlightEndpoint", "RenewFlightEndpointRequest: FlightEndpoint"),
    ("SetSessionOptions", "SetSessionOptionsRequest: SetSessionOptionsResult"),
    ("GetSessionOptions", "GetSessionOptionsRequest: GetSessionOptionsResult"),
    ("CloseSession", "CloseSessionRequest: CloseSessionResult"),
];

/// For `ListActions`.
pub(super) fn all() -> Vec<Result<ActionType, Status>> {
    let of = |(name, description): (&str, &str)| {
        Ok(ActionType {
            r#type: name.to_owned(),
            description: description.to_owned(),
        })
    };
    ACTIONS.map(of).into()
}

impl FlightSql {
    pub(super) async fn act(&self, request: Request<Action>) -> Result<Answers, Status> {
        let principal = self.principal(&request).await?;
        let session = self.session(&principal, request.metadata());
        let action = request.into_inner();
        let usual = Usual {
            catalog: self.service.catalog_name(),
            schema: self.service.default_schema(),
        };
        match action.r#type.as_str() {
            "SetSessionOptions" => {
                let request =
                    SetSessionOptionsRequest::decode(&*action.body).map_err(|error| unreadable(&action, &error))?;
                let mut schemas = self.service.schemas(&principal).await.map_err(to_status)?;
                schemas.push("information_schema".to_owned());
                let (wanted, result) = options::set(session.clone(), &request, usual, &schemas);
                let now_ms = self.service.clock().now_ms();
                let key = self.service.key();
                let cookie = (wanted != session).then(|| wanted.cookie(key, &principal.name, now_ms));
                answer(result.encode_to_vec(), cookie)
            }
            "GetSessionOptions" => answer(options::told(&session, usual).encode_to_vec(), None),
            "CloseSession" => {
                let status = options::CLOSED;
                answer(
                    CloseSessionResult { status }.encode_to_vec(),
                    Some(Session::no_cookie()),
                )
            }
            "CancelFlightInfo" => {
                let status = cancel::flight_info(&self.service, &principal, action.body).await?;
                answer(CancelFlightInfoResult { status }.encode_to_vec(), None)
            }
            "RenewFlightEndpoint" => {
                let request = Message::decode(&*action.body).map_err(|error| unreadable(&action, &error))?;
                answer(self.renew(&principal, request).await?.encode_to_vec(), None)
            }
            other => Err(Status::unimplemented(format!("action {other} is not supported"))),
        }
    }
}

fn answer(body: Vec<u8>, cookie: Option<String>) -> Result<Answers, Status> {
    let result = arrow_flight::Result { body: body.into() };
    let answers: <FlightSql as FlightService>::DoActionStream = Box::pin(stream::once(async move { Ok(result) }));
    let mut response = Response::new(answers);
    if let Some(cookie) = cookie {
        let cookie = cookie
            .parse()
            .map_err(|_| Status::internal("a cookie that is no header"))?;
        response.metadata_mut().insert("set-cookie", cookie);
    }
    Ok(response)
}

fn unreadable(action: &Action, error: &prost::DecodeError) -> Status {
    Status::invalid_argument(format!("unreadable request of {}: {error}", action.r#type))
}
