//! What reaches the planner must read: statements that change something are carried out before it.

use datafusion::logical_expr::LogicalPlan;

use crate::error::QueryError;

/// Refuses plans that change something. EXPLAIN and SHOW are queries; EXPLAIN ANALYZE is what it runs.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    let statement = match plan {
        LogicalPlan::Ddl(ddl) => ddl.name().to_owned(),
        LogicalPlan::Dml(dml) => dml.op.name().to_owned(),
        LogicalPlan::Copy(_) => "COPY".to_owned(),
        LogicalPlan::Statement(statement) => statement.name().to_owned(),
        LogicalPlan::Analyze(analyze) => return check(&analyze.input),
        LogicalPlan::Explain(explain) => return check(&explain.plan),
        _ => return Ok(()),
    };
    Err(QueryError::Statement { statement })
}
