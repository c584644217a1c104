"""PyIceberg writes tables, and the SQL endpoint must read them: lake_write.py CATALOG_URI FLIGHT_URI [key=value ...]

Every expectation is worked out here from the rows that were written, and PyIceberg's own reading must be the same.
It needs no namespace called `probe_lake` and leaves nothing behind when all is well.
"""
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import adbc_driver_manager
from pyiceberg.expressions import EqualTo
from pyiceberg.io.pyarrow import compute_statistics_plan, data_file_statistics_from_parquet_metadata, parquet_path_to_id_mapping
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, HourTransform, IdentityTransform, MonthTransform, TruncateTransform, YearTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from pyiceberg.typedef import Record

import pyarrow as pa
import pyarrow.parquet as pq

from lake import agree, catalog, check, multiset, quoted, run, same, sql, value

NS = "probe_lake"


def field(number, name, field_type, required=False):
    return NestedField(number, name, field_type, required=required)


def create(name, schema, **more):
    return catalog.create_table((NS, name), schema, **more)


def append(table, rows):
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


def filtered(name, condition, want):
    """The ids of the rows that a condition keeps."""
    got = sorted(sql(f"SELECT id FROM {NS}.{quoted(name)} WHERE {condition}").column(0).to_pylist())
    same(got, sorted(want), f"WHERE {condition}:")


