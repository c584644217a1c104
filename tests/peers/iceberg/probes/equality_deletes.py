"""Equality deletes that Java wrote: SQL must see what Java sees: equality_deletes.py CATALOG_URI FLIGHT_URI [key=value ...]

EqualityDeletes.java makes the tables of the namespace `probe_equality` and says which rows its own reader sees: all, those of a filter, those of every
snapshot. Where it worked the rows out itself (`.want`), Java and SQL are both held to these. Then SQL changes some of the tables, rewrites all of them, Java
deletes again, and SQL rewrites once more; both must see the same each time. EQUALITY_JARS is Java's class path. What is left of a former run goes first;
after a run without failures nothing stays.
"""
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lake import PROPERTIES, URI, aggregates, catalog, connection, quoted, sql, value

NS = "probe_equality"
LEAST = 2300
HERE = Path(__file__).parent

# Tables that Java 1.12.0 itself reads wrongly or not at all: SQL is held to the rows that were worked out, and Java only after the deletes are rewritten away.
JAVA_FAILS = {
    "dropped": "its reader does not find the column that was dropped",
    "dropped_null": "its reader does not find the column that was dropped",
    "added_again": "its reader does not find the column that was dropped",
    "type_uuid_high": "it orders UUIDs by signed numbers and takes the delete file for one of other values",
    "type_fixed_two": "it reads all values of a fixed column into one array",
}
# docs/limits.md names them: an error is as good as the rows.
# What the catalog refuses though it is right, and the words in which it does (docs/limits.md).
CATALOG_REFUSES = {"part_void_p": "conflicts with schema field and is not an identity transform"}
# Partitions whose value is NaN or infinite have no JSON in the protocol of planning: to say null would lose their rows.
UNPLANNED = {"part_double"}
MAY_REFUSE = {"may_refuse_nested": "not at the top level", "may_refuse_avro": "Avro"}

passed = failed = 0


def check(name, function, *arguments):
    global passed, failed
    try:
        said = function(*arguments)
        passed += 1
        print(f"ok {name}{' ' + said if isinstance(said, str) else ''}", flush=True)
    except Exception as error:
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[:900]}", flush=True)


# --- rows as the lines of EqualityDeletes.java


def text(item):
    if item is None:
        return "null"
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, str):
        return '"' + item.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') + '"'
    if isinstance(item, float):
        mantissa, _, exponent = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(item), repr(item)).partition("e")
        return mantissa + ("E" + str(int(exponent)) if exponent else "")
    if isinstance(item, Decimal):
        return format(item, "f")
    if isinstance(item, bytes):
        return item.hex()
    if isinstance(item, dict):
        return "(" + ", ".join(map(text, item.values())) + ")"
    if isinstance(item, date):
        return item.isoformat()
    return str(item)


def texts(column):
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    if pa.types.is_time(kind):
        return [text(item) for item in column.cast(pa.time64("us")).cast(pa.int64()).to_pylist()]
    if pa.types.is_timestamp(kind):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]

        def moment(ticks):
            seconds, rest = divmod(ticks, per_second)
            return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat() + f".{rest * (10**9 // per_second):09}"

        return [text(None) if ticks is None else moment(ticks) for ticks in column.cast(pa.int64()).to_pylist()]
    return [text(item) for item in column.to_pylist()]


def lines(table):
    rows = zip(*(texts(column) for column in table.columns))
    return ["# " + " | ".join(table.column_names), *sorted(" | ".join(row) for row in rows)]


def stored(path):
    found = path.read_text().split("\n")[:-1]
    return [found[0], *sorted(found[1:])]


def same(got, want, who="SQL", other="Java"):
    assert got[:1] == want[:1], f"{who} has {got[:1]}, {other} {want[:1]}"
    got, want = Counter(got[1:]), Counter(want[1:])
    lacks, more = sorted((want - got).elements()), sorted((got - want).elements())
    said = [f"{who} lacks {len(lacks)} rows that {other} has: {lacks[:4]}"] * bool(lacks) + [f"{who} has {len(more)} rows too many: {more[:4]}"] * bool(more)
    assert not said, "; ".join(said)


# --- the two sides


def java(mode, directory, **properties):
    """Java's answers as (table, file, rest of the statement)."""
    pairs = [f"{key}={item}" for key, item in {**PROPERTIES, **properties}.items()]
    heap = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dslf4j.internal.verbosity=ERROR"]
    command = ["java", *heap, "-cp", os.environ["EQUALITY_JARS"], HERE / "EqualityDeletes.java", mode, URI, NS, directory, *pairs]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ran.returncode == 0, ran.stdout[-2000:]
    return [line.split("\t") for line in (directory / "index").read_text().splitlines()]


def name(table):
    return f"{NS}.{quoted(table)}"


def answer(table, rest):
    return lines(sql(f"SELECT * FROM {name(table)}{rest}"))


