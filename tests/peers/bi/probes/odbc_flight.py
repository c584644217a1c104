"""A scripted ODBC client of a Flight SQL endpoint: odbc_flight.py HOST PORT [USER PASSWORD] [--schema SCHEMA] [--only RE] [--min N]

It makes the calls that the Flight SQL ODBC driver makes for each function of ODBC, and reads the answers as that one does (odbc_driver.py). The
schema has the tables of toy-tidewater.sql and is written to. With a user it must be an endpoint that asks for one.
"""
import datetime
import sys
import time

import pyarrow

from checks import Checks, equal, options
from odbc_connect import Connections
from odbc_driver import BIGINT, BINARY, BIT, CONTRADICTED, DATE, DECIMAL, DOUBLE, INFO, INTEGER, TIMESTAMP, UINT16, VARCHAR
from odbc_driver import Odbc, dbms_version, escaped, key
from odbc_functions import CONVERSIONS, FUNCTIONS, SAMPLES, answers
from odbc_statements import Statements

host, port = sys.argv[1:3]
rest = sys.argv[3:]
users = rest[: next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))]
opt = options(rest[len(users) :])
check = Checks(only=opt.get("only"), least=opt.get("min"))
toy = opt.get("schema", "toy")
own = dict(zip(("user", "password"), users[:2]))
mark = f"odbc_{int(time.time()) % 100000}"


def connect(**more):
    return Odbc(host, port, **{**own, **more})


def each(group, cases):
    for name, body in cases.items():
        check(f"{group}.{name}", body)


odbc = check("connect", lambda: connect(user=users[0] if users else "local", password=users[1] if users else ""))
if odbc is None:
    check.finish()


# SQLDriverConnect.
for name, body in Connections(odbc, connect, (host, port), users, toy, mark).checks().items():
    check(f"connect.{name}", body)

# SQLGetInfo.
info = check("info", odbc.sql_info) or {}
value = lambda code: info[code][1]
each("info", {f"has.{member}": lambda of=of: equal(set(), of - set(info)) for member, of in INFO.items()})
each("info", {f"type.{kind}": lambda kind=kind: equal({}, {c: info[c][0] for c in INFO[kind] if info[c][0] != kind}) for kind in INFO})
check("info.type.ordinals", lambda: equal({"int32_bitmask"}, {info[code][0] for code in CONTRADICTED}))
check("info.uint16", lambda: equal({}, {code: value(code) for code in UINT16 if not 0 <= value(code) <= 65535}))
check("info.dbms-name", lambda: equal(True, bool(value(0).strip())))
check("info.dbms-version", lambda: dbms_version(value(1)))
check("info.maxima", lambda: equal({}, {c: value(c) for c in (541, 542, 551, 555, 557) if not 0 <= value(c) < 1 << 32}))


def able(told, sql, want):
    """What it tells that it can it does, and what it does it tells."""
    try:
        got = str(odbc.column(sql)) == str(want)
    except pyarrow.ArrowException:
        got = False
    equal((sql, bool(told)), (sql, got))


def quote():
    mixed, char = "Größe x", value(504)
    equal([mixed], odbc.exec_direct(f"SELECT 1 AS {char}{mixed}{char}").column_names)


def lower():
    equal((3, ["foobar"]), (value(503), odbc.exec_direct("SELECT 1 AS FooBar").column_names))


def nulls():
    up, down = (odbc.column(f"SELECT v FROM (VALUES (1), (NULL)) AS t(v) ORDER BY v {way}") for way in ("", "DESC"))
    equal({0: ([1, None], [None, 1]), 1: ([None, 1], [1, None]), 2: ([None, 1], [None, 1]), 3: ([1, None], [1, None])}[value(507)], (up, down))


