"""Engines of others beside one lake: each runs statements in its own words and gives rows that can be compared with ours.

An engine is chosen with engine=duckdb|spark|trino; trino=URI is where Trino answers. Types and values are written once, as names and
Python values, and put into the words of each engine here.
"""
import base64
import glob
import importlib
import json
import os
import pathlib
import time as clock
import urllib.request
import uuid
from collections import Counter
from datetime import date, datetime, time, timezone
from decimal import Decimal

from lake import CHOSEN, PROPERTIES, URI, equal_tables, multiset, plain, same

import pyarrow as pa


class Engine:
    """What all have in common. A type is a name, or ("decimal", precision, scale), ("list", type), ("map", key, value),
    ("struct", (name, type)...)."""

    # How a name is quoted, what plain types are called, which there are not, and whether tables can have partitions.
    quote = '"'
    types = {}
    lacks = ()
    partitions = True

    def name(self, *parts):
        return ".".join(self.quote + part + self.quote for part in parts)

    def schema(self, name):
        return self.name(name)

    def literal(self, value, kind):
        if value is None:
            return "NULL"
        if kind[0] == "list":
            return self.list_of([self.literal(item, kind[1]) for item in value])
        if kind[0] == "map":
            return self.map_of([self.literal(key, kind[1]) for key, _ in value], [self.literal(item, kind[2]) for _, item in value])
        if kind[0] == "struct":
            return self.struct_of([(name, self.literal(value.get(name), part)) for name, part in kind[1:]])
        if kind == "binary":
            return self.binary(value)
        if kind in ("boolean", "int", "long"):
            return str(value).lower()
        if kind == "uuid":
            value = uuid.UUID(bytes=value)
        if kind in ("timestamp", "timestamptz"):
            # Every year with four digits, as ISO wants it.
            value = value.replace(tzinfo=None).isoformat(" ", "microseconds") + (" UTC" if kind == "timestamptz" else "")
        text = "'" + str(value).replace("'", "''") + "'"
        return text if kind == "string" else f"CAST({text} AS {self.type(kind)})"

    def type(self, kind):
        if kind[0] == "decimal":
            return "decimal(%d, %d)" % kind[1:]
        return self.types.get(kind, kind) if isinstance(kind, str) else self.nested(kind)

    def columns(self, fields):
        return ", ".join(f"{self.name(name)} {self.type(kind)}" for name, kind in fields)

    def insert(self, table, fields, rows):
        values = ", ".join("(" + ", ".join(self.typed(row.get(name), kind) for name, kind in fields) + ")" for row in rows)
        self.run(f"INSERT INTO {table} VALUES {values}")

    def typed(self, value, kind):
        return self.literal(value, kind) if value is not None else f"CAST(NULL AS {self.type(kind)})"


class ArrowEngine(Engine):
    """An engine that gives Arrow tables: names and types are compared as well."""

    def agrees(self, statement, ours):
        theirs = self.arrow(statement)
        for at, (mine, field) in enumerate(zip(ours.schema, theirs.schema)):
            # A UUID is text there and bytes here.
            if mine.type == pa.binary(16) and pa.types.is_string(field.type):
                items = [None if item is None else uuid.UUID(item).bytes for item in theirs.column(at).to_pylist()]
                theirs = theirs.set_column(at, field.name, pa.array(items, mine.type))
        equal_tables(theirs, ours)


