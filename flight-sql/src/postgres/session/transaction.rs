//! Transactions: reads of all tables as they stood at one moment. They hold nothing, and there is nothing to undo.

use std::sync::Arc;

use tidewater_engine::OneMoment;

use crate::postgres::failure::{Failure, state};

/// Savepoints of one transaction.
const SAVEPOINTS_MAX: usize = 1_000;

/// The transaction block of a session.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    block: Option<Block>,
}

#[derive(Debug, Default)]
struct Block {
    failed: bool,
    /// When its first statement read tables; all others see them as they stood then.
    one_moment: Arc<OneMoment>,
    savepoints: Vec<String>,
}

impl Transaction {
    /// Whether there is one, failed or not.
    pub(super) fn open(&self) -> bool {
        self.block.is_some()
    }

    pub(super) fn failed(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.failed)
    }

    /// Its savepoints; `None` outside of one.
    pub(super) fn depth(&self) -> Option<usize> {
        self.block.as_ref().map(|block| block.savepoints.len())
    }

    /// As clients are told of it.
    pub(super) fn status(&self) -> u8 {
        match &self.block {
            None => b'I',
            Some(block) if block.failed => b'E',
            Some(_) => b'T',
        }
    }

    /// False when there is one already.
    pub(super) fn begin(&mut self) -> bool {
        let fresh = self.block.is_none();
        self.block.get_or_insert_default();
        fresh
    }

    /// Ends it: whether there was one, and whether it had failed.
    pub(super) fn end(&mut self) -> (bool, bool) {
        let block = self.block.take();
        (block.is_some(), block.is_some_and(|block| block.failed))
    }

    pub(super) fn fail(&mut self) {
        if let Some(block) = &mut self.block {
            block.failed = true;
        }
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<(), Failure> {
        let block = self.block_for("SAVEPOINT")?;
        if block.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(Failure::new(
                state::LIMIT,
                format!("a transaction has {SAVEPOINTS_MAX} savepoints at most"),
            ));
        }
        block.savepoints.push(name.to_owned());
        Ok(())
    }

    /// What failed since is forgotten; the savepoint stays.
    pub(super) fn rollback_to(&mut self, name: &str) -> Result<(), Failure> {
        let block = self.block_for("ROLLBACK TO SAVEPOINT")?;
        let at = block.find(name)?;
        block.savepoints.truncate(at + 1);
        block.failed = false;
        Ok(())
    }

    pub(super) fn release(&mut self, name: &str) -> Result<(), Failure> {
        let block = self.block_for("RELEASE SAVEPOINT")?;
        let at = block.find(name)?;
        block.savepoints.truncate(at);
        Ok(())
    }

    /// When this transaction sees all tables; `None` outside of one.
    pub(super) fn one_moment(&self) -> Option<Arc<OneMoment>> {
        self.block.as_ref().map(|block| Arc::clone(&block.one_moment))
    }

    fn block_for(&mut self, statement: &str) -> Result<&mut Block, Failure> {
        self.block.as_mut().ok_or_else(|| {
            Failure::new(
                state::NO_TRANSACTION,
                format!("{statement} can only be used in transaction blocks"),
            )
        })
    }
}

impl Block {
    fn find(&self, name: &str) -> Result<usize, Failure> {
        let found = self.savepoints.iter().rposition(|savepoint| savepoint == name);
        found.ok_or_else(|| Failure::new(state::NO_SAVEPOINT, format!("savepoint \"{name}\" does not exist")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a transaction fails, comes back to a savepoint and ends as PostgreSQL's do. Method: one life of one.
    #[test]
    fn savepoints_bring_back() {
        let mut transaction = Transaction::default();
        assert_eq!(
            transaction.savepoint("a").expect_err("no block").state,
            state::NO_TRANSACTION
        );
        assert!(transaction.begin() && !transaction.begin());
        assert_eq!(transaction.depth(), Some(0));
        transaction.savepoint("a").expect("in a block");
        assert_eq!(transaction.depth(), Some(1));
        transaction.fail();
        assert_eq!(transaction.status(), b'E');
        transaction.rollback_to("a").expect("a savepoint");
        assert_eq!(transaction.status(), b'T');
        transaction.release("a").expect("a savepoint");
        assert_eq!(
            transaction.rollback_to("a").expect_err("released").state,
            state::NO_SAVEPOINT
        );
        transaction.fail();
        assert_eq!(transaction.end(), (true, true));
        assert_eq!(transaction.status(), b'I');
    }
}
