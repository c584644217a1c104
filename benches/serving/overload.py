"""Ten times the load that a process can serve: what it still gets done, what it refuses, and how soon it is itself again.

overload.py TIDEWATER --out FILE [--seconds N] [--idle N] [--rows N]

One statement over a table of two million rows, asked without kept results. First by 1, 2, 4, 8 and 16 clients at a time: the most
that are answered in a second is the peak. Then by so many clients that ten times as much is asked as the peak: through the PostgreSQL
wire, Flight SQL and HTTP. The process has places for sixteen, half of them in line, so that most are refused: these wait as they are
told, or a second, and up to as long again so that they do not come as one, and ask again. Then, beside five thousand connections that say
nothing and beside readers that do not read, one client asks on.

An answer counts in the time in which it is whole; a wait holds the refusals before it, the time of one that was let in does not. A refusal
that is not the one by which the front tells a client to come back (53300, UNAVAILABLE, 429 with Retry-After), be it of another code or of
none, is `other`, and stands in the notes as it was told. Idle and unread are one after the other, and asked through the PostgreSQL wire.

Goals that are missed are told. Status 1, with the figures written: a front that refused nothing, whose overload then was none, or refused
otherwise; or an idle connection that was closed.
"""
import argparse, collections, concurrent.futures, http.client, json, math, os, random, re, resource, select, socket, struct, sys, time
import arrow_client
import psycopg
import pyarrow.flight
from lake import Lake, Report, percentile

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--seconds", type=int, default=20)
arguments.add_argument("--idle", type=int, default=5_000)
arguments.add_argument("--rows", type=int, default=2_000_000)
given = arguments.parse_args()
MEMORY_BYTES = 1 << 30
# So many statements run and stand in line.
RUNNING, QUEUED = 8, 8
report = Report("overload", rows=given.rows, seconds=given.seconds, engine_memory_bytes=MEMORY_BYTES, places=RUNNING, queue=QUEUED)
told = report.told
PARTS = 100
TEXT = f"SELECT k % {PARTS} AS part, count(*), sum(v), max(v) FROM load.t GROUP BY 1 ORDER BY 1"
WIDE = "SELECT a.k, a.v, repeat('x', 200) AS text FROM load.t a"
REFUSALS = (psycopg.Error, pyarrow.ArrowException, http.client.HTTPException, OSError)
AGAIN = re.compile(r"(?:again|retry)[ -](?:in|after):? ?(\d+(?:\.\d+)?) ?(ms|s)\b", re.I)
# What a refusal names besides: no place among those that run and wait, of all or of a user, or too long a wait for one.
NO_PLACE = re.compile(r"\b(SCH-0009|SCH-0010|SCH-0018|SQL-0004)\b")
UNTOLD_PAUSE = 1
# What is asked in a second, refused or not, as a multiple of the peak.
OFFERED = 10
READERS = 16
# Asked before the time that counts, so that answers which it cuts off at its end are made up for by those at its beginning.
LEAD = given.seconds / 4
# Longer than a statement may wait for its turn (admission.interactive.wait_max_s), or nothing would be told of what takes long.
DEADLINE = 120
# What is not itself again by then is told with this time.
BACK_MAX = 60


class Postgres:
    refusal = "53300"

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
    """Arrow's client: a driver needs more of the processor to be refused than the process needs to refuse it."""

    refusal = "UNAVAILABLE"

    def __init__(self):
        self.session = arrow_client.Session(lake.flight(), {})
        self.session.options = pyarrow.flight.FlightCallOptions(timeout=DEADLINE + given.seconds, headers=[(b"tidewater.cache", b"off")])
        self.close = self.session.client.close

    def ask(self):
        return self.session.ask(TEXT).num_rows

    def ask_only(self):
        """As the other does."""
        client, options = self.session.client, self.session.options
        info = client.get_flight_info(arrow_client.statement(WIDE), options)
        self.rows = client.do_get(info.endpoints[0].ticket, options)
        self.rows.read_chunk()


class Told(Exception):
    """An answer of HTTP that is none: its status, and for how long the client is to wait, in s."""

    def __init__(self, answer, body):
        self.again = answer.getheader("Retry-After")
        self.sqlstate = str(answer.status) if answer.status != 429 or self.again else "429 without Retry-After"
        super().__init__(body.decode("utf-8", "replace"))


