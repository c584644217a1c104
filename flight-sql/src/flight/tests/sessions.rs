//! Settings of a session.

use std::collections::HashMap;

use arrow_flight::sql::CommandPreparedStatementQuery;
use datafusion::arrow::array::Int64Array;
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::datatypes::Int64Type;

use super::*;
use crate::Statement;
use crate::flight::options::{
    GetSessionOptionsResult, OptionValue, SessionOptionValue, SetSessionOptionsRequest, SetSessionOptionsResult,
};

impl Client {
    async fn set(&mut self, name: &str, value: &str) -> HashMap<String, i32> {
        let value = Some(OptionValue::Text(value.into()));
        let request = SetSessionOptionsRequest {
            session_options: HashMap::from([(name.to_owned(), SessionOptionValue { value })]),
        };
        let body = self
            .act("SetSessionOptions", request.encode_to_vec())
            .await
            .expect("an answer");
        let result = SetSessionOptionsResult::decode(&*body).expect("a result");
        result
            .errors
            .into_iter()
            .map(|(name, error)| (name, error.value))
            .collect()
    }

    async fn get(&mut self, name: &str) -> Option<OptionValue> {
        let body = self.act("GetSessionOptions", Vec::new()).await.expect("an answer");
        let result = GetSessionOptionsResult::decode(&*body).expect("a result");
        result.session_options.get(name).and_then(|option| option.value.clone())
    }

    async fn change(&self, sql: &str) {
        let changed = self
            .lake
            .service
            .change(&Principal::local(), &Statement::new(sql))
            .await;
        changed.expect(sql).expect("a change");
    }
}

async fn with_copper() -> Client {
    let client = Client::new().await;
    client.change("CREATE SCHEMA copper").await;
    client
        .change("CREATE TABLE copper.numbers AS SELECT CAST(77 AS BIGINT) AS id")
        .await;
    client
}

fn first(batches: &[RecordBatch]) -> i64 {
    let filled = batches.iter().find(|batch| batch.num_rows() > 0).expect("a row");
    let column: &Int64Array = filled.column(0).as_primitive::<Int64Type>();
    column.value(0)
}

// Goal: names without a schema stand in that of the session, and what was made in one stays there. Method: a table of one name in two
// schemas; a statement, a ticket and a prepared statement, fetched with and without the cookie.
#[tokio::test]
async fn the_schema_of_a_session_decides_names() {
    let mut client = with_copper().await;
    let sql = "SELECT max(id) AS id FROM numbers";
    assert_eq!(
        first(
            &client
                .fetch(&client.info(sql).await.expect("info"))
                .await
                .expect("rows")
                .1
        ),
        9
    );
    assert_eq!(client.set("schema", "copper").await, HashMap::new());
    assert_eq!(client.get("schema").await, Some(OptionValue::Text("copper".into())));
    let info = client.info(sql).await.expect("info");
    let (handle, _) = client.prepare(sql).await.expect("a handle");
    let prepared = CommandPreparedStatementQuery {
        prepared_statement_handle: handle.into(),
    };
    assert_eq!(first(&client.fetch(&info).await.expect("rows").1), 77);
    client.cookie = None;
    assert_eq!(first(&client.fetch(&info).await.expect("rows").1), 77, "a ticket");
    let asked = client
        .calls
        .get_flight_info(client.request(command_of(&prepared)))
        .await;
    let asked = asked.expect("info").into_inner();
    assert_eq!(
        first(&client.fetch(&asked).await.expect("rows").1),
        77,
        "a prepared statement"
    );
    let direct = Ticket::new(prepared.as_any().encode_to_vec());
    assert_eq!(
        first(&client.fetch_ticket(direct).await.expect("rows").1),
        77,
        "without info"
    );
    assert_eq!(
        first(
            &client
                .fetch(&client.info(sql).await.expect("info"))
                .await
                .expect("rows")
                .1
        ),
        9
    );
}

