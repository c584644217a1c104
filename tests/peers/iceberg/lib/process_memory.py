"""The most memory that processes had while something ran, as the kernel keeps it: no peak falls between two looks."""
import pathlib


def resident_max(pid):
    """MB of a million bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"process {pid} has ended")


class Peak:
    """`with peak:` around each thing that counts; `megabytes` is the most of all of them, the processes' own maxima added."""

    def __init__(self, pids):
        self.pids, self.megabytes = pids, 0.0

    def __enter__(self):
        for pid in self.pids:
            # Makes the most that there was what there is now.
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def __exit__(self, *_):
        self.megabytes = max(self.megabytes, sum(map(resident_max, self.pids)))
