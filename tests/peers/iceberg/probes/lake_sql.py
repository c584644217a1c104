"""The SQL endpoint makes, changes and rewrites tables, for others to read: lake_sql.py CATALOG_URI FLIGHT_URI [key=value ...]

After each statement PyIceberg must see the rows that plain Python works out. The tables and views of the namespace `made` stay:
lake_read.py and lake_engine.py read every table that is there. It may run again: it drops what it left before.
"""
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
from adbc_driver_manager import Error

from lake import agree, catalog, check, connection, run, same, value

NS = "made"
UTC = timezone.utc
MODES = {
    "first": "'format-version' = '1'",
    "copied": "'format-version' = '2'",
    "beside": "'format-version' = '2', 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
    "vectors": "'format-version' = '3', 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
}


def do(statement):
    """The number of rows that the statement changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.rowcount


def refused(statement, code):
    try:
        do(statement)
    except Error as error:
        assert code in str(error), f"{code} is not in {error}"
        return
    raise AssertionError(f"done: {statement}")


def here(name, rows):
    agree(catalog.load_table((NS, name)), rows)


@check("makes the namespace anew")
def _():
    do(f"DROP SCHEMA IF EXISTS {NS} CASCADE")
    do(f"CREATE SCHEMA {NS} COMMENT 'by SQL' WITH PROPERTIES ('owner' = 'probe')")
    same(catalog.load_namespace_properties(NS).get("owner"), "probe")


@check("types: those that all engines read")
def _():
    do(
        f"CREATE TABLE {NS}.types (id bigint NOT NULL, flag boolean, small int, single real, double double, money decimal(9, 2), widest decimal(38, 10), day date, "
        "local timestamp, instant timestamptz, text string, bytes binary, list array<string>, map map<string, int>, "
        "nested struct<name: string, deep: array<struct<x: int, at: timestamptz>>>, PRIMARY KEY (id)) COMMENT 'all types'"
    )
    do(
        f"INSERT INTO {NS}.types (id, flag, small, single, double, money, widest, day, local, instant, text, bytes, list) VALUES "
        "(1, true, 2147483647, 1.5, 1e300, 1234567.89, 1234567890123456789012345678.0123456789, DATE '2024-02-29', "
        "TIMESTAMP '2024-01-15 10:20:30.123456', TIMESTAMPTZ '2024-01-15 10:20:30.123456Z', 'it''s grün 漢 🙂', X'00ff10', ['a', NULL, '']), "
        "(2, false, -2147483648, -0.25, -1e-300, -9999999.99, -1, DATE '0001-01-01', TIMESTAMP '1900-01-01 00:00:00', "
        "TIMESTAMPTZ '1900-01-01 00:00:00Z', '', X'', []), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )
    empty = dict.fromkeys(catalog.load_table((NS, "types")).schema().column_names)
    rows = [
        {**empty, "id": 1, "flag": True, "small": 2**31 - 1, "single": 1.5, "double": 1e300, "money": Decimal("1234567.89"), "widest": Decimal("1234567890123456789012345678.0123456789"),
         "day": date(2024, 2, 29), "local": datetime(2024, 1, 15, 10, 20, 30, 123456), "instant": datetime(2024, 1, 15, 10, 20, 30, 123456, UTC),
         "text": "it's grün 漢 🙂", "bytes": b"\x00\xff\x10", "list": ["a", None, ""]},
        {**empty, "id": 2, "flag": False, "small": -(2**31), "single": -0.25, "double": -1e-300, "money": Decimal("-9999999.99"), "widest": Decimal("-1.0000000000"), "day": date(1, 1, 1),
         "local": datetime(1900, 1, 1), "instant": datetime(1900, 1, 1, tzinfo=UTC), "text": "", "bytes": b"", "list": []},
        {**empty, "id": 3},
    ]  # fmt: skip
    here("types", rows)
    same(catalog.load_table((NS, "types")).schema().identifier_field_names(), {"id"})


def visit(number):
    return {"id": number, "region": None if number % 7 == 0 else ["eu", "us", "ap"][number % 3], "at": datetime(2023, 12, 30, 22, 30, tzinfo=UTC) + timedelta(hours=5 * number), "amount": Decimal(number * 101 % 997) / 100}


def values(rows):
    text = lambda item: "NULL" if item is None else f"'{item}'"
    return ", ".join(f"({row['id']}, {text(row['region'])}, TIMESTAMPTZ '{row['at'].isoformat()}', {row['amount']})" for row in rows)


COLUMNS = "id bigint, region string, at timestamptz, amount decimal(10, 2)"


@check("partitions: every transform")
def _():
    rows = [visit(number) for number in range(40)]
    for name, fields in [("identity", "region"), ("days", "day(at)"), ("hours", "hour(at), bucket(4, id)"), ("months", "month(at), truncate(1, region)"), ("years", "year(at), truncate(10, id)")]:
        do(f"CREATE TABLE {NS}.by_{name} ({COLUMNS}) PARTITIONED BY ({fields})")
        same(do(f"INSERT INTO {NS}.by_{name} VALUES {values(rows[:25])}"), 25)
        same(do(f"INSERT INTO {NS}.by_{name} VALUES {values(rows[25:])}"), 15)
        here(f"by_{name}", rows)


def changed(name, partitioning):
    rows = {number: visit(number) for number in range(30)}
    for first in (0, 10, 20):
        do(f"INSERT INTO {NS}.{name} VALUES {values([rows[number] for number in range(first, first + 10)])}")
    same(do(f"UPDATE {NS}.{name} SET amount = amount + 1.25 WHERE region = 'eu' AND id < 20"), sum(row["region"] == "eu" and row["id"] < 20 for row in rows.values()))
    for row in rows.values():
        row["amount"] += Decimal("1.25") * (row["region"] == "eu" and row["id"] < 20)
    here(name, rows.values())
    same(do(f"DELETE FROM {NS}.{name} WHERE id % 5 = 3"), 6)
    rows = {number: row for number, row in rows.items() if number % 5 != 3}
    here(name, rows.values())
    same(do(f"DELETE FROM {NS}.{name} WHERE region IS NULL AND id IN (SELECT id FROM {NS}.by_days WHERE id > 5)"), sum(row["region"] is None and row["id"] > 5 for row in rows.values()))
    rows = {number: row for number, row in rows.items() if row["region"] is not None or number <= 5}
    here(name, rows.values())
    merged = do(
        f"MERGE INTO {NS}.{name} AS t USING (SELECT id + 20 AS id, region, at, amount FROM {NS}.by_days WHERE id < 15) AS s ON t.id = s.id "
        "WHEN MATCHED AND s.region = 'us' THEN DELETE WHEN MATCHED THEN UPDATE SET region = s.region, amount = t.amount + s.amount WHEN NOT MATCHED THEN INSERT *"
    )
    want = 0
    for number in range(15):
        source, at = visit(number), number + 20
        want += 1
        if at not in rows:
            rows[at] = {**source, "id": at}
        elif source["region"] == "us":
            del rows[at]
        else:
            rows[at] = {**rows[at], "region": source["region"], "amount": rows[at]["amount"] + source["amount"]}
    same(merged, want)
    here(name, rows.values())
    same(do(f"INSERT INTO {NS}.{name} VALUES {values([visit(1), visit(100)])} ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"), 2)
    rows[1]["amount"] = visit(1)["amount"]
    rows[100] = visit(100)
    here(name, rows.values())


@check("rows are changed, deleted and merged, in every mode, with partitions and without")
def _():
    for mode, properties in MODES.items():
        for name, clause in [("plain", ""), ("cut", "PARTITIONED BY (bucket(3, id))")]:
            do(f"CREATE TABLE {NS}.{mode}_{name} ({COLUMNS}) {clause} TBLPROPERTIES ({properties})")
            changed(f"{mode}_{name}", clause)
    deletes = catalog.load_table((NS, "beside_plain")).current_snapshot().summary["total-delete-files"]
    assert int(deletes) > 0, "nothing was deleted beside its file"


@check("rows are overwritten")
def _():
    do(f"CREATE TABLE {NS}.overwritten ({COLUMNS}) PARTITIONED BY (region)")
    rows = [visit(number) for number in range(12)]
    do(f"INSERT INTO {NS}.overwritten VALUES {values(rows)}")
    do(f"INSERT OVERWRITE {NS}.overwritten VALUES {values([{**visit(50), 'region': 'eu'}])}")
    rows = [row for row in rows if row["region"] != "eu"] + [{**visit(50), "region": "eu"}]
    here("overwritten", rows)
    do(f"INSERT OVERWRITE {NS}.overwritten PARTITION (region = 'us') (id, at, amount) SELECT id, at, amount FROM {NS}.by_days WHERE id IN (30, 31)")
    rows = [row for row in rows if row["region"] != "us"] + [{**visit(number), "region": "us"} for number in (30, 31)]
    here("overwritten", rows)


@check("tables are altered; older files are read")
def _():
    do(f"CREATE TABLE {NS}.altered AS SELECT arrow_cast(1, 'Int32') AS id, 'x' AS two, 5 AS gone, DATE '2024-01-31' AS day")
    do(f"ALTER TABLE {NS}.altered ADD COLUMN added string COMMENT 'new' AFTER id, RENAME COLUMN two TO second, DROP COLUMN gone, ALTER COLUMN id TYPE bigint")
    do(f"INSERT INTO {NS}.altered VALUES ({2**40}, 'z', 'y', DATE '2024-02-01')")
    do(f"ALTER TABLE {NS}.altered ADD COLUMN two string, ADD PARTITION FIELD month(day), WRITE ORDERED BY id")
    do(f"INSERT INTO {NS}.altered (id, two, day) VALUES (3, 'again', DATE '2024-02-02')")
    rows = [
        {"id": 1, "added": None, "second": "x", "day": date(2024, 1, 31), "two": None},
        {"id": 2**40, "added": "z", "second": "y", "day": date(2024, 2, 1), "two": None},
        {"id": 3, "added": None, "second": None, "day": date(2024, 2, 2), "two": "again"},
    ]
    here("altered", rows)
    same(do(f"UPDATE {NS}.altered SET two = 'all' WHERE two IS NULL"), 2)
    here("altered", [{**row, "two": row["two"] or "all"} for row in rows])
    refused(f"ALTER TABLE {NS}.altered ALTER COLUMN id TYPE int", "")


@check("a table is replaced, tidied and rolled back")
def _():
    do(f"CREATE TABLE {NS}.replaced AS SELECT 1 AS a")
    do(f"CREATE OR REPLACE TABLE {NS}.replaced PARTITIONED BY (b) AS SELECT a + 1 AS a, 'b' AS b FROM {NS}.replaced")
    here("replaced", [{"a": 2, "b": "b"}])
    for number in range(3, 8):
        do(f"INSERT INTO {NS}.replaced VALUES ({number}, 'b')")
    before = catalog.load_table((NS, "replaced")).current_snapshot().snapshot_id
    do(f"CALL system.rewrite_data_files(table => '{NS}.replaced', options => map('min-input-files', '2'))")
    rows = [{"a": number, "b": "b"} for number in range(2, 8)]
    here("replaced", rows)
    do(f"DELETE FROM {NS}.replaced")
    here("replaced", [])
    do(f"CALL system.rollback_to_snapshot('{NS}.replaced', {before})")
    here("replaced", rows)
    do(f"ALTER TABLE {NS}.replaced CREATE TAG kept RETAIN 30 DAYS")
    same(set(catalog.load_table((NS, "replaced")).refs()), {"main", "kept"})


@check("format 1: overwritten, altered, tidied, emptied, rolled back; PyIceberg adds in between, and after the upgrade")
def _():
    name, rows = f"{NS}.first_format", {number: visit(number) for number in range(12)}

    def add(numbers):
        rows.update((number, visit(number)) for number in numbers)
        table = catalog.load_table((NS, "first_format"))
        table.append(pa.Table.from_pylist([visit(number) for number in numbers], schema=table.schema().as_arrow()))
        here("first_format", rows.values())

    do(f"CREATE TABLE {name} ({COLUMNS}) PARTITIONED BY (region) TBLPROPERTIES ('format-version' = '1')")
    do(f"INSERT INTO {name} VALUES {values(rows.values())}")
    add([20, 21, 22])
    do(f"INSERT OVERWRITE {name} VALUES {values([{**visit(50), 'region': 'eu'}])}")
    rows = {number: row for number, row in rows.items() if row["region"] != "eu"} | {50: {**visit(50), "region": "eu"}}
    here("first_format", rows.values())
    add([23, 24])
    do(f"ALTER TABLE {name} ADD COLUMN added int, ADD PARTITION FIELD month(at)")
    do(f"INSERT INTO {name} VALUES (60, 'us', NULL, 1.5, 7)")
    rows = {number: {**row, "added": None} for number, row in rows.items()} | {60: {"id": 60, "region": "us", "at": None, "amount": Decimal("1.50"), "added": 7}}
    here("first_format", rows.values())
    do(f"CALL system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))")
    do(f"CALL system.rewrite_manifests('{name}')")
    here("first_format", rows.values())
    same(do(f"UPDATE {name} SET added = 1 WHERE id >= 23"), 4)
    rows = {number: {**row, "added": 1 if number >= 23 else row["added"]} for number, row in rows.items()}
    here("first_format", rows.values())
    table = catalog.load_table((NS, "first_format"))
    same(table.format_version, 1)
    assert {snapshot.sequence_number for snapshot in table.snapshots()} <= {0, None}, "format 1 has no sequence numbers"
    same(set(table.inspect.entries().column("sequence_number").to_pylist()), {0})
    before = table.current_snapshot().snapshot_id
    do(f"DELETE FROM {name}")
    here("first_format", [])
    do(f"CALL system.rollback_to_snapshot('{name}', {before})")
    here("first_format", rows.values())
    refused(f"ALTER TABLE {name} CREATE TAG kept", "TBL-0024")
    do(f"ALTER TABLE {name} SET TBLPROPERTIES ('format-version' = '2', 'write.delete.mode' = 'merge-on-read')")
    same(do(f"DELETE FROM {name} WHERE id = 60"), 1)
    del rows[60]
    here("first_format", rows.values())
    # One that stays as it is, for others to read.
    do(f"CREATE TABLE {NS}.first_kept PARTITIONED BY (bucket(3, id)) TBLPROPERTIES ('format-version' = '1') AS SELECT * FROM {NS}.by_days")
    same(do(f"DELETE FROM {NS}.first_kept WHERE id % 3 = 0"), 14)
    here("first_kept", [visit(number) for number in range(40) if number % 3])


@check("views are made, and what may not be done is refused")
def _():
    do(f"CREATE VIEW {NS}.by_region COMMENT 'a view' TBLPROPERTIES ('tidewater.default-catalog' = 'tw') AS SELECT region, count(*) AS visits, max(id) AS newest FROM {NS}.by_days GROUP BY region")
    do(f"CREATE VIEW {NS}.newest (region COMMENT 'where') TBLPROPERTIES ('tidewater.default-catalog' = 'tw') AS SELECT region FROM {NS}.by_region WHERE newest > 38")
    same(value(f"SELECT count(*) FROM {NS}.by_region"), 4)
    same(value(f"SELECT region FROM {NS}.newest"), visit(39)["region"])
    refused("DELETE FROM bronze.users", "ENG-0018")
    refused(f"INSERT INTO {NS}.nope VALUES (1)", "ENG-0001")
    refused(f"CREATE TABLE {NS}.replaced (a int)", "TBL-0031")


run()
