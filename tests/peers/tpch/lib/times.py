"""times.py CATALOG_URI ENDPOINT SF SUITE CORES PID FILE: each query on tidewater and on DuckDB, a warm median of three.

Both have the same cores: DuckDB runs in this process, which is bound to CORES as the server PID has to be.
"""
import json
import math
import os
import pathlib
import statistics
import sys

from suite import Duck, Tidewater, namespace, queries, timed

RUNS = 3
uri, endpoint, factor, suite, cores, pid, file = sys.argv[1:8]
chosen = {int(core) for core in cores.split(",")}
os.sched_setaffinity(0, chosen)
assert os.sched_getaffinity(int(pid)) == chosen, f"the server is not bound to cores {cores}"


def median(engine, text):
    timed(engine, text)
    return statistics.median(timed(engine, text)[0] for _ in range(RUNS))


theirs, ours = Duck(uri, suite, factor, len(chosen)), Tidewater(endpoint)
figures, notes, ratios, total = [], [], [], [0.0, 0.0]
load = os.getloadavg()[0]
for number, text in queries(theirs.db, suite, namespace(suite, factor)):
    try:
        mine, other = median(ours, text), median(theirs, text)
    except Exception as error:
        notes.append(f"q{number} has no figure: {' '.join(str(error).split())[:200]}")
        print(f"q{number:<4} {notes[-1]}", flush=True)
        continue
    ratios.append(mine / other)
    total[0] += mine
    total[1] += other
    print(f"q{number:<4} {mine * 1000:9.1f} ms  {other * 1000:9.1f} ms  {mine / other:6.2f}", flush=True)
    for name, value, unit in (("tidewater", mine * 1000, "ms"), ("duckdb", other * 1000, "ms"), ("ratio", mine / other, "of DuckDB's time")):
        figures.append({"name": f"q{number}.{name}", "value": round(value, 3), "unit": unit})
if not ratios:
    sys.exit("no query has a figure")
mean = math.exp(statistics.fmean(map(math.log, ratios)))
print(f"total {total[0] * 1000:.0f} ms, {total[1] * 1000:.0f} ms, {total[0] / total[1]:.2f}; geometric mean of the ratios {mean:.2f}")
goal = {"goal": "<= 1.0", "met": total[0] <= total[1]}
figures.append({"name": "total.ratio", "value": round(total[0] / total[1], 3), "unit": "of DuckDB's time", **goal})
figures.append({"name": "geometric_mean.ratio", "value": round(mean, 3), "unit": "of DuckDB's time"})
notes.append(f"scale factor {factor}, cores {cores} for both, warm median of {RUNS}; load average {load:.1f} at the start")
machine = {"cores": os.cpu_count(), "load_average_1m_before": round(load, 2)}
document = {"bench": suite, "command": f"tests/peers/tpch/tpch own times {factor}", "profile": "release" if "release" in os.readlink(f"/proc/{pid}/exe") else "debug", "machine": machine, "figures": figures, "notes": notes}
pathlib.Path(file).write_text(json.dumps(document, indent=2) + "\n")
