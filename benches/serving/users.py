"""Clients of a benchmark that ask one statement after the other, all at once."""
import time
from concurrent.futures import ThreadPoolExecutor


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
