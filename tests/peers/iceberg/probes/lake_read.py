"""PyIceberg reads every table of the lake, and must see what the SQL endpoint says: lake_read.py CATALOG_URI FLIGHT_URI [key=value ...]"""
import pyarrow as pa
import pyarrow.parquet as parquet

from lake import aggregates, catalog, equal_tables, quoted, run, same, sql


def nulls_of_lists(table, name):
    """Lists that are null, which PyIceberg does not tell from empty ones: counted in the files themselves."""
    files = [parquet.read_table(path.removeprefix("file://"), partitioning=None) for path in table.inspect.files()["file_path"].to_pylist()]
    for part in files[0].schema if files else []:
        if pa.types.is_list(part.type) or pa.types.is_large_list(part.type):
            there = sum(file.num_rows - file[part.name].null_count for file in files)
            same(sql(f"SELECT count({quoted(part.name)}) FROM {name}").column(0)[0].as_py(), there, f"{part.name} is not null:")


def reader(identifier):
    def read():
        table = catalog.load_table(identifier)
        name = ".".join(quoted(part) for part in identifier)
        rows = table.scan().to_arrow()
        equal_tables(sql(f"SELECT * FROM {name}"), rows)
        same(table.scan().count(), rows.num_rows, "PyIceberg's count:")
        aggregates(name, rows)
        if identifier[0] != "made":
            nulls_of_lists(table, name)
        # Each file by itself, and what the summary says of all of them together: deleted rows count in both.
        if table.current_snapshot() and int(table.current_snapshot().summary.get("total-delete-files", 0)):
            return f"{rows.num_rows} rows, {len(table.snapshots())} snapshots, rows deleted beside their files"
        same(sum(table.inspect.files()["record_count"].to_pylist()), rows.num_rows, "rows of files:")
        snapshot = table.current_snapshot()
        if snapshot is not None:
            same(int(snapshot.summary["total-records"]), rows.num_rows, "total-records:")
            same(int(snapshot.summary["total-data-files"]), table.inspect.files().num_rows, "total-data-files:")
        return f"{rows.num_rows} rows, {len(table.snapshots())} snapshots"

    return ".".join(identifier), read


tables = [identifier for namespace in catalog.list_namespaces() for identifier in catalog.list_tables(namespace)]
assert tables, "the lake is empty"


def earlier():
    """A snapshot of the past, by either side."""
    for identifier in tables:
        table = catalog.load_table(identifier)
        if len(table.snapshots()) < 2 or identifier[0] != "bronze":
            continue
        snapshot = sorted(table.snapshots(), key=lambda s: s.sequence_number)[0].snapshot_id
        namespace, name = identifier
        got = sql(f"SELECT * FROM {quoted(namespace)}.{quoted(f'{name}@{snapshot}')}")
        equal_tables(got, table.scan(snapshot_id=snapshot).to_arrow())
        return f"{namespace}.{name}, {got.num_rows} rows"
    raise AssertionError("no table of bronze has two snapshots")


run([reader(identifier) for identifier in tables] + [("a snapshot of the past", earlier)])
