"""duck.py FILES: DuckDB over the data files of the lake's tables. FILES is JSON, table to locations. Each line of standard input is a JSON
string with a statement, each line of standard output its rows as text, null as null, or an object with the error."""
import datetime
import json
import sys
from decimal import Decimal

import duckdb

db = duckdb.connect()
db.execute("SET threads = 1")
db.execute("SET TimeZone = 'UTC'")
# DuckDB's own is of maps only.
db.execute("CREATE MACRO cardinality(list) AS len(list)")
# One column of a view is named like a function otherwise; and text is compared by its bytes, as ours is.
for table, files in json.loads(sys.argv[1]).items():
    schema = table.split(".")[0]
    db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    listed = ", ".join("'" + path.removeprefix("file://").replace("'", "''") + "'" for path in files)
    db.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet([{listed}], hive_partitioning = false)")


def shown(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(shown(part) or "" for part in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(part) or ''}" for name, part in value.items()) + "}"
    return repr(value) if isinstance(value, float) else str(value)


for line in sys.stdin:
    try:
        rows = db.execute(json.loads(line)).fetchall()
        said = [[shown(value) for value in row] for row in rows]
    except Exception as error:
        said = {"error": " ".join(str(error).split())[:500]}
    print(json.dumps(said), flush=True)
