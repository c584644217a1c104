//! Requests and answers, through the routes as a server would serve them.

use std::io::Cursor;

use axum::http::{Method, Request};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tidewater_core::{ManualClock, SeededRng, SharedRng};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Privilege, Role, UserSettings};
use tower::ServiceExt;

use super::*;
use crate::handle::Statement;
use crate::service::QueryOptions;
use crate::service::tests::{Lake, granted};

/// Longest body that a test reads.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Longest time that something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    routes: Router,
    service: QueryService,
    _lake: Lake,
    _tasks: Tasks,
}

impl Server {
    async fn start() -> Self {
        Self::at("127.0.0.1:8080").await
    }

    async fn at(address: &str) -> Self {
        Self::with(address, HttpOptions::default(), Vec::new()).await
    }

    async fn with(address: &str, options: HttpOptions, users: Vec<UserSettings>) -> Self {
        let lake = Lake::new().await;
        let (service, _) = lake.for_users(users);
        Self::of(lake, service, address, options)
    }

    fn of(lake: Lake, service: QueryService, address: &str, options: HttpOptions) -> Self {
        let tasks = Tasks::new("test");
        let address = address.parse().expect("an address");
        let found = service.clone();
        let routes = routes(Arc::new(move || Some(found.clone())), address, options, &tasks);
        Self {
            routes,
            service,
            _lake: lake,
            _tasks: tasks,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = self.routes.clone().oneshot(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), BODY_BYTES_MAX).await;
        (status, headers, body.unwrap_or_default())
    }

    async fn sql(&self, sql: &str, accept: &str) -> (StatusCode, Bytes) {
        let headers = [("content-type", "text/plain"), ("accept", accept)];
        let (status, _, body) = self.send(Method::POST, "/api/v1/sql", &headers, sql).await;
        (status, body)
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let headers = [("content-type", "application/json")];
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, _, body) = self.send(method, path, &headers, &text).await;
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

// Goal: rows are the same in each form. Method: one query with nulls and two columns of one name, read by readers of each form.
#[tokio::test]
async fn rows_come_in_each_form() {
    let server = Server::start().await;
    let sql = "SELECT a.id, nullif(a.name, 'n1') AS name, b.id FROM gold.numbers a JOIN gold.numbers b ON a.id = b.id WHERE a.id < 3 ORDER BY a.id";
    let (status, body) = server.sql(sql, "application/json").await;
    let told: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(told["rows"], json!([[0, "n0", 0], [1, null, 1], [2, "n2", 2]]));
    assert_eq!(
        told["columns"][1],
        json!({"name": "name", "type": "Utf8", "nullable": true})
    );
    let (_, body) = server.sql(sql, "text/csv").await;
    assert_eq!(body, "id,name,id\n0,n0,0\n1,,1\n2,n2,2\n");
    let (_, body) = server.sql(sql, "application/vnd.apache.arrow.stream").await;
    let reader = StreamReader::try_new(Cursor::new(body), None).expect("a stream");
    let rows: usize = reader.map(|batch| batch.expect("a batch").num_rows()).sum();
    assert_eq!(rows, 3);
    let sql = "SELECT id FROM gold.numbers WHERE id < 3";
    let (_, body) = server.sql(sql, "application/vnd.apache.parquet").await;
    let reader = ParquetRecordBatchReaderBuilder::try_new(body).and_then(ParquetRecordBatchReaderBuilder::build);
    let rows: usize = reader
        .expect("a file")
        .map(|batch| batch.expect("a batch").num_rows())
        .sum();
    assert_eq!(rows, 3);
}

// Goal: a client hears whether its rows were kept ones. Method: one statement twice, and once by a client that takes none.
#[tokio::test]
async fn the_cache_is_told() {
    let server = Server::start().await;
    let mut told = Vec::new();
    for cache in ["on", "on", "off"] {
        let headers = [
            ("content-type", "text/plain"),
            ("accept", "text/csv"),
            ("tidewater.cache", cache),
        ];
        let sql = "SELECT count(*) FROM gold.numbers";
        let (status, headers, _) = server.send(Method::POST, "/api/v1/sql", &headers, sql).await;
        assert_eq!(status, StatusCode::OK);
        told.push(headers.get("x-cache").cloned().expect("it is told"));
    }
    assert_eq!(told, ["MISS", "HIT", "BYPASS"]);
}

// Goal: how old rows may be is told in whole seconds, never less than it is, and not of rows of now. Method: a table that bears it, asked
// before a commit, at once after it, a little more than two seconds later, and when they are older than it bears.
#[tokio::test]
async fn the_age_is_told() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let service = lake.service.clone();
    let server = Server::of(lake, service, "127.0.0.1:8080", HttpOptions::default());
    let bears = "ALTER TABLE gold.numbers SET TBLPROPERTIES ('tidewater.cache.max-staleness' = '5s')";
    let commit = "DELETE FROM gold.numbers WHERE id = 1";
    let mut told = Vec::new();
    for (change, moved_ms) in [(bears, 0), (commit, 0), (commit, 2_001), (commit, 3_000)] {
        let changed = server
            .service
            .change(&Principal::local(), &Statement::new(change))
            .await;
        changed.expect("it is changed");
        clock.advance(Duration::from_millis(moved_ms));
        let headers = [("content-type", "text/plain"), ("accept", "text/csv")];
        let sql = "SELECT count(*) AS n FROM gold.numbers";
        let (status, headers, body) = server.send(Method::POST, "/api/v1/sql", &headers, sql).await;
        assert_eq!(status, StatusCode::OK);
        let header = |name: &str| {
            let value = headers.get(name).map(|value| value.to_str().expect("text"));
            value.unwrap_or("none").to_owned()
        };
        told.push((header("x-cache"), header("age"), body));
    }
    let expected = [
        ("MISS", "none", "n\n10\n"),
        ("HIT", "0", "n\n10\n"),
        ("HIT", "3", "n\n10\n"),
        ("MISS", "none", "n\n9\n"),
    ];
    let expected =
        expected.map(|(word, age, rows)| (word.to_owned(), age.to_owned(), Bytes::from_static(rows.as_bytes())));
    assert_eq!(told, expected);
}