def compare(phase, directory, index):
    """SQL with Java's answers."""
    for table, file, rest in index:
        called = f"{phase} {file}"
        want = directory / (file + ".want")
        theirs = stored(directory / file)
        judge, other = (stored(want), "the expectation") if want.exists() else (theirs, "Java")
        broken = JAVA_FAILS.get(table) if phase == "written" else None
        if want.exists() and broken is None:
            check(f"{called} as Java reads it", same, theirs, judge, "Java", other)
        if broken is not None and not want.exists():
            continue

        def rows():
            try:
                got = answer(table, rest)
            except Exception as error:
                if table in MAY_REFUSE and MAY_REFUSE[table].lower() in str(error).lower():
                    return "is refused: " + " ".join(str(error).split())[:150]
                raise
            assert not theirs[0].startswith("!") or want.exists(), f"Java: {theirs[0]}; SQL: {got[:8]}"
            same(got, judge, other=other)
            return f"{len(got) - 1} rows"

        check(called, rows)
        # Python has no dates with nanoseconds.
        if table not in MAY_REFUSE and not rest and not table.endswith("_ns"):
            check(f"{called} count, min, max", lambda: aggregates(name(table), sql(f"SELECT * FROM {name(table)}")))
        if table not in MAY_REFUSE and " AS OF " not in rest:
            check(f"{called} count", lambda: same([value(f"SELECT count(*) FROM {name(table)}{rest}")], [len(judge) - 1], other=other))


def again(phase, directory, index, before):
    """Java's answers with what they must be."""
    for _, file, _ in index:
        if file in before:
            check(f"{phase} {file} as Java reads it", same, stored(directory / file), before[file], "Java now", "before")


def unplanned(first_line):
    """A plan is refused, or its filter leaves such partitions out."""
    if first_line.startswith("!"):
        assert "NaN or infinite" in first_line, first_line
    return first_line[:120]


def kept(index, directory, tables):
    """What must stay as it is: the expectation, else what Java read."""
    paths = {file: (directory / (file + ".want"), directory / file) for table, file, _ in index if table in tables}
    return {file: stored(want if want.exists() else read) for file, (want, read) in paths.items()}


# --- what SQL does with the tables, and what the rows are then

DELETE_5 = ("DELETE FROM {} WHERE id = 5", lambda rows: [row for row in rows if row[0] != 5])
CHANGES = {
    "one_int": [DELETE_5, ("INSERT INTO {} VALUES (3, 'sql'), (20, 'sql')", lambda rows: rows + [(3, "sql"), (20, "sql")])],
    "sequences": [("INSERT INTO {} VALUES (2, 'sql'), (7, 'sql')", lambda rows: rows + [(2, "sql"), (7, "sql")]), DELETE_5],
    "upserts": [
        (
            "MERGE INTO {} t USING (SELECT column1 AS id, 77 AS round FROM (VALUES (0), (4), (50))) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET round = s.round "
            "WHEN NOT MATCHED THEN INSERT (id, round) VALUES (s.id, s.round)",
            lambda rows: [row for row in rows if row[0] not in (0, 4)] + [(0, 77), (4, 77), (50, 77)],
        )
    ],
    "two_columns": [("UPDATE {} SET c = c + 100 WHERE a = 1", lambda rows: [(a, b, c + 100 if a == 1 else c) for a, b, c in rows])],
    "nulls": [("UPDATE {} SET k = NULL WHERE id = 4", lambda rows: [(id, None if id == 4 else k) for id, k in rows])],
    "part_identity": [("DELETE FROM {} WHERE p = 'a' AND id = 2", lambda rows: [row for row in rows if row[:2] != ("a", 2)])],
    "part_global": [("UPDATE {} SET v = 'sql' WHERE id = 2", lambda rows: [(p, id, "sql" if id == 2 else v) for p, id, v in rows])],
    "part_double": [("INSERT INTO {} VALUES (CAST('NaN' AS DOUBLE), 3)", lambda rows: rows + [(float("nan"), 3)])],
    "spec_evolution": [("DELETE FROM {} WHERE v = 's0' AND p = 'a' AND id = 1", lambda rows: [row for row in rows if row != ("a", 1, "s0")])],
    "added_default": [("UPDATE {} SET key = 'sql' WHERE id = 2", lambda rows: [(id, "sql" if id == 2 else key) for id, key in rows])],
    "renamed": [("DELETE FROM {} WHERE label = 'b'", lambda rows: [row for row in rows if row[1] != "b"])],
    "promoted": [("UPDATE {} SET v = 'sql' WHERE id = 4", lambda rows: [(id, "sql" if id == 4 else v) for id, v in rows])],
    "dropped": [("DELETE FROM {} WHERE id = 3", lambda rows: [row for row in rows if row[0] != 3])],
    # By position, into the files that have deletes of both kinds.
    "mixed_v2": [("DELETE FROM {} WHERE id = 6", lambda rows: [row for row in rows if row[0] != 6]), ("UPDATE {} SET v = 'sql' WHERE id = 7", lambda rows: [(id, "sql" if id == 7 else v) for id, v in rows])],
    "large": [("DELETE FROM {} WHERE id BETWEEN 1000 AND 2000", lambda rows: [row for row in rows if not 1000 <= row[0] <= 2000])],
}
CHANGES["mixed_v3"] = CHANGES["mixed_v2"]


