"""Spark, Trino and DuckDB as benchmarks have them: over the lake's catalog, asked for Arrow tables, ended when they are not wanted.

Each is a context with `run(text)`, which answers an Arrow table, and `pids`, the processes whose memory is its own.
"""
import glob
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from datetime import date, datetime
from decimal import Decimal
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pyarrow as pa

HERE = pathlib.Path(__file__).resolve().parent
PEERS = pathlib.Path(os.environ.get("TIDEWATER_PEERS") or pathlib.Path.home() / ".cache/tidewater/peers") / "iceberg"


class Spark:
    """Its JVM is a child of this process. SPARK_HEAP is its memory."""

    def __init__(self, uri, warehouse="lake"):
        jars = glob.glob(f"{PEERS}/spark/iceberg/*.jar")
        if not jars:
            raise SystemExit("no Spark: tests/peers/iceberg/iceberg fetch spark")
        sys.path += glob.glob(f"{PEERS}/spark/lib/python3*/site-packages")
        from spark_session import session

        self.session = session(uri, jars, {"warehouse": warehouse})
        self.context = self.session.sparkContext
        self.pids = [self.context._gateway.proc.pid]

    def run(self, text):
        return self.session.sql(text).toArrow()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        gateway = self.context._gateway
        self.session.stop()
        gateway.shutdown()
        # The JVM ends with its standard input, else not before this process.
        gateway.proc.stdin.close()
        gateway.proc.wait(60)
        type(self.context)._gateway = type(self.context)._jvm = None


class Trino:
    """A server of its own, on what cores this process has. TRINO_HEAP and TRINO_QUERY_MEMORY are its memory."""

    def __init__(self, uri, warehouse="lake"):
        self.folder = tempfile.mkdtemp()
        subprocess.run([HERE.parent / "iceberg", "trino", "up", self.folder, uri, warehouse], check=True, stdout=subprocess.DEVNULL)
        self.uri = pathlib.Path(self.folder, "uri").read_text().strip()
        self.pids = [int(pathlib.Path(self.folder, "pid").read_text())]
        self.client = TrinoClient(self.uri)

    def run(self, text):
        return self.client.run(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([HERE.parent / "iceberg", "trino", "down", self.folder], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class TrinoClient:
    """One client with a kept connection. It asks again at once, as the server waits for what comes next."""

    def __init__(self, uri):
        self.connection = HTTPConnection(urlsplit(uri).netloc, timeout=600)
        # Without the last one, decimals and times lose their digits in what the server tells of types.
        self.headers = {"X-Trino-User": "bench", "X-Trino-Catalog": "tw", "X-Trino-Time-Zone": "UTC", "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME"}

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body, self.headers)
        response = self.connection.getresponse()
        said = response.read()
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}: {said[:200]}")
        return json.loads(said)

    def rows(self, text):
        """Columns and rows as JSON has them."""
        columns, rows = [], []
        answer = self.ask("POST", "/v1/statement", text.encode())
        while True:
            if "error" in answer:
                raise RuntimeError("%s: %s" % (answer["error"].get("errorName"), answer["error"].get("message")))
            columns = answer.get("columns", columns)
            rows += answer.get("data", [])
            if "nextUri" not in answer:
                return columns, rows
            answer = self.ask("GET", urlsplit(answer["nextUri"]).path)

    def run(self, text):
        columns, rows = self.rows(text)
        arrays = [pa.array([value_of(row[at], column["type"]) for row in rows]) for at, column in enumerate(columns)]
        return pa.Table.from_arrays(arrays, [column["name"] for column in columns])


def value_of(item, kind):
    if item is None:
        return None
    if kind.startswith("decimal"):
        return Decimal(item)
    if kind == "date":
        return date.fromisoformat(item)
    if kind.startswith("timestamp"):
        return datetime.fromisoformat(item.replace(" UTC", "+00:00"))
    return float(item) if kind in ("double", "real") else item


def duckdb_of(uri, warehouse="lake"):
    """DuckDB with its iceberg extension; the lake is the catalog `tw`, and the usual one."""
    import duckdb

    database = duckdb.connect(config={"allow_unsigned_extensions": "true", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    for name in ("avro", "httpfs", "iceberg"):
        module = importlib.import_module("duckdb_extension_" + name)
        database.execute("LOAD '%s'" % next(pathlib.Path(next(iter(module.__path__))).rglob(name + ".duckdb_extension")))
    database.execute("SET TimeZone = 'UTC'")
    database.execute(f"ATTACH '{warehouse}' AS tw (TYPE iceberg, ENDPOINT '{uri}', AUTHORIZATION_TYPE 'none', ACCESS_DELEGATION_MODE 'none')")
    return database
