//! What a session can set: the parameters that drivers send and ask for.

mod dates;
mod path;
mod transaction;

use std::collections::BTreeMap;
use std::time::Duration;

use tidewater_engine::Execution;
use tidewater_engine::pg_catalog::DATE_STYLE;

pub(super) use self::path::quoted;
use super::failure::{Failure, state};
use super::zone::Zone;
use crate::service::{CACHE_SETTING, WAP_ID};

/// What this server says it is. Drivers and tools choose their statements by it.
pub(super) const SERVER_VERSION: &str = "15.0";

/// Longest value: a list of schemas is far shorter.
const VALUE_BYTES_MAX: usize = 8192;

/// Settings that a session has at most, those of other names with a point in them among them.
const SETTINGS_MAX: usize = 200;

/// How a setting may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It tells what is so.
    Fixed,
    /// It is taken and shown, and changes nothing here.
    Taken,
    /// It is taken if it is what is so anyway.
    Only(&'static [&'static str]),
    /// One of these, in lower case.
    OneOf(&'static [&'static str]),
    Zone,
    /// In which order dates of three numbers are read. They are written in one way.
    Dates,
    Path,
    /// Milliseconds, or a number with a unit; 0 is without end.
    Milliseconds,
    /// On or off.
    Switch,
}

use self::Kind::{Dates, Fixed, Milliseconds, OneOf, Only, Path, Switch, Taken, Zone as InZone};

/// From which severity on a client is told what is no error.
pub(super) const CLIENT_MESSAGES: &str = "client_min_messages";

/// As PostgreSQL takes them, the least severe first.
const MESSAGE_LEVELS: [&str; 11] = [
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error",
];

/// The schemas of names that have none.
pub(super) const SEARCH_PATH: &str = "search_path";

/// Whether a client is told of each query what became of it in the cache.
pub(super) const CACHE_NOTICES: &str = "tidewater.cache_notices";

/// Whether statements that change something are refused.
pub(super) const READ_ONLY: &str = "default_transaction_read_only";

/// The isolation of the transaction at work, and that of those that say none. Every one reads at one moment, whatever it says.
pub(super) const ISOLATION: &str = "transaction_isolation";
const USUAL_ISOLATION: &str = "default_transaction_isolation";

/// Name as it is shown, default, kind.
const KNOWN: &[(&str, &str, Kind)] = &[
    ("allow_in_place_tablespaces", "off", Taken),
    ("application_name", "", Taken),
    ("backslash_quote", "safe_encoding", Taken),
    ("bytea_output", "hex", Only(&["hex"])),
    ("check_function_bodies", "on", Taken),
    ("client_encoding", "UTF8", Only(&["utf8", "utf-8", "unicode"])),
    (CLIENT_MESSAGES, "notice", OneOf(&MESSAGE_LEVELS)),
    ("constraint_exclusion", "partition", Taken),
    ("cursor_tuple_fraction", "0.1", Taken),
    (DATE_STYLE, "ISO, MDY", Dates),
    ("default_table_access_method", "iceberg", Fixed),
    ("default_transaction_deferrable", "off", Taken),
    (USUAL_ISOLATION, "repeatable read", Taken),
    (READ_ONLY, "off", Switch),
    ("effective_cache_size", "524288", Taken),
    ("enable_seqscan", "on", Taken),
    ("escape_string_warning", "on", Taken),
    ("extra_float_digits", "1", Taken),
    ("geqo", "on", Taken),
    ("idle_in_transaction_session_timeout", "0", Milliseconds),
    ("idle_session_timeout", "0", Milliseconds),
    ("in_hot_standby", "off", Fixed),
    ("integer_datetimes", "on", Fixed),
    ("IntervalStyle", "postgres", Only(&["postgres"])),
    ("is_superuser", "off", Fixed),
    ("jit", "off", Taken),
    ("lc_collate", "C", Fixed),
    ("lc_ctype", "C.UTF-8", Fixed),
    ("lc_messages", "C", Taken),
    ("lc_monetary", "C", Taken),
    ("lc_numeric", "C", Taken),
    ("lc_time", "C", Taken),
    ("lock_timeout", "0", Milliseconds),
    ("max_identifier_length", "63", Fixed),
    ("max_index_keys", "32", Fixed),
    ("max_parallel_workers_per_gather", "2", Taken),
    ("quote_all_identifiers", "off", Taken),
    ("random_page_cost", "4", Taken),
    ("row_security", "on", Taken),
    (SEARCH_PATH, "", Path),
    ("seq_page_cost", "1", Taken),
    ("server_encoding", "UTF8", Fixed),
    ("server_version", SERVER_VERSION, Fixed),
    ("server_version_num", "150000", Fixed),
    ("session_authorization", "", Fixed),
    ("ssl", "off", Fixed),
    ("standard_conforming_strings", "on", Only(&["on", "true", "1", "yes"])),
    ("statement_timeout", "0", Milliseconds),
    ("synchronize_seqscans", "on", Taken),
    ("synchronous_commit", "on", Taken),
    ("temp_buffers", "1024", Taken),
    (CACHE_SETTING, "on", Switch),
    (CACHE_NOTICES, "off", Switch),
    ("tidewater.execution", "auto", OneOf(&Execution::NAMES)),
    (WAP_ID, "", Taken),
    ("TimeZone", "UTC", InZone),
    ("transaction_deferrable", "off", Taken),
    (ISOLATION, "repeatable read", Taken),
    ("transaction_read_only", "off", Taken),
    ("work_mem", "4096", Taken),
    ("xmloption", "content", Taken),
];

