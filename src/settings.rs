//! Every setting of the binary: one struct a section, with the defaults of `tidewater up`.

mod audit;
mod authorities;
mod compute;
mod granting;
mod serving;
mod siblings;
mod storage;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use reqwest::Certificate;
use serde::{Deserialize, Serialize};

use tidewater_catalog_client::{Bearer, ClientOptions};
use tidewater_core::config::{ConfigError, Layers};
use tidewater_core::{Secret, SharedRng, SystemClock};
use tidewater_flight_sql::http::Origin;
use tidewater_ingest::{DecodeOptions, IngestOptions, MappingRule};
use tidewater_security::{Grants, NodeTlsSettings, OidcSettings, Principal, TlsSettings, TokenKey, UserSettings};
use tidewater_table::RewriteOptions;

pub(crate) use self::audit::AuditSettings;
pub(crate) use self::authorities::authorities;
pub(crate) use self::compute::{AdmissionSettings, EngineSettings, ExecutorSettings, SchedulerSettings};
pub(crate) use self::serving::ServingSettings;
pub(crate) use self::siblings::Sibling;
pub(crate) use self::storage::StorageSettings;
use crate::cli::failure::Failure;
use crate::roles::local_secret;

/// How long a token is good that a node makes for one call: clocks of nodes may differ by some of it.
const NODE_TOKEN_TTL_MS: i64 = 10 * 60 * 1000;

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where this process keeps everything it owns.
    pub(crate) data_dir: PathBuf,
    pub(crate) catalog: CatalogSettings,
    pub(crate) raft: RaftSettings,
    pub(crate) storage: StorageSettings,
    pub(crate) engine: EngineSettings,
    pub(crate) scheduler: SchedulerSettings,
    pub(crate) admission: AdmissionSettings,
    pub(crate) executor: ExecutorSettings,
    pub(crate) ingest: IngestSettings,
    pub(crate) pipelines: PipelineSettings,
    pub(crate) maintenance: MaintenanceSettings,
    pub(crate) flight_sql: FlightSqlSettings,
    pub(crate) postgres: PostgresSettings,
    pub(crate) serving: ServingSettings,
    pub(crate) http: HttpSettings,
    pub(crate) security: SecuritySettings,
    pub(crate) audit: AuditSettings,
    /// TLS between nodes, on the ports of Raft, scheduler and executors. None means that they do not speak it.
    pub(crate) node_tls: Option<NodeTlsSettings>,
    /// What stands in for `security.node_secret` in the catalog of one machine; of the data directory, never configured.
    #[serde(skip)]
    pub(crate) local_secret: Option<Secret>,
    /// What stands in for `security.token_secret`; of the data directory, never configured.
    #[serde(skip)]
    pub(crate) kept_key: Option<TokenKey>,
}

/// The Iceberg REST catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CatalogSettings {
    pub(crate) listen: SocketAddr,
    /// What other processes call this node by; empty means `http://<listen>`.
    pub(crate) advertise: String,
    /// Where tables live (`file:///…` or `s3://bucket/prefix`); empty means `<data_dir>/lake`.
    pub(crate) warehouse: String,
    /// Other places that tables may lie in, when their makers say so.
    pub(crate) locations: Vec<String>,
    /// What clients are given to reach files in S3 with.
    pub(crate) access: AccessSettings,
    /// Every node of the catalog, for roles that run elsewhere; empty means this one.
    pub(crate) endpoints: Vec<String>,
    /// PEM: the CA of catalog nodes whose certificates nobody else vouches for.
    pub(crate) ca: Option<PathBuf>,
    /// What this process shows to the catalog when it does not know the node secret; made by `tidewater user token`.
    pub(crate) token: Option<Secret>,
    /// How long a dropped table can be brought back; 0 means not at all.
    pub(crate) drop_retention_s: u64,
    /// How long one can be whose files go; 0 means that they go at once.
    pub(crate) purge_retention_s: u64,
    /// Whether a commit that only appends, and lost a race, is put on the new head instead of being refused.
    pub(crate) rebase_appends: bool,
    /// What other engines call this catalog in views that SQL makes; none means that only a view itself says so.
    pub(crate) view_default_catalog: Option<String>,
}

