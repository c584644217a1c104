"""Clients of HTTP/2 that mean harm, or know no better, against a Flight SQL endpoint.

hostile_flight.py HOST PORT PID RSS_MAX_MB [--only REGEX]

Each must be ended or answered with a code within DEADLINE, but for those that say nothing and those that read nothing, which are given
the times below; the process (PID) must live, stay below RSS_MAX_MB, stop computing afterwards, and go on answering another client: the
p95 of that one's waits beside each of them stays below twice of what it was alone, just before, or below 50 ms (watched.py says why).
What is over at once is done again for a second. One line a check; status 1 on a failure, or if there were fewer than LEAST.
"""
import os, re, select, socket, struct, sys, time

import h2.events
import h2.exceptions
import hpack
import pyarrow.flight

from flight_wire import SERVICE, Client, Refused, action, endpoint, field, framed, query
from watched import BESIDE, SLACK, Process, Watch

host, port, pid, rss_max = sys.argv[1:5]
options = dict(zip(sys.argv[5::2], sys.argv[6::2]))
only = re.compile(options.get("--only", ""))
DEADLINE = 5 * SLACK # seconds, within which a client must have its code, or its end
TIMEOUT = 3          # seconds, that statements whose rows nobody takes are given
LATE = 7             # seconds after that, within which they are ended: five are left to whoever would read on
SILENT = 60          # seconds, within which a connection is closed that never says what it is
PINGED = 120         # seconds, within which a client is given up that answers no ping
LEAST = 25           # different ones, without --only
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
REFUSED, CALM = 7, 11
NO_ROOM = "8"        # RESOURCE_EXHAUSTED
GONE = "4"           # DEADLINE_EXCEEDED
process = Process(pid)
passed, failed = [], []


def told(name, ok, text):
    (passed if ok else failed).append(name)
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {text}", flush=True)


def another():
    """Asks what is short, for which there is always room: a refusal is the server's fault."""
    client = Client(host, port)
    return lambda: client.info("SELECT 1")


def frame(kind, flags, stream, body=b""):
    return struct.pack("!I", len(body))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + body


def head(method="GetFlightInfo", *more):
    """A block of headers that depends on none before."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    pairs = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", SERVICE + method), ("content-type", "application/grpc"), ("te", "trailers")]
    return encoder.encode(pairs + list(more))


class Raw:
    """A connection whose frames are sent as they are, and looked at as they come."""

    def __init__(self, settings=b""):
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE)
        self.frames, self.rest, self.closed, self.pings = [], b"", False, True
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        """False when the other side is gone."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read(self, seconds, until=None):
        """What comes in so long, or until the end of the connection, or a frame of that kind."""
        over = time.monotonic() + seconds
        while not self.closed and time.monotonic() < over and not (until is not None and self.count(until)):
            self.socket.settimeout(max(0.01, over - time.monotonic()))
            try:
                data = self.socket.recv(1 << 20)
            except socket.timeout:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
            self.rest += data
            while len(self.rest) >= 9:
                size = int.from_bytes(self.rest[:3], "big")
                if len(self.rest) < 9 + size:
                    break
                kind, flags, stream = self.rest[3], self.rest[4], int.from_bytes(self.rest[5:9], "big") & 0x7FFFFFFF
                body, self.rest = self.rest[9 : 9 + size], self.rest[9 + size :]
                if kind == PING and not flags & ACK and self.pings:
                    self.send(frame(PING, ACK, 0, body))
                self.frames.append((kind, flags, stream, body))
        return self.frames

    def count(self, kind, code=None):
        at = {RST: 0, GOAWAY: 4}.get(kind)
        return sum(1 for k, _, _, body in self.frames if k == kind and (code is None or int.from_bytes(body[at : at + 4], "big") == code))

    def status(self, call):
        """The code that ended it, if any: blocks of headers are read in the order in which they came."""
        decoder, code = hpack.Decoder(), None
        for kind, _, stream, body in self.frames:
            if kind == HEADERS:
                pairs = dict(decoder.decode(body))
                code = pairs.get("grpc-status", code) if stream == call else code
        return code

    def end(self):
        goodbye = [int.from_bytes(body[4:8], "big") for kind, _, _, body in self.frames if kind == GOAWAY]
        return f"goodbye {goodbye[0]}" if goodbye else "closed" if self.closed else "open"


