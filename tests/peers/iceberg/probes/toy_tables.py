"""The tables of tests/peers/bi/probes/toy.sql, made by PyIceberg: toy_tables.py CATALOG_URI FLIGHT_URI [key=value ...]

What an Iceberg catalog does not have is left out: the enumeration is a string, there are no foreign keys, indexes or views.
The SQL endpoint then has to give the answers that are worked out here.
"""
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from pyiceberg.schema import Schema
from pyiceberg.types import BinaryType, BooleanType, DateType, DecimalType, DoubleType, IntegerType, ListType, LongType, NestedField, StringType, TimestamptzType

import pyarrow as pa

from lake import agree, catalog, check, run, same, sql

CUSTOMERS = [{"id": i, "name": f"customer {i}", "mood": ["low", "mid", "high"][i % 3], "joined": date(2023, 1, 1) + timedelta(days=i)} for i in range(1, 101)]
ORDERS = [
    {
        "id": i,
        "customer_id": 1 + i % 100,
        "ordered_at": datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(hours=i),
        "day": date(2024, 1, 1) + timedelta(days=i // 24),
        "amount": Decimal(i % 997) / 10,
        "discount": None if i % 10 == 0 else i % 7 * 0.5,
        "status": ["new", "sent", "done"][i % 3],
        "paid": i % 2 == 0,
        "tags": ["a", "b"],
        "payload": b"\x00\xff",
    }
    for i in range(9000)
]


def schema(key, *columns):
    fields = [NestedField(at + 1, name, kind, required=required, doc=doc) for at, (name, kind, required, doc) in enumerate(columns)]
    return Schema(*fields, identifier_field_ids=[key])


@check("the tables are made")
def _():
    catalog.create_namespace_if_not_exists("toy")
    customers = catalog.create_table(
        "toy.customers",
        schema(1, ("id", IntegerType(), True, None), ("name", StringType(), True, "full name"), ("mood", StringType(), False, None), ("joined", DateType(), True, None)),
        properties={"comment": "people who order"},
    )
    orders = catalog.create_table(
        "toy.orders",
        schema(
            1,
            ("id", LongType(), True, None),
            ("customer_id", IntegerType(), True, None),
            ("ordered_at", TimestamptzType(), True, None),
            ("day", DateType(), True, None),
            ("amount", DecimalType(12, 2), True, None),
            ("discount", DoubleType(), False, None),
            ("status", StringType(), True, None),
            ("paid", BooleanType(), True, None),
            ("tags", ListType(50, StringType(), element_required=False), False, None),
            ("payload", BinaryType(), False, None),
        ),
    )
    customers.append(pa.Table.from_pylist(CUSTOMERS, schema=customers.schema().as_arrow()))
    for start in range(0, len(ORDERS), 3000):
        orders.append(pa.Table.from_pylist(ORDERS[start : start + 3000], schema=orders.schema().as_arrow()))
    agree(customers, CUSTOMERS)
    agree(orders, ORDERS)


@check("totals by day, as a dashboard asks")
def _():
    got = sql("SELECT day, count(*) AS orders, sum(amount) AS amount FROM toy.orders WHERE day >= ? GROUP BY day ORDER BY day", (date(2024, 6, 1),)).to_pylist()
    days = sorted({row["day"] for row in ORDERS if row["day"] >= date(2024, 6, 1)})
    want = [{"day": day, "orders": sum(row["day"] == day for row in ORDERS), "amount": sum(row["amount"] for row in ORDERS if row["day"] == day)} for day in days]
    same(got, want)


@check("a join with its best ten")
def _():
    spent = Counter()
    for row in ORDERS:
        if row["paid"]:
            spent[row["customer_id"]] += row["amount"]
    want = sorted(((f"customer {i}", amount) for i, amount in spent.items()), key=lambda pair: (-pair[1], pair[0]))[:10]
    got = sql("SELECT c.name, sum(o.amount) AS spent FROM toy.orders o JOIN toy.customers c ON c.id = o.customer_id WHERE o.paid GROUP BY c.name ORDER BY spent DESC, c.name LIMIT 10")
    same([tuple(row.values()) for row in got.to_pylist()], want)


@check("months, shares and a window")
def _():
    got = sql(
        "WITH months AS (SELECT CAST(date_trunc('month', ordered_at) AS DATE) AS month, status, avg(discount) AS discount, count(*) AS orders FROM toy.orders GROUP BY 1, 2) "
        "SELECT month, status, discount, rank() OVER (PARTITION BY status ORDER BY orders DESC, month) AS place FROM months ORDER BY month, status"
    ).to_pylist()
    groups = {}
    for row in ORDERS:
        groups.setdefault((row["ordered_at"].date().replace(day=1), row["status"]), []).append(row["discount"])
    for row in got:
        discounts = groups.pop((row["month"], row["status"]))
        known = [discount for discount in discounts if discount is not None]
        assert abs(row["discount"] - sum(known) / len(known)) < 1e-9, row
    same(groups, {})
    same(sorted(row["place"] for row in got if row["status"] == "new"), list(range(1, len({row["month"] for row in got}) + 1)))


run()