// Goal: settings last to the end of their session, and refusals leave them as they were. Method: one of each set, a wrong value and an
// unknown name, the session closed; a damaged cookie.
#[tokio::test]
async fn settings_last_as_long_as_the_session() {
    let mut client = with_copper().await;
    assert!(client.get("tidewater.execution").await.is_some());
    assert_eq!(client.cookie, None, "asking makes no session");
    assert_eq!(client.set("schema", "copper").await, HashMap::new());
    assert_eq!(client.set("tidewater.execution", "local").await, HashMap::new());
    assert_eq!(
        client.set("schema", "no_such").await,
        HashMap::from([("schema".to_owned(), 2)])
    );
    assert_eq!(
        client.set("colour", "red").await,
        HashMap::from([("colour".to_owned(), 1)])
    );
    assert_eq!(client.get("schema").await, Some(OptionValue::Text("copper".into())));
    assert_eq!(
        client.get("tidewater.execution").await,
        Some(OptionValue::Text("local".into()))
    );
    assert_eq!(client.set("statement_timeout", "1ms").await, HashMap::new());
    let late = client
        .rows("SELECT sum(sqrt(a.value)) FROM generate_series(1, 100000000) a")
        .await;
    assert!(late.expect_err("too short").message().contains("ENG-0009"));
    let kept = client.cookie.clone().expect("a cookie");
    client.act("CloseSession", Vec::new()).await.expect("it closes");
    assert_eq!(client.cookie, None);
    assert_eq!(client.get("schema").await, Some(OptionValue::Text("gold".into())));
    client.cookie = Some(format!("{kept}x"));
    assert_eq!(client.get("schema").await, Some(OptionValue::Text("gold".into())));
    assert_eq!(client.rows("SELECT id FROM numbers").await.expect("rows"), 10);
}

// Goal: settings are for who made them. Method: a cookie that another shows, and its owner again.
#[tokio::test]
async fn a_cookie_of_another_sets_nothing() {
    let mut client = with_copper().await;
    client.user = Some(Principal::named("ana"));
    assert_eq!(client.set("schema", "copper").await, HashMap::new());
    for (name, schema) in [("bob", "gold"), ("ana", "copper")] {
        client.user = Some(Principal::named(name));
        assert_eq!(
            client.get("schema").await,
            Some(OptionValue::Text(schema.into())),
            "{name}"
        );
    }
}

// Goal: everything that is answered is named. Method: the list, and an answer other than "not supported" to each.
#[tokio::test]
async fn all_actions_are_listed() {
    let mut client = Client::new().await;
    let listed = client.calls.list_actions(Request::new(arrow_flight::Empty {})).await;
    let listed: Vec<_> = listed
        .expect("a list")
        .into_inner()
        .try_collect()
        .await
        .expect("actions");
    assert_eq!(listed.len(), 8);
    for action in listed {
        let answer = client.act(&action.r#type, Vec::new()).await;
        let unknown = answer.is_err_and(|status| status.code() == tonic::Code::Unimplemented);
        assert!(!unknown, "{}", action.r#type);
    }
}

// Goal: rows that a session adds under an id wait to be published. Method: an insert with the cookie and one without, and the rows before
// and after the publication.
#[tokio::test]
async fn a_session_stages_under_its_id() {
    let mut client = with_copper().await;
    client
        .change("ALTER TABLE copper.numbers SET TBLPROPERTIES ('write.wap.enabled' = 'true')")
        .await;
    let top = "SELECT max(id) AS id FROM copper.numbers";
    assert_eq!(client.set("tidewater.wap_id", "night-1").await, HashMap::new());
    client
        .rows("INSERT INTO copper.numbers VALUES (78)")
        .await
        .expect("staged");
    let seen = client.fetch(&client.info(top).await.expect("info")).await;
    assert_eq!(first(&seen.expect("rows").1), 77);
    client.cookie = None;
    client
        .rows("INSERT INTO copper.numbers VALUES (70)")
        .await
        .expect("added");
    client
        .change("CALL system.publish_changes('copper.numbers', 'night-1')")
        .await;
    let seen = client.fetch(&client.info(top).await.expect("info")).await;
    assert_eq!(first(&seen.expect("rows").1), 78);
}
