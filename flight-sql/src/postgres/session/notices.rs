//! What a client is told beside its answers: warnings, and what became of a statement in the cache, as far as it wants to hear.

use super::Session;
use crate::cache::CacheUse;
use crate::postgres::connection::Wire;
use crate::postgres::failure::{Failure, state};
use crate::postgres::settings::{CACHE_NOTICES, CLIENT_MESSAGES};

/// How much it matters to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    Notice,
    Warning,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
        }
    }

    /// Whether it is told where `client_min_messages` is this.
    fn told(self, least: &str) -> bool {
        match least {
            "error" => false,
            "warning" => self == Self::Warning,
            _ => true,
        }
    }
}

impl Session {
    /// A warning.
    pub(super) fn warn(&self, wire: &mut Wire, state: &'static str, message: &str) {
        self.tell_aside(wire, Severity::Warning, &Failure::new(state, message));
    }

    /// What became of a statement in the cache, to sessions that ask for it.
    pub(super) fn tell_cache(&self, wire: &mut Wire, how: &CacheUse) {
        if self.settings.get(CACHE_NOTICES) != "on" {
            return;
        }
        let notice = Failure::new(state::SUCCESSFUL, format!("cache: {}", how.word()));
        let detail = match how {
            CacheUse::Bypass(reason) => Some(reason.to_string()),
            _ => how.age().map(|age| format!("at most {} ms old", age.as_millis())),
        };
        let notice = detail.into_iter().fold(notice, |notice, detail| notice.detail(detail));
        self.tell_aside(wire, Severity::Notice, &notice);
    }

    fn tell_aside(&self, wire: &mut Wire, severity: Severity, what: &Failure) {
        if severity.told(self.settings.get(CLIENT_MESSAGES)) {
            wire.replies.fields(b'N', &what.fields(severity.name()));
        }
    }
}
