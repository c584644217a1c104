"""Calls of Flight as bytes, for what no driver sends: gRPC over HTTP/2 by the h2 package, and the few messages of Flight.proto by hand."""
import base64
import socket
import struct
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pyarrow.ipc

SERVICE = "/arrow.flight.protocol.FlightService/"
OK, CANCELLED, INVALID, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED = 0, 1, 3, 5, 6, 7, 8, 9, 11, 12, 16


def varint(n):
    out = b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """A message as {number: [values]}."""
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or number()
            value, at = data[at : at + size], at + size
        out.setdefault(key >> 3, []).append(value)
    return out


def packed(kind, body=b""):
    """A message of Flight SQL in an Any."""
    return field(1, f"type.googleapis.com/arrow.flight.protocol.sql.{kind}") + field(2, body)


def unpacked(kind, data):
    """The fields of such a message."""
    any_ = fields(data)
    if any_[1][0].decode().split("/")[-1] != f"arrow.flight.protocol.sql.{kind}":
        raise AssertionError(f"not {kind} but {any_}")
    return fields(any_.get(2, [b""])[0])


def command(kind, body=b""):
    """The descriptor of a command of Flight SQL."""
    return field(1, 2) + field(2, packed(kind, body))


def query(sql):
    return command("CommandStatementQuery", field(1, sql))


def action(kind, body=b""):
    return field(1, kind) + field(2, body)


def framed(message):
    return b"\0" + struct.pack("!I", len(message)) + message


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Client:
    """One connection. Credentials are sent with each call, cookies when there are any."""

    def __init__(self, host, port, user=None, password=None, token=None, seconds=60, window=None):
        self.authority = f"{host}:{port}"
        self.headers, self.cookie, self.log = [], None, []
        if token:
            self.headers = [("authorization", f"Bearer {token}")]
        elif user is not None:
            basic = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers = [("authorization", f"Basic {basic}")]
        self.socket = socket.create_connection((host, int(port)), timeout=seconds)
        # A call is sent in parts, each of which would wait for word of the one before.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        if window is not None:
            self.h2.local_settings.initial_window_size = window
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def begin(self, method, *more):
        stream = self.h2.get_next_available_stream_id()
        cookie = [("cookie", self.cookie)] if self.cookie else []
        self.h2.send_headers(
            stream,
            [(":method", "POST"), (":scheme", "http"), (":authority", self.authority), (":path", SERVICE + method)]
            + [("content-type", "application/grpc"), ("te", "trailers")]
            + self.headers
            + cookie
            + list(more),
        )
        self.flush()
        return stream

    def send(self, stream, data, end=True):
        """As the other side takes it; False when it wants no more of it."""
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                if any(isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)) for e in self.events()):
                    return False
                continue
            self.h2.send_data(stream, data[:room])
            self.flush()
            data = data[room:]
        if end:
            self.h2.end_stream(stream)
            self.flush()
        return True

    def events(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the connection was closed")
        events = self.h2.receive_data(data)
        self.flush()
        self.log += events
        return events

    def take(self, stream):
        """The headers and bytes of an answer to its end."""
        headers, body = {}, b""
        pending, self.log = self.log, []
        while True:
            for event in pending:
                if isinstance(event, h2.events.ConnectionTerminated):
                    raise ConnectionError(f"goodbye {event.error_code}")
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    headers.update(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                    self.flush()
                elif isinstance(event, h2.events.StreamReset):
                    # A server that has answered may leave the rest of the call unread.
                    if "grpc-status" not in headers:
                        raise ConnectionError(f"reset {event.error_code}")
                    return headers, body
                elif isinstance(event, h2.events.StreamEnded):
                    return headers, body
            pending, self.log = self.events(), []

    def call(self, method, message=b"", raw=None):
        """The messages of the answer; Refused when there is an error."""
        stream = self.begin(method)
        try:
            self.send(stream, framed(message) if raw is None else raw)
        except h2.exceptions.ProtocolError:
            pass  # It has answered before all of it was sent.
        headers, body = self.take(stream)
        code = int(headers.get("grpc-status", -1))
        if code != OK:
            raise Refused(code, urllib.parse.unquote(headers.get("grpc-message", f"HTTP {headers.get(':status')}")))
        if "set-cookie" in headers:
            pair = headers["set-cookie"].split(";")[0]
            self.cookie = None if "Max-Age=0" in headers["set-cookie"] else pair
        messages = []
        while body:
            size = struct.unpack("!I", body[1:5])[0]
            messages.append(body[5 : 5 + size])
            body = body[5 + size :]
        return messages

    def info(self, sql):
        return self.call("GetFlightInfo", query(sql))[0]

    def poll(self, descriptor):
        """The flight info, the descriptor to poll again with or None, and the end of the time of what was answered, in seconds."""
        polled = fields(self.call("PollFlightInfo", descriptor)[0])
        until = fields(polled[4][0]).get(1, [0])[0] if 4 in polled else None
        return polled[1][0], polled.get(2, [None])[0], until

    def act(self, kind, body=b""):
        results = self.call("DoAction", action(kind, body))
        return fields(results[0]).get(1, [b""])[0] if results else b""

    def put(self, descriptor, stream):
        """Sends the messages of an IPC stream; the application metadata of the answers."""
        raw, head = b"", field(1, descriptor)
        for message in pyarrow.ipc.MessageReader.open_stream(stream):
            raw += framed(head + field(2, message.metadata.to_pybytes()) + field(1000, message.body.to_pybytes() if message.body else b""))
            head = b""
        return [fields(one).get(1, [b""])[0] for one in self.call("DoPut", raw=raw)]

    def close(self):
        self.socket.close()


def refused(codes, body):
    try:
        body()
    except Refused as e:
        if e.code not in codes:
            raise AssertionError(f"another code than {codes}: {e}")
        return str(e)[:160]
    raise AssertionError("it was answered")


def endpoint(info):
    """The first endpoint of a flight info, and its ticket."""
    first = fields(info)[3][0]
    return first, fields(fields(first)[1][0])[1][0]
