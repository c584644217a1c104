//! What the names of a statement stood for when it was planned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewater_core::TableName;
use tidewater_table::LoadedTable;

use crate::lake::{LakeCatalog, Moment, Overlay};
use crate::session::Resolved;
use crate::session::views::Said;

/// What names stood for.
pub(in crate::session) struct Standing {
    /// Tables, also those behind views; `None`: there was none of that name.
    pub(super) tables: Moment,
    /// Views of the catalog, and what they said.
    pub(super) views: BTreeMap<TableName, Said>,
    /// What the session had beside the catalog; `None` where the statement names nothing of it.
    overlay: Option<Arc<Overlay>>,
}

impl Standing {
    /// Of these names, by what was found for them; none if that is not known of all. `missing` are names that stand for no table
    /// where they may.
    pub(in crate::session) fn of(
        names: &BTreeSet<TableName>,
        missing: &BTreeSet<TableName>,
        resolved: &mut Resolved,
        lake: &LakeCatalog,
    ) -> Option<Self> {
        let mut tables: Moment = missing.iter().map(|name| (name.clone(), None)).collect();
        let mut brought = false;
        for name in names {
            if lake.overlays(name) {
                brought = true;
                continue;
            }
            let found = [&resolved.tables, lake.pinned()]
                .into_iter()
                .find_map(|moment| moment.get(name));
            match found {
                Some(table) => tables.insert(name.clone(), table.clone()),
                None if resolved.views.contains_key(name) => tables.insert(name.clone(), None),
                None => return None,
            };
        }
        let views = brought || !resolved.views.is_empty();
        if views {
            // What is behind them is not told by their names.
            for moment in [&resolved.tables, lake.pinned()] {
                tables.extend(moment.iter().map(|(name, table)| (name.clone(), table.clone())));
            }
        }
        Some(Self {
            tables,
            views: std::mem::take(&mut resolved.said),
            overlay: views.then(|| Arc::clone(lake.overlay())),
        })
    }

    /// Whether a session brings what that one did, as far as it matters.
    pub(super) fn is_of(&self, lake: &LakeCatalog) -> bool {
        let Some(then) = &self.overlay else {
            return !self.tables.keys().any(|name| lake.overlays(name));
        };
        let now = lake.overlay();
        let is_same = |(name, table)| now.get(name).is_some_and(|now| Arc::ptr_eq(now, table));
        then.len() == now.len() && then.iter().all(is_same)
    }

    /// Whether all tables stand as they did, by the first of these that tells.
    pub(super) fn tables_stand(&self, now: [&Moment; 2]) -> bool {
        self.tables.iter().all(|(name, then)| {
            let now = now.into_iter().find_map(|moment| moment.get(name));
            now.is_some_and(|now| same(then.as_ref(), now.as_ref()))
        })
    }
}

/// Whether a name stands for the same state of the same table.
pub(super) fn same(then: Option<&LoadedTable>, now: Option<&LoadedTable>) -> bool {
    match (then, now) {
        (None, None) => true,
        (Some(then), Some(now)) => {
            // Metadata files are never written twice.
            then.name == now.name
                && then.metadata_location == now.metadata_location
                && then.metadata.uuid() == now.metadata.uuid()
        }
        _ => false,
    }
}
