"""Ten times the clients that a process can serve: what it still gets done, what it refuses, and how soon it is itself again.

overload.py TIDEWATER --out FILE [--seconds N] [--idle N] [--rows N]

One statement over a table of two million rows, asked without kept results. First by 1, 2, 4, 8 and 16 clients at a time: the most
that are answered in a second is the peak. Then by ten times as many clients as reached it, through the PostgreSQL wire and through
Flight SQL: those that are refused wait as they are told, or 100 ms, and ask again. Then, beside five thousand connections that say
nothing and beside readers that do not read, one client asks on. Nothing is asserted: goals that are missed are told.

An answer counts in the time in which it is whole; a wait holds the refusals before it. A refusal that has none of the codes that
tell a client to come back is `uncoded`, and stands in the notes as it was told. Idle and unread are one after the other, and asked
through the PostgreSQL wire.
"""
import argparse, collections, concurrent.futures, os, re, resource, select, socket, struct, time
import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import psycopg
import pyarrow
from lake import Lake, Report, percentile

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--seconds", type=int, default=20)
arguments.add_argument("--idle", type=int, default=5_000)
arguments.add_argument("--rows", type=int, default=2_000_000)
given = arguments.parse_args()
MEMORY_BYTES = 1 << 30
report = Report("overload", rows=given.rows, seconds=given.seconds, engine_memory_bytes=MEMORY_BYTES)
told = report.told
PARTS = 100
TEXT = f"SELECT k % {PARTS} AS part, count(*), sum(v), max(v) FROM load.t GROUP BY 1 ORDER BY 1"
WIDE = "SELECT a.k, a.v, repeat('x', 200) AS text FROM load.t a"
RETRIABLE = ("53300", "53400", "57P03", "UNAVAILABLE", "RESOURCE_EXHAUSTED")
REFUSALS = (psycopg.Error, adbc_driver_manager.Error, pyarrow.ArrowException, OSError)
AGAIN = re.compile(r"(?:again|retry)[ -](?:in|after):? ?(\d+(?:\.\d+)?) ?(ms|s)\b", re.I)
UNTOLD_PAUSE = 0.1
READERS = 16
# Asked before the time that counts, so that answers which it cuts off at its end are made up for by those at its beginning.
LEAD = given.seconds / 4
# Longer than a statement may wait for its turn (admission.interactive.wait_max_s), or nothing would be told of what takes long.
DEADLINE = 120
# What is not itself again by then is told with this time.
BACK_MAX = 60


class Postgres:
    def __init__(self):
        self.connection = lake.connect()
        self.connection.execute("SET tidewater.cache = off")
        self.close = self.connection.close

    def ask(self):
        return len(self.connection.execute(TEXT).fetchall())

    def ask_only(self):
        """Asks for wide rows, and takes nothing but the news that there are some."""
        self.connection.pgconn.send_query(WIDE.encode())
        # select() takes no files beyond 1,024.
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        if not poll.poll(DEADLINE * 1000):
            raise SystemExit(f"a reader had no rows after {DEADLINE} s")


class Flight:
    def __init__(self):
        waits = {f"adbc.flight.sql.rpc.timeout_seconds.{call}": str(DEADLINE + given.seconds) for call in ("query", "fetch", "update")}
        self.connection = flight_sql.connect(lake.flight(), db_kwargs={"adbc.flight.sql.rpc.call_header.tidewater.cache": "off", **waits}, autocommit=True)
        self.cursor = self.connection.cursor()

    def ask(self):
        self.cursor.execute(TEXT)
        return self.cursor.fetch_arrow_table().num_rows

    def ask_only(self):
        self.cursor.execute(WIDE)

    def close(self):
        self.cursor.close()
        self.connection.close()


WIRES = {"postgres": Postgres, "flight": Flight}