/// Settings that clients are told of whenever they change, and at the start.
pub(super) const REPORTED: &[&str] = &[
    "application_name",
    "client_encoding",
    DATE_STYLE,
    READ_ONLY,
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// The settings of a session.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// What they are when nothing was set: what the connection began with.
    defaults: BTreeMap<String, String>,
    set: BTreeMap<String, String>,
    zone: Zone,
    /// What is set only until the transaction ends, with what was set before it.
    local: BTreeMap<String, Option<String>>,
    /// What was set when the transaction began.
    before: Option<BTreeMap<String, String>>,
}

impl Settings {
    /// Of this user's session, with this schema for names that have none.
    pub(super) fn new(user: &str, schema: &str) -> Self {
        let mut defaults: BTreeMap<String, String> = KNOWN
            .iter()
            .map(|(name, value, _)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        defaults.insert("session_authorization".into(), user.into());
        defaults.insert(SEARCH_PATH.into(), quoted(schema));
        Self {
            defaults,
            set: BTreeMap::new(),
            zone: Zone::default(),
            local: BTreeMap::new(),
            before: None,
        }
    }

    /// Of a server that speaks TLS, whether or not this session does: so PostgreSQL tells it.
    #[must_use]
    pub(super) fn offering_tls(mut self, offers: bool) -> Self {
        if offers {
            self.defaults.insert("ssl".into(), "on".into());
        }
        self
    }

    /// What a client says at the start is what `RESET` goes back to.
    pub(super) fn begin_with(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let name = self.set(name, value)?;
        if let Some(value) = self.set.remove(&name) {
            self.defaults.insert(name, value);
        }
        Ok(())
    }

    /// Sets it; its name as it is shown.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<String, Failure> {
        let (shown, kind) = match KNOWN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)) {
            Some((shown, _, kind)) => ((*shown).to_owned(), *kind),
            // Somebody else's: kept for them.
            None if name.contains('.') => (name.to_lowercase(), Taken),
            None => return Err(unknown(name)),
        };
        let invalid = || {
            Failure::new(
                state::INVALID_PARAMETER,
                format!("invalid value for parameter \"{shown}\": \"{value}\""),
            )
        };
        if value.len() > VALUE_BYTES_MAX || (self.set.len() >= SETTINGS_MAX && !self.set.contains_key(&shown)) {
            return Err(invalid());
        }
        // Some drivers send it in quotes.
        let mut value = value.trim_matches('\'').to_owned();
        match kind {
            Fixed => {
                return Err(Failure::new(
                    state::CANNOT_CHANGE,
                    format!("parameter \"{shown}\" cannot be changed"),
                ));
            }
            Only(allowed) if !allowed.iter().any(|one| one.eq_ignore_ascii_case(&value)) => return Err(invalid()),
            Only(_) => value = self.defaults.get(&shown).cloned().unwrap_or(value),
            OneOf(allowed) => {
                value = value.trim_matches('"').to_lowercase();
                if !allowed.contains(&value.as_str()) {
                    let hint = format!("It is one of {}.", allowed.join(", "));
                    return Err(invalid().hint(hint));
                }
            }
            InZone => {
                // A name in PostgreSQL's grammar may stand in quotes of either kind; pgcli sends it so.
                value = value.trim_matches('"').to_owned();
                self.zone = Zone::named(&value).ok_or_else(invalid)?;
            }
            Dates => {
                let usual = self.defaults.get(&shown).map_or("", String::as_str);
                value = dates::canonical(&value, self.get(&shown), usual)?;
            }
            Milliseconds => value = milliseconds(&value).ok_or_else(invalid)?.to_string(),
            Switch => value = switch(&value).ok_or_else(invalid)?.to_owned(),
            Path => value = path::canonical(&value),
            Taken => {}
        }
        self.local.remove(&shown);
        self.set.insert(shown.clone(), value);
        Ok(shown)
    }

    /// Back to what it was at the start; its name as it is shown.
    pub(super) fn reset(&mut self, name: &str) -> Result<String, Failure> {
        let shown = self.name(name).ok_or_else(|| unknown(name))?;
        self.local.remove(&shown);
        self.set.remove(&shown);
        if shown == "TimeZone" {
            self.zone = self
                .defaults
                .get(&shown)
                .and_then(|name| Zone::named(name))
                .unwrap_or_default();
        }
        Ok(shown)
    }

    /// All of them, back to what they were at the start.
    pub(super) fn reset_all(&mut self) {
        self.local.clear();
        self.set.clear();
        self.zone = self
            .defaults
            .get("TimeZone")
            .and_then(|name| Zone::named(name))
            .unwrap_or_default();
    }

    /// Name and value as they are shown.
    pub(super) fn show(&self, name: &str) -> Result<(String, String), Failure> {
        let shown = self.name(name).ok_or_else(|| unknown(name))?;
        let value = self.get(&shown).to_owned();
        Ok((shown, value))
    }

    /// Every setting with its value.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let mut all = self.defaults.clone();
        all.extend(self.set.clone());
        all.insert(ISOLATION.into(), self.get(ISOLATION).into());
        all
    }

    pub(super) fn get(&self, shown: &str) -> &str {
        let usual = if shown == ISOLATION { USUAL_ISOLATION } else { shown };
        let set = self.set.get(shown).or_else(|| self.set.get(usual));
        let found = set.or_else(|| self.defaults.get(usual));
        found.map_or("", String::as_str)
    }

    /// Where instants are shown.
    pub(super) fn zone(&self) -> Zone {
        self.zone
    }

    /// How long a statement may take; `None` without a limit of the session's own.
    pub(super) fn duration(&self, shown: &str) -> Option<Duration> {
        let limit = milliseconds(self.get(shown)).filter(|limit| *limit > 0);
        limit.map(Duration::from_millis)
    }

    /// The schemas of names that have none, first one first. `"$user"` and `public`, of which there are none, are left out.
    pub(super) fn schemas(&self) -> Vec<String> {
        let mut schemas = path::names(self.get(SEARCH_PATH));
        schemas.retain(|schema| schema != "$user");
        schemas
    }

    fn name(&self, name: &str) -> Option<String> {
        let known = self.defaults.keys().chain(self.set.keys());
        known
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .cloned()
    }
}