def rows_of(table):
    return sorted(map(repr, zip(*(column.to_pylist() for column in sql(f"SELECT * FROM {name(table)}").columns))))


def change(table, statement, model):
    before = list(zip(*(column.to_pylist() for column in sql(f"SELECT * FROM {name(table)}").columns)))
    sql(statement.format(name(table)))
    got, want = rows_of(table), sorted(map(repr, model(before)))
    same(["", *got], ["", *want], other="the expectation")


def rewrite(table, call):
    before = answer(table, "")
    sql(call.format(f"{NS}.{table}"))
    same(answer(table, ""), before, "SQL after the rewrite", "before")
    if "rewrite-all" in call:
        in_files = value(f"SELECT coalesce(sum(record_count), 0) FROM {NS}.{quoted(table + '$data_files')}")
        assert in_files == len(before) - 1, f"{in_files} rows in data files, {len(before) - 1} in the table"


def main(work):
    started = time.monotonic()
    first, planned, changed, rewritten, deleted, last = (work / each for each in ("1", "2", "3", "4", "5", "6"))
    first.mkdir(parents=True)
    # Doubles as they are computed, not as Java writes them: NaN with its sign set (what 0.0 / 0.0 is on x86), and with other bits.
    bits = pa.array([0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0x7FF0000000000000, 0x3FF0000000000000, 0x8000000000000000], pa.uint64())
    fields = [pa.field(each, kind, metadata={"PARQUET:field_id": str(at)}) for at, (each, kind) in enumerate([("id", pa.int64()), ("k", pa.float64())], 1)]
    pq.write_table(pa.table([pa.array(range(1, 7)), bits.view(pa.float64())], schema=pa.schema(fields)), first / "doubles.parquet", compression="none", use_dictionary=False)

    index = java("write", first)
    tables = list(dict.fromkeys(table for table, *_ in index))
    for refused in sorted(first.glob("*.refused")):
        known = CATALOG_REFUSES.get(refused.stem)

        def told(text=refused.read_text(), known=known):
            if not known or known not in text:
                raise AssertionError(text)
            return f"is refused, as is known: {known}"

        check(f"written {refused.stem} Java's commit", told)
        tables.remove(refused.stem)
    index = [row for row in index if row[0] in tables]
    compare("written", first, index)
    readable = [table for table in tables if table not in JAVA_FAILS]
    index_planned = java("read", planned, **{"scan-planning-mode": "server"})
    for _, file, _ in (row for row in index_planned if row[0] in UNPLANNED):
        check(f"planned by the catalog {file}", unplanned, stored(planned / file)[0])
    again("planned by the catalog", planned, index_planned, kept(index, first, [table for table in readable if table not in UNPLANNED]))

    for table, steps in CHANGES.items():
        for statement, model in steps:
            check(f"changed {table} {statement.split()[0]}", change, table, statement, model)
    index_changed = java("read", changed)
    compare("changed", changed, [row for row in index_changed if row[0] in CHANGES and row[0] in readable and " AS OF " not in row[2]])
    stays = kept(index, first, set(tables) - set(CHANGES) - set(MAY_REFUSE))
    stays = {file: rows for file, rows in stays.items() if (first / (file + ".want")).exists() or file.split(".")[0] in readable}
    stays.update(kept(index_changed, changed, set(CHANGES) & set(readable)))

    for table in tables:
        if table not in MAY_REFUSE:
            check(f"rewritten {table} CALL", rewrite, table, "CALL system.rewrite_data_files(table => '{}', options => map('rewrite-all', 'true'))")
    index_rewritten = [row for row in java("read", rewritten) if row[0] in tables and row[0] not in MAY_REFUSE]
    again("rewritten", rewritten, index_rewritten, stays)
    compare("rewritten", rewritten, index_rewritten)

    compare("deleted again", deleted, [row for row in java("after", deleted) if row[0] in tables and row[0] not in MAY_REFUSE and " AS OF " not in row[2]])
    for table in tables:
        if table not in MAY_REFUSE:
            check(f"deleted again {table} CALL", rewrite, table, "CALL system.rewrite_data_files('{}')")
            check(f"deleted again {table} CALL rewrite_manifests", rewrite, table, "CALL system.rewrite_manifests('{}')")
    compare("at last", last, [row for row in java("read", last) if row[0] in tables and row[0] not in MAY_REFUSE and " AS OF " not in row[2]])

    total = passed + failed
    check("enough", lambda: same(["", total >= LEAST], ["", True], f"{total} checks, of {LEAST} at least:", "it"))
    if not failed:
        for table in catalog.list_tables(NS):
            catalog.drop_table(table)
        catalog.drop_namespace(NS)
    print(f"{time.monotonic() - started:.0f} s", flush=True)


with tempfile.TemporaryDirectory() as scratch:
    main(Path(os.environ.get("EQUALITY_KEEP", scratch)))
connection.close()
print(f"{passed} passed, {failed} failed", flush=True)
sys.exit(1 if failed else 0)