/// What clients are given to reach files in S3 with. Nothing unless a role, static keys or signing is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessSettings {
    /// A role that is narrowed to one table for each client.
    pub(crate) role_arn: Option<String>,
    /// What the role's owner demands from others.
    pub(crate) external_id: Option<String>,
    /// Where STS is; none means Amazon's of the region.
    pub(crate) sts_endpoint: Option<String>,
    /// The same keys for every table, for stores without STS.
    pub(crate) static_access_key_id: Option<String>,
    pub(crate) static_secret_access_key: Option<Secret>,
    /// Whether requests of clients are signed.
    pub(crate) remote_signing: bool,
    /// Whether the store at `storage.s3_endpoint` refuses headers that are not signed and change what a request does. Without that,
    /// requests that write are not signed for it.
    pub(crate) store_refuses_unsigned_headers: bool,
    /// How long a credential is good; none means an hour.
    pub(crate) lifetime_s: Option<u64>,
}

/// The replicated log of the catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RaftSettings {
    pub(crate) node_id: u64,
    pub(crate) listen: SocketAddr,
    /// `host:port` by which other nodes reach `listen`; empty means `listen` itself.
    pub(crate) advertise: String,
    /// Voters by node id; empty means one voter, this node.
    pub(crate) peers: BTreeMap<String, RaftPeer>,
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_min_ms: u64,
    pub(crate) election_max_ms: u64,
}

/// One voter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RaftPeer {
    /// `host:port` of its log listener.
    pub(crate) raft: String,
    /// URL of its catalog.
    pub(crate) catalog: String,
}

/// Consumers of change data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IngestSettings {
    pub(crate) commit_interval_ms: u64,
    pub(crate) sources: Vec<SourceSettings>,
    /// Rules that name a topic's table; without one that matches it is the last segment of the topic.
    pub(crate) mapping: Vec<MappingRule>,
    /// How records are read.
    pub(crate) decode: DecodeOptions,
    /// Bad records of a partition and minute that are borne, whatever their share.
    pub(crate) dead_letters_per_minute: u32,
    /// Beyond that, bad records may be this share of a partition's records of a minute.
    pub(crate) dead_letters_percent: u32,
    /// Snapshots that bronze tables keep: a model that is behind by more commits reads its source anew.
    pub(crate) keep_snapshots: u32,
    /// How long a partition stays with a process that has gone silent.
    pub(crate) lease_ttl_ms: u64,
}

/// Where changes come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub(crate) enum SourceSettings {
    /// A folder of JSON lines with topic, partition and offset, followed as it grows.
    File { path: PathBuf },
    /// Topics of a Kafka cluster.
    Kafka {
        bootstrap: String,
        /// Regular expressions, each over whole topic names.
        topics: Vec<String>,
        /// Further librdkafka properties, such as SASL settings: some hold passwords.
        #[serde(default)]
        properties: BTreeMap<String, Secret>,
    },
}

/// The project of models that this installation keeps up to date.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PipelineSettings {
    /// Folder with `lakehouse.yml`; none means no pipelines.
    pub(crate) project: Option<PathBuf>,
    /// Follow the catalog and refresh models within their target lag.
    pub(crate) follow: bool,
}

/// How the tables that ingest writes are kept in shape; by the process that schedules.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MaintenanceSettings {
    pub(crate) enabled: bool,
    /// How often tables are looked at.
    pub(crate) interval_s: u64,
    /// So many files of about the same size are merged into one.
    pub(crate) files_min: usize,
    /// Files of about this size are left alone.
    pub(crate) target_file_bytes: u64,
    /// How long a snapshot stays at least, unless there are too many.
    pub(crate) keep_s: u64,
    /// More snapshots than this, and half as many, are never kept. Less than `ingest.keep_snapshots`, which removes no files.
    pub(crate) keep_snapshots: u32,
    /// More are kept than that, but never more than this, while a model has not read them.
    pub(crate) keep_for_consumers: u32,
}

