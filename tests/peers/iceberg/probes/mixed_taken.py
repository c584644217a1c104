"""Files that Spark takes over with `add_files`: plain Parquet of Spark's own, without field ids, which both sides then read and change."""
import pathlib
from urllib.parse import urlparse

import pyarrow.parquet as pq

from lake import catalog, same
from mixed import EXCUSES, FIELDS, NAME, NS, OURS, Shared, rows, steps
from mixed_turns import MODES, WHOLE, ends, whole

# How a folder is cut, whether lists, maps and decimals lie in it as Hive wrote them, and how rows of its files are changed.
FOLDERS = {
    "plain": ([], False, "beside"), "identity": (["region"], False, "copied"), "twice": (["region", "day"], False, "beside"),
    "as_hive": (["region"], True, "copied"),
}  # fmt: skip
LEGACY = "spark.sql.parquet.writeLegacyFormat"


def written(engine, origin, folder, parts, legacy):
    """The rows of a table as files that know nothing of Iceberg; what folders tell is not in them. Times are INT96, as Spark has them."""
    engine.session.conf.set(LEGACY, str(legacy).lower())
    try:
        writer = engine.session.table(origin.name(engine)).write
        (writer.partitionBy(*parts) if parts else writer).parquet(folder)
    finally:
        engine.session.conf.unset(LEGACY)
    files = list(pathlib.Path(urlparse(folder).path).rglob("*.parquet"))
    for file in files:
        schema = pq.read_schema(file)
        assert not set(schema.names) & set(parts), f"{file} has what its folder tells"
        assert not any(b"PARQUET:field_id" in (field.metadata or {}) for field in schema), f"{file} has field ids"
    return len(files)


def taken(engine, name):
    parts, legacy, mode = FOLDERS[name]
    fields = [(field, kind) for field, kind in FIELDS if kind not in engine.lacks]
    table = Shared(engine, f"taken_{name}", fields)

    def create():
        origin = Shared(engine, f"origin_{name}", fields)
        OURS.run(f"CREATE TABLE {origin.name(OURS)} ({OURS.columns(fields)})")
        origin.insert(OURS, rows(0, 30))
        engine.create(table.name(engine), fields, parts=parts)
        engine.run(f"ALTER TABLE {table.name(engine)} SET TBLPROPERTIES ({MODES[mode][2:]})")
        # Beside the table, below the warehouse.
        folder = f"{catalog.load_table((NS, table.name_)).location().rsplit('/', 1)[0]}/plain_{name}"
        files = written(engine, origin, folder, parts, legacy)
        call = f"CALL tw.system.add_files(table => '{NS}.{table.name_}', source_table => '`parquet`.`{folder}`')"
        same(engine.arrow(call).to_pydict()["added_files_count"], [files], "files taken over:")
        table.model = {number: {field: one.get(field) for field, _ in fields} for number, one in origin.model.items()}
        return table.compare()

    def turn(side, first, at, source):
        table.turn(side, first, whole(side, name, at), source, name in WHOLE)
        return table.compare()

    steps(table, f"taken over {name}", [
        (f"by {NAME}", create), ("changed here", lambda: turn(OURS, 100, 0, "first_source")),
        (f"changed by {NAME}", lambda: turn(engine, 200, 1, "second_source")), *ends(table, 2),
    ])  # fmt: skip


def folders(engine):
    if "folders" not in EXCUSES:
        for name in FOLDERS:
            taken(engine, name)
