"""What dashboards wait for: the statements of deploy/metabase over many patients, while the demo streams in.

dashboards.py TIDEWATER --duckdb PYTHON --out FILE [--patients N] [--seconds N] [--rate N] [--trino]

The tables are the demo's gold tables; patient_360 is made as long as asked by repeating its rows under other ids. Times are
those of a client: from handing a statement to the driver until its last row is there. The users are those of pgbench, and of Arrow's
client in C++ for Flight SQL: both need little of the processor, which clients share with the server here. `SELECT 1` is prepared once
and asked by ADBC's driver for Flight SQL, first of a process that does nothing else (`idle`). `cold` is the first time of each
statement in the process, of tables that were just made and that nothing has read, each front its own; `warm` without kept results,
`cached` with them. Users ask again as soon as they have an answer, which no
person does: as many as keep both cores busy, clients among them. Those that are `paced` ask four times a second, as one whose
dashboard of 19 charts comes anew every five seconds, and wait from when a statement is due. `floor` is the same client's load on a
server that looks nothing up and sends what tidewater sent (floor.py), beside the same demo: what the client and its protocol take of
the processor, and make all wait for, whatever answers. DuckDB reads the same Parquet files with
as many threads, one user, in its own process; Trino reads the same tables by the catalog, as one user too. What either of them does
not read, or answers otherwise, does not count, and stands in the notes. A run without Trino keeps the figures that there are of it,
and says of each of which run it is.
Nothing is asserted: goals that are missed are told.
"""
import argparse, glob, json, os, re, subprocess, time
import adbc_driver_flightsql.dbapi as dbapi
import pyarrow
from arrow_client import Session
from compare import differ
from floor import Floor, of_flight, of_postgres
from lake import Lake, Report, computed, percentile
from sql_engines import Trino
from users import pgbench, users

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--duckdb", required=True)
arguments.add_argument("--out", required=True)
arguments.add_argument("--patients", type=int, default=1_000_000)
arguments.add_argument("--seconds", type=int, default=10)
arguments.add_argument("--rate", type=int, default=500)
arguments.add_argument("--trino", action="store_true")
given = arguments.parse_args()
# Statements a second of a user who reads what there is.
PACE = 4
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
report = Report("dashboards", patients=given.patients, events_per_second=given.rate)
told = report.told


def statements():
    found = {}
    for path in sorted(glob.glob(f"{root}/deploy/metabase/*/*.sql")):
        sql = re.sub(r"\[\[.*?\]\]", "", open(path).read()).strip().rstrip(";")
        if "{{" not in sql:
            found[f"{os.path.basename(os.path.dirname(path))}.{os.path.basename(path)[:-4]}"] = sql.replace("gold.", "big.")
    return found


def postgres(count, texts, cached, rate=None, server=None):
    return pgbench(count, (server or lake).dsn, texts, given.seconds, settings(cached), rate)


def settings(cached):
    return f"-c tidewater.cache={'on' if cached else 'off'}"


def flight(count, texts, cached, rate=None, server=None):
    def ask():
        session = Session((server or lake).flight(), {} if cached else {"tidewater.cache": "off"})
        return lambda at: session.ask(texts[at % len(texts)])
    return users(count, ask, given.seconds, rate=rate)


def floor(kind):
    """A server that sends what tidewater keeps for the statements, and looks nothing up."""
    if kind == "flight":
        return Floor(kind, of_flight(lake.flight(), order, lake.folder))
    return Floor(kind, of_postgres(lake.ports["postgres"], order, settings(True)))


def load(label, ask, count, cached, rate, goals=(None, None), server=None):
    """Tells what so many users waited for, and whose work it was; the wait that 95 % of them did not exceed."""
    process = (server or lake).process.pid
    before = computed(process), clients_cpu()
    waits = ask(count, order, cached, rate, server)
    used = computed(process) - before[0], clients_cpu() - before[1]
    p95 = percentile(waits, 0.95)
    told(f"{label}.p50", percentile(waits, 0.5), "ms")
    told(f"{label}.p95", p95, "ms", goals[0])
    told(f"{label}.max", max(waits), "ms", goals[1])
    told(f"{label}.rate", len(waits) / given.seconds, "statements/s")
    if not rate:
        whose = "the server that only sends" if server else "tidewater, which streams the demo in meanwhile"
        told(f"{label}.processor", used[0] * 1000 / len(waits), f"ms a statement in {whose}")
        told(f"{label}.processor.clients", used[1] * 1000 / len(waits), "ms a statement in the clients")
    return p95


