"""Ten times the clients that a process can serve: what it still gets done, what it refuses, and how soon it is itself again.

overload.py TIDEWATER --out FILE [--seconds N] [--idle N]

One statement over a table of two million rows, asked without kept results. First by 1, 2, 4, 8 and 16 clients at a time: the most
that are answered in a second is the peak. Then by ten times as many clients as reached it, through the PostgreSQL wire and through
Flight SQL: those that are refused wait as they are told, or 100 ms, and ask again. Then, beside five thousand connections that say
nothing and beside readers that do not read, one client asks on. Nothing is asserted: goals that are missed are told.
"""
import argparse, collections, resource, socket, threading, time
import adbc_driver_flightsql.dbapi as flight_sql
import psycopg
from lake import Lake, Report, percentile

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--seconds", type=int, default=20)
arguments.add_argument("--idle", type=int, default=5_000)
given = arguments.parse_args()
report = Report("overload")
told = report.told
TEXT = "SELECT k % 100 AS part, count(*), sum(v), max(v) FROM load.t GROUP BY 1 ORDER BY 1"
WIDE = "SELECT a.k, a.v, repeat('x', 200) AS text FROM load.t a"
RETRIABLE = ("53300", "53400", "57P03", "UNAVAILABLE", "RESOURCE_EXHAUSTED")


def postgres():
    connection = lake.connect()
    connection.execute("SET tidewater.cache = off")

    def ask():
        try:
            connection.execute(TEXT).fetchall()
        except psycopg.Error as error:
            return error.sqlstate or str(error)[:80]
    return ask, connection.close


def flight():
    connection = flight_sql.connect(lake.flight(), db_kwargs={"adbc.flight.sql.rpc.call_header.tidewater.cache": "off"}, autocommit=True)

    def ask():
        cursor = connection.cursor()
        try:
            cursor.execute(TEXT)
            cursor.fetch_arrow_table()
        except Exception as error:
            text = str(error)
            return next((code for code in RETRIABLE if code in text.upper().replace(" ", "_")), text[:80])
        report.write(given.out)
