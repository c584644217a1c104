"""loss.py ENDPOINT STATUS SF SERVER EXECUTORS FILE: what the death of one of two executors costs a query, and what could be spared of it.

Each query runs on both executors (a warm median of three) and on one of them alone. Then one is killed after a quarter, a half and three
quarters of that time: the plan runs again as a whole on the one that is left (docs/adr/003). Repairing single stages instead could spare
what the survivor had computed before, which is the time until the kill at most. `spared` is that, as a part of the query's time with the
kill; `recovery` is what was lost beside computing: the time with the kill, less the time until it and that of one executor alone.

An answer that is not that of the undisturbed query ends the run, and so does a kill that comes after it.
"""
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from compare import differ
from suite import Tidewater, duck, namespace, queries, timed

RUNS = 3
QUERIES = (1, 5, 9, 18, 21)
MOMENTS = (0.25, 0.5, 0.75)
DEADLINE = 60
endpoint, status, factor, server, executors, file = sys.argv[1:7]
victim, survivor = (int(pid) for pid in executors.split(","))
command, folder = [text.decode() for text in pathlib.Path(f"/proc/{victim}/cmdline").read_bytes().split(b"\0")[:-1]], os.readlink(f"/proc/{victim}/cwd")
data_dir = command[command.index("--data-dir") + 1]
cores = os.sched_getaffinity(victim)
os.sched_setaffinity(0, cores)
cluster = Tidewater(endpoint, "cluster")


def known():
    with urllib.request.urlopen(status, timeout=DEADLINE) as answer:
        return json.load(answer)["executors"]


def wait_for(count):
    end = time.monotonic() + DEADLINE
    while known() != count:
        if time.monotonic() > end:
            sys.exit(f"there are {known()} executors, not {count}, after {DEADLINE} s")
        time.sleep(0.05)


class Victim:
    """The executor that dies. The first one is the shell's child, the others are ours."""

    def __init__(self, pid):
        self.pid, self.process = pid, None

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        if self.process:
            self.process.wait()

    def start(self):
        log = open(f"{data_dir}.log", "ab")
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        wait_for(2)


def figure(name, value, unit):
    figures.append({"name": name, "value": round(value, 3), "unit": unit})


def median(text):
    timed(cluster, text)
    return statistics.median(timed(cluster, text)[0] for _ in range(RUNS))


figures, load, dies = [], os.getloadavg()[0], Victim(victim)
texts = dict(queries(duck("tpch"), "tpch", namespace("tpch", factor)))
chosen = {number: texts[number] for number in QUERIES}
both, alone, answers = {}, {}, {}
for number, text in chosen.items():
    answers[number] = cluster.run(text)
    both[number] = median(text)
dies.kill()
wait_for(1)
for number, text in chosen.items():
    alone[number] = median(text)
dies.start()
spared, slower, recovery = [], [], []
print("       both    alone" + "".join(f"   killed at {moment:.2f} (spared, recovery)" for moment in MOMENTS))
for number, text in chosen.items():
    line = f"q{number:<3}{both[number] * 1000:8.0f} {alone[number] * 1000:8.0f}"
    figure(f"q{number}.both", both[number] * 1000, "ms")
    figure(f"q{number}.alone", alone[number] * 1000, "ms")
    for moment in MOMENTS:
        until = both[number] * moment
        killing = threading.Timer(until, dies.kill)
        killing.start()
        took, answer = timed(cluster, text)
        killing.join()
        different = differ(text, answer, answers[number])[0]
        if different:
            sys.exit(f"q{number}, killed after {until:.2f} s, has another answer: {different}")
        if took < until:
            sys.exit(f"q{number} ended in {took:.2f} s, before the kill after {until:.2f} s")
        wait_for(1)
        dies.start()
        timed(cluster, text)
        lost = took - until - alone[number]
        spared.append(until / took)
        slower.append(took / both[number])
        recovery.append(lost)
        name = f"q{number}.killed_{int(moment * 100)}"
        figure(name, took * 1000, "ms")
        figure(f"{name}.spared", until / took, "of that time at most, if stages were repaired")
        figure(f"{name}.recovery", lost * 1000, "ms")
        line += f"   {took * 1000:8.0f} ms ({until / took:.2f}, {lost * 1000:6.0f} ms)"
    print(line, flush=True)
figure("slower", statistics.fmean(slower), "of the undisturbed time, on average over all kills")
figure("spared", statistics.fmean(spared), "of the time with a kill at most, if stages were repaired, on average")
figure("recovery", statistics.median(recovery) * 1000, "ms, the median")
print(f"with a kill {statistics.fmean(slower):.2f} of the undisturbed time; repair could spare {statistics.fmean(spared):.2f} of it at most; recovery {statistics.median(recovery) * 1000:.0f} ms")
dies.process.send_signal(signal.SIGINT)
dies.process.wait(DEADLINE)
notes = [f"scale factor {factor}; executors and scheduler share cores {sorted(cores)}, and each executor has half as many places for tasks"]
machine = {"cores": os.cpu_count(), "load_average_1m_before": round(load, 2)}
document = {"bench": "executor_loss", "command": f"tests/peers/tpch/tpch own loss {factor}", "profile": "debug" if "/debug/" in os.readlink(f"/proc/{server}/exe") else "release", "machine": machine, "figures": figures, "notes": notes}
pathlib.Path(file).write_text(json.dumps(document, indent=2) + "\n")
