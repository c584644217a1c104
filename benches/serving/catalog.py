"""What BI tools ask PostgreSQL's catalog before their first query, over a thousand tables of fifty columns.

catalog.py TIDEWATER --psql PSQL --out FILE [--tables N] [--rounds N]

The statements are Metabase's sync of tests/corpus/metabase, of everything and of one table; those of psql's \\d and \\dt as psql
sends them; and what SQLAlchemy asks to reflect a table. Times are the client's, each round on another table, after one round that
is not counted. Nothing is asserted: goals that are missed are told.
"""
import argparse, os, re, subprocess, time
import psycopg
import sqlalchemy
from lake import Lake, Report, percentile

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--psql", default="psql")
arguments.add_argument("--out", required=True)
arguments.add_argument("--tables", type=int, default=1_000)
arguments.add_argument("--rounds", type=int, default=20)
given = arguments.parse_args()
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
report = Report("catalog", tables=given.tables)
told = report.told
SCHEMAS = 20
TYPES = ["BIGINT", "VARCHAR", "DOUBLE", "TIMESTAMP", "DATE", "DECIMAL(12, 2)", "BOOLEAN", "INT"]


def measure(name, one):
    one(0)
    waits = []
    for at in range(1, given.rounds + 1):
        begun = time.perf_counter()
        one(at)
        waits.append((time.perf_counter() - begun) * 1000)
    told(f"{name}.p50", percentile(waits, 0.5), "ms")
    told(f"{name}.p95", percentile(waits, 0.95), "ms", 150)


def table(at):
    return f"s{at % SCHEMAS}", f"t{at * 7 % (given.tables // SCHEMAS)}"


def corpus():
    text = open(f"{root}/tests/corpus/metabase/sync.sql").read()
    found = {}
    for part in re.split(r"^-- name: ", text, flags=re.M)[1:]:
        name, sql = part.split("\n", 1)
        found[name.strip()] = "\n".join(line for line in sql.splitlines() if not line.startswith("-- ")).strip().rstrip(";")
    return found


with Lake(given.tidewater) as lake:
    connection = lake.connect()
    begun = time.perf_counter()
    columns = ", ".join(f"c{n} {TYPES[n % len(TYPES)]}" for n in range(50))
    for schema in range(SCHEMAS):
        connection.execute(f"CREATE SCHEMA s{schema}")
        for number in range(given.tables // SCHEMAS):
            connection.execute(f"CREATE TABLE s{schema}.t{number} ({columns})")
    told("made", (time.perf_counter() - begun) / given.tables * 1000, "ms a table")
    asked = corpus()
    for name in ("schemas", "tables", "privileges"):
        whole = asked[name].replace(" AND n.nspname = 'toy'", "").replace("WHERE t.schemaname = 'toy' ", "").replace(" AND nspname IN ('toy', 'gold')", "")
        measure(f"metabase.{name}", lambda at: connection.execute(whole).fetchall())
    schema_of = asked["fields"].replace(" AND c.table_name = 'orders' AND c.column_name <> 'status'", "")
    measure("metabase.fields_of_a_schema", lambda at: connection.execute(schema_of.replace("'toy'", f"'{table(at)[0]}'")).fetchall())
    measure("metabase.fields_of_a_table", lambda at: connection.execute(
        asked["fields"].replace("'toy'", f"'{table(at)[0]}'").replace("'orders'", f"'{table(at)[1]}'").replace("'status'", "'c1'")).fetchall())
    measure("information_schema.columns_of_a_table", lambda at: connection.execute(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position", table(at)).fetchall())
    # The statements behind psql's commands, as psql prints them.
    for name, command in (("dt", "\\dt {0}.*"), ("d", "\\d {0}.{1}"), ("dn", "\\dn")):
        def psql(at):
            said = subprocess.run([given.psql, lake.dsn, "-XEqc", command.format(*table(at))], capture_output=True, text=True, check=True).stdout
            return re.findall(r"\*{9} QUERY \*{10}\n(.*?)\n\*{26}", said, flags=re.S)
        statements = [psql(at) for at in range(3)]
        told(f"psql.{name}.statements", len(statements[0]), "statements")
        for number in range(len(statements[0])):
            measure(f"psql.{name}.{number + 1}", lambda at: connection.execute(statements[at % 3][number].encode()).fetchall())
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(lake.dsn))
    with engine.connect() as session:
        measure("sqlalchemy.table_names", lambda at: sqlalchemy.inspect(session).get_table_names(table(at)[0]))
        measure("sqlalchemy.columns", lambda at: sqlalchemy.inspect(session).get_columns(table(at)[1], table(at)[0]))
report.write(given.out)