class DuckDb(ArrowEngine):
    types = {"int": "INTEGER", "long": "BIGINT", "float": "FLOAT", "double": "DOUBLE", "string": "VARCHAR", "binary": "BLOB", "timestamptz": "TIMESTAMPTZ"}
    partitions = False

    def __init__(self):
        import duckdb

        self.database = duckdb.connect(config={"allow_unsigned_extensions": "true", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
        for name in ("avro", "httpfs", "iceberg"):
            module = importlib.import_module("duckdb_extension_" + name)
            found = next(pathlib.Path(next(iter(module.__path__))).rglob(name + ".duckdb_extension"))
            self.database.execute("LOAD '%s'" % found)
        self.database.execute("SET TimeZone = 'UTC'")
        options = f"TYPE iceberg, ENDPOINT '{URI}', AUTHORIZATION_TYPE 'none', ACCESS_DELEGATION_MODE 'none'"
        self.database.execute(f"ATTACH '{PROPERTIES.get('warehouse', '')}' AS tw ({options})")

    def name(self, *parts):
        return super().name(*(("tw", *parts) if len(parts) > 1 else parts))

    def schema(self, name):
        return self.name("tw") + "." + self.name(name)

    def run(self, statement):
        self.database.execute(statement)

    def arrow(self, statement):
        return self.database.execute(statement).to_arrow_table()

    def create(self, table, fields, parts=(), version=2):
        more = " WITH ('format-version' = '%d')" % version if version != 2 else ""
        self.run(f"CREATE TABLE {table} ({self.columns(fields)}){more}")

    def nested(self, kind):
        if kind[0] == "list":
            return self.type(kind[1]) + "[]"
        if kind[0] == "map":
            return f"MAP({self.type(kind[1])}, {self.type(kind[2])})"
        return f"STRUCT({self.columns(kind[1:])})"

    def list_of(self, items):
        return "[" + ", ".join(items) + "]"

    def map_of(self, keys, values):
        return "MAP {" + ", ".join(f"{key}: {value}" for key, value in zip(keys, values)) + "}"

    def struct_of(self, parts):
        return "{" + ", ".join(f"'{name}': {value}" for name, value in parts) + "}"

    def binary(self, value):
        return "'" + "".join("\\x%02X" % byte for byte in value) + "'::BLOB"

    def close(self):
        self.database.close()


class Spark(ArrowEngine):
    quote = "`"
    types = {"long": "BIGINT", "timestamp": "TIMESTAMP_NTZ", "timestamptz": "TIMESTAMP", "uuid": "STRING"}
    lacks = ("time", "uuid")

    def __init__(self):
        from spark_session import session

        self.session = session(URI, glob.glob(os.environ["SPARK_JARS"]), PROPERTIES)

    def run(self, statement):
        self.arrow(statement)

    def arrow(self, statement):
        try:
            return self.session.sql(statement).toArrow()
        except Exception as error:
            # The reason stands last in what Java tells.
            causes = [line for line in str(error).splitlines() if line.startswith("Caused by:")]
            raise RuntimeError(causes[-1] if causes else str(error)) from error

    def create(self, table, fields, parts=(), version=2):
        spec = f" PARTITIONED BY ({', '.join(parts)})" if parts else ""
        self.run(f"CREATE TABLE {table} ({self.columns(fields)}) USING iceberg{spec} TBLPROPERTIES ('format-version' = '{version}')")

    def nested(self, kind):
        if kind[0] == "list":
            return f"ARRAY<{self.type(kind[1])}>"
        if kind[0] == "map":
            return f"MAP<{self.type(kind[1])}, {self.type(kind[2])}>"
        return "STRUCT<" + ", ".join(f"{self.name(name)}: {self.type(part)}" for name, part in kind[1:]) + ">"

    def list_of(self, items):
        return f"array({', '.join(items)})"

    def map_of(self, keys, values):
        return f"map({', '.join(part for pair in zip(keys, values) for part in pair)})"

    def struct_of(self, parts):
        return "named_struct(" + ", ".join(f"'{name}', {value}" for name, value in parts) + ")"

    def binary(self, value):
        return f"X'{value.hex()}'"

    def close(self):
        self.session.stop()


class Trino(Engine):
    types = {"int": "integer", "long": "bigint", "float": "real", "string": "varchar", "binary": "varbinary", "time": "time(6)", "timestamp": "timestamp(6)", "timestamptz": "timestamp(6) with time zone"}

    def __init__(self):
        self.uri = CHOSEN["trino"]
        self.headers = {"X-Trino-User": "probe", "X-Trino-Catalog": "tw", "X-Trino-Time-Zone": "UTC", "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME"}

    def ask(self, statement):
        """Names of the columns and rows as JSON has them."""
        columns, rows = [], []
        request = urllib.request.Request(self.uri + "/v1/statement", statement.encode(), self.headers)
        while request is not None:
            with urllib.request.urlopen(request, timeout=300) as response:
                answer = json.load(response)
            if "error" in answer:
                raise RuntimeError("%s: %s" % (answer["error"].get("errorName"), answer["error"].get("message")))
            columns = answer.get("columns", columns)
            rows += answer.get("data", [])
            if "data" not in answer:
                clock.sleep(0.01)
            request = urllib.request.Request(answer["nextUri"], headers=self.headers) if "nextUri" in answer else None
        return [column["name"] for column in columns], rows

    def run(self, statement):
        self.ask(statement)

    def agrees(self, statement, ours):
        names, rows = self.ask(statement)
        # Trino's names are all in lower case.
        same(names, [name.lower() for name in ours.column_names], "columns:")
        same(len(rows), ours.num_rows, "rows:")
        got = Counter(tuple(plain(self.value(item, field.type), field.type) for item, field in zip(row, ours.schema)) for row in rows)
        want = multiset(ours)
        assert got == want, f"missing {list(want - got)[:1]}, too many {list(got - want)[:1]}"

    def value(self, item, kind):
        """What JSON has for a value of this type, as Arrow gives it."""
        if item is None:
            return None
        if pa.types.is_struct(kind):
            return {part.name: self.value(value, part.type) for value, part in zip(item, kind)}
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return [self.value(value, kind.value_type) for value in item]
        if pa.types.is_map(kind):
            return [(self.value(key, kind.key_type), self.value(value, kind.item_type)) for key, value in item.items()]
        if pa.types.is_decimal(kind):
            return Decimal(item)
        if pa.types.is_floating(kind):
            return float(item)
        if pa.types.is_date(kind):
            return date.fromisoformat(item)
        if pa.types.is_time(kind):
            return time.fromisoformat(item)
        if pa.types.is_timestamp(kind):
            at = datetime.fromisoformat(item.removesuffix(" UTC"))
            return at if kind.tz is None else at.replace(tzinfo=timezone.utc)
        if isinstance(item, str) and (pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)):
            return uuid.UUID(item).bytes if len(item) == 36 and item[8] == "-" else base64.b64decode(item)
        return item

    def create(self, table, fields, parts=(), version=2):
        spec = ", partitioning = ARRAY[" + ", ".join(f"'{part}'" for part in parts) + "]" if parts else ""
        self.run(f"CREATE TABLE {table} ({self.columns(fields)}) WITH (format_version = {version}{spec})")

    def nested(self, kind):
        if kind[0] == "list":
            return f"array({self.type(kind[1])})"
        if kind[0] == "map":
            return f"map({self.type(kind[1])}, {self.type(kind[2])})"
        return f"row({self.columns(kind[1:])})"

    def list_of(self, items):
        return f"ARRAY[{', '.join(items)}]"

    def map_of(self, keys, values):
        return f"MAP(ARRAY[{', '.join(keys)}], ARRAY[{', '.join(values)}])"

    def struct_of(self, parts):
        return f"ROW({', '.join(value for _, value in parts)})"

    def binary(self, value):
        return f"X'{value.hex()}'"

    def close(self):
        pass


ENGINES = {"duckdb": DuckDb, "spark": Spark, "trino": Trino}