two, three = "(VALUES (1, 2), (3, 4)) AS a(x, y)", "(VALUES (3), (5)) AS b(z)"
ABLE = {
    "concat-null": (516, None, "SELECT 'a' || NULL", [None]),
    "alias": (515, None, f"SELECT c.x + 1 FROM (SELECT x AS x FROM {two}) AS c", [2, 4]),
    "order-expression": (520, None, f"SELECT x FROM {two} ORDER BY 0 - x", [3, 1]),
    "order-unrelated": (521, None, f"SELECT x FROM {two} ORDER BY y DESC", [3, 1]),
    "group-unrelated": (522, 1, f"SELECT count(*) FROM {two} GROUP BY x", [1, 1]),
    "like-escape": (523, None, "SELECT 'a%' LIKE 'a!%' ESCAPE '!' AND NOT 'ab' LIKE 'a!%' ESCAPE '!'", [True]),
    "outer-joins": (528, 4, f"SELECT count(*) FROM {two} FULL JOIN {three} ON x = z", [3]),
    "catalog-first": (532, None, f'SELECT count(*) FROM "lake"."{toy}"."customers"', [100]),
    "subquery-comparison": (538, 1, f"SELECT x FROM {two} WHERE x = (SELECT min(z) FROM {three})", [3]),
    "subquery-exists": (538, 2, f"SELECT x FROM {two} WHERE EXISTS (SELECT 1 FROM {three} WHERE z = x)", [3]),
    "subquery-in": (538, 4, f"SELECT x FROM {two} WHERE x IN (SELECT z FROM {three})", [3]),
    "subquery-quantified": (538, 8, f"SELECT x FROM {two} WHERE x >= ALL (SELECT z - 2 FROM {three})", [3]),
    "union": (540, 1, f"SELECT count(*) FROM (SELECT x FROM {two} UNION SELECT z FROM {three}) AS u", [3]),
    "union-all": (540, 2, f"SELECT count(*) FROM (SELECT x FROM {two} UNION ALL SELECT z FROM {three}) AS u", [4]),
}
each("info", {"quote": quote, "identifier-case": lower, "null-order": nulls})
for name, (code, bit, sql, want) in ABLE.items():
    check(f"info.{name}", lambda a=(code, bit, sql, want): able(value(a[0]) if a[1] is None else value(a[0]) & a[1], *a[2:]))


def functions(code):
    """scalar_function_reporter.cc finds the names of ODBC only, as they are written."""
    known = FUNCTIONS[code]
    works = {name for name, (sql, want) in known.items() if answers(odbc, sql, want)}
    told = set(value(code)) & set(known)
    equal({"works, not told": [], "told, works not": []}, {"works, not told": sorted(works - told), "told, works not": sorted(told - works)})


for name, code in {"numeric": 509, "string": 510, "system": 511, "datetime": 512}.items():
    check(f"info.functions.{name}", lambda code=code: functions(code))


def conversions():
    pairs = [(a, b) for a, targets in value(517) for b in targets if a in SAMPLES and b in CONVERSIONS]
    casts = {(a, b): f"SELECT CAST(CAST({SAMPLES[b if a == 19 else a]} AS {CONVERSIONS[a]}) AS {CONVERSIONS[b]})" for a, b in pairs}
    equal([], [sql for sql in casts.values() if not answers(odbc, sql, None)])
    equal(True, len(pairs) > 20)


check("info.conversions", conversions)
ESCAPES = {
    "date": ("{d '2024-01-02'}", datetime.date(2024, 1, 2)),
    "time": ("{t '03:04:05'}", datetime.time(3, 4, 5)),
    "timestamp": ("{ts '2024-01-02 03:04:05'}", datetime.datetime(2024, 1, 2, 3, 4, 5)),
    "function": ("{fn CONCAT('a', 'b')}", "ab"),
}
for name, (text, want) in ESCAPES.items():
    check(f"escape.{name}", lambda text=text, want=want: equal([want], odbc.column(f"SELECT {text}")))
check("escape.outer-join", lambda: equal([2], odbc.column(f"SELECT count(*) FROM {{oj {two} LEFT OUTER JOIN {three} ON x = z}}")))


# SQLTables and SQLColumns.
CUSTOMERS, ORDERS, DAILY = ((("lake", toy, *rest)) for rest in (("customers", "TABLE"), ("orders", "TABLE"), ("daily", "VIEW")))
odd = f"{mark} Größe 数据"


def made():
    for name in (odd, f"{mark}a_b", f"{mark}axb"):
        odbc.exec_direct(f'CREATE TABLE {toy}."{name}" (id INT, "Größe m" TEXT)')


