"""What the probes that mean harm look at meanwhile: the process they are sent to, and another client of it."""
import multiprocessing, os, threading, time

# How many times as long as on a quiet machine answers may take: what runs beside the judge is not the server's doing.
SLACK = float(os.environ.get("HOSTILE_SLACK", "1"))
IDLE = 60            # seconds, within which nothing of what was asked computes any more
ALONE = 5            # seconds, for which the other client asks alone
SLOWER = 2           # times as long as alone that it may wait beside what means harm
# Seconds that it may wait in any case. An answer that takes a millisecond or two alone passes from thread to thread, and on a machine
# of two cores each of them waits for a slice of what computes: that is the system's doing, and nobody sees it at a screen.
FLOOR = 0.05 * SLACK
BESIDE = 1           # seconds, for which what is over at once is done again and again, so that there is something to be seen beside it


def p95(waits):
    """0 of none."""
    waits = sorted(waits)
    return waits[min(len(waits) - 1, int(len(waits) * 0.95))] if waits else 0.0


class Process:
    """A process by its number."""

    def __init__(self, pid):
        self.pid = pid

    def memory(self, line):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(each.split()[1]) // 1024 for each in status if each.startswith(line))

    def rss(self):
        """Its memory in MB."""
        return self.memory("VmRSS")

    def most(self):
        """The most memory it had since that was forgotten, in MB."""
        return self.memory("VmHWM")

    def forget_most(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as clear:
            clear.write("5")

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


class Watch:
    """Another client, who asks again and again, and how long it waits beside what means harm. It is never to be refused; if it is, it
    connects again and goes on, so that what is looked at later is judged by itself.

    It is a process of its own: in this one it would wait for the interpreter, which those who mean harm keep busy. `connect` gives what
    asks once, and is called there. Start it before there are connections and threads, which it would inherit.
    """

    def __init__(self, connect):
        context = multiprocessing.get_context("fork")
        self.told, tell = context.Pipe(duplex=False)
        # When each ask began and ended, and why it had no answer, if it had none; and all of these reasons.
        self.asks, self.refusals = [], []
        self.error, self.alone, self.others, self.worst = None, 0.0, [], (0.0, "nothing")
        self.process = context.Process(target=self.ask, args=(connect, tell), daemon=True)
        self.process.start()
        tell.close()
        threading.Thread(target=self.hear, daemon=True).start()
        time.sleep(1)
        begun = time.monotonic()
        time.sleep(ALONE)
        self.alone = p95(self.waits(begun))
        print(f"others alone: p95 {self.alone * 1000:.1f} ms of {len(self.asks)}; beside each: at most {self.bound() * 1000:.0f} ms", flush=True)

    def ask(self, connect, tell):
        # Or it would never hear that this process has ended.
        self.told.close()
        ask = None
        while True:
            begun, refused = time.monotonic(), None
            try:
                if ask is None:
                    ask = connect()
                    begun = time.monotonic()
                ask()
            except Exception as error:  # an ask may fail in any way
                ask, refused = None, repr(error)
            tell.send((begun, time.monotonic(), refused))
            time.sleep(0.02)

    def hear(self):
        try:
            while True:
                heard = self.told.recv()
                if heard[2] is not None:
                    self.refusals.append(heard[2])
                self.asks.append(heard)
        except EOFError:
            self.error = "it is gone"

    def waits(self, begun):
        """Those that were not over then."""
        return [ended - asked for asked, ended, refused in self.asks if ended > begun and refused is None]

    def bound(self):
        return max(SLOWER * self.alone, FLOOR)

    def beside(self, name, begun, ended):
        """Whether it waited no longer than it may, beside what lasted from then to then; and what to say of it."""
        # One that asked meanwhile is heard first.
        until = time.monotonic() + 2 * IDLE
        while self.error is None and time.monotonic() < until and not any(asked >= ended for asked, _, _ in self.asks[-1:]):
            time.sleep(0.02)
        meanwhile = [ask for ask in self.asks if ask[1] > begun and ask[0] < ended]
        self.asks = []
        waits = [over - asked for asked, over, refused in meanwhile if refused is None]
        refusals = [refused for _, _, refused in meanwhile if refused is not None]
        self.others += waits
        slow = p95(waits)
        self.worst = max(self.worst, (slow, name))
        text = f"others {slow * 1000:.0f} ms = {slow / max(self.alone, 1e-4):.1f} x of {len(waits)}"
        if refusals:
            text += f", {len(refusals)} refused: {refusals[0]}"
        # Between two asks there is a pause.
        heard = bool(waits) or ended - begun < 0.1
        return heard and not refusals and self.error is None and slow <= self.bound(), text

    def end(self):
        """Whether it was answered to the end, and what to say of it."""
        error, slow = self.error, p95(self.others)
        self.process.terminate()
        print(f"others: p95 alone {self.alone * 1000:.1f} ms; beside all of it {slow * 1000:.1f} ms = {slow / max(self.alone, 1e-4):.1f} x"
              f" of {len(self.others)}; beside the worst, {self.worst[1]}, {self.worst[0] * 1000:.0f} ms")
        if self.refusals:
            error = f"{len(self.refusals)} refused, first: {self.refusals[0]}{f'; {error}' if error else ''}"
        return error is None, error or "answered to the end"
