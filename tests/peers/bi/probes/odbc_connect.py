"""The checks of SQLDriverConnect and SQLDisconnect of the Flight SQL ODBC driver: password, token, nobody, and the headers of each call."""
import threading

import h2.events
import pyarrow.flight as flight

from checks import Skip, equal
from flight_wire import Client, field, framed
from odbc_driver import Odbc

LOGINS = 30
WRONG = {"wrong-password": {"password": "no such password"}, "no-password": {"password": ""}, "unknown-user": {"user": "no_such_user"}}
WRONG |= {"wrong-token": {"user": None, "password": None, "token": "no such token"}}


class Connections:
    def __init__(self, odbc, connect, address, users, toy, mark):
        self.odbc, self.connect, self.address, self.users, self.toy, self.mark = odbc, connect, address, users, toy, mark
        self.token = odbc.headers[0][1].decode().removeprefix("Bearer ")

    def checks(self):
        out = {"bearer": self.bearer, "token": self.by_token, "handshake-end": self.half_open, "property": self.property}
        out |= {"disconnected": self.reconnected, "nobody": lambda: self.refused(lambda: Odbc(*self.address).sql_info())}
        return out | {name: lambda who=who: self.refused(lambda: self.connect(**who)) for name, who in WRONG.items()}

    def refused(self, body):
        """The driver makes 28000 of UNAUTHENTICATED alone."""
        if not self.users:
            raise Skip("no users")
        try:
            body()
        except flight.FlightUnauthenticatedError as e:
            return str(e)
        raise AssertionError("it was answered")

    def bearer(self):
        """An empty name would be sent as a header with every call, which gRPC refuses."""
        equal((b"authorization", b"Bearer "), (self.odbc.headers[0][0], self.odbc.headers[0][1][:7]))
        equal([1], self.odbc.column("SELECT 1"))

    def by_token(self):
        """TOKEN in the connection string: a handshake that says nothing, and an empty auth-token-bin with each call after it."""
        done = []
        for _ in range(LOGINS):
            thread = threading.Thread(target=lambda: done.append(self.connect(user=None, password=None, token=self.token)), daemon=True)
            thread.start()
            thread.join(10)
            equal("logged in", "logged in" if not thread.is_alive() else f"login {len(done) + 1} waits for ever")
        equal([2] * LOGINS, [client.column("SELECT 2")[0] for client in done])

    def half_open(self):
        """Arrow's client writes, says that it has written all, and waits for the end: one that comes before lets it wait for ever."""
        client = Client(*self.address, token=self.token)
        stream = client.begin("Handshake")
        client.send(stream, framed(b""), end=False)
        client.socket.settimeout(1)
        try:
            while not any(isinstance(event, (h2.events.TrailersReceived, h2.events.StreamEnded)) for event in client.log):
                client.events()
            raise AssertionError("the server ended the handshake before the client had")
        except TimeoutError:
            client.socket.settimeout(60)
            client.h2.end_stream(stream)
            client.flush()
        equal("0", client.take(stream)[0]["grpc-status"])

    def property(self):
        """What the driver does not know is a header of each call."""
        said = []
        for client in (self.odbc, self.odbc, self.connect(properties=[(b"tidewater.cache", b"off")])):
            client.exec_direct(f"SELECT count(*) AS {self.mark} FROM {self.toy}.orders")
            said += client.answers.headers["x-cache"]
        equal(["MISS", "HIT", "BYPASS"], said)

    def reconnected(self):
        """SQLDisconnect lets go of the connection, whatever is open on it."""
        client = self.connect()
        handle, _ = client.prepare(f"SELECT id FROM {self.toy}.customers")
        client.opened(client.info("CommandStatementQuery", field(1, f"SELECT * FROM {self.toy}.orders")))
        client.close()
        again = self.connect()
        equal(100, again.execute(handle).num_rows)
        again.free(handle)
