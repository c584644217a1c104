//! What is given out, and what is not.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::policy::session_policy;
use super::scope::TableScope;
use super::{AccessKeys, Delegate, DelegationOptions, SignRequest, Vending, Wish};
use crate::command::Ident;
use crate::error::CatalogError;
use crate::warehouse::Warehouse;
use tidewater_core::{SeededRng, SystemClock};
use tidewater_table::S3Options;

const TABLE: &str = "s3://lake/gold/tab";
const UUID: Uuid = Uuid::from_u128(7);

fn warehouse() -> Warehouse {
    Warehouse::new("lake", "s3://lake/gold").expect("a good location")
}

fn scope(location: &str) -> TableScope {
    let scope = TableScope::of(&warehouse(), location).expect("a good location");
    scope.expect("it is in S3")
}

// Goal: a session reaches the objects below the table's folder and nothing else. Method: the policy, member by member, for a plain folder and for
// one with a character that means something in policies.
#[test]
fn the_policy_is_exact() {
    for (location, folder) in [
        (TABLE, "gold/tab"),
        ("s3://lake/gold/$a b", "gold/${$}a b"),
        ("s3://lake/gold/größe", "gold/größe"),
    ] {
        let text = session_policy(&scope(location)).expect("short enough");
        assert!(text.is_ascii(), "{text}");
        let policy: Value = serde_json::from_str(&text).expect("JSON");
        let expected = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow",
             "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
                        "s3:ListMultipartUploadParts"],
             "Resource": format!("arn:aws:s3:::lake/{folder}/*")},
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::lake",
             "Condition": {"StringLike": {"s3:prefix": format!("{folder}/*")}}},
        ]});
        assert_eq!(policy, expected);
    }
    let long = format!(
        "s3://lake/gold/{}/{}/{}",
        "$".repeat(255),
        "$".repeat(255),
        "$".repeat(200)
    );
    let error = session_policy(&scope(&long)).expect_err("too long for STS");
    assert!(matches!(error, CatalogError::NoCredential { .. }), "{error}");
}

// Goal: no scope is made of a location that is not a table's in the warehouse. Method: a table of them.
#[test]
fn scopes_need_a_good_location() {
    for bad in [
        "s3://lake/gold",
        "s3://lake/golden/x",
        "s3://other/gold/x",
        "s3://lake/gold/*",
        "s3://lake/gold/a/../b",
        "x",
        "",
    ] {
        assert!(TableScope::of(&warehouse(), bad).is_err(), "{bad}");
    }
    let local = Warehouse::new("lake", "file:///lake").expect("a good location");
    assert_eq!(TableScope::of(&local, "/lake/t").expect("a good location"), None);
    let bucket = Warehouse::new("lake", "s3://lake").expect("a good location");
    assert!(TableScope::of(&bucket, "s3://lake").is_err());
    let scope = scope(TABLE);
    for (key, holds) in [
        ("gold/tab/data/a.parquet", true),
        ("gold/tab/", false),
        ("gold/tab", false),
        ("gold/table/a", false),
        ("gold/ta", false),
        ("/gold/tab/a", false),
        ("gold/tab/../other/a", false),
        ("gold/tab/./a", false),
        ("gold/tab/a\\b", false),
        ("gold/tab/a\nb", false),
        ("gold/tab/%2e%2e/a", true),
    ] {
        assert_eq!(scope.holds("lake", key), holds, "{key:?}");
        assert!(!scope.holds("lake2", key), "{key:?}");
    }
}

fn s3(endpoint: Option<&str>) -> S3Options {
    S3Options {
        endpoint: endpoint.map(str::to_owned),
        region: Some("eu-central-1".into()),
        access_key_id: Some("OWNID".into()),
        secret_access_key: Some("own-secret".into()),
        ..S3Options::default()
    }
}