// Goal: no rows is an answer too. Method: an empty result in the forms that people read.
#[tokio::test]
async fn an_empty_result_has_its_columns() {
    let server = Server::start().await;
    let sql = "SELECT id FROM gold.numbers WHERE id < 0";
    let (_, body) = server.sql(sql, "application/json").await;
    let told: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&told["rows"], &told["columns"][0]["name"]), (&json!([]), &json!("id")));
    let (_, body) = server.sql(sql, "text/csv").await;
    assert_eq!(body, "id\n");
}

// Goal: what is wrong is told by status, code and hint, before anything runs where that can be. Method: one request of each kind.
#[tokio::test]
async fn refusals_are_told() {
    let server = Server::start().await;
    let cases = [
        (
            json!({"sql": "SELECT no_such FROM gold.numbers"}),
            StatusCode::BAD_REQUEST,
        ),
        (json!({"sql": "SELECT id FROM gold.nowhere"}), StatusCode::BAD_REQUEST),
        (json!({"sql": "SELECT ?"}), StatusCode::BAD_REQUEST),
        (json!({"statement": "SELECT 1"}), StatusCode::BAD_REQUEST),
        (
            json!({"sql": "SELECT CAST(name AS INT) FROM gold.numbers"}),
            StatusCode::BAD_REQUEST,
        ),
    ];
    for (body, wanted) in cases {
        let (status, told) = server.json(Method::POST, "/api/v1/sql", &body).await;
        assert_eq!(status, wanted, "{body}: {told}");
        assert!(
            told["error"]["code"].is_string() && told["error"]["message"].is_string(),
            "{told}"
        );
    }
    let (status, _) = server.sql("SELECT 1", "image/png").await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    let (status, _) = server.sql("SELECT [1, 2] AS l", "text/csv").await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    let long = format!("SELECT '{}'", "x".repeat(REQUEST_BYTES_MAX));
    let (status, _) = server.sql(&long, "*/*").await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

// Goal: what finds no place is told to come again, and when. Method: an error of each of the scheduler's codes for it.
#[test]
fn without_a_place_one_comes_again() {
    for error in crate::error::not_admitted() {
        let response = Failure::from(error).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(response.headers().contains_key("retry-after"));
    }
}

// Goal: a port that others reach answers nobody where nobody has to say who they are. Method: a service without users, served beyond
// loopback.
#[tokio::test]
async fn an_open_port_without_users_answers_nobody() {
    let server = Server::at("0.0.0.0:8080").await;
    let (status, told) = server
        .json(Method::POST, "/api/v1/sql", &json!({"sql": "SELECT 1"}))
        .await;
    assert_eq!(
        (status, &told["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("SEC-0005"))
    );
}

// Goal: values and the time limit of a request count. Method: a bound value; a query without end with a limit.
#[tokio::test]
async fn values_and_limits_count() {
    let server = Server::start().await;
    let ask =
        json!({"sql": "SELECT count(*) AS n FROM gold.numbers WHERE id >= ? AND name <> ?", "parameters": [7, "n9"]});
    let (status, told) = server.json(Method::POST, "/api/v1/sql", &ask).await;
    assert_eq!((status, &told["rows"]), (StatusCode::OK, &json!([[2]])), "{told}");
    let endless =
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a.value + b.value < 0";
    let ask = json!({"sql": endless, "timeout_ms": 200});
    let (status, told) = server.json(Method::POST, "/api/v1/sql", &ask).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{told}");
}

// Goal: a statement can be asked for now and fetched later, in any form, and be ended. Method: the whole life of one that ends, one
// that fails and one without end.
#[tokio::test]
async fn statements_are_fetched_later() {
    let server = Server::start().await;
    let begin = |sql: &str| json!({"sql": sql, "async": true});
    let (status, told) = server
        .json(Method::POST, "/api/v1/sql", &begin("SELECT id FROM gold.numbers"))
        .await;
    assert_eq!((status, &told["status"]), (StatusCode::ACCEPTED, &json!("running")));
    let path = format!("/api/v1/sql/{}", told["id"].as_str().expect("a name"));
    let told = ended(&server, &path).await;
    assert_eq!((&told["status"], &told["rows"]), (&json!("finished"), &json!(10)));
    for _ in 0..2 {
        let headers = [("accept", "text/csv")];
        let (status, _, body) = server.send(Method::GET, &format!("{path}/result"), &headers, "").await;
        assert_eq!(
            (status, body.split(|byte| *byte == b'\n').count()),
            (StatusCode::OK, 12)
        );
    }
    let (status, _) = server.json(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, told) = server.json(Method::GET, &path, &Value::Null).await;
    assert_eq!(
        (status, &told["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("SQL-0022"))
    );

    let (_, told) = server
        .json(Method::POST, "/api/v1/sql", &begin("SELECT no_such FROM gold.numbers"))
        .await;
    let path = format!("/api/v1/sql/{}", told["id"].as_str().expect("a name"));
    let told = ended(&server, &path).await;
    assert_eq!(told["status"], json!("failed"), "{told}");
    let (status, _) = server.json(Method::GET, &format!("{path}/result"), &Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let endless =
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a.value + b.value < 0";
    let (_, told) = server.json(Method::POST, "/api/v1/sql", &begin(endless)).await;
    let path = format!("/api/v1/sql/{}", told["id"].as_str().expect("a name"));
    let (status, _) = server.json(Method::GET, &format!("{path}/result"), &Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, _) = server.json(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let idle = async {
        while server.service.at_work() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, idle).await.expect("it ends");
}

// Goal: rows that are held go to nobody who may not read them any more, who is answered as the statement would be now, and to whoever may
// still. Method: a statement that has ended, fetched after its user was granted more, after they lost the right to read and after they may not
// know of the table any more; and then when they may again.
#[tokio::test]
async fn held_rows_go_by_todays_grants() {
    let (lake, rights) = granted::lake().await;
    let service = lake.service.clone();
    let server = Server::of(lake, service, "127.0.0.1:8080", HttpOptions::default());
    let token = server.service.authenticator().issue(&Principal::named("ana"));
    let token = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("authorization", token.as_str()),
    ];
    let call = async |method: Method, path: &str, body: &Value| {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, _, body) = server.send(method, path, &headers, &text).await;
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, told)
    };
    let sql = "SELECT id FROM gold.numbers";
    for (left, code) in [(&[Privilege::Insert][..], Some("SEC-0008")), (&[][..], None)] {
        rights.are(&[Privilege::Select]);
        let (status, told) = call(Method::POST, "/api/v1/sql", &json!({"sql": sql, "async": true})).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        let path = format!("/api/v1/sql/{}", told["id"].as_str().expect("a name"));
        let result = format!("{path}/result");
        let ends = async {
            while call(Method::GET, path.as_str(), &Value::Null).await.1["status"] == json!("running") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ends).await.expect("it ends");
        rights.are(&[Privilege::Select, Privilege::Update]);
        let (status, told) = call(Method::GET, result.as_str(), &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        assert_eq!(told["rows"].as_array().map(Vec::len), Some(10), "{told}");
        rights.are(left);
        let (now, says) = call(Method::POST, "/api/v1/sql", &json!({"sql": sql})).await;
        assert!(now.is_client_error(), "{says}");
        assert!(code.is_none_or(|code| says["error"]["code"] == json!(code)), "{says}");
        let (status, told) = call(Method::GET, result.as_str(), &Value::Null).await;
        assert_eq!(
            (status, &told["error"]["code"]),
            (now, &says["error"]["code"]),
            "{told}"
        );
        rights.are(&[Privilege::Select]);
        for path in [path.as_str(), result.as_str()] {
            let (status, told) = call(Method::GET, path, &Value::Null).await;
            assert_eq!(
                (status, &told["error"]["code"]),
                (StatusCode::NOT_FOUND, &json!("SQL-0022")),
                "{told}"
            );
        }
    }
}

// Goal: what a statement failed with is told to nobody who may not read any more what it tells of. Method: a cast that fails on a row, looked at
// while its user may read the table and after they may not, when it is answered as the statement is now; and then when they may again.
#[tokio::test]
async fn held_failures_go_by_todays_grants() {
    let (lake, rights) = granted::lake().await;
    let service = lake.service.clone();
    let server = Server::of(lake, service, "127.0.0.1:8080", HttpOptions::default());
    let token = server.service.authenticator().issue(&Principal::named("ana"));
    let token = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("authorization", token.as_str()),
    ];
    let call = async |method: Method, path: &str, body: &str| {
        let (status, _, body) = server.send(method, path, &headers, body).await;
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, told)
    };
    let ask = json!({"sql": "SELECT CAST(name AS INT) FROM gold.numbers", "async": true}).to_string();
    for part in ["", "/result"] {
        rights.are(&[Privilege::Select]);
        let (status, told) = call(Method::POST, "/api/v1/sql", ask.as_str()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{told}");
        let path = format!("/api/v1/sql/{}", told["id"].as_str().expect("a name"));
        let ends = async {
            loop {
                let (_, told) = call(Method::GET, path.as_str(), "").await;
                if told["status"] != json!("running") {
                    return told;
                }
                tokio::task::yield_now().await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, ends).await.expect("it ends");
        assert_eq!(told["status"], json!("failed"), "{told}");
        let asked = format!("{path}{part}");
        let (status, again) = call(Method::GET, asked.as_str(), "").await;
        let wanted = if part.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        };
        assert_eq!(
            (status, &again["error"]["code"]),
            (wanted, &told["error"]["code"]),
            "{again}"
        );
        rights.are(&[Privilege::Insert]);
        let (status, refused) = call(Method::GET, asked.as_str(), "").await;
        assert_eq!(
            (status, &refused["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("SEC-0008")),
            "{refused}"
        );
        rights.are(&[Privilege::Select]);
        let (status, gone) = call(Method::GET, asked.as_str(), "").await;
        assert_eq!(
            (status, &gone["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("SQL-0022")),
            "{gone}"
        );
    }
}

/// What is told of a statement once it has ended.
async fn ended(server: &Server, path: &str) -> Value {
    let ended = async {
        loop {
            let (status, told) = server.json(Method::GET, path, &Value::Null).await;
            assert_eq!(status, StatusCode::OK, "{told}");
            if told["status"] != json!("running") {
                return told;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("it ends")
}

// Goal: clients that are made from the description find what it says. Method: each path of it is asked for.
#[tokio::test]
async fn the_description_names_what_is_there() {
    let server = Server::start().await;
    let (_, told) = server.json(Method::GET, "/api/v1/openapi.json", &Value::Null).await;
    let paths = told["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 4);
    for path in paths.keys() {
        let path = path.replace("{id}", "00000000-0000-0000-0000-000000000000");
        let (status, _, _) = server.send(Method::PATCH, &path, &[], "").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

/// A header of an answer.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().expect("text"))
}

// Goal: pages of origins that are named may read answers and refusals, and are told so before they send; no other page is, and none at all
// where none is named. Method: requests as browsers send them, of a named origin, of others that look like it, and of none, to a server
// that names one and to one that names none.
#[tokio::test]
async fn pages_of_named_origins_may_read() {
    let named = "https://notebooks.example";
    let origins = vec![Origin::try_from(named.to_owned()).expect("an origin")];
    let options = HttpOptions {
        origins,
        ..HttpOptions::default()
    };
    let some = Server::with("127.0.0.1:8080", options, Vec::new()).await;
    let none = Server::start().await;
    let others = [
        "https://notebooks.example:8443",
        "http://notebooks.example",
        "https://example",
        "null",
    ];
    for (server, origin, may) in std::iter::once((&some, named, true))
        .chain(others.map(|other| (&some, other, false)))
        .chain([(&none, named, false)])
    {
        let asking = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let (status, headers, _) = server.send(Method::OPTIONS, "/api/v1/sql", &asking, "").await;
        let wanted = if may {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::METHOD_NOT_ALLOWED
        };
        assert_eq!(status, wanted, "{origin}");
        let allowed = header(&headers, "access-control-allow-origin");
        assert_eq!(allowed, may.then_some(named), "{origin}");
        assert_eq!(headers.contains_key("access-control-allow-methods"), may, "{origin}");
        let sent = header(&headers, "access-control-allow-headers");
        assert_eq!(sent.is_some_and(|sent| sent.contains("authorization")), may, "{origin}");

        for (sql, wanted) in [
            ("SELECT id FROM gold.numbers WHERE id = 1", StatusCode::OK),
            ("SELECT no_such FROM gold.numbers", StatusCode::BAD_REQUEST),
        ] {
            let sending = [("origin", origin), ("content-type", "text/plain")];
            let (status, headers, _) = server.send(Method::POST, "/api/v1/sql", &sending, sql).await;
            assert_eq!(status, wanted, "{origin}: {sql}");
            let allowed = header(&headers, "access-control-allow-origin");
            assert_eq!(allowed, may.then_some(named), "{origin}: {sql}");
            assert!(!headers.contains_key("access-control-allow-credentials"), "{origin}");
        }
    }
    let plain = [("content-type", "text/plain")];
    for (server, varies) in [(&some, true), (&none, false)] {
        let (_, headers, _) = server.send(Method::POST, "/api/v1/sql", &plain, "SELECT 1").await;
        assert!(!headers.contains_key("access-control-allow-origin"));
        assert_eq!(
            headers.contains_key("vary"),
            varies,
            "what is kept between must not go to other origins"
        );
    }
}

// Goal: a password that others may have read is not taken, and whoever sent it is not asked for it again; a token is. Method: a password
// from this machine, by TLS and in clear from another, and a token in clear; the same where the configuration takes passwords in clear.
#[tokio::test]
async fn passwords_are_not_taken_in_clear() {
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    let ana = UserSettings {
        name: "ana".to_owned(),
        password_hash: hash_password("x", &rng).expect("a hash"),
        scram: None,
        role: Role::Reader,
    };
    let at = |address: &str| Peer::at(Some(address.parse().expect("an address")));
    for plain_passwords in [false, true] {
        let options = HttpOptions {
            plain_passwords,
            ..HttpOptions::default()
        };
        let server = Server::with("127.0.0.1:8080", options, vec![ana.clone()]).await;
        let token = server.service.authenticator().issue(&Principal::named("ana"));
        let token = format!("Bearer {token}");
        let secret = at("192.0.2.1:5");
        secret.encrypted();
        // "ana:x"
        let password = "Basic YW5hOng=".to_owned();
        for (peer, shown, taken) in [
            (at("127.0.0.1:5"), &password, true),
            (secret, &password, true),
            (at("192.0.2.1:5"), &password, plain_passwords),
            (at("192.0.2.1:5"), &token, true),
        ] {
            let request = Request::builder().method(Method::POST).uri("/api/v1/sql");
            let request = request
                .header("content-type", "text/plain")
                .header("authorization", shown);
            let request = request.extension(peer.clone()).body(Body::from("SELECT 1"));
            let answer = server.routes.clone().oneshot(request.expect("a request")).await;
            let (parts, body) = answer.expect("an answer").into_parts();
            let wanted = if taken { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(parts.status, wanted, "{peer:?} {shown}");
            let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.expect("a body");
            let told: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(told["error"]["code"] == json!("SEC-0023"), !taken, "{told}");
            assert!(!parts.headers.contains_key("www-authenticate"));
        }
    }
}
