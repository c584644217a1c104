"""Another engine and tidewater share a lake, and must see the same rows: lake_engine.py CATALOG_URI FLIGHT_URI engine=NAME [key=value ...]

First the engine reads every table that is there, then it writes (types, partitions, evolution, rewrites, deletes, format 3) and the
SQL endpoint reads. What is expected is worked out from the rows that were written. It needs no namespace `probe_ENGINE` and
leaves nothing behind when all is well.
"""
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import pyarrow as pa

from engines import ENGINES
from lake import CHECKS, CHOSEN, aggregates, catalog, check, multiset, quoted, run, same, sql

ENGINE = ENGINES[CHOSEN["engine"]]()
NS = "probe_" + CHOSEN["engine"]
UTC = timezone.utc


# It takes the manifests that a table keeps from before its upgrade from format 1 for wrong: their entries have no sequence number, and
# count as 0 (Iceberg spec, "Sequence Number Inheritance").
UNREAD = {"duckdb": {("made", "first_format")}}


def reader(identifier):
    def read():
        if tuple(identifier) in UNREAD.get(CHOSEN["engine"], ()):
            return f"not in {CHOSEN['engine']}"
        name = ".".join(quoted(part) for part in identifier)
        ours = sql(f"SELECT * FROM {name}")
        ENGINE.agrees(f"SELECT * FROM {ENGINE.name(*identifier)}", ours)
        return f"{ours.num_rows} rows"

    return "reads " + ".".join(identifier), read


def both(name, want, fields):
    """The engine and SQL see these rows (as dictionaries) in the table."""
    ours = sql(f"SELECT * FROM {NS}.{quoted(name)}")
    ENGINE.agrees(f"SELECT * FROM {ENGINE.name(NS, name)}", ours)
    same(ours.column_names, [field for field, _ in fields], "columns:")
    got, rows = multiset(ours), multiset(pa.Table.from_pylist(want, schema=ours.schema))
    assert rows == got, f"missing {list(rows - got)[:1]}, too many {list(got - rows)[:1]}"
    aggregates(f"{NS}.{quoted(name)}", ours)


def filtered(name, condition, want):
    got = sql(f"SELECT id FROM {NS}.{name} WHERE {condition}")
    same(sorted(got.column(0).to_pylist()), sorted(want), f"WHERE {condition}:")
    ENGINE.agrees(f"SELECT id FROM {ENGINE.name(NS, name)} WHERE {condition}", got)


def made(name, fields, rows=(), **more):
    table = ENGINE.name(NS, name)
    ENGINE.create(table, fields, **more)
    if rows:
        ENGINE.insert(table, fields, rows)
    return table


@check("makes a namespace")
def _():
    ENGINE.run(f"CREATE SCHEMA {ENGINE.schema(NS)}")


STRUCT = ("struct", ("name", "string"), ("deep", ("list", ("struct", ("x", "int"), ("at", "timestamptz")))))
FIELDS = [
    ("id", "long"), ("flag", "boolean"), ("small", "int"), ("single", "float"), ("double", "double"), ("money", ("decimal", 9, 2)), ("widest", ("decimal", 38, 10)),
    ("day", "date"), ("clock", "time"), ("local", "timestamp"), ("instant", "timestamptz"), ("text", "string"), ("bytes", "binary"), ("key", "uuid"),
    ("list", ("list", "string")), ("map", ("map", "string", "int")), ("nested", STRUCT),
]  # fmt: skip
ROWS = [
    {
        "id": 1, "flag": True, "small": 2**31 - 1, "single": 1.5, "double": 1e300, "money": Decimal("1234567.89"), "widest": Decimal("1234567890123456789012345678.0123456789"),
        "day": date(2024, 2, 29), "clock": time(23, 59, 59, 999999), "local": datetime(2024, 1, 15, 10, 20, 30, 123456), "instant": datetime(2024, 1, 15, 10, 20, 30, 123456, UTC),
        "text": "it's grün 漢 🙂 " + "x" * 300, "bytes": b"\x00\xff\x10" * 20, "key": uuid.UUID(int=2**127 + 5).bytes, "list": ["a", None, ""], "map": [("k", 1), ("none", None)],
        "nested": {"name": "n", "deep": [{"x": 1, "at": datetime(1969, 7, 20, 20, 17, tzinfo=UTC)}, {"x": None, "at": None}]},
    },
    {
        "id": -(2**63) + 1, "flag": False, "small": -(2**31) + 1, "single": -0.25, "double": -1e-300, "money": Decimal("-9999999.99"), "widest": Decimal("-9999999999999999999999999999.9999999999"),
        "day": date(1, 1, 1), "clock": time(0), "local": datetime(1, 1, 1), "instant": datetime(1900, 1, 1, tzinfo=UTC), "text": "", "bytes": b"", "list": [], "map": [], "nested": {"name": None, "deep": []},
    },
    {"id": 3, "day": date(9999, 12, 31), "local": datetime(9999, 12, 31, 23, 59, 59, 999999), "text": "only", "nested": {"name": "only", "deep": None}},
    {"id": 4},
]  # fmt: skip


