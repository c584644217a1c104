//! What idempotency keys keep.

use uuid::Uuid;

use super::golden;
use crate::command::{Ident, IngestRefusal, LeaseGrant, Outcome, PartitionId, Refusal, TableRef};

// Goal: every answer that an idempotency key can keep is understood. Method: its bytes from a file against what they stood for, one of each kind; each is kept and
// given again by a state.
#[test]
fn answers_of_idempotency_keys() {
    let (id, table) = (
        Uuid::from_u128(7),
        Ident {
            namespace: vec!["bronze".into()],
            name: "users".into(),
        },
    );
    let reference = TableRef {
        id,
        version: 3,
        metadata_location: "file:///lake/bronze/users/metadata/3.json".into(),
    };
    let partition = PartitionId {
        topic: "cdc.users".into(),
        partition: 3,
    };
    let refusals = [
        Refusal::NamespaceExists,
        Refusal::NoSuchNamespace {
            namespace: vec!["a".into(), "b".into()],
        },
        Refusal::NamespaceNotEmpty,
        Refusal::TableExists(table.clone()),
        Refusal::NoSuchTable(table.clone()),
        Refusal::Stale(table.clone()),
        Refusal::LocationTaken {
            location: "file:///lake/bronze/users".into(),
            by: table,
        },
        Refusal::Repeated,
        Refusal::Ingest(IngestRefusal::Fenced {
            partition: partition.clone(),
            epoch: 4,
        }),
        Refusal::Ingest(IngestRefusal::Gap {
            partition: partition.clone(),
            expected: -1,
        }),
        Refusal::JobVersion { version: 2 },
        Refusal::Full { limit: "tables".into() },
        Refusal::KeyReused,
        Refusal::Remembered {
            status: 409,
            kind: "CommitFailedException".into(),
            message: "no".into(),
        },
    ];
    let outcomes: Vec<Outcome> = [
        Outcome::Done,
        Outcome::NamespaceUpdated {
            updated: vec!["a".into()],
            removed: vec!["b".into()],
            missing: vec!["c".into()],
        },
        Outcome::Committed(vec![reference.clone()]),
        Outcome::Dropped(reference),
        Outcome::AlreadyIngested,
        Outcome::Leases(vec![LeaseGrant {
            partition,
            granted: true,
            epoch: 2,
            expires_at_ms: 9_000,
            owner: "ingest-1".into(),
            next_offset: Some(10),
        }]),
        Outcome::Job { version: 5 },
        Outcome::Node { id: 4 },
    ]
    .into_iter()
    .chain(refusals.map(Outcome::Refused))
    .collect();
    assert_eq!(golden("outcomes-1.hex", &outcomes), outcomes);
}
