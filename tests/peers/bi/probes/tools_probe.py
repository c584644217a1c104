"""Tools of people at a PostgreSQL-wire endpoint: tools_probe.py HOST PORT DB USER PASSWORD [SCHEMA] [--only RE] [--lacks RE] [--min N]

pgcli and dbt-postgres run as they are. Npgsql, Power BI, DBeaver and Grafana cannot be installed here: their statements are those of
tools.sql, and Grafana's macros are expanded as it does. What is compared with the rows of toy.sql is reckoned here. Writes the schema
SCHEMA_dbt and drops it."""
import datetime
import decimal
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import psycopg
from pgcli.completion_refresher import CompletionRefresher
from pgcli.pgcompleter import PGCompleter
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
from prompt_toolkit.document import Document
from psycopg.types.numeric import Int8

from checks import Checks, equal, options

host, port, db, user, password = sys.argv[1:6]
schema = "toy" if len(sys.argv) < 7 or sys.argv[6].startswith("--") else sys.argv[6]
opt = options([a for a in sys.argv[6:] if a != schema])
check = Checks(only=opt.get("only"), limit=120, lacks=opt.get("lacks"), least=opt.get("min"))
home = tempfile.TemporaryDirectory()
BIN = pathlib.Path(sys.executable).parent
DEPLOY = pathlib.Path(__file__).resolve().parents[4] / "deploy/dbt"
IN_TRANSACTION = "a transaction block only reads"
# Nothing of this machine's configuration, and no word to anybody else.
ENV = os.environ | {"HOME": home.name, "XDG_CONFIG_HOME": home.name, "PGPASSWORD": password, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def connect():
    return psycopg.connect(host=host, port=port, dbname=db, user=user, password=password, autocommit=True)


def has(values, *wanted):
    values = {str(v) for v in values}
    if missing := [w for w in wanted if w not in values]:
        raise AssertionError(f"lacks {missing}: {sorted(values)[:10]}")
    return f"{len(values)} values"


def cells(rows):
    return (cell for row in rows for cell in row)


def run(*command):
    """A program's output; where it fails, the end of what it said."""
    done = subprocess.run([str(c) for c in command], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}: {' '.join(done.stdout.splitlines()[-3:])[-180:]}")
    return done.stdout


def pgcli():
    """Its program, the backslash commands of its own, and all that its completion asks."""
    client = lambda: PGExecute(db, user, password, host, port, None)
    program = lambda *args: run(BIN / "pgcli", "-h", host, "-p", port, "-U", user, "-d", db, "-w", "--less-chatty", *args)
    check("pgcli.program", lambda: has(program("-c", f"SELECT count(*) FROM {schema}.orders", "-c", "SELECT 'two'").split(), "9000", "two"))

    def script():
        path = pathlib.Path(home.name, "script.sql")
        path.write_text(f"SELECT name FROM {schema}.customers WHERE id = 7;\nSELECT 'end' AS last;\n")
        out = program("-f", path)
        return has(out.split(), "customer", "7", "end")

    check("pgcli.file", script)
    check("pgcli.list", lambda: has(program("--list").split(), db))
    check("pgcli.ping", lambda: program("--ping"))
    sch = lambda rows: [r[1] for r in rows if r[0] == schema]
    check("pgcli.search-path", lambda: has(client().search_path(), "pg_catalog"))
    check("pgcli.schemata", lambda: has(client().schemata(), schema))
    check("pgcli.tables", lambda: has(sch(client().tables()), "customers", "orders"))
    check("pgcli.views", lambda: has(sch(client().views()), "daily"))

    def columns(rows, table):
        return {r[2]: r[3] for r in rows if r[:2] == (schema, table)}

    want = {"id": "bigint", "amount": "numeric", "ordered_at": "timestamp with time zone", "tags": "text[]"}
    check("pgcli.columns", lambda: equal(want, {k: v for k, v in columns(client().table_columns(), "orders").items() if k in want}))
    check("pgcli.view-columns", lambda: has(columns(client().view_columns(), "daily"), "day", "orders", "amount"))
    keys = check("pgcli.foreign-keys", lambda: list(client().foreignkeys()))
    check("pgcli.foreign-keys.names", lambda: has(cells(keys or []), "orders", "customer_id", "customers"))
    check("pgcli.functions", lambda: has([f.func_name for f in client().functions()], "date_trunc", "count"))
    types = check("pgcli.types", lambda: list(client().datatypes()))
    check("pgcli.types.names", lambda: has(sch(types or []), "mood"))
    check("pgcli.databases", lambda: has(client().databases(), db))
    check("pgcli.full-databases", lambda: has(cells(client().full_databases()[0]), db, "UTF8"))
    check("pgcli.casing", lambda: len(list(client().casing())))
    check("pgcli.view-definition", lambda: has(re.findall(r"\w+", client().view_definition(f"{schema}.daily")), "CREATE", "sum", "amount"))
    check("pgcli.timezone", lambda: client().get_timezone())
    check("pgcli.set-timezone", lambda: client().set_timezone("Europe/Berlin"))
    check("pgcli.socket", lambda: client().get_socket_directory())
    check("pgcli.explain", lambda: has(re.findall(r"\w+", str(list(cells(list(client().run(f"EXPLAIN SELECT * FROM {schema}.orders"))[0][1])))), "orders"))

    def completion(text, at):
        """The words that it offers at a place, after a whole refresh in the thread that asked for it."""
        completer = PGCompleter(pgspecial=PGSpecial())
        CompletionRefresher()._bg_refresh(client(), PGSpecial(), [lambda fresh: setattr(completer, "fresh", fresh)], settings={})
        return [c.text for c in completer.fresh.get_completions(Document(text, at), None, smart_completion=True)]

    check("pgcli.complete-tables", lambda: has(completion(f"SELECT * FROM {schema}.", len(schema) + 15), "customers", "orders", "daily"))
    check("pgcli.complete-columns", lambda: has(completion(f"SELECT  FROM {schema}.orders", 7), "amount", "ordered_at", "tags"))

    def special(command, *wanted):
        def go():
            words = []
            for title, rows, headers, status, *_ in client().run(command, PGSpecial()):
                words += re.findall(r"[\w.]+", " ".join(map(str, [title, status, *(headers or []), *cells(rows or [])])))
            return has(words, *wanted)

        check(f"pgcli {command.replace(schema, 'SCHEMA')}", go)

    special("\\l", db)
    special("\\dn", schema)
    special(f"\\dt {schema}.*", "customers", "orders")
    special(f"\\dv {schema}.*", "daily")
    special(f"\\d {schema}.orders", "amount", "ordered_at", "numeric")
    special(f"\\d+ {schema}.customers", "name", "text")
    special(f"\\d {schema}.daily", "orders")
    special("\\df date_trunc", "date_trunc")
    special("\\du", user)
    special(f"\\di {schema}.*")
    special(f"\\ds {schema}.*")
    special(f"\\dT {schema}.*")


def dbt(mode, autocommit):
    """A project with one view: debug, run two times (the second has a view to take the place of), and the view's rows. `deploy` is with the
    profile and the macro of deploy/dbt."""
    project, target, deployed = pathlib.Path(home.name, mode), f"{schema}_dbt", mode == "deploy"
    (project / "models").mkdir(parents=True)
    files = {  # YAML takes JSON
        "dbt_project.yml": {"name": "tools", "version": "1.0.0", "profile": "tidewater" if deployed else "tools", "models": {"tools": {"+materialized": "view"}}},
        "profiles.yml": {"tools": {"target": "it", "outputs": {"it": {
            "type": "postgres", "host": host, "port": int(port), "user": user, "password": password, "dbname": db, "schema": target, "threads": 2, "autocommit": autocommit}}}},
        "models/sources.yml": {"version": 2, "sources": [{"name": "toy", "schema": schema, "tables": [{"name": "orders"}]}]},
    }
    for name, text in files.items():
        (project / name).write_text(json.dumps(text))
    if deployed:
        shutil.copytree(DEPLOY, project, dirs_exist_ok=True)
        ENV.update(TIDEWATER_HOST=host, TIDEWATER_PORT=port, TIDEWATER_USER=user, TIDEWATER_PASSWORD=password, TIDEWATER_DATABASE=db, TIDEWATER_SCHEMA=target)
    (project / "models/daily_orders.sql").write_text("select day, count(*) as orders, sum(amount) as amount\nfrom {{ source('toy', 'orders') }}\ngroup by day\n")

    def run_dbt(verb):
        log = project / "logs/dbt.log"
        log.unlink(missing_ok=True)
        try:
            out = run(BIN / "dbt", "--no-use-colors", "--no-version-check", verb, "--project-dir", project, "--profiles-dir", project, "--log-path", log.parent)
        except AssertionError as e:
            # The statement that was refused, and the error, as its log has them.
            said, statement = re.split(r"^\S*\d\d:\d\d:\d\d\.\d+ \[\w+ *\] \[[^\n]*?\]: ", log.read_text(), flags=re.M), ""
            for entry in said:
                statement = re.sub(r"^On [^:]*:|/\*.*?\*/", "", entry, flags=re.S) if entry.startswith("On ") else statement
                if "Postgres error:" in entry:
                    error = f"{entry.split('error:')[1].strip()} <- {statement.strip()}"
                    # What changes something between BEGIN and COMMIT is refused by a lakehouse; nothing else may be.
                    raise (AssertionError if IN_TRANSACTION in error else RuntimeError)(error) from e
            raise RuntimeError(e) from e
        return re.findall(r"All checks passed|Done\. .*", out)

    def rows():
        with connect() as c:
            # Nothing else is left there, as are names that it uses on its way.
            equal([("daily_orders",)], c.execute("SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s", [target]).fetchall())
            got = c.execute(f'SELECT day, orders, amount FROM "{target}".daily_orders ORDER BY day').fetchall()
        days = [[decimal.Decimal(i % 997) / 10 for i in range(24 * d, min(24 * d + 24, 9000))] for d in range(375)]
        return len(equal([(datetime.date(2024, 1, 1) + datetime.timedelta(d), len(x), sum(x)) for d, x in enumerate(days)], got))

    def replaced():
        said = (project / "logs/dbt.log").read_text()
        if "create or replace view" not in said or "rename to" in said:
            raise AssertionError("a view was not replaced by one statement")

    drop = lambda: connect().execute(f'DROP SCHEMA IF EXISTS "{target}" CASCADE').close()
    check(f"dbt.{mode}.clean", drop)
    check(f"dbt.{mode}.debug", lambda: has(run_dbt("debug"), "All checks passed"))
    for time in ("run", "run-again"):
        check(f"dbt.{mode}.{time}", lambda: run_dbt("run"))
        check(f"dbt.{mode}.{time}.rows", rows)
    if deployed:
        check(f"dbt.{mode}.replaced", replaced)
    check(f"dbt.{mode}.drop", drop)


def statements():
    """The statements of tools.sql; their texts and their rows by name."""
    with connect() as c:
        oid = lambda name, query: Int8((c.execute(query).fetchone() or [0])[0])
        relation = f"SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = '{schema}' AND relname = "
        values = {
            "schema": schema, "table": "orders", "db": db, "setting": "standard_conforming_strings", "type": "numeric", "pattern": "%order%", "column": "amount",
            "schema_oid": oid("schema", f"SELECT oid FROM pg_namespace WHERE nspname = '{schema}'"),
            "catalog_oid": oid("catalog", "SELECT oid FROM pg_namespace WHERE nspname = 'pg_catalog'"),
            "table_oid": oid("table", relation + "'orders'"), "view_oid": oid("view", relation + "'daily'"),
        }  # fmt: skip
    names = {"{schema}": schema, "{user}": user, "{db}": db}
    fill = lambda text: re.sub(r"\{(?:schema|user|db)\}", lambda m: names[m[0]], text)
    texts, answers = {}, {}
    for block in re.split(r"^--- ", pathlib.Path(__file__).with_name("tools.sql").read_text(), flags=re.M)[1:]:
        head, text = block.split("\n", 1)
        text = fill(re.sub(r"\n-- [^\n]*$", "", text.strip()).strip())  # the heading of the next tool is none of it
        head, _, lacked = head.partition(" | ")
        head, _, wanted = head.partition(" : ")
        name, *parameters = head.split()

        def ask(text=text, parameters=parameters, wanted=wanted):
            with connect() as c, psycopg.RawCursor(c) as cursor:
                # Prepared by name: without parameters psycopg would take the simple protocol.
                cursor.execute(text, [values[p[1:]] for p in parameters], prepare=True)
                rows = cursor.fetchall() if cursor.description else []
            return rows, has(cells(rows), *shlex.split(fill(wanted))) if wanted else f"{len(rows)} rows"

        texts[name] = text
        check(name, lambda: answers.setdefault(name, ask())[1])
        if lacked:
            check(f"{name}.names", lambda: has(cells(answers[name][0]), *shlex.split(lacked)))
    return texts, {name: rows for name, (rows, _) in answers.items()}


# pg_type of PostgreSQL 15: name, oid, and oid of the array.
BASE = """bool 16 1000  bytea 17 1001  name 19 1003  int8 20 1016  int2 21 1005  int4 23 1007  text 25 1009  oid 26 1028  json 114 199
float4 700 1021  float8 701 1022  bpchar 1042 1014  varchar 1043 1015  date 1082 1182  time 1083 1183  timestamp 1114 1115  timestamptz 1184 1185
interval 1186 1187  numeric 1700 1231  uuid 2950 2951  jsonb 3802 3807"""
TYPES = [(name, int(oid), int(array)) for name, oid, array in re.findall(r"(\w+) (\d+) (\d+)", BASE)]


def npgsql(texts, answers):
    """What it makes of the answers: its types, each element before its array; all four in one message; and what Power BI's makes."""

    def base():
        got = {row[2]: row for row in answers["npgsql.types"]}
        for name, oid, array in TYPES:
            equal(("pg_catalog", oid, name, "b", False, None), got[name])
            equal(("pg_catalog", array, f"_{name}", "a", False, oid), got[f"_{name}"])
        return equal(("pg_catalog", 2249, "record", "p", False, None), got["record"])

    def order():
        seen = set()
        for _, oid, name, _, _, element in answers["npgsql.types"]:
            if element is not None and element not in seen:
                raise AssertionError(f"{name} before its element {element}")
            seen.add(oid)
        return f"{len(seen)} types"

    def old():
        got = {row[1]: row for row in answers["powerbi.types"]}
        for name, oid, array in TYPES:
            equal(("pg_catalog", name, oid, 0, 0, "b", 0, 0), got[name])
            equal(("pg_catalog", f"_{name}", array, 0, 0, "a", oid, 3), got[f"_{name}"])

    def batch():
        with connect() as c, c.cursor() as cursor:
            parts = [f"npgsql.{x}" for x in ("version", "types", "composites", "enums")]
            cursor.execute(";\n".join(texts[p] for p in parts) + ";")
            for at, part in enumerate(parts):
                if at:
                    cursor.nextset()
                equal(sorted(answers[part], key=str), sorted(cursor.fetchall(), key=str))
            return equal(None, cursor.nextset())

    def fields():
        composites = {row[1] for row in answers["npgsql.types"] if row[3] == "c"}
        return equal(composites, {row[0] for row in answers["npgsql.composites"]})

    check("npgsql.base-types", base)
    check("npgsql.order", order)
    check("npgsql.fields", fields)
    check("npgsql.batch", batch)
    check("powerbi.base-types", old)


def grafana():
    """Panels on the hours of toy.orders, in text and binary, through both protocols."""
    utc = datetime.timezone.utc
    begin, end = datetime.datetime(2024, 1, 9, 22, tzinfo=utc), datetime.datetime(2024, 1, 12, 5, 59, 59, 999000, tzinfo=utc)
    iso = lambda t: re.sub(r"\.?0*Z$", "Z", t.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    seconds = {"5m": 300, "1h": 3600, "6h": 21600, "1d": 86400}

    def macro(m):
        name, (column, interval, *_) = m[1], [*(a.strip(" '") for a in m[2].split(",")), None]
        group = lambda what: f"floor({what}/{seconds[interval]})*{seconds[interval]}"
        return {
            "time": lambda: f'{column} AS "time"',
            "timeEpoch": lambda: f'extract(epoch from {column}) as "time"',
            "timeFilter": lambda: f"{column} BETWEEN '{iso(begin)}' AND '{iso(end)}'",
            "timeFrom": lambda: f"'{iso(begin)}'",
            "timeTo": lambda: f"'{iso(end)}'",
            "timeGroup": lambda: group(f"extract(epoch from {column})"),
            "timeGroupAlias": lambda: group(f"extract(epoch from {column})") + ' AS "time"',
            "unixEpochFilter": lambda: f"{column} >= {int(begin.timestamp())} AND {column} <= {int(end.timestamp())}",
            "unixEpochNanoFilter": lambda: f"{column} >= {int(begin.timestamp()) * 10**9} AND {column} <= {int(end.timestamp() * 1000) * 10**6}",
            "unixEpochGroupAlias": lambda: group(f"({column})") + ' AS "time"',
        }[name]()

    start = datetime.datetime(2024, 1, 1, tzinfo=utc)
    # Of each order in the range: its instant, its amount and its state, as toy.sql makes them.
    orders = [(start + datetime.timedelta(hours=i), (i % 997) / 10, ("new", "sent", "done")[i % 3]) for i in range(9000)]
    orders = [(int(at.timestamp()), amount, status) for at, amount, status in orders if begin <= at <= end]

    def grouped(width, reduce, *by):
        groups = {}
        for at, amount, status in orders:
            groups.setdefault((at // width * width, *([status] if by else [])), []).append(amount)
        return [(*key, reduce(found)) for key, found in sorted(groups.items())]

    def panel(name, query, want):
        text = re.sub(r"\$__(\w+)\(([^)]*)\)", macro, query.replace("ORDERS", f"{schema}.orders"))

        def plain(cell):
            cell = cell.timestamp() if isinstance(cell, datetime.datetime) else cell
            return round(float(cell), 6) if isinstance(cell, (int, float, decimal.Decimal)) else cell

        def go(**how):
            with connect() as c:
                cursor = c.cursor(binary=how.pop("binary", False))
                cursor.execute(text, **how)
                if "time" in query:
                    equal("time", cursor.description[0].name)
                return len(equal([tuple(map(plain, row)) for row in want], [tuple(map(plain, row)) for row in cursor.fetchall()]))

        check(f"grafana.{name}", lambda: f"{go()} rows, {go(prepare=True)} prepared, {go(binary=True)} in binary")

    mean = lambda found: sum(found) / len(found)
    panel("time-group", "SELECT $__timeGroupAlias(ordered_at,'5m'), avg(amount) AS \"amount\" FROM ORDERS WHERE $__timeFilter(ordered_at) GROUP BY 1 ORDER BY 1", grouped(300, mean))
    panel("time-group-metric", "SELECT $__timeGroupAlias(ordered_at,'6h'), status AS metric, sum(amount) AS \"value\" FROM ORDERS WHERE $__timeFilter(ordered_at) GROUP BY 1, 2 ORDER BY 1, 2", grouped(21600, sum, "status"))
    panel("time-group-day", "SELECT $__timeGroupAlias(ordered_at,'1d'), max(amount) AS \"max\" FROM ORDERS WHERE $__timeFilter(ordered_at) GROUP BY time ORDER BY time", grouped(86400, max))
    panel("time-group-window", "SELECT $__timeGroupAlias(ordered_at,'6h'), sum(sum(amount)) OVER (ORDER BY $__timeGroup(ordered_at,'6h')) AS \"total\" FROM ORDERS WHERE $__timeFilter(ordered_at) GROUP BY 1 ORDER BY 1",
          [(at, sum(v for _, v in grouped(21600, sum)[: i + 1])) for i, (at, _) in enumerate(grouped(21600, sum))])  # fmt: skip
    panel("time", "SELECT $__time(ordered_at), amount FROM ORDERS WHERE $__timeFilter(ordered_at) ORDER BY ordered_at", [o[:2] for o in orders])
    panel("time-epoch", "SELECT $__timeEpoch(ordered_at), amount FROM ORDERS WHERE ordered_at >= $__timeFrom() AND ordered_at <= $__timeTo() ORDER BY 1", [o[:2] for o in orders])
    epoch = "(SELECT extract(epoch from ordered_at)::bigint AS at, amount FROM ORDERS) o"
    panel("unix-epoch", f"SELECT $__unixEpochGroupAlias(at,'6h'), sum(amount) AS \"value\" FROM {epoch} WHERE $__unixEpochFilter(at) GROUP BY 1 ORDER BY 1", grouped(21600, sum))
    nano = "(SELECT extract(epoch from ordered_at)::bigint * 1000000000 AS at, amount FROM ORDERS) o"
    panel("unix-epoch-nano", f"SELECT count(*) FROM {nano} WHERE $__unixEpochNanoFilter(at)", [(len(orders),)])
    panel("annotations", "SELECT extract(epoch from ordered_at) AS \"time\", status AS text, status AS tags FROM ORDERS WHERE $__timeFilter(ordered_at) ORDER BY ordered_at LIMIT 10", [(at, s, s) for at, _, s in orders[:10]])


check("connect", lambda: connect().close())
pgcli()
npgsql(*statements())
grafana()
# dbt's own way, BEGIN to COMMIT; `autocommit: true` of a profile, without them; and as it is told to be done.
dbt("transactions", False)
dbt("autocommit", True)
dbt("deploy", True)
check.finish()