/// The SQL endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlightSqlSettings {
    pub(crate) listen: SocketAddr,
    /// Longest time a query may run.
    pub(crate) query_timeout_ms: u64,
    /// Control endpoints of the other processes that answer statements behind the same address.
    pub(crate) siblings: Vec<Sibling>,
}

/// The PostgreSQL wire, of processes that have the role `flight-sql`. `flight_sql.query_timeout_ms` is its too.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PostgresSettings {
    pub(crate) listen: SocketAddr,
    /// Connections that one user may have in a process; 0 means as many as there are places.
    pub(crate) user_connections_max: usize,
}

/// Health, status and operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSettings {
    pub(crate) listen: SocketAddr,
    /// Opens `/metrics`, and nothing else, to whoever bears it. Where the nodes have a secret, a token of theirs opens it too.
    pub(crate) metrics_token: Option<Secret>,
    /// Other origins whose pages may read answers of SQL over HTTP.
    pub(crate) cors_origins: Vec<Origin>,
    /// Whether requests of other machines are taken over TLS only, but for what probes and scrapes ask.
    pub(crate) require_tls: bool,
}

/// Who may come in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecuritySettings {
    pub(crate) users: Vec<UserSettings>,
    /// From when on what nobody was granted is denied.
    pub(crate) grants: Grants,
    /// Issuers of OpenID Connect whose tokens let in too.
    pub(crate) oidc: Vec<OidcSettings>,
    /// PEM: the CA of issuers whose certificates nobody else vouches for.
    pub(crate) oidc_ca: Option<PathBuf>,
    /// Signs the tokens of users; the same on all nodes. None means `node_secret`, or without it a key that is kept in the
    /// data directory.
    pub(crate) token_secret: Option<Secret>,
    /// How long the token of a login is good; none means twelve hours.
    pub(crate) login_token_ttl_s: Option<u64>,
    /// Known to all nodes and nobody else: proves the catalog's nodes to each other, and signs the tokens without which
    /// catalog and control endpoint answer nobody. None means that these ports stay on loopback.
    pub(crate) node_secret: Option<Secret>,
    /// The certificate of Flight SQL, the PostgreSQL wire and the catalog. None means that they do not speak TLS.
    pub(crate) tls: Option<TlsSettings>,
}

impl SecuritySettings {
    /// Whether anybody has to say who they are.
    pub(crate) fn knows_users(&self) -> bool {
        !self.users.is_empty() || !self.oidc.is_empty()
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("tidewater-data"),
            catalog: CatalogSettings::default(),
            raft: RaftSettings::default(),
            storage: StorageSettings::default(),
            engine: EngineSettings::default(),
            scheduler: SchedulerSettings::default(),
            admission: AdmissionSettings::default(),
            executor: ExecutorSettings::default(),
            ingest: IngestSettings::default(),
            pipelines: PipelineSettings {
                project: None,
                follow: true,
            },
            maintenance: MaintenanceSettings::default(),
            flight_sql: FlightSqlSettings::default(),
            postgres: PostgresSettings::default(),
            serving: ServingSettings::default(),
            http: HttpSettings::default(),
            security: SecuritySettings::default(),
            audit: AuditSettings::default(),
            node_tls: None,
            local_secret: None,
            kept_key: None,
        }
    }
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self {
            listen: loopback(8181),
            advertise: String::new(),
            warehouse: String::new(),
            locations: Vec::new(),
            access: AccessSettings::default(),
            endpoints: Vec::new(),
            ca: None,
            token: None,
            drop_retention_s: 7 * 24 * 60 * 60,
            purge_retention_s: 0,
            rebase_appends: true,
            view_default_catalog: None,
        }
    }
}