def streams(count):
    return range(1, 2 * count, 2)


def rapid_reset():
    raw, block = Raw(), head()
    for stream in streams(20_000):
        if not raw.send(frame(HEADERS, END_HEADERS, stream, block) + frame(RST, 0, stream, struct.pack("!I", 8))):
            break
    raw.read(DEADLINE, until=GOAWAY)
    return raw.closed or raw.count(GOAWAY, CALM) > 0, f"{raw.end()} after {stream // 2 + 1:,} calls taken back"


def made_reset():
    """The server is made to reset calls that it has begun (by a window that grows by nothing)."""
    raw, block = Raw(), head()
    for stream in streams(20_000):
        if not raw.send(frame(HEADERS, END_HEADERS, stream, block) + frame(WINDOW, 0, stream, struct.pack("!I", 0))):
            break
    raw.read(DEADLINE, until=GOAWAY)
    return raw.closed or raw.count(GOAWAY) > 0, f"{raw.end()} after {stream // 2 + 1:,} calls made wrong"


def many_streams():
    raw, block = Raw(), head()
    for stream in streams(5_000):
        raw.send(frame(HEADERS, END_HEADERS, stream, block))
    raw.read(DEADLINE - 1, until=GOAWAY)
    refused = raw.count(RST, REFUSED)
    return refused >= 4_700 or raw.count(GOAWAY) > 0, f"{refused:,} of 5,000 calls refused, {raw.end()}"


def headers_without_end():
    raw, sent = Raw(), 0
    raw.send(frame(HEADERS, 0, 1, head()))
    for sent in range(20_000):
        if not raw.send(frame(CONTINUATION, 0, 1, b"\x00\x03abc\x7f\x80\x7f" + b"x" * 255)):
            break
    raw.read(DEADLINE, until=GOAWAY)
    return raw.closed or raw.count(GOAWAY) > 0, f"{raw.end()} after {sent:,} parts"


def empty_headers_without_end():
    raw, sent = Raw(), 0
    raw.send(frame(HEADERS, 0, 1, head()))
    for sent in range(200_000):
        if not raw.send(frame(CONTINUATION, 0, 1) * 100):
            break
    raw.read(DEADLINE, until=GOAWAY)
    return raw.closed or raw.count(GOAWAY) > 0, f"{raw.end()} after {sent * 100:,} empty parts"


def headers_too_long():
    client = Client(host, port)
    try:
        stream = client.begin("GetFlightInfo", *[(f"x{i}", "y" * 1000) for i in range(15)])
        client.send(stream, framed(query("SELECT 1")))
        client.take(stream)
        client.call("GetFlightInfo", query("SELECT 1"))
        stream = client.begin("GetFlightInfo", *[(f"x{i}", "y" * 1000) for i in range(200)])
        headers, _ = client.take(stream)
        return headers.get(":status") == "431", f"15 kB are taken, 200 kB are HTTP {headers.get(':status')}"
    except ConnectionError as error:
        return True, f"15 kB are taken, 200 kB: {error}"


def table_bomb():
    """Headers that are short on the wire and long in memory: one long value, named again and again."""
    raw, sent = Raw(), 0
    encoder = hpack.Encoder()
    long = encoder.encode([("x", "y" * 4000)])
    again = encoder.encode([("x", "y" * 4000)])
    block = head() + long + again * 15_000
    for at, stream in enumerate(streams(200)):
        sent = at
        if not raw.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block)):
            break
    raw.read(DEADLINE, until=GOAWAY)
    return raw.closed or raw.count(GOAWAY) > 0, f"{sent + 1} calls of {len(again) * 15_000 / 1000:.0f} kB that stand for 60 MB, {raw.end()}"


def too_long(method, size):
    """A message whose length is more than any may have."""
    try:
        Client(host, port, seconds=DEADLINE).call(method, raw=b"\0" + struct.pack("!I", size) + b"x" * 100)
        return False, "answered"
    except Refused as error:
        return error.code in (8, 11), f"code {error.code}"


