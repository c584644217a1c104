//! What a principal may do with a statement.
//!
//! What one may not know of is hidden while names are looked up ([`SessionOptions::access`]), so that it is answered as what is not
//! there. What is left is looked at here: the columns that a plan reads, what a command changes, and statements about grants. Plans are
//! looked at where they are made ([`Judge`]), those that a command makes while it is carried out among them: what runs is what was judged.

mod about;
mod columns;
mod commands;
mod grants;
mod held;
mod hidden;
mod makers;

#[cfg(test)]
pub(super) use about::About;
pub(super) use commands::Verdict;
pub(crate) use held::Basis;
pub(super) use hidden::told_with;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::LogicalPlan;

use tidewater_core::TableName;
use tidewater_engine::live::LiveTable;
use tidewater_engine::{
    EngineError, IcebergTable, Judge, Named, Narrow, PartOf, ROWS_CATALOG, RowPolicies, SessionOptions, shows_columns,
};
use tidewater_security::{Access, Principal, Privilege, Readable, SecurityError};

use self::columns::Read;
use super::QueryService;
use crate::error::QueryError;

impl QueryService {
    /// What a principal may do; none where no grant binds. Every statement asks, so that who was disabled or dropped meanwhile is
    /// refused.
    pub(crate) fn access(&self, principal: &Principal) -> Result<Option<Arc<Access>>, QueryError> {
        self.0.authenticator.still_lets(principal)?;
        let Some(policy) = &self.0.policy else {
            return Ok(None);
        };
        let authorizer = policy.authorizer()?;
        if authorizer.is_admin(principal) {
            return Ok(None);
        }
        Ok(Some(authorizer.access(principal)).filter(|access| !access.is_everything()))
    }

    /// The options of somebody's statements: names of what they may not know of stand for nothing, tables for what is left of them, and no
    /// plan is made that reads what they may not.
    pub(super) fn seen_by(
        &self,
        principal: &Principal,
        mut options: SessionOptions,
    ) -> Result<SessionOptions, QueryError> {
        options.access = self.access(principal)?;
        options.judge = options
            .access
            .is_some()
            .then(|| Arc::new(OfPrincipal(principal.clone())) as Arc<dyn Judge>);
        options.policies = self.row_policies(principal);
        options.reads_audit = self.reads_audit(principal)?;
        Ok(options)
    }

    /// Whether somebody may read who did what: those who administer the installation, which is everybody where nobody has to say who they are,
    /// and those who manage the grants of the warehouse.
    fn reads_audit(&self, principal: &Principal) -> Result<bool, QueryError> {
        match &self.0.policy {
            Some(policy) => Ok(grants::manages(principal, policy.authorizer()?)),
            None => Ok(!self.0.authenticator.required()),
        }
    }

    /// What is left of the rows of tables for a principal; none where that is all of them.
    pub(super) fn row_policies(&self, principal: &Principal) -> Option<Arc<dyn RowPolicies>> {
        self.0.policy.as_ref()?.row_policies(principal)
    }

    /// What a principal may know of: tables and views by name.
    pub(super) fn sees(access: Option<&Access>, name: &TableName) -> bool {
        access.is_none_or(|access| access.sees_object(name.namespace().levels(), name.name()))
    }
}

/// Judges the plans of a principal by what their session was granted.
#[derive(Debug)]
struct OfPrincipal(Principal);

impl Judge for OfPrincipal {
    fn may_read(&self, options: &SessionOptions, named: &Named, plan: &LogicalPlan) -> Result<(), EngineError> {
        let Some(access) = &options.access else {
            return Ok(());
        };
        let mut found = BTreeSet::new();
        for read in columns::reads(plan) {
            found.extend(self.may_scan(access, &read)?);
        }
        // Whoever may know of something may know what it looks like, and what they may not know of was not found.
        if shows_columns(plan) {
            return Ok(());
        }
        // What a statement names and no scan is of is a view, which is read by whoever asks.
        for name in &named.tables {
            let own =
                matches!(name.namespace().levels(), [only] if only == "pg_catalog" || only == "information_schema");
            if !own && !found.contains(name) && access.sees_object(name.namespace().levels(), name.name()) {
                let on = access.on_object(name.namespace().levels(), name.name(), None);
                let readable = access.readable(name.namespace().levels(), name.name(), None);
                if !on.has(Privilege::Select) && readable == Readable::Nothing {
                    return Err(self.refused(name));
                }
            }
        }
        Ok(())
    }
}