impl Default for RaftSettings {
    fn default() -> Self {
        Self {
            node_id: 1,
            listen: loopback(8182),
            advertise: String::new(),
            peers: BTreeMap::new(),
            heartbeat_ms: 50,
            election_min_ms: 200,
            election_max_ms: 400,
        }
    }
}

impl Default for IngestSettings {
    fn default() -> Self {
        let options = IngestOptions::default();
        Self {
            commit_interval_ms: options.commit_interval_ms,
            sources: Vec::new(),
            mapping: options.mapping,
            decode: options.decode,
            dead_letters_per_minute: options.dead_letters_per_minute,
            dead_letters_percent: options.dead_letters_percent,
            keep_snapshots: options.keep_snapshots,
            lease_ttl_ms: options.lease_ttl_ms,
        }
    }
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        let rewrite = RewriteOptions::default();
        Self {
            enabled: true,
            interval_s: 60,
            files_min: rewrite.files_min,
            target_file_bytes: rewrite.target_file_size_bytes,
            keep_s: 300,
            keep_snapshots: 150,
            keep_for_consumers: 1_000,
        }
    }
}

impl Default for FlightSqlSettings {
    fn default() -> Self {
        Self {
            listen: loopback(32010),
            query_timeout_ms: 300_000,
            siblings: Vec::new(),
        }
    }
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            listen: loopback(15432),
            user_connections_max: 1_000,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            metrics_token: None,
            cors_origins: Vec::new(),
            require_tls: false,
        }
    }
}

/// What flags of the command line may override.
#[derive(Debug, Default, Clone)]
pub(crate) struct Overrides {
    pub(crate) config: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
}

/// The file that is read when it is there and none is named.
const DEFAULT_FILE: &str = "tidewater.toml";

impl Settings {
    /// Defaults, then the file, then the environment, then flags.
    pub(crate) fn load(overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults(Self::default());
        match &overrides.config {
            Some(file) => layers = layers.file(file)?,
            None if Path::new(DEFAULT_FILE).is_file() => layers = layers.file(Path::new(DEFAULT_FILE))?,
            None => {}
        }
        let mut settings: Self = layers.env().flag("data_dir", overrides.data_dir.as_ref()).extract()?;
        settings.local_secret = local_secret::read(&settings.data_dir);
        Ok(settings)
    }

    /// Where the catalog's log lies.
    pub(crate) fn raft_dir(&self) -> PathBuf {
        self.data_dir.join("raft")
    }

    /// Where the log of who did what lies.
    pub(crate) fn audit_dir(&self) -> PathBuf {
        self.data_dir.join("audit")
    }

    /// `host:port` by which other nodes reach this one's log.
    pub(crate) fn raft_address(&self) -> String {
        match self.raft.advertise.as_str() {
            "" => self.raft.listen.to_string(),
            advertise => advertise.to_owned(),
        }
    }

    /// The warehouse location with its default applied.
    pub(crate) fn warehouse(&self) -> std::io::Result<String> {
        if !self.catalog.warehouse.is_empty() {
            return Ok(self.catalog.warehouse.clone());
        }
        let data_dir = std::path::absolute(&self.data_dir)?;
        Ok(format!("file://{}", data_dir.join("lake").display()))
    }

    /// URLs of the catalog's nodes.
    pub(crate) fn catalog_endpoints(&self) -> Vec<String> {
        if !self.catalog.endpoints.is_empty() {
            return self.catalog.endpoints.clone();
        }
        if !self.raft.peers.is_empty() {
            return self.raft.peers.values().map(|peer| peer.catalog.clone()).collect();
        }
        vec![self.catalog_url()]
    }

    /// Signs and checks what nodes show each other; none without a secret.
    pub(crate) fn node_key(&self) -> Option<TokenKey> {
        let secret = self.security.node_secret.as_ref()?;
        Some(TokenKey::for_nodes(secret.expose().as_bytes()))
    }

