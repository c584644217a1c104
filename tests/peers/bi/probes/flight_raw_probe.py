"""Probes what no driver asks a Flight SQL endpoint for: flight_raw_probe.py HOST PORT [USER PASSWORD OTHER PASSWORD] [--write SCHEMA] [--only RE] [--min N]

Polls, their rows and their end, sessions by cookie, and that nobody has anything of another's. The other user must be able to log in.
"""
import sys
import time

import pyarrow.flight

from checks import Checks, Skip, equal, options
from flight_wire import CANCELLED, DENIED, EXHAUSTED, INVALID, NOT_FOUND, OUT_OF_RANGE, UNAUTHENTICATED, Client, endpoint, field, fields, query, refused

host, port = sys.argv[1:3]
rest = sys.argv[3:]
users = rest[: next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))]
opt = options(rest[len(users) :])
check = Checks(only=opt.get("only"), least=opt.get("min"))
own = dict(zip(("user", "password"), users[:2]))
other = dict(zip(("user", "password"), users[2:4]))

ROWS = "SELECT value AS v FROM generate_series(1, 100000) ORDER BY value DESC"
SLOW = "SELECT sum(sqrt(a.value * b.value)) AS v FROM generate_series(1, {}) a CROSS JOIN generate_series(1, 30000) b"
HOURS = SLOW.format(10_000_000)
LOOKS_MAX = 120  # polls, each of which waits a second


def connect(**who):
    return Client(host, port, **(who or own))


def held_until(of):
    """The end of an endpoint, in seconds."""
    return fields(fields(of)[3][0])[1][0]


def polled(client, sql):
    """To its end: the info, until when its rows are held, and how many polls it took."""
    descriptor = query(sql)
    for count in range(1, LOOKS_MAX):
        info, descriptor, until = client.poll(descriptor)
        # There is nothing to poll with any more, whose time could end (Arrow's scenario poll_flight_info).
        equal(descriptor is None, until is None)
        if descriptor is None:
            return info, held_until(endpoint(info)[0]), count
    raise AssertionError("it does not end")


def fetched(ticket, client, cookie=None):
    headers = [(name.encode(), value.encode()) for name, value in client.headers]
    flight = pyarrow.flight.FlightClient(f"grpc://{host}:{port}")
    return flight.do_get(pyarrow.flight.Ticket(ticket), pyarrow.flight.FlightCallOptions(headers=headers)).read_all()


if check("connect", lambda: connect().close() or "open") is None:
    check.finish()


def outside(method, message):
    client = Client(host, port)
    return refused([UNAUTHENTICATED], lambda: client.call(method, message))


if own:
    for name, method, message in [
        ("poll", "PollFlightInfo", query("SELECT 1")),
        ("list-actions", "ListActions", b""),
        ("renew", "DoAction", field(1, "RenewFlightEndpoint")),
        ("session", "DoAction", field(1, "GetSessionOptions")),
        # Refused before it is read, or it would be too long.
        ("message-of-20-mb", "GetFlightInfo", query("x" * 20_000_000)),
    ]:
        check(f"auth.{name}", lambda method=method, message=message: outside(method, message))


class Older(pyarrow.flight.ClientAuthHandler):
    """How clients logged in before there were headers for it: a message, and the token that is its answer with each call."""

    def __init__(self, user, password):
        super().__init__()
        self.basic, self.token = pyarrow.flight.BasicAuth(user, password), b""

    def authenticate(self, outgoing, incoming):
        outgoing.write(self.basic.serialize())
        self.token = incoming.read()

    def get_token(self):
        return self.token


def by_message():
    client = pyarrow.flight.FlightClient(f"grpc://{host}:{port}")
    client.authenticate(Older(own["user"], own["password"]))
    listed = len(list(client.list_actions()))
    equal(8, listed)
    wrong = [(own["user"], "not the password"), ("nobody-of-this-name", own["password"])]
    bodies = [field(2, field(2, user) + field(3, password)) for user, password in wrong]
    said = [refused([UNAUTHENTICATED], lambda body=body: Client(host, port).call("Handshake", body)) for body in bodies]
    # Neither tells which of the two was wrong.
    return equal(said[0], said[1])


if own:
    check("auth.by-message", by_message)