/// As PostgreSQL reads truths.
fn switch(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some("on"),
        "off" | "false" | "no" | "0" => Some("off"),
        _ => None,
    }
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        state::UNKNOWN_PARAMETER,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

/// A time as PostgreSQL writes it: a number with a unit, or of milliseconds.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches('\'');
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what drivers send is taken, and what would mean something else is refused. Method: settings of each kind.
    #[test]
    fn settings_are_taken_or_refused() {
        let mut settings = Settings::new("ana", "gold");
        settings.begin_with("timezone", "Asia/Tokyo").expect("a zone");
        assert_eq!(settings.show("TIMEZONE").expect("known").1, "Asia/Tokyo");
        settings
            .set("TimeZone", "\"Europe/Berlin\"")
            .expect("a zone, as pgcli says it");
        assert_eq!(settings.get("TimeZone"), "Europe/Berlin");
        settings.set("TimeZone", "UTC").expect("a zone");
        settings.reset("timezone").expect("known");
        assert_eq!(settings.get("TimeZone"), "Asia/Tokyo");
        settings.set("statement_timeout", "2s").expect("a time");
        assert_eq!(settings.duration("statement_timeout"), Some(Duration::from_secs(2)));
        assert_eq!(
            settings.set("probe.anything", "x").as_deref().ok(),
            Some("probe.anything")
        );
        settings.set("TIDEWATER.cache", "False").expect("a switch");
        assert_eq!(settings.get("tidewater.cache"), "off");
        settings.set("search_path", "\"$user\", toy").expect("a path");
        assert_eq!(settings.schemas(), ["toy"]);
        settings.set("search_path", "Gold, \"Gold\", \"a,b\"").expect("a path");
        assert_eq!(settings.schemas(), ["gold", "Gold", "a,b"]);
        assert_eq!(settings.get("search_path"), "gold, \"Gold\", \"a,b\"");
        assert_eq!(Settings::new("ana", "Gold").schemas(), ["Gold"]);
        settings
            .set("client_encoding", "'utf-8'".trim_matches('\''))
            .expect("the one encoding");
        for (name, value) in [
            ("client_encoding", "LATIN1"),
            ("server_version", "9"),
            ("nonsense", "1"),
            ("TimeZone", "Mars"),
            ("statement_timeout", "soon"),
            ("tidewater.cache", "sometimes"),
        ] {
            assert!(settings.set(name, value).is_err(), "{name}");
        }
    }

    // Goal: whether the server speaks TLS is told, and nobody changes what is told. Method: a server with it and one without.
    #[test]
    fn tls_is_told() {
        for (offers, shown) in [(false, "off"), (true, "on")] {
            let mut settings = Settings::new("ana", "gold").offering_tls(offers);
            assert_eq!(settings.show("SSL").expect("known").1, shown);
            assert!(settings.begin_with("ssl", "on").is_err());
            settings.reset_all();
            assert_eq!(settings.all().get("ssl").map(String::as_str), Some(shown));
        }
    }
}