fn delegate(endpoint: Option<&str>, vending: Vending, remote_signing: bool) -> Delegate {
    let mut options = DelegationOptions::new(s3(endpoint));
    (options.vending, options.remote_signing) = (vending, remote_signing);
    options.store_refuses_unsigned_headers = true;
    Delegate::new(options, SystemClock::shared(), Arc::new(SeededRng::new(1)))
}

fn fixed() -> Vending {
    Vending::Static(AccessKeys {
        access_key_id: "FIXEDID".into(),
        secret_access_key: "fixed-secret".into(),
        session_token: None,
    })
}

fn wish(words: &str) -> Wish {
    let mut headers = http::HeaderMap::new();
    headers.insert("X-Iceberg-Access-Delegation", words.parse().expect("a header"));
    Wish::of(&headers)
}

fn ident() -> Ident {
    Ident {
        namespace: vec!["a b".into(), "c".into()],
        name: "t/ü".into(),
    }
}

// Goal: clients get what they ask for and may have, always with an end, never the catalog's own keys, never an entry without keys.
// Method: each wish against each configuration.
#[tokio::test]
async fn grants_follow_the_wish() {
    let warehouse = warehouse();
    for (vending, signing, words, credentials, signs) in [
        (fixed(), true, "vended-credentials", true, false),
        (fixed(), true, "remote-signing, vended-credentials", true, false),
        (fixed(), true, "remote-signing", false, true),
        (fixed(), true, "", false, false),
        (fixed(), true, "magic", false, false),
        (fixed(), false, "remote-signing", false, false),
        (Vending::Nothing, true, "vended-credentials", false, false),
        (Vending::Nothing, true, "vended-credentials,remote-signing", false, true),
    ] {
        let delegate = delegate(Some("http://127.0.0.1:9"), vending, signing);
        let before = SystemClock::shared().now_ms();
        let grant = delegate
            .grant(&warehouse, wish(words), &ident(), UUID, TABLE)
            .await
            .expect("granted");
        assert_eq!(grant.credentials.len(), usize::from(credentials), "{words}");
        assert_eq!(grant.signing.is_some(), signs, "{words}");
        for credential in &grant.credentials {
            assert_eq!(credential.prefix, "s3://lake/gold/tab/");
            assert_eq!(credential.config["s3.access-key-id"], "FIXEDID");
            let until: i64 = credential.config["s3.session-token-expires-at-ms"]
                .parse()
                .expect("a time");
            assert!(until >= before + 3_600_000, "{until}");
            assert_eq!(
                credential.config["client.refresh-credentials-endpoint"],
                "v1/namespaces/a%20b%1Fc/tables/t%2F%C3%BC/credentials"
            );
        }
        if signs {
            assert_eq!(
                grant.config["s3.signer.endpoint"],
                "v1/namespaces/a%20b%1Fc/tables/t%2F%C3%BC/sign"
            );
        }
        let told = serde_json::to_string(&(&grant.config, &grant.credentials)).expect("JSON");
        assert!(!told.contains("OWNID") && !told.contains("own-secret"), "{told}");
    }
    let delegate = delegate(None, fixed(), true);
    let outside = delegate
        .grant(
            &warehouse,
            wish("vended-credentials"),
            &ident(),
            UUID,
            "s3://lake/golden/t",
        )
        .await;
    assert!(matches!(outside, Err(CatalogError::BadLocation { .. })));
}

fn request(method: &str, uri: &str, headers: Value, body: Option<&str>) -> SignRequest {
    serde_json::from_value(
        json!({"method": method, "uri": uri, "region": "eu-central-1", "headers": headers, "body": body}),
    )
    .expect("a request")
}