def refusal(error):
    """Its code, if it has one, and for how long the client is to wait, in s."""
    text = f"{error} {getattr(error, 'details', None) or ''}"
    code = getattr(error, "sqlstate", None)
    if not isinstance(error, psycopg.Error):
        # ADBC's driver names the code of gRPC in its own way, behind what the server said: (ResourceExhausted; DoGet: ...).
        named = re.findall(r"\(([A-Z][A-Za-z]+); \w+", text)
        code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", named[-1]).upper() if named else None
    again = AGAIN.search(text)
    return code, float(again[1]) / (1000 if again[2].lower() == "ms" else 1) if again else UNTOLD_PAUSE


class Client:
    """Asks until it is answered: the end and the wait of each answer, in s and ms, and what it was refused with."""

    def __init__(self, wire):
        self.wire, self.line = wire, wire()
        self.answers, self.refused, self.uncoded = [], collections.Counter(), collections.Counter()

    def ask(self, stop):
        begun = time.monotonic()
        while time.monotonic() < stop:
            try:
                self.line = self.line or self.wire()
                rows = self.line.ask()
            except REFUSALS as error:
                code, pause = refusal(error)
                if code in RETRIABLE:
                    self.refused[code] += 1
                else:
                    self.uncoded[f"{code or 'no code'}: {' '.join(str(error).split())[:150]}"] += 1
                if code is None:
                    # It may be the connection that is gone.
                    self.close()
                time.sleep(max(0, min(pause, stop - time.monotonic())))
                continue
            if rows != min(PARTS, given.rows):
                raise SystemExit(f"an answer of {rows} rows")
            ended = time.monotonic()
            self.answers.append((ended, (ended - begun) * 1000))
            return

    def ask_on(self, stop):
        while time.monotonic() < stop:
            self.ask(stop)

    def close(self):
        line, self.line = self.line, None
        try:
            if line:
                line.close()
        except REFUSALS:
            pass


pool = concurrent.futures.ThreadPoolExecutor(1_000)


def wait(works, seconds, may_be_late=False):
    """What they come to. The first that fails ends the run, and so do those that are late unless they may be."""
    done, late = concurrent.futures.wait(works, seconds, concurrent.futures.FIRST_EXCEPTION)
    # Of those that failed, this raises why.
    [work.result() for work in done]
    if late and not may_be_late:
        raise SystemExit(f"{len(late)} of {len(works)} did not end within {seconds} s")
    return [work.result() for work in works if work in done]


def all_of(calls):
    return wait([pool.submit(call) for call in calls], DEADLINE)


def tell_refusals(name, clients, expected):
    refused, uncoded = collections.Counter(), collections.Counter()
    for client in clients:
        refused.update(client.refused)
        uncoded.update(client.uncoded)
    for code, count in sorted(refused.items()):
        told(f"{name}.refused.{code}", count, "refusals")
    if expected or uncoded:
        told(f"{name}.refused.uncoded", uncoded.total(), "refusals", 0)
    for text, count in uncoded.most_common(5):
        report.note(f"{name}: {count} times {text}")


def together(name, wire, count, usual=None):
    """Answers a second of so many clients, and their p95; with a usual wait, also how long until one alone has it when they stop."""
    alone, *clients = all_of([lambda: Client(wire)] * (count + 1))
    begun = time.monotonic() + LEAD
    stop = begun + given.seconds
    works = [pool.submit(client.ask_on, stop) for client in clients]
    wait(works, stop - time.monotonic(), may_be_late=True)
    back = usual and wait([pool.submit(until_usual, alone, usual, stop)], BACK_MAX + DEADLINE)[0]
    wait(works, DEADLINE)
    all_of(client.close for client in (alone, *clients))
    waits = [took for client in clients for ended, took in client.answers if begun <= ended <= stop]
    if not waits and count == 1:
        raise SystemExit(f"{name}: no answer within {given.seconds} s")
    rate, p95 = len(waits) / given.seconds, percentile(waits, 0.95)
    told(f"{name}.rate", rate, "answers/s")
    if waits:
        told(f"{name}.p50", percentile(waits, 0.5), "ms")
        told(f"{name}.p95", p95, "ms")
    else:
        report.note(f"{name}: no answer was whole in time; more --seconds tell whether any would have been")
    tell_refusals(name, (alone, *clients), expected=bool(usual))
    if usual:
        told(f"{name}.itself_again", back, "s", 10)
    return rate, p95


