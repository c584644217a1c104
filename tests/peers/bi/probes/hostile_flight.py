"""Clients of HTTP/2 that mean harm, or know no better, against a Flight SQL endpoint.

hostile_flight.py HOST PORT PID RSS_MAX_MB [--only REGEX]

Each must be ended or answered with a code; the process (PID) must live, stay below RSS_MAX_MB, stop computing afterwards,
and go on answering another client. One line a check; status 1 on a failure.
"""
import os, re, socket, struct, sys, time

import h2.events
import h2.exceptions
import hpack
import pyarrow.flight

from flight_wire import SERVICE, Client, Refused, action, endpoint, field, framed, query
from watched import Process, Watch

host, port, pid, rss_max = sys.argv[1:5]
options = dict(zip(sys.argv[5::2], sys.argv[6::2]))
only = re.compile(options.get("--only", ""))
ANSWER = 15          # seconds, within which a client must have its answer, or its end, on a busy machine
SILENT = 60          # seconds, within which a connection is closed that never says what it is
PINGED = 120         # seconds, within which a client is given up that answers no ping
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
REFUSED, CALM = 7, 11
NO_ROOM = "8"        # RESOURCE_EXHAUSTED
process = Process(pid)
passed, failed = [], []


def told(name, ok, text):
    (passed if ok else failed).append(name)
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {text}", flush=True)


