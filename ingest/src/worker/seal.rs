//! Closing a batch, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::read::halt_of;
use super::{CATCH_UP_INTERVALS, OFFSETS_INTERVAL, Worker};
use crate::batch::{Buffers, Pending};
use crate::commit::{Ended, Sealed, TableRows};
use crate::error::{IngestError, Result};
use crate::layout::dead_letter_batch;
use crate::status::Brought;
use tidewater_catalog_client::dto::OffsetRange;

impl Worker {
    /// When what is pending has waited long enough.
    pub(super) fn due_at(&self) -> Option<Duration> {
        let shortest = self.parts.options.commit_interval();
        let interval = if !self.pending.has_rows(&self.buffers) {
            OFFSETS_INTERVAL.max(shortest)
        } else if self.pending.more_waits {
            shortest * CATCH_UP_INTERVALS
        } else {
            shortest
        };
        self.pending.since.map(|since| since + interval)
    }

    pub(super) async fn seal_if_due(&mut self) -> Result<()> {
        let due = self.due_at().is_some_and(|due| self.now() >= due);
        if due && self.in_flight.is_none() {
            self.seal().await
        } else {
            Ok(())
        }
    }

    /// Closes the batch and sends it on its way.
    pub(super) async fn seal(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let ranges: Vec<_> = pending
            .ranges
            .iter()
            .filter(|(_, (from, to))| from < to)
            .filter_map(|(partition, (from, to))| {
                let held = self.held.get(partition)?;
                Some(OffsetRange {
                    topic: partition.topic.to_string(),
                    partition: partition.number,
                    epoch: held.epoch,
                    from: *from,
                    to: *to,
                })
            })
            .collect();
        if ranges.is_empty() {
            return Ok(());
        }
        let tables = match self.rows_of(&pending).await {
            Ok(tables) => tables,
            Err((topic, error)) => return Err(self.refused(topic.as_ref(), error)),
        };
        let sealed = Sealed {
            id: self.parts.rng.uuid_v7(self.parts.clock.now_ms()),
            owner: self.parts.owner.clone(),
            brought: Brought {
                tables: tables
                    .iter()
                    .map(|rows| (rows.name.to_string(), rows.batch.num_rows()))
                    .collect(),
                records: pending.records,
                dead_letters: pending.letters.len(),
                max_kafka_ms: pending.max_kafka_ms,
                took: Duration::ZERO,
            },
            ranges,
            tables,
        };
        let (sender, receiver) = oneshot::channel();
        let committer = Arc::clone(&self.parts.committer);
        let gone = self.gone.clone();
        self.parts.tasks.spawn("commit", async move {
            // The log knows what became of a batch that nobody waits for any more.
            if let Some(ended) = gone.run_until_cancelled(committer.run(sealed)).await {
                let _ = sender.send(ended);
            }
        });
        self.in_flight = Some(receiver);
        Ok(())
    }

    async fn rows_of(&mut self, pending: &Pending) -> std::result::Result<Vec<TableRows>, OfTopic> {
        let mut buffers = std::mem::take(&mut self.buffers);
        let mapping = self.parts.mapping.clone();
        let work = tokio::task::spawn_blocking(move || {
            let mut tables = Vec::new();
            let outcome = take_rows(&mut buffers, &mapping, &mut tables);
            (buffers, outcome.map(|()| tables))
        });
        let (buffers, tables) = work.await.map_err(|_| {
            let what = "building batches";
            (None, IngestError::Task { what })
        })?;
        self.buffers = buffers;
        let mut tables = tables?;
        if !pending.letters.is_empty() {
            let batch = dead_letter_batch(&pending.letters).map_err(|source| {
                let topic = "dead letters".into();
                (None, IngestError::Batch { topic, source })
            })?;
            tables.push(TableRows {
                name: self.parts.mapping.dead_letters(),
                topic: None,
                batch,
                last_lsn: BTreeMap::new(),
            });
        }
        Ok(tables)
    }

    pub(super) fn settle(&mut self, ended: Ended) -> Result<()> {
        match ended {
            Ended::Applied(brought) => {
                let metrics = &self.parts.committer.metrics;
                let rows: usize = brought.tables.iter().map(|(_, rows)| rows).sum();
                metrics.commits.add(1);
                metrics.rows.add(rows.saturating_sub(brought.dead_letters));
                metrics.dead_letters.add(brought.dead_letters);
                self.parts.board.committed(self.parts.clock.now_ms(), &brought);
                // What is read and not pending any more is committed.
                for (partition, held) in &mut self.held {
                    held.committed = self
                        .pending
                        .ranges
                        .get(partition)
                        .map_or(held.position, |(from, _)| *from);
                }
                self.publish();
                Ok(())
            }
            Ended::Lost(reason) => Err(IngestError::Fenced { reason }),
            Ended::Refused { topic, error } => Err(self.refused(topic.as_ref(), error)),
            Ended::Failed(error) => Err(error),
        }
    }

    /// Halts the topic. Others, whose rows were in the same batch, are read again from the last commit.
    fn refused(&mut self, topic: Option<&Arc<str>>, error: IngestError) -> IngestError {
        let Some(topic) = topic.filter(|_| error.is_of_table()) else {
            return error;
        };
        let halt = halt_of(&error);
        let of_topic = self.held.keys().filter(|partition| partition.topic == *topic);
        let partitions: Vec<_> = of_topic.cloned().collect();
        partitions
            .iter()
            .for_each(|partition| self.halt(partition, halt.clone()));
        error
    }
}

/// A failure, and the topic whose rows met it.
type OfTopic = (Option<Arc<str>>, IngestError);

fn take_rows(
    buffers: &mut Buffers,
    mapping: &crate::mapping::Mapping,
    tables: &mut Vec<TableRows>,
) -> std::result::Result<(), OfTopic> {
    for (topic, buffer) in buffers.iter_mut().filter(|(_, buffer)| buffer.rows() > 0) {
        let of_topic = |error| (Some(Arc::clone(topic)), error);
        let batch = buffer.take().map_err(|source| {
            let topic = topic.to_string();
            of_topic(IngestError::Batch { topic, source })
        })?;
        if let Some(batch) = batch {
            tables.push(TableRows {
                name: mapping.table(topic).map_err(of_topic)?,
                topic: Some(Arc::clone(topic)),
                batch,
                last_lsn: buffer.last_lsn().clone(),
            });
        }
    }
    // The same order in every run, for logs and tests.
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}