@check("types: extremes, nested and nulls")
def _():
    fields = [(name, kind) for name, kind in FIELDS if kind not in ENGINE.lacks]
    made("types", fields, ROWS[:2])
    ENGINE.insert(ENGINE.name(NS, "types"), fields, ROWS[2:])
    both("types", [{name: row.get(name) for name, _ in fields} for row in ROWS], fields)
    for condition, want in [
        ("flag", [1]), ("small > 0", [1]), ("double < 0", [ROWS[1]["id"]]), ("money > 1000000", [1]), ("day = DATE '2024-02-29'", [1]), ("text = ''", [ROWS[1]["id"]]),
        ("flag IS NULL", [3, 4]), ("local > TIMESTAMP '2024-01-15 10:20:30.123455'", [1, 3]) , ("text LIKE 'it''s gr%'", [1]), ("id NOT IN (1, 3)", [4, ROWS[1]["id"]]),
    ]:  # fmt: skip
        filtered("types", condition, want)


EVENTS = [("id", "long"), ("region", "string"), ("at", "timestamptz"), ("amount", ("decimal", 10, 2))]
START = datetime(2023, 12, 30, 22, 30, tzinfo=UTC)


def event(number):
    region = None if number % 7 == 0 else ["eu-west", "eu-east", "us/a=b", "ap süd"][number % 4]
    return {"id": number, "region": region, "at": START + timedelta(hours=5 * number), "amount": Decimal(number * 101 % 997) / 100}


# Each way to cut a table, in the words of Spark; Trino has the same but for plural names and the order of arguments.
SPECS = {
    "identity": {"spark": ["region"], "trino": ["region"]},
    "days": {"spark": ["days(at)"], "trino": ["day(at)"]},
    "hours_buckets": {"spark": ["hours(at)", "bucket(4, id)"], "trino": ["hour(at)", "bucket(id, 4)"]},
    "months_texts": {"spark": ["months(at)", "truncate(2, region)"], "trino": ["month(at)", "truncate(region, 2)"]},
    "years_numbers": {"spark": ["years(at)", "truncate(10, id)"], "trino": ["year(at)", "truncate(id, 10)"]},
}


@check("partitions: every transform, in several snapshots")
def _():
    rows = [event(number) for number in range(40)]
    for name, spec in SPECS.items() if ENGINE.partitions else [("plain", {})]:
        table = made(name, EVENTS, rows[:15], parts=spec.get(CHOSEN["engine"], ()))
        ENGINE.insert(table, EVENTS, rows[15:])
        both(name, rows, EVENTS)
        for condition, keep in [
            ("region = 'eu-west'", lambda row: row["region"] == "eu-west"),
            ("region IS NULL", lambda row: row["region"] is None),
            ("region >= 'eu'", lambda row: (row["region"] or "") >= "eu"),
            ("id BETWEEN 9 AND 21", lambda row: 9 <= row["id"] <= 21),
            ("id = 17", lambda row: row["id"] == 17),
            ("amount > 5 AND id <> 20", lambda row: row["amount"] > 5 and row["id"] != 20),
        ]:
            filtered(name, condition, [row["id"] for row in rows if keep(row)])
        moment = datetime(2024, 1, 1, tzinfo=UTC)
        got = sql(f"SELECT id FROM {NS}.{name} WHERE at < ?", (moment,))
        same(sorted(got.column(0).to_pylist()), [row["id"] for row in rows if row["at"] < moment], "at <:")