    /// Checks what nodes show to the catalog: the nodes' secret, or where only users were configured, the machine's own.
    pub(crate) fn catalog_key(&self) -> Option<TokenKey> {
        let own = self.local_secret.as_ref().filter(|_| self.security.knows_users());
        let secret = self.security.node_secret.as_ref().or(own)?;
        Some(TokenKey::for_nodes(secret.expose().as_bytes()))
    }

    /// Checks what those show who change the catalog's group; none where nobody has to say who they are.
    pub(crate) fn operator_key(&self) -> Option<TokenKey> {
        self.catalog_key()?;
        self.shown_secret()
            .map(|secret| TokenKey::for_operators(secret.expose().as_bytes()))
    }

    /// Where the key is kept that signs the tokens of users; none where a secret does, or nobody has tokens.
    pub(crate) fn token_key_dir(&self) -> Option<PathBuf> {
        let security = &self.security;
        let has_secret = security.token_secret.is_some() || security.node_secret.is_some();
        (security.knows_users() && !has_secret).then(|| self.data_dir.join("security"))
    }

    /// Signs the tokens of users: the same on all nodes if they share a secret, otherwise in all processes of a data directory.
    pub(crate) fn user_key(&self, rng: &SharedRng) -> TokenKey {
        let security = &self.security;
        match security.token_secret.as_ref().or(security.node_secret.as_ref()) {
            Some(secret) => TokenKey::derive(secret.expose().as_bytes()),
            None => match &self.kept_key {
                Some(key) => key.clone(),
                None => TokenKey::derive(rng.uuid().as_bytes()),
            },
        }
    }

    fn shown_secret(&self) -> Option<&Secret> {
        self.security.node_secret.as_ref().or(self.local_secret.as_ref())
    }

    /// What this process shows to other nodes. With a secret a new one for each call, so that none on the wire is good for
    /// long; otherwise the one it was given.
    pub(crate) fn bearer(&self) -> Option<Bearer> {
        if self.security.node_secret.is_none()
            && let Some(token) = &self.catalog.token
        {
            return Some(Bearer::fixed(token.expose()));
        }
        let secret = self.shown_secret()?;
        Some(made_by(TokenKey::for_nodes(secret.expose().as_bytes()), "node"))
    }

    /// What this process shows to change the catalog's group.
    pub(crate) fn operator_bearer(&self) -> Option<Bearer> {
        let secret = self.shown_secret()?;
        Some(made_by(TokenKey::for_operators(secret.expose().as_bytes()), "operator"))
    }

    /// How this process reaches the catalog.
    pub(crate) fn catalog_client(&self) -> Result<ClientOptions, Failure> {
        let mut options = ClientOptions::new(self.catalog_endpoints());
        options.token = self.bearer();
        options.authorities = self.catalog_authorities()?;
        Ok(options)
    }

    /// The same for a command of the command line: where nobody listens, nothing is being started either.
    pub(crate) fn command_client(&self) -> Result<ClientOptions, Failure> {
        let mut options = self.catalog_client()?;
        options.await_start = false;
        Ok(options)
    }

    /// Whose word on the catalog's nodes is taken besides the public CAs'.
    pub(crate) fn catalog_authorities(&self) -> Result<Vec<Certificate>, Failure> {
        let file = self.catalog.ca.as_deref();
        file.map_or_else(|| Ok(Vec::new()), |file| authorities("catalog.ca", file))
    }

    /// URL of this node's catalog.
    pub(crate) fn catalog_url(&self) -> String {
        if self.catalog.advertise.is_empty() {
            format!("http://{}", self.catalog.listen)
        } else {
            self.catalog.advertise.clone()
        }
    }
}

/// A new token for each call.
fn made_by(key: TokenKey, name: &str) -> Bearer {
    let clock = SystemClock::shared();
    let principal = Principal::named(name);
    Bearer::made(move || key.issue(&principal, clock.now_ms().saturating_add(NODE_TOKEN_TTL_MS)))
}

#[cfg(test)]
mod tests;
