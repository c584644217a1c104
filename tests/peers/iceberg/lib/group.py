"""group.py TIDEWATER FOLDER WAREHOUSE COMMAND...: runs a command against three catalog nodes while they restart.

The words URI and TOKEN in the command stand for the address of the first node and a token of the nodes' secret. The first node
stays up and does not lead for long; of the other two a follower and then the leader are restarted, again and again, by turns
asked to end and killed. A run in which not both kinds of restart happened proves nothing and fails.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

START_SECONDS_MAX = 90
# Between two restarts, so that the command gets on: several of each kind fall into a run all the same.
QUIET_SECONDS = 4
RUN_SECONDS_MAX = 900
SECRET = "a secret of three nodes that only this run knows"

TIDEWATER, FOLDER, WAREHOUSE, COMMAND = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4:]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, condition, seconds=START_SECONDS_MAX):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise SystemExit(f"not within {seconds} s: {what}")


class Node:
    def __init__(self, name):
        self.catalog, raft, self.http = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.catalog}"
        self.config, self.data, self.log = (FOLDER / f"{name}{suffix}" for suffix in (".toml", ".data", ".log"))
        self.config.write_text(
            f'[catalog]\nlisten = "127.0.0.1:{self.catalog}"\nwarehouse = "file://{WAREHOUSE}"\n'
            f'[raft]\nlisten = "127.0.0.1:{raft}"\n[http]\nlisten = "127.0.0.1:{self.http}"\n'
            f'[security]\nnode_secret = "{SECRET}"\n'
        )
        self.process = None

    def cli(self, *args):
        """A verb of the command line; its standard output, or nothing when it failed."""
        done = subprocess.run(
            [TIDEWATER, *args, "--config", self.config, "--data-dir", self.data], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        self.said = done.stderr.strip()
        return done.stdout.strip() if done.returncode == 0 else None

    def cluster(self, *args):
        answer = self.cli("cluster", *args, "--output", "json")
        return None if answer is None else json.loads(answer)

    def must(self, *args):
        answer = self.cluster(*args)
        if answer is None:
            raise SystemExit(f"cluster {' '.join(args)}: {self.said}")
        return answer

    def healthy(self):
        if self.process.poll() is not None:
            raise SystemExit(f"a node ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def start(self):
        with self.log.open("ab") as log:
            command = [TIDEWATER, "serve", "--roles", "catalog", "--config", self.config, "--data-dir", self.data]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(f"{self.log.stem} is ready", self.healthy)

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(timeout=60)


def caught_up(nodes, number):
    """Whether the group has the node with everything that was applied; only the leader knows how far others are."""
    status = nodes[1].cluster("status")
    status = status and nodes.get(status.get("leader")) and nodes[status["leader"]].cluster("status")
    if not status:
        return None
    known = [member for member in status["members"] if member["id"] == number]
    return known and (known[0].get("matched") or 0) >= (status.get("applied") or 0) and status


def restarts(nodes, command):
    """Restarts nodes until the command has ended; how often a follower and how often a leader was restarted."""
    first, count, turn = nodes[1], {"follower": 0, "leader": 0}, 0
    while command.poll() is None:
        status = wait_for("there is a leader", lambda: (s := first.cluster("status")) and s.get("leader") and s)
        if status["leader"] == 1:
            first.cluster("transfer-leader", "2")  # refused while the lease is young: then once more
            continue
        role = ("follower", "leader")[turn % 2]
        number = next(n for n in (2, 3) if (n == status["leader"]) == (role == "leader"))
        how = (signal.SIGTERM, signal.SIGKILL)[turn // 2 % 2]
        nodes[number].end(how)
        # Ended while the command still needs the group: only this is a fault that counts.
        if command.poll() is None:
            count[role] += 1
            print(f"group: {role} {number} {'asked to end' if how == signal.SIGTERM else 'killed'}", flush=True)
        nodes[number].start()
        wait_for(f"node {number} has caught up", lambda: caught_up(nodes, number))
        turn += 1
        try:
            command.wait(timeout=QUIET_SECONDS)
        except subprocess.TimeoutExpired:
            pass
    return count


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    nodes = {}
    try:
        nodes[1] = first = Node("node1")
        first.must("init")
        first.start()
        for number in (2, 3):
            node = Node(f"node{number}")
            assert node.must("join", "--from", first.url)["node"] == number
            nodes[number] = node
            node.start()
            wait_for(f"node {number} is in the group", lambda: caught_up(nodes, number))
        first.must("promote", "2", "3")
        wait_for("the second node leads", lambda: first.cluster("transfer-leader", "2"))
        words = {"URI": first.url, "TOKEN": first.cli("user", "token", "kit")}
        command = [next((arg.replace(word, value) for word, value in words.items() if word in arg.split("=")), arg) for arg in COMMAND]
        begun = time.monotonic()
        running = subprocess.Popen(["timeout", str(RUN_SECONDS_MAX), *command])
        try:
            count = restarts(nodes, running)
        finally:
            if running.poll() is None:
                running.terminate()
            code = running.wait()
        print(f"group: {count['follower']} restarts of a follower and {count['leader']} of the leader in {time.monotonic() - begun:.0f} s", flush=True)
        if not (count["follower"] and count["leader"]):
            print("group: a restart of each kind is wanted", flush=True)
            code = code or 1
    finally:
        for node in nodes.values():
            if node.process is not None and node.process.poll() is None:
                node.end(signal.SIGKILL)
    sys.exit(code)


os.environ.setdefault("RUST_BACKTRACE", "1")
main()
