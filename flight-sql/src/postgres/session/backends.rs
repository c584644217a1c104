//! The connections of a session's user, here and in other processes, for statements that end them.

use std::collections::BTreeMap;

use tidewater_engine::pg_catalog::Backends;
use tidewater_security::Principal;

use crate::service::QueryService;
use crate::siblings::Ask;

/// Functions that end what another connection does.
const ENDING: [&str; 2] = ["pg_cancel_backend", "pg_terminate_backend"];

/// The connections of the same user.
#[derive(Debug)]
pub(super) struct Own {
    service: QueryService,
    owner: String,
    /// Those in other processes, if the statement may end one: whoever calls a function cannot wait for an answer.
    elsewhere: BTreeMap<i32, String>,
}

impl Own {
    /// Those that a statement of this user may name.
    pub(super) async fn named_by(sql: &str, service: &QueryService, principal: &Principal) -> Self {
        let ends = || {
            let sql = sql.to_ascii_lowercase();
            ENDING.iter().any(|function| sql.contains(function))
        };
        let elsewhere = match service.has_siblings() && ends() {
            true => service.backends_elsewhere(principal).await,
            false => BTreeMap::new(),
        };
        Self {
            service: service.clone(),
            owner: principal.name.clone(),
            elsewhere,
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
}
