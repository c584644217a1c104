"""Rows written a second: a table made of another one, one row in a hundred merged, a thousand small files made few.

writes.py TIDEWATER --generator TPCHGEN --out FILE [--rows N] [--files N] [--rounds N] [--peers spark,pyiceberg]

tidewater, Spark and PyIceberg, each on copies of its own in the one catalog, in turn, while the others are idle. The best of the
rounds counts; between two rounds a table goes back to its old snapshot, and what was written goes to the disk. Rows and bytes are
those of the table as it was, whatever an engine made of them, so that a second means the same for all. After each round DuckDB
compares the rows that there are with those that there should be, and ends the run if they differ. Goals that are missed are told.
"""
import argparse, contextlib, os, time
import adbc_driver_flightsql.dbapi as flight_sql
from lake import Lake, Report
from sql_engines import Spark
from tables import SPACE, Tables

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--generator", required=True)
arguments.add_argument("--out", required=True)
arguments.add_argument("--rows", type=int, default=10_000_000)
arguments.add_argument("--files", type=int, default=1_000)
arguments.add_argument("--rounds", type=int, default=3)
arguments.add_argument("--peers", default="spark,pyiceberg")
given = arguments.parse_args()
MERGE = "MERGE INTO {0}.{1} t USING {0}.changes s ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
# Both have a target of their own when none is given, and fewer bytes in a file are more work.
COMPACT = "CALL system.rewrite_data_files(table => '{0}.{1}', options => map('target-file-size-bytes', '134217728'))"
MERGE_ON_READ = "ALTER TABLE {0}.{1} SET TBLPROPERTIES ('write.merge.mode' = 'merge-on-read')"


class Sql:
    """An engine that is told by statements, the same ones for all."""

    def __init__(self, run):
        self.run = run

    def create(self, name):
        self.run(f"CREATE TABLE {SPACE}.{name} AS SELECT * FROM {SPACE}.source")

    def merge(self, name):
        self.run(MERGE.format(SPACE, name))

    def compact(self, name):
        self.run(COMPACT.format(SPACE, name))


class PyIceberg:
    def __init__(self, tables):
        self.tables = tables

    def create(self, name):
        source = self.tables.table("source")
        with self.tables.catalog.create_table_transaction(f"{SPACE}.{name}", source.schema()) as transaction:
            transaction.append(source.scan().to_arrow_batch_reader())

    def merge(self, name):
        self.tables.table(name).upsert(self.tables.table("changes").scan().to_arrow(), join_cols=["id"])


def best(work, name, engine, wanted):
    """Seconds of the best round, the MB that it wrote, and the files that the table had then."""
    act, found = getattr(engine, work), []
    before = None if work == "create" else tables.table(name).current_snapshot()
    for _ in range(given.rounds):
        last = tables.table(name).metadata.last_sequence_number if before else 0
        os.sync()
        begun = time.perf_counter()
        act(name)
        seconds = time.perf_counter() - begun
        # PyIceberg's upsert is two commits.
        new = [each for each in tables.table(name).snapshots() if each.sequence_number > last]
        written = sum(int(snapshot.summary.get("added-files-size", 0)) for snapshot in new)
        found.append((seconds, written / 1e6, tables.files(name)))
        tables.check(name, wanted)
        if work == "create":
            tables.catalog.purge_table(f"{SPACE}.{name}")
        else:
            tables.reset(name, before.snapshot_id)
    return min(found)


def measure(label, work, prefix, wanted):
    took = {}
    for engine_name, engine in engines.items():
        if not hasattr(engine, work) or label == "merge_on_read" and engine_name == "pyiceberg":
            continue
        name = f"{prefix}_{engine_name}"
        size = tables.bytes("source" if work == "create" else name)
        seconds, written, files = best(work, name, engine, wanted)
        took[engine_name] = seconds
        report.told(f"{label}.{engine_name}.seconds", seconds, "s")
        report.told(f"{label}.{engine_name}.rows_per_second", given.rows / seconds, "rows/s")
        report.told(f"{label}.{engine_name}.bytes_per_second", size / seconds / 1e6, "MB/s")
        report.told(f"{label}.{engine_name}.written", written, "MB")
        report.told(f"{label}.{engine_name}.files", files, "files afterwards")
    for peer, seconds in took.items():
        if peer != "tidewater":
            report.told(f"{label}.{peer}.ratio", seconds / took["tidewater"], f"of the speed of {peer}", 1.0, least=True)


peers = given.peers.split(",") if given.peers else []
report = Report("writes", "bench-engine", rows=given.rows, files=given.files, rounds=given.rounds)
with contextlib.ExitStack() as stack:
    lake = stack.enter_context(Lake(given.tidewater))
    tables = Tables(lake.catalog(), given.rows)
    names = ["tidewater", *peers]
    tables.fill(given.generator, lake.folder, [f"merge_{name}" for name in names], [f"small_{name}" for name in names if name != "pyiceberg"], given.files)
    cursor = stack.enter_context(stack.enter_context(flight_sql.connect(lake.flight(), autocommit=True)).cursor())

    def statement(text):
        cursor.execute(text)

    engines = {"tidewater": Sql(statement)}
    if "spark" in peers:
        engines["spark"] = Sql(stack.enter_context(Spark(lake.catalog())).run)
    if "pyiceberg" in peers:
        engines["pyiceberg"] = PyIceberg(tables)
        report.note("PyIceberg rewrites no data files, and merges copying on write only")
    measure("create_as_select", "create", "made", "copy")
    report.told("small_files", tables.files("small_tidewater"), "files before")
    measure("compact", "compact", "small", "copy")
    measure("merge", "merge", "merge", "merge")
    for name in engines:
        statement(MERGE_ON_READ.format(SPACE, f"merge_{name}"))
    measure("merge_on_read", "merge", "merge", "merge")
report.write(given.out)
