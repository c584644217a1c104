"""What the probes of a whole lake share: the catalog through PyIceberg, the SQL endpoint through ADBC, and rows that can be compared.

Each probe is called as: PROBE.py CATALOG_URI FLIGHT_URI [key=value ...]; user=NAME and password=TEXT are for the SQL endpoint,
engine=NAME, trino=URI and verify=COMMAND for the probe of engines; every other pair is a property of the catalog.
"""
import math
import sys
import uuid
from collections import Counter
from datetime import datetime, timezone

from adbc_driver_flightsql import dbapi
from pyiceberg.catalog import load_catalog

import pyarrow as pa

URI, FLIGHT = sys.argv[1:3]
PROPERTIES = dict(pair.split("=", 1) for pair in sys.argv[3:])
LOGIN = {key: PROPERTIES.pop(key) for key in ("user", "password") if key in PROPERTIES}
CHOSEN = {key: PROPERTIES.pop(key) for key in ("engine", "trino", "verify") if key in PROPERTIES}
LOGIN = {"username" if key == "user" else key: value for key, value in LOGIN.items()}

catalog = load_catalog("lake", **{"type": "rest", "uri": URI, **PROPERTIES})
connection = dbapi.connect(FLIGHT, db_kwargs=LOGIN, autocommit=True)

CHECKS = []


def check(name):
    def add(function):
        CHECKS.append((name, function))
        return function

    return add


def run(checks=None):
    """Runs all checks; the exit code tells whether one failed."""
    passed = failed = 0
    for name, function in checks or CHECKS:
        try:
            said = function()
            passed += 1
            print(f"ok   {name}{': ' + said if isinstance(said, str) else ''}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {' '.join(str(error).split())[:900]}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    connection.close()
    sys.exit(1 if failed else 0)


def same(got, want, what=""):
    assert got == want, f"{what} got {got!r}, want {want!r}"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def sql(text, parameters=None):
    """The answer as an Arrow table."""
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetch_arrow_table()


def value(text, parameters=None):
    return sql(text, parameters).column(0)[0].as_py()


def plain(item, data_type=None):
    """A value that can be compared and hashed, the same for equal values of either side."""
    if data_type is not None and pa.types.is_struct(data_type):
        return item if item is None else tuple((part.name, plain(item.get(part.name), part.type)) for part in data_type)
    if data_type is not None and (pa.types.is_list(data_type) or pa.types.is_large_list(data_type)):
        # PyIceberg 0.12 makes a list of structs that is null an empty one, when it reads and when it writes.
        item = () if item is None and pa.types.is_struct(data_type.value_type) else item
        return item if item is None else tuple(plain(part, data_type.value_type) for part in item)
    if data_type is not None and pa.types.is_map(data_type):
        # The order of a map's entries is nobody's promise.
        return item if item is None else frozenset((plain(key, data_type.key_type), plain(part, data_type.item_type)) for key, part in item)
    if isinstance(item, (list, tuple)):
        return tuple(plain(part) for part in item)
    if isinstance(item, float):
        return "NaN" if math.isnan(item) else item
    if isinstance(item, uuid.UUID):
        return item.bytes
    if isinstance(item, datetime) and item.tzinfo is not None:
        return item.astimezone(timezone.utc)
    return item


def multiset(table):
    """How often each row is there; columns by position, so that names are compared on their own."""
    columns = [[plain(item, field.type) for item in column.to_pylist()] for field, column in zip(table.schema, table.columns)]
    return Counter(zip(*columns)) if columns else Counter()


def kind(data_type):
    """The type without what the two sides may choose freely: large and view forms, and how the zone UTC is written."""
    if pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type):
        return pa.string()
    if pa.types.is_large_binary(data_type) or pa.types.is_binary_view(data_type):
        return pa.binary()
    if isinstance(data_type, pa.UuidType):
        return pa.binary(16)
    if pa.types.is_timestamp(data_type) and data_type.tz is not None:
        return pa.timestamp(data_type.unit, "UTC")
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        return ("list", kind(data_type.value_type))
    if pa.types.is_map(data_type):
        return ("map", kind(data_type.key_type), kind(data_type.item_type))
    if pa.types.is_struct(data_type):
        return ("struct", tuple((field.name, kind(field.type)) for field in data_type))
    return data_type


def equal_tables(got, want):
    """Names, types and rows of two Arrow tables, in any order of rows."""
    same(got.column_names, want.column_names, "columns:")
    same([kind(t) for t in got.schema.types], [kind(t) for t in want.schema.types], "types:")
    same(got.num_rows, want.num_rows, "rows:")
    got, want = multiset(got), multiset(want)
    missing, extra = want - got, got - want
    assert not missing and not extra, f"{len(missing)} rows missing, such as {list(missing)[:1]}; {len(extra)} too many, such as {list(extra)[:1]}"


ORDERED = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string, pa.types.is_large_string, pa.types.is_date, pa.types.is_time, pa.types.is_timestamp)


def aggregates(name, rows):
    """count, min and max of every plain column: what an engine may answer from statistics instead of rows."""
    parts, want = ["count(*)"], [rows.num_rows]
    for field, column in zip(rows.schema, rows.columns):
        if not any(is_kind(field.type) for is_kind in ORDERED):
            continue
        there = [plain(item) for item in column.to_pylist() if item is not None]
        if "NaN" in there:
            continue
        column = quoted(field.name)
        parts += [f"count({column})", f"min({column})", f"max({column})"]
        # Strings are ordered by their bytes.
        order = (lambda text: text.encode()) if there and isinstance(there[0], str) else None
        want += [len(there), min(there, key=order, default=None), max(there, key=order, default=None)]
    got = sql(f"SELECT {', '.join(f'{part} AS a{at}' for at, part in enumerate(parts))} FROM {name}")
    for part, mine, theirs in zip(parts, want, (plain(column[0].as_py()) for column in got.columns)):
        same(theirs, mine, part)


def agree(table, want=None, statement=None):
    """PyIceberg and SQL see the same rows of the table; `want` (rows as dictionaries) is what both must see."""
    name = ".".join(quoted(part) for part in table.name())
    theirs = catalog.load_table(table.name()).scan().to_arrow()
    ours = sql(statement or f"SELECT * FROM {name}")
    equal_tables(ours, theirs)
    same(catalog.load_table(table.name()).scan().count(), theirs.num_rows, "PyIceberg's count:")
    aggregates(name, theirs)
    if want is not None:
        rows = Counter(tuple(plain(row.get(part.name), part.type) for part in ours.schema) for row in want)
        got = multiset(ours)
        assert rows == got, f"missing {list(rows - got)[:1]}, too many {list(got - rows)[:1]}"
    return ours