check("tables.made", made)
named = lambda **what: [row[2] for row in odbc.tables(schema=toy, **what)]
ours = lambda rows: [row for row in rows if row[2] in ("customers", "orders", "daily") and row[1] == toy]
TABLES = {
    "catalogs": lambda: equal([("lake", None, None, None)], odbc.tables("%", "", "")),
    "schemas": lambda: equal([(None, toy, None, None)], [row for row in odbc.tables("", "%", "") if row[1] == toy]),
    "types": lambda: equal([(None, None, None, "TABLE"), (None, None, None, "VIEW")], odbc.tables("", "", "", "%")),
    "all": lambda: equal([CUSTOMERS, ORDERS, DAILY], sorted(ours(odbc.tables()), key=lambda row: (row[3], row[2]))),
    "patterns": lambda: equal([CUSTOMERS, ORDERS, DAILY], sorted(ours(odbc.tables("lake", toy[:1] + "%", "%")), key=lambda row: (row[3], row[2]))),
    "order": lambda: (lambda rows: equal(sorted(rows), rows))(odbc.tables()) and None,
    "type-list": lambda: equal([CUSTOMERS, DAILY], [row for row in ours(odbc.tables(types="TABLE,VIEW")) if row[2] != "orders"]),
    "type-quoted": lambda: equal([DAILY], ours(odbc.tables(types="'VIEW', 'NO SUCH'"))),
    "type-excel": lambda: equal(3, len(ours(odbc.tables(types="TABLE,VIEW,SYSTEM TABLE,ALIAS,SYNONYM")))),
    "type-none": lambda: equal([], odbc.tables(schema=toy, types="SYSTEM TABLE")),
    "type-only": lambda: equal([CUSTOMERS, ORDERS], ours(odbc.tables(types="TABLE"))),
    "escape": lambda: equal([f"{mark}a_b"], named(table=escaped(f"{mark}a_b"))),
    "underscore": lambda: equal([f"{mark}a_b", f"{mark}axb"], sorted(named(table=f"{mark}a_b"))),
    "unicode": lambda: equal([odd], named(table=escaped(odd))),
    "unicode-pattern": lambda: equal([odd], named(table=escaped(mark) + " Gr__e %")),
    "case": lambda: equal([], named(table="CUSTOMERS")),
    "nothing": lambda: equal([], named(table="no such table")),
    "empty": lambda: equal([], odbc.tables("", "", "")),
    "other-catalog": lambda: equal([], odbc.tables("no_such_catalog")),
}
each("tables", TABLES)
COLUMNS = {
    "customers": [("id", INTEGER, "INTEGER", 10, None, 10, False), ("name", VARCHAR, "VARCHAR", None, None, None, False)]
    + [("mood", VARCHAR, "VARCHAR", None, None, None, True), ("joined", DATE, "DATE", 10, None, None, False)],
    "orders": [("id", BIGINT, "BIGINT", 19, None, 10, False), ("customer_id", INTEGER, "INTEGER", 10, None, 10, False)]
    + [("ordered_at", TIMESTAMP, "TIMESTAMP", 26, None, None, False), ("day", DATE, "DATE", 10, None, None, False)]
    + [("amount", DECIMAL, "DECIMAL", 12, 2, 10, False), ("discount", DOUBLE, "DOUBLE", 15, None, 2, True)]
    + [("status", VARCHAR, "VARCHAR", None, None, None, False), ("paid", BIT, "BOOLEAN", 1, None, None, False)]
    + [("tags", VARCHAR, "ARRAY", None, None, None, True), ("payload", BINARY, "VARBINARY", None, None, None, True)],
    "daily": [("day", DATE, "DATE", 10, None, None, True), ("orders", BIGINT, "BIGINT", 19, None, 10, True)]
    + [("amount", DECIMAL, "DECIMAL", 22, 2, 10, True)],
}
PARTS = ("name", "type", "type_name", "size", "digits", "radix", "nullable")


def columns(table):
    got = odbc.columns("lake", toy, escaped(table))
    equal(COLUMNS[table], [tuple(row[part] for part in PARTS) for row in got])
    equal([*range(1, len(got) + 1)], [row["ordinal"] for row in got])
    return got


def keys(name, want):
    equal(want, [key(row["field"], name) for row in odbc.columns(None, toy, "customers")])


KEYS = {"CATALOG_NAME": ["lake"] * 4, "SCHEMA_NAME": [toy] * 4, "TABLE_NAME": ["customers"] * 4}
KEYS |= {"IS_AUTO_INCREMENT": ["0"] * 4, "IS_READ_ONLY": ["0"] * 4, "IS_SEARCHABLE": ["1"] * 4, "IS_CASE_SENSITIVE": ["0", "1", "1", "0"]}
KEYS |= {"REMARKS": [None, "full name", None, None]}
each("columns", {table: lambda table=table: columns(table) and None for table in COLUMNS})
each("columns", {name.lower(): lambda name=name, want=want: keys(name, want) for name, want in KEYS.items()})


def every():
    """Those of all tables, as tools ask for that draw a diagram; each with metadata and numbers that are some."""
    got = odbc.columns()
    equal({row[1:3] for row in odbc.tables()}, {(row["schema"], row["table"]) for row in got})
    flags = {key(row["field"], f"IS_{flag}") for row in got for flag in ("AUTO_INCREMENT", "CASE_SENSITIVE", "READ_ONLY", "SEARCHABLE")}
    equal(set(), flags - {"0", "1"})


each("columns", {"every": every, "picked": lambda: equal(["name"], [row["name"] for row in odbc.columns(None, toy, "customers", "n%")])})
check("columns.unicode", lambda: equal(["id", "Größe m"], [row["name"] for row in odbc.columns(None, toy, escaped(odd))]))


# Statements.
for name, body in Statements(odbc, connect, (host, port), toy, mark).checks().items():
    check(name, body)


def dropped():
    for kind in ("VIEW", "TABLE"):
        for row in odbc.tables(schema=toy, table=escaped(mark) + "%", types=kind):
            odbc.exec_direct(f'DROP {kind} {toy}."{row[2]}"')
    equal([], named(table=escaped(mark) + "%"))


check("tables.dropped", dropped)
check.finish()
