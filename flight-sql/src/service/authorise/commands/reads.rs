//! What a command reads for what it changes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, TableFactor, Visit, Visitor};

use super::May;
use crate::error::QueryError;

impl May<'_> {
    /// Refuses subqueries in these expressions over tables of which nothing may be read. Which columns they name is seen in the plan of the
    /// statement, before it does anything.
    pub(super) async fn reads_in(&self, expressions: impl IntoIterator<Item = &Expr>) -> Result<(), QueryError> {
        let mut sources = Sources::default();
        for expression in expressions {
            let _: ControlFlow<()> = expression.visit(&mut sources);
        }
        for source in sources.found {
            // One that cannot be planned by itself is told of where the statement is.
            if let Err(error @ QueryError::Security(_)) = self.reads(&format!("SELECT 1 FROM {source}")).await {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Refuses a query that reads what they may not, before anything is done. The plans that are carried out are judged once more.
    pub(super) async fn reads(&self, query: &str) -> Result<(), QueryError> {
        let service = self.service;
        let options = service.0.sessions.options(query, self.options.clone()).await;
        let session = service.0.engine.session(tidewater_engine::Class::Interactive, &options);
        let plan = Box::pin(service.0.engine.plan(&session, query)).await;
        Ok(plan.map(drop)?)
    }
}

/// What stands behind FROM, calls of functions (`changes('s.t')`) among it.
#[derive(Default)]
struct Sources {
    found: BTreeSet<String>,
    /// Names that each of the queries around gives to queries of its own (`WITH`), which were visited too.
    own: Vec<BTreeSet<String>>,
}

impl Sources {
    fn is_own(&self, name: &ObjectName) -> bool {
        let [part] = name.0.as_slice() else {
            return false;
        };
        let name = part.as_ident().map(called);
        name.is_some_and(|name| self.own.iter().any(|own| own.contains(&name)))
    }
}

impl Visitor for Sources {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.push(own.map(|own| called(&own.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.own.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            // A table that is called so too is seen in the plan of the statement.
            TableFactor::Table { name, args: None, .. } if self.is_own(name) => {}
            TableFactor::Table { name, args: None, .. } => {
                self.found.insert(name.to_string());
            }
            TableFactor::Table { .. } | TableFactor::Function { .. } => {
                self.found.insert(factor.to_string());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A name as it counts.
fn called(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    }
}
