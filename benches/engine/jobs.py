"""What it costs to run a statement on executors that would be quick in the process that was asked.

jobs.py TIDEWATER --out FILE [--rows N] [--rounds N]

A `tidewater up`, whose own executor takes the jobs, so that the rows, the cores and the code that reckons are the same: what differs is
planning for executors, handing the plan over, its stages, their files and what is told of them. Statements of one stage to three over
a small table, asked by psycopg on one connection with no kept results, each in turn here and there. The cost is the difference of
the medians, and what one more stage adds to it that of two kinds. The spike that came before tidewater measured 15 to 20 ms.
"""
import argparse, time
from lake import Lake, Report, percentile

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--rows", type=int, default=20_000)
arguments.add_argument("--rounds", type=int, default=200)
given = arguments.parse_args()
# Milliseconds: what the spike measured at best.
GOAL = 15.0
KINDS = {
    "scan": "SELECT id, amount FROM small.events WHERE id = {at}",
    "groups": "SELECT place, count(*), sum(amount) FROM small.events WHERE id > {at} GROUP BY place",
    "join": "SELECT p.region, count(*), sum(e.amount) FROM small.events e JOIN small.places p ON e.place = p.id WHERE e.id > {at} GROUP BY p.region ORDER BY p.region",
}
WHERE = ("local", "cluster")


def ask(connection, execution, statement):
    connection.execute(f"SET tidewater.execution = {execution}")
    begun = time.perf_counter()
    rows = connection.execute(statement).fetchall()
    return sorted(rows), (time.perf_counter() - begun) * 1000


report = Report("jobs", "bench-engine", rows=given.rows, rounds=given.rounds)
with Lake(given.tidewater) as lake, lake.connect() as connection:
    connection.execute("CREATE SCHEMA small")
    connection.execute(
        "CREATE TABLE small.events AS SELECT n AS id, n * 31 % 100 AS place, CAST(n % 99991 AS DECIMAL(12, 2)) AS amount "
        f"FROM generate_series(0, {given.rows - 1}) s(n)"
    )
    connection.execute("CREATE TABLE small.places AS SELECT n AS id, 'region-' || (n % 8) AS region FROM generate_series(0, 99) s(n)")
    connection.execute("SET tidewater.cache = off")
    waits = {(kind, where): [] for kind in KINDS for where in WHERE}
    for at in range(given.rounds + 10):
        for kind, text in KINDS.items():
            answers = []
            for where in WHERE:
                rows, wait = ask(connection, where, text.format(at=at))
                answers.append(rows)
                # The first ones find nothing at hand.
                if at >= 10:
                    waits[kind, where].append(wait)
            if answers[0] != answers[1]:
                raise SystemExit(f"executors answer otherwise: {text.format(at=at)}: {answers[1][:3]}, not {answers[0][:3]}")
    for kind in KINDS:
        for where in WHERE:
            for part in (0.5, 0.95):
                report.told(f"{kind}.{where}.p{round(part * 100)}", percentile(waits[kind, where], part), "ms")
        cost = percentile(waits[kind, "cluster"], 0.5) - percentile(waits[kind, "local"], 0.5)
        report.told(f"{kind}.cost", cost, "ms that executors take longer", GOAL)
report.write(given.out)