def at_once():
    client = connect()
    info, until, count = polled(client, "SELECT 1 AS v")
    equal({"v": [1]}, fetched(endpoint(info)[1], client).to_pydict())
    left = until - time.time()
    if not 0 < left <= 660:
        raise AssertionError(f"held for {left:.0f} s")
    return f"{count} polls, held for {left:.0f} s"


check("poll.at-once", at_once)


def many_rows():
    client = connect()
    info, _, _ = polled(client, ROWS)
    ticket = endpoint(info)[1]
    equal(100000, fields(info)[4][0])
    for _ in range(3):
        table = fetched(ticket, client)
        equal((100000, 100000, 1), (table.num_rows, table.column(0)[0].as_py(), table.column(0)[-1].as_py()))
    return "three times the same rows"


check("poll.rows-as-often-as-wanted", many_rows)


def long():
    """Work enough for some polls, whatever the machine."""
    client, size = connect(), 1_000
    while size < 10_000_000:
        begun = time.time()
        info, _, count = polled(client, SLOW.format(size))
        if count > 2:
            equal(1, fetched(endpoint(info)[1], client).num_rows)
            return f"{count} polls in {time.time() - begun:.1f} s"
        size *= 4
    raise AssertionError("it never took a second poll")


check("poll.while-it-runs", long)
for kind, sql in {"syntax": "SELEC 1", "column": "SELECT no_such_column", "runtime": "SELECT CAST(v AS INT) FROM (VALUES ('12'), ('abc')) AS t(v)"}.items():
    check(f"poll.error-{kind}", lambda sql=sql: refused([INVALID, NOT_FOUND], lambda: polled(connect(), sql)))


def cancelled():
    client = connect()
    info, again, _ = client.poll(query(HOURS))
    equal(1, fields(client.act("CancelFlightInfo", field(1, info)))[1][0])
    return refused([CANCELLED], lambda: client.poll(again))


check("poll.cancelled", cancelled)


def let_go():
    client = connect()
    info, _, _ = polled(client, "SELECT 2 AS v")
    equal(1, fields(client.act("CancelFlightInfo", field(1, info)))[1][0])
    try:
        fetched(endpoint(info)[1], client)
    except pyarrow.lib.ArrowKeyError as e:
        return str(e)[:100]
    raise AssertionError("its rows are there")


check("poll.rows-are-let-go", let_go)


def renewed():
    client = connect()
    info, before, _ = polled(client, "SELECT 3 AS v")
    time.sleep(1.1)
    again = client.act("RenewFlightEndpoint", field(1, endpoint(info)[0]))
    until = held_until(again)
    if not before < until <= time.time() + 660:
        raise AssertionError(f"from {before} to {until}")
    return f"{until - before} s longer"


check("renew.held-rows", renewed)


def plain():
    client = connect()
    first = endpoint(client.info("SELECT 4 AS v"))[0]
    equal(None, fields(first).get(3))
    again = client.act("RenewFlightEndpoint", field(1, first))
    left = held_until(again) - time.time()
    if not 86_000 < left <= 86_460:
        raise AssertionError(f"good for {left:.0f} s")
    for one in (first, again):
        equal([4], fetched(fields(fields(one)[1][0])[1][0], client).column(0).to_pylist())
    return f"good for {left:.0f} s"


check("renew.ticket", plain)
check("renew.no-endpoint", lambda: refused([INVALID], lambda: connect().act("RenewFlightEndpoint")))
check("renew.not-ours", lambda: refused([INVALID, NOT_FOUND], lambda: connect().act("RenewFlightEndpoint", field(1, field(1, field(1, "x" * 80))))))


def damaged():
    client = connect()
    _, again, _ = client.poll(query(HOURS))
    said = refused([INVALID], lambda: client.poll(again[:-1] + bytes([again[-1] ^ 1])))
    client.act("CancelFlightInfo", field(1, field(2, again)))
    return said


check("poll.damaged-descriptor", damaged)


def of_another():
    if not other:
        raise Skip("no other user")
    client, stranger = connect(), connect(**other)
    info, again, _ = client.poll(query(HOURS))
    refused([NOT_FOUND], lambda: stranger.poll(again))
    equal(3, fields(stranger.act("CancelFlightInfo", field(1, info)))[1][0])
    whole, _, _ = polled(client, "SELECT 5 AS v")
    first, ticket = endpoint(whole)
    try:
        fetched(ticket, stranger)
        raise AssertionError("another's rows")
    except pyarrow.lib.ArrowKeyError:
        pass
    refused([NOT_FOUND], lambda: stranger.act("RenewFlightEndpoint", field(1, first)))
    equal(3, fields(stranger.act("CancelFlightInfo", field(1, whole)))[1][0])
    equal([5], fetched(ticket, client).column(0).to_pylist())
    client.poll(again)
    equal(1, fields(client.act("CancelFlightInfo", field(1, info)))[1][0])
    return "neither polled, fetched, renewed nor cancelled"


