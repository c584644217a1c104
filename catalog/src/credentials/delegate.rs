//! Gives clients what they ask for and may have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use moka::future::Cache;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use super::scope::TableScope;
use super::sigv4::{self, Service as Signed};
use super::sts::{self, Role};
use super::{AccessKeys, DelegationOptions, SignRequest, Vending};
use crate::command::Ident;
use crate::error::{CatalogError, Result};
use crate::rest::may_write_files;
use crate::service::Service;
use crate::warehouse::Warehouse;
use tidewater_core::{SharedClock, SharedRng};

/// The region that is signed for when none is set; stores other than Amazon's do not care.
const REGION_DEFAULT: &str = "us-east-1";

/// What STS accepts for how long.
const LIFETIME_MIN: Duration = Duration::from_secs(900);
const LIFETIME_MAX: Duration = Duration::from_secs(12 * 3_600);

/// Credentials that are kept to be given again, about a kilobyte each.
const KEPT_MAX: u64 = 10_000;

/// What stands for itself in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a client asks for, by `X-Iceberg-Access-Delegation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    credentials: bool,
    signing: bool,
    /// Whoever asks may not change the table's files.
    reads_only: bool,
}

impl Wish {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("x-iceberg-access-delegation").iter();
        let words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut wish = Self::default();
        for word in words {
            match word.trim() {
                "vended-credentials" => wish.credentials = true,
                "remote-signing" => wish.signing = true,
                _ => {}
            }
        }
        wish
    }

    /// Credentials and nothing else.
    pub(crate) fn credentials() -> Self {
        Self {
            credentials: true,
            ..Self::default()
        }
    }

    /// For somebody who may only read.
    #[must_use]
    pub(crate) fn only_for_reading(self) -> Self {
        Self {
            reads_only: true,
            ..self
        }
    }
}

/// What a client is given with a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grant {
    /// Properties for the client's file access.
    pub(crate) config: BTreeMap<String, String>,
    /// Never one without keys: clients would take it for what they need.
    pub(crate) credentials: Vec<StorageCredential>,
    /// Properties that a client sends back with each request to be signed.
    pub(crate) signing: Option<BTreeMap<String, String>>,
}

/// Keys for everything that begins with a prefix.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StorageCredential {
    pub(crate) prefix: String,
    pub(crate) config: BTreeMap<String, String>,
}

/// Keys with their end.
#[derive(Debug)]
struct Vended {
    keys: AccessKeys,
    until_ms: i64,
}

/// Hands out credentials and signs requests.
#[derive(Debug)]
pub(crate) struct Delegate {
    options: DelegationOptions,
    keys: Option<AccessKeys>,
    /// None when this machine cannot do TLS.
    http: Option<reqwest::Client>,
    kept: Cache<String, Arc<Vended>>,
    clock: SharedClock,
    rng: SharedRng,
}

