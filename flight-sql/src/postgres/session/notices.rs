//! What a client is told beside its answers: warnings, and what became of a statement in the cache, as far as it wants to hear.

use tidewater_engine::SessionOptions;

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

    /// That connections of processes are missing which did not say what they have, where a statement asks for them.
    pub(super) fn tell_silent(&self, wire: &mut Wire, options: &SessionOptions) {
        let backends = options
            .postgres
            .as_ref()
            .and_then(|postgres| postgres.backends.as_ref());
        let silent = backends.map_or(0, |backends| backends.silent());
        if silent > 0 {
            let message = format!("connections are missing: of processes that do not answer ({silent})");
            self.warn(wire, state::WARNING, &message);
        }
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
