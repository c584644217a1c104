"""A `tidewater up` of its own for a benchmark, and the figures that come of it."""
import json, os, shutil, socket, subprocess, tempfile, time
import psycopg

ROLES = {"catalog": "catalog", "raft": "raft", "scheduler": "scheduler", "executor": "executor", "flight_sql": "flight", "postgres": "postgres", "http": "http"}


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def computed(pid):
    """Seconds that a process has computed."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run():
    """The day and what is measured: the commit, and whether something was changed since."""
    here = os.path.dirname(os.path.abspath(__file__))
    commit = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "commit": commit or "unknown"}


class Report:
    """Figures: printed as they come, and written as JSON with the command and the machine."""

    def __init__(self, bench, script="bench-serving", **facts):
        self.document = {"bench": bench, "command": f"scripts/{script} {bench}", **run(), "load_average_1m_before": os.getloadavg()[0], "cores": os.cpu_count(), **facts, "figures": []}

    def told(self, name, value, unit, goal=None, least=False):
        figure, said = {"name": name, "value": round(value, 3), "unit": unit}, ""
        if goal is not None:
            met = value >= goal if least else value <= goal
            figure |= {"goal": f"{'>=' if least else '<='} {goal:.6g}", "met": met}
            said = f" (goal {figure['goal']}: {'met' if met else 'MISSED'})"
        self.document["figures"].append(figure)
        print(f"{name}: {value:.2f} {unit}{said}", flush=True)

    def note(self, text):
        """What the figures need to be understood."""
        self.document.setdefault("notes", []).append(text)
        print(f"  {text}", flush=True)

    def keep(self, path, peer):
        """Takes over what is told at this path of a peer that this run is without, each figure with the run that it is of."""
        try:
            with open(path) as told:
                former = json.load(told)
        except FileNotFoundError:
            return
        of = {key: former.get(key, "unknown") for key in run()}
        for figure in former["figures"]:
            if figure["name"].startswith(f"{peer.lower()}."):
                kept = {**figure, "of": figure.get("of", of)}
                self.document["figures"].append(kept)
                print(f"{kept['name']}: {kept['value']:.2f} {kept['unit']}, kept of {kept['of']}", flush=True)
        for note in former.get("notes", []):
            if peer in note:
                self.note(note)

    def write(self, path):
        with open(path, "w") as out:
            json.dump(self.document, out, indent=2)
            out.write("\n")


class Lake:
    """The process, in a folder and on ports of its own. Killed and forgotten at the end."""

    def __init__(self, program, *more):
        self.folder = tempfile.mkdtemp()
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(len(ROLES) + 1)]
        *ports, grpc = [each.getsockname()[1] for each in held]
        [each.close() for each in held]
        self.ports = dict(zip(ROLES.values(), ports))
        sections = {section: f'[{section}]\nlisten = "127.0.0.1:{self.ports[name]}"\n' for section, name in ROLES.items()}
        sections["executor"] += f"grpc_port = {grpc}\n"
        with open(f"{self.folder}/tidewater.toml", "w") as config:
            config.write("".join(sections.values()))
        with open(f"{self.folder}/log", "w") as log:
            self.process = subprocess.Popen([program, "--config", f"{self.folder}/tidewater.toml", "up", *more, "--data-dir", f"{self.folder}/data"], stdout=log, stderr=log)

    def __enter__(self):
        try:
            self.wait(60, "it does not answer", lambda: self.connect().close() or True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self, seconds, problem, ready):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if ready():
                    return
            except psycopg.Error:
                pass
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{problem}: {open(f'{self.folder}/log').read()[-2000:]}")
            time.sleep(0.2)

    @property
    def dsn(self):
        return f"host=127.0.0.1 port={self.ports['postgres']} dbname=lake user=bench"

    def connect(self):
        return psycopg.connect(self.dsn, autocommit=True, connect_timeout=30)

    def flight(self):
        return f"grpc://127.0.0.1:{self.ports['flight']}"

    def catalog(self):
        return f"http://127.0.0.1:{self.ports['catalog']}"

    def memory(self):
        """MB: resident now, and the most there was."""
        with open(f"/proc/{self.process.pid}/status") as status:
            kib = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("Vm")}
        return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024

    def cpu(self):
        """Seconds that it has computed."""
        return computed(self.process.pid)

    def forget_most(self):
        """From now on the most that memory() tells is counted anew."""
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as clear:
            clear.write("5")