def another():
    """Asks, and asks again where there is no room for its message at the moment, as drivers are told to: its wait is told."""
    client = Client(host, port)

    def ask():
        until = time.monotonic() + ANSWER
        while True:
            try:
                return client.info("SELECT 1")
            except Refused as refused:
                if refused.code != NO_ROOM or time.monotonic() > until:
                    raise

    return ask


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
        self.socket = socket.create_connection((host, int(port)), timeout=ANSWER)
        self.frames, self.rest, self.closed, self.pings = [], b"", False, True
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        """False when the other side is gone."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read(self, seconds):
        """What comes in so long, or until the end of the connection."""
        until = time.monotonic() + seconds
        while not self.closed and time.monotonic() < until:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
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
    raw.read(ANSWER)
    return raw.closed or raw.count(GOAWAY, CALM) > 0, f"{raw.end()} after {stream // 2 + 1:,} calls taken back"


def made_reset():
    """The server is made to reset calls that it has begun (by a window that grows by nothing)."""
    raw, block = Raw(), head()
    for stream in streams(20_000):
        if not raw.send(frame(HEADERS, END_HEADERS, stream, block) + frame(WINDOW, 0, stream, struct.pack("!I", 0))):
            break
    raw.read(ANSWER)
    return raw.closed or raw.count(GOAWAY) > 0, f"{raw.end()} after {stream // 2 + 1:,} calls made wrong"


def many_streams():
    raw, block = Raw(), head()
    for stream in streams(5_000):
        raw.send(frame(HEADERS, END_HEADERS, stream, block))
    raw.read(5)
    refused = raw.count(RST, REFUSED)
    return refused >= 4_700 or raw.count(GOAWAY) > 0, f"{refused:,} of 5,000 calls refused, {raw.end()}"


def headers_without_end():
    raw, sent = Raw(), 0
    raw.send(frame(HEADERS, 0, 1, head()))
    for sent in range(20_000):
        if not raw.send(frame(CONTINUATION, 0, 1, b"\x00\x03abc\x7f\x80\x7f" + b"x" * 255)):
            break
    raw.read(ANSWER)
    return raw.closed or raw.count(GOAWAY) > 0, f"{raw.end()} after {sent:,} parts"


def empty_headers_without_end():
    raw, sent = Raw(), 0
    raw.send(frame(HEADERS, 0, 1, head()))
    for sent in range(200_000):
        if not raw.send(frame(CONTINUATION, 0, 1) * 100):
            break
    raw.read(ANSWER)
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
    raw.read(5)
    return True, f"{sent + 1} calls of {len(again) * 15_000 / 1000:.0f} kB that stand for 60 MB, {raw.end()}"


def message_without_credit():
    """A message whose length is more than any may have."""
    said = []
    for method, size in [("GetFlightInfo", 17 << 20), ("DoPut", 129 << 20), ("DoPut", 0xFFFFFFFF), ("DoAction", 0xFFFFFFFF)]:
        try:
            Client(host, port, seconds=ANSWER).call(method, raw=b"\0" + struct.pack("!I", size) + b"x" * 100)
            said.append(f"{method} {size} answered")
        except Refused as error:
            said.append(error.code)
    return all(code in (8, 11) for code in said), f"codes {said}"


def halves(method, size, count):
    """Calls with a part of a message of so many bytes, which never ends: the codes of the answers, and what was sent."""
    clients, sent, codes = [], 0, set()
    for _ in range(4):
        client = Client(host, port)
        clients.append(client)
        for _ in range(count):
            try:
                stream = client.begin(method)
                client.send(stream, b"\0" + struct.pack("!I", size) + b"x" * (size // 16), end=False)
                sent += size // 16
            except (h2.exceptions.ProtocolError, ConnectionError):
                break
            for event in client.log:
                if isinstance(event, h2.events.ResponseReceived):
                    codes.add(dict(event.headers).get("grpc-status"))
            client.log = []
    return clients, codes, sent


def messages_without_end():
    """What is read of all messages that are not whole has a limit."""
    said, good = [], True
    for method, size, count in [("GetFlightInfo", 16 << 20, 100), ("DoPut", 128 << 20, 20)]:
        clients, codes, sent = halves(method, size, count)
        good = good and codes == {"8"}
        said.append(f"{method}: {sent / 1e6:.0f} MB sent, codes {sorted(codes)}, {process.rss()} MB")
        for client in clients:
            client.close()
    Client(host, port).info("SELECT 1")
    return good, "; ".join(said)


def pings():
    raw, sent = Raw(), 0
    raw.socket.settimeout(5)
    for sent in range(2_000):
        if not raw.send(frame(PING, 0, 0, b"12345678") * 100):
            break
    return True, f"{sent * 100:,} pings whose answers nobody reads"


def settings():
    raw, sent = Raw(), 0
    raw.socket.settimeout(5)
    for sent in range(2_000):
        if not raw.send(frame(SETTINGS, 0, 0) * 100):
            break
    return True, f"{sent * 100:,} settings whose answers nobody reads"


def broken_frames():
    said, good = [], True
    for name, data in {
        "a window of 2 GB and more": frame(WINDOW, 0, 0, struct.pack("!I", 0x7FFFFFFF)) * 2,
        "a frame of 16 MB": b"\xff\xff\xff" + bytes([DATA, 0]) + struct.pack("!I", 1) + b"x" * 1000,
        "data of a call that is not there": frame(DATA, 0, 9, b"x"),
        "a call with an even number": frame(HEADERS, END_HEADERS, 2, head()),
        "headers that are none": frame(HEADERS, END_HEADERS, 1, os.urandom(500)),
        "a dependency on itself": frame(2, 0, 1, struct.pack("!IB", 1, 1)),
        "settings of a wrong length": frame(SETTINGS, 0, 0, b"123"),
        "a ping of a wrong length": frame(PING, 0, 0, b"1"),
        "more padding than data": frame(DATA, 8, 1, b"\xff"),
    }.items():
        raw = Raw()
        raw.send(data)
        raw.read(1.5)
        over = raw.closed or raw.count(GOAWAY) or raw.count(RST)
        # A dependency is an advice and may be passed over.
        good = good and bool(over or name.startswith("a dependency"))
        said.append(f"{name}: {raw.end()}")
    return good, "; ".join(said)


def no_http2():
    said, good = [], True
    for name, data in {
        "noise": os.urandom(4096),
        "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "TLS": bytes.fromhex("160301020001") + os.urandom(512),
        "PostgreSQL": struct.pack("!ii", 8, 80877103),
    }.items():
        with socket.create_connection((host, int(port)), timeout=SILENT) as raw:
            begun = time.monotonic()
            try:
                raw.sendall(data)
                while raw.recv(65536):
                    pass
                said.append(f"{name}: closed after {time.monotonic() - begun:.1f} s")
            except socket.timeout:
                good = False
                said.append(f"{name}: stays open")
            except OSError:
                said.append(f"{name}: closed after {time.monotonic() - begun:.1f} s")
    return good, "; ".join(said)


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


def wrong_calls():
    """Calls that are HTTP/2 and no calls."""
    said, good = [], True
    for name, change in {
        "no such call": {"method": "NoSuchCall"},
        "a path of 60 kB": {"method": "x" * 60_000},
        "compressed by nothing we know": {"more": [("grpc-encoding", "middle-out")], "raw": b"\1\0\0\0\1x"},
        "a time limit that is none": {"more": [("grpc-timeout", "99999999999999S")]},
        "a cookie of 60 kB": {"more": [("cookie", "tidewater_session=" + "A" * 60_000)]},
        "no message": {"raw": b""},
        "two messages": {"raw": framed(query("SELECT 1")) * 2},
        "a message that is none": {"raw": framed(b"\xff" * 100)},
        "a command that is none": {"raw": framed(field(1, 2) + field(2, b"\xff" * 50))},
        "an action of 60 kB": {"method": "DoAction", "raw": framed(action("y" * 60_000))},
    }.items():
        client = Client(host, port, seconds=ANSWER)
        try:
            stream = client.begin(change.get("method", "GetFlightInfo"), *change.get("more", []))
            client.send(stream, change.get("raw", framed(query("SELECT 1"))))
            headers, _ = client.take(stream)
            answer = headers.get("grpc-status", f"HTTP {headers.get(':status')}")
        except ConnectionError as error:
            answer = str(error)
        except OSError as error:
            answer, good = f"no answer ({error})", False
        # The library says "internal" where there is no message to read.
        good = good and (answer not in ("2", "13") or name in ("no message", "a message that is none"))
        said.append(f"{name}: {answer}")
    return good, "; ".join(said)


def at_work():
    """How many of the slow readers' statements are. Texts are told without their values."""
    client = pyarrow.flight.FlightClient(f"grpc://{host}:{port}")
    sql = "SELECT count(*) AS n FROM ops.queries WHERE duration_ms IS NULL AND statement LIKE '%repeat(%'"
    rows = client.do_get(pyarrow.flight.Ticket(endpoint(Client(host, port).info(sql))[1])).read_all()
    return rows.column(0)[0].as_py()


