//! Rows that are held for somebody who may have lost the right to them since they were made.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use uuid::Uuid;

use tidewater_core::{Coded, ErrorKind};
use tidewater_engine::{EngineError, RowPolicies, SessionOptions, Sql};
use tidewater_security::{GrantStatement, Principal};

use super::{OfPrincipal, columns};
use crate::error::QueryError;
use crate::held::{Ended, Failed, Look};
use crate::placeholder::number_placeholders;
use crate::service::{Asked, QueryService};

/// Schemas of lists of what there is.
const OWN_SCHEMAS: [&str; 2] = ["information_schema", "pg_catalog"];

/// What rows were made of, and by which rights. The plan is behind a pointer that rustc does not look through, as in the engine.
#[derive(Clone)]
pub(crate) struct Basis(Arc<dyn Keeps>);

trait Keeps: Send + Sync {
    fn made(&self) -> &Made;
}

struct Made {
    sql: Arc<str>,
    options: Arc<SessionOptions>,
    /// None where it is not known what was read.
    plan: Option<LogicalPlan>,
}

impl Basis {
    /// What it takes in memory, but for its tables, which others have too.
    pub(crate) fn bytes(&self) -> usize {
        let made = self.0.made();
        made.sql.len().saturating_add(made.plan.as_ref().map_or(0, bytes_of))
    }
}

impl Keeps for Made {
    fn made(&self) -> &Made {
        self
    }
}

impl fmt::Debug for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basis").finish_non_exhaustive()
    }
}

impl QueryService {
    /// What the rows of a plan are made of; none where nobody has to say who they are.
    pub(in crate::service) fn basis(&self, asked: &Asked) -> Option<Basis> {
        self.0.authenticator.required().then(|| {
            Basis(Arc::new(Made {
                sql: asked.session.sql(),
                options: asked.session.shared_options(),
                plan: Some(asked.plan.clone()),
            }))
        })
    }

    /// What a statement is asked by that has no plan yet, or never has one; none where nobody has to say who they are.
    pub(crate) fn basis_of_text(
        &self,
        principal: &Principal,
        sql: &str,
        client: SessionOptions,
    ) -> Result<Option<Basis>, QueryError> {
        if !self.0.authenticator.required() {
            return Ok(None);
        }
        let options = self.seen_by(principal, client)?;
        Ok(Some(Basis(Arc::new(Made {
            sql: Arc::from(&*number_placeholders(sql)),
            options: Arc::new(options),
            plan: None,
        }))))
    }

    /// What a statement that is held came to, if its owner may have it still. What they may not is let go, and they are answered as the
    /// statement would be now.
    pub(crate) async fn still_theirs(&self, principal: &Principal, id: Uuid, look: Look) -> Result<Look, QueryError> {
        let basis = match &look {
            Look::Done(Ended::Rows { basis: Some(basis), .. }, _) | Look::Failed(Failed { basis: Some(basis), .. }) => {
                basis.clone()
            }
            _ => return Ok(look),
        };
        let Err(error) = Box::pin(self.may_have(principal, id, basis)).await else {
            return Ok(look);
        };
        // What cannot be told now may be told later.
        let passes = matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Exhausted | ErrorKind::Timeout
        );
        if !passes {
            // Somebody else who asked at once may have let go of it.
            drop(self.held().forget(principal, id));
        }
        Err(error)
    }

    async fn may_have(&self, principal: &Principal, id: Uuid, basis: Basis) -> Result<(), QueryError> {
        let made = basis.0.made();
        let same_rows =
            fingerprint(self.row_policies(principal).as_deref()) == fingerprint(made.options.policies.as_deref());
        let knows_deeds = self.reads_audit(principal)? || !made.options.reads_audit;
        if same_rows && knows_deeds && self.access(principal)? == made.options.access {
            return Ok(());
        }
        if made.plan.is_none() && !is_query(&made.sql) {
            return Err(QueryError::NotHeld { id });
        }
        let client = SessionOptions {
            overlay: Default::default(),
            moment: Arc::default(),
            one_moment: None,
            ..SessionOptions::clone(&made.options)
        };
        let (now, _) = self.plan_as(principal, &made.sql, &client).await?;
        match &made.plan {
            Some(plan)
                if same_rows && knows_deeds && self.reads_tables_of_theirs(principal, plan, now.options())? =>
            {
                Ok(())
            }
            _ => Err(QueryError::NotHeld { id }),
        }
    }

    /// Whether what was read may be read by today's grants. What bears a name today may be another table than the one that was read.
    fn reads_tables_of_theirs(
        &self,
        principal: &Principal,
        plan: &LogicalPlan,
        now: &SessionOptions,
    ) -> Result<bool, QueryError> {
        let Some(access) = &now.access else {
            return Ok(true);
        };
        let usual = now.default_schema.as_deref().unwrap_or_else(|| self.default_schema());
        let judge = OfPrincipal(principal.clone());
        for read in columns::reads(plan) {
            // Lists of what there is are of what could be known of then. In a view their names may have no schema.
            let schema = read.scan.table_name.schema();
            let lists = match schema {
                Some(schema) => OWN_SCHEMAS.contains(&schema),
                None => OWN_SCHEMAS.contains(&usual) || was_made(&read.scan)?,
            };
            if lists {
                return Ok(false);
            }
            judge.may_scan(access, &read)?;
        }
        Ok(true)
    }
}

/// Whether the rows of a scan were made while its statement was planned.
fn was_made(scan: &TableScan) -> Result<bool, EngineError> {
    let rows = source_as_provider(&scan.source)?;
    Ok(rows.downcast_ref::<MemTable>().is_some() || rows.downcast_ref::<StreamingTable>().is_some())
}

/// Whether a statement can be planned again without changing anything.
fn is_query(sql: &str) -> bool {
    matches!(GrantStatement::parse(sql), Ok(None)) && matches!(tidewater_engine::sql::parse(sql), Ok(Sql::Query))
}

/// About what a plan takes in memory, which is most of all the values in it.
fn bytes_of(plan: &LogicalPlan) -> usize {
    let mut bytes = 0_usize;
    let visited = plan.apply_with_subqueries(|node| {
        bytes = bytes.saturating_add(size_of::<LogicalPlan>());
        node.apply_expressions(|expression| {
            expression.apply(|one| {
                let value = match one {
                    Expr::Literal(value, _) => value.size(),
                    _ => 0,
                };
                bytes = bytes.saturating_add(size_of::<Expr>() + value);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    // The closures never fail.
    drop(visited);
    bytes
}

fn fingerprint(policies: Option<&dyn RowPolicies>) -> Option<[u8; 32]> {
    policies.map(|policies| policies.fingerprint())
}
