//! What a Debezium connector makes of a database's log.

mod encode;
mod format;

use std::sync::Arc;

pub(crate) use self::encode::is_unavailable;
pub(crate) use self::format::ServiceFormat;
use self::format::TableFormat;
use crate::options::{DeliveryOptions, Shape};
use crate::schema;
use crate::world::{Change, Op, Row, Transaction};

/// What Debezium puts in place of a value PostgreSQL did not write to its log because it did not change.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// Where in a snapshot a row was read; `false` while streaming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotMark {
    First,
    FirstOfTable,
    Middle,
    LastOfTable,
    Last,
    Streaming,
}

/// The transaction a row event belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) transaction: i64,
    pub(crate) committed_us: i64,
    pub(crate) last_commit_lsn: i64,
    pub(crate) mark: SnapshotMark,
}

/// One record before it has a place in a partition.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A row event.
    Row {
        change: Change,
        origin: Origin,
        other_key: Option<OtherKey>,
    },
    /// The null record after a delete.
    Tombstone {
        change: Change,
        origin: Origin,
        other_key: Option<OtherKey>,
    },
    /// A connector lives.
    Heartbeat { service: usize, at_us: i64 },
}

/// When a key changed: the row on the other side of the change.
#[derive(Debug, Clone)]
pub(crate) enum OtherKey {
    /// This event deletes; the row lives on under this key.
    New(Row),
    /// This event creates; the row was known under this key.
    Old(Row),
}

impl Message {
    /// The topic's number: tables first, then the services' heartbeats.
    pub(crate) fn topic(&self) -> usize {
        match self {
            Self::Row { change, .. } | Self::Tombstone { change, .. } => change.table.index,
            Self::Heartbeat { service, .. } => schema::tables().len() + service,
        }
    }
}

/// The connectors of all services.
#[derive(Debug)]
pub(crate) struct Capture {
    shape: Shape,
    tables: Vec<TableFormat>,
    services: Vec<ServiceFormat>,
}

impl Capture {
    pub(crate) fn new(options: &DeliveryOptions, run: &dyn tidewater_core::Rng, start_ms: i64) -> Self {
        let services: Vec<_> = schema::services()
            .iter()
            .map(|service| ServiceFormat::new(service, options, run.uuid_v7(start_ms)))
            .collect();
        let tables = schema::tables().iter().filter_map(|(id, table)| {
            services
                .get(id.service)
                .map(|service| TableFormat::new(table, service, options.shape))
        });
        Self {
            shape: options.shape,
            tables: tables.collect(),
            services,
        }
    }

    /// The name of a topic by its number.
    pub(crate) fn topic_name(&self, topic: usize) -> Arc<str> {
        let heartbeats = || self.services.get(topic.saturating_sub(self.tables.len()));
        match self.tables.get(topic) {
            Some(table) => Arc::clone(&table.topic),
            None => heartbeats().map_or_else(|| Arc::from(""), |service| Arc::clone(&service.heartbeat_topic)),
        }
    }

    /// The records of one transaction, in the connector's order.
    pub(crate) fn messages(&self, transaction: Transaction, first: bool, last: bool, into: &mut Vec<Message>) {
        let Transaction {
            id,
            committed_us,
            last_commit_lsn,
            changes,
            ..
        } = transaction;
        let count = changes.len();
        let tables: Vec<_> = changes.iter().map(|change| change.table).collect();
        for (index, change) in changes.into_iter().enumerate() {
            let begins = index == 0 || tables.get(index - 1) != Some(&change.table);
            let ends = tables.get(index + 1) != Some(&change.table);
            let mark = match change.op {
                Op::Read if last && index + 1 == count => SnapshotMark::Last,
                Op::Read if first && index == 0 => SnapshotMark::First,
                Op::Read if ends => SnapshotMark::LastOfTable,
                Op::Read if begins => SnapshotMark::FirstOfTable,
                Op::Read => SnapshotMark::Middle,
                _ => SnapshotMark::Streaming,
            };
            self.row_messages(
                change,
                Origin {
                    transaction: id,
                    committed_us,
                    last_commit_lsn,
                    mark,
                },
                into,
            );
        }
    }

    fn row_messages(&self, change: Change, origin: Origin, into: &mut Vec<Message>) {
        let with_tombstones = self.shape != Shape::Unwrapped;
        match (change.op, &change.before, &change.after) {
            (Op::Update, Some(before), Some(after)) if self.key_changed(&change, before, after) => {
                let gone = Change {
                    op: Op::Delete,
                    after: None,
                    ..change.clone()
                };
                let born = Change {
                    op: Op::Create,
                    before: None,
                    ..change.clone()
                };
                let (new, old) = (
                    Some(OtherKey::New(Arc::clone(after))),
                    Some(OtherKey::Old(Arc::clone(before))),
                );
                into.push(Message::Row {
                    change: gone.clone(),
                    origin,
                    other_key: new.clone(),
                });
                if with_tombstones {
                    into.push(Message::Tombstone {
                        change: gone,
                        origin,
                        other_key: new,
                    });
                }
                into.push(Message::Row {
                    change: born,
                    origin,
                    other_key: old,
                });
            }
            (Op::Delete, ..) => {
                into.push(Message::Row {
                    change: change.clone(),
                    origin,
                    other_key: None,
                });
                if with_tombstones {
                    into.push(Message::Tombstone {
                        change,
                        origin,
                        other_key: None,
                    });
                }
            }
            _ => into.push(Message::Row {
                change,
                origin,
                other_key: None,
            }),
        }
    }

    fn key_changed(&self, change: &Change, before: &Row, after: &Row) -> bool {
        let keys = self
            .tables
            .get(change.table.index)
            .map(|table| table.key.as_slice())
            .unwrap_or_default();
        keys.iter().any(|key| before.get(*key) != after.get(*key))
    }
}

#[cfg(test)]
mod tests;
