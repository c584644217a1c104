//! How clients reach files: what touches the store, who gets credentials, and that nothing hostile does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::kit::{Kit, Reply, TABLE, TABLES, new_table, request, schema, set};
use crate::credentials::{AccessKeys, DelegationOptions, Vending};
use crate::error::Result;
use crate::store::{MemoryStore, MetadataStore};
use tidewater_core::{SystemClock, SystemRng};
use tidewater_table::{FileStore, S3Options, StoreOptions};

/// Counts every call.
#[derive(Debug, Default)]
struct CountingStore {
    files: MemoryStore,
    calls: AtomicUsize,
}

impl CountingStore {
    fn counted(&self) -> &MemoryStore {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.files
    }
}

#[async_trait]
impl MetadataStore for CountingStore {
    async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        self.counted().put_new(location, bytes).await
    }

    async fn get(&self, location: &str) -> Result<Option<Bytes>> {
        self.counted().get(location).await
    }

    async fn exists(&self, location: &str) -> Result<bool> {
        self.counted().exists(location).await
    }

    async fn delete(&self, location: &str) -> Result<()> {
        self.counted().delete(location).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        self.counted().list(folder).await
    }
}

// Goal: HEAD and 304 touch no file, and loads come from memory. Method: a store that counts its calls.
#[tokio::test]
async fn what_is_known_touches_no_file() {
    let store = Arc::new(CountingStore::default());
    let kit = Kit::at("memory:///lake", |options| options.store = store.clone());
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    kit.post(TABLES, new_table("t")).await;
    let first = kit.get(TABLE).await;
    let tag = first.headers.get("etag").cloned().expect("an ETag");
    let after_first = store.calls.load(Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(kit.call("HEAD", TABLE, None).await.status, 204);
        assert_eq!(kit.call("HEAD", "/v1/namespaces/a", None).await.status, 204);
        let mut known = request("GET", TABLE, None, None);
        known.headers_mut().insert("If-None-Match", tag.clone());
        assert_eq!(kit.send(known).await.status, 304);
        assert_eq!(kit.get(TABLE).await.status, 200);
        assert_eq!(kit.get(&format!("{TABLE}?snapshots=refs")).await.status, 200);
    }
    assert_eq!(store.calls.load(Ordering::Relaxed), after_first);
    assert!(after_first > 0);
}

// Goal: a table without snapshots has an empty plan, which is the same when it is asked for again. Method: the four calls of planning.
#[tokio::test]
async fn an_empty_table_is_planned() {
    let files = FileStore::new(StoreOptions::default(), SystemClock::shared(), SystemRng::shared());
    let kit = Kit::at("memory:///lake", |options| options.store = Arc::new(files));
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    kit.post(TABLES, new_table("t")).await;
    let plan = format!("{TABLE}/plan");
    let filter = json!({"type": "eq", "term": "ID", "value": 1});
    let planned = kit
        .post(&plan, json!({"filter": filter, "case-sensitive": false}))
        .await;
    assert_eq!(planned.status, 200, "{}", planned.body);
    assert_eq!(planned.body["status"], "completed");
    assert_eq!(planned.body["file-scan-tasks"], json!([]));
    let id = planned.body["plan-id"].as_str().expect("an id");
    let again = kit.get(&format!("{plan}/{id}")).await;
    assert_eq!(again.body, planned.body);
    assert_eq!(kit.call("DELETE", &format!("{plan}/{id}"), None).await.status, 204);
    let forged = kit.get(&format!("{plan}/e30")).await;
    assert_eq!((forged.status, forged.kind()), (404, "NoSuchPlanIdException"));
    let task = kit.post(&format!("{TABLE}/tasks"), json!({"plan-task": id})).await;
    assert_eq!((task.status, task.kind()), (404, "NoSuchPlanTaskException"));
    assert_eq!(kit.post(&plan, json!({"filter": filter})).await.status, 400);
    let missing = kit.post("/v1/namespaces/a/tables/none/plan", json!({})).await;
    assert_eq!((missing.status, missing.kind()), (404, "NoSuchTableException"));
}