def slow_readers():
    """Clients that ask for rows without end and take none, within a time limit of 3 s: what makes the rows is let go."""
    maker = Client(host, port)
    maker.act("SetSessionOptions", field(1, field(1, "statement_timeout") + field(2, field(1, "3s"))))
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
    started = 0
    while time.monotonic() - begun < 30:
        for raw in readers:
            raw.read(0.1)
        high = max(high, process.rss())
        started = sum(raw.count(HEADERS) for raw in readers)
        running = at_work()
        if time.monotonic() - begun > 5 and running == 0:
            break
    ended = time.monotonic() - begun
    # Who reads on after that is told why there is no more.
    readers[0].send(frame(WINDOW, 0, 1, struct.pack("!I", 1 << 30)) + frame(WINDOW, 0, 0, struct.pack("!I", 1 << 30)))
    readers[0].read(3)
    alive, after = sum(not raw.closed for raw in readers), process.rss()
    for raw in readers:
        raw.socket.close()
    good = running == 0 and started > 0
    return good, f"{started} streams of 40 began, none at work after {ended:.0f} s, {before} → {high} → {after} MB, {alive} connections left"


def mute():
    """Clients that begin well and never answer a ping: one that waits, one in the middle of its headers."""
    for raw in MUTE:
        raw.read(max(0.1, PINGED - (time.monotonic() - BEGUN)))
    return all(raw.closed for raw in MUTE), f"{', '.join(raw.end() for raw in MUTE)} after {time.monotonic() - BEGUN:.0f} s"


CHECKS = {
    "calls taken back at once": rapid_reset,
    "calls that the server must end": made_reset,
    "5,000 calls at once": many_streams,
    "headers without end": headers_without_end,
    "empty headers without end": empty_headers_without_end,
    "headers too long": headers_too_long,
    "headers that grow": table_bomb,
    "messages longer than they may be": message_without_credit,
    "messages without end": messages_without_end,
    "pings": pings,
    "settings": settings,
    "broken frames": broken_frames,
    "no HTTP/2": no_http2,
    "wrong calls": wrong_calls,
    "slow readers": slow_readers,
    "connections that say nothing": silent,
    "clients that answer no ping": mute,
}

MUTE, BEGUN = [Raw(), Raw()], time.monotonic()
for raw in MUTE:
    raw.pings = False
MUTE[1].send(frame(HEADERS, 0, 1, head()))
watch = Watch(process, another)
watch.start()
time.sleep(3)
print(f"others alone: p95 {watch.p95() * 1000:.0f} ms")
for name, body in CHECKS.items():
    if not only.search(name):
        continue
    watch.again()
    begun = time.monotonic()
    try:
        good, text = body()
    except Exception as error:  # a check may fail in any way
        good, text = False, f"{type(error).__name__} {error}"
    took = time.monotonic() - begun
    others, rest = watch.p95(), process.idle()
    good = good and rest is not None and watch.rss < int(rss_max) and watch.error is None
    after = "still computes" if rest is None else f"idle after {rest:.1f} s"
    told(name, good, f"{text}; {took:.1f} s, {watch.rss} MB, {after}, others {others * 1000:.0f} ms")
told("another client throughout", *watch.end())
print(f"{len(passed)} passed, {len(failed)} failed")
sys.stdout.flush()
os._exit(1 if failed else 0)