@check("evolution: columns added, renamed, widened and dropped; older files are read")
def _():
    fields = [("id", "long"), ("one", "int"), ("two", "string"), ("gone", "int")]
    table = made("evolved", fields, [{"id": 1, "one": 11, "two": "x", "gone": 5}, {"id": 2}])
    column = "COLUMN" if CHOSEN["engine"] != "spark" else "COLUMNS"
    ENGINE.run(f"ALTER TABLE {table} ADD {column} {'(added string)' if column == 'COLUMNS' else 'added varchar'}")
    ENGINE.run(f"ALTER TABLE {table} RENAME COLUMN two TO second")
    ENGINE.run(f"ALTER TABLE {table} DROP COLUMN gone")
    ENGINE.run(f"ALTER TABLE {table} ALTER COLUMN one {'TYPE bigint' if CHOSEN['engine'] == 'spark' else 'SET DATA TYPE bigint'}")
    after = [("id", "long"), ("one", "long"), ("second", "string"), ("added", "string")]
    ENGINE.insert(table, after, [{"id": 3, "one": 2**40, "second": "y", "added": "z"}])
    # A name of the past may be taken again; old files do not fill it.
    ENGINE.run(f"ALTER TABLE {table} ADD {column} {'(two string)' if column == 'COLUMNS' else 'two varchar'}")
    after.append(("two", "string"))
    ENGINE.insert(table, after, [{"id": 4, "two": "again"}])
    want = [{"id": 1, "one": 11, "second": "x"}, {"id": 2}, {"id": 3, "one": 2**40, "second": "y", "added": "z"}, {"id": 4, "two": "again"}]
    both("evolved", want, after)
    filtered("evolved", "two IS NULL", [1, 2, 3])
    filtered("evolved", "one > 5", [1, 3])


