//! What names a statement with everything that decides how it is read and planned, but for what its names stand for.

use datafusion::execution::SessionState;

use crate::engine::Engine;
use crate::lake::LakeCatalog;
use crate::pg_catalog::Postgres;
use crate::session::{SessionOptions, zone_of};

/// Longest statement of which anything is remembered, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A statement in sessions that read it alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::session) struct Key([u8; 32]);

/// What a session says of itself.
struct Reader<'a> {
    default_schema: &'a str,
    zone: &'a str,
    /// What whoever asks may know of.
    seen: Option<[u8; 32]>,
    /// What they may see of rows.
    policies: Option<[u8; 32]>,
    postgres: Option<&'a Postgres>,
}

impl Key {
    /// Of a statement in a session that looks names up in `lake`. None: its plan is not kept.
    pub(in crate::session) fn of(state: &SessionState, lake: &LakeCatalog, sql: &str) -> Option<Self> {
        let postgres = state.config().get_extension::<Postgres>();
        let reader = Reader {
            default_schema: &state.config().options().catalog.default_schema,
            zone: zone_of(state.config().options()),
            seen: lake.seen(),
            policies: lake.policies(),
            postgres: postgres.as_deref(),
        };
        reader.key(sql)
    }

    /// The same of a statement in a session that is not made yet. None also where the session knows what there is, which decides
    /// what some statements come to.
    pub(in crate::session) fn with(engine: &Engine, options: &SessionOptions, sql: &str) -> Option<Self> {
        let postgres = options.postgres.as_deref();
        if postgres.is_some_and(|postgres| postgres.relations.is_some()) {
            return None;
        }
        let schema = options.default_schema.as_ref();
        let reader = Reader {
            default_schema: schema.unwrap_or_else(|| &engine.options().default_schema),
            zone: options.zone(),
            seen: options.access.as_ref().map(|access| access.fingerprint()),
            policies: options.policies.as_ref().map(|policies| policies.fingerprint()),
            postgres,
        };
        reader.key(sql)
    }
}

impl Reader<'_> {
    fn key(&self, sql: &str) -> Option<Key> {
        if sql.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part(sql.as_bytes());
        part(self.default_schema.as_bytes());
        part(self.zone.as_bytes());
        part(self.seen.as_ref().map_or(&[], |seen| seen.as_slice()));
        part(self.policies.as_ref().map_or(&[], |policies| policies.as_slice()));
        if let Some(postgres) = self.postgres {
            postgres.planned_by(part);
        }
        Some(Key(*hasher.finalize().as_bytes()))
    }
}
