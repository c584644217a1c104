//! What an operator does with a group: its nodes, its leader, its backups.

use std::net::SocketAddr;
use std::sync::Arc;

use tempfile::TempDir;
use tidewater_catalog::backup::{BackupWriter, missing_metadata, restore_into};
use tidewater_catalog::join::announce;
use tidewater_catalog::raft::{Founder, GroupIdentity, PeerAddress};
use tidewater_catalog_client::dto::NodeAddress;
use tidewater_core::{NodeId, SystemClock, SystemRng};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::{Catalog, FileStore, NewTable};

use super::{DEADLINE, Node, client, group, listeners, plain, token, user_key};

// Goal: the operator's verbs over HTTP: a catalog of one becomes one of three by numbers from the log, leadership moves,
// a node is snapshotted, one leaves; a node's identity file is all it needs to start.
// Method: the client's calls at whichever node, the identity written and read back.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_operated() {
    let temp = TempDir::new().expect("a folder");
    let mut nodes = group(temp.path(), 1).await;
    let first = nodes[&NodeId(1)].address.api.clone();
    let client = client([first]);
    client
        .create_namespace(&"a".parse().expect("a name"))
        .await
        .expect("made");
    for _ in 0..2 {
        let given = client.allocate_node().await.expect("a number");
        let (raft, api, address) = listeners().await;
        let members = given.members.into_iter().map(|member| {
            let address = PeerAddress {
                raft: member.raft,
                api: member.api,
            };
            (member.id, address)
        });
        let identity = GroupIdentity {
            node: given.node,
            address: address.clone(),
            members: members.collect(),
        };
        let dir = temp.path().join(given.node.to_string());
        identity.write_new(&dir).expect("written");
        assert!(identity.write_new(&dir).is_err(), "not twice");
        let identity = GroupIdentity::read(&dir).expect("read").expect("there");
        let node = Node::start(identity.options(&dir), &temp.path().join("lake"), raft, api).await;
        announce(&node.consensus, &identity, &client, &SystemClock::shared())
            .await
            .expect("added");
        let status = client.cluster_status().await.expect("a status");
        assert!(
            status
                .members
                .iter()
                .any(|member| member.id == given.node && !member.voter)
        );
        nodes.insert(given.node, node);
    }
    let joined = [NodeId(2), NodeId(3)];
    let status = client.promote_nodes(&joined).await.expect("promoted");
    assert_eq!(status.members.iter().filter(|member| member.voter).count(), 3);
    assert_eq!(
        client.transfer_leader(Some(NodeId(3))).await.expect("handed over"),
        NodeId(3)
    );
    client
        .create_namespace(&"b".parse().expect("a name"))
        .await
        .expect("made");
    // What only the leader keeps is asked of the leader.
    let asked = format!("{}/internal/v1/metrics-reports", nodes[&NodeId(2)].address.api);
    let asked = plain()
        .get(asked)
        .header("x-tidewater-redirect", "1")
        .bearer_auth(token(&user_key()));
    assert_eq!(asked.send().await.expect("an answer").status(), 307);
    let taken = client.take_snapshot().await.expect("taken");
    assert!(taken.index > 0);
    // The leader itself is removed: it hands over, and the call is led to the next one.
    let status = client.remove_nodes(&[NodeId(3)]).await.expect("removed");
    assert_eq!(status.members.len(), 2);
    let refused = client
        .add_node(
            NodeId(3),
            &NodeAddress {
                raft: "x:1".into(),
                api: String::new(),
            },
        )
        .await;
    assert!(refused.is_err_and(|error| error.is_refusal("ClusterConflictException")));
    assert_eq!(client.list_namespaces().await.expect("a list").len(), 2);
    let mut stopped = nodes[&NodeId(3)].consensus.stopped();
    let told = tokio::time::timeout(DEADLINE, stopped.wait_for(Option::is_some)).await;
    assert!(told.expect("it is told").is_ok());
}

// Goal: the drill of docs/operations/backup.md: a backup over HTTP while the catalog is written to becomes a catalog whose
// tables are read from the same files. Method: tables and writers, back up, end everything, restore, load each table.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_its_drill() {
    let temp = TempDir::new().expect("a folder");
    let nodes = group(temp.path(), 3).await;
    let old = client(nodes.values().map(|node| node.address.api.clone()));
    old.create_namespace(&"a".parse().expect("a name")).await.expect("made");
    let mut tables = Vec::new();
    for number in 0..5 {
        let name = format!("a.t{number}").parse().expect("a name");
        tables.push(old.create_table(NewTable::new(name, schema())).await.expect("made"));
    }
    let backup = temp.path().join("backup");
    let mut writer = BackupWriter::create(&backup).expect("an empty folder");
    let download = async {
        let mut download = old.backup().await.expect("an answer");
        while let Some(bytes) = download.next().await.expect("more") {
            writer.write(&bytes).expect("written");
        }
        writer.finish().expect("whole")
    };
    let writes = async {
        for number in 0..20 {
            let name = format!("later{number}").parse().expect("a name");
            old.create_namespace(&name).await.expect("made");
        }
    };
    let (manifest, ()) = tokio::join!(download, writes);
    assert_eq!(manifest.tables.len(), 5);
    for (_, node) in nodes {
        node.end().await;
    }

    let (raft, api, address) = listeners().await;
    let founder = Founder {
        dir: temp.path().join("new"),
        address,
        now_ms: SystemClock::shared().now_ms(),
    };
    let rng = SystemRng::shared();
    let (manifest, founded) = restore_into(&backup, &founder, rng.as_ref()).expect("restored");
    assert!(missing_metadata(&manifest, &FileStore::system()).await.is_empty());
    let identity = GroupIdentity::read(&founder.dir).expect("read").expect("there");
    assert_eq!(identity.node, founded.node);
    let node = Node::start(identity.options(&founder.dir), &temp.path().join("lake"), raft, api).await;
    let new = client([founder.address.api.clone()]);
    for table in tables {
        let loaded = new.load_table(&table.name).await.expect("an answer").expect("there");
        assert_eq!(loaded.metadata_location, table.metadata_location);
        assert_eq!(loaded.metadata, table.metadata);
    }
    let made = new
        .create_table(NewTable::new("a.new".parse().expect("a name"), schema()))
        .await;
    assert!(made.is_ok());
    let socket: SocketAddr = founder.address.raft.parse().expect("an address");
    assert!(socket.ip().is_loopback());
    node.end().await;
}

fn schema() -> Schema {
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([Arc::new(field)]).build();
    schema.expect("a good schema")
}
