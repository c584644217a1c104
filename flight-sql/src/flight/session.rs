//! What a client has set for its session. The server keeps none of it: it is a signed cookie, which any node reads, which counts for who
//! was given it and gives no rights, so that a call without it is the same call with the usual settings.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tonic::metadata::MetadataMap;

use tidewater_engine::Execution;
use tidewater_security::TokenKey;

/// The cookie.
const NAME: &str = "tidewater_session";

/// First byte of what is signed, by which it is no handle.
const VERSION: u8 = 0x82;

/// How long settings last: longer than connections do.
pub(super) const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Longest cookie that is looked at: the longest names of a schema and a user in it are shorter.
const COOKIE_BYTES_MAX: usize = 8 << 10;

/// The settings of a session; none where everything is as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// The schema of names that have none.
    pub(super) schema: Option<String>,
    /// Whether rows that are kept are taken.
    pub(super) cached: Option<bool>,
    /// Where queries run.
    pub(super) execution: Option<Execution>,
    /// The longest that a statement may take.
    pub(super) timeout: Option<Duration>,
    /// The id under which writes wait to be published.
    pub(super) wap_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    schema: Option<String>,
    cached: Option<bool>,
    execution: Option<String>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    wap_id: Option<String>,
    /// Whose settings these are. An earlier version did not write it down: what it gave counts until its end, as settings that
    /// are lost without a word could let rows be seen that were to wait.
    #[serde(default)]
    owner: Option<String>,
}

impl Session {
    /// That of a call of somebody. A cookie that is damaged, too old, another's or not ours is none.
    pub(super) fn of(metadata: &MetadataMap, key: &TokenKey, owner: &str, now_ms: i64) -> Self {
        let headers = metadata.get_all("cookie").iter();
        let cookies = headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'));
        let mut values = cookies.filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='));
        // Java puts the value in quotes.
        values
            .find_map(|value| Self::open(value.trim_matches('"'), key, owner, now_ms))
            .unwrap_or_default()
    }

    fn open(value: &str, key: &TokenKey, owner: &str, now_ms: i64) -> Option<Self> {
        if value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (signature, body) = bytes.split_at_checked(32)?;
        if !key.signed(body, signature) {
            return None;
        }
        let (until, written) = body.strip_prefix(&[VERSION])?.split_at_checked(8)?;
        if now_ms >= i64::from_be_bytes(until.try_into().ok()?) {
            return None;
        }
        let written: Written = serde_json::from_slice(written).ok()?;
        if written.owner.is_some_and(|given| given != owner) {
            return None;
        }
        Some(Self {
            schema: written.schema,
            cached: written.cached,
            execution: written.execution.as_deref().and_then(Execution::named),
            timeout: written.timeout_ms.map(Duration::from_millis),
            wap_id: written.wap_id,
        })
    }

    /// The header that makes a client of this owner keep it.
    pub(super) fn cookie(&self, key: &TokenKey, owner: &str, now_ms: i64) -> String {
        let written = serde_json::json!(Written {
            schema: self.schema.clone(),
            cached: self.cached,
            execution: self.execution.map(|execution| named(execution).to_owned()),
            timeout_ms: self
                .timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            wap_id: self.wap_id.clone(),
            owner: Some(owner.to_owned()),
        });
        let mut body = vec![VERSION];
        body.extend_from_slice(&now_ms.saturating_add(KEPT_MS).to_be_bytes());
        body.extend_from_slice(written.to_string().as_bytes());
        let mut signed = key.sign(&body).to_vec();
        signed.append(&mut body);
        // No Max-Age: Java would take it for a cookie of another standard, and the end is in the value.
        format!("{NAME}={}; Path=/; HttpOnly", URL_SAFE_NO_PAD.encode(signed))
    }

    /// The header that makes a client forget it.
    pub(super) fn no_cookie() -> String {
        format!("{NAME}=; Path=/; HttpOnly; Max-Age=0")
    }
}

/// The name by which a place is set.
pub(super) fn named(execution: Execution) -> &'static str {
    match execution {
        Execution::Auto => "auto",
        Execution::Local => "local",
        Execution::Cluster => "cluster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{Statement, StatementHandle};

    fn sent(cookie: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("cookie", cookie.parse().expect("a header"));
        metadata
    }

    // Goal: settings come back from any client until their end, and nothing else is a setting. Method: the cookie as Go and as Java send it;
    // each of its characters altered; after its end; with another key; another's; a handle in its place; one of before there were owners.
    #[test]
    fn only_our_own_cookies_set_anything() {
        let key = TokenKey::derive(b"secret");
        let session = Session {
            schema: Some("größe.a".into()),
            cached: Some(false),
            execution: Some(Execution::Cluster),
            timeout: Some(Duration::from_millis(5)),
            wap_id: Some("night-1".into()),
        };
        let header = session.cookie(&key, "ana", 1_000);
        assert!(header.ends_with("; Path=/; HttpOnly"), "{header}");
        let pair = header.split(';').next().expect("a pair");
        let value = pair.split_once('=').expect("a value").1;
        let of = |cookie: &str, now_ms| Session::of(&sent(cookie), &key, "ana", now_ms);
        assert_eq!(of(pair, 1_000), session);
        assert_eq!(of(&format!("a=b; {NAME}=\"{value}\";$Path=\"/\""), 1_000), session);
        assert_eq!(of(&format!("{NAME}=x; {pair}"), 1_000), session);
        let usual = Session::default();
        assert_eq!(of(pair, 1_000 + KEPT_MS), usual);
        assert_eq!(
            Session::of(&sent(pair), &TokenKey::derive(b"other"), "ana", 1_000),
            usual
        );
        assert_eq!(Session::of(&MetadataMap::new(), &key, "ana", 1_000), usual);
        assert_eq!(Session::of(&sent(pair), &key, "bob", 1_000), usual);
        let handle = StatementHandle {
            statement: Statement::new("SELECT 1"),
            owner: "ana".into(),
            until_ms: i64::MAX,
        };
        let handle = URL_SAFE_NO_PAD.encode(handle.seal(&key));
        assert_eq!(of(&format!("{NAME}={handle}"), 1_000), usual);
        let mut body = vec![VERSION];
        body.extend_from_slice(&2_000_i64.to_be_bytes());
        body.extend_from_slice(br#"{"schema":"older","cached":null,"execution":null,"timeout_ms":null}"#);
        let mut older = key.sign(&body).to_vec();
        older.append(&mut body);
        let older = format!("{NAME}={}", URL_SAFE_NO_PAD.encode(older));
        assert_eq!(of(&older, 1_000).schema.as_deref(), Some("older"));
        assert_eq!(of(&older, 2_000), usual);
        for at in 0..value.len() {
            let mut altered = value.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("text");
            // The last character holds bits that stand for nothing.
            if URL_SAFE_NO_PAD.decode(&altered) != URL_SAFE_NO_PAD.decode(value) {
                assert_eq!(of(&format!("{NAME}={altered}"), 1_000), usual, "character {at}");
            }
        }
    }
}
