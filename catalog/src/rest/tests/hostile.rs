//! Names and locations that try to get out.

use serde_json::json;

use super::kit::{Kit, TABLE, TABLES, new_table};

const LOCATIONS: [&str; 16] = [
    "",
    "x",
    "/etc",
    "file:///etc/passwd",
    "memory:///lake",
    "memory:///lake/",
    "memory:///lakeside/x",
    "memory:///lake/../x",
    "memory:///lake/a/../../x",
    "memory:///lake/./x",
    "memory:///lake//x",
    "memory:///lake/%2e%2e/x",
    "memory:///lake/x\u{0}",
    "memory:///lake/x*",
    "memory://host/lake/x",
    "s3://lake/x",
];

// Goal: no name gets out of its folder or breaks a path. Method: hostile names in bodies and paths; all are refused with 4xx and nothing is made.
#[tokio::test]
async fn hostile_names_are_refused() {
    let kit = Kit::with_table().await;
    let files = kit.store.len();
    let long = "x".repeat(256);
    let names = [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "%2e%2e",
        "a\u{0}b",
        "a\nb",
        "a\u{1f}b",
        "*",
        "a'b",
        " x",
        "\u{202e}x",
        &long,
    ];
    for name in names {
        let made = kit.post(TABLES, new_table(name)).await;
        assert_eq!((made.status, made.kind()), (400, "BadRequestException"), "{name:?}");
        let made = kit.post("/v1/namespaces", json!({"namespace": [name]})).await;
        assert_eq!(made.status, 400, "{name:?}");
        let to =
            json!({"source": {"namespace": ["a"], "name": "t"}, "destination": {"namespace": ["a"], "name": name}});
        assert_eq!(kit.post("/v1/tables/rename", to).await.status, 400, "{name:?}");
    }
    for path in ["%2e%2e", "a%2Fb", "%00", "a%0Ab", "%ff", "..%1F.."] {
        for path in [format!("/v1/namespaces/{path}"), format!("{TABLES}/{path}")] {
            let reply = kit.get(&path).await;
            assert!((400..500).contains(&reply.status), "{path} {}", reply.body);
            assert!(!reply.kind().is_empty(), "{path}");
        }
    }
    let deep: Vec<&str> = vec!["x"; 9];
    assert_eq!(kit.post("/v1/namespaces", json!({"namespace": deep})).await.status, 400);
    assert_eq!(kit.post("/v1/namespaces", json!({"namespace": []})).await.status, 400);
    assert_eq!(kit.store.len(), files);
}

// Goal: no table, file or property points outside of the warehouse or of the table. Method: hostile locations wherever one is taken.
#[tokio::test]
async fn hostile_locations_are_refused() {
    let kit = Kit::with_table().await;
    let files = kit.store.len();
    for location in LOCATIONS {
        let mut new = new_table("u");
        new["location"] = json!(location);
        let mut staged = new.clone();
        staged["stage-create"] = json!(true);
        let register = json!({"name": "u", "metadata-location": location});
        let register_file = json!({"name": "u", "metadata-location": format!("{location}/x.metadata.json")});
        let moved = json!({"updates": [{"action": "set-location", "location": location}]});
        let property = json!({"updates": [{"action": "set-properties", "updates": {"write.data.path": location}}]});
        for (path, body) in [
            (TABLES, new),
            (TABLES, staged),
            ("/v1/namespaces/a/register", register),
            ("/v1/namespaces/a/register", register_file),
            (TABLE, moved),
            (TABLE, property),
        ] {
            let reply = kit.post(path, body.clone()).await;
            assert_eq!(
                (reply.status, reply.kind()),
                (400, "BadRequestException"),
                "{path} {body}"
            );
        }
    }
    assert_eq!(kit.store.len(), files);
}

// Goal: no table lies in another one. Method: the same place, inside of it, around it; and a place that only looks alike.
#[tokio::test]
async fn tables_do_not_share_a_place() {
    let kit = Kit::with_table().await;
    let location = kit.get(TABLE).await.body["metadata"]["location"]
        .as_str()
        .expect("a location")
        .to_owned();
    for (place, status) in [
        (location.clone(), 400),
        (format!("{location}/"), 400),
        (format!("{location}/data"), 400),
        ("memory:///lake/a".to_owned(), 400),
        (format!("{location}x"), 200),
    ] {
        let mut new = new_table("u");
        new["location"] = json!(place);
        assert_eq!(kit.post(TABLES, new).await.status, status, "{place}");
    }
}
