"""Plays the client of Arrow's Flight SQL integration scenarios: flight_scenarios.py HOST PORT [USER PASSWORD] [--schema SCHEMA] [--only RE] [--min N]

flight_sql, flight_sql:extension and flight_sql:ingestion (arrow-go, flight_integration/scenario.go; arrow, test_integration.cc). Only their own mock
server knows their texts and answers: here they are statements with a meaning. The schema has the tables of toy-tidewater.sql and is written to.
"""
import sys
import threading
import time

import pyarrow

from checks import Checks, equal, options
from flight_engine import Engine
from flight_metadata import Metadata
from flight_schemas import CANCEL, INGEST, INGEST_TRANSACTIONS, READ_ONLY, SUBSTRAIT, SUBSTRAIT_MAX, SUBSTRAIT_MIN, TRANSACTION
from flight_wire import CANCELLED, EXISTS, INVALID, NOT_FOUND, PRECONDITION, UNIMPLEMENTED, Refused, command, endpoint, field, packed, query, refused

host, port = sys.argv[1:3]
rest = sys.argv[3:]
users = rest[: next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))]
opt = options(rest[len(users) :])
check = Checks(only=opt.get("only"), least=opt.get("min"))
engine = Engine(host, port, **dict(zip(("user", "password"), users[:2])))
three, told = engine.three, engine.told
toy = opt.get("schema", "toy")

HOURS = "SELECT sum(sqrt(a.value * b.value)) AS v FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 30000) b"
UNSUPPORTED, UNKNOWN, UNFIT = [UNIMPLEMENTED, INVALID], [UNIMPLEMENTED, INVALID, NOT_FOUND], [INVALID, NOT_FOUND, EXISTS, PRECONDITION]


def every(name, cases, body):
    for case, arguments in cases.items():
        check(f"{name}.{case}", lambda arguments=arguments: body(*(arguments if isinstance(arguments, tuple) else (arguments,))))


metadata = check("connect", lambda: Metadata(engine, toy))
if metadata is None:
    check.finish()
for name, body in metadata.checks().items():
    check(name, body)

# Statements, prepared and not.
mark, update, prepare = f"{toy}.scenario_{int(time.time()) % 100000}", engine.update, engine.prepare
WRONG, IN_TRANSACTION = f"INSERT INTO {mark} VALUES (101, 'x')", field(2, b"no_such_transaction")


def counts():
    changes = [f"INSERT INTO {mark} VALUES (1, 'a'), (2, 'b'), (3, 'c')", f"UPDATE {mark} SET v = 'd' WHERE id > 1", f"DELETE FROM {mark} WHERE id = 9"]
    equal([3, 2, 0], [update(sql) for sql in changes])
    equal(False, told(READ_ONLY))
    changing = f"INSERT INTO {mark} SELECT CAST($1 AS INT), 'p'"
    equal([0, 1], [len(part) for part in prepare(changing)[1:]])
    equal([2, 1], [engine.prepared_update(changing, "4", "5"), engine.prepared_update(f"DELETE FROM {mark} WHERE id = 5")])
    equal([1, 2, 3, 4], sorted(engine.run(f"SELECT id FROM {mark}").column(0).to_pylist()))


def untouched(body):
    """Does what must not carry out its statement, and may be refused."""
    update(f"DELETE FROM {mark} WHERE id > 100")
    try:
        body()
    except Refused as e:
        equal((True, str(e)), (e.code in UNFIT, str(e)))
    equal(0, engine.run(f"SELECT * FROM {mark} WHERE id > 100").num_rows)


def bound():
    handle, found, expected = prepare(f"SELECT id, name FROM {toy}.customers WHERE id > ? AND name <> ? ORDER BY id")
    equal((["id", "name"], 2), (found.names, len(expected)))
    for least in (98, 96):
        handle = engine.bind(handle, a=[least], b=["customer 100"])
        equal(list(range(least + 1, 100)), engine.prepared(handle).column(0).to_pylist())
    return expected.types


def schema_of(value):
    handle = engine.bind(prepare("SELECT ? AS v")[0], v=[value])
    return equal(pyarrow.array([value]).type, engine.prepared(handle).schema.field(0).type)


def several():
    handle = engine.bind(prepare(f"SELECT id FROM {toy}.customers WHERE id = ?")[0], a=[1, 2])
    # The protocol says that all are executed, not that their rows come one after the other.
    equal([1, 2], sorted(engine.prepared(handle).column(0).to_pylist()))


def closed():
    handle, found, expected = prepare(f"SELECT * FROM {toy}.orders")
    equal((found, 0), (engine.prepared(handle).schema, len(expected)))
    equal(b"", engine.act("ClosePreparedStatement", field(1, handle)))


