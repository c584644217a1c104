//! Files and locations that are another table's.

use serde_json::{Value, json};

use super::commits::staged;
use super::kit::{Kit, Reply, TABLES, append, new_table};

const NEW: &str = "/v1/namespaces/a/tables/new";

async fn two_tables() -> (Kit, String, String) {
    let kit = Kit::with_table().await;
    assert_eq!(kit.post(TABLES, new_table("u")).await.status, 200);
    let (own, other) = (metadata(&kit, "t").await, metadata(&kit, "u").await);
    let location = |metadata: &Value| metadata["location"].as_str().expect("a location").to_owned();
    let (own, other) = (location(&own), location(&other));
    (kit, own, other)
}

async fn metadata(kit: &Kit, table: &str) -> Value {
    kit.get(&format!("{TABLES}/{table}")).await.body["metadata"].clone()
}

/// Each update that names a file.
fn naming(place: &str, id: i64) -> [Value; 3] {
    let mut snapshot = append(id, None, id)[0].clone();
    snapshot["snapshot"]["manifest-list"] = json!(place);
    let statistics = json!({"snapshot-id": id, "statistics-path": place, "file-size-in-bytes": 10,
        "file-footer-size-in-bytes": 4, "blob-metadata": []});
    let partitions = json!({"snapshot-id": id, "statistics-path": place, "file-size-in-bytes": 10});
    [
        snapshot,
        json!({"action": "set-statistics", "snapshot-id": id, "statistics": statistics}),
        json!({"action": "set-partition-statistics", "partition-statistics": partitions}),
    ]
}

/// The table that makes, as a commit.
fn creation(location: &str, more: &[Value]) -> Value {
    let mut body = staged("new", location);
    let updates = body["updates"].as_array_mut().expect("a list");
    updates.extend(more.iter().cloned());
    body
}

fn refused(reply: &Reply, what: &str) {
    assert_eq!(
        (reply.status, reply.kind()),
        (400, "BadRequestException"),
        "{what}: {}",
        reply.body
    );
}

// Goal: a commit names files of its own table and files that are nobody's, and none of another table's. Method: each update that names a
// file with one in the table's location, one where no table lies, one beside and one in the other's, of which it is not said whose it is;
// the same for the other as a dropped table.
#[tokio::test]
async fn a_commit_names_no_file_of_another_table() {
    let (kit, own, other) = two_tables().await;
    let free = [
        format!("{own}/metadata/x"),
        "memory:///lake/landing/x".to_owned(),
        format!("{other}x/metadata/x"),
    ];
    for (id, place) in (1..).zip(&free) {
        for update in naming(place, id) {
            let made = kit.update(json!([update])).await;
            assert_eq!(made.status, 200, "{update}: {}", made.body);
        }
    }
    for dropped in [false, true] {
        if dropped {
            let gone = kit.call("DELETE", &format!("{TABLES}/u"), None).await;
            assert_eq!(gone.status, 204, "{}", gone.body);
        }
        for place in [format!("{other}/metadata/x"), format!("{other}/x")] {
            for update in naming(&place, 9) {
                let reply = kit.update(json!([update])).await;
                refused(&reply, &format!("{update}, dropped: {dropped}"));
                assert!(!reply.message().contains("a.u"), "{}", reply.message());
            }
        }
    }
    // A table that moves to where a dropped one lay has its files there.
    let [snapshot, ..] = naming(&format!("{other}/metadata/x"), 9);
    let moves = json!([{"action": "set-location", "location": other}, snapshot]);
    let made = kit.update(moves).await;
    assert_eq!(made.status, 200, "{}", made.body);
}

// Goal: so it is for a table that a commit makes. Method: each update in its creation, with a file of another table and with its own.
#[tokio::test]
async fn a_creation_names_no_file_of_another_table() {
    let (kit, _, other) = two_tables().await;
    let place = "memory:///lake/a/new";
    for update in naming(&format!("{other}/metadata/x"), 1) {
        let reply = kit.post(NEW, creation(place, std::slice::from_ref(&update))).await;
        refused(&reply, &update.to_string());
        assert_eq!(kit.get(NEW).await.status, 404);
    }
    let made = kit.post(NEW, creation(place, &naming(&format!("{place}/x"), 1))).await;
    assert_eq!(made.status, 200, "{}", made.body);
}

