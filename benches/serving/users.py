"""Clients of a benchmark that ask one statement after the other, all at once."""
import glob, os, subprocess, tempfile, time
from concurrent.futures import ThreadPoolExecutor

PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"


def users(count, ask, seconds, apart=5):
    """All waits, in ms. Each user has what `ask` gives, and calls it with numbers that begin `apart` after those of the one before."""
    asks = [ask() for _ in range(count)]
    stop = time.monotonic() + seconds

    def work(number):
        own, at = [], number * apart
        while time.monotonic() < stop:
            begun = time.perf_counter()
            asks[number](at)
            own.append((time.perf_counter() - begun) * 1000)
            at += 1
        return own

    with ThreadPoolExecutor(count) as pool:
        return [wait for own in pool.map(work, range(count)) for wait in own]


def pgbench(count, dsn, texts, seconds, options):
    """All waits, in ms, of users of the PostgreSQL wire by PostgreSQL's own load generator, which needs little of the processor.

    Each asks statements in an order of its own, as simple queries, and with `options` of the session (`-c name=value`).
    """
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, text in enumerate(texts):
            files += ["-f", f"{folder}/{number}.sql"]
            with open(files[-1], "w") as file:
                file.write(text + ";\n")
        subprocess.run([PGBENCH, "-n", "-c", str(count), "-j", "2", "-T", str(seconds), "-l", "--log-prefix", f"{folder}/waits", *files, dsn],
                       env={**os.environ, "PGOPTIONS": options}, check=True, stdout=subprocess.DEVNULL)
        lines = [line for path in glob.glob(f"{folder}/waits*") for line in open(path)]
        return [int(line.split()[2]) / 1000 for line in lines]
