"""load.py CATALOG_URI WAREHOUSE SF SUITE GENERATOR: makes the suite's tables through the REST catalog; those that are there whole stay.

TPC-H's rows come from tpchgen-cli, TPC-DS's from DuckDB. PyIceberg writes them, a file for each million rows.
"""
import pathlib
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as parquet

from suite import TABLES, catalog, duck, namespace

ROWS_A_FILE = 1_000_000
# Set by the last commit of a load: a table without it was left in the middle.
WHOLE = "peers.loaded"


def plain(schema):
    """The same columns in the types that an Iceberg table of format 2 has."""
    types = {pa.int8(): pa.int32(), pa.int16(): pa.int32(), pa.string_view(): pa.string(), pa.large_string(): pa.string()}
    return pa.schema([pa.field(field.name, types.get(field.type, field.type)) for field in schema])


def parts(schema, batches):
    """Tables of ROWS_A_FILE rows at most."""
    held, rows = [], 0
    for batch in batches:
        while rows + batch.num_rows > ROWS_A_FILE:
            cut = ROWS_A_FILE - rows
            yield pa.Table.from_batches([*held, batch.slice(0, cut)], schema)
            held, rows, batch = [], 0, batch.slice(cut)
        held.append(batch)
        rows += batch.num_rows
    if rows:
        yield pa.Table.from_batches(held, schema)


def fill(lake, identifier, schema, batches):
    wanted = plain(schema)
    table = lake.create_table(identifier, wanted)
    rows = 0
    for part in parts(schema, batches):
        table.append(part.cast(wanted))
        rows += part.num_rows
    with table.transaction() as last:
        last.set_properties({WHOLE: "true"})
    print(f"{identifier}: {rows} rows", flush=True)


def whole(lake, identifier):
    """Whether the table is there with all its rows; what was left in the middle is dropped."""
    if not lake.table_exists(identifier):
        return False
    if lake.load_table(identifier).properties.get(WHOLE) == "true":
        return True
    lake.drop_table(identifier)
    return False


def main(uri, warehouse, factor, suite, generator):
    lake, space = catalog(uri, warehouse), namespace(suite, factor)
    lake.create_namespace_if_not_exists(space)
    missing = [name for name in TABLES[suite].split() if not whole(lake, f"{space}.{name}")]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        if suite == "tpch":
            for name in missing:
                subprocess.run([generator, "parquet", "-s", factor, f"--tables={name}", f"--output-dir={folder}"], check=True)
                path = pathlib.Path(folder, f"{name}.parquet")
                file = parquet.ParquetFile(path)
                fill(lake, f"{space}.{name}", file.schema_arrow, file.iter_batches())
                path.unlink()
            return
        db = duck(suite)
        db.execute(f"SET temp_directory = '{folder}'")
        db.execute(f"CALL dsdgen(sf = {float(factor)})")
        for name in missing:
            reader = db.execute(f"FROM {name}").to_arrow_reader(100_000)
            fill(lake, f"{space}.{name}", reader.schema, reader)


main(*sys.argv[1:6])