def messages_without_end(method, size, count):
    """Parts of messages of so many bytes each, which never end, from four clients: what is read of all of them has a limit."""
    clients, sent, codes, longest = [], 0, set(), 0.0
    for _ in range(4):
        client, begun = Client(host, port, seconds=DEADLINE), {}
        clients.append(client)
        for _ in range(count):
            try:
                stream = client.begin(method)
                begun[stream] = time.monotonic()
                client.send(stream, b"\0" + struct.pack("!I", size) + b"x" * (size // 16), end=False)
                sent += size // 16
                while select.select([client.socket], [], [], 0)[0]:
                    client.events()
            except (h2.exceptions.ProtocolError, ConnectionError):
                break
            for event in client.log:
                if isinstance(event, h2.events.ResponseReceived):
                    codes.add(dict(event.headers).get("grpc-status"))
                    longest = max(longest, time.monotonic() - begun[event.stream_id])
            client.log = []
    held = process.rss()
    for client in clients:
        client.close()
    Client(host, port).info("SELECT 1")
    return codes == {NO_ROOM} and longest < DEADLINE, f"{sent / 1e6:.0f} MB sent, codes {sorted(codes)} within {longest:.1f} s, {held} MB"


def pings():
    raw, sent = Raw(), 0
    raw.socket.settimeout(DEADLINE / 2)
    for sent in range(2_000):
        if not raw.send(frame(PING, 0, 0, b"12345678") * 100):
            break
    again = Client(host, port, seconds=DEADLINE)
    again.info("SELECT 1")
    again.close()
    return True, f"{'held up or ended' if sent < 1_999 else 'taken'} after {sent * 100:,} pings whose answers nobody reads"


def settings():
    raw, sent = Raw(), 0
    raw.socket.settimeout(DEADLINE / 2)
    for sent in range(2_000):
        if not raw.send(frame(SETTINGS, 0, 0) * 100):
            break
    again = Client(host, port, seconds=DEADLINE)
    again.info("SELECT 1")
    again.close()
    return True, f"{'held up or ended' if sent < 1_999 else 'taken'} after {sent * 100:,} settings whose answers nobody reads"


def broken(data):
    raw = Raw()
    raw.send(data)
    raw.read(DEADLINE, until=GOAWAY)
    return bool(raw.closed or raw.count(GOAWAY)), raw.end()


def no_http2(data):
    with socket.create_connection((host, int(port)), timeout=DEADLINE) as raw:
        try:
            raw.sendall(data)
            while raw.recv(65536):
                pass
        except socket.timeout:
            return False, "stays open"
        except OSError:
            pass
        return True, "closed"


def silent():
    """Connections that send nothing, or all but the last byte of what HTTP/2 begins with."""
    held = []
    for at in range(500):
        connection = socket.create_connection((host, int(port)), timeout=SILENT)
        connection.sendall(PREFACE[:-1] if at % 2 else b"")
        held.append(connection)
    Client(host, port).info("SELECT 1")
    begun, left = time.monotonic(), 0
    for connection in held:
        try:
            connection.settimeout(max(0.1, SILENT - (time.monotonic() - begun)))
            while connection.recv(65536):
                pass
        except socket.timeout:
            left += 1
        except OSError:
            pass
    return left == 0, f"{len(held)} connections, {left} still open after {time.monotonic() - begun:.0f} s"


def wrong(allowed, method="GetFlightInfo", more=(), raw=None):
    """A call that is HTTP/2 and no call."""
    client = Client(host, port, seconds=DEADLINE)
    try:
        stream = client.begin(method, *more)
        client.send(stream, framed(query("SELECT 1")) if raw is None else raw)
        headers, _ = client.take(stream)
        answer = headers.get("grpc-status", f"HTTP {headers.get(':status')}")
    except ConnectionError as error:
        answer = str(error)
    except OSError as error:
        answer = f"no answer ({error})"
    client.close()
    return answer in allowed.split(), f"code {answer}"


def at_work():
    """How many of the slow readers' statements are. Texts are told without their values."""
    client = pyarrow.flight.FlightClient(f"grpc://{host}:{port}")
    sql = "SELECT count(*) AS n FROM ops.queries WHERE duration_ms IS NULL AND statement LIKE '%repeat(%'"
    rows = client.do_get(pyarrow.flight.Ticket(endpoint(Client(host, port).info(sql))[1])).read_all()
    return rows.column(0)[0].as_py()


def slow_readers():
    """Clients that ask for rows without end and take none: within LATE of the last one's time limit all that makes the rows is let go,
    and who reads on then is told with a code why there is no more."""
    maker = Client(host, port)
    maker.act("SetSessionOptions", field(1, field(1, "statement_timeout") + field(2, field(1, f"{TIMEOUT}s"))))
    maker.act("SetSessionOptions", field(1, field(1, "tidewater.cache") + field(2, field(1, "off"))))
    block = head("DoGet", ("cookie", maker.cookie))
    before, high = process.rss(), 0
    readers, begun = [], time.monotonic()
    sql = "SELECT value, repeat('slow reader', 100) AS s FROM generate_series(1, 100000000)"
    for _ in range(4):
        raw = Raw(struct.pack("!HI", 4, 0))
        for stream in streams(10):
            ticket = endpoint(maker.info(sql))[1]
            body = framed(field(1, ticket))
            raw.send(frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, body))
        readers.append(raw)
    started, running, asked = 0, 0, time.monotonic()
    while time.monotonic() - asked < 30:
        for raw in readers:
            raw.read(0.1)
        high = max(high, process.rss())
        started = sum(raw.count(HEADERS) for raw in readers)
        running = at_work()
        if time.monotonic() - asked > TIMEOUT and running == 0:
            break
    ended = time.monotonic() - asked
    readers[0].send(frame(WINDOW, 0, 1, struct.pack("!I", 1 << 30)) + frame(WINDOW, 0, 0, struct.pack("!I", 1 << 30)))
    code, reading = None, time.monotonic()
    while code is None and time.monotonic() - reading < DEADLINE and not readers[0].closed:
        readers[0].read(0.2)
        code = readers[0].status(1)
    alive, after = sum(not raw.closed for raw in readers), process.rss()
    for raw in readers:
        raw.socket.close()
    good = running == 0 and started > 0 and ended < TIMEOUT + LATE and code == GONE
    return good, f"{started} streams of 40 began, none at work {ended:.1f} s after the last was asked, {before} → {high} → {after} MB," \
        f" {alive} connections left, who reads on is told {code} after {time.monotonic() - reading:.1f} s"


def in_line():
    """Statements that compute as long as they may, longer than DEADLINE: one that stands in line behind them has its code in time."""
    sql, busy = "SELECT sum(x) FROM generate_series(1, 1000000000000000000) a(x)", []
    for seconds in [20] * 20 + [TIMEOUT]:
        busy.append(Client(host, port))
        busy[-1].act("SetSessionOptions", field(1, field(1, "statement_timeout") + field(2, field(1, f"{seconds}s"))))
        stream = busy[-1].begin("DoGet")
        busy[-1].send(stream, framed(field(1, endpoint(Client(host, port).info(sql))[1])))
    asked = time.monotonic()
    headers, _ = busy[-1].take(stream)
    took = time.monotonic() - asked
    for client in busy:
        client.close()
    code = headers.get("grpc-status")
    return code in (GONE, "14") and took < DEADLINE, f"behind {len(busy) - 1} that compute another is told {code} after {took:.1f} s"


def mute():
    """Clients that begin well and never answer a ping: one that waits, one in the middle of its headers."""
    for raw in MUTE:
        raw.read(max(0.1, PINGED - (time.monotonic() - BEGUN)))
    return all(raw.closed for raw in MUTE), f"{', '.join(raw.end() for raw in MUTE)} after {time.monotonic() - BEGUN:.0f} s"


BROKEN = {
    "a window of 2 GB and more": frame(WINDOW, 0, 0, struct.pack("!I", 0x7FFFFFFF)) * 2,
    "a frame of 16 MB": b"\xff\xff\xff" + bytes([DATA, 0]) + struct.pack("!I", 1) + b"x" * 1000,
    "data of a call that is not there": frame(DATA, 0, 9, b"x"),
    "a call with an even number": frame(HEADERS, END_HEADERS, 2, head()),
    "headers that are none": frame(HEADERS, END_HEADERS, 1, os.urandom(500)),
    "settings of a wrong length": frame(SETTINGS, 0, 0, b"123"),
    "a ping of a wrong length": frame(PING, 0, 0, b"1"),
    "more padding than data": frame(DATA, 8, 1, b"\xff"),
}
NO_HTTP2 = {
    "noise": os.urandom(4096),
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("160301020001") + os.urandom(512),
    "PostgreSQL": struct.pack("!ii", 8, 80877103),
}
# What each may be answered with. The library says "internal" (13) where there is no message to read.
WRONG = {
    "no such call": dict(allowed="12", method="NoSuchCall"),
    "a path of 60 kB": dict(allowed="12", method="x" * 60_000),
    "compressed by nothing we know": dict(allowed="12", more=[("grpc-encoding", "middle-out")], raw=b"\1\0\0\0\1x"),
    "a time limit that is none": dict(allowed="0 3", more=[("grpc-timeout", "99999999999999S")]),
    "a cookie of 60 kB": dict(allowed="0 3 16", more=[("cookie", "tidewater_session=" + "A" * 60_000)]),
    "no message": dict(allowed="3 13", raw=b""),
    "two messages": dict(allowed="0 3 12 13", raw=framed(query("SELECT 1")) * 2),
    "a message that is none": dict(allowed="3 13", raw=framed(b"\xff" * 100)),
    "a command that is none": dict(allowed="3", raw=framed(field(1, 2) + field(2, b"\xff" * 50))),
    "an action of 60 kB": dict(allowed="12", method="DoAction", raw=framed(action("y" * 60_000))),
}
# Those that take longer by their nature, with their seconds; of others all is over within DEADLINE.
SLOW = {
    "messages without end: GetFlightInfo": 60,
    "messages without end: DoPut": 60,
    "slow readers": 60,
    "statements in line": 60,
    "connections that say nothing": SILENT + DEADLINE,
    "clients that answer no ping": PINGED,
}
CHECKS = {
    "calls taken back at once": rapid_reset,
    "calls that the server must end": made_reset,
    "5,000 calls at once": many_streams,
    "headers without end": headers_without_end,
    "empty headers without end": empty_headers_without_end,
    "headers too long": headers_too_long,
    "headers that grow": table_bomb,
    "a message longer than it may be: GetFlightInfo": lambda: too_long("GetFlightInfo", 17 << 20),
    "a message longer than it may be: DoPut": lambda: too_long("DoPut", 129 << 20),
    "a message of 4 GB: DoPut": lambda: too_long("DoPut", 0xFFFFFFFF),
    "a message of 4 GB: DoAction": lambda: too_long("DoAction", 0xFFFFFFFF),
    "messages without end: GetFlightInfo": lambda: messages_without_end("GetFlightInfo", 16 << 20, 100),
    "messages without end: DoPut": lambda: messages_without_end("DoPut", 128 << 20, 20),
    "pings": pings,
    "settings": settings,
    **{f"broken frames: {name}": lambda data=data: broken(data) for name, data in BROKEN.items()},
    **{f"no HTTP/2: {name}": lambda data=data: no_http2(data) for name, data in NO_HTTP2.items()},
    **{f"wrong calls: {name}": lambda call=call: wrong(**call) for name, call in WRONG.items()},
    "slow readers": slow_readers,
    "statements in line": in_line,
    "connections that say nothing": silent,
    "clients that answer no ping": mute,
}


def judge(name, body):
    process.forget_most()
    begun, longest, times, good, deadline = time.monotonic(), 0.0, 0, True, SLOW.get(name, DEADLINE)
    while good and (times == 0 or name not in SLOW and time.monotonic() < begun + BESIDE):
        one = time.monotonic()
        try:
            good, text = body()
        except Exception as error:  # a check may fail in any way
            good, text = False, f"{type(error).__name__} {error}"
        longest, times = max(longest, time.monotonic() - one), times + 1
    calm, others = watch.beside(name, begun, time.monotonic())
    rest, most = process.idle(), process.most()
    good = good and calm and longest < deadline and rest is not None and most < int(rss_max)
    after = "still computes" if rest is None else f"idle after {rest:.1f} s"
    told(name, good, f"{text}; {longest:.2f} s{f' at most of {times}' if times > 1 else ''}, {most} MB, {after}, {others}")


watch = Watch(another)
MUTE, BEGUN = [Raw(), Raw()], time.monotonic()
for raw in MUTE:
    raw.pings = False
MUTE[1].send(frame(HEADERS, 0, 1, head()))
for name, body in CHECKS.items():
    if only.search(name):
        judge(name, body)
different = len(set(passed + failed))
told("another client throughout", *watch.end())
if not only.pattern:
    told("how many", different >= LEAST, f"{different} different ones, of at least {LEAST}")
print(f"{len(passed)} passed, {len(failed)} failed")
sys.stdout.flush()
os._exit(1 if failed else 0)
