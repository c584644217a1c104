//! What it means that nothing was granted to anybody, in words for logs and `tidewater doctor`, and what to type.

use tidewater_security::{Grants, Role};

use super::SecuritySettings;

/// Where users may do everything.
const OPEN: &str = "NOTHING WAS GRANTED YET: every user reads everything and may do everything at the catalog until the first role or grant is made; make one, or leave security.grants = \"when_made\" out";

/// Where there is somebody who can grant.
const CLOSED: &str = "NOTHING WAS GRANTED YET: users who are no administrators may do nothing; an administrator grants by SQL, or type on this machine: tidewater role grant SELECT --on \"schema gold\" --to \"user ana\"; security.grants = \"when_made\" has the roles of the configuration decide until the first grant, as they did before";

/// Where there is nobody who can.
const LOCKED: &str = "NOTHING WAS GRANTED YET, AND NO ADMINISTRATOR IS CONFIGURED: no user may do anything; type on this machine, with this configuration: tidewater role grant ALL --on warehouse --to \"user NAME\", or give one of [[security.users]] role = \"admin\" and start again; security.grants = \"when_made\" has the roles of the configuration decide until the first grant, as they did before";

impl SecuritySettings {
    /// Whether somebody may be an administrator, whom no grant binds.
    pub(crate) fn has_admins(&self) -> bool {
        let configured = self.users.iter().any(|user| user.role == Role::Admin);
        configured || self.oidc.iter().any(|issuer| !issuer.admins.is_empty())
    }

    /// What users may do where nothing was granted to anybody.
    pub(crate) fn without_grants(&self) -> &'static str {
        match self.grants {
            Grants::WhenMade => OPEN,
            Grants::Required if self.has_admins() => CLOSED,
            Grants::Required => LOCKED,
        }
    }
}
