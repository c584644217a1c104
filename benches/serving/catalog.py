"""What BI tools ask PostgreSQL's catalog before their first query, over a thousand tables of fifty columns.

catalog.py TIDEWATER --psql PSQL --out FILE [--tables N] [--rounds N]

The statements are Metabase's sync of tests/corpus/metabase, and its keys, indexes and enums, of everything and of one table; those
of psql's \\d and \\dt as psql sends them; what SQLAlchemy asks to reflect a table; and what pgjdbc asks for its `getColumns`. Times
are the client's, each round on another table, after one round that is not counted. Nothing is asserted: goals that are missed are
told. The columns of all tables at once have no goal: their 50,000 rows are asked for by few, and sent and read for the most part.
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


# Metabase's sync once it has the fields. A lakehouse has neither foreign keys nor enums, and is asked for them all the same.
FOREIGN_KEYS = (
    "SELECT fa.attname AS fk_column, fc.relname AS fk_table, pn.nspname AS pk_schema, pc.relname AS pk_table, pa.attname AS pk_column FROM pg_constraint k"
    " JOIN pg_class fc ON k.conrelid = fc.oid JOIN pg_namespace fn ON fc.relnamespace = fn.oid JOIN pg_attribute fa ON fa.attrelid = fc.oid"
    " JOIN pg_class pc ON k.confrelid = pc.oid JOIN pg_namespace pn ON pc.relnamespace = pn.oid JOIN pg_attribute pa ON pa.attrelid = pc.oid"
    " WHERE fn.nspname !~ '^information_schema|catalog_history|pg_' AND k.contype = 'f'::char AND fa.attnum = ANY(k.conkey) AND pa.attnum = ANY(k.confkey)"
    " ORDER BY fk_table, fk_column"
)
INDEXES = (
    "SELECT a.attname FROM (SELECT i.indrelid, i.indkey, (information_schema._pg_expandarray(i.indkey)).n AS pos, ci.oid AS idx"
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ci ON ci.oid = i.indexrelid WHERE i.indpred IS NULL) x"
    " JOIN pg_catalog.pg_class ct ON ct.oid = x.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = ct.relnamespace"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = ct.oid AND a.attnum = x.indkey[0]"
    " WHERE x.pos = 1 AND pg_catalog.pg_get_indexdef(x.idx) IS NOT NULL AND n.nspname = '{0}' AND ct.relname = '{1}'"
)
ENUMS = (
    "SELECT ty.typname, n.nspname FROM pg_type ty JOIN pg_namespace n ON n.oid = ty.typnamespace"
    " WHERE ty.oid IN (SELECT DISTINCT e.enumtypid FROM pg_enum e)"
)
# DatabaseMetaData.getColumns of pgjdbc 42.7, as it asks a PostgreSQL 15; `{0}` is where it says of which schema and tables.
GET_COLUMNS = (
    "SELECT * FROM (SELECT current_database() AS current_database, n.nspname,c.relname,a.attname,a.atttypid,"
    "a.attnotnull  OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,t.typtypmod,"
    "row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,"
    "nullif(a.attgenerated, '') as attgenerated,pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype "
    " FROM pg_catalog.pg_namespace n  JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)  JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid) "
    " JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)  LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum) "
    " LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) "
    " LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class') "
    " LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog') "
    " WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped{0}) c WHERE true AND attname LIKE %s"
    " ORDER BY nspname,c.relname,attnum "
)


def measure(name, one, goal=150, rounds=given.rounds):
    one(0)
    waits = []
    for at in range(1, rounds + 1):
        begun = time.perf_counter()
        one(at)
        waits.append((time.perf_counter() - begun) * 1000)
    told(f"{name}.p50", percentile(waits, 0.5), "ms")
    told(f"{name}.p95", percentile(waits, 0.95), "ms", goal)


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
    columns = ", ".join(f"c{n} {TYPES[n % len(TYPES)]}{'' if n else ' PRIMARY KEY'}" for n in range(50))
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
    measure("metabase.fks", lambda at: connection.execute(FOREIGN_KEYS).fetchall())
    measure("metabase.indexes_of_a_table", lambda at: connection.execute(INDEXES.format(*table(at))).fetchall())
    measure("metabase.enums", lambda at: connection.execute(ENUMS).fetchall())
    of_a_table, of_all = GET_COLUMNS.format(" AND n.nspname LIKE %s AND c.relname LIKE %s"), GET_COLUMNS.format(" AND c.relname LIKE %s")
    measure("pgjdbc.columns_of_a_table", lambda at: connection.execute(of_a_table, (*table(at), "%")).fetchall())
    told("pgjdbc.columns_of_everything", len(connection.execute(of_all, ("%", "%")).fetchall()), "rows")
    measure("pgjdbc.columns_of_everything", lambda at: connection.execute(of_all, ("%", "%")).fetchall(), goal=None, rounds=5)
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
        for name in ("columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints", "check_constraints", "table_comment"):
            measure(f"sqlalchemy.{name}", lambda at: getattr(sqlalchemy.inspect(session), f"get_{name}")(table(at)[1], table(at)[0]))
report.write(given.out)
