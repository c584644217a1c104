"""Statements whose rows must be the same at two endpoints: differ.py HOST PORT DB USER PASSWORD  HOST PORT DB USER PASSWORD [--only RE]

A line of differ.txt is a statement, behind ` -- differs: ` stands why its rows differ. The expressions of expressions.py are
selected alone; expressions.differs says which of them differ and why. That marked statements do differ is checked: a mark that
is no longer true, or of nothing, fails. The statements of zones.txt are asked in each of ZONES, and the expressions about time in the
first of them: those that are marked may differ there or not, as a zone may hide it."""
import pathlib
import re
import sys

import expressions
from checks import Checks, options
from compare import compare, connect, rows

HERE = pathlib.Path(__file__).parent


def lines():
    for at, line in enumerate((HERE / "differ.txt").read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            sql, _, why = line.partition(" -- differs: ")
            yield f"line.{at}", sql, why or None


def marks():
    """Each marked expression with its reason, which stands as a heading above it."""
    why, found = None, {}
    for line in (HERE / "expressions.differs").read_text().splitlines():
        if line.startswith("# "):
            why = line[2:]
        elif line:
            found[line] = why
    return found


# With summer time in either half of the year, of half an hour, and of none, on half hours, and that begins at midnight.
ZONES = ["America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]
ABOUT_TIME = re.compile("TIMESTAMP|DATE|INTERVAL|now|current_|local|to_char|epoch", re.IGNORECASE)


def zoned(check, ours, theirs, every, known):
    for zone in ZONES:
        for connection in (ours, theirs):
            connection.execute(f"SET TIME ZONE '{zone}'")
        for at, line in enumerate((HERE / "zones.txt").read_text().splitlines(), 1):
            if line.startswith("#"):
                continue
            statement, _, why = line.partition(" -- differs: ")
            sql, _, with_ = statement.partition(" -- with: ")
            params = with_.split(", ") if with_ else None
            check(f"{zone}.{at}", lambda sql=sql, params=params, why=why: compare(rows(ours, sql, params), rows(theirs, sql, params), sql, why or None))
    for connection in (ours, theirs):
        connection.execute(f"SET TIME ZONE '{ZONES[0]}'")
    for at, sql in enumerate(every, 1):
        if ABOUT_TIME.search(sql) and sql.removeprefix("SELECT ") not in known:
            check(f"{ZONES[0]}.expression.{at}", lambda sql=sql: compare(rows(ours, sql), rows(theirs, sql), sql, None))


def main():
    ours, theirs = connect(*sys.argv[1:6]), connect(*sys.argv[6:11])
    opt = options(sys.argv[11:])
    check = Checks(only=opt.get("only"), least=opt.get("min"))
    known = marks()
    every = expressions.statements()
    for name, sql, why in lines():
        check(name, lambda sql=sql, why=why: compare(rows(ours, sql), rows(theirs, sql), sql, why))
    for at, sql in enumerate(every, 1):
        why = known.get(sql.removeprefix("SELECT "))
        check(f"expression.{at}", lambda sql=sql, why=why: compare(rows(ours, sql), rows(theirs, sql), sql, why))

    def marked():
        stale = set(known) - {sql.removeprefix("SELECT ") for sql in every}
        if stale:
            raise AssertionError(f"no such expressions: {sorted(stale)[:5]}")
        return f"{len(known)} of {len(every)} expressions differ"

    check("expressions.marks", marked)
    zoned(check, ours, theirs, every, known)
    check.finish()


if __name__ == "__main__":
    main()
