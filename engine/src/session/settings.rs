//! How sessions are made: their settings, and what names mean in them.

use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::beside_null::BesideNull;
use super::list_sets::ListSets;
use super::short_lists::ShortLists;
use super::unnested::{Around, Elements};
use super::{CATALOG, Class, SessionOptions, optimizer_rules, same_names};
use crate::engine::Engine;
use crate::judge;
use crate::lake::LakeCatalog;
use crate::opaque::Opaque;

impl Engine {
    /// A session that runs in this process. Sessions for a cluster are built by the scheduler, with [`Self::configure`]
    /// and [`Self::register`].
    pub fn session(&self, class: Class, options: &SessionOptions) -> SessionContext {
        let mut state = SessionState::clone(self.parts.usual.get_or_init(|| Opaque::new(self.usual())));
        *state.config_mut() = self.configure(SessionConfig::new(), class, options);
        // What copies of a state share.
        state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
        state.execution_props_mut().alias_generator = Arc::default();
        let session = SessionContext::new_with_state(state);
        self.register_own(&session, options);
        session
    }

    /// What takes long to make and is the same of all sessions.
    fn usual(&self) -> SessionState {
        let state = SessionStateBuilder::new()
            // Before those that it has, which are asked after it.
            .with_expr_planners(vec![Arc::new(BesideNull), Arc::new(ListSets)])
            .with_relation_planners(vec![Arc::new(ShortLists), Arc::new(Elements), Arc::new(Around)])
            .with_default_features()
            .with_config(self.configure(SessionConfig::new(), Class::Interactive, &SessionOptions::default()))
            .with_runtime_env(self.runtime_env())
            .with_optimizer_rules(optimizer_rules(Optimizer::new().rules))
            .with_physical_optimizer_rules(same_names::rules())
            .build();
        let session = SessionContext::new_with_state(state);
        self.functions().register(&session);
        session.state()
    }

    /// The settings of our sessions, on top of `config`.
    pub fn configure(&self, config: SessionConfig, class: Class, options: &SessionOptions) -> SessionConfig {
        let partitions = options
            .target_partitions
            .unwrap_or_else(|| self.options().target_partitions);
        let mut config = config
            .with_target_partitions(partitions.max(1))
            .with_extension(Arc::new(options.execution))
            .with_create_default_catalog_and_schema(false);
        config = judge::bind(config, options);
        self.settings(config.options_mut(), options);
        if class == Class::Batch {
            // A filter whose producer runs in another stage would be waited for without end.
            config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        }
        config
    }

    /// Makes the catalog's tables and our functions known to any session, whoever built it. The session must run with
    /// [`Self::runtime_env`].
    pub fn register(&self, session: &SessionContext, options: &SessionOptions) {
        self.settings(session.state_ref().write().config_mut().options_mut(), options);
        self.functions().register(session);
        self.register_own(session, options);
    }

    /// What differs between sessions.
    fn register_own(&self, session: &SessionContext, options: &SessionOptions) {
        session.register_catalog(CATALOG, Arc::new(self.lake(options)));
        if let Some(postgres) = &options.postgres {
            postgres.register(session);
        }
    }

    /// What names of the catalog stand for in a session.
    pub(super) fn lake(&self, options: &SessionOptions) -> LakeCatalog {
        LakeCatalog::new(self.parts.clone(), options.overlay.clone(), options.moment.clone())
            .standing_at(options.one_moment.clone())
            .seen_by(options.access.clone(), options.policies.clone())
    }

    fn settings(&self, settings: &mut ConfigOptions, options: &SessionOptions) {
        let schema = options.default_schema.clone();
        settings.catalog.default_catalog = CATALOG.into();
        settings.catalog.default_schema = schema.unwrap_or_else(|| self.options().default_schema.clone());
        settings.catalog.information_schema = true;
        settings.execution.time_zone = Some(options.zone().into());
        // A rule that fails (names that are not unique, DataFusion 55.2) leaves the plan as it was. Some of ours end the statement
        // (`strict`).
        settings.optimizer.skip_failed_rules = true;
        // Fields of structs that it takes out of joins' conditions are looked for where they are no more, or by the place of another
        // column (DataFusion 55.2).
        settings.optimizer.enable_leaf_expression_pushdown = false;
        // It counts the later rows that the frames of one window look at, and not those that the frames of a window below do
        // (DataFusion 55.2).
        settings.optimizer.enable_window_limits = false;
        // Scans are cut where they are made, between row groups. DataFusion would cut anew, by bytes: a group of which the first bytes
        // are in one partition is read there as a whole, and a cluster's partitions do not help each other.
        settings.optimizer.repartition_file_scans = false;
        // It compares the metadata of fields too, which a folded expression loses.
        settings.execution.skip_physical_aggregate_schema_check = true;
        // Clients want plain strings, and frames of views grow too large between processes.
        settings.execution.parquet.schema_force_view_types = false;
        settings.sql_parser.map_string_types_to_utf8view = false;
        // Iceberg's timestamps have microseconds; older writers used a type that has nanoseconds and a shorter range.
        settings.execution.parquet.coerce_int96 = Some("us".into());
    }
}
