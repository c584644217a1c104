//! What the rows of a statement will look like, for a client that fetches them later.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;

use tidewater_engine::Class;
use tidewater_security::Principal;

use super::answer::Asked;
use super::late::LateSession;
use super::{QueryService, parameters};
use crate::error::QueryError;
use crate::handle::Statement;
use crate::history::Note;
use crate::wire::wire_schema;

/// A planned statement with its values, and what its rows look like.
struct Bound {
    session: LateSession,
    plan: LogicalPlan,
    wire: SchemaRef,
}

impl QueryService {
    /// The schema of a statement's rows with what is bound now: values decide the types that the text left open.
    pub async fn result_schema(&self, principal: &Principal, statement: &Statement) -> Result<SchemaRef, QueryError> {
        Ok(self.bound(principal, statement).await?.wire)
    }

    /// The same of a query whose rows are fetched next. It is refused here if too many wait already for it to be let in then: that spares
    /// both sides a call.
    pub async fn schema_to_fetch(&self, principal: &Principal, statement: &Statement) -> Result<SchemaRef, QueryError> {
        let bound = self.bound(principal, statement).await?;
        let room = async { self.0.runner.room(&bound.plan, Class::Interactive) };
        let Err(refused) = self.caller(principal).scope(room).await else {
            return Ok(bound.wire);
        };
        let asked = Asked {
            session: bound.session,
            plan: bound.plan,
            wire: Arc::clone(&bound.wire),
            deadline: self.deadline(),
            since: Some(self.clock().monotonic()),
            cached: self.1.cached,
        };
        if self.needs_no_room(principal, &asked) {
            return Ok(bound.wire);
        }
        let note: Note = self.note(principal, statement);
        note.planned(&asked.plan, &Default::default());
        note.end(Err(refused.into()))
    }

    async fn bound(&self, principal: &Principal, statement: &Statement) -> Result<Bound, QueryError> {
        let (session, plan) = self.plan_or_note(principal, &statement.sql).await?;
        if statement.parameters.is_empty() {
            let wire = wire_schema(plan.schema().as_arrow());
            return Ok(Bound { session, plan, wire });
        }
        let unbound = Arc::clone(plan.schema());
        let plan = parameters::bind(plan, &statement.parameters)?;
        let wire = parameters::bound_schema(unbound.as_arrow(), &plan);
        Ok(Bound { session, plan, wire })
    }
}
