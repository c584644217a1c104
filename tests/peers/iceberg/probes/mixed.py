"""Tables that tidewater and another engine write in turns: after each turn both must read the rows that plain Python works out.

`probes/lake_engine.py` runs these checks. A table is a `Shared`: what a side does to it is done to its model too. Both sides have
the interface of `engines.Engine`, so that a turn is written once. Every table has a column of each type that the engine takes.
"""
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from adbc_driver_flightsql import dbapi
from engines import Engine
from lake import CHOSEN, FLIGHT, LOGIN, aggregates, catalog, check, multiset, quoted, same, sql

import pyarrow as pa

NAME = CHOSEN["engine"]
NS = "mixed_" + NAME
UTC = timezone.utc
# What an engine cannot do, and so only reads.
EXCUSES = {
    "spark": {"defaults": "Spark gives no column a default"},
    "trino": {
        "branches": "Trino makes and writes no branches", "wap": "Trino stages and publishes nothing",
        "folders": "Trino takes files over only where its configuration says so",
    },
}[NAME]  # fmt: skip


class Tidewater(Engine):
    """The side of our own: its words are those of docs/sql.md."""

    types = {"long": "bigint", "float": "real"}

    def __init__(self, options=None):
        more = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"} if options else {}
        self.connection = dbapi.connect(FLIGHT, db_kwargs={**LOGIN, **more}, conn_kwargs=options, autocommit=True)

    def run(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.rowcount

    def typed(self, value, kind):
        # Text is not cast to it (docs/limits.md).
        return f"arrow_cast(X'{value.hex()}', 'FixedSizeBinary(16)')" if kind == "uuid" and value else self.literal(value, kind)

    def nested(self, kind):
        if kind[0] == "list":
            return f"array<{self.type(kind[1])}>"
        if kind[0] == "map":
            return f"map<{self.type(kind[1])}, {self.type(kind[2])}>"
        return "struct<" + ", ".join(f"{name}: {self.type(part)}" for name, part in kind[1:]) + ">"

    def list_of(self, items):
        return f"[{', '.join(items)}]"

    def map_of(self, keys, values):
        return f"map([{', '.join(keys)}], [{', '.join(values)}])"

    def struct_of(self, parts):
        return "named_struct(" + ", ".join(f"'{name}', {value}" for name, value in parts) + ")"

    def binary(self, value):
        return f"X'{value.hex()}'"


OURS = Tidewater()
FIELDS = [
    ("id", "long"), ("n", "int"), ("region", "string"), ("at", "timestamptz"), ("day", "date"), ("local", "timestamp"),
    ("flag", "boolean"), ("single", "float"), ("ratio", "double"), ("money", ("decimal", 9, 2)), ("bytes", "binary"), ("key", "uuid"),
    ("list", ("list", "string")), ("pairs", ("map", "string", "int")), ("nested", ("struct", ("x", "int"), ("label", "string"))),
]  # fmt: skip
START = datetime(2024, 2, 27, 22, 30, tzinfo=UTC)


def row(number):
    """A row that its number determines; every fifth has an id, a region and a time only. Each hundred is a year."""
    at = START + timedelta(days=366 * (number // 100), hours=5 * (number % 100))
    short = {"id": number, "region": [None, "eu-west", "eu-east", "ap süd", "us/a=b"][number % 5], "at": at}
    if number % 5 == 0:
        return short
    return {
        **short, "n": number * 7 % 50, "day": at.date(), "local": at.replace(tzinfo=None, microsecond=number), "flag": number % 2 == 0,
        "single": number / 4, "ratio": number / 3, "money": Decimal(number * 101 % 9973) / 100, "bytes": bytes([number % 256, 0, 255]),
        "key": uuid.UUID(int=2**127 + number).bytes, "list": [f"a{number}", None, ""][: number % 4],
        "pairs": [("k", number), ("none", None)][: number % 3], "nested": {"x": number, "label": None if number % 2 else "l"},
    }  # fmt: skip


def rows(first, end):
    return [row(number) for number in range(first, end)]


def plus(more):
    return lambda one: one.update(n=None if one.get("n") is None else one["n"] + more)


class Shared:
    """One table, and the rows that it has to have."""

    def __init__(self, engine, name, fields=None, namespace=NS):
        self.engine, self.name_, self.namespace, self.model, self.broken = engine, name, namespace, {}, False
        self.fields = list(fields or FIELDS)
        self.number = "n"

    def name(self, side):
        return side.name(self.namespace, self.name_)

    def do(self, side, statement, count):
        changed = side.run(statement)
        if side is OURS:
            same(changed, count, f"rows changed by {statement[:80]}:")

    def insert(self, side, new):
        side.insert(self.name(side), self.fields, [{self.number if key == "n" else key: item for key, item in one.items()} for one in new])
        self.model |= {one["id"]: dict(one) for one in new}

    def update(self, side, assignments, condition, keep, change):
        hit = [one for one in self.model.values() if keep(one)]
        self.do(side, f"UPDATE {self.name(side)} SET {assignments.format(n=self.number)} WHERE {condition}", len(hit))
        for one in hit:
            change(one)

    def delete(self, side, condition, keep):
        gone = [number for number, one in self.model.items() if keep(one)]
        self.do(side, f"DELETE FROM {self.name(side)} WHERE {condition}", len(gone))
        for number in gone:
            del self.model[number]

    def merge(self, side, source):
        """The rows of the table `source`: some leave, some change and move to other partitions, and the rest are new."""
        names = [name for name, _ in self.fields]
        given = ["s." + ("n" if name == self.number else name) if name != "extra" else "NULL" for name in names]
        numbers = sorted(SOURCE[source])
        hit = [number for number in numbers if number in self.model]
        self.do(
            side,
            f"MERGE INTO {self.name(side)} t USING (SELECT * FROM {side.name(self.namespace, source)}) s ON t.id = s.id "
            f"WHEN MATCHED AND s.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET {self.number} = s.n, region = s.region "
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(side.name(name) for name in names)}) VALUES ({', '.join(given)})",
            len(numbers),
        )
        for number in numbers:
            new = SOURCE[source][number]
            if number not in hit:
                self.model[number] = {key: item for key, item in new.items() if key in names or key == "n"}
            elif number % 2 == 0:
                del self.model[number]
            else:
                self.model[number] |= {"n": new.get("n"), "region": new["region"]}

    def compare(self):
        """The engine and SQL see the rows of the model."""
        name = f"{quoted(self.namespace)}.{quoted(self.name_)}"
        ours = sql(f"SELECT * FROM {name}")
        same(ours.column_names, [field for field, _ in self.fields], "columns:")
        want = [{self.number if key == "n" else key: item for key, item in one.items()} for one in self.model.values()]
        got, want = multiset(ours), multiset(pa.Table.from_pylist(want, schema=ours.schema))
        assert got == want, f"SQL against the model: missing {list(want - got)[:1]}, too many {list(got - want)[:1]}"
        self.engine.agrees(f"SELECT * FROM {self.name(self.engine)}", ours)
        aggregates(name, ours)
        return f"{ours.num_rows} rows"

    def turn(self, side, first, partition, source, whole=False):
        """All that a side can do to rows: `partition` is a condition in words and in Python, whose rows are whole files if `whole`."""
        self.insert(side, rows(first, first + 9))
        self.update(side, "{n} = {n} + 1000", "id % 4 = 1", lambda one: one["id"] % 4 == 1, plus(1000))
        self.delete(side, *partition)
        if whole:
            summary = catalog.load_table((self.namespace, self.name_)).current_snapshot().summary
            added = {key: summary[key] for key in ("added-data-files", "added-delete-files", "added-dvs") if int(summary.get(key) or 0)}
            assert not added, f"files were written to delete whole ones: {added}"
        moved = lambda one: one.update(region="eu-moved")
        self.update(side, "region = 'eu-moved'", "id % 6 = 2", lambda one: one["id"] % 6 == 2, moved)
        self.delete(side, f"id IN (3, 11, {first + 2})", lambda one: one["id"] in (3, 11, first + 2))
        self.merge(side, source)


# What is merged: numbers that are there, and numbers that are not.
SOURCE = {
    "first_source": {number: {**row(number + 2), "id": number} for number in (4, 7, 9, 500, 501)},
    "second_source": {number: {**row(number + 1), "id": number} for number in (8, 13, 101, 501, 600)},
}


def steps(table, label, more):
    """Each step is a check of its own; after one that failed the table is out of step with its model."""
    for what, function in more:

        def body(function=function):
            assert not table.broken, "an earlier step failed"
            table.broken = True
            said = function()
            table.broken = False
            return said

        check(f"{label}: {what}")(body)
