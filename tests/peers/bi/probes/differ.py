"""Statements whose rows must be the same at two endpoints: differ.py HOST PORT DB USER PASSWORD  HOST PORT DB USER PASSWORD [--only RE]

A line of differ.txt is a statement. After ` -- differs: ` stands why its rows differ; that they do is checked then.
"""
import pathlib
import re
import sys

import psycopg

from checks import Checks, options

here, there = sys.argv[1:6], sys.argv[6:11]
opt = options(sys.argv[11:])
check = Checks(only=opt.get("only"))


def connect(host, port, db, user, password):
    return psycopg.connect(host=host, port=port, dbname=db, user=user, password=password, autocommit=True)


def rows(connection, sql):
    """Names and values as texts, in the order in which they came."""
    try:
        result = connection.pgconn.exec_(sql.encode())
        if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
            return "error " + result.error_field(psycopg.pq.DiagnosticField.SQLSTATE).decode()
        names = tuple(result.fname(i).decode() for i in range(result.nfields))
        values = [tuple(None if (v := result.get_value(r, c)) is None else v.decode() for c in range(result.nfields)) for r in range(result.ntuples)]
        return names, values
    except Exception as e:
        return f"{type(e).__name__} {e}"


def compare(ours, theirs, sql, why):
    got, want = rows(ours, sql), rows(theirs, sql)
    if why is None and got != want:
        raise AssertionError(f"expected {want}, got {got}: {sql}")
    if why is not None and got == want:
        raise AssertionError(f"does not differ any more: {sql}")
    return f"{sql[:120]}" + (f" (differs: {why})" if why else "")


ours, theirs = connect(*here), connect(*there)
for at, line in enumerate((pathlib.Path(__file__).parent / "differ.txt").read_text().splitlines(), 1):
    if not line or line.startswith("#"):
        continue
    sql, _, why = line.partition(" -- differs: ")
    check(f"line.{at}", lambda sql=sql, why=why: compare(ours, theirs, sql, why or None))
check.finish()