impl Delegate {
    pub(crate) fn new(mut options: DelegationOptions, clock: SharedClock, rng: SharedRng) -> Self {
        options.lifetime = options.lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX);
        let s3 = &options.s3;
        let keys = s3.access_key_id.clone().zip(s3.secret_access_key.clone());
        Self {
            keys: keys.map(|(access_key_id, secret_access_key)| AccessKeys {
                access_key_id,
                secret_access_key,
                session_token: s3.session_token.clone(),
            }),
            options,
            // A signed call means one address: it is not sent on to another.
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .ok(),
            kept: Cache::builder().max_capacity(KEPT_MAX).build(),
            clock,
            rng,
        }
    }

    /// What a client gets for a table. The location is checked before anything is made.
    pub(crate) async fn grant(
        &self,
        warehouse: &Warehouse,
        wish: Wish,
        table: &Ident,
        uuid: Uuid,
        location: &str,
    ) -> Result<Grant> {
        let mut grant = Grant::default();
        if !wish.credentials && !wish.signing {
            return Ok(grant);
        }
        let Some(scope) = TableScope::of(warehouse, location)? else {
            return Ok(grant);
        };
        let scope = scope.only_for_reading(wish.reads_only);
        if wish.credentials
            && let Some(vended) = self.credentials(location, &scope).await?
        {
            grant.config = self.reach();
            let mut config = self.reach();
            let keys = &vended.keys;
            config.insert("s3.access-key-id".into(), keys.access_key_id.clone());
            config.insert("s3.secret-access-key".into(), keys.secret_access_key.clone());
            if let Some(token) = &keys.session_token {
                config.insert("s3.session-token".into(), token.clone());
            }
            config.insert("s3.session-token-expires-at-ms".into(), vended.until_ms.to_string());
            config.insert("client.refresh-credentials-enabled".into(), "true".into());
            config.insert(
                "client.refresh-credentials-endpoint".into(),
                format!("{}/credentials", path(table)),
            );
            // Clients that do not know storage credentials look here.
            grant.config.extend(config.clone());
            let prefix = format!("{}/", location.trim_end_matches('/'));
            grant.credentials.push(StorageCredential { prefix, config });
        } else if wish.signing && self.options.remote_signing && self.keys.is_some() {
            grant.config = self.reach();
            let endpoint = format!("{}/sign", path(table));
            for (name, value) in [
                ("s3.remote-signing-enabled", "true"),
                ("s3.signer", "S3V4RestSigner"),
                ("s3.signer.endpoint", &endpoint),
                ("signer.endpoint", &endpoint),
                // PyIceberg signs only through this one.
                ("py-io-impl", "pyiceberg.io.fsspec.FsspecFileIO"),
            ] {
                grant.config.insert(name.into(), value.into());
            }
            grant.signing = Some(BTreeMap::from([("table-uuid".to_owned(), uuid.to_string())]));
        }
        Ok(grant)
    }

    /// Where the store is.
    fn reach(&self) -> BTreeMap<String, String> {
        let s3 = &self.options.s3;
        let mut config = BTreeMap::new();
        if let Some(endpoint) = &s3.endpoint {
            config.insert("s3.endpoint".into(), endpoint.clone());
        }
        if let Some(region) = &s3.region {
            config.insert("s3.region".into(), region.clone());
            config.insert("client.region".into(), region.clone());
        }
        config.insert("s3.path-style-access".into(), (!s3.virtual_hosted).to_string());
        config
    }

    async fn credentials(&self, location: &str, scope: &TableScope) -> Result<Option<Arc<Vended>>> {
        let lifetime_ms = i64::try_from(self.options.lifetime.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.clock.now_ms();
        let (endpoint, role_arn, external_id) = match &self.options.vending {
            Vending::Nothing => return Ok(None),
            // The same keys for everybody write.
            Vending::Static(_) if scope.reads_only() => return Ok(None),
            Vending::Static(keys) => {
                let (keys, until_ms) = (keys.clone(), now_ms.saturating_add(lifetime_ms));
                return Ok(Some(Arc::new(Vended { keys, until_ms })));
            }
            Vending::AssumeRole {
                endpoint,
                role_arn,
                external_id,
            } => (endpoint, role_arn, external_id),
        };
        // A client gets at least half of the time.
        let kept_as = match scope.reads_only() {
            true => format!("{location} for reading"),
            false => location.to_owned(),
        };
        if let Some(kept) = self.kept.get(&kept_as).await
            && kept.until_ms.saturating_sub(now_ms) > lifetime_ms / 2
        {
            return Ok(Some(kept));
        }
        let (Some(own), Some(http)) = (&self.keys, &self.http) else {
            return Err(CatalogError::NoSts {
                reason: "the catalog has no keys to assume a role with, or cannot do TLS".into(),
            });
        };
        let region = self.region();
        let amazon = format!("https://sts.{region}.amazonaws.com/");
        let role = Role {
            endpoint: endpoint.as_deref().unwrap_or(&amazon),
            region,
            arn: role_arn,
            external_id: external_id.as_deref(),
            lifetime: self.options.lifetime,
        };
        let session = format!("tidewater-{}", self.rng.uuid().simple());
        let keys = sts::assume(http, &role, own, scope, &session, now_ms).await?;
        let vended = Arc::new(Vended {
            keys,
            until_ms: now_ms.saturating_add(lifetime_ms),
        });
        self.kept.insert(kept_as, Arc::clone(&vended)).await;
        Ok(Some(vended))
    }

    /// Signs a request when it touches nothing but the table's folder. The headers to be added.
    pub(crate) fn sign(
        &self,
        warehouse: &Warehouse,
        request: &SignRequest,
        uuid: Uuid,
        location: &str,
    ) -> Result<BTreeMap<String, String>> {
        let off = || CatalogError::Unsupported {
            what: "signing requests for tables of this warehouse".into(),
        };
        let keys = self
            .keys
            .as_ref()
            .filter(|_| self.options.remote_signing)
            .ok_or_else(off)?;
        let scope = TableScope::of(warehouse, location)?.ok_or_else(off)?;
        // What is signed is not all that such a store does: the same request with a header more copies another table's file to this one.
        let takes_more = self.options.s3.endpoint.is_some() && !self.options.store_refuses_unsigned_headers;
        if takes_more && !request.only_reads() {
            return Err(CatalogError::OutOfScope {
                reason: "the request is not signed: it writes, and the store may take headers that are not signed \
                         (catalog.access.store_refuses_unsigned_headers)"
                    .into(),
            });
        }
        let unsigned = request.checked(&scope, &self.options.s3, uuid)?;
        let service = Signed {
            name: "s3",
            region: self.options.s3.region.as_deref().unwrap_or(&request.region),
        };
        Ok(sigv4::sign(&unsigned.as_unsigned(), keys, service, self.clock.now_ms()))
    }

    fn region(&self) -> &str {
        self.options.s3.region.as_deref().unwrap_or(REGION_DEFAULT)
    }
}

/// The path of a table, relative to the catalog's URL.
fn path(table: &Ident) -> String {
    let segment = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    let namespace: Vec<String> = table.namespace.iter().map(|level| segment(level)).collect();
    format!(
        "v1/namespaces/{}/tables/{}",
        namespace.join("%1F"),
        segment(&table.name)
    )
}

impl Service {
    /// What a client gets with a table at `location`: what only reads, if its user may only read.
    pub(crate) async fn grant(&self, wish: Wish, table: &Ident, uuid: Uuid, location: &str) -> Result<Grant> {
        let wish = match may_write_files(table) {
            true => wish,
            false => wish.only_for_reading(),
        };
        self.grant_to_maker(wish, table, uuid, location).await
    }

    /// What a client gets with a table that it makes.
    pub(crate) async fn grant_to_maker(&self, wish: Wish, table: &Ident, uuid: Uuid, location: &str) -> Result<Grant> {
        match &self.delegate {
            Some(delegate) => delegate.grant(&self.warehouse, wish, table, uuid, location).await,
            None => Ok(Grant::default()),
        }
    }
}
