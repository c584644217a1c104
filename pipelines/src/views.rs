//! Kind `view`. The catalog keeps no views yet, so the project's views are put into sessions: into those of runs by this
//! crate, into others by whoever makes them, with [`Views::options`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as AnyStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement};
use tidewater_core::TableName;
use tidewater_engine::{Class, Engine, SessionOptions};

use crate::error::{PipelineError, Result};
use crate::model::{Kind, Model};
use crate::project::Project;
use crate::sql;

/// The views of a project, each after those it reads.
#[derive(Debug, Clone, Default)]
pub struct Views {
    models: Arc<Vec<Model>>,
}

impl Views {
    /// All views of the project.
    pub fn of(project: &Project) -> Self {
        let views = project.graph.order().iter().filter_map(|name| project.models.get(name));
        let views = views
            .filter(|model| matches!(model.kind, Kind::View))
            .cloned()
            .collect();
        Self {
            models: Arc::new(views),
        }
    }

    /// Names of the views.
    pub fn names(&self) -> impl Iterator<Item = &TableName> {
        self.models.iter().map(|model| &model.name)
    }

    /// `options` with every view. A view whose tables do not exist yet is left out: its readers are told that it is missing.
    pub async fn options(&self, engine: &Engine, mut options: SessionOptions, run_ms: i64) -> SessionOptions {
        for model in self.models.iter() {
            match view(engine, &options, model, run_ms).await {
                Ok(table) => options = options.overlay(model.name.clone(), table),
                Err(error) => tracing::debug!(view = %model.name, %error, "view is left out"),
            }
        }
        options
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
        if self.models.is_empty() {
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
        let views: BTreeSet<&TableName> = self.names().collect();
        let read = self.models.iter().filter(|model| needed.contains(&model.name));
        let tables: BTreeSet<&TableName> = read
            .flat_map(|model| &model.inputs)
            .chain(&named.tables)
            .filter(|name| !views.contains(name) && !options.overlay.contains_key(name))
            .collect();
        let mut options = match engine.moment(tables.into_iter().cloned().collect()).await {
            Ok(moment) => SessionOptions {
                moment: Arc::new(moment),
                ..options
            },
            Err(error) => {
                tracing::debug!(%error, "views are left out");
                return options;
            }
        };
        for model in self.models.iter().filter(|model| needed.contains(&model.name)) {
            match view(engine, &options, model, run_ms).await {
                Ok(table) => options = options.overlay(model.name.clone(), table),
                Err(error) => tracing::debug!(view = %model.name, %error, "view is left out"),
            }
        }
        options
    }

    /// These of the views, and those they read.
    fn closure<'a>(&'a self, names: impl Iterator<Item = &'a TableName>) -> BTreeSet<&'a TableName> {
        let by_name: BTreeMap<&TableName, &Model> = self.models.iter().map(|model| (&model.name, model)).collect();
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
        for model in self.models.iter().filter(|model| needed.contains(&model.name)) {
            let table = view(engine, &options, model, run_ms).await?;
            options = options.overlay(model.name.clone(), table);
        }
        Ok(options)
    }
}

async fn view(engine: &Engine, options: &SessionOptions, model: &Model, run_ms: i64) -> Result<Arc<dyn TableProvider>> {
    let query = sql::with_run_time(&model.path, &model.query, run_ms)?;
    let session = engine.session(Class::Interactive, options);
    let plan = plan(&session, query.clone())
        .await
        .map_err(|reason| PipelineError::Sql {
            place: model.place(),
            reason,
        })?;
    Ok(Arc::new(ViewTable::new(plan, Some(query.to_string()))))
}

async fn plan(session: &SessionContext, query: Query) -> Result<datafusion::logical_expr::LogicalPlan, String> {
    let statement = AnyStatement::Statement(Box::new(Statement::Query(Box::new(query))));
    session
        .state()
        .statement_to_plan(statement)
        .await
        .map_err(|error| error.to_string())
}