def clients_cpu():
    """Seconds that clients have computed: Arrow's within this process, pgbench in others."""
    return sum(os.times()[:4])


def adbc(texts):
    def ask():
        cursor = dbapi.connect(lake.flight(), db_kwargs={"adbc.flight.sql.rpc.call_header.tidewater.cache": "off"}, autocommit=True).cursor()

        def one(at):
            cursor.execute(texts[at % len(texts)])
            return cursor.fetch_arrow_table()
        return one
    return ask


def select_1(label):
    """What a statement costs that reads nothing."""
    told(f"postgres.{label}.p95", percentile(postgres(1, ["SELECT 1"], False), 0.95), "ms", 3)
    told(f"flight.{label}.p95", percentile(users(1, adbc(["SELECT 1"]), given.seconds), 0.95), "ms", 8)


def cold(texts, schema, one):
    """The longest wait for statements that were not asked before, in ms."""
    waits = []
    for sql in texts.values():
        begun = time.perf_counter()
        one(sql.replace("big.", f"{schema}."))
        waits.append((time.perf_counter() - begun) * 1000)
    return max(waits)


def warm(texts, one):
    """The median wait of each statement, in ms, and what was refused."""
    waits, refused = {}, {}
    for name, sql in texts.items():
        try:
            found = []
            for _ in range(12):
                begun = time.perf_counter()
                one(sql)
                found.append((time.perf_counter() - begun) * 1000)
            waits[name] = sorted(found[2:])[5]
        except RuntimeError as error:
            refused[name] = str(error)[:150]
    return waits, refused


def beside(peer, own, theirs, refused, answer, goal, least):
    """Notes the statements that the peer does not read or answers otherwise; tells the others, and how long one takes in the time of the other."""
    ask = adbc(order)()
    for name in list(theirs):
        different, _ = differ(texts[name], answer(name), ask(order.index(texts[name])))
        if different:
            refused[name] = f"another answer: {different}"
            del theirs[name]
    for name, why in refused.items():
        report.note(f"{name} is not measured beside {peer}: {why[:200]}")
    both = [name for name in own if name in theirs]
    for name in both:
        print(f"  {name}: {own[name]:.1f} ms, {peer} {theirs[name]:.1f} ms")
    told(f"{peer.lower()}.statements", len(both), f"of {len(own)} that {peer} reads as they are")
    ours, others = sum(own[name] for name in both), sum(theirs[name] for name in both)
    if least:
        told(f"{peer.lower()}.ratio", others / ours, f"times as fast as {peer}, all statements once", goal, least=True)
    else:
        told(f"{peer.lower()}.ratio", ours / others, f"of {peer}'s time, all statements once", goal)


DUCKDB = """
import duckdb, json, pyarrow, sys, time
given = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute(f"SET threads = {given['threads']}")
connection.execute("CREATE SCHEMA big")
for table, files in given["tables"].items():
    connection.execute(f"CREATE VIEW big.{table} AS SELECT * FROM read_parquet({files!r})")
waits, refused = {}, {}
for name, sql in given["statements"].items():
    try:
        best = []
        for _ in range(12):
            begun = time.perf_counter()
            connection.execute(sql).fetchall()
            best.append((time.perf_counter() - begun) * 1000)
        answer = connection.execute(sql).to_arrow_table()
        waits[name] = sorted(best[2:])[5]
    except Exception as error:
        refused[name] = " ".join(str(error).split())[:150]
        continue
    with pyarrow.ipc.new_file(f"{given['answers']}/{name}.arrow", answer.schema) as file:
        file.write_table(answer)
json.dump([waits, refused], sys.stdout)
"""


