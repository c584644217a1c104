//! What a principal may do with a statement: between its plan and its run.
//!
//! What one may not know of is hidden while names are looked up ([`SessionOptions::access`]), so that it is answered as what is not
//! there. What is left is looked at here: the columns that a plan reads, what a command changes, and statements about grants.

mod columns;
mod commands;
mod grants;
mod held;
mod hidden;

pub(super) use commands::Verdict;
pub(crate) use held::Basis;
pub(super) use hidden::told_with;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use tidewater_core::TableName;
use tidewater_engine::live::LiveTable;
use tidewater_engine::{CATALOG, EngineError, IcebergTable, RowPolicies, SessionOptions};
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

    /// The options of somebody's statements: names of what they may not know of stand for nothing, and tables for what is left of them.
    pub(super) fn seen_by(
        &self,
        principal: &Principal,
        mut options: SessionOptions,
    ) -> Result<SessionOptions, QueryError> {
        options.access = self.access(principal)?;
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

    /// Refuses a plan that reads what this principal may not.
    pub(super) fn may_read(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        sql: &str,
        plan: &LogicalPlan,
    ) -> Result<(), QueryError> {
        let Some(access) = &options.access else {
            return Ok(());
        };
        let mut found = BTreeSet::new();
        for read in columns::reads(plan) {
            let name = self.may_scan(principal, access, options, &read)?;
            found.extend(name);
        }
        // What a statement names and no scan is of is a view, which is read by whoever asks.
        for name in &self.0.engine.named(options, sql)?.tables {
            let own =
                matches!(name.namespace().levels(), [only] if only == "pg_catalog" || only == "information_schema");
            if !own && !found.contains(name) && access.sees_object(name.namespace().levels(), name.name()) {
                let on = access.on_object(name.namespace().levels(), name.name(), None);
                let readable = access.readable(name.namespace().levels(), name.name(), None);
                if !on.has(Privilege::Select) && readable == Readable::Nothing {
                    return Err(denied(principal, Privilege::Select, name));
                }
            }
        }
        Ok(())
    }

    /// The table of a scan, if it is one of the catalog's.
    fn may_scan(
        &self,
        principal: &Principal,
        access: &Access,
        options: &SessionOptions,
        read: &Read,
    ) -> Result<Option<TableName>, QueryError> {
        let provider = source_as_provider(&read.scan.source).map_err(EngineError::from)?;
        if let Some(table) = provider.downcast_ref::<IcebergTable>() {
            let (name, uuid) = (&table.table().name, table.table().metadata.uuid());
            let readable = access.readable(name.namespace().levels(), name.name(), Some(uuid));
            return match read.is_within(readable) {
                true => Ok(Some(name.clone())),
                false => Err(denied(principal, Privilege::Select, name)),
            };
        }
        // A view that was not put in its place while it was planned.
        if let Some(view) = provider.get_logical_plan() {
            for read in columns::reads(&view) {
                self.may_scan(principal, access, options, &read)?;
            }
            return Ok(None);
        }
        let Some(name) = self.named_by(options, &read.scan) else {
            return Ok(None);
        };
        let is_part = read.scan.table_name.table().contains(['$', '@']);
        if !is_part && provider.downcast_ref::<LiveTable>().is_none() {
            return Ok(None);
        }
        // Statistics and files of a table tell of all its columns, and rows of a process of all its users.
        let readable = access.readable(name.namespace().levels(), name.name(), None);
        match readable {
            Readable::All => Ok(Some(name)),
            _ => Err(denied(principal, Privilege::Select, &name)),
        }
    }

    /// The name of a scan, as the session means it.
    pub(super) fn named_by(&self, options: &SessionOptions, scan: &TableScan) -> Option<TableName> {
        let schema = options
            .default_schema
            .as_deref()
            .unwrap_or_else(|| self.default_schema());
        let full = scan.table_name.clone().resolve(CATALOG, schema);
        let base = full.table.split(['$', '@']).next()?;
        TableName::new(full.schema.parse().ok()?, base).ok()
    }

    /// What a principal may know of: tables and views by name.
    pub(super) fn sees(access: Option<&Access>, name: &TableName) -> bool {
        access.is_none_or(|access| access.sees_object(name.namespace().levels(), name.name()))
    }
}

/// How many scans of a plan are looked at.
#[cfg(test)]
pub(super) fn scans_seen(plan: &LogicalPlan) -> usize {
    columns::reads(plan).len()
}

pub(super) fn denied(principal: &Principal, privilege: Privilege, what: &TableName) -> QueryError {
    denied_on(principal, privilege, &format!("table {what}"))
}

pub(super) fn denied_on(principal: &Principal, privilege: Privilege, what: &str) -> QueryError {
    QueryError::Security(SecurityError::PermissionDenied {
        user: principal.name.clone(),
        privilege: privilege.to_string(),
        what: what.to_owned(),
    })
}
