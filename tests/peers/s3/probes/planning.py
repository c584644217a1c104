"""Scans planned by the catalog against scans planned by PyIceberg: planning.py URI [SEED]

Random filters of every kind over tables with several partitionings, nulls, NaN and a schema that changed. Both must read the same rows (where PyIceberg cannot plan: the
rows of a table without partitions), the catalog must leave out files, and the counts that rest on residuals must be those of the rows. Needs no namespace probe_plan.
"""
import datetime
import math
import random
import sys
from decimal import Decimal

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import (
    And,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNaN,
    IsNull,
    LessThan,
    LessThanOrEqual,
    Not,
    NotEqualTo,
    NotIn,
    NotNaN,
    NotNull,
    NotStartsWith,
    Or,
    StartsWith,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, MonthTransform, TruncateTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
)

URI, SEED = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
FILTERS = 60
rng = random.Random(SEED)
client = load_catalog("client", type="rest", uri=URI)
server = load_catalog("server", **{"type": "rest", "uri": URI, "scan-planning-mode": "server"})
assert server.supports_server_side_planning(), "the catalog does not announce planning"

SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "name", StringType()),
    NestedField(3, "score", DoubleType()),
    NestedField(4, "day", DateType()),
    NestedField(5, "at", TimestampType()),
    NestedField(6, "amount", DecimalType(9, 2)),
    NestedField(7, "flag", BooleanType()),
    NestedField(8, "version", IntegerType()),
)
SPECS = {
    "plain": PartitionSpec(),
    "by_day": PartitionSpec(PartitionField(4, 1000, DayTransform(), "d")),
    "by_month": PartitionSpec(PartitionField(5, 1000, MonthTransform(), "m"), PartitionField(7, 1001, IdentityTransform(), "flag")),
    "by_bucket": PartitionSpec(PartitionField(1, 1000, BucketTransform(3), "b")),
    "by_part": PartitionSpec(PartitionField(2, 1000, TruncateTransform(3), "n"), PartitionField(8, 1001, TruncateTransform(4), "v")),
    "by_amount": PartitionSpec(PartitionField(6, 1000, IdentityTransform(), "a")),
}
DAY = datetime.date(1969, 12, 20)


def row(i):
    some = lambda value, every: None if i % every == every - 1 else value
    return {
        "id": i,
        "name": some(f"n{i % 7:02d}-{'x' * (i % 3)}ä", 11),
        "score": some(float("nan") if i % 13 == 0 else i * 0.5 - 10, 9),
        "day": some(DAY + datetime.timedelta(days=i // 4), 10),
        "at": some(datetime.datetime(1969, 11, 28) + datetime.timedelta(days=i, seconds=i), 12),
        "amount": some((Decimal(i % 5) / 4).quantize(Decimal("0.01")), 8),
        "flag": some(i % 3 == 0, 5),
        "version": some(i % 10, 6),
    }


ARROW = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("score", pa.float64()),
        ("day", pa.date32()),
        ("at", pa.timestamp("us")),
        ("amount", pa.decimal128(9, 2)),
        ("flag", pa.bool_()),
        ("version", pa.int32()),
    ]
)


def leaf():
    name = rng.choice(["id", "name", "score", "day", "at", "amount", "flag", "version"])
    values = [row(rng.randrange(-5, 75))[name] for _ in range(3)]
    values = [v for v in values if v is not None and not (isinstance(v, float) and math.isnan(v))]
    kinds = ["null", "notnull"] + (["nan", "notnan"] if name == "score" else [])
    kinds += ["cmp"] * 6 + ["in", "notin"] if values else []
    kinds += ["prefix", "notprefix"] if name == "name" and values else []
    kind = rng.choice(kinds)
    if kind == "null":
        return IsNull(name)
    if kind == "notnull":
        return NotNull(name)
    if kind == "nan":
        return IsNaN(name)
    if kind == "notnan":
        return NotNaN(name)
    written = [v.isoformat() if isinstance(v, (datetime.date, datetime.datetime)) else v for v in values]
    if kind == "in":
        return In(name, written)
    if kind == "notin":
        return NotIn(name, written)
    if kind in ("prefix", "notprefix"):
        return (StartsWith if kind == "prefix" else NotStartsWith)(name, written[0][: rng.randrange(1, 5)])
    one = rng.choice([EqualTo, NotEqualTo, LessThan, LessThanOrEqual, GreaterThan, GreaterThanOrEqual])
    if name == "flag":
        one = rng.choice([EqualTo, NotEqualTo])
    return one(name, written[0])