// Goal: no commit takes another table's location, or its uuid, by claiming to be that table. Method: its uuid and location in a creation, its
// uuid alone, without its name in the answer, and a table that moves there.
#[tokio::test]
async fn a_uuid_gives_no_location() {
    let (kit, _, other) = two_tables().await;
    let claim = json!({"action": "assign-uuid", "uuid": metadata(&kit, "u").await["table-uuid"]});
    let claiming = |location: &str| {
        let mut body = staged("new", location);
        body["updates"][0] = claim.clone();
        body
    };
    refused(&kit.post(NEW, claiming(&other)).await, "a creation");
    let elsewhere = kit.post(NEW, claiming("memory:///lake/a/new")).await;
    assert_eq!(
        (elsewhere.status, elsewhere.kind()),
        (409, "AlreadyExistsException"),
        "{}",
        elsewhere.body
    );
    assert_eq!(elsewhere.body["error"]["error-code"], "CAT-1023");
    assert!(!elsewhere.message().contains("a.u"), "{}", elsewhere.message());
    assert_eq!(kit.get(NEW).await.status, 404);
    let made = kit.post(NEW, staged("new", "memory:///lake/a/new")).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let moved = json!({"requirements": [], "updates": [{"action": "set-location", "location": other}]});
    refused(&kit.post(NEW, moved).await, "a move");
}

// Goal: a dropped table comes back, whoever asks meanwhile for a table of its uuid. Method: its uuid in a creation elsewhere, alone, in a
// transaction, and behind another uuid; then its return.
#[tokio::test]
async fn a_dropped_table_keeps_its_uuid() {
    let (kit, ..) = two_tables().await;
    let uuid = metadata(&kit, "u").await["table-uuid"].clone();
    let gone = kit.call("DELETE", &format!("{TABLES}/u"), None).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    let mut claiming = staged("new", "memory:///lake/a/new");
    claiming["updates"][0]["uuid"] = uuid.clone();
    let behind = creation(
        "memory:///lake/a/new",
        &[json!({"action": "assign-uuid", "uuid": uuid})],
    );
    for (path, body) in [
        (NEW, claiming.clone()),
        ("/v1/transactions/commit", json!({"table-changes": [claiming]})),
        (NEW, behind),
    ] {
        let reply = kit.post(path, body).await;
        assert_eq!(
            (reply.status, reply.kind()),
            (409, "AlreadyExistsException"),
            "{path}: {}",
            reply.body
        );
        assert_eq!(reply.body["error"]["error-code"], "CAT-1023");
        assert!(!reply.message().contains("a.u"), "{}", reply.message());
    }
    assert_eq!(kit.get(NEW).await.status, 404);
    let back = json!({"namespace": ["a"], "name": "u", "to": null});
    let back = kit.post("/internal/v1/dropped/undrop", back).await;
    assert_eq!(back.status, 200, "{}", back.body);
    assert_eq!(metadata(&kit, "u").await["table-uuid"], uuid);
}

// Goal: roles learn which folders are another table's, however these are spelled. Method: folders in and beside both tables.
#[tokio::test]
async fn roles_are_told_whose_folders_are() {
    let (kit, own, other) = two_tables().await;
    let twisted = other.replacen("memory:///", "memory:////", 1);
    let rows = [
        (own.clone(), false),
        (format!("{own}/data"), false),
        (other.clone(), true),
        (format!("{other}/data/day=1"), true),
        (format!("{twisted}//data"), true),
        (format!("{other}x"), false),
        ("memory:///lake/landing".to_owned(), false),
        ("memory:///lake".to_owned(), false),
        ("nowhere".to_owned(), false),
    ];
    let folders: Vec<&String> = rows.iter().map(|(folder, _)| folder).collect();
    let asked = json!({"namespace": ["a"], "name": "t", "folders": folders});
    let told = kit.post("/internal/v1/locations/held", asked).await;
    let held: Vec<bool> = rows.iter().map(|(_, held)| *held).collect();
    assert_eq!((told.status, &told.body), (200, &json!({"held": held})));
}