def one(handle):
    return command("CommandPreparedStatementQuery", field(1, handle))


check("update.create-table", lambda: update(f"CREATE TABLE {mark} (id INT, v TEXT)"))
STATEMENTS = {
    "constants": "SELECT 1 AS a, NULL AS b, 'x' AS c, DATE '2024-01-01' AS d",
    "aggregate": f"SELECT mood, count(*) AS n, max(id) AS m FROM {toy}.customers GROUP BY mood",
    "join": f"SELECT c.name, o.* FROM {toy}.customers c LEFT JOIN {toy}.orders o ON o.customer_id = c.id AND o.id < 0",
    "no-rows": f"SELECT * FROM {toy}.orders WHERE false",
}
every("statement", STATEMENTS, lambda sql: f"{three(query(sql)).num_rows} rows")
every("prepared", STATEMENTS, lambda sql: f"{engine.prepared(prepare(sql)[0]).num_rows} rows")
check("prepared.closed", closed)
check("prepared.bound", bound)
every("prepared.schema-of", {type(value).__name__: value for value in (7, "seven", 7.5, True)}, schema_of)
check("prepared.several-rows", several)
check("prepared.no-handle", lambda: refused(UNFIT, lambda: engine.get("GetFlightInfo", one("no such handle"))))
check("update.record-counts", counts)
check("update.of-a-query", lambda: refused(UNFIT, lambda: update("SELECT 1")))
check("update.syntax", lambda: refused(UNFIT, lambda: update("INSER INTO nothing")))
check("update.all-or-nothing", lambda: untouched(lambda: engine.prepared_update(f"INSERT INTO {mark} SELECT CAST($1 AS INT), 'w'", "101", "no number")))
check("get-schema.runs-nothing", lambda: untouched(lambda: engine.get("GetSchema", query(WRONG))))
check("get-schema.runs-nothing-prepared", lambda: untouched(lambda: engine.get("GetSchema", one(prepare(WRONG)[0]))))

# Extensions: what the server says it has not, it refuses as such.
PLAN, SELECT_IN_TRANSACTION = field(1, field(1, "plan") + field(2, "version")), command("CommandStatementQuery", field(1, "SELECT 1") + IN_TRANSACTION)
TRANSACTIONS = {
    "begin": ("BeginTransaction",),
    "commit": ("EndTransaction", field(1, "id") + field(2, 1)),
    "roll-back": ("EndTransaction", field(1, "id") + field(2, 2)),
    "begin-savepoint": ("BeginSavepoint", field(1, "id") + field(2, "name")),
    "release-savepoint": ("EndSavepoint", field(1, "id") + field(2, 1)),
    "roll-back-savepoint": ("EndSavepoint", field(1, "id") + field(2, 2)),
}
IN_NONE = {
    "query": lambda: engine.get("GetFlightInfo", SELECT_IN_TRANSACTION),
    "get-schema": lambda: engine.get("GetSchema", SELECT_IN_TRANSACTION),
    "prepare": lambda: prepare("SELECT 1", IN_TRANSACTION),
    "update": lambda: update(f"DELETE FROM {mark} WHERE false", IN_TRANSACTION),
}
SUBSTRAITS = {
    "query": lambda: engine.get("GetFlightInfo", command("CommandStatementSubstraitPlan", PLAN)),
    "get-schema": lambda: engine.get("GetSchema", command("CommandStatementSubstraitPlan", PLAN)),
    "update": lambda: engine.put("CommandStatementSubstraitPlan", PLAN),
    "prepare": lambda: engine.act("CreatePreparedSubstraitPlan", PLAN),
}
every("transaction", TRANSACTIONS, lambda *call: equal(0, told(TRANSACTION)) or refused(UNSUPPORTED, lambda: engine.act(*call)))
every("transaction.unknown", IN_NONE, lambda call: refused(UNKNOWN, call))
every("substrait", SUBSTRAITS, lambda call: equal(False, told(SUBSTRAIT)) or refused(UNSUPPORTED, call))
check("substrait.no-versions", lambda: equal({None}, {value for _, value in engine.info(SUBSTRAIT_MIN, SUBSTRAIT_MAX).values()} or {None}))


def polled(cancel):
    client = engine.connect()
    info, again, _ = client.poll(query(HOURS))
    equal((True, 1), (told(CANCEL), cancel(info)))
    refused([CANCELLED], lambda: client.poll(again))
    return info


def fetched(cancel):
    info, ends = engine.get("GetFlightInfo", query(HOURS)), []
    fetching = threading.Thread(target=lambda: ends.append(refused([CANCELLED], lambda: engine.get("DoGet", field(1, endpoint(info)[1])))), daemon=True)
    fetching.start()
    time.sleep(1)
    equal(1, cancel(info))
    fetching.join(20)
    return equal(1, len(ends)) and ends[0]


