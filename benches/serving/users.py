"""Clients of a benchmark that ask one statement after the other, all at once."""
import glob, os, subprocess, tempfile, time
from concurrent.futures import ThreadPoolExecutor

PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"


def users(count, ask, seconds, apart=5, rate=None):
    """All waits, in ms. Each user has what `ask` gives, and calls it with numbers that begin `apart` after those of the one before.

    With a `rate` a user asks so often a second, and waits from when a statement is due; without it as soon as it has its answer.
    """
    asks = [ask() for _ in range(count)]
    start = time.perf_counter()
    stop = start + seconds

    def work(number):
        own, at = [], number * apart
        due = start + number / count / rate if rate else start
        while max(due, time.perf_counter()) < stop:
            begun = time.perf_counter()
            if rate:
                time.sleep(max(0, due - begun))
                begun, due = due, due + 1 / rate
            asks[number](at)
            own.append((time.perf_counter() - begun) * 1000)
            at += 1
        return own

    with ThreadPoolExecutor(count) as pool:
        return [wait for own in pool.map(work, range(count)) for wait in own]


def pgbench(count, dsn, texts, seconds, options, rate=None):
    """All waits, in ms, of users of the PostgreSQL wire by PostgreSQL's own load generator, which needs little of the processor.

    Each asks statements in an order of its own, as simple queries, and with `options` of the session (`-c name=value`). With a `rate` they
    ask so often a second each, on average, and wait from when a statement is due.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, text in enumerate(texts):
            files += ["-f", f"{folder}/{number}.sql"]
            with open(files[-1], "w") as file:
                file.write(text + ";\n")
        pace = ["-R", str(count * rate)] if rate else []
        subprocess.run([PGBENCH, "-n", "-c", str(count), "-j", "2", "-T", str(seconds), *pace, "-l", "--log-prefix", f"{folder}/waits", *files, dsn],
                       env={**os.environ, "PGOPTIONS": options}, check=True, stdout=subprocess.DEVNULL)
        lines = [line for path in glob.glob(f"{folder}/waits*") for line in open(path)]
        return [int(line.split()[2]) / 1000 for line in lines]
