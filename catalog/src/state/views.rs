//! Views: pointers, names and locations, as tables have them. A name or a place is a table's or a view's, never both.

use uuid::Uuid;

use super::State;
use super::changes::ChangeKind;
use super::tables::TableRow;
use crate::command::{Ident, Outcome, Refusal, Relation, TableChange};

/// How many views there may be: a guard against a runaway client; at this many the state takes about 100 MB.
const VIEWS_MAX: usize = 100_000;

impl State {
    /// The view with this name.
    pub fn view(&self, name: &Ident) -> Option<&TableRow> {
        self.views.row(name).map(|row| &**row)
    }

    /// The view with this id.
    pub fn view_by_id(&self, id: Uuid) -> Option<&TableRow> {
        self.views.by_id(id)
    }

    /// The views of a namespace after `after` (from the first one when it is none), in order of name.
    pub fn views_in<'a>(
        &'a self,
        namespace: &[String],
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a TableRow> + 'a {
        self.views.rows_in(namespace, after)
    }

    /// How many views there are.
    pub fn views_count(&self) -> usize {
        self.views.count()
    }

    pub(super) fn commit_view(&mut self, change: TableChange) -> Result<Outcome, Refusal> {
        self.require_namespace(&change.table.namespace)?;
        if self.tables.row(&change.table).is_some() {
            return Err(Refusal::NameTaken {
                name: change.table,
                by: Relation::Table,
            });
        }
        let row = self.views.changed(change, self.now_ms, Relation::View)?;
        let before = self.view(&row.name).map(|row| row.version);
        if before == Some(row.version) {
            return Ok(Outcome::Committed(vec![row.to_ref()]));
        }
        if before.is_none() && self.views.count() >= VIEWS_MAX {
            return Err(Refusal::Full {
                limit: format!("{VIEWS_MAX} views"),
            });
        }
        let location = &row.pointer.location;
        let view = self.views.in_the_way(location, row.id, row.pointer.uuid);
        if let Some(other) = view.or_else(|| self.tables.in_the_way(location, row.id, Uuid::nil())) {
            return Err(Refusal::LocationTaken {
                location: location.clone(),
                by: other.name.clone(),
            });
        }
        let reference = row.to_ref();
        self.record(match before {
            None => ChangeKind::ViewCreated(row.clone()),
            Some(_) => ChangeKind::ViewUpdated(row.clone()),
        });
        self.views.remove(row.id);
        self.views.insert(row);
        Ok(Outcome::Committed(vec![reference]))
    }

    pub(super) fn rename_view(&mut self, from: Ident, to: Ident) -> Result<Outcome, Refusal> {
        let Some(row) = self.view(&from).cloned() else {
            return Err(Refusal::NoSuchView(from));
        };
        self.require_namespace(&to.namespace)?;
        self.require_free(Relation::View, &to)?;
        let row = TableRow { name: to, ..row };
        self.policy.touch(row.id);
        self.views.remove(row.id);
        self.record(ChangeKind::ViewRenamed {
            from,
            view: row.clone(),
        });
        self.views.insert(row);
        Ok(Outcome::Done)
    }

    pub(super) fn drop_view(&mut self, name: Ident) -> Result<Outcome, Refusal> {
        let Some(row) = self.view(&name).cloned() else {
            return Err(Refusal::NoSuchView(name));
        };
        self.policy.touch(row.id);
        self.views.remove(row.id);
        self.record(ChangeKind::ViewDropped(row.clone()));
        Ok(Outcome::Dropped(row.to_ref()))
    }
}
