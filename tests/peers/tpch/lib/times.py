"""times.py CATALOG_URI ENDPOINT SF SUITE CORES PID EXECUTORS PEERS FILE: each query on tidewater, on DuckDB and on PEERS, a warm median of
RUNS (of the environment; three). QUERIES (likewise) is a list of those that are asked, in this order.

All have the same cores: DuckDB runs in this process, which is bound to CORES as the server PID has to be, and starts Spark and Trino.
PEERS is a list of spark, trino and cluster; cluster is tidewater again, by the processes EXECUTORS. Each query is asked of one after
the other, and none works while another does. An answer that is not DuckDB's has no figure.
"""
import contextlib
import json
import math
import os
import pathlib
import statistics
import sys

from compare import differ
from process_memory import Peak
from sql_engines import Spark, Trino
from suite import Duck, Tidewater, namespace, queries, timed

RUNS = int(os.environ.get("RUNS", 3))
QUERIES = [int(number) for number in os.environ.get("QUERIES", "").split(",") if number]
# The total of tidewater in those of the other one; for the cluster, its total in that of the one process.
GOALS = {"duckdb": 1.0, "spark": 0.2, "cluster": 1.1}
NAMES = {"duckdb": "DuckDB", "spark": "Spark", "trino": "Trino"}
uri, endpoint, factor, suite, cores, pid, executors, peers, file = sys.argv[1:10]
chosen = {int(core) for core in cores.split(",")}
os.sched_setaffinity(0, chosen)
servers = [int(each) for each in [pid, *filter(None, executors.split(","))]]
for each in servers:
    assert os.sched_getaffinity(each) == chosen, f"process {each} is not bound to cores {cores}"


class Measured:
    """One engine's seconds by query, and the most memory that it had in any."""

    def __init__(self, engine, pids):
        self.engine, self.peak, self.seconds = engine, Peak(pids), {}

    def ask(self, number, text, want):
        """The first answer, for which no time is taken; `want` is what it has to be, if that is known."""
        with self.peak:
            answer = timed(self.engine, text)[1]
            times = [timed(self.engine, text)[0] for _ in range(RUNS)]
        different = want is not None and differ(text, answer, want)[0]
        if different:
            raise ValueError(f"another answer than DuckDB's: {different}")
        self.seconds[number] = statistics.median(times)
        return answer


def started(stack):
    """All engines. DuckDB is the first, as the others are judged by it."""
    yield "duckdb", Measured(duck, [os.getpid()])
    yield "tidewater", Measured(Tidewater(endpoint, "local" if executors else "auto"), servers[:1])
    for peer in filter(None, peers.split(",")):
        if peer == "cluster":
            yield peer, Measured(Tidewater(endpoint, "cluster"), servers)
        else:
            engine = stack.enter_context({"spark": Spark, "trino": Trino}[peer](uri))
            yield peer, Measured(engine, engine.pids)


def figure(name, value, unit, **more):
    figures.append({"name": name, "value": round(value, 3), "unit": unit, **more})


figures, notes, load = [], [], os.getloadavg()[0]
duck = Duck(uri, suite, factor, len(chosen))
with contextlib.ExitStack() as stack:
    engines = dict(started(stack))
    print("     " + "".join(f"{name:>15}" for name in engines))
    asked = list(queries(duck.db, suite, namespace(suite, factor)))
    if QUERIES:
        asked = sorted((each for each in asked if each[0] in QUERIES), key=lambda each: QUERIES.index(each[0]))
    for number, text in asked:
        want = None
        for name, measured in engines.items():
            try:
                answer = measured.ask(number, text, want)
                want = answer if name == "duckdb" else want
                figure(f"q{number}.{name}", measured.seconds[number] * 1000, "ms")
            except Exception as error:
                notes.append(f"q{number} of {name} has no figure: {' '.join(str(error).split())[:200]}")
                print(notes[-1], flush=True)
            if want is None:
                break
        ours, theirs = (engines[name].seconds.get(number) for name in ("tidewater", "duckdb"))
        if ours and theirs:
            figure(f"q{number}.ratio", ours / theirs, "of DuckDB's time")
        waits = [measured.seconds.get(number) for measured in engines.values()]
        print(f"q{number:<4}" + "".join(f"{wait * 1000:12.1f} ms" if wait else f"{'-':>15}" for wait in waits), flush=True)

ours = engines["tidewater"].seconds
for name, measured in engines.items():
    figure(f"memory.{name}", measured.peak.megabytes, "MB at most")
    both = [number for number in ours if number in measured.seconds]
    if name == "tidewater" or not both:
        continue
    pairs = [(ours[number], measured.seconds[number]) for number in both]
    # How long tidewater takes beside others, but how long executors take beside the one process.
    above, below = zip(*(pair[::-1] if name == "cluster" else pair for pair in pairs))
    total, unit = sum(above) / sum(below), "of the time in one process" if name == "cluster" else f"of {NAMES[name]}'s time"
    prefix = "" if name == "duckdb" else f"{name}."
    goal = {"goal": f"<= {GOALS[name]}", "met": total <= GOALS[name]} if name in GOALS else {}
    figure(f"{prefix}total.ratio", total, unit, **goal)
    mean = math.exp(statistics.fmean(math.log(one / other) for one, other in zip(above, below)))
    figure(f"{prefix}geometric_mean.ratio", mean, unit)
    print(f"{name}: total {sum(above) * 1000:.0f} ms, {sum(below) * 1000:.0f} ms, {total:.2f} {unit} over {len(both)} queries; geometric mean {mean:.2f}; {measured.peak.megabytes:.0f} MB")
print(f"tidewater: {engines['tidewater'].peak.megabytes:.0f} MB")
if not ours:
    sys.exit("no query has a figure")
if "cluster" in engines:
    sent = engines["cluster"].engine.run("SELECT count(DISTINCT hash) FROM ops.queries WHERE route = 'cluster'").column(0)[0].as_py()
    notes.append(f"{sent} of {len(engines['cluster'].seconds)} queries ran on the {len(servers) - 1} executors, whatever was asked")
notes.append(f"scale factor {factor}, cores {cores} for all, warm median of {RUNS}; load average {load:.1f} at the start")
notes.append("memory: the most that was resident, of DuckDB with the Python that it runs in, of a cluster the sum of its processes' maxima")
machine = {"cores": os.cpu_count(), "load_average_1m_before": round(load, 2)}
set_here = "".join(f"{name}={os.environ[name]} " for name in ("RUNS", "QUERIES", "SPARK_HEAP", "TRINO_HEAP", "TRINO_QUERY_MEMORY") if name in os.environ)
command = set_here + f"tests/peers/tpch/tpch own times {factor}" + (f" {suite}" if suite != "tpch" else "") + (f" --peers {peers}" if peers else "")
document = {"bench": suite, "command": command, "profile": "debug" if "/debug/" in os.readlink(f"/proc/{pid}/exe") else "release", "machine": machine, "figures": figures, "notes": notes}
pathlib.Path(file).write_text(json.dumps(document, indent=2) + "\n")