@check("row-level deletes, before and after they are worked in")
def _():
    rows = [event(number) for number in range(10)]
    table = made("deleted", EVENTS, rows)
    if CHOSEN["engine"] == "spark":
        ENGINE.run(f"ALTER TABLE {table} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    ENGINE.run(f"DELETE FROM {table} WHERE id IN (3, 5)")
    rest = [row for row in rows if row["id"] not in (3, 5)]
    both("deleted", rest, EVENTS)
    if CHOSEN["engine"] == "spark":
        ENGINE.run(f"CALL tw.system.rewrite_data_files(table => '{NS}.deleted', options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true'))")
    elif CHOSEN["engine"] == "trino":
        ENGINE.run(f"ALTER TABLE {table} EXECUTE optimize")
    else:
        return
    both("deleted", rest, EVENTS)


@check("changes by whole files: rows replaced, partitions deleted, all deleted")
def _():
    if CHOSEN["engine"] == "duckdb":
        return "not in DuckDB"
    rows = [event(number) for number in range(40)]
    table = made("changed", EVENTS, rows, parts=SPECS["days"][CHOSEN["engine"]])
    # Whole days, which is a change of metadata only.
    moment = datetime(2024, 1, 3, tzinfo=UTC)
    ENGINE.run(f"DELETE FROM {table} WHERE at >= {ENGINE.literal(moment, 'timestamptz')}")
    rows = [row for row in rows if row["at"] < moment]
    both("changed", rows, EVENTS)
    if CHOSEN["engine"] == "spark":
        # Spark copies on write when it is not told otherwise.
        ENGINE.run(f"UPDATE {table} SET amount = amount + 1 WHERE region = 'eu-west'")
        ENGINE.run(f"MERGE INTO {table} t USING (SELECT 8 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE")
        rows = [{**row, "amount": row["amount"] + (row["region"] == "eu-west")} for row in rows if row["id"] != 8]
        both("changed", rows, EVENTS)
        ENGINE.run(f"INSERT OVERWRITE {table} SELECT * FROM {table} WHERE id < 5")
    else:
        ENGINE.run(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {table} WHERE id < 5")
    both("changed", [row for row in rows if row["id"] < 5], EVENTS)
    ENGINE.run(f"TRUNCATE TABLE {table}")
    both("changed", [], EVENTS)


@check("format 1: the engine and SQL write by turns")
def _():
    if CHOSEN["engine"] == "duckdb":
        return "not in DuckDB"
    rows = [event(number) for number in range(8)]
    table = made("first", EVENTS, rows[:4], parts=SPECS["days"][CHOSEN["engine"]], version=1)
    same(catalog.load_table((NS, "first")).format_version, 1)
    ours = f"{NS}.first"
    ENGINE.insert(ENGINE.name(NS, "first"), EVENTS, rows[4:6])
    sql(f"INSERT INTO {ours} SELECT id + 6 AS id, region, at, amount FROM {ours} WHERE id < 2")
    rows = rows[:6] + [{**rows[number], "id": number + 6} for number in range(2)]
    both("first", rows, EVENTS)
    sql(f"UPDATE {ours} SET amount = amount + 1 WHERE id IN (1, 4, 6)")
    rows = [{**row, "amount": row["amount"] + (row["id"] in (1, 4, 6))} for row in rows]
    both("first", rows, EVENTS)
    ENGINE.insert(table, EVENTS, [event(30)])
    sql(f"DELETE FROM {ours} WHERE id = 2")
    rows = [row for row in rows if row["id"] != 2] + [event(30)]
    both("first", rows, EVENTS)
    sql(f"CALL system.rewrite_data_files(table => '{ours}', options => map('rewrite-all', 'true'))")
    ENGINE.insert(table, EVENTS, [event(31)])
    rows.append(event(31))
    both("first", rows, EVENTS)


@check("format 3: rows and deletion vectors")
def _():
    rows = [event(number) for number in range(6)]
    table = made("third", EVENTS, rows[:3], version=3)
    ENGINE.insert(table, EVENTS, rows[3:])
    same(catalog.load_table((NS, "third")).format_version, 3)
    both("third", rows, EVENTS)
    if CHOSEN["engine"] == "spark":
        ENGINE.run(f"ALTER TABLE {table} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    ENGINE.run(f"DELETE FROM {table} WHERE id = 4")
    both("third", [row for row in rows if row["id"] != 4], EVENTS)


@check("tables are listed on both sides, then dropped")
def _():
    listed = sql(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{NS}'").column(0).to_pylist()
    same(sorted(listed), sorted(name for _, name in catalog.list_tables(NS)))
    for name in listed:
        ENGINE.run(f"DROP TABLE {ENGINE.name(NS, name)}")
    ENGINE.run(f"DROP SCHEMA {ENGINE.schema(NS)}")


def viewer(name):
    def read():
        ours = sql(f"SELECT * FROM made.{quoted(name)}")
        ENGINE.agrees(f"SELECT * FROM {ENGINE.name('made', name)}", ours)
        return f"{ours.num_rows} rows"

    return f"reads the view made.{name}", read


if CHOSEN["engine"] != "duckdb":
    # Both sides write the same tables.
    from mixed_defaults import defaults
    from mixed_refs import refs
    from mixed_taken import folders
    from mixed_turns import matrix

    matrix(ENGINE)
    defaults(ENGINE)
    folders(ENGINE)
    refs(ENGINE)

# DuckDB has no views of a catalog.
views = [viewer(name) for namespace, name in catalog.list_views("made") if CHOSEN["engine"] != "duckdb"] if catalog.namespace_exists("made") else []
others = [namespace for namespace in catalog.list_namespaces() if namespace[0] not in (NS, "mixed_" + CHOSEN["engine"])]
tables = [identifier for namespace in others for identifier in catalog.list_tables(namespace)]
assert tables, "the lake is empty"
try:
    run([reader(identifier) for identifier in tables] + views + CHECKS)
finally:
    ENGINE.close()
