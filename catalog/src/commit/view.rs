//! Views: their first metadata and what follows, built and written as tables' metadata is.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::ViewUpdate;
use iceberg::spec::{Schema, ViewFormatVersion, ViewMetadata, ViewMetadataBuilder, ViewVersion};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::build::AHEAD_MS_MAX;
use super::{Choice, RETRIES_MAX, check_counts, columns, file_number};
use crate::command::{Expect, Ident, Op, Outcome, Pointer, Refusal, Relation, TableChange};
use crate::error::{CatalogError, Result};
use crate::metadata::{CachedMetadata, METADATA_BYTES_MAX};
use crate::service::{Service, Ticket, find_view, require_free};
use crate::warehouse::Warehouse;
use tidewater_table::disguise;

/// Highest id of a version or schema after which there can be others: the crate counts on from it unchecked.
const ID_MAX: i32 = 1_000_000_000;

/// A view to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewView {
    pub(crate) view: Ident,
    pub(crate) uuid: Uuid,
    pub(crate) schema: Schema,
    pub(crate) version: ViewVersion,
    pub(crate) properties: HashMap<String, String>,
    pub(crate) location: Option<String>,
}

/// What a commit to a view demands of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum ViewRequirement {
    /// It is still this view.
    #[serde(rename = "assert-view-uuid")]
    UuidMatch {
        /// The uuid its metadata must have.
        uuid: Uuid,
    },
}

/// What a commit to a view demands and changes.
#[derive(Debug, Clone)]
pub(crate) struct ViewWork {
    pub(crate) view: Ident,
    pub(crate) requirements: Vec<ViewRequirement>,
    pub(crate) updates: Vec<ViewUpdate>,
    /// By whose choice the view lies where it is moved to.
    pub(crate) choice: Choice,
}

impl NewView {
    fn metadata(self, warehouse: &Warehouse, now_ms: i64) -> Result<ViewMetadata> {
        let location = match &self.location {
            Some(location) => warehouse.accepted(location)?,
            None => warehouse.place(&self.view, self.uuid),
        };
        warehouse.check_properties(&location, &self.properties)?;
        check_version(&self.view, &self.version, now_ms)?;
        columns::check_of_view(&self.schema)?;
        let format = ViewFormatVersion::V1;
        let builder = ViewMetadataBuilder::new(location, self.schema, self.version, format, self.properties);
        let built = builder.map_err(invalid)?.assign_uuid(self.uuid).build();
        Ok(built.map_err(invalid)?.metadata)
    }
}

impl Service {
    /// Makes a view.
    pub(crate) async fn create_view(&self, ticket: &Ticket, new: NewView, choice: Choice) -> Result<Outcome> {
        let view = new.view.clone();
        let metadata = new.metadata(&self.warehouse, self.clock.now_ms())?;
        let _turn = self.queue.turn([&view]).await?;
        {
            let state = self.consensus.state().state;
            // As for tables: who lost a race for a name and its place hears of the name.
            require_free(&state, Relation::View, &view)?;
            self.check_place(&state, &view, metadata.location(), choice)?;
        }
        let id = self.rng.uuid_v7(self.clock.now_ms());
        match self
            .publish_view(ticket, &view, Expect::Absent { id }, &metadata, 0)
            .await?
        {
            Outcome::Refused(refusal) => Err(refusal.into()),
            outcome => Ok(outcome),
        }
    }

    /// Commits to a view.
    pub(crate) async fn commit_view(&self, ticket: &Ticket, work: ViewWork) -> Result<Outcome> {
        check_counts(work.updates.len(), work.requirements.len())?;
        let _turn = self.queue.turn([&work.view]).await?;
        let mut attempt = 0;
        loop {
            match self.try_commit_view(ticket, &work).await? {
                Outcome::Refused(Refusal::Stale(_) | Refusal::NoSuchView(_)) if attempt < RETRIES_MAX => attempt += 1,
                Outcome::Refused(Refusal::Stale(view)) => {
                    let reason = "others committed in between".into();
                    return Err(CatalogError::ViewCommitFailed { view, reason });
                }
                Outcome::Refused(refusal) => return Err(refusal.into()),
                outcome => return Ok(outcome),
            }
        }
    }

    async fn try_commit_view(&self, ticket: &Ticket, work: &ViewWork) -> Result<Outcome> {
        let state = self.fresh_state().await?;
        let row = find_view(&state, &work.view)?;
        let current = self.cache.load(&row.pointer.metadata_location).await?;
        let metadata = current.parsed_view_to_change(&work.view)?;
        for ViewRequirement::UuidMatch { uuid } in &work.requirements {
            if *uuid != metadata.uuid() {
                return Err(CatalogError::ViewCommitFailed {
                    view: work.view.clone(),
                    reason: format!(
                        "Requirement failed: view UUID does not match: expected {uuid} != {}",
                        metadata.uuid()
                    ),
                });
            }
        }
        let expect = Expect::Version {
            id: row.id,
            version: row.version,
        };
        if work.updates.is_empty() {
            let (table, pointer) = (work.view.clone(), row.pointer.clone());
            let change = TableChange { table, expect, pointer };
            let written = self.write_then_propose(ticket, Vec::new(), &[], Op::CommitView { change });
            return Ok(written.await?.outcome);
        }
        let next = apply(&self.warehouse, metadata, work, self.clock.now_ms())?;
        let place = self.warehouse.checked(next.location())?;
        if place != row.pointer.location {
            let files = self.files_of(&state, Some(row.id), &row.pointer.location);
            files.check_location(&work.view, &place, work.choice)?;
        }
        let number = file_number(current.location()).map_or(row.version, |number| number + 1);
        self.publish_view(ticket, &work.view, expect, &next, number).await
    }

