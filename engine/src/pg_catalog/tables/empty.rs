//! Tables that tools ask for and that have no rows: an Iceberg catalog has nothing of the kind.

use super::build::Table;

/// Names and columns.
const EMPTY: &[(&str, &str)] = &[
    (
        "pg_collation",
        "oid:l collname:t collnamespace:l collowner:l collprovider:t collisdeterministic:b collencoding:i collcollate:t \
         collctype:t colliculocale:t collversion:t",
    ),
    ("pg_attrdef", "oid:l adrelid:l adnum:s adbin:t"),
    ("pg_enum", "oid:l enumtypid:l enumsortorder:f enumlabel:t"),
    ("pg_inherits", "inhrelid:l inhparent:l inhseqno:i inhdetachpending:b"),
    (
        "pg_trigger",
        "oid:l tgrelid:l tgparentid:l tgname:t tgfoid:l tgtype:s tgenabled:t tgisinternal:b tgconstrrelid:l tgconstrindid:l \
         tgconstraint:l tgdeferrable:b tginitdeferred:b tgnargs:s tgattr:V tgargs:t tgqual:t tgoldtable:t tgnewtable:t",
    ),
    (
        "pg_rewrite",
        "oid:l rulename:t ev_class:l ev_type:t ev_enabled:t is_instead:b ev_qual:t ev_action:t",
    ),
    ("pg_rules", "schemaname:t tablename:t rulename:t definition:t"),
    (
        "pg_policy",
        "oid:l polname:t polrelid:l polcmd:t polpermissive:b polroles:L polqual:t polwithcheck:t",
    ),
    (
        "pg_policies",
        "schemaname:t tablename:t policyname:t permissive:t roles:T cmd:t qual:t with_check:t",
    ),
    (
        "pg_publication",
        "oid:l pubname:t pubowner:l puballtables:b pubinsert:b pubupdate:b pubdelete:b pubtruncate:b pubviaroot:b",
    ),
    ("pg_publication_rel", "oid:l prpubid:l prrelid:l prqual:t prattrs:V"),
    ("pg_publication_namespace", "oid:l pnpubid:l pnnspid:l"),
    (
        "pg_publication_tables",
        "pubname:t schemaname:t tablename:t attnames:T rowfilter:t",
    ),
    ("pg_subscription", "oid:l subdbid:l subname:t subowner:l subenabled:b"),
    (
        "pg_statistic_ext",
        "oid:l stxrelid:l stxname:t stxnamespace:l stxowner:l stxstattarget:i stxkeys:V stxkind:T stxexprs:t",
    ),
    ("pg_foreign_table", "ftrelid:l ftserver:l ftoptions:T"),
    (
        "pg_foreign_server",
        "oid:l srvname:t srvowner:l srvfdw:l srvtype:t srvversion:t srvacl:T srvoptions:T",
    ),
    (
        "pg_foreign_data_wrapper",
        "oid:l fdwname:t fdwowner:l fdwhandler:l fdwvalidator:l fdwacl:T fdwoptions:T",
    ),
    (
        "pg_depend",
        "classid:l objid:l objsubid:i refclassid:l refobjid:l refobjsubid:i deptype:t",
    ),
    (
        "pg_sequence",
        "seqrelid:l seqtypid:l seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l seqcycle:b",
    ),
    (
        "pg_sequences",
        "schemaname:t sequencename:t sequenceowner:t data_type:t start_value:l min_value:l max_value:l increment_by:l cycle:b \
         cache_size:l last_value:l",
    ),
    (
        "pg_extension",
        "oid:l extname:t extowner:l extnamespace:l extrelocatable:b extversion:t extconfig:L extcondition:T",
    ),
    (
        "pg_available_extensions",
        "name:t default_version:t installed_version:t comment:t",
    ),
    (
        "pg_range",
        "rngtypid:l rngsubtype:l rngmultitypid:l rngcollation:l rngsubopc:l rngcanonical:t rngsubdiff:t",
    ),
    (
        "pg_cast",
        "oid:l castsource:l casttarget:l castfunc:l castcontext:t castmethod:t",
    ),
    (
        "pg_operator",
        "oid:l oprname:t oprnamespace:l oprowner:l oprkind:t oprcanmerge:b oprcanhash:b oprleft:l oprright:l oprresult:l \
         oprcom:l oprnegate:l oprcode:t oprrest:t oprjoin:t",
    ),
    (
        "pg_opclass",
        "oid:l opcmethod:l opcname:t opcnamespace:l opcowner:l opcfamily:l opcintype:l opcdefault:b opckeytype:l",
    ),
    ("pg_opfamily", "oid:l opfmethod:l opfname:t opfnamespace:l opfowner:l"),
    (
        "pg_aggregate",
        "aggfnoid:l aggkind:t aggnumdirectargs:s aggtransfn:t aggfinalfn:t aggtranstype:l",
    ),
    (
        "pg_event_trigger",
        "oid:l evtname:t evtevent:t evtowner:l evtfoid:l evtenabled:t evttags:T",
    ),
    (
        "pg_locks",
        "locktype:t database:l relation:l page:i tuple:s virtualxid:t transactionid:l classid:l objid:l objsubid:s \
         virtualtransaction:t pid:i mode:t granted:b fastpath:b",
    ),
    (
        "pg_partitioned_table",
        "partrelid:l partstrat:t partnatts:s partdefid:l partattrs:V partclass:O partcollation:O partexprs:t",
    ),
    ("pg_db_role_setting", "setdatabase:l setrole:l setconfig:T"),
    (
        "pg_default_acl",
        "oid:l defaclrole:l defaclnamespace:l defaclobjtype:t defaclacl:T",
    ),
    ("pg_init_privs", "objoid:l classoid:l objsubid:i privtype:t initprivs:T"),
    ("pg_shdescription", "objoid:l classoid:l description:t"),
    ("pg_seclabel", "objoid:l classoid:l objsubid:i provider:t label:t"),
    ("pg_auth_members", "roleid:l member:l grantor:l admin_option:b"),
    ("pg_group", "groname:t grosysid:l grolist:L"),
    (
        "pg_matviews",
        "schemaname:t matviewname:t matviewowner:t tablespace:t hasindexes:b ispopulated:b definition:t",
    ),
    (
        "pg_prepared_statements",
        "name:t statement:t prepare_time:d parameter_types:T from_sql:b",
    ),
    (
        "pg_cursors",
        "name:t statement:t is_holdable:b is_binary:b is_scrollable:b creation_time:d",
    ),
    (
        "pg_stats",
        "schemaname:t tablename:t attname:t inherited:b null_frac:f avg_width:i n_distinct:f most_common_vals:t \
         most_common_freqs:t histogram_bounds:t correlation:f",
    ),
    (
        "pg_conversion",
        "oid:l conname:t connamespace:l conowner:l conforencoding:i contoencoding:i condefault:b",
    ),
    ("pg_ts_config", "oid:l cfgname:t cfgnamespace:l cfgowner:l cfgparser:l"),
    (
        "pg_ts_dict",
        "oid:l dictname:t dictnamespace:l dictowner:l dicttemplate:l dictinitoption:t",
    ),
    ("pg_largeobject_metadata", "oid:l lomowner:l lomacl:T"),
    ("pg_stat_gssapi", "pid:i gss_authenticated:b principal:t encrypted:b"),
    ("pg_stat_ssl", "pid:i ssl:b version:t cipher:t bits:i client_dn:t"),
    (
        "pg_replication_slots",
        "slot_name:t plugin:t slot_type:t datoid:l database:t temporary:b active:b",
    ),
    (
        "pg_stat_replication",
        "pid:i usesysid:l usename:t application_name:t client_addr:t state:t",
    ),
    (
        "pg_stat_database",
        "datid:l datname:t numbackends:i xact_commit:l xact_rollback:l blks_read:l blks_hit:l tup_returned:l tup_fetched:l",
    ),
    (
        "information_schema_referential_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t unique_constraint_catalog:t unique_constraint_schema:t \
         unique_constraint_name:t match_option:t update_rule:t delete_rule:t",
    ),
    (
        "information_schema_check_constraints",
        "constraint_catalog:t constraint_schema:t constraint_name:t check_clause:t",
    ),
    (
        "information_schema_triggers",
        "trigger_catalog:t trigger_schema:t trigger_name:t event_manipulation:t event_object_catalog:t event_object_schema:t \
         event_object_table:t action_order:i action_condition:t action_statement:t action_orientation:t action_timing:t",
    ),
    (
        "information_schema_sequences",
        "sequence_catalog:t sequence_schema:t sequence_name:t data_type:t numeric_precision:i start_value:t minimum_value:t \
         maximum_value:t increment:t cycle_option:t",
    ),
    (
        "information_schema_routines",
        "specific_catalog:t specific_schema:t specific_name:t routine_catalog:t routine_schema:t routine_name:t routine_type:t \
         data_type:t routine_body:t routine_definition:t external_language:t",
    ),
    (
        "information_schema_parameters",
        "specific_catalog:t specific_schema:t specific_name:t ordinal_position:i parameter_mode:t parameter_name:t data_type:t",
    ),
    (
        "information_schema_domains",
        "domain_catalog:t domain_schema:t domain_name:t data_type:t domain_default:t udt_catalog:t udt_schema:t udt_name:t",
    ),
    (
        "information_schema_element_types",
        "object_catalog:t object_schema:t object_name:t object_type:t data_type:t",
    ),
    ("information_schema_enabled_roles", "role_name:t"),
    (
        "information_schema_applicable_roles",
        "grantee:t role_name:t is_grantable:t",
    ),
    (
        "information_schema_role_table_grants",
        "grantor:t grantee:t table_catalog:t table_schema:t table_name:t privilege_type:t is_grantable:t with_hierarchy:t",
    ),
    (
        "information_schema_view_table_usage",
        "view_catalog:t view_schema:t view_name:t table_catalog:t table_schema:t table_name:t",
    ),
    (
        "information_schema_foreign_tables",
        "foreign_table_catalog:t foreign_table_schema:t foreign_table_name:t foreign_server_catalog:t foreign_server_name:t",
    ),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    EMPTY.iter().map(|(name, _)| *name)
}

pub(super) fn table(name: &str) -> Option<Table> {
    let found = EMPTY.iter().find(|(empty, _)| *empty == name);
    found.map(|(name, columns)| Table::new(*name, columns))
}

/// The kind of a column.
pub(super) fn kind(table: &str, column: &str) -> Option<char> {
    let (_, columns) = EMPTY.iter().find(|(name, _)| *name == table)?;
    let mut columns = columns.split_whitespace().filter_map(|of| of.split_once(':'));
    columns
        .find(|(name, _)| *name == column)
        .and_then(|(_, kind)| kind.chars().next())
}

pub(super) fn is_table(name: &str) -> bool {
    EMPTY.iter().any(|(empty, _)| *empty == name)
}