@check("a namespace made by PyIceberg is one of SQL")
def _():
    catalog.create_namespace(NS)
    same(value(f"SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{NS}'"), 1)
    same(value(f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{NS}'"), 0)


# --- types

TYPES = Schema(
    field(1, "id", LongType(), required=True),
    field(2, "flag", BooleanType()),
    field(3, "small", IntegerType()),
    field(4, "large", LongType()),
    field(5, "single", FloatType()),
    field(6, "double", DoubleType()),
    field(7, "money", DecimalType(9, 2)),
    field(8, "wide", DecimalType(18, 4)),
    field(9, "widest", DecimalType(38, 10)),
    field(10, "day", DateType()),
    field(11, "clock", TimeType()),
    field(12, "local", TimestampType()),
    field(13, "instant", TimestamptzType()),
    field(14, "text", StringType()),
    field(15, "key", UUIDType()),
    field(16, "four", FixedType(4)),
    field(17, "bytes", BinaryType()),
    field(18, "list", ListType(30, StringType(), element_required=False)),
    field(19, "map", MapType(31, StringType(), 32, IntegerType(), value_required=False)),
    field(
        20,
        "nested",
        StructType(
            field(33, "name", StringType()),
            field(34, "deep", ListType(35, StructType(field(36, "x", IntegerType()), field(37, "at", TimestamptzType())), element_required=False)),
        ),
    ),
)
UTC = timezone.utc
TYPED = [
    {
        "id": 1, "flag": True, "small": 2**31 - 1, "large": 2**63 - 1, "single": 1.5, "double": 1e300, "money": Decimal("1234567.89"), "wide": Decimal("-0.0001"),
        "widest": Decimal("1234567890123456789012345678.0123456789"), "day": date(2024, 2, 29), "clock": time(23, 59, 59, 999999), "local": datetime(2024, 1, 15, 10, 20, 30, 123456),
        "instant": datetime(2024, 1, 15, 10, 20, 30, 123456, UTC), "text": "grün 漢 🙂 " + "x" * 300, "key": uuid.UUID(int=2**127 + 5).bytes, "four": b"\x00\xff\x10\x7f", "bytes": b"\x00" * 40 + b"\xff",
        "list": ["a", None, ""], "map": [("k", 1), ("none", None)], "nested": {"name": "n", "deep": [{"x": 1, "at": datetime(1969, 7, 20, 20, 17, tzinfo=UTC)}, {"x": None, "at": None}]},
    },
    {
        "id": 2, "flag": False, "small": -(2**31), "large": -(2**63), "single": -0.0, "double": float("-inf"), "money": Decimal("-9999999.99"), "wide": Decimal("99999999999999.9999"),
        "widest": Decimal("-9999999999999999999999999999.9999999999"), "day": date(1, 1, 1), "clock": time(0), "local": datetime(1, 1, 1), "instant": datetime(1582, 10, 4, 23, 59, tzinfo=UTC),
        "text": "", "key": uuid.UUID(int=0).bytes, "four": b"\x00" * 4, "bytes": b"", "list": [], "map": [], "nested": {"name": None, "deep": []},
    },
    {"id": 3, "day": date(9999, 12, 31), "local": datetime(9999, 12, 31, 23, 59, 59, 999999), "double": float("nan"), "single": float("inf"), "text": "y" * 300, "nested": {"name": "only", "deep": None}},
    {"id": 4},
]  # fmt: skip


@check("types: every type, its extremes and nulls")
def _():
    table = create("types", TYPES)
    append(table, TYPED[:2])
    append(table, TYPED[2:])
    agree(table, TYPED)
    for condition, want in [
        ("flag", [1]), ("NOT flag", [2]), ("small = 2147483647", [1]), ("large < 0", [2]), ("money > 0", [1]), ("wide = -0.0001", [1]),
        ("day = DATE '2024-02-29'", [1]), ("day < DATE '1900-01-01'", [2]), ("clock = arrow_cast('23:59:59.999999', 'Time64(Microsecond)')", [1]), ("local >= TIMESTAMP '2024-01-15 10:20:30.123456'", [1, 3]),
        ("instant = TIMESTAMP '2024-01-15 10:20:30.123456Z'", [1]), ("text LIKE 'grün%'", [1]), ("text = ''", [2]), ("text > 'x'", [3]), ("bytes = X''", [2]),
        ("double = 1e300", [1]), ("single = 1.5", [1]), ("isnan(double)", [3]), ("flag IS NULL", [3, 4]), ("nested IS NULL", [4]), ("nested.name = 'only'", [3]), ("cardinality(list) = 3", [1]),
    ]:  # fmt: skip
        filtered("types", condition, want)


@check("types: an empty table has its columns and no row")
def _():
    table = create("empty", TYPES)
    same(agree(table, []).num_rows, 0)


@check("types: values bound as parameters find their rows")
def _():
    for column in ("small", "large", "double", "money", "widest", "day", "clock", "local", "instant", "text", "flag", "bytes"):
        bound = TYPED[0][column]
        same(value(f"SELECT count(*) FROM {NS}.types WHERE {quoted(column)} = ?", (bound,)), 1, column)


# --- evolution

BEFORE = Schema(
    field(1, "id", IntegerType(), required=True),
    field(2, "kept", StringType()),
    field(3, "old_name", StringType()),
    field(4, "dropped", StringType()),
    field(5, "ratio", FloatType()),
    field(6, "price", DecimalType(9, 2)),
    field(7, "inner", StructType(field(20, "a", IntegerType()), field(21, "b", StringType()), field(22, "c", StringType()))),
    field(8, "items", ListType(23, StructType(field(24, "n", IntegerType()), field(25, "gone", StringType())), element_required=False)),
    field(9, "pairs", MapType(26, StringType(), 27, IntegerType(), value_required=False)),
)


@check("evolution: added, renamed, dropped, moved and widened columns, nested ones too")
def _():
    table = create("evolved", BEFORE)
    before = [
        {"id": i, "kept": f"k{i}", "old_name": f"o{i}", "dropped": f"d{i}", "ratio": i / 4, "price": Decimal(i) / 4, "inner": {"a": i, "b": f"b{i}", "c": f"c{i}"}, "items": [{"n": i, "gone": "g"}], "pairs": [("p", i)]}
        for i in range(10)
    ]  # fmt: skip
    append(table, before)
    agree(table, before)
    with table.update_schema() as update:
        update.add_column("added", StringType())
        update.rename_column("old_name", "new_name")
        update.delete_column("dropped")
        update.update_column("id", LongType())
        update.update_column("ratio", DoubleType())
        update.update_column("price", DecimalType(18, 2))
        update.add_column(("inner", "d"), LongType())
        update.delete_column(("inner", "b"))
        update.rename_column(("inner", "c"), "b")
        update.update_column(("inner", "a"), LongType())
        update.update_column(("items", "n"), LongType())
        update.delete_column(("items", "gone"))
        update.add_column(("items", "more"), StringType())
        update.update_column(("pairs", "value"), LongType())
        update.move_first("added")
        update.move_after("id", "kept")
    table = catalog.load_table((NS, "evolved"))
    seen = [
        {"id": row["id"], "kept": row["kept"], "new_name": row["old_name"], "ratio": row["ratio"], "price": row["price"], "added": None,
         "inner": {"a": row["inner"]["a"], "b": row["inner"]["c"], "d": None}, "items": [{"n": row["id"], "more": None}], "pairs": row["pairs"]}
        for row in before
    ]  # fmt: skip
    agree(table, seen)
    after = [
        {"id": 2**40 + i, "kept": None, "new_name": f"n{i}", "ratio": 1e200, "price": Decimal("1234567890123456.78"), "added": f"a{i}",
         "inner": {"a": 2**40, "b": "bb", "d": 5}, "items": [{"n": 2**50, "more": "m"}, None], "pairs": [("q", 2**33)]}
        for i in range(5)
    ]  # fmt: skip
    append(table, after)
    agree(table, seen + after)
    old, new = [row["id"] for row in seen], [row["id"] for row in after]
    for condition, want in [
        ("id < 3", [0, 1, 2]), ("id > 1000000", new), ("added IS NULL", old), ("added = 'a3'", [new[3]]), ("new_name = 'o4'", [4]), ("new_name = 'n2'", [new[2]]), ("ratio = 0.25", [1]),
        ("ratio > 1e100", new), ("price = 0.25", [1]), ("price > 1000000000", new), ("inner['b'] = 'c7'", [7]), ("inner['d'] IS NULL", old), ("inner['a'] > 1000000", new),
    ]:  # fmt: skip
        filtered("evolved", condition, want)


@check("evolution: a dropped column's name is free, its values do not come back")
def _():
    table = catalog.load_table((NS, "evolved"))
    rows = table.scan().to_arrow().to_pylist()
    with table.update_schema() as update:
        update.add_column("dropped", LongType())
    table = catalog.load_table((NS, "evolved"))
    append(table, [{"id": -1, "dropped": 7}])
    agree(table, [{**row, "dropped": None} for row in rows] + [{"id": -1, "dropped": 7}])
    filtered("evolved", "dropped = 7", [-1])


@check("evolution: two columns change names with each other")
def _():
    table = create("swapped", Schema(field(1, "id", LongType()), field(2, "left", StringType()), field(3, "right", StringType())))
    append(table, [{"id": 1, "left": "l1", "right": "r1"}])
    for old, new in [("left", "spare"), ("right", "left"), ("spare", "right")]:
        with table.update_schema() as update:
            update.rename_column(old, new)
    append(table, [{"id": 2, "left": "l2", "right": "r2"}])
    agree(table, [{"id": 1, "left": "r1", "right": "l1"}, {"id": 2, "left": "l2", "right": "r2"}])
    filtered("swapped", '"left" = \'r1\'', [1])


# --- partitions

PARTED = Schema(
    field(1, "id", LongType()),
    field(2, "region", StringType()),
    field(3, "at", TimestampType()),
    field(4, "instant", TimestamptzType()),
    field(5, "day", DateType()),
    field(6, "amount", DecimalType(12, 2)),
    field(7, "code", IntegerType()),
)
REGIONS = ["eu", "us", None, "a/b=c d%", "漢", ""]


def parted(count, first=0):
    return [
        {"id": i, "region": REGIONS[i % len(REGIONS)], "at": datetime(2024, 1, 1) + timedelta(hours=7 * i), "instant": datetime(1969, 12, 25, tzinfo=UTC) + timedelta(hours=5 * i),
         "day": date(1969, 12, 1) + timedelta(days=i) if i % 9 else None, "amount": Decimal(i * 25) / 100 - 10, "code": i % 97 - 48}
        for i in range(first, first + count)
    ]  # fmt: skip


def conditions(name, rows):
    moment = rows[len(rows) // 2]["at"]
    for condition, keeps in [
        ("region = 'eu'", lambda r: r["region"] == "eu"),
        ("region = 'a/b=c d%'", lambda r: r["region"] == "a/b=c d%"),
        ("region = ''", lambda r: r["region"] == ""),
        ("region IS NULL", lambda r: r["region"] is None),
        ("region IN ('us', '漢') AND id > 20", lambda r: r["region"] in ("us", "漢") and r["id"] > 20),
        ("region <> 'eu'", lambda r: r["region"] not in ("eu", None)),
        ("id = 17", lambda r: r["id"] == 17),
        (f"at >= TIMESTAMP '{moment}'", lambda r: r["at"] >= moment),
        (f"at = TIMESTAMP '{moment}'", lambda r: r["at"] == moment),
        ("at < TIMESTAMP '2024-01-02 00:00:00'", lambda r: r["at"] < datetime(2024, 1, 2)),
        ("CAST(at AS DATE) = DATE '2024-01-03'", lambda r: r["at"].date() == date(2024, 1, 3)),
        ("instant < TIMESTAMP '1970-01-01 00:00:00Z'", lambda r: r["instant"] < datetime(1970, 1, 1, tzinfo=UTC)),
        ("day BETWEEN DATE '1969-12-30' AND DATE '1970-01-02'", lambda r: r["day"] is not None and date(1969, 12, 30) <= r["day"] <= date(1970, 1, 2)),
        ("day IS NULL", lambda r: r["day"] is None),
        ("amount = -7.50", lambda r: r["amount"] == Decimal("-7.50")),
        ("amount > 5", lambda r: r["amount"] > 5),
        ("code < -40 OR code > 40", lambda r: not -40 <= r["code"] <= 40),
        ("code = -1", lambda r: r["code"] == -1),
    ]:
        filtered(name, condition, [r["id"] for r in rows if keeps(r)])


def partitioned(name, *fields):
    def body():
        spec = PartitionSpec(*[PartitionField(source, 1000 + at, transform, f"p{at}") for at, (source, transform) in enumerate(fields)])
        table = create(name, PARTED, partition_spec=spec)
        rows = parted(60)
        append(table, rows)
        agree(table, rows)
        conditions(name, rows)
        return f"{table.inspect.files().num_rows} files"

    return body


for name, fields in {
    "identity": [(2, IdentityTransform())],
    "bucket_string": [(2, BucketTransform(4))],
    "bucket_long": [(1, BucketTransform(5))],
    "truncate_string": [(2, TruncateTransform(1))],
    "truncate_int": [(7, TruncateTransform(10))],
    "truncate_decimal": [(6, TruncateTransform(500))],
    "day": [(3, DayTransform())],
    "hour": [(4, HourTransform())],
    "month_and_bucket": [(5, MonthTransform()), (1, BucketTransform(2))],
    "year": [(4, YearTransform())],
    "identity_date_int": [(5, IdentityTransform()), (7, TruncateTransform(50))],
}.items():
    check(f"partitioned: {name}")(partitioned(name, *fields))


@check("partitioned: the spec changes, files of both are read and skipped rightly")
def _():
    table, rows = catalog.load_table((NS, "identity")), parted(60)
    with table.update_spec() as update:
        update.remove_field("p0")
        update.add_field("at", DayTransform(), "by_day")
        update.add_field("id", BucketTransform(3), "by_id")
    table = catalog.load_table((NS, "identity"))
    more = parted(30, 60)
    append(table, more)
    with table.update_schema() as update:
        update.rename_column("region", "area")
    table = catalog.load_table((NS, "identity"))
    agree(table, [{"area": row["region"], **row} for row in rows + more])
    filtered("identity", "area = 'eu'", [r["id"] for r in rows + more if r["region"] == "eu"])
    filtered("identity", "at >= TIMESTAMP '2024-01-18 00:00:00'", [r["id"] for r in rows + more if r["at"] >= datetime(2024, 1, 18)])


# --- files that were Hive's

HIVES = Schema(
    field(1, "id", LongType()),
    field(2, "text", StringType()),
    field(3, "region", StringType()),
    field(4, "day", DateType()),
    field(5, "code", IntegerType()),
    field(6, "price", DecimalType(9, 2)),
)
EPOCH = date(1970, 1, 1)
# region, day, code, price
HIVES_PARTS = [("eu", date(2024, 2, 29), 7, Decimal("12.34")), ("a/b=c d%", date(1969, 7, 20), -8, None), ("", None, 0, Decimal("0.00")), (None, date(1, 1, 1), 9, Decimal("-1.00"))]


def taken_over(table, rows, part, ids):
    """A file without what its folder tells, as Hive leaves them and Spark's `add_files` takes them over; PyIceberg's own looks for such values in the file."""
    path = f"{table.location()}/data/{uuid.uuid4()}.parquet"
    arrow = pa.Table.from_pylist(rows, schema=table.schema().select("id", "text").as_arrow())
    if not ids:
        arrow = arrow.cast(pa.schema([pa.field(column.name, column.type) for column in arrow.schema]))
    with table.io.new_output(path).create() as out:
        pq.write_table(arrow, out)
    file = table.io.new_input(path)
    with file.open() as bytes_of_file:
        counted = data_file_statistics_from_parquet_metadata(
            pq.read_metadata(bytes_of_file), compute_statistics_plan(table.schema(), table.properties), parquet_path_to_id_mapping(table.schema())
        )
    region, day, code, price = part
    data_file = DataFile.from_args(
        content=DataFileContent.DATA, file_path=path, file_format=FileFormat.PARQUET, file_size_in_bytes=len(file), spec_id=table.spec().spec_id,
        partition=Record(region, day and (day - EPOCH).days, code, price), sort_order_id=None, equality_ids=None, key_metadata=None, **counted.to_serialized_dict(),
    )  # fmt: skip
    with table.transaction() as change, change.update_snapshot().fast_append() as append_files:
        append_files.append_data_file(data_file)


def hives(rows):
    for condition, keeps in [
        ("region = 'eu'", lambda r: r["region"] == "eu"),
        ("region = ''", lambda r: r["region"] == ""),
        ("region IS NULL", lambda r: r["region"] is None),
        ("region <> 'eu' AND id > 3", lambda r: r["region"] not in ("eu", None) and r["id"] > 3),
        ("region = 'a/b=c d%' OR id = 1", lambda r: r["region"] == "a/b=c d%" or r["id"] == 1),
        ("region IN ('eu', '') AND text = 't7'", lambda r: r["region"] in ("eu", "") and r["id"] == 7),
        ("day < DATE '1970-01-01'", lambda r: r["day"] is not None and r["day"] < EPOCH),
        ("day IS NULL", lambda r: r["day"] is None),
        ("code > 6", lambda r: r["code"] > 6),
        ("code + id = 10", lambda r: r["code"] + r["id"] == 10),
        ("price = 12.34", lambda r: r["price"] == Decimal("12.34")),
        ("price < 1 AND code IS NOT NULL", lambda r: r["price"] is not None and r["price"] < 1),
    ]:
        filtered("hives", condition, [r["id"] for r in rows if keeps(r)])


@check("taken over: what a file leaves to its partition is read from there, widened too, and written when the file is written anew")
def _():
    parts = [(3, "region"), (4, "day"), (5, "code"), (6, "price")]
    spec = PartitionSpec(*[PartitionField(source, 1000 + at, IdentityTransform(), name) for at, (source, name) in enumerate(parts)])
    table = create("hives", HIVES, partition_spec=spec)
    with table.transaction() as change:
        change.set_properties({"schema.name-mapping.default": table.schema().name_mapping.model_dump_json()})
    rows = []
    for at, part in enumerate(HIVES_PARTS):
        own = [{"id": 3 * at + i, "text": f"t{3 * at + i}"} for i in range(3)]
        taken_over(table, own, part, ids=at % 2 == 0)
        rows += [{**row, **dict(zip(("region", "day", "code", "price"), part))} for row in own]
    agree(table, rows)
    hives(rows)
    more = [{"id": 100 + at, "text": "own", **dict(zip(("region", "day", "code", "price"), part))} for at, part in enumerate(HIVES_PARTS)]
    table = catalog.load_table((NS, "hives"))
    table.append(pa.Table.from_pylist(more, schema=table.schema().as_arrow()))
    rows += more
    agree(table, rows)
    hives(rows)
    with table.update_schema() as update:
        update.update_column("code", LongType())
        update.update_column("price", DecimalType(18, 2))
        update.rename_column("day", "date")
    table = catalog.load_table((NS, "hives"))
    agree(table, [{**row, "date": row["day"]} for row in rows])
    filtered("hives", "code < 0 OR price > 12", [r["id"] for r in rows if r["code"] < 0 or (r["price"] or 0) > 12])
    sql(f"DELETE FROM {NS}.hives WHERE region = 'eu' AND id = 1")
    rows = [row for row in rows if row["id"] != 1]
    agree(catalog.load_table((NS, "hives")), [{**row, "date": row["day"]} for row in rows])
    sql(f"CALL system.rewrite_data_files(table => '{NS}.hives', options => map('rewrite-all', 'true'))")
    table = catalog.load_table((NS, "hives"))
    agree(table, [{**row, "date": row["day"]} for row in rows])
    for task in table.scan().plan_files():
        same(task.file.value_counts.get(5), task.file.record_count, "values of code in a file that was written anew:")


# --- changes

CHANGED = Schema(field(1, "id", LongType()), field(2, "text", StringType()), field(3, "n", IntegerType()))


@check("changes: delete, overwrite and upsert rewrite files; older snapshots stay as they were")
def _():
    table = create("changed", CHANGED)
    rows = {i: {"id": i, "text": f"t{i}", "n": i % 5} for i in range(40)}
    append(table, list(rows.values()))
    first = table.current_snapshot().snapshot_id
    table.delete("id >= 30")
    rows = {i: row for i, row in rows.items() if i < 30}
    agree(table, rows.values())
    table.delete(EqualTo("n", 4))
    rows = {i: row for i, row in rows.items() if row["n"] != 4}
    agree(table, rows.values())
    new = [{"id": 100 + i, "text": "new", "n": 3} for i in range(3)]
    table.overwrite(pa.Table.from_pylist(new, schema=table.schema().as_arrow()), overwrite_filter=EqualTo("n", 3))
    rows = {i: row for i, row in rows.items() if row["n"] != 3} | {row["id"]: row for row in new}
    agree(table, rows.values())
    changed = [{"id": 1, "text": "again", "n": 9}, {"id": 500, "text": "first", "n": 9}]
    table.upsert(pa.Table.from_pylist(changed, schema=table.schema().as_arrow()), join_cols=["id"])
    rows |= {row["id"]: row for row in changed}
    agree(table, rows.values())
    same(value(f'SELECT count(*) FROM {NS}."changed@{first}"'), 40)
    same(value(f'SELECT count(*) FROM {NS}."changed$snapshots"'), len(catalog.load_table((NS, "changed")).snapshots()))


@check("changes: only what main names is read")
def _():
    table = create("branched", CHANGED)
    append(table, [{"id": 1}])
    first = table.current_snapshot().snapshot_id
    append(table, [{"id": 2}])
    table.manage_snapshots().create_branch(first, "audit").commit()
    table = catalog.load_table((NS, "branched"))
    table.append(pa.Table.from_pylist([{"id": 3}], schema=table.schema().as_arrow()), branch="audit")
    agree(table, [{"id": 1}, {"id": 2}])
    table = catalog.load_table((NS, "branched"))
    table.manage_snapshots().rollback_to_snapshot(first).commit()
    agree(table, [{"id": 1}])


@check("changes: many commits, and files of every codec")
def _():
    table, rows = create("many", CHANGED), []
    for at, codec in enumerate(["zstd", "snappy", "gzip", "lz4", "brotli", "uncompressed"]):
        with table.transaction() as change:
            change.set_properties({"write.parquet.compression-codec": codec})
        part = [{"id": 100 * at + i, "text": codec * 3, "n": i} for i in range(50)]
        append(table, part)
        rows += part
    agree(table, rows)


@check("changes: format 1 is read and written, and after its upgrade too")
def _():
    table = create("old", CHANGED, properties={"format-version": "1"})
    append(table, [{"id": 1, "text": "x", "n": 1}])
    agree(table, [{"id": 1, "text": "x", "n": 1}])
    with table.transaction() as change:
        change.upgrade_table_version(2)
    table = catalog.load_table((NS, "old"))
    append(table, [{"id": 2}])
    agree(table, [{"id": 1, "text": "x", "n": 1}, {"id": 2}])


# --- names


@check("names: columns of any name, tables with capitals")
def _():
    names = ["id", "Upper", "with space", "dot.ted", "quo\"te", "select", "grün", "1st", "a$b", "under_score", "a-b", "漢"]
    table = create("Mixed Case-1", Schema(*[field(at + 1, name, LongType()) for at, name in enumerate(names)]))
    rows = [{name: 10 * row + at for at, name in enumerate(names)} for row in range(3)]
    append(table, rows)
    agree(table, rows)
    for at, name in enumerate(names):
        same(sql(f'SELECT id FROM {NS}."Mixed Case-1" WHERE {quoted(name)} = {10 + at}').column(0).to_pylist(), [10], name)


@check("names: renamed and dropped tables are gone under the old name")
def _():
    table = create("first_name", CHANGED)
    append(table, [{"id": 1}])
    catalog.rename_table((NS, "first_name"), (NS, "second_name"))
    same(value(f"SELECT count(*) FROM {NS}.second_name"), 1)
    catalog.drop_table((NS, "second_name"))
    for name in ("first_name", "second_name"):
        try:
            sql(f"SELECT * FROM {NS}.{name}")
        except adbc_driver_manager.Error as error:
            assert name in str(error), error
        else:
            raise AssertionError(f"{name} is still there")


@check("all tables are listed, then dropped")
def _():
    listed = multiset(sql(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{NS}'"))
    same(sorted(name for (name,) in listed), sorted(name for _, name in catalog.list_tables(NS)))
    for identifier in catalog.list_tables(NS):
        catalog.purge_table(identifier)
    catalog.drop_namespace(NS)


run()
