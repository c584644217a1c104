use super::PROCEDURES;

// Goal: statements and programs that were written for Spark go on working. Method: names, arguments in their order, and the columns of
// answers with their types, against a list of what Spark's procedures have, kept here by hand: none is changed by the way.
#[test]
fn procedures_are_called_as_in_spark() {
    let wanted = [
        (
            "rewrite_data_files",
            "table, strategy, sort_order, options, where, branch",
            "rewritten_data_files_count Int32, added_data_files_count Int32, rewritten_bytes_count Int64, \
             failed_data_files_count Int32, removed_delete_files_count Int32",
        ),
        (
            "expire_snapshots",
            "table, older_than, retain_last, max_concurrent_deletes, stream_results, snapshot_ids, \
             clean_expired_metadata",
            "deleted_data_files_count Int64, deleted_position_delete_files_count Int64, \
             deleted_equality_delete_files_count Int64, deleted_manifest_files_count Int64, \
             deleted_manifest_lists_count Int64, deleted_statistics_files_count Int64",
        ),
        (
            "rewrite_manifests",
            "table, use_caching, spec_id, sort_by",
            "rewritten_manifests_count Int32, added_manifests_count Int32",
        ),
        (
            "compute_table_stats",
            "table, snapshot_id, columns",
            "statistics_file Utf8",
        ),
        (
            "remove_orphan_files",
            "table, older_than, location, dry_run, max_concurrent_deletes, file_list_view, equal_schemes, \
             equal_authorities, prefix_mismatch_mode, prefix_listing, stream_results",
            "orphan_file_location Utf8",
        ),
        (
            "rollback_to_snapshot",
            "table, snapshot_id",
            "previous_snapshot_id Int64, current_snapshot_id Int64",
        ),
        (
            "rollback_to_timestamp",
            "table, timestamp",
            "previous_snapshot_id Int64, current_snapshot_id Int64",
        ),
        (
            "set_current_snapshot",
            "table, snapshot_id, ref",
            "previous_snapshot_id Int64, current_snapshot_id Int64",
        ),
        (
            "cherrypick_snapshot",
            "table, snapshot_id",
            "source_snapshot_id Int64, current_snapshot_id Int64",
        ),
        (
            "publish_changes",
            "table, wap_id",
            "source_snapshot_id Int64, current_snapshot_id Int64",
        ),
        (
            "ancestors_of",
            "table, snapshot_id",
            "snapshot_id Int64, timestamp Int64",
        ),
        (
            "fast_forward",
            "table, branch, to",
            "branch_updated Utf8, previous_ref Int64, updated_ref Int64",
        ),
        (
            "register_table",
            "table, metadata_file",
            "current_snapshot_id Int64, total_records_count Int64, total_data_files_count Int64",
        ),
    ];
    assert_eq!(PROCEDURES.len(), wanted.len());
    for (procedure, (name, arguments, answer)) in PROCEDURES.iter().zip(wanted) {
        let columns: Vec<String> = procedure
            .answer
            .iter()
            .map(|(column, of)| format!("{column} {of}"))
            .collect();
        assert_eq!(procedure.name, name);
        assert_eq!(procedure.arguments.join(", "), arguments, "{name}");
        assert_eq!(columns.join(", "), answer, "{name}");
    }
}
