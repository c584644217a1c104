"""Ten million rows over Flight SQL, beside a Flight server that does nothing but send the same batches from memory.

streaming.py TIDEWATER --out FILE [--rows N] [--rounds N]

The client is the same for both: Arrow's own in C++, which counts the rows and drops them. The other server is Arrow's own too, in a
process of its own (floor.py). A third statement reads the same columns and sends one row: what of tidewater's time is reading Parquet,
which the other server does not. All are asked in turn; ratios are of the best of each. Nothing is asserted: a goal that is missed is
told.
"""
import argparse, time
import pyarrow.flight as flight
from arrow_client import Session, statement
from floor import Floor, of_flight
from lake import Lake, Report

arguments = argparse.ArgumentParser()
arguments.add_argument("tidewater")
arguments.add_argument("--out", required=True)
arguments.add_argument("--rows", type=int, default=10_000_000)
arguments.add_argument("--rounds", type=int, default=5)
given = arguments.parse_args()
SQL = "SELECT id, amount, at, label FROM load.t"
# Sums, as the largest values are found without reading every row group.
SCAN = "SELECT sum(id), sum(amount), count(at), sum(length(label)) FROM load.t WHERE id + length(label) > 0"


def fetch(reader):
    begun, rows, size = time.perf_counter(), 0, 0
    for chunk in reader:
        rows += chunk.data.num_rows
        size += chunk.data.nbytes
    assert rows == given.rows, rows
    return time.perf_counter() - begun, size


report = Report("streaming", rows=given.rows)
with Lake(given.tidewater) as lake:
    with lake.connect() as connection:
        connection.execute("CREATE SCHEMA load")
        connection.execute("CREATE TABLE load.t AS SELECT n AS id, n * 0.25 AS amount, TIMESTAMP '2026-01-01 00:00:00' + n * INTERVAL '1 second' AS at, "
                           f"'label-' || (n % 1000) AS label FROM generate_series(1, {given.rows}) s(n)")
    client = flight.connect(lake.flight())

    def own():
        info = client.get_flight_info(statement(SQL))
        return fetch(client.do_get(info.endpoints[0].ticket))

    session = Session(lake.flight(), {"tidewater.cache": "off"})

    def scan():
        begun = time.perf_counter()
        session.ask(SCAN)
        return time.perf_counter() - begun, 0

    with Floor("flight", of_flight(lake.flight(), [SQL], lake.folder)) as server:
        raw_client = flight.connect(server.flight())
        endpoint = raw_client.get_flight_info(statement(SQL)).endpoints[0]
        report.told("batches", sum(1 for _ in raw_client.do_get(endpoint.ticket)), "batches")
        raw = lambda: fetch(raw_client.do_get(endpoint.ticket))
        took = {"own": [], "raw": [], "scan": []}
        for _ in range(given.rounds):
            for name, one in (("scan", scan), ("own", own), ("raw", raw)):
                seconds, size = one()
                took[name].append(seconds)
    scanned = min(took.pop("scan"))
    report.told("scan.rows_per_second", given.rows / scanned, "rows/s")
    for name, seconds in took.items():
        report.told(f"{name}.rows_per_second", given.rows / min(seconds), "rows/s")
        report.told(f"{name}.bytes_per_second", size / min(seconds) / 1e6, "MB/s")
    report.told("ratio", min(took["raw"]) / min(took["own"]), "of the speed of sending alone", 0.8, least=True)
    report.told("ratio_after_scan", (scanned + min(took["raw"])) / min(took["own"]), "of the speed of scanning first and sending then")
report.write(given.out)