    /// Writes the view's file, then proposes the pointer to it.
    async fn publish_view(
        &self,
        ticket: &Ticket,
        view: &Ident,
        expect: Expect,
        metadata: &ViewMetadata,
        number: u64,
    ) -> Result<Outcome> {
        let raw = encode(metadata)?;
        let file = self.metadata_file(metadata.location(), metadata.properties(), number, &raw);
        let pointer = Pointer {
            uuid: metadata.uuid(),
            location: self.warehouse.checked(metadata.location())?,
            metadata_location: file.clone(),
            snapshot_id: None,
        };
        let table = view.clone();
        let change = TableChange { table, expect, pointer };
        let file = Arc::new(CachedMetadata::read(&file, raw));
        let written = self.write_then_propose(ticket, vec![file], &[], Op::CommitView { change });
        Ok(written.await?.outcome)
    }
}

/// The metadata after the updates.
fn apply(warehouse: &Warehouse, current: ViewMetadata, work: &ViewWork, now_ms: i64) -> Result<ViewMetadata> {
    let view = &work.view;
    if !can_count_on(&current) {
        return Err(CatalogError::Unsupported {
            what: format!("changing view {view}, whose metadata has a negative time or an id above {ID_MAX},"),
        });
    }
    let uuid = current.uuid();
    let mut builder = current.into_builder();
    let mut sets = false;
    for update in work.updates.clone() {
        let applied = match update {
            ViewUpdate::AssignUuid { uuid: given } if given != uuid => {
                let reason = format!("commit to {view} is not valid: the uuid of a view never changes");
                return Err(CatalogError::bad_request(reason));
            }
            ViewUpdate::AssignUuid { uuid } => Ok(builder.assign_uuid(uuid)),
            ViewUpdate::UpgradeFormatVersion { format_version } => builder.upgrade_format_version(format_version),
            ViewUpdate::AddSchema { schema, .. } => {
                columns::check_of_view(&schema)?;
                Ok(builder.add_schema(schema))
            }
            ViewUpdate::SetLocation { location } => {
                sets = true;
                Ok(builder.set_location(warehouse.accepted(&location)?))
            }
            ViewUpdate::SetProperties { updates } => {
                sets = true;
                builder.set_properties(updates)
            }
            ViewUpdate::RemoveProperties { removals } => Ok(builder.remove_properties(&removals)),
            ViewUpdate::AddViewVersion { view_version } => {
                check_version(view, &view_version, now_ms)?;
                builder.add_version(view_version)
            }
            ViewUpdate::SetCurrentViewVersion { view_version_id } => builder.set_current_version_id(view_version_id),
        };
        builder = applied.map_err(invalid)?;
    }
    let metadata = builder.build().map_err(invalid)?.metadata;
    if sets {
        warehouse.check_properties(metadata.location(), metadata.properties())?;
    }
    Ok(metadata)
}

/// What the crate's builder found.
fn invalid(error: iceberg::Error) -> CatalogError {
    CatalogError::InvalidView {
        reason: error.message().to_owned(),
    }
}

/// Whether the crate can compute with the numbers of a file that may come from elsewhere.
fn can_count_on(metadata: &ViewMetadata) -> bool {
    metadata.versions().all(|version| version.version_id() <= ID_MAX)
        && metadata.schemas_iter().all(|schema| schema.schema_id() <= ID_MAX)
        && metadata.history().iter().all(|entry| entry.timestamp_ms() >= 0)
}

/// Refuses a version from the future, which would stand in the way of those after it, and times the crate cannot compute with.
fn check_version(view: &Ident, version: &ViewVersion, now_ms: i64) -> Result<()> {
    let at_ms = version.timestamp_ms();
    if at_ms < 0 || at_ms.saturating_sub(now_ms) > AHEAD_MS_MAX {
        return Err(CatalogError::InvalidView {
            reason: format!(
                "Invalid view version: the time of {view} is negative or more than {AHEAD_MS_MAX} ms ahead of the catalog's clock"
            ),
        });
    }
    if version.representations().is_empty() {
        return Err(CatalogError::InvalidView {
            reason: format!("Invalid view version: {view} has no representation"),
        });
    }
    Ok(())
}

/// The metadata as a file, its versions and schemas in the order of their ids: the crate keeps them in no order.
fn encode(metadata: &ViewMetadata) -> Result<Bytes> {
    let internal = |error: serde_json::Error| CatalogError::internal(error.to_string());
    let mut value = serde_json::to_value(metadata).map_err(internal)?;
    disguise::reveal(&mut value);
    for (list, id) in [("versions", "version-id"), ("schemas", "schema-id")] {
        if let Some(Value::Array(elements)) = value.get_mut(list) {
            elements.sort_by_key(|element| element.get(id).and_then(Value::as_i64));
        }
    }
    let raw = serde_json::to_vec(&value).map_err(internal)?;
    if raw.len() > METADATA_BYTES_MAX {
        return Err(CatalogError::TooLarge {
            what: "the view's metadata",
            limit: METADATA_BYTES_MAX,
        });
    }
    Ok(raw.into())
}
