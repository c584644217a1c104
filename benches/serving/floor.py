"""Servers that send what they were given and look nothing up: what a client waits for all the same, beside what a server does for it.

The one for Flight SQL is Arrow's own in C++, which Python tells what to send: it has the FlightInfo, the ticket and the batches that
tidewater gave, of each statement, and encodes the batches anew for each call as any such server does. The one for the PostgreSQL wire
has the bytes that tidewater sent, of each statement and of the beginning, and writes them as they are. Each is a process of its own.
"""
import asyncio, pickle, shutil, socket, struct, subprocess, sys, tempfile
import pyarrow as pa
import pyarrow.flight as flight
from arrow_client import statement

# The first words of a connection of PostgreSQL: the protocol's version, and what asks for encryption before it.
STARTUP, ENCRYPTION = 196_608, (80_877_103, 80_877_104)


class Floor:
    """Such a server, in a folder of its own. Killed and forgotten at the end."""

    def __init__(self, wire, given):
        self.folder = tempfile.mkdtemp()
        path = f"{self.folder}/given"
        with open(path, "wb") as out:
            pickle.dump(given, out)
        self.process = subprocess.Popen([sys.executable, __file__, wire, path], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        said = self.process.stdout.readline()
        if not said:
            self.__exit__()
            raise SystemExit("the server that only sends did not begin")
        self.port = int(said)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def dsn(self):
        return f"host=127.0.0.1 port={self.port} dbname=lake user=bench"

    def flight(self):
        return f"grpc://127.0.0.1:{self.port}"


def write(path, schema, batches):
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def of_flight(uri, texts, folder):
    """What a server of Flight SQL answers these statements with; its rows lie in files of the folder."""
    client, given = flight.connect(uri), []
    for number, sql in enumerate(texts):
        asked = statement(sql)
        info = client.get_flight_info(asked)
        ticket = info.endpoints[0].ticket
        reader = client.do_get(ticket)
        path = f"{folder}/floor-{number}.arrow"
        write(path, reader.schema, [chunk.data for chunk in reader])
        given.append((asked.command, info.serialize(), ticket.ticket, path))
    client.close()
    return given


def of_postgres(port, texts, options):
    """What a server of the PostgreSQL wire answers these statements with, as simple queries, and how it welcomes its client."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, connection.makefile("rb") as heard:
        def answer():
            whole, kind = b"", b""
            while kind != b"Z":
                head = heard.read(5)
                if len(head) < 5:
                    raise SystemExit(f"the connection ended after {whole[-150:]}")
                kind = head[:1]
                body = heard.read(struct.unpack("!i", head[1:])[0] - 4)
                if kind == b"E":
                    raise SystemExit(f"refused: {body}")
                whole += head + body
            return whole

        words = b"user\0bench\0database\0lake\0options\0" + options.encode() + b"\0\0"
        connection.sendall(struct.pack("!ii", len(words) + 8, STARTUP) + words)
        welcome, answers = answer(), {}
        for sql in texts:
            said = sql.encode() + b"\0"
            connection.sendall(b"Q" + struct.pack("!i", len(said) + 4) + said)
            answers[plain(sql.encode())] = answer()
        connection.sendall(b"X\0\0\0\4")
    return welcome, answers


def plain(sql):
    """A statement without what a client may leave out of it or put to it."""
    return b" ".join(sql.rstrip(b"\0; \n").split())


def serve_flight(given):
    infos, answers = {}, {}
    for command, info, ticket, path in given:
        infos[command] = flight.FlightInfo.deserialize(info)
        with pa.memory_map(path) as source:
            file = pa.ipc.open_file(source)
            answers[ticket] = file.schema, [file.get_batch(number) for number in range(file.num_record_batches)]

    class Server(flight.FlightServerBase):
        def get_flight_info(self, context, descriptor):
            return infos[descriptor.command]

        def do_get(self, context, ticket):
            return flight.RecordBatchStream(pa.RecordBatchReader.from_batches(*answers[ticket.ticket]))

    server = Server("grpc://127.0.0.1:0")
    print(server.port, flush=True)
    server.serve()


def serve_postgres(given):
    welcome, answers = given
    # As each client words them.
    worded = {}

    class Connection(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport, self.came, self.is_welcome = transport, b"", False
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def data_received(self, data):
            self.came += data
            while True:
                # What a client says first has no kind.
                head = 1 if self.is_welcome else 0
                if len(self.came) < head + 4:
                    return
                end = head + struct.unpack_from("!i", self.came, head)[0]
                if len(self.came) < end:
                    return
                message, self.came = self.came[:end], self.came[end:]
                self.heard(message)

        def heard(self, message):
            if not self.is_welcome:
                code = struct.unpack_from("!i", message, 4)[0]
                if code in ENCRYPTION:
                    self.transport.write(b"N")
                elif code == STARTUP:
                    self.is_welcome = True
                    self.transport.write(welcome)
                else:
                    self.transport.close()
            elif message[:1] == b"Q":
                answer = worded.get(message)
                if answer is None:
                    answer = worded[message] = answers[plain(message[5:])]
                self.transport.write(answer)
            else:
                self.transport.close()

    async def serve():
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        what = pickle.load(file)
    {"flight": serve_flight, "postgres": serve_postgres}[sys.argv[1]](what)