impl OfPrincipal {
    /// The table of a scan, if it is one of the catalog's or of this process. Whose a scan is is told by what it scans: its name is that of
    /// whoever wrote the query, of which a view has another default schema than the statement that reads it.
    fn may_scan(&self, access: &Access, read: &Read) -> Result<Option<TableName>, EngineError> {
        // The rows that a command is about, which was judged by its table.
        if read.scan.table_name.catalog() == Some(ROWS_CATALOG) {
            return Ok(None);
        }
        let provider = source_as_provider(&read.scan.source)?;
        let narrow = || provider.downcast_ref::<Narrow>().and_then(Narrow::table);
        if let Some(table) = provider.downcast_ref::<IcebergTable>().or_else(narrow) {
            let (name, uuid) = (&table.table().name, table.table().metadata.uuid());
            let readable = access.readable(name.namespace().levels(), name.name(), Some(uuid));
            return match read.is_within(readable) {
                true => Ok(Some(name.clone())),
                false => Err(self.refused(name)),
            };
        }
        // A view that was not put in its place while it was planned.
        if let Some(view) = provider.get_logical_plan() {
            for read in columns::reads(&view) {
                self.may_scan(access, &read)?;
            }
            return Ok(None);
        }
        // Statistics and files of a table tell of all its columns, and rows of a process of all its users.
        let (name, is_readable) = if let Some(part) = provider.downcast_ref::<PartOf>() {
            let name = part.table();
            let readable = access.readable(name.namespace().levels(), name.name(), Some(part.uuid()));
            (name, readable == Readable::All)
        } else if let Some(live) = provider.downcast_ref::<LiveTable>() {
            // By its schema alone: what bears its name in the catalog is another table, which is its maker's.
            let on = access.on_namespace(live.name().namespace().levels());
            (live.name(), on.has(Privilege::Select))
        } else if is_of_no_table(provider.as_ref()) {
            return Ok(None);
        } else {
            // Whose rows it has nobody knows.
            let what = format!("table {}", read.scan.table_name);
            let refused = refusal(&self.0, Privilege::Select, &what);
            return Err(EngineError::Denied(Box::new(refused)));
        };
        match is_readable {
            true => Ok(Some(name.clone())),
            false => Err(self.refused(name)),
        }
    }

    fn refused(&self, table: &TableName) -> EngineError {
        let refused = refusal(&self.0, Privilege::Select, &format!("table {table}"));
        EngineError::Denied(Box::new(refused))
    }
}

/// How many scans of a plan are looked at.
#[cfg(test)]
pub(super) fn scans_seen(plan: &LogicalPlan) -> usize {
    columns::reads(plan).len()
}

/// Whether its rows are of no table: lists of what there is, made for whoever asks, numbers of a series, and what a query has of itself.
fn is_of_no_table(rows: &dyn TableProvider) -> bool {
    rows.downcast_ref::<MemTable>().is_some()
        || rows.downcast_ref::<StreamingTable>().is_some()
        || rows.downcast_ref::<CteWorkTable>().is_some()
        || rows.downcast_ref::<GenerateSeriesTable>().is_some()
}

pub(super) fn denied(principal: &Principal, privilege: Privilege, what: &TableName) -> QueryError {
    denied_on(principal, privilege, &format!("table {what}"))
}

pub(super) fn denied_on(principal: &Principal, privilege: Privilege, what: &str) -> QueryError {
    refusal(principal, privilege, what).into()
}

fn refusal(principal: &Principal, privilege: Privilege, what: &str) -> SecurityError {
    SecurityError::PermissionDenied {
        user: principal.name.clone(),
        privilege: privilege.to_string(),
        what: what.to_owned(),
    }
}
