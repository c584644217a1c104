"""Small queries by many clients at once: how long each waits and how many are answered, beside DuckDB and Trino.

concurrency.py TIDEWATER --out FILE [--rows N] [--clients N] [--seconds N] [--peers duckdb,trino]

Four kinds of statements in turn, with values that no two clients share: one row by its key, an aggregate of a thousand rows, one
by a column that the table is not ordered by, one of a day beside a small dimension. tidewater is asked over Flight SQL by ADBC and
keeps no results; DuckDB is one process, the clients' own, with a cursor for each over the same Parquet files; Trino is asked over
HTTP and reads the same tables by the catalog. One after the other, after some seconds that do not count, on all cores, which the
clients need too. The first answers of all have to be DuckDB's. Goals that are missed are told.
"""
import argparse, contextlib, random
from datetime import date, timedelta
import adbc_driver_flightsql.dbapi as flight_sql
import duckdb
from compare import differ
from lake import Lake, Report, percentile
from sql_engines import Trino, TrinoClient
from users import users

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--rows", type=int, default=1_000_000)
arguments.add_argument("--clients", type=int, default=32)
arguments.add_argument("--seconds", type=int, default=30)
arguments.add_argument("--warm", type=int, default=15)
arguments.add_argument("--peers", default="duckdb,trino")
given = arguments.parse_args()
CUSTOMERS, PLACES, COMPARED = 10_000, 100, 40
# The rate of tidewater in those of others.
GOALS = {"duckdb": 1.0, "trino": 10.0}
# Numbers of statements that no client reaches lie between two clients.
APART = 1_000_000_000
FIRST, LAST = date(2026, 1, 1), date(2026, 12, 25)
DAYS = (LAST - FIRST).days
TABLES = {
    "events": "(id BIGINT, customer BIGINT, place BIGINT, day DATE, status VARCHAR, amount DECIMAL(12, 2)) WRITE ORDERED BY id AS "
    f"SELECT n, n * 7919 % {CUSTOMERS}, n * 31 % {PLACES}, CAST(TIMESTAMP '{FIRST} 00:00:00' + n * {DAYS} / {given.rows} * INTERVAL '1 day' AS DATE), "
    f"'status-' || (n % 5), CAST(n % 99991 AS DECIMAL(12, 2)) FROM generate_series(0, {given.rows - 1}) s(n)",
    "places": f"AS SELECT n AS id, 'region-' || (n % 8) AS region FROM generate_series(0, {PLACES - 1}) s(n)",
}
KINDS = [
    "SELECT id, customer, place, day, status, amount FROM small.events WHERE id = {id}",
    "SELECT count(*) AS n, sum(amount) AS amount, max(day) AS last FROM small.events WHERE id BETWEEN {id} AND {id} + 999",
    "SELECT status, count(*) AS n, sum(amount) AS amount FROM small.events WHERE customer = {customer} GROUP BY status ORDER BY status",
    "SELECT p.region, count(*) AS n, sum(e.amount) AS amount FROM small.events e JOIN small.places p ON e.place = p.id "
    "WHERE e.day = DATE '{day}' GROUP BY p.region ORDER BY p.region",
]


def statement(at):
    values = random.Random(at)
    chosen = {"id": values.randrange(given.rows), "customer": values.randrange(CUSTOMERS), "day": FIRST + timedelta(values.randrange(DAYS))}
    return KINDS[at % len(KINDS)].format(**chosen)


def tidewater():
    cursor = flight_sql.connect(lake.flight(), db_kwargs={"adbc.flight.sql.rpc.call_header.tidewater.cache": "off"}, autocommit=True).cursor()

    def one(at):
        cursor.execute(statement(at))
        return cursor.fetch_arrow_table()
    return one


def of_duckdb(database):
    def ask():
        cursor = database.cursor()
        return lambda at: cursor.execute(statement(at)).to_arrow_table()
    return ask


def of_trino(server):
    def ask():
        client = TrinoClient(server.uri)
        return lambda at: client.run(statement(at))
    return ask


def measure(name, ask):
    one = ask()
    for at in range(COMPARED):
        different, _ = differ(statement(at), one(at), judge(at))
        if different:
            raise SystemExit(f"{name} answers otherwise than DuckDB: {different}: {statement(at)}")
    users(given.clients, ask, given.warm, APART)
    waits = users(given.clients, ask, given.seconds, APART)
    for part in (0.5, 0.95, 0.99):
        report.told(f"{name}.p{round(part * 100)}", percentile(waits, part), "ms")
        found[name, part] = percentile(waits, part)
    found[name, "rate"] = len(waits) / given.seconds
    report.told(f"{name}.rate", found[name, "rate"], "statements/s")


report = Report("concurrency", "bench-engine", rows=given.rows, clients=given.clients, seconds=given.seconds)
peers, found = given.peers.split(",") if given.peers else [], {}
with contextlib.ExitStack() as stack:
    lake = stack.enter_context(Lake(given.tidewater))
    database = duckdb.connect()
    database.execute("CREATE SCHEMA small")
    with lake.connect() as connection:
        connection.execute("CREATE SCHEMA small")
        for table, made in TABLES.items():
            connection.execute(f"CREATE TABLE small.{table} {made}")
            files = [path.removeprefix("file://") for (path,) in connection.execute(f'SELECT file_path FROM small."{table}$files"').fetchall()]
            database.execute(f"CREATE VIEW small.{table} AS SELECT * FROM read_parquet({files!r})")
            report.told(f"files.{table}", len(files), "files")
    judge = of_duckdb(database)()
    measure("tidewater", tidewater)
    if "duckdb" in peers:
        measure("duckdb", of_duckdb(database))
    if "trino" in peers:
        measure("trino", of_trino(stack.enter_context(Trino(lake.catalog()))))
    for peer in peers:
        report.told(f"{peer}.rate_ratio", found["tidewater", "rate"] / found[peer, "rate"], f"of the rate of {peer}", GOALS[peer], least=True)
        for part in (0.5, 0.95, 0.99):
            report.told(f"{peer}.p{round(part * 100)}_ratio", found["tidewater", part] / found[peer, part], f"of the wait of {peer}")
report.write(given.out)
