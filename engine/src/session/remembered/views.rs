//! What the views of a project come to: they are no tables of the catalog, and whoever makes a session plans them for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use tidewater_core::TableName;
use tidewater_table::LoadedTable;

use super::{Key, is_of_tables_alone, same};
use crate::engine::Engine;
use crate::opaque::Opaque;
use crate::session::SessionOptions;

/// A view, and what it reads.
pub(super) struct KnownView {
    inputs: Vec<Input>,
    view: Arc<dyn TableProvider>,
}

/// What a view reads under one name.
enum Input {
    /// A table as it stood; `None`: there was none.
    Table(Option<LoadedTable>),
    /// What the session brought.
    Brought(Arc<dyn TableProvider>),
}

impl Input {
    /// As sessions with these options have it; none where they look it up later.
    fn of(options: &SessionOptions, name: &TableName) -> Option<Self> {
        if let Some(brought) = options.overlay.get(name) {
            return Some(Self::Brought(Arc::clone(brought)));
        }
        options.moment.get(name).cloned().map(Self::Table)
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(one), Self::Table(other)) => same(one.as_ref(), other.as_ref()),
            (Self::Brought(one), Self::Brought(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Engine {
    /// The view that `plan` makes of a query over these tables and views in a session with `options`: the one of before, by the
    /// pointer, as long as all that it reads stands as it did. It is made each time if the options do not say how its inputs stand, or if
    /// its rows follow from something besides them. `text` is to tell all of the query.
    ///
    /// Fails as `plan` does.
    pub async fn view<E>(
        &self,
        options: &SessionOptions,
        text: &str,
        inputs: &BTreeSet<TableName>,
        plan: impl Future<Output = Result<Arc<dyn TableProvider>, E>> + Send,
    ) -> Result<Arc<dyn TableProvider>, E> {
        let inputs: Option<Vec<Input>> = inputs.iter().map(|name| Input::of(options, name)).collect();
        let (Some(key), Some(inputs)) = (Key::with(self, options, text), inputs) else {
            return plan.await;
        };
        if let Some(known) = self.parts.plans.views.get(&key)
            && known.inputs.len() == inputs.len()
            && known.inputs.iter().zip(&inputs).all(|(then, now)| then.is(now))
        {
            return Ok(Arc::clone(&known.view));
        }
        let view = plan.await?;
        let plan = view.get_logical_plan();
        let is_fixed = plan.is_some_and(|plan| is_of_tables_alone(&plan, &options.moment).unwrap_or(false));
        if is_fixed {
            let view = Arc::clone(&view);
            self.parts
                .plans
                .views
                .insert(key, Opaque::new(KnownView { inputs, view }));
        }
        Ok(view)
    }
}
