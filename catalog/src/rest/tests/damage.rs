//! Metadata files that changed in the store.

use bytes::Bytes;
use serde_json::{Value, json};

use super::kit::{Kit, Reply, TABLE, schema, set};
use crate::store::MetadataStore;
use tidewater_core::{Rng, SeededRng, SystemClock};

const FLIPS: u64 = 32;

const VIEW: &str = "/v1/namespaces/a/views/v";

/// With namespace `a`, table `a.t` and view `a.v`.
async fn with_view() -> Kit {
    let kit = Kit::with_table().await;
    let version = json!({"version-id": 1, "schema-id": 0, "timestamp-ms": SystemClock::shared().now_ms(),
        "summary": {"engine-name": "test"}, "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}], "default-namespace": ["a"]});
    let view = json!({"name": "v", "schema": schema(), "view-version": version, "properties": {}});
    let made = kit.post("/v1/namespaces/a/views", view).await;
    assert_eq!(made.status, 200, "{}", made.body);
    kit
}

/// Other bytes under the same name, and a node that has not read them yet.
async fn put(kit: &Kit, location: &str, bytes: Bytes) {
    kit.store.delete(location).await.expect("deleted");
    kit.store.put_new(location, bytes).await.expect("written");
    kit.service.cache.forget().await;
}

fn refused_as(reply: &Reply) -> (u16, &Value) {
    (reply.status, &reply.body["error"]["error-code"])
}

// Goal: a flipped bit in a table's or a view's metadata file is told with its code by whoever loads or changes it, and at registration; no
// flip is answered as metadata. Method: seeded flips, one at a time, each met by a node that has read nothing; the good bytes again at the
// end.
#[tokio::test]
async fn flipped_metadata_is_told() {
    let kit = with_view().await;
    assert_eq!(kit.update(set("x", "1")).await.status, 200);
    let rng = SeededRng::new(20);
    for (path, register) in [(TABLE, "register"), (VIEW, "register-view")] {
        let good = kit.get(path).await.body;
        let location = good["metadata-location"].as_str().expect("a location");
        let bytes = kit.store.get(location).await.expect("an answer").expect("a file");
        for _ in 0..FLIPS {
            let at = rng.below(bytes.len() as u64) as usize;
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << rng.below(8);
            put(&kit, location, Bytes::from(bad)).await;
            let loaded = kit.get(path).await;
            let code = json!("CAT-0016");
            assert_eq!(refused_as(&loaded), (500, &code), "byte {at}: {}", loaded.body);
            let told = "its bytes are not those that were written";
            assert!(loaded.message().contains(told), "{}", loaded.message());
            assert!(loaded.message().contains(location), "{}", loaded.message());
            let changed = kit.post(path, json!({"updates": set("y", "1")})).await;
            assert_eq!(refused_as(&changed), (500, &code), "byte {at}: {}", changed.body);
            let body = json!({"name": "again", "metadata-location": location});
            let registered = kit.post(&format!("/v1/namespaces/a/{register}"), body).await;
            assert_eq!(registered.status, 400, "byte {at}: {}", registered.body);
            assert!(registered.message().contains(told), "{}", registered.message());
        }
        put(&kit, location, bytes).await;
        assert_eq!(kit.get(path).await.body, good);
    }
}

// Goal: names have the form that other clients parse, and count on, after a name that tells no digest too. Method: tables and views are
// made and changed; a file under a name of before, and under one of another engine, is registered, loaded anew and changed.
#[tokio::test]
async fn names_tell_digests_and_older_ones_stay_valid() {
    let kit = with_view().await;
    let mut files = Vec::new();
    for path in [TABLE, VIEW] {
        for number in 0..3 {
            let body = kit.get(path).await.body;
            files.push((
                number,
                body["metadata-location"].as_str().expect("a location").to_owned(),
            ));
            let changed = kit.post(path, json!({"updates": set("x", &number.to_string())})).await;
            assert_eq!(changed.status, 200, "{}", changed.body);
        }
    }
    let metadata = kit.get(TABLE).await.body["metadata"].clone();
    let uuid = "0199e6b3-7c1f-7b32-b3aa-0123456789ab";
    for (at, name) in [format!("00007-{uuid}"), "v7".to_owned()].into_iter().enumerate() {
        let mut older = metadata.clone();
        older["location"] = json!(format!("memory:///lake/a/older-{at}"));
        older["table-uuid"] = json!(format!("22222222-2222-4222-8222-22222222222{at}"));
        let file = format!("memory:///lake/a/older-{at}/metadata/{name}.metadata.json");
        let written = kit.store.put_new(&file, Bytes::from(older.to_string())).await;
        written.expect("a new file");
        let body = json!({"name": format!("older{at}"), "metadata-location": file});
        let registered = kit.post("/v1/namespaces/a/register", body).await;
        assert_eq!(registered.status, 200, "{}", registered.body);
        kit.service.cache.forget().await;
        let path = format!("/v1/namespaces/a/tables/older{at}");
        assert_eq!(kit.get(&path).await.body["metadata"], older);
        let changed = kit.post(&path, json!({"updates": set("x", "1")})).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        if at == 0 {
            let location = changed.body["metadata-location"].as_str().expect("a location");
            files.push((8, location.to_owned()));
        }
    }
    for (number, location) in files {
        let name = location.rsplit('/').next().expect("a name");
        let (version, rest) = name.split_once('-').expect("a version");
        assert_eq!(version.parse::<u32>(), Ok(number), "{name}");
        let (id, rest) = rest.split_at(36);
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{name}");
        let digest = rest
            .strip_prefix(".b3")
            .and_then(|rest| rest.strip_suffix(".metadata.json"));
        let digest = digest.unwrap_or_else(|| panic!("{name}"));
        let bytes = kit.store.get(&location).await.expect("an answer").expect("a file");
        assert!(
            blake3::hash(&bytes).to_hex().starts_with(digest) && digest.len() == 16,
            "{name}"
        );
    }
}
