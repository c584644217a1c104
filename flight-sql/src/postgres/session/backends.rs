//! The connections of a session's user, here and in other processes, for statements that end or show them.

use std::collections::BTreeMap;

use tidewater_engine::pg_catalog::Backends;
use tidewater_security::Principal;

use crate::service::QueryService;
use crate::siblings::Ask;

/// What names connections of all processes: functions that end what another one does, and the table of them.
const NAMING: [&str; 3] = ["pg_cancel_backend", "pg_terminate_backend", "pg_stat_activity"];

/// The connections of the same user.
#[derive(Debug)]
pub(super) struct Own {
    service: QueryService,
    owner: String,
    /// Those in other processes, if the statement may name one: whoever calls a function cannot wait for an answer.
    elsewhere: BTreeMap<i32, String>,
    /// How many processes did not say which they have.
    silent: usize,
}

impl Own {
    /// Those that a statement of this user may name.
    pub(super) async fn named_by(sql: &str, service: &QueryService, principal: &Principal) -> Self {
        let names = || {
            let sql = sql.to_ascii_lowercase();
            NAMING.iter().any(|name| sql.contains(name))
        };
        let (elsewhere, silent) = match service.has_siblings() && names() {
            true => service.backends_elsewhere(principal).await,
            false => (BTreeMap::new(), 0),
        };
        Self {
            service: service.clone(),
            owner: principal.name.clone(),
            elsewhere,
            silent,
        }
    }

    /// Has another process end one that it has. As in PostgreSQL, that it was asked to is all that is told.
    fn ask(&self, pid: i32, connection: bool) -> bool {
        let owner = self.owner.clone();
        let ask = Ask::Backend { pid, owner, connection };
        self.elsewhere.contains_key(&pid) && self.service.tell_siblings(ask)
    }
}

impl Backends for Own {
    fn cancel(&self, pid: i32) -> bool {
        let here = self.service.connections().cancel_of(&self.service, pid, &self.owner);
        here || self.ask(pid, false)
    }

    fn terminate(&self, pid: i32) -> bool {
        let here = self.service.connections().terminate_of(&self.service, pid, &self.owner);
        here || self.ask(pid, true)
    }

    fn pids(&self) -> BTreeMap<i32, String> {
        let mut all = self.elsewhere.clone();
        all.extend(self.service.connections().pids_of(&self.owner));
        all
    }

    fn silent(&self) -> usize {
        self.silent
    }
}
