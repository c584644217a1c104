"""What the probes that mean harm look at meanwhile: the process they are sent to, and another client of it."""
import os, threading, time

IDLE = 60            # seconds, within which nothing of what was asked computes any more


class Process:
    """A process by its number."""

    def __init__(self, pid):
        self.pid = pid

    def rss(self):
        """Its memory in MB."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

    def cpu(self):
        """Seconds it has computed."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def idle(self):
        """Seconds until it computes no more, or None."""
        begun = time.monotonic()
        while time.monotonic() - begun < IDLE:
            before = self.cpu()
            time.sleep(0.5)
            if self.cpu() - before < 0.4:
                return time.monotonic() - begun
        return None


class Watch(threading.Thread):
    """Another client, who asks again and again, and the memory of the process.

    `connect` gives what asks once; it is called in the thread of the client.
    """

    def __init__(self, process, connect):
        super().__init__(daemon=True)
        self.process, self.connect = process, connect
        self.waits, self.rss, self.error = [], 0, None

    def run(self):
        try:
            ask = self.connect()
            while True:
                begun = time.monotonic()
                ask()
                self.waits.append(time.monotonic() - begun)
                self.rss = max(self.rss, self.process.rss())
                time.sleep(0.02)
        except Exception as error:  # whatever ends it is told at the end
            self.error = error

    def again(self):
        """Forgets what was before."""
        self.waits, self.rss = [], 0

    def p95(self):
        """Seconds that it waited, since it was asked last."""
        waits, self.waits = sorted(self.waits), []
        return waits[int(len(waits) * 0.95)] if waits else 0.0

    def end(self):
        """Whether it went on to the end, and what to say of it."""
        return self.error is None, "answered to the end" if self.error is None else repr(self.error)