def duckdb(tables):
    """The median wait of each statement, in ms, what was refused, and what gives the answer to a statement."""
    asked = json.dumps({"threads": os.cpu_count(), "tables": tables, "statements": texts, "answers": lake.folder})
    said = subprocess.run([given.duckdb, "-c", DUCKDB], input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    return *json.loads(said), lambda name: pyarrow.ipc.open_file(f"{lake.folder}/{name}.arrow").read_all()


with Lake(given.tidewater) as lake:
    select_1("select_1.idle")
with Lake(given.tidewater, "--demo", "--events-per-second", str(given.rate)) as lake:
    texts = statements()
    needed = sorted({table for sql in texts.values() for table in re.findall(r"big\.(\w+)", sql)})

    def filled():
        with lake.connect() as connection:
            return all(connection.execute(f"SELECT count(*) FROM gold.{table}").fetchone()[0] for table in needed)

    lake.wait(600, "the gold tables did not fill", filled)
    tables = {}
    with lake.connect() as connection:
        connection.execute("CREATE SCHEMA big")
        for table in needed:
            rows = connection.execute(f"SELECT count(*) FROM gold.{table}").fetchone()[0]
            sql = f"SELECT * FROM gold.{table}"
            if table == "patient_360":
                columns = [name for (name,) in connection.execute("SELECT column_name FROM information_schema.columns WHERE table_schema = 'gold' AND table_name = 'patient_360' ORDER BY ordinal_position").fetchall()]
                chosen = ", ".join("p.patient_id || '-' || n AS patient_id" if name == "patient_id" else f"p.{name}" for name in columns)
                sql = f"SELECT {chosen} FROM gold.patient_360 p JOIN generate_series(1, {-(-given.patients // rows)}) s(n) ON length(p.patient_id) + n > 0"
            connection.execute(f"CREATE TABLE big.{table} AS {sql}")
            tables[table] = [path.removeprefix("file://") for (path,) in connection.execute(f'SELECT file_path FROM big."{table}$files"').fetchall()]
            told(f"rows.{table}", connection.execute(f"SELECT count(*) FROM big.{table}").fetchone()[0], "rows")
    with lake.connect() as connection:
        connection.execute("SET tidewater.cache = off")
        told("postgres.cold.max", cold(texts, "big", lambda sql: connection.execute(sql).fetchall()), "ms", 3000)
        connection.execute("CREATE SCHEMA unread")
        for table in needed:
            connection.execute(f"CREATE TABLE unread.{table} AS SELECT * FROM big.{table}")
        session = Session(lake.flight(), {"tidewater.cache": "off"})
        told("flight.cold.max", cold(texts, "unread", session.ask), "ms", 3000)
        for table in needed:
            connection.execute(f"DROP TABLE unread.{table}")
    order = list(texts.values())
    for kind, ask in (("postgres", postgres), ("flight", flight)):
        users_are = ((1, None), (8, None), (32, None), (32, PACE))
        for count, rate in users_are:
            load(f"{kind}.warm.{count}_users{'_paced' if rate else ''}", ask, count, False, rate, (500, 3000))
        # Each beside its floor at once: the demo grows, and a machine is not always the same.
        with floor(kind) as server:
            for count, rate in users_are:
                label = f"{count}_users{'_paced' if rate else ''}"
                p95 = load(f"{kind}.cached.{label}", ask, count, True, rate, (10, 3000))
                least = load(f"{kind}.floor.{label}", ask, count, True, rate, server=server)
                told(f"{kind}.cached.{label}.p95_of_floor", p95 / least, "times the p95 of a server that only sends the same")
        # The demo's own tables and views, which change while they are asked: kept results are good until then.
        waits = ask(32, [sql.replace("big.", "gold.") for sql in order], True, PACE)
        for part in (0.5, 0.95):
            told(f"{kind}.gold.32_users_paced.p{part * 100:.0f}", percentile(waits, part), "ms", 500)
        told(f"{kind}.gold.32_users_paced.max", max(waits), "ms", 3000)
    select_1("select_1")
    with lake.connect() as connection:
        connection.execute("SET tidewater.cache = off")
        own, _ = warm(texts, lambda sql: connection.execute(sql).fetchall())
    beside("DuckDB", own, *duckdb(tables), 1.0, False)
    if given.trino:
        with Trino(lake.catalog()) as trino:
            beside("Trino", own, *warm(texts, trino.client.rows), lambda name: trino.run(texts[name]), 10.0, True)
    else:
        report.keep(given.out, "Trino")
report.write(given.out)