def again(cancel):
    """Idempotent: what was cancelled is, or is not known any more."""
    info = polled(cancel)
    try:
        equal(1, cancel(info))
    except Refused as e:
        equal((True, str(e)), (e.code in (CANCELLED, NOT_FOUND), str(e)))


NOT_OURS = field(3, field(1, field(1, packed("TicketStatementQuery", field(1, "x" * 80)))))
for name, cancel in {"flight-info": engine.cancel_flight_info, "query": engine.cancel_query}.items():
    check(f"cancel-{name}.polled", lambda cancel=cancel: polled(cancel) and "ended")
    check(f"cancel-{name}.fetched", lambda cancel=cancel: fetched(cancel))
    check(f"cancel-{name}.not-fetched-yet", lambda cancel=cancel: equal(1, cancel(engine.get("GetFlightInfo", query(HOURS)))))
    check(f"cancel-{name}.again", lambda cancel=cancel: again(cancel))
    check(f"cancel-{name}.not-known", lambda cancel=cancel: refused([NOT_FOUND], lambda: cancel(NOT_OURS)))

# Ingestion.
THREE = pyarrow.table({"test_field": pyarrow.nulls(3, pyarrow.int64())})
CREATE, FAIL_MISSING, FAIL, APPEND, REPLACE = 1, 2, 1, 2, 3


made = [mark]


def ingest(name, missing, exists, *more, table=THREE):
    made.append(f"{mark}_{name}")
    choice = field(1, field(1, missing) + field(2, exists)) if missing is not None else b""
    return engine.put("CommandStatementIngest", b"".join([choice, field(2, f"{mark}_{name}".split(".")[1]), field(3, toy), *more]), table)


def content(name):
    return engine.run(f"SELECT * FROM {mark}_{name}").replace_schema_metadata()


def created():
    equal(3, ingest("new", CREATE, FAIL, field(4, metadata.catalog), field(1000, field(1, "key1") + field(2, "val1"))))
    equal((THREE, True), (content("new"), told(INGEST)))


def taken(name, missing, exists, sent, have):
    table = pyarrow.table({"test_field" if exists == APPEND else "other_field": pyarrow.array(range(sent), pyarrow.int64())})
    equal((sent, have, table.schema), (ingest(name, missing, exists, table=table), content(name).num_rows, content(name).schema))


def kept(*call):
    """Refused, and the table is as it was."""
    said = refused([*UNFIT, UNIMPLEMENTED], lambda: ingest("new", *call))
    return equal(THREE, content("new")) and said


check("ingest.created", created)
KEPT = {
    "existing": (CREATE, FAIL),
    "existing-both-fail": (FAIL_MISSING, FAIL),
    "in-a-transaction": (CREATE, APPEND, field(6, b"123")),
    "unknown-catalog": (CREATE, APPEND, field(4, "no_such_catalog")),
    "no-options": (None, None),
    "missing-not-said": (0, APPEND),
    "missing-out-of-range": (9, APPEND),
}
NOT_THERE = {
    "missing-append": ("append", FAIL_MISSING, APPEND),
    "missing-replace": ("replace", FAIL_MISSING, REPLACE),
    "missing-fail": ("fail", FAIL_MISSING, FAIL),
    "exists-not-said": ("unsaid", CREATE, 0),
    "exists-out-of-range": ("beyond", CREATE, 9),
    "temporary": ("temporary", CREATE, REPLACE, field(5, 1)),
}
TAKEN = {
    "create-append-missing": ("second", CREATE, APPEND, 2, 2),
    "create-append": ("second", CREATE, APPEND, 3, 5),
    "fail-append": ("second", FAIL_MISSING, APPEND, 1, 6),
    "create-replace": ("second", CREATE, REPLACE, 4, 4),
    "fail-replace": ("second", FAIL_MISSING, REPLACE, 5, 5),
    "create-replace-missing": ("third", CREATE, REPLACE, 0, 0),
}
every("ingest.refused", KEPT, kept)
every("ingest.refused", NOT_THERE, lambda *call: refused([*UNFIT, UNIMPLEMENTED], lambda: ingest(*call)))
every("ingest", TAKEN, taken)
check("ingest.batches", lambda: equal(200_000, ingest("batches", CREATE, FAIL, table=pyarrow.concat_tables([pyarrow.table({"v": pyarrow.array(range(1000))})] * 200))))
check("ingest.transactions", lambda: equal(False, told(INGEST_TRANSACTIONS)))
check("cleared", lambda: [engine.run(f"DROP TABLE IF EXISTS {name}") for name in made] and None)
check.finish()