def until_usual(client, usual, since):
    """Seconds until five answers in a row had a median that is usual for one client."""
    while time.monotonic() < since + BACK_MAX:
        client.ask(since + BACK_MAX)
        last = [took for _, took in client.answers[-5:]]
        if len(last) == 5 and percentile(last, 0.5) <= usual:
            return time.monotonic() - since
    return BACK_MAX


def make():
    with lake.connect() as connection:
        connection.execute("CREATE SCHEMA load")
        connection.execute(f"CREATE TABLE load.t AS SELECT n AS k, n * 0.25 AS v FROM generate_series(1, {given.rows}) s(n)")


def silent(role, first, last):
    """A connection that says no more than its beginning, and has heard the server's."""
    connection = socket.create_connection(("127.0.0.1", lake.ports[role]), timeout=DEADLINE)
    connection.sendall(first)
    heard = b""
    while last not in heard:
        more = connection.recv(65_536)
        if not more:
            raise SystemExit(f"a silent connection of {role} was closed: {heard[:150]}")
        heard += more
    connection.setblocking(False)
    return connection


def is_open(connection):
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def most_memory(name):
    """Tells the most since it was asked last. It is asked of a process that lives, or the run ends with its log."""
    lake.wait(DEADLINE, "it does not answer", lambda: lake.connect().close() or True)
    most.append(lake.memory()[1])
    told(f"{name}.memory_max", most[-1], "MB")
    lake.forget_most()


# The process inherits the number of files.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
files = given.idle + 2_000
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), max(hard, files)))
os.environ["TIDEWATER__ENGINE__MEMORY_BYTES"] = str(MEMORY_BYTES)
with Lake(given.tidewater) as lake:
    most = []
    all_of([make])
    all_of([lambda: wire().ask() for wire in WIRES.values()])
    # What making the table took is not meant.
    lake.forget_most()
    for name, wire in WIRES.items():
        alone = {count: together(f"{name}.{count}_clients", wire, count) for count in (1, 2, 4, 8, 16)}
        reached = max(alone, key=lambda count: alone[count][0])
        peak = alone[reached][0]
        told(f"{name}.peak", peak, f"answers/s of {reached} clients")
        most_memory(f"{name}.peak")
        rate, _ = together(f"{name}.overload", wire, reached * 10, usual=alone[1][1])
        told(f"{name}.overload.clients", reached * 10, "clients")
        told(f"{name}.overload.ratio", rate / peak, "of the peak", 0.8, least=True)
        most_memory(f"{name}.overload")
    _, before = together("alone", Postgres, 1)

    startup = struct.pack("!i", 196_608) + b"user\0bench\0database\0lake\0\0"
    # HTTP/2's preface with empty settings, answered with the server's own: nine bytes of a frame of type 4 to begin with.
    idle = [silent("postgres", struct.pack("!i", len(startup) + 4) + startup, b"Z\0\0\0\5I") for _ in range(given.idle // 2)]
    idle += [silent("flight", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", b"\4\0\0\0\0\0") for _ in range(given.idle - len(idle))]
    _, beside = together("idle", Postgres, 1)
    told("idle.connections", sum(map(is_open, idle)), f"of {len(idle)} still open")
    told("idle.ratio", beside / before, "of the p95 alone")
    most_memory("idle")
    [connection.close() for connection in idle]

    readers = all_of(wire for wire in WIRES.values() for _ in range(READERS // 2))
    all_of(reader.ask_only for reader in readers)
    _, beside = together("unread", Postgres, 1)
    told("unread.ratio", beside / before, f"of the p95 alone, beside {READERS} readers")
    most_memory("unread")
    all_of(reader.close for reader in readers)
    told("memory_max", max(most), "MB")
    told("memory_max.ratio", max(most) * (1 << 20) / MEMORY_BYTES, "of engine.memory_bytes")
report.write(given.out)
