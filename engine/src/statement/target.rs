//! Which table, and which of its branches, a statement writes to.
//!
//! Names are read as queries read them: `t.branch_audit` is a table if there is one, else branch `audit` of `t`.

use tidewater_core::TableName;
use tidewater_table::{Change, LoadedTable, before_replacement, is_before_replacement, is_wap_enabled};

use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::lake::{self, version};
use crate::session::{SessionOptions, one_name};
use crate::sql::{BRANCH, Command, Name, RowTarget};

/// Where the rows of a target stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The branch; `None` for the table as it is.
    branch: Option<String>,
    /// The id under which what is added to it waits to be published.
    staged: Option<String>,
    /// Its newest snapshot; `None` for a table without any.
    pub(super) snapshot_id: Option<i64>,
}

impl Engine {
    /// Finds out what the rows of a command go to. Carried out, the command goes there and nowhere else, whatever is made or dropped
    /// meanwhile: who may write is to be asked of this.
    ///
    /// # Errors
    /// [`EngineError::NotABranch`] for a part of a table that cannot be written to, [`EngineError::Statement`] for a name with two
    /// meanings.
    pub async fn settle(&self, options: &SessionOptions, command: &mut Command) -> Result<()> {
        if let Some((name, target)) = command.row_target()
            && target.is_none()
        {
            *target = Some(self.row_target(options, name).await?);
        }
        Ok(())
    }

    /// What rows that are to go to this name go to.
    pub(super) async fn row_target(&self, options: &SessionOptions, name: &Name) -> Result<RowTarget> {
        let found = self.named_target(options, name).await?;
        Ok(RowTarget {
            staged: options.wap_id.clone().filter(|_| found.branch.is_none()),
            ..found
        })
    }

    async fn named_target(&self, options: &SessionOptions, name: &Name) -> Result<RowTarget> {
        let schema = options.default_schema.as_deref();
        let schema = schema.unwrap_or(&self.options().default_schema);
        // `t FOR VERSION AS OF 'audit'`, which is one name by now.
        if let (base, Some(version), part) = lake::parts(name.last())
            && !base.is_empty()
        {
            let table = name.with_last(base).table(schema)?;
            return match part {
                None => Ok(RowTarget {
                    table,
                    branch: Some(version.to_owned()),
                    staged: None,
                }),
                Some(part) => Err(no_branch(table, part)),
            };
        }
        let table = name.table(schema)?;
        let Some(whole) = whole(name, schema) else {
            return Ok(RowTarget::whole(table));
        };
        let visible = |name: &&TableName| {
            let (levels, name) = (name.namespace().levels(), name.name());
            options
                .access
                .as_ref()
                .is_none_or(|access| access.sees_object(levels, name))
        };
        let asked: Vec<TableName> = [&table, &whole].into_iter().filter(visible).cloned().collect();
        let found = self.moment(asked).await?;
        let is_there = |name: &TableName| found.get(name).is_some_and(Option::is_some);
        let branch = name.last().strip_prefix(BRANCH);
        match (is_there(&table), is_there(&whole), branch) {
            // A query reads the branch there, for its names have one level of schemas.
            (true, true, Some(branch)) if name.within().len() > 2 => Err(EngineError::statement(format!(
                "{name} is a table, and branch {branch:?} of table {whole}: write {:?} for the branch",
                format!("{}@{branch}", whole.name())
            ))),
            (false, true, Some(branch)) => Ok(RowTarget {
                table: whole,
                branch: Some(branch.to_owned()),
                staged: None,
            }),
            (false, true, None) => Err(no_branch(whole, name.last())),
            _ => Ok(RowTarget::whole(table)),
        }
    }
}

/// The table of which a name may be a part, as in `s.t.branch_audit` and `s.t.snapshots`.
fn whole(name: &Name, schema: &str) -> Option<TableName> {
    let (part, before) = name.within().split_last()?;
    // `lake.s.files` is a table of a schema.
    if name.is_full() && before.len() < 2 {
        return None;
    }
    one_name(before.last()?, part)?;
    name.of_whole()?.table(schema).ok()
}

fn no_branch(table: TableName, version: &str) -> EngineError {
    EngineError::NotABranch {
        table,
        version: version.to_owned(),
    }
}

/// Whether it is a branch of before the table was replaced, which is read with its own columns.
fn is_left_behind(table: &LoadedTable, name: &str) -> Result<bool> {
    let metadata = &table.metadata;
    match metadata.snapshot_for_ref(name) {
        Some(head) if is_before_replacement(metadata, head) => {
            let named = version::references(metadata)?;
            Ok(named.get(name).is_some_and(|reference| reference.is_branch))
        }
        _ => Ok(false),
    }
}

impl RowTarget {
    /// The table as it is.
    pub(super) fn whole(table: TableName) -> Self {
        Self {
            table,
            branch: None,
            staged: None,
        }
    }

    /// Where it stands in this state of the table.
    ///
    /// # Errors
    /// [`EngineError::VersionNotFound`] and [`EngineError::NotABranch`] for what is no branch of it, and
    /// [`before_replacement`] for one that was left behind.
    pub(super) fn head(&self, table: &LoadedTable) -> Result<Head> {
        let Some(branch) = &self.branch else {
            return Ok(Head {
                branch: None,
                staged: self.staged.clone().filter(|_| is_wap_enabled(&table.metadata)),
                snapshot_id: table.metadata.current_snapshot_id(),
            });
        };
        match version::resolve(table, branch)? {
            version::Version::Branch(snapshot_id) => Ok(Head {
                branch: Some(branch.clone()),
                staged: None,
                snapshot_id: Some(snapshot_id),
            }),
            version::Version::Current => Ok(Head {
                branch: None,
                staged: None,
                snapshot_id: table.metadata.current_snapshot_id(),
            }),
            version::Version::Snapshot(_) => Err(match is_left_behind(table, branch)? {
                true => EngineError::from(before_replacement(branch)),
                false => no_branch(table.name.clone(), branch),
            }),
        }
    }
}

impl Head {
    /// The branch's snapshot, as a table is read at it; `None` for the table as it is.
    pub(super) fn of_branch(&self) -> Option<i64> {
        self.snapshot_id.filter(|_| self.branch.is_some())
    }

    /// The change, to go there.
    pub(super) fn takes(&self, change: Change) -> Change {
        match (&self.branch, &self.staged) {
            (Some(branch), _) => change.on_branch_that_is_there(branch),
            (None, Some(id)) => change.staged(id),
            (None, None) => change,
        }
    }
}
