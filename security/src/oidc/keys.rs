//! An issuer's keys as they were fetched last.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;

use tidewater_core::SharedClock;

use super::fetch::Fetch;
use super::jwks::{self, Key, Public};
use super::jws::Algorithm;
use super::{OidcSettings, is_safe, refused};
use crate::error::SecurityError;

/// Keys this old are fetched again, so that one that the issuer took out is out here too.
const FRESH_FOR: Duration = Duration::from_secs(15 * 60);

/// Keys that cannot be fetched again are good for so long: an issuer that is down must not lock everybody out at once.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Not fetched more often, whatever tokens name: who sends made-up tokens must not make us ask without end.
const FETCH_INTERVAL: Duration = Duration::from_secs(30);

/// Time of a fetch, discovery included.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// Longest document.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    jwks_url: Option<String>,
    fetch: Arc<dyn Fetch>,
    clock: SharedClock,
    /// Held while they are fetched: all who need them wait for one fetch.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Key>,
    /// When they were fetched, by the monotonic clock.
    fetched: Option<Duration>,
    /// When that was tried last.
    tried: Option<Duration>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(settings: &OidcSettings, fetch: Arc<dyn Fetch>, clock: SharedClock) -> Self {
        Self {
            issuer: settings.issuer.clone(),
            jwks_url: settings.jwks_url.clone(),
            fetch,
            clock,
            known: Mutex::default(),
        }
    }

    /// The key of this name, fetched again if it is not known and that was not tried just now.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Public, SecurityError> {
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        let age = |since: Option<Duration>| since.map(|since| now.saturating_sub(since));
        let found = jwks::find(&known.keys, id, algorithm).map(|key| key.public.clone());
        let fresh = age(known.fetched).is_some_and(|age| age < FRESH_FOR);
        let may_try = age(known.tried).is_none_or(|age| age >= FETCH_INTERVAL);
        if !may_try || (fresh && found.is_some()) {
            return self.settled(&known, found);
        }
        known.tried = Some(now);
        let fetched = tokio::select! {
            fetched = self.fetch() => fetched,
            () = self.clock.sleep(FETCH_DEADLINE) => Err("no answer in time".to_owned()),
        };
        match fetched {
            Ok(keys) => {
                known.keys = keys;
                known.fetched = Some(now);
            }
            Err(reason) => {
                tracing::warn!(issuer = %self.issuer, reason, "an issuer's keys cannot be fetched");
                if age(known.fetched).is_none_or(|age| age >= KEPT_FOR) {
                    known.keys.clear();
                    known.fetched = None;
                }
            }
        }
        let found = jwks::find(&known.keys, id, algorithm).map(|key| key.public.clone());
        self.settled(&known, found)
    }

    fn settled(&self, known: &Known, found: Option<Public>) -> Result<Public, SecurityError> {
        match (found, known.fetched) {
            (Some(key), _) => Ok(key),
            (None, Some(_)) => Err(refused("its key is none of its issuer's")),
            (None, None) => Err(SecurityError::KeysUnknown {
                issuer: self.issuer.clone(),
            }),
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, String> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let document = self.fetch.fetch(&url, DOCUMENT_BYTES_MAX).await?;
        jwks::read(&document).ok_or_else(|| "what is there is no set of keys".to_owned())
    }

    async fn discover(&self) -> Result<String, String> {
        let base = self.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let document = self.fetch.fetch(&url, DOCUMENT_BYTES_MAX).await?;
        let found: Discovery =
            serde_json::from_slice(&document).map_err(|_| "what is there is no discovery document".to_owned())?;
        if found.issuer != self.issuer {
            return Err("the discovery document is another issuer's".to_owned());
        }
        match is_safe(&found.jwks_uri) {
            true => Ok(found.jwks_uri),
            false => Err("the discovery document names keys that are not fetched over https".to_owned()),
        }
    }
}
