//! Statements that their owners end.

use uuid::Uuid;

use tidewater_security::Principal;

use super::QueryService;
use crate::handle::Statement;

impl QueryService {
    /// Ends a statement that this principal runs, wherever its rows come from. False when there is none of theirs here that
    /// could be ended.
    pub fn cancel(&self, principal: &Principal, statement: &Statement) -> bool {
        self.0.running.cancel(statement.id, principal)
    }

    /// Ends a query that this principal polls, or that has ended by being cancelled.
    pub fn cancel_polled(&self, principal: &Principal, id: Uuid) -> bool {
        if self.held().cancel(principal, id).is_ok() {
            self.0.running.is_cancelled_by(id, principal);
        }
        self.0.running.was_cancelled_by(id, principal)
    }
}