class Http:
    refusal = "429"

    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", lake.ports["http"], timeout=DEADLINE + given.seconds)
        self.connection.connect()
        self.close = self.connection.close

    def ask(self):
        body = json.dumps({"sql": TEXT, "cache": False})
        self.connection.request("POST", "/api/v1/sql", body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Told(answer, body)
        return len(json.loads(body)["rows"])


WIRES = {"postgres": Postgres, "flight": Flight, "http": Http}


def refusal(error):
    """Its code, if it has one, and for how long the client is to wait, in s."""
    code = getattr(error, "sqlstate", None)
    if isinstance(error, Told):
        return code, float(error.again or UNTOLD_PAUSE)
    if isinstance(error, pyarrow.ArrowException):
        # Each code of gRPC that Arrow's client knows is a class. It says unavailable of what is gone, too.
        code = "UNAVAILABLE" if isinstance(error, pyarrow.flight.FlightUnavailableError) else type(error).__name__
    again = AGAIN.search(str(error))
    return code, float(again[1]) / (1000 if again[2].lower() == "ms" else 1) if again else UNTOLD_PAUSE


class Client:
    """Asks until it is answered: the end, the wait and the time once it was let in of each answer, in s and ms, and what refused it."""

    def __init__(self, wire):
        self.wire, self.line = wire, wire()
        self.answers, self.refused, self.other = [], 0, collections.Counter()

    def ask(self, stop):
        begun = time.monotonic()
        while time.monotonic() < stop:
            try:
                self.line = self.line or self.wire()
                asked = time.monotonic()
                rows = self.line.ask()
            except (Told, *REFUSALS) as error:
                code, pause = refusal(error)
                if code == self.wire.refusal and NO_PLACE.search(str(error)):
                    self.refused += 1
                else:
                    self.other[f"{code or 'no code'}: {' '.join(str(error).split())[:150]}"] += 1
                if code is None:
                    # It may be the connection that is gone.
                    self.close()
                time.sleep(max(0, min(pause * random.uniform(1, 2), stop - time.monotonic())))
                continue
            if rows != min(PARTS, given.rows):
                raise SystemExit(f"an answer of {rows} rows")
            ended = time.monotonic()
            self.answers.append((ended, (ended - begun) * 1000, (ended - asked) * 1000))
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


CLIENTS_MAX = 1_000
pool = concurrent.futures.ThreadPoolExecutor(CLIENTS_MAX + 10)


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


def tell_refusals(name, wire, clients, expected):
    """How many there were; none where they were expected is wrong, and so is any other than the front's."""
    refused, other = sum(client.refused for client in clients), collections.Counter()
    for client in clients:
        other.update(client.other)
    if expected or refused:
        told(f"{name}.refused.{wire.refusal}", refused, "refusals", 1 if expected else None, least=True)
    if expected or other:
        told(f"{name}.refused.other", other.total(), "refusals", 0)
    for text, count in other.most_common(5):
        report.note(f"{name}: {count} times {text}")
    if other:
        wrong.append(f"{name}: {other.total()} refusals of another kind")
    if expected and not refused:
        wrong.append(f"{name}: nothing was refused with {wire.refusal}")


# Answers a second; what 95 % of the waits and 99 % of the times of those that were let in do not exceed, in ms; what was asked in a second,
# refused or not; and answers of each second that the process computed, which what else computes on the machine touches less.
Load = collections.namedtuple("Load", "rate p95 let_in asked work")


def together(name, wire, count, usual=None):
    """The load of so many clients; with a usual wait, also how long until one alone has it when they stop."""
    alone, *clients = all_of([lambda: Client(wire)] * (count + 1))
    begun = time.monotonic() + LEAD
    stop = begun + given.seconds
    used = lake.cpu(), time.process_time(), time.monotonic()
    works = [pool.submit(client.ask_on, stop) for client in clients]
    wait(works, stop - time.monotonic(), may_be_late=True)
    used = [now - before for now, before in zip((lake.cpu(), time.process_time(), time.monotonic()), used)]
    asked = sum(client.refused + client.other.total() + len(client.answers) for client in clients) / used[2]
    back = usual and wait([pool.submit(until_usual, alone, usual, stop)], BACK_MAX + DEADLINE)[0]
    wait(works, DEADLINE)
    all_of(client.close for client in (alone, *clients))
    answers = [answer for client in clients for answer in client.answers if begun <= answer[0] <= stop]
    waits, let_in = [took for _, took, _ in answers], [took for *_, took in answers]
    if not waits and count == 1:
        raise SystemExit(f"{name}: no answer within {given.seconds} s")
    rate, p95, p99 = len(waits) / given.seconds, percentile(waits, 0.95), percentile(let_in, 0.99)
    told(f"{name}.rate", rate, "answers/s")
    if waits:
        told(f"{name}.p50", percentile(waits, 0.5), "ms")
        told(f"{name}.p95", p95, "ms")
        told(f"{name}.let_in.p99", p99, "ms")
    else:
        report.note(f"{name}: no answer was whole in time; more --seconds tell whether any would have been")
    told(f"{name}.cpu", used[0] / used[2], "cores")
    told(f"{name}.cpu.clients", used[1] / used[2], "cores")
    tell_refusals(name, wire, (alone, *clients), expected=bool(usual))
    if usual:
        told(f"{name}.itself_again", back, "s", 10)
    return Load(rate, p95, p99, asked, len(answers) and rate * used[2] / used[0])


def until_usual(client, usual, since):
    """Seconds until five answers in a row had a median that is usual for one client."""
    while time.monotonic() < since + BACK_MAX:
        client.ask(since + BACK_MAX)
        last = [took for _, took, _ in client.answers[-5:]]
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
for key, value in {"RUNNING_MAX": RUNNING, "QUEUED_MAX": QUEUED}.items():
    os.environ[f"TIDEWATER__ADMISSION__INTERACTIVE__{key}"] = str(value)
with Lake(given.tidewater) as lake:
    most, wrong = [], []
    all_of([make])
    all_of([lambda: wire().ask() for wire in WIRES.values()])
    # What making the table took is not meant.
    lake.forget_most()
    for name, wire in WIRES.items():
        alone = {count: together(f"{name}.{count}_clients", wire, count) for count in (1, 2, 4, 8, 16)}
        reached = max(alone, key=lambda count: alone[count].rate)
        peak = alone[reached].rate
        told(f"{name}.peak", peak, f"answers/s of {reached} clients")
        most_memory(f"{name}.peak")
        # Each asks again after one and a half pauses on average. Where that is few, they must be more than there are places.
        many = min(max(math.ceil(OFFERED * peak * UNTOLD_PAUSE * 1.5), (RUNNING + QUEUED) * 4), CLIENTS_MAX)
        load = together(f"{name}.overload", wire, many, usual=alone[1].p95)
        told(f"{name}.overload.clients", many, "clients")
        told(f"{name}.overload.offered", load.asked / peak, "of the peak asked", OFFERED * 0.8, least=True)
        told(f"{name}.overload.ratio", load.rate / peak, "of the peak", 0.8, least=True)
        told(f"{name}.overload.work.ratio", load.work / alone[reached].work, "of the peak's answers for each second that it computed")
        told(f"{name}.overload.let_in.ratio", load.let_in / alone[RUNNING + QUEUED].let_in, f"of the p99 of {RUNNING + QUEUED} clients", 2)
        most_memory(f"{name}.overload")
    before = together("alone", Postgres, 1).p95

    startup = struct.pack("!i", 196_608) + b"user\0bench\0database\0lake\0\0"
    # HTTP/2's preface with empty settings, answered with the server's own: nine bytes of a frame of type 4 to begin with.
    idle = [silent("postgres", struct.pack("!i", len(startup) + 4) + startup, b"Z\0\0\0\5I") for _ in range(given.idle // 2)]
    idle += [silent("flight", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", b"\4\0\0\0\0\0") for _ in range(given.idle - len(idle))]
    beside = together("idle", Postgres, 1).p95
    still = sum(map(is_open, idle))
    told("idle.connections", still, f"of {len(idle)} still open", len(idle), least=True)
    if still < len(idle):
        wrong.append(f"{len(idle) - still} idle connections were closed")
    told("idle.ratio", beside / before, "of the p95 alone", 2)
    most_memory("idle")
    [connection.close() for connection in idle]

    readers = all_of(wire for wire in (Postgres, Flight) for _ in range(READERS // 2))
    all_of(reader.ask_only for reader in readers)
    beside = together("unread", Postgres, 1).p95
    told("unread.ratio", beside / before, f"of the p95 alone, beside {READERS} readers", 2)
    most_memory("unread")
    all_of(reader.close for reader in readers)
    told("memory_max", max(most), "MB")
    told("memory_max.ratio", max(most) * (1 << 20) / MEMORY_BYTES, "of engine.memory_bytes", 1)
report.write(given.out)
for text in wrong:
    print(f"FAIL {text}", file=sys.stderr)
sys.exit(1 if wrong else 0)