def predicate(depth):
    if depth == 0 or rng.random() < 0.4:
        return leaf()
    kind = rng.choice([And, And, Or, Not])
    return Not(leaf()) if kind is Not else kind(predicate(depth - 1), predicate(depth - 1))


def ids(table, **scan):
    return sorted(table.scan(selected_fields=("id",), **scan).to_arrow()["id"].to_pylist())


def main():
    client.create_namespace("probe_plan")
    checked = left_out = whole = client_failed = 0
    plain = None
    for name, spec in SPECS.items():
        table = client.create_table(("probe_plan", name), SCHEMA, partition_spec=spec)
        for start in (0, 20, 40, 60):
            table.append(pa.Table.from_pylist([row(i) for i in range(start - 5, start + 10)], schema=ARROW))
        with table.update_schema() as update:
            update.add_column("later", StringType())
            update.rename_column("version", "release")
        table = client.load_table(("probe_plan", name))
        planned = server.load_table(("probe_plan", name))
        plain = plain or table
        files = len(list(table.scan().plan_files()))
        assert ids(planned) == ids(table), name
        for snapshot in table.snapshots():
            assert ids(planned, snapshot_id=snapshot.snapshot_id) == ids(table, snapshot_id=snapshot.snapshot_id), name
        for _ in range(FILTERS):
            wanted = predicate(2)
            text = str(wanted).replace("version", "release")
            wanted = rename(wanted)
            theirs, ours = table.scan(row_filter=wanted), planned.scan(row_filter=wanted)
            mine = {task.file.file_path for task in ours.plan_files()}
            whole += files
            left_out += files - len(mine)
            checked += 1
            found = ids(planned, row_filter=wanted)
            try:
                theirs.count()
            except TypeError:
                client_failed += 1  # PyIceberg compares a null partition value
                if "NaN" in text:
                    continue  # its reader loses NaN where the rest of a file is one value
                compare(f"{name}: {text}", ids(plain, row_filter=wanted), found)
                continue
            compare(f"{name}: {text}", ids(table, row_filter=wanted), found)
            # Counting reads no file whose residual says that each of its rows counts.
            assert ours.count() == len(found), f"{name}: counts of {text}: {ours.count()}, not {len(found)}"
    for name in SPECS:
        client.load_table(("probe_plan", name)).delete(GreaterThan("id", 50))
        assert ids(server.load_table(("probe_plan", name))) == ids(client.load_table(("probe_plan", name))), name
        client.drop_table(("probe_plan", name))
    client.drop_namespace("probe_plan")
    assert left_out > whole / 10, f"only {left_out} of {whole} files left out"
    print(f"seed {SEED}: {checked} filters over {len(SPECS)} tables read the same rows, PyIceberg's own planning failed on {client_failed}; {left_out} of {whole} files left out")


def compare(what, expected, found):
    assert found == expected, f"{what}: missing {subtract(expected, found)}, too many {subtract(found, expected)}"


def subtract(some, others):
    left = list(some)
    for one in others:
        if one in left:
            left.remove(one)
    return left


def rename(expression):
    if isinstance(expression, (And, Or)):
        return type(expression)(rename(expression.left), rename(expression.right))
    if isinstance(expression, Not):
        return Not(rename(expression.child))
    if expression.term.name == "version":
        if hasattr(expression, "literals"):
            return type(expression)("release", expression.literals)
        if hasattr(expression, "literal"):
            return type(expression)("release", expression.literal)
        return type(expression)("release")
    return expression


main()
