"""The tables of `writes.py`: what all engines read, a copy for each to change, and a judge that is none of them.

Rows are TPC-H's lineitem with a key of one column, as PyIceberg's upsert compares any other row by row. PyIceberg writes all
of them before the clock runs, a file for each million rows, or as many files as are wanted small.
"""
import pathlib
import subprocess

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
from pyiceberg.catalog import load_catalog

from sql_engines import duckdb_of

SPACE = "writes"
LINEITEMS_AT_SCALE_FACTOR_1 = 6_001_215
ROWS_A_FILE = 1_000_000
TARGET = "write.target-file-size-bytes"


def lineitems(generator, folder, rows):
    """Tables of ROWS_A_FILE rows."""
    # Orders have one to seven lines: some more, so that it is never too few.
    factor = f"{(rows * 1.01 + 2_000) / LINEITEMS_AT_SCALE_FACTOR_1:.4f}"
    subprocess.run([generator, "parquet", "-s", factor, "--tables=lineitem", f"--output-dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    path = pathlib.Path(folder, "lineitem.parquet")
    left, held = rows, None
    for batch in parquet.ParquetFile(path).iter_batches():
        part = pa.Table.from_batches([batch])
        held = pa.concat_tables([held, part]) if held else part
        while left and held.num_rows >= min(ROWS_A_FILE, left):
            size = min(ROWS_A_FILE, left)
            yield keyed(held.slice(0, size)).combine_chunks()
            left, held = left - size, held.slice(size)
    path.unlink()
    if left:
        raise SystemExit(f"{left} rows are missing at scale factor {factor}")


def keyed(part):
    """With a column `id`, of types that a table of format 2 has."""
    kind = lambda field: pa.string() if pa.types.is_string_view(field.type) else field.type
    plain = pa.schema([pa.field(field.name, kind(field)) for field in part.schema])
    # An order has seven lines at most.
    key = pc.add(pc.multiply(part["l_orderkey"], 8), pc.cast(part["l_linenumber"], pa.int64()))
    return part.cast(plain).add_column(0, "id", key)


def changed(part):
    """One row in a hundred with another comment; of these one in ten is a new row."""
    rows = part.take(pa.array(range(0, part.num_rows, 100)))
    new = pa.array([at % 10 == 0 for at in range(rows.num_rows)])
    rows = rows.set_column(0, "id", pc.if_else(new, pc.negate(rows["id"]), rows["id"]))
    at = rows.column_names.index("l_comment")
    return rows.set_column(at, "l_comment", pa.array(["changed"] * rows.num_rows))


class Tables:
    def __init__(self, uri, rows):
        self.rows, self.catalog = rows, load_catalog("lake", type="rest", uri=uri, warehouse="lake")
        self.judge = duckdb_of(uri)

    def fill(self, generator, folder, whole, small, files):
        """`source`, `changes`, and copies of the source, those of `small` in so many files."""
        self.catalog.create_namespace(SPACE)
        for part in lineitems(generator, folder, self.rows):
            for name in ("source", *whole, *small):
                # PyIceberg's target is one of bytes in memory; a row more, as it rounds the rows of a file down.
                target = -(-part.nbytes * (self.rows // files + 1) // part.num_rows) if name in small else 1 << 40
                self.table(name, part.schema, {TARGET: str(target)}).append(part)
            self.table("changes", part.schema).append(changed(part))
        for name in ("source", *whole, *small):
            with self.table(name).transaction() as transaction:
                transaction.remove_properties(TARGET)
        self.wanted = {
            "copy": self.sums(f"tw.{SPACE}.source"),
            "merge": self.sums(f"(FROM tw.{SPACE}.source ANTI JOIN tw.{SPACE}.changes USING (id) UNION ALL FROM tw.{SPACE}.changes)"),
        }
        assert self.wanted["copy"][0] == self.rows

    def table(self, name, schema=None, properties=None):
        if schema is None:
            return self.catalog.load_table(f"{SPACE}.{name}")
        return self.catalog.create_table_if_not_exists(f"{SPACE}.{name}", schema, properties=properties or {})

    def bytes(self, name):
        return sum(self.table(name).inspect.data_files().column("file_size_in_bytes").to_pylist())

    def files(self, name):
        return self.table(name).inspect.data_files().num_rows

    def sums(self, relation):
        """Rows, and the sum of the hashes of all rows: the same for the same rows in any order."""
        return self.judge.execute(f"SELECT count(*), sum(hash(r)) FROM {relation} r").fetchone()

    def check(self, name, wanted):
        """A wrong answer has no figure, however soon it came."""
        found = self.sums(f"tw.{SPACE}.{name}")
        if found != self.wanted[wanted]:
            raise SystemExit(f"{name} has (rows, sum of hashes) {found}, not {self.wanted[wanted]}")

    def reset(self, name, snapshot):
        self.table(name).manage_snapshots().rollback_to_snapshot(snapshot).commit()