fn signed(delegate: &Delegate, request: &SignRequest) -> bool {
    match delegate.sign(&warehouse(), request, UUID, TABLE) {
        Ok(added) => added["authorization"].contains("Credential=OWNID/"),
        Err(CatalogError::OutOfScope { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

// Goal: what tables need is signed. Method: the requests of real clients, in path style and with the bucket in the host.
#[test]
fn requests_within_the_table_are_signed() {
    let own = delegate(Some("http://127.0.0.1:9000"), Vending::Nothing, true);
    let amazon = delegate(None, Vending::Nothing, true);
    let delete = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Object><Key>gold/tab/data/a&amp;b.parquet</Key></Object><Quiet>true</Quiet></Delete>";
    for (method, rest, body) in [
        ("GET", "gold/tab/data/a.parquet", None),
        (
            "GET",
            "gold/tab/data/day%3D2024-01-01/a%20b.parquet?x-id=GetObject",
            None,
        ),
        ("HEAD", "gold/tab/metadata/v1.json", None),
        ("PUT", "gold/tab/data/a.parquet?partNumber=2&uploadId=x", None),
        ("POST", "gold/tab/data/a.parquet?uploads", None),
        ("POST", "gold/tab/data/a.parquet?uploadId=x", None),
        ("DELETE", "gold/tab/data/a.parquet", None),
        ("GET", "?list-type=2&prefix=gold%2Ftab%2F&delimiter=%2F", None),
        ("GET", "?list-type=2&prefix=gold/tab/data/", None),
        ("POST", "?delete", Some(delete)),
    ] {
        let path = request(method, &format!("http://127.0.0.1:9000/lake/{rest}"), json!({}), body);
        assert!(signed(&own, &path), "{method} {rest}");
        let host = request(
            method,
            &format!("https://lake.s3.eu-central-1.amazonaws.com/{rest}"),
            json!({}),
            body,
        );
        assert!(signed(&amazon, &host), "{method} {rest}");
    }
    let copy =
        json!({"x-amz-copy-source": ["/lake/gold/tab/data/a"], "X-Amz-Checksum-Crc32": ["x"], "User-Agent": ["y"]});
    let uri = "http://127.0.0.1:9000/lake/gold/tab/data/b";
    assert!(signed(&own, &request("PUT", uri, copy, None)));
}

// Goal: nothing beyond the table is signed, however it is spelled. Method: a table of hostile requests.
#[test]
fn requests_beyond_the_table_are_refused() {
    let own = delegate(Some("http://127.0.0.1:9000"), Vending::Nothing, true);
    let base = "http://127.0.0.1:9000";
    let deletes = |inner: &str| format!("<Delete>{inner}</Delete>");
    let object = |key: &str| format!("<Object><Key>{key}</Key></Object>");
    let mut refused = 0;
    let mut refuse = |method: &str, uri: &str, headers: Value, body: Option<&str>| {
        assert!(
            !signed(&own, &request(method, uri, headers, body)),
            "{method} {uri} {body:?}"
        );
        refused += 1;
    };
    for path in [
        "/lake/gold/table/a",
        "/lake/gold/tab",
        "/lake/gold/tab/",
        "/lake/gold/ta",
        "/lake/gold/tab%2e/a",
        "/lake/gold/tab/../other/a",
        "/lake/gold/tab/%2e%2e/other/a",
        "/lake/gold/tab/..%2fother/a",
        "/lake/gold/tab/.%2E/a",
        "/lake/gold/tab/./a",
        "/lake/gold/tab%5c..%5cother/a",
        "/lake/gold/tab/a%00",
        "/lake/gold/tab/a%0a",
        "/lake/gold/tab/%ff",
        "/lake//gold/tab/a",
        "//lake/gold/tab/a",
        "/lake2/gold/tab/a",
        "/lake/gold%2Ftabx/a",
        "/lake",
        "/",
        "",
        "/lake?list-type=2",
        "/lake?list-type=2&prefix=",
        "/lake?list-type=2&prefix=gold",
        "/lake?list-type=2&prefix=gold/tab",
        "/lake?list-type=2&prefix=gold/table/",
        "/lake?list-type=2&prefix=gold/tab/../x",
        "/lake?list-type=2&prefix=gold/tab/&prefix=gold/",
        "/lake?prefix=gold/tab/&uploads",
        "/lake?acl",
        "/lake?policy&prefix=gold/tab/",
        "/lake/gold/tab/a?acl",
        "/lake/gold/tab/a?tagging",
        "/lake/gold/tab/a?torrent",
        "/lake/gold/tab/a?attributes",
        "/lake/gold/tab/a?response-content-type=text%2Fhtml",
    ] {
        refuse("GET", &format!("{base}{path}"), json!({}), None);
    }
    for uri in [
        "http://127.0.0.1:9001/lake/gold/tab/a",
        "https://127.0.0.1:9000/lake/gold/tab/a",
        "http://127.0.0.1:9000.evil.example/lake/gold/tab/a",
        "http://evil.example/lake/gold/tab/a",
        "http://user@127.0.0.1:9000/lake/gold/tab/a",
        "http://other.127.0.0.1:9000/gold/tab/a",
        "/lake/gold/tab/a",
        "s3://lake/gold/tab/a",
        "not a uri",
    ] {
        refuse("GET", uri, json!({}), None);
    }
    let inside = format!("{base}/lake/gold/tab/a");
    for method in ["PATCH", "OPTIONS", "get", "TRACE", ""] {
        refuse(method, &inside, json!({}), None);
    }
    refuse("POST", &inside, json!({}), None);
    refuse("POST", &format!("{inside}?select&select-type=2"), json!({}), None);
    refuse("POST", &format!("{inside}?restore"), json!({}), None);
    refuse("PUT", &format!("{inside}?acl"), json!({}), None);
    refuse("PUT", &format!("{base}/lake"), json!({}), None);
    refuse("DELETE", &format!("{base}/lake"), json!({}), None);
    refuse("HEAD", &format!("{base}/lake"), json!({}), None);
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "*"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-security-token", "x"),
        ("x-amz-copy-source", "/lake/gold/table/a"),
        ("x-amz-copy-source", "/lake/gold/tab/../table/a"),
        ("x-amz-copy-source", "/lake/gold/tab/%2e%2e/table/a"),
        ("x-amz-copy-source", "other/gold/tab/a"),
        ("x-amz-copy-source", "/lake/gold/tab/a?versionId=1"),
        ("x-amz-copy-source", "/lake/gold/tab/a+b"),
        ("x-amz-copy-source", "lake"),
        ("x-amz-meta-x", "a\r\nx-amz-acl: public-read"),
        ("x-amz-meta-snowball-auto-extract", "true"),
        ("X-Amz-Meta-Snowball-Auto-Extract", "true"),
        ("x-amz-meta-minio-snowball-prefix", "gold/table"),
        ("x-amz-meta-minio-snowball-ignore-dirs", "true"),
    ] {
        refuse("PUT", &inside, json!({name: [value]}), None);
    }
    refuse(
        "PUT",
        &inside,
        json!({"x-amz-copy-source": ["/lake/gold/tab/a"], "X-Amz-Copy-Source": ["/lake/x"]}),
        None,
    );
    refuse("GET", &inside, json!({"x-amz-copy-source": ["/lake/gold/tab/a"]}), None);
    let delete = format!("{base}/lake?delete");
    refuse("POST", &delete, json!({}), None);
    for body in [
        String::new(),
        deletes(""),
        deletes(&object("gold/table/a")),
        deletes(&object("gold/tab/../a")),
        deletes(&(object("gold/tab/a") + &object("gold/x"))),
        deletes(&object("gold/tab/<![CDATA[a]]>")),
        deletes("<!-- <Object><Key>gold/tab/a</Key></Object> --><Object><Key>gold/x</Key></Object>"),
        deletes(&object("gold/tab/&#46;&#46;/a")),
        deletes("<Object><Key>gold/tab/a</Key><VersionId>1</VersionId></Object>"),
        deletes("<Object><Key>gold/tab/a</Key><Key>gold/x</Key></Object>"),
        "<!DOCTYPE x [<!ENTITY e \"gold/x\">]><Delete><Object><Key>&e;</Key></Object></Delete>".into(),
        deletes(&object("gold/tab/a")) + &deletes(&object("gold/x")),
    ] {
        refuse("POST", &delete, json!({}), Some(&body));
    }
    assert!(refused >= 80, "{refused}");
    let mut moved = json!({"method": "GET", "uri": inside, "properties": {"table-uuid": Uuid::from_u128(8)}});
    let stale: SignRequest = serde_json::from_value(moved.clone()).expect("a request");
    assert!(!signed(&own, &stale));
    moved["properties"]["table-uuid"] = json!(UUID);
    let current: SignRequest = serde_json::from_value(moved).expect("a request");
    assert!(signed(&own, &current));
}

// Goal: a store that may take headers which are not signed is signed no request that writes, as it would do more than was looked at; one that
// refuses them is, and Amazon always. Method: each method within the table against a store at an endpoint with and without the setting, and
// against Amazon without it.
#[test]
fn writes_are_signed_where_headers_are_covered() {
    let own = "http://127.0.0.1:9000/lake/gold/tab/a";
    let amazon = "https://lake.s3.eu-central-1.amazonaws.com/gold/tab/a";
    for (endpoint, covers, uri, signs_writes) in [
        (Some("http://127.0.0.1:9000"), false, own, false),
        (Some("http://127.0.0.1:9000"), true, own, true),
        (None, false, amazon, true),
    ] {
        let mut options = DelegationOptions::new(s3(endpoint));
        (options.remote_signing, options.store_refuses_unsigned_headers) = (true, covers);
        let delegate = Delegate::new(options, SystemClock::shared(), Arc::new(SeededRng::new(1)));
        for (method, query, signs) in [
            ("GET", "", true),
            ("HEAD", "", true),
            ("PUT", "", signs_writes),
            ("PUT", "?partNumber=1&uploadId=x", signs_writes),
            ("POST", "?uploads", signs_writes),
            ("DELETE", "", signs_writes),
        ] {
            let asked = request(method, &format!("{uri}{query}"), json!({}), None);
            assert_eq!(
                signed(&delegate, &asked),
                signs,
                "{method} {uri}{query}, covers: {covers}"
            );
        }
    }
}

// Goal: a bucket is read in the host only where the store reads it there too: elsewhere the store takes the first part of the key for the bucket.
// Method: a table whose key begins as the bucket is called, asked for by host of a store at an endpoint of its own, which reads paths alone,
// and of one that reads hosts.
#[test]
fn a_bucket_in_the_host_is_the_stores_too() {
    let warehouse = Warehouse::new("lake", "s3://lake").expect("a good location");
    let uri = "http://lake.127.0.0.1:9000/lake/hr/secret-x/data/a.parquet";
    for (virtual_hosted, signs) in [(false, false), (true, true)] {
        let mut options = DelegationOptions::new(S3Options {
            virtual_hosted,
            ..s3(Some("http://127.0.0.1:9000"))
        });
        (options.remote_signing, options.store_refuses_unsigned_headers) = (true, true);
        let delegate = Delegate::new(options, SystemClock::shared(), Arc::new(SeededRng::new(1)));
        for method in ["GET", "PUT", "DELETE"] {
            let asked = request(method, uri, json!({}), None);
            let signed = delegate.sign(&warehouse, &asked, UUID, "s3://lake/lake/hr/secret-x");
            assert_eq!(signed.is_ok(), signs, "{method}, by host: {virtual_hosted}");
        }
    }
}

// Goal: the signature of deletes holds for the body that was looked at. Method: the header that binds it.
#[test]
fn deletes_are_bound_to_their_body() {
    let own = delegate(Some("http://127.0.0.1:9000"), Vending::Nothing, true);
    let body = "<Delete><Object><Key>gold/tab/a</Key></Object></Delete>";
    let headers = json!({"x-amz-content-sha256": ["UNSIGNED-PAYLOAD"]});
    let request = request("POST", "http://127.0.0.1:9000/lake?delete=", headers, Some(body));
    let added = own.sign(&warehouse(), &request, UUID, TABLE).expect("signed");
    assert_eq!(added["x-amz-content-sha256"], super::sigv4::sha256_hex(body.as_bytes()));
}
