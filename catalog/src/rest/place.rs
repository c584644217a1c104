//! Where tables and views may lie that somebody makes or moves whom grants bind.
//!
//! Whoever has a location has the files that others left there and name, and the folders of what others make there later. So it is the
//! catalog that chooses, or who may do everything. Some clients choose for themselves: they get a folder of their own in that of the schema,
//! by a name that is as good as random.

use iceberg::{TableRequirement, TableUpdate, ViewUpdate};
use uuid::Uuid;

use super::authorise::may_choose_place;
use crate::command::Ident;
use crate::commit::{Choice, TableWork, ViewWork};
use crate::error::Result;
use crate::service::Service;
use crate::state::{State, TableRow};

/// By whose choice a location counts that the caller of the request at work says.
pub(super) fn choice() -> Choice {
    match may_choose_place() {
        Ok(()) => Choice::Any,
        Err(_) => Choice::New,
    }
}

/// The same for what they make, at a location or where the catalog places it.
pub(super) fn choice_of(location: Option<&str>) -> Choice {
    match location {
        Some(_) => choice(),
        None => Choice::New,
    }
}

/// Refuses a location that the caller of the request at work may not choose for what they make.
pub(super) async fn check_new(service: &Service, name: &Ident, location: Option<&str>) -> Result<()> {
    match location {
        Some(location) if may_choose_place().is_err() => {
            check(service, &service.fresh_state().await?, name, None, location)
        }
        _ => Ok(()),
    }
}

/// The same of commits to tables, those among them that make one.
pub(super) async fn check_tables(service: &Service, works: &[TableWork]) -> Result<()> {
    let moves = |work: &TableWork| locations(work).next().is_some();
    if may_choose_place().is_ok() || !works.iter().any(moves) {
        return Ok(());
    }
    let state = service.fresh_state().await?;
    for work in works {
        let mut requirements = work.requirements.iter();
        let makes = requirements.any(|requirement| matches!(requirement, TableRequirement::NotExist));
        let uuid = work.updates.iter().find_map(|update| match update {
            TableUpdate::AssignUuid { uuid } => Some(*uuid),
            _ => None,
        });
        for location in locations(work) {
            match state.table(&work.table) {
                Some(row) if !makes => stays(service, row, location)?,
                _ => check(service, &state, &work.table, uuid, location)?,
            }
        }
    }
    Ok(())
}

fn locations(work: &TableWork) -> impl Iterator<Item = &str> {
    work.updates.iter().filter_map(|update| match update {
        TableUpdate::SetLocation { location } => Some(location.as_str()),
        _ => None,
    })
}

/// The same of a commit to a view. Clients that choose places for themselves choose another one for each text.
pub(super) async fn check_view(service: &Service, work: &ViewWork) -> Result<()> {
    let locations = work.updates.iter().filter_map(|update| match update {
        ViewUpdate::SetLocation { location } => Some(location.as_str()),
        _ => None,
    });
    let locations: Vec<&str> = locations.collect();
    if locations.is_empty() || may_choose_place().is_ok() {
        return Ok(());
    }
    let state = service.fresh_state().await?;
    for location in locations {
        let there = state.view(&work.view).map(|row| stays(service, row, location));
        if there.is_none_or(|stays| stays.is_err()) {
            check(service, &state, &work.view, None, location)?;
        }
    }
    Ok(())
}

/// Refuses all locations but the one that it has.
fn stays(service: &Service, row: &TableRow, location: &str) -> Result<()> {
    match service.warehouse.checked(location)? == row.pointer.location {
        true => Ok(()),
        false => may_choose_place(),
    }
}

/// Refuses all locations but the one that the catalog chooses for this uuid, and a new folder in the schema's, if no schema's is or lies in
/// them. Whether a table or view has them, or a dropped one, is looked at for everybody.
fn check(service: &Service, state: &State, name: &Ident, uuid: Option<Uuid>, location: &str) -> Result<()> {
    let warehouse = &service.warehouse;
    let place = warehouse.checked(location)?;
    let is_chosen_here = uuid.is_some_and(|uuid| warehouse.place(name, uuid) == place);
    if !is_chosen_here && !warehouse.is_new_folder_of(name, &place) {
        return may_choose_place();
    }
    let below = format!("{place}/");
    let mut schemas = state.namespaces().map(|row| warehouse.folder_of(&row.levels));
    match schemas.any(|folder| folder == place || folder.starts_with(&below)) {
        true => may_choose_place(),
        false => Ok(()),
    }
}
