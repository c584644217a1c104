//! Files beside log and snapshot.

use crate::backup::Manifest;
use crate::raft::GroupIdentity;
use tidewater_core::NodeId;

// Goal: the files beside log and snapshot are understood: who a node is, and what a backup says. Method: their text as
// first written.
#[test]
fn texts_of_version_1() {
    let identity: GroupIdentity = serde_json::from_str(
        r#"{"node": 7, "address": {"raft": "10.0.0.7:8182", "api": "http://10.0.0.7:8181"},
            "members": {"1": {"raft": "10.0.0.1:8182", "api": "http://10.0.0.1:8181"}}}"#,
    )
    .unwrap();
    assert_eq!((identity.node.0, identity.members.len()), (7, 1));
    assert_eq!(identity.members[&NodeId(1)].raft, "10.0.0.1:8182");
    let manifest: Manifest = serde_json::from_str(
        r#"{"format": 1, "position": {"term": 3, "node": 1, "index": 42}, "state_time_ms": 1000,
            "snapshot_bytes": 512, "namespaces_count": 1, "tables": [{"namespace": ["bronze"], "name": "users",
            "uuid": "00000000-0000-0000-0000-000000000008", "version": 3, "snapshot_id": -5,
            "metadata_location": "file:///lake/bronze/users/metadata/3.json"}]}"#,
    )
    .unwrap();
    assert_eq!(
        (manifest.position.index, manifest.tables[0].snapshot_id),
        (42, Some(-5))
    );
}
