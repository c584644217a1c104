//! Kind `view`. The catalog keeps no views yet, so the project's views are put into sessions: into those of runs by this
//! crate, into others by whoever makes them, with [`Views::options`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use tidewater_core::TableName;
use tidewater_engine::{Class, Engine, SessionOptions};

use crate::error::{PipelineError, Result};
use crate::model::{Kind, Model};
use crate::project::Project;
use crate::sql;
use crate::worker::deepest;

/// The views of a project, each after those it reads.
#[derive(Debug, Clone, Default)]
pub struct Views {
    views: Arc<Vec<View>>,
}

#[derive(Debug)]
struct View {
    model: Model,
    /// Its query, if that is the same at any time.
    fixed: Option<String>,
}

impl View {
    fn of(model: &Model) -> Self {
        let is_fixed = !sql::has_run_time(&model.query);
        Self {
            model: model.clone(),
            fixed: is_fixed.then(|| model.query.to_string()),
        }
    }
}

impl Views {
    /// All views of the project.
    pub fn of(project: &Project) -> Self {
        let views = project.graph.order().iter().filter_map(|name| project.models.get(name));
        let views = views
            .filter(|model| matches!(model.kind, Kind::View))
            .map(View::of)
            .collect();
        Self { views: Arc::new(views) }
    }

    /// Names of the views.
    pub fn names(&self) -> impl Iterator<Item = &TableName> {
        self.views.iter().map(|view| &view.model.name)
    }

    /// `options` with every view, all as their tables stand at one moment. A view whose tables do not exist yet is left out: its readers
    /// are told that it is missing.
    pub async fn options(&self, engine: &Engine, mut options: SessionOptions, run_ms: i64) -> SessionOptions {
        let moment = Arc::clone(&options.moment);
        options = self.at_one_moment(engine, options, BTreeSet::new(), |_| true).await;
        options = self.beside(engine, options, run_ms, |_| true).await;
        SessionOptions { moment, ..options }
    }

    /// `options` with the views that a statement names, and those they read. Views and statement see all tables as they stand
    /// at one moment: call it for each statement. With `information_schema`, all views are there.
    pub async fn for_statement(
        &self,
        engine: &Engine,
        options: SessionOptions,
        sql: &str,
        run_ms: i64,
    ) -> SessionOptions {
        if self.views.is_empty() {
            return options;
        }
        // A statement that cannot be read is refused by whoever plans it.
        let Ok(named) = engine.named(&options, sql) else {
            return options;
        };
        if named.information_schema {
            return self.options(engine, options, run_ms).await;
        }
        let needed = self.closure(named.tables.iter());
        if needed.is_empty() {
            return options;
        }
        let options = self
            .at_one_moment(engine, options, named.tables.iter().collect(), |view| {
                needed.contains(view)
            })
            .await;
        self.beside(engine, options, run_ms, |view| needed.contains(view)).await
    }

    /// `options` with the tables that these views read, and of `more`, as they stand at one moment.
    async fn at_one_moment(
        &self,
        engine: &Engine,
        options: SessionOptions,
        more: BTreeSet<&TableName>,
        is_read: impl Fn(&TableName) -> bool,
    ) -> SessionOptions {
        let views: BTreeSet<&TableName> = self.names().collect();
        let read = self.views.iter().filter(|view| is_read(&view.model.name));
        let tables: BTreeSet<&TableName> = read
            .flat_map(|view| &view.model.inputs)
            .chain(more)
            .filter(|name| !views.contains(name) && !options.overlay.contains_key(name))
            .collect();
        let tables = tables.into_iter().cloned().collect();
        match engine.moment_of(&options, tables).await {
            Ok(mut moment) => {
                // Views of the catalog perhaps, which are looked up where the statement is planned.
                moment.retain(|_, table| table.is_some());
                // What is pinned already is seen so through views too.
                moment.extend(options.moment.iter().map(|(name, table)| (name.clone(), table.clone())));
                SessionOptions {
                    moment: Arc::new(moment),
                    ..options
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the tables of views are not known");
                options
            }
        }
    }

    /// `options` with these views. One that cannot be planned is left out.
    async fn beside(
        &self,
        engine: &Engine,
        mut options: SessionOptions,
        run_ms: i64,
        is_read: impl Fn(&TableName) -> bool,
    ) -> SessionOptions {
        for view in self.views.iter().filter(|view| is_read(&view.model.name)) {
            match view.table(engine, &options, run_ms).await {
                Ok(table) => options = options.overlay(view.model.name.clone(), table),
                Err(error) => tracing::debug!(view = %view.model.name, %error, "view is left out"),
            }
        }
        options
    }

    /// These of the views, and those they read.
    fn closure<'a>(&'a self, names: impl Iterator<Item = &'a TableName>) -> BTreeSet<&'a TableName> {
        let models = self.views.iter().map(|view| &view.model);
        let by_name: BTreeMap<&TableName, &Model> = models.map(|model| (&model.name, model)).collect();
        let mut needed: BTreeSet<&TableName> = BTreeSet::new();
        let mut open: Vec<&TableName> = names.collect();
        while let Some(name) = open.pop() {
            if let Some(model) = by_name.get(name)
                && needed.insert(name)
            {
                open.extend(&model.inputs);
            }
        }
        needed
    }

    /// `options` with the views that a model reads, directly or through other views. Fails if one of them cannot be planned.
    pub(crate) async fn options_for(
        &self,
        engine: &Engine,
        mut options: SessionOptions,
        reader: &Model,
        run_ms: i64,
    ) -> Result<SessionOptions> {
        let needed = self.closure(reader.inputs.iter());
        for view in self.views.iter().filter(|view| needed.contains(&view.model.name)) {
            let table = view.table(engine, &options, run_ms).await?;
            options = options.overlay(view.model.name.clone(), table);
        }
        Ok(options)
    }
}

impl View {
    /// What it comes to in sessions with these options. The same again while all that it reads stands as it did.
    async fn table(&self, engine: &Engine, options: &SessionOptions, run_ms: i64) -> Result<Arc<dyn TableProvider>> {
        let planned = self.planned(engine, options, run_ms);
        match &self.fixed {
            Some(text) => engine.view(options, text, &self.model.inputs, planned).await,
            None => planned.await,
        }
    }

    async fn planned(&self, engine: &Engine, options: &SessionOptions, run_ms: i64) -> Result<Arc<dyn TableProvider>> {
        let model = &self.model;
        let query = sql::with_run_time(&model.path, &model.query, run_ms)?;
        let session = engine.session(Class::Interactive, options);
        let plan = engine.plan_view(&session, query.clone()).await;
        let plan = plan.map_err(|error| PipelineError::Sql {
            place: model.place(),
            reason: deepest(&error),
        })?;
        Ok(Arc::new(ViewTable::new(plan, Some(query.to_string()))))
    }
}