check("poll.of-another", of_another)


def ticket_of_another():
    if not other:
        raise Skip("no other user")
    client, stranger = connect(), connect(**other)
    info = client.info("SELECT 6 AS v")
    first, ticket = endpoint(info)
    try:
        fetched(ticket, stranger)
        raise AssertionError("another's ticket")
    except pyarrow.flight.FlightUnauthorizedError as e:
        said = str(e)
    if "SQL-0038" not in said or "SELECT" in said:
        raise AssertionError(said)
    refused([DENIED], lambda: stranger.act("RenewFlightEndpoint", field(1, first)))
    equal(3, fields(stranger.act("CancelFlightInfo", field(1, info)))[1][0])
    equal([6], fetched(ticket, client).column(0).to_pylist())
    return "neither fetched, renewed nor cancelled"


check("ticket.of-another", ticket_of_another)


def actions():
    got = sorted(fields(one)[1][0].decode() for one in connect().call("ListActions"))
    return equal(8, len(got)) and ", ".join(got)


check("actions.listed", actions)


def settings(client):
    got = fields(client.act("GetSessionOptions")).get(1, [])
    pairs = [fields(one) for one in got]
    return {pair[1][0].decode(): fields(pair[2][0]) for pair in pairs}


def setting(client, name, value):
    body = field(1, field(1, name) + field(2, field(1, value)))
    errors = [fields(one) for one in fields(client.act("SetSessionOptions", body)).get(1, [])]
    return {one[1][0].decode(): fields(one[2][0])[1][0] for one in errors}


def session():
    client = connect()
    settings(client)
    equal(None, client.cookie)
    equal({}, setting(client, "tidewater.execution", "local"))
    equal({}, setting(client, "statement_timeout", "700ms"))
    equal({"colour": 1}, setting(client, "colour", "red"))
    equal({"schema": 2}, setting(client, "schema", "no_such_schema"))
    equal(b"local", settings(client)["tidewater.execution"][1][0])
    said = refused([4, CANCELLED, EXHAUSTED], lambda: polled(client, HOURS))
    kept = client.cookie
    client.act("CloseSession")
    equal(None, client.cookie)
    client.cookie = kept[:-1] + ("A" if kept[-1] != "A" else "Q") + "x"
    equal(b"auto", settings(client)["tidewater.execution"][1][0])
    return said


check("session.kept-by-the-client", session)


def session_of_another():
    if not other:
        raise Skip("no other user")
    client, stranger = connect(), connect(**other)
    setting(client, "tidewater.cache", "off")
    stranger.cookie = client.cookie
    equal(b"off", settings(client)["tidewater.cache"][1][0])
    equal(b"on", settings(stranger)["tidewater.cache"][1][0])
    return "it sets nothing"


check("session.cookie-of-another", session_of_another)


def too_long():
    client = connect()
    said = refused([OUT_OF_RANGE, EXHAUSTED], lambda: client.info("x" * 17_000_000))
    refused([OUT_OF_RANGE, EXHAUSTED], lambda: client.call("DoPut", raw=b"\0" + (200 << 20).to_bytes(4, "big") + b"x" * 1000))
    client.info("SELECT 1")
    return said


check("message.too-long", too_long)

if "write" in opt:
    table = f"{opt['write']}.raw_probe_{int(time.time()) % 100000}"

    def once():
        client = connect()
        polled(client, f"CREATE TABLE {table} (id INT)")
        info, _, _ = polled(client, f"INSERT INTO {table} VALUES (1), (2)")
        ticket = endpoint(info)[1]
        equal(fetched(ticket, client).to_pydict(), fetched(ticket, client).to_pydict())
        info, _, _ = polled(client, f"SELECT count(*) AS n FROM {table}")
        equal([2], fetched(endpoint(info)[1], client).column(0).to_pylist())
        polled(client, f"DROP TABLE {table}")
        return "two rows"

    check("write.polled-once", once)

check.finish()
