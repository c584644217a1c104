"""Statements whose rows must be the same at two endpoints: differ.py HOST PORT DB USER PASSWORD  HOST PORT DB USER PASSWORD [--only RE]

A line of differ.txt is a statement, behind ` -- differs: ` stands why its rows differ. The expressions of expressions.py are
selected alone; expressions.differs says which of them differ and why. That marked statements do differ is checked: a mark that
is no longer true, or of nothing, fails."""
import pathlib
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
    check.finish()


if __name__ == "__main__":
    main()