/// A catalog in S3 whose credentials are the same for every table.
fn vending() -> Kit {
    Kit::at("s3://lake/warehouse", |options| {
        let mut given = DelegationOptions::new(S3Options {
            access_key_id: Some("OWNID".into()),
            secret_access_key: Some("own-secret".into()),
            region: Some("us-east-1".into()),
            ..S3Options::default()
        });
        given.remote_signing = true;
        given.vending = Vending::Static(AccessKeys {
            access_key_id: "FIXEDID".into(),
            secret_access_key: "fixed-secret".into(),
            session_token: None,
        });
        options.delegation = Some(given);
    })
}

async fn asking(kit: &Kit, method: &str, path: &str, body: Option<Value>) -> Reply {
    let mut asked = request(method, path, body, None);
    let wish = HeaderValue::from_static("vended-credentials,remote-signing");
    asked.headers_mut().insert("X-Iceberg-Access-Delegation", wish);
    kit.send(asked).await
}

// Goal: an answer that is given again has credentials for the table that it is about, and none for another one that bears its name by now.
// Method: a table is made under a key, and the request repeated before and after it was dropped and another one made.
#[tokio::test]
async fn a_repeated_answer_has_no_credentials_of_another_table() {
    let kit = vending();
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    let once = async || {
        let mut asked = request("POST", TABLES, Some(new_table("t")), Some(Uuid::from_u128(1)));
        let wish = HeaderValue::from_static("vended-credentials");
        asked.headers_mut().insert("X-Iceberg-Access-Delegation", wish);
        let answer = kit.send(asked).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["storage-credentials"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((once().await, once().await), (1, 1));
    assert_eq!(kit.call("DELETE", TABLE, None).await.status, 204);
    assert_eq!(kit.post(TABLES, new_table("t")).await.status, 200);
    assert_eq!(once().await, 0);
}

// Goal: credentials come with what makes and loads a table, for its folder, and only when they are wished for. Method: each call with and without.
#[tokio::test]
async fn credentials_are_for_one_folder() {
    let kit = vending();
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    let mut staged = new_table("s");
    staged["stage-create"] = json!(true);
    let made = asking(&kit, "POST", TABLES, Some(new_table("t"))).await;
    for reply in [
        asking(&kit, "POST", TABLES, Some(staged)).await,
        asking(&kit, "GET", TABLE, None).await,
        asking(&kit, "GET", &format!("{TABLE}/credentials"), None).await,
        made,
    ] {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let given = reply.body["storage-credentials"].as_array().expect("credentials");
        assert_eq!(given.len(), 1, "{}", reply.body);
        assert_eq!(given[0]["config"]["s3.access-key-id"], "FIXEDID");
        assert!(given[0]["config"]["s3.session-token-expires-at-ms"].is_string());
        if let Some(location) = reply.body["metadata"]["location"].as_str() {
            assert_eq!(given[0]["prefix"], format!("{location}/"));
        }
        assert!(!reply.body.to_string().contains("own-secret"));
    }
    let plain = kit.get(TABLE).await;
    assert!(plain.body.get("storage-credentials").is_none());
    assert_eq!(plain.body["config"], json!({}));
    let local = Kit::with_table().await;
    let none = asking(&local, "GET", &format!("{TABLE}/credentials"), None).await;
    assert_eq!(none.body, json!({"storage-credentials": []}));
    let unsigned = local
        .post(
            &format!("{TABLE}/sign"),
            json!({"method": "GET", "uri": "http://x/lake/a"}),
        )
        .await;
    assert_eq!(unsigned.status, 406, "{}", unsigned.body);
}

/// Names that mean something to a path, a policy, a shell or a reader.
fn hostile_names() -> Vec<String> {
    let names = [
        "",
        ".",
        "..",
        "...",
        "../x",
        "x/..",
        "a/b",
        "/a",
        "a/",
        "\\",
        "a\\b",
        "..\\x",
        "%2e%2e",
        "%2E%2E",
        "%2f",
        "a%00b",
        "%",
        "a\u{0}b",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{1f}b",
        "*",
        "f*",
        "*.*",
        "a?b",
        "?",
        "a'b",
        "\"",
        "`a`",
        " a",
        "a ",
        ".a",
        "a.",
        "a..b",
        "#",
        "\u{202e}a",
        "\u{200b}",
        "a\u{2066}b",
        "\u{feff}a",
        "a\u{2215}b",
        "a\u{2044}b",
        "\u{ff0f}",
        "\u{ff0e}\u{ff0e}",
        "a\u{2028}b",
        "\u{2060}",
    ];
    let long = ["x".repeat(256), "ä".repeat(128), "x".repeat(5_000)];
    names.into_iter().map(str::to_owned).chain(long).collect()
}

/// Places outside of a table in `s3://lake/warehouse/a/t-…`, and spellings of them.
fn hostile_locations() -> Vec<String> {
    let places = [
        "",
        "x",
        "/",
        "/etc",
        "file:///etc/passwd",
        "s3://",
        "s3:///lake/warehouse/x",
        "s3://lake",
        "s3://lake/",
        "s3://lake/warehouse",
        "s3://lake/warehouse/",
        "s3://lake/warehouse2/x",
        "s3://lake/warehouse-x",
        "s3://lake/ware",
        "s3://lake2/warehouse/x",
        "s3://lake/warehouse/../x",
        "s3://lake/warehouse/a/../../x",
        "s3://lake/warehouse/a/..",
        "s3://lake/warehouse/./a",
        "s3://lake/warehouse//a",
        "s3://lake//warehouse/a",
        "s3://lake/warehouse/%2e%2e/x",
        "s3://lake/warehouse/%2E%2E%2Fx",
        "s3://lake/warehouse/a%2f..%2fb",
        "s3://lake/warehouse/..%2f",
        "s3://lake/warehouse/a\\..\\b",
        "s3://lake/warehouse/*",
        "s3://lake/warehouse/f*/t",
        "s3://lake/warehouse/a?",
        "s3://lake/warehouse/a?versionId=1",
        "s3://lake/warehouse/a#b",
        "s3://lake/warehouse/a'b",
        "s3://lake/warehouse/a\"b",
        "s3://lake/warehouse/a`b",
        "s3://lake/warehouse/a\u{0}",
        "s3://lake/warehouse/a\nb",
        "s3://lake/warehouse/a\u{7f}",
        "s3://lake/warehouse/\u{202e}a",
        "s3://lake/warehouse/\u{200b}",
        "s3://lake/warehouse/\u{ff0e}\u{ff0e}/x",
        "s3://lake/warehouse/a\u{2215}b",
        "s3://lake/warehouse/ a",
        "s3://lake/warehouse/a /b",
        "S3://lake/warehouse/a",
        "s3a://lake/warehouse/a",
        "s3n://lake/warehouse/a",
        "https://lake/warehouse/a",
        "s3://user@lake/warehouse/a",
        "s3://lake:443/warehouse/a",
        "s3:lake/warehouse/a",
        " s3://lake/warehouse/a",
        "memory:///lake/warehouse/a",
        "s3://lake/warehouse/<a>",
    ];
    let long = [
        format!("s3://lake/warehouse/{}", "x".repeat(900)),
        format!("s3://lake/warehouse/{}", "x".repeat(256)),
    ];
    places.into_iter().map(str::to_owned).chain(long).collect()
}

const PATH_PROPERTIES: [&str; 5] = [
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
    "object-storage.path",
];

/// Everything a request may give away or leave behind.
fn nothing_given(reply: &Reply, what: &str) {
    assert!(
        (400..500).contains(&reply.status),
        "{what}: {} {}",
        reply.status,
        reply.body
    );
    let text = reply.body.to_string();
    for secret in ["s3.access-key-id", "FIXEDID", "secret", "signer", "storage-credentials"] {
        assert!(!text.contains(secret), "{what}: {text}");
    }
}

// Goal: no hostile name gets a credential or a file. Method: each name as a table, a staged table, a registered one, a namespace, the target of a
// rename and a table of a commit.
#[tokio::test]
async fn hostile_names_get_nothing() {
    let kit = vending();
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    kit.post(TABLES, new_table("t")).await;
    let file = kit.get(TABLE).await.body["metadata-location"].clone();
    let files = kit.store.len();
    let mut cases = 0;
    for name in hostile_names() {
        let mut staged = new_table(&name);
        staged["stage-create"] = json!(true);
        let to = json!({"namespace": ["a"], "name": name});
        let change = json!({"identifier": to, "requirements": [{"type": "assert-create"}], "updates": []});
        for (path, body) in [
            (TABLES, new_table(&name)),
            (TABLES, staged),
            (
                "/v1/namespaces/a/register",
                json!({"name": name, "metadata-location": file}),
            ),
            ("/v1/namespaces", json!({"namespace": ["a", name]})),
            (
                "/v1/tables/rename",
                json!({"source": {"namespace": ["a"], "name": "t"}, "destination": to}),
            ),
            ("/v1/transactions/commit", json!({"table-changes": [change]})),
        ] {
            let reply = asking(&kit, "POST", path, Some(body)).await;
            nothing_given(&reply, &format!("{path} {name:?}"));
            cases += 1;
        }
    }
    assert!(cases >= 150, "{cases}");
    assert_eq!(kit.store.len(), files);
}

// Goal: no hostile location gets a credential or a file. Method: each where a request names one: create, stage, register, the location within a registered
// file, commits, the commit of a staged table, files of snapshots and statistics, and the properties that name paths.
#[tokio::test]
async fn hostile_locations_get_nothing() {
    let kit = vending();
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    kit.post(TABLES, new_table("t")).await;
    let loaded = kit.get(TABLE).await.body;
    let own = loaded["metadata"]["location"].as_str().expect("a location").to_owned();
    let mut places = hostile_locations();
    // Another table's folder, around it, in it, and beside it.
    let mut beside = new_table("other");
    beside["location"] = json!(format!("{own}able"));
    assert_eq!(asking(&kit, "POST", TABLES, Some(beside)).await.status, 200);
    let files: BTreeSet<String> = kit.store.list("s3:/").await.expect("listed").into_iter().collect();
    let others = [
        own.clone(),
        format!("{own}/"),
        format!("{own}/data"),
        format!("{own}able/x"),
        "s3://lake/warehouse/a".to_owned(),
    ];
    let mut cases = 0;
    for place in &others {
        for stage in [false, true] {
            let mut new = new_table("u");
            (new["location"], new["stage-create"]) = (json!(place), json!(stage));
            nothing_given(
                &asking(&kit, "POST", TABLES, Some(new)).await,
                &format!("{place} staged {stage}"),
            );
            cases += 1;
        }
    }
    // For a property, beside the table is outside.
    let outside = [
        format!("{own}able"),
        format!("{own}2/x"),
        format!("{own}/../x"),
        "s3://lake/warehouse/a".to_owned(),
    ];
    let committed = |updates: Value| json!({"requirements": [], "updates": updates});
    for property in PATH_PROPERTIES {
        for place in places.iter().chain(&outside) {
            let mut new = new_table("u");
            new["properties"] = json!({property: place});
            nothing_given(
                &asking(&kit, "POST", TABLES, Some(new)).await,
                &format!("{property} {place:?}"),
            );
            let reply = asking(&kit, "POST", TABLE, Some(committed(set(property, place)))).await;
            nothing_given(&reply, &format!("commit of {property} {place:?}"));
            cases += 2;
        }
    }
    places.push(format!("{own}/../x"));
    for place in &places {
        let mut new = new_table("u");
        new["location"] = json!(place);
        let mut staged = new.clone();
        staged["stage-create"] = json!(true);
        let snapshot = json!([{"action": "add-snapshot", "snapshot": {"snapshot-id": 1, "sequence-number": 1, "timestamp-ms": 1,
            "manifest-list": place, "summary": {"operation": "append"}, "schema-id": 0}}]);
        let statistics = json!([{"action": "set-statistics", "snapshot-id": 1, "statistics": {"snapshot-id": 1,
            "statistics-path": place, "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []}}]);
        let creation = json!({"requirements": [{"type": "assert-create"}], "updates": [
            {"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000009"},
            {"action": "add-schema", "schema": schema()}, {"action": "set-current-schema", "schema-id": -1},
            {"action": "set-location", "location": place}]});
        let mut requests = vec![
            (TABLES, new),
            (TABLES, staged),
            (
                "/v1/namespaces/a/register",
                json!({"name": "u", "metadata-location": place}),
            ),
            (
                "/v1/namespaces/a/register",
                json!({"name": "u", "metadata-location": format!("{place}/x.metadata.json")}),
            ),
            (TABLE, committed(json!([{"action": "set-location", "location": place}]))),
            ("/v1/namespaces/a/tables/u", creation),
        ];
        // What is empty, or has a slash at its end, or lies in the warehouse is no place for a table and may be one for a file.
        let file = !place.is_empty() && !place.starts_with("s3://lake/warehouse/") || place.contains("..");
        if file {
            requests.push((TABLE, committed(snapshot)));
            requests.push((TABLE, committed(statistics)));
        }
        for (path, body) in requests {
            let reply = asking(&kit, "POST", path, Some(body)).await;
            nothing_given(&reply, &format!("{path} {place:?}"));
            cases += 1;
        }
    }
    let after: BTreeSet<String> = kit.store.list("s3:/").await.expect("listed").into_iter().collect();
    assert_eq!(after, files);
    assert!(cases >= 800, "{cases}");
}

// Goal: a registered file cannot claim another's folder, or send writers elsewhere. Method: good files in the warehouse with hostile insides.
#[tokio::test]
async fn registered_files_are_looked_into() {
    let kit = vending();
    kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    kit.post(TABLES, new_table("t")).await;
    let good = kit.get(TABLE).await.body["metadata"].clone();
    let own = good["location"].as_str().expect("a location").to_owned();
    let mut places: Vec<(String, Option<&str>)> = hostile_locations().into_iter().map(|place| (place, None)).collect();
    places.extend([
        (own.clone(), None),
        (format!("{own}/x"), None),
        ("s3://lake/warehouse/a".to_owned(), None),
    ]);
    let paths = PATH_PROPERTIES
        .iter()
        .map(|property| (format!("{own}able/x"), Some(*property)));
    places.extend(paths);
    for (number, (place, property)) in places.into_iter().enumerate() {
        let mut inside = good.clone();
        inside["table-uuid"] = json!(Uuid::from_u128(100 + number as u128));
        match property {
            None => inside["location"] = json!(place),
            Some(property) => {
                inside["location"] = json!(format!("s3://lake/warehouse/fresh-{number}"));
                inside["properties"] = json!({property: place});
            }
        }
        let file = format!("s3://lake/warehouse/in/{number}.metadata.json");
        kit.store
            .put_new(&file, inside.to_string().into())
            .await
            .expect("written");
        let files = kit.store.len();
        let body = json!({"name": "u", "metadata-location": file});
        let reply = asking(&kit, "POST", "/v1/namespaces/a/register", Some(body)).await;
        nothing_given(&reply, &format!("{place:?} {property:?}"));
        assert_eq!(kit.store.len(), files);
    }
}

// Goal: odd names that are allowed stay within their own folder. Method: each table's credential, and no folder that begins like another's.
#[tokio::test]
async fn odd_names_stay_apart() {
    let kit = vending();
    let deep = "n".repeat(255);
    let mut namespace: Vec<String> = Vec::new();
    for _ in 0..8 {
        namespace.push(deep.clone());
        let made = kit.post("/v1/namespaces", json!({"namespace": namespace})).await;
        assert_eq!(made.status, 200, "{}", made.body);
    }
    let path = format!("/v1/namespaces/{}/tables", namespace.join("%1F"));
    let mut prefixes: Vec<String> = Vec::new();
    for name in [
        "a",
        "ab",
        "a b",
        "a$b",
        "${x}",
        "a&b",
        "a;b",
        "{a}",
        "a+b",
        "a=b",
        "größe",
        "名前",
        "a,b",
        "~",
        "a@b",
        "a:b",
        &"x".repeat(255),
    ] {
        let made = asking(&kit, "POST", &path, Some(new_table(name))).await;
        assert_eq!(made.status, 200, "{name}: {}", made.body);
        let prefix = made.body["storage-credentials"][0]["prefix"]
            .as_str()
            .expect("a prefix")
            .to_owned();
        assert!(
            prefix.starts_with("s3://lake/warehouse/") && prefix.ends_with('/'),
            "{prefix}"
        );
        assert!(!prefix.contains(['*', '?', '%', '$', '\'', '"']), "{prefix}");
        for other in &prefixes {
            assert!(
                !prefix.starts_with(other.as_str()) && !other.starts_with(prefix.as_str()),
                "{prefix} {other}"
            );
        }
        prefixes.push(prefix);
    }
}
