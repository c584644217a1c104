//! Every setting of the binary: one struct a section, with the defaults of `tidewater up`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use tidewater_core::config::{ConfigError, Layers};
use tidewater_security::UserSettings;

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
    pub(crate) executor: ExecutorSettings,
    pub(crate) ingest: IngestSettings,
    pub(crate) pipelines: PipelineSettings,
    pub(crate) flight_sql: FlightSqlSettings,
    pub(crate) http: HttpSettings,
    pub(crate) security: SecuritySettings,
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
    /// What clients are given to reach files in S3 with.
    pub(crate) access: AccessSettings,
    /// Every node of the catalog, for roles that run elsewhere; empty means this one.
    pub(crate) endpoints: Vec<String>,
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
    pub(crate) static_secret_access_key: Option<String>,
    /// Whether requests of clients are signed.
    pub(crate) remote_signing: bool,
    /// How long a credential is good; none means an hour.
    pub(crate) lifetime_s: Option<u64>,
}

/// The replicated log of the catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RaftSettings {
    pub(crate) node_id: u64,
    pub(crate) listen: SocketAddr,
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

/// Object storage other than local files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSettings {
    pub(crate) s3_endpoint: Option<String>,
    pub(crate) s3_region: Option<String>,
    pub(crate) s3_access_key_id: Option<String>,
    pub(crate) s3_secret_access_key: Option<String>,
    /// `bucket.host` instead of `host/bucket`.
    pub(crate) s3_virtual_hosted: bool,
    pub(crate) s3_allow_http: bool,
}

/// Query memory and parallelism.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineSettings {
    pub(crate) memory_bytes: usize,
    /// Partitions a query is cut into; 0 means one for each core.
    pub(crate) target_partitions: usize,
}

/// The scheduler of distributed jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SchedulerSettings {
    pub(crate) listen: SocketAddr,
    /// Queries that read more than this after pruning go to the executors.
    pub(crate) local_bytes_max: u64,
}

/// An executor of distributed jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExecutorSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) grpc_port: u16,
    /// `host:port` of the scheduler.
    pub(crate) scheduler: String,
    pub(crate) memory_bytes: usize,
    /// Tasks at once; 0 means one for each core.
    pub(crate) vcores: usize,
}

/// Consumers of change data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IngestSettings {
    pub(crate) commit_interval_ms: u64,
    pub(crate) sources: Vec<SourceSettings>,
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
        /// Further librdkafka properties, such as SASL settings.
        #[serde(default)]
        properties: BTreeMap<String, String>,
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

/// The SQL endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlightSqlSettings {
    pub(crate) listen: SocketAddr,
    /// Longest time a query may run.
    pub(crate) query_timeout_ms: u64,
}

/// Health, status and operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpSettings {
    pub(crate) listen: SocketAddr,
}

/// Who may come in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecuritySettings {
    pub(crate) users: Vec<UserSettings>,
    /// Signs tokens; the same on all nodes. None means a random one, good until the process ends.
    pub(crate) token_secret: Option<String>,
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
            executor: ExecutorSettings::default(),
            ingest: IngestSettings::default(),
            pipelines: PipelineSettings {
                project: None,
                follow: true,
            },
            flight_sql: FlightSqlSettings::default(),
            http: HttpSettings::default(),
            security: SecuritySettings::default(),
        }
    }
}

impl Default for CatalogSettings {
    fn default() -> Self {
        Self {
            listen: loopback(8181),
            advertise: String::new(),
            warehouse: String::new(),
            access: AccessSettings::default(),
            endpoints: Vec::new(),
        }
    }
}

impl Default for RaftSettings {
    fn default() -> Self {
        Self {
            node_id: 1,
            listen: loopback(8182),
            peers: BTreeMap::new(),
            heartbeat_ms: 100,
            election_min_ms: 300,
            election_max_ms: 600,
        }
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            target_partitions: 0,
        }
    }
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            listen: loopback(50050),
            local_bytes_max: 2 << 30,
        }
    }
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            listen: loopback(50051),
            grpc_port: 50052,
            scheduler: "127.0.0.1:50050".into(),
            memory_bytes: 1 << 30,
            vcores: 0,
        }
    }
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            commit_interval_ms: 1000,
            sources: Vec::new(),
        }
    }
}

impl Default for FlightSqlSettings {
    fn default() -> Self {
        Self {
            listen: loopback(32010),
            query_timeout_ms: 300_000,
        }
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { listen: loopback(8080) }
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
        let settings: Self = layers.env().flag("data_dir", overrides.data_dir.as_ref()).extract()?;
        Ok(settings)
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

    /// URL of this node's catalog.
    pub(crate) fn catalog_url(&self) -> String {
        if self.catalog.advertise.is_empty() {
            format!("http://{}", self.catalog.listen)
        } else {
            self.catalog.advertise.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use super::*;

    fn read(toml: &str) -> Result<Settings, ConfigError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = dir.path().join("tidewater.toml");
        std::fs::write(&config, toml).expect("a writable directory");
        Settings::load(&Overrides {
            config: Some(config),
            data_dir: Some("/data".into()),
        })
    }

    // Goal: a file may name any section and is checked key by key. Method: a good file, then one wrong letter.
    #[test]
    fn files_are_checked() {
        let good = "[catalog]\nlisten = \"127.0.0.1:9\"\n[[ingest.sources]]\ntype = \"file\"\npath = \"log\"\n";
        let settings = read(good).expect("a good file");
        assert_eq!(settings.catalog_endpoints(), vec!["http://127.0.0.1:9"]);
        assert_eq!(settings.warehouse().expect("an absolute path"), "file:///data/lake");
        let error = read("[catalog]\nlissten = \"127.0.0.1:9\"\n").expect_err("an unknown key");
        assert_eq!(error.hint().as_deref(), Some("did you mean catalog.listen?"));
    }
}
