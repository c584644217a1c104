"""Ten million rows over Flight SQL, beside a Flight server that does nothing but send the same batches from memory.

streaming.py TIDEWATER --out FILE [--rows N] [--rounds N]

The client is the same for both: Arrow's own in C++, which counts the rows and drops them. The other server is Arrow's own too, in a
process of its own. Both are asked in turn; the ratio is of the best of each. Nothing is asserted: a goal that is missed is told.
"""
import argparse, subprocess, sys, time
import pyarrow as pa
import pyarrow.flight as flight
from lake import Lake, Report

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--rows", type=int, default=10_000_000)
arguments.add_argument("--rounds", type=int, default=5)
given = arguments.parse_args()
SQL = "SELECT id, amount, at, label FROM load.t"

SERVER = """
import sys
import pyarrow as pa
import pyarrow.flight as flight
with pa.memory_map(sys.argv[1]) as file:
    table = pa.ipc.open_file(file).read_all()
class Server(flight.FlightServerBase):
    def do_get(self, context, ticket):
        return flight.RecordBatchStream(table)
server = Server("grpc://127.0.0.1:0")
print(server.port, flush=True)
server.serve()
"""


def field(number, data):
    """A field of bytes, as Protocol Buffers write it."""
    length, size = len(data), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + data


def command(sql):
    """Flight SQL's CommandStatementQuery."""
    return field(1, b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery") + field(2, field(1, sql.encode()))


def fetch(reader, keep=None):
    begun, rows, size = time.perf_counter(), 0, 0
    for chunk in reader:
        rows += chunk.data.num_rows
        size += chunk.data.nbytes
        if keep is not None:
            keep.append(chunk.data)
    assert rows == given.rows, rows
    return time.perf_counter() - begun, size


report = Report("streaming", rows=given.rows)
with Lake(given.tidewater) as lake:
    with lake.connect() as connection:
        connection.execute("CREATE SCHEMA load")
        connection.execute("CREATE TABLE load.t AS SELECT n AS id, n * 0.25 AS amount, TIMESTAMP '2026-01-01 00:00:00' + n * INTERVAL '1 second' AS at, "
                           f"'label-' || (n % 1000) AS label FROM generate_series(1, {given.rows}) s(n)")
    client = flight.connect(lake.flight())

    def own(keep=None):
        info = client.get_flight_info(flight.FlightDescriptor.for_command(command(SQL)))
        return fetch(client.do_get(info.endpoints[0].ticket), keep)

    batches = []
    own(batches)
    report.told("batches", len(batches), "batches")
    with pa.OSFile(f"{lake.folder}/batches.arrow", "wb") as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    batches.clear()
    with subprocess.Popen([sys.executable, "-c", SERVER, f"{lake.folder}/batches.arrow"], stdout=subprocess.PIPE, text=True) as server:
        raw_client = flight.connect(f"grpc://127.0.0.1:{server.stdout.readline().strip()}")
        raw = lambda: fetch(raw_client.do_get(flight.Ticket(b"all")))
        raw()
        took = {"own": [], "raw": []}
        for _ in range(given.rounds):
            for name, one in (("own", own), ("raw", raw)):
                seconds, size = one()
                took[name].append(seconds)
        server.terminate()
    for name, seconds in took.items():
        report.told(f"{name}.rows_per_second", given.rows / min(seconds), "rows/s")
        report.told(f"{name}.bytes_per_second", size / min(seconds) / 1e6, "MB/s")
    report.told("ratio", min(took["raw"]) / min(took["own"]), "of the speed of sending alone", 0.8, least=True)
report.write(given.out)
