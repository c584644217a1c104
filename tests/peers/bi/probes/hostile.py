"""Statements and messages of somebody who means harm, or knows no better, against the PostgreSQL wire and HTTP.

hostile.py HOST PORT DB USER PASSWORD PID RSS_MAX_MB [--http PORT] [--only REGEX]

Each must be answered with its code within DEADLINE, be it at once or because a time limit of TIMEOUT ends it, or with rows where it
may be; the process (PID) must live, stay below RSS_MAX_MB, stop computing afterwards, and go on answering another client: the p95 of
that one's waits beside each of them stays below twice of what it was alone, just before, or below 50 ms (watched.py says why). What is
over at once is done again for a second. One line a check; status 1 on a failure, or if there were fewer than LEAST.
"""
import os, re, select, socket, struct, sys, time
import psycopg

from watched import BESIDE, SLACK, Process, Watch

host, port, db, user, password, pid, rss_max = sys.argv[1:8]
options = dict(zip(sys.argv[8::2], sys.argv[9::2]))
only = re.compile(options.get("--only", ""))
dsn = dict(host=host, port=port, dbname=db, user=user, password=password, autocommit=True, connect_timeout=10)
TIMEOUT = 3          # seconds, that the statement is given
DEADLINE = 5 * SLACK # seconds, within which the client must have its code
PATIENCE = 30        # seconds, that those are given which must be answered with rows
SILENT = 150         # seconds, within which a connection is ended on which what was begun does not go on
LEAST = 25           # different ones, without --only
process = Process(pid)
passed, failed = [], []


def told(name, ok, text):
    (passed if ok else failed).append(name)
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {text}", flush=True)


def another():
    connection = psycopg.connect(**dsn)
    return lambda: connection.execute("SELECT count(*) FROM (VALUES (1), (2)) AS t").fetchall()


def chain(part, between, count):
    return "SELECT " + between.join([part] * count)


def levels(first, step, count):
    tables = [f"a0 AS ({first})"] + [f"a{i} AS ({step.replace('$', f'a{i - 1}')})" for i in range(1, count)]
    return f"WITH {', '.join(tables)} "


ONE = "generate_series(1,10) g(x)"
BIG = "generate_series(1,500000000) a(x)"
# What each may answer: rows ("ok") or one of these SQLSTATEs. 57014 is the time limit, 53000 the memory.
STATEMENTS = {
    "brackets": ("SELECT " + "(" * 10000 + "1" + ")" * 10000, "42601 54001"),
    "not": ("SELECT " + "NOT " * 10000 + "true", "54001"),
    "minus": ("SELECT " + "- " * 10000 + "1", "54001"),
    "case in case": ("SELECT " + "CASE WHEN true THEN " * 2000 + "1" + " END" * 2000, "42601 54001"),
    "subqueries": ("SELECT * FROM (" * 400 + "SELECT 1 a" + ") t" * 400, "42601 54001"),
    "sum of many": (chain("1", "+", 10000), "54001"),
    "text of many": (chain("'a'", "||", 5000), "54001"),
    "sum of names that are words": (chain("on", "+", 1_000_000), "54001"),
    "sum of cases": (chain("CASE WHEN true THEN 1 END", "+", 100_000), "54001"),
    "sum within the limit": (chain("1", "+", 200), "ok 57014"),
    "text within the limit": (chain("'a'", "||", 200), "ok 57014"),
    "casts": ("SELECT 1" + "::int::text" * 5000, "54001"),
    "or of many": (f"SELECT 1 FROM {ONE} WHERE " + " OR ".join(f"x={i}" for i in range(20000)), "54001"),
    "or within the limit": (f"SELECT count(*) FROM {ONE} WHERE " + " OR ".join(f"x={i}" for i in range(1000)), "ok"),
    "and within the limit": (f"SELECT count(*) FROM {ONE} WHERE " + " AND ".join(f"x<>{i}" for i in range(1000)), "ok"),
    "list of 100,000": (f"SELECT 1 FROM {ONE} WHERE x IN ({','.join(map(str, range(100000)))})", "ok 57014"),
    "values of 100,000": ("VALUES " + ",".join(f"({i})" for i in range(100000)), "ok 57014"),
    "columns": ("SELECT " + ",".join(f"{i} c{i}" for i in range(100000)), "54001"),
    "columns within the limit": ("SELECT " + ",".join(f"{i} c{i}" for i in range(1600)), "ok"),
    "union of many": (chain("1", " UNION ALL SELECT ", 2000), "54001"),
    "joins": ("SELECT count(*) FROM " + " CROSS JOIN ".join(f"generate_series(1,2) g{i}" for i in range(100)), "57014 54001"),
    "joins of many": ("SELECT count(*) FROM " + ", ".join(f"generate_series(1,2) g{i}" for i in range(1000)), "54001"),
    "tables in a row": (levels("SELECT 1 x", "SELECT x FROM $", 400) + "SELECT * FROM a399", "ok 57014"),
    "tables that double": (levels("SELECT 1 x", "SELECT x FROM $ UNION ALL SELECT x FROM $", 31) + "SELECT count(*) FROM a30", "54001"),
    "texts that double": (levels("SELECT repeat('x', x) s FROM generate_series(1000,1000) g(x)", "SELECT s||s AS s FROM $", 40) + "SELECT length(s) FROM a39", "54000 57014"),
    "recursion without end": ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT count(*) FROM t", "57014"),
    "recursion that doubles": ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t CROSS JOIN generate_series(1,2)) SELECT count(*) FROM t", "57014 53000"),
    "cross join": ("SELECT count(*) FROM generate_series(1,1000000) a(x), generate_series(1,1000000) b(y) WHERE x+y < 0", "57014"),
    "explain analyze": ("EXPLAIN ANALYZE SELECT count(*) FROM generate_series(1,1000000) a(x), generate_series(1,1000000) b(y) WHERE x+y < 0", "57014"),
    "series": ("SELECT sum(x) FROM generate_series(1,1000000000000000000) a(x)", "57014"),
    "rows without end": ("SELECT * FROM generate_series(1,1000000000000) a(x)", "57014"),
    "copy without end": ("COPY (SELECT * FROM generate_series(1,1000000000000)) TO STDOUT", "57014"),
    "repeat": ("SELECT length(repeat('x', 1000000000))", "54000"),
    "repeat of rows": ("SELECT max(repeat('x', 1000000 + x)) FROM generate_series(1,100000) a(x)", "54000"),
    "lpad": ("SELECT lpad('x', 2000000000)", "54000"),
    "rpad": ("SELECT rpad('x', 2000000000, 'yz')", "54000"),
    "array_repeat": ("SELECT array_repeat(1, 1000000000)", "54000"),
    "arrays in arrays": ("SELECT array_repeat(array_repeat(array_repeat(1,100000),100000),10000)", "54000"),
    "array of a range": ("SELECT range(0, 100000000000)", "54000"),
    "replace": ("SELECT length(replace(repeat('a',100000), 'a', repeat('b',100000)))", "54000"),
    "format": ("SELECT format('%1000000000s', 'x')", "54000"),
    "to_char": ("SELECT to_char(now(), repeat('YYYY', 100000))", "54000"),
    "levenshtein": ("SELECT levenshtein(repeat('a',100000), repeat('b',100000))", "54000"),
    "unnest": ("SELECT unnest(array_repeat(1, 100000000)) FROM generate_series(1,1000)", "54000"),
    "string_agg": ("SELECT length(string_agg(repeat('x',1000), ',')) FROM generate_series(1,10000000)", "53000 57014"),
    "array_agg": ("SELECT array_length(array_agg(x),1) FROM generate_series(1,200000000) a(x)", "53000 57014"),
    "distinct": (f"SELECT count(DISTINCT repeat(x::text, 50)) FROM {BIG}", "53000 57014"),
    "groups": ("SELECT x, count(*) FROM generate_series(1,100000000) a(x) GROUP BY x ORDER BY 2 DESC LIMIT 5", "53000 57014"),
    "sort": (f"SELECT x FROM {BIG} ORDER BY -x", "53000 57014"),
    "window": ("SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM generate_series(1,100000000) a(x)", "53000 57014"),
    "wide window": ("SELECT max(s) FROM (SELECT sum(x) OVER (ORDER BY x RANGE BETWEEN 100000 PRECEDING AND 100000 FOLLOWING) s FROM generate_series(1,1000000) a(x)) q", "ok 57014"),
    "median": (f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM {BIG}", "53000 57014"),
    "cube": ("SELECT count(*) FROM (SELECT 1 FROM (SELECT " + ",".join(f"1 c{i}" for i in range(20)) + ") t GROUP BY CUBE(" + ",".join(f"c{i}" for i in range(20)) + ")) q", "54001"),
    "expression that goes back": ("SELECT regexp_replace(repeat('a', 30)||'!', '(a+)+$', 'b')", "ok"),
    "expression too big": ("SELECT 'a' ~ '((a{1,1000}){1,1000}){1,1000}'", "2201B 57014"),
    "like": ("SELECT repeat('a', 100000) LIKE '" + "%a" * 5000 + "%b'", "54001"),
    "text of 60 MB": ("SELECT length('" + "x" * 60_000_000 + "')", "54001"),
    "name of 1 MB": ('SELECT 1 AS "' + "x" * 1_000_000 + '"', "ok 42622"),
    "number of 100,000 digits": ("SELECT " + "9" * 100000, "0A000 22003"),
    "factorial": ("SELECT factorial(100000)", "22003"),
    "json of 100,000 levels": ("SELECT ('" + "[" * 100000 + "]" * 100000 + "')::jsonb", "ok 22P02 54001 0A000"),
    "zero byte": ("SELECT 'a\x00b'", "client ok 42601 22021"),
}


def beside(name, once, deadline=DEADLINE, again=True):
    """Does it, and what is over at once again and again, and tells how it went and what was beside it."""
    process.forget_most()
    begun, longest, times, good = time.monotonic(), 0.0, 0, True
    while good and (times == 0 or again and time.monotonic() < begun + BESIDE):
        one = time.monotonic()
        good, answer = once()
        longest, times = max(longest, time.monotonic() - one), times + 1
    calm, others = watch.beside(name, begun, time.monotonic())
    rest, most = process.idle(), process.most()
    good = good and calm and longest < deadline and rest is not None and most < int(rss_max)
    after = "still computes" if rest is None else f"idle after {rest:.1f} s"
    told(name, good, f"{answer} in {longest:.2f} s{f' at most of {times}' if times > 1 else ''}, {most} MB, {after}, {others}")


def statement(name, sql, allowed):
    given, deadline = (PATIENCE, PATIENCE) if allowed == "ok" else (TIMEOUT, DEADLINE)

    def once():
        try:
            with psycopg.connect(**dsn) as connection:
                connection.execute(f"SET statement_timeout = '{given}s'")
                cursor = connection.cursor()
                if name.startswith("copy"):
                    with cursor.copy(sql) as copy:
                        for _ in copy:
                            pass
                else:
                    cursor.execute(sql)
                    cursor.fetchone()
            answer = "ok"
        except psycopg.Error as error:
            answer = error.sqlstate or ("client" if isinstance(error, psycopg.DataError) else f"no answer ({str(error)[:80]!r})")
        return answer in allowed.split(), answer

    beside(name, once, deadline)


def send(data, to=None):
    """Raw bytes on a connection of their own: what comes back until the other side closes it, None where it does not in time."""
    until, heard = time.monotonic() + DEADLINE, b""
    with socket.create_connection((host, int(to or port)), timeout=DEADLINE) as connection:
        try:
            connection.sendall(data)
        except socket.timeout:
            return None
        except OSError:
            pass  # It was answered before all of it was sent.
        try:
            while True:
                connection.settimeout(max(0.01, until - time.monotonic()))
                more = connection.recv(65536)
                if not more:
                    return heard
                heard += more
        except socket.timeout:
            return None
        except OSError:
            return heard


def sqlstate(heard):
    """That of the error among the messages of a server."""
    while len(heard) >= 5:
        size = struct.unpack("!i", heard[1:5])[0]
        if heard[:1] == b"E":
            return next((part[1:].decode() for part in heard[5 : size + 1].split(b"\0") if part[:1] == b"C"), "no code")
        heard = heard[size + 1 :]
    return "closed"


def startup(**parameters):
    body = struct.pack("!i", 196608) + b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def messages():
    begin = startup(user=user, database=db)
    huge = struct.pack("!i", 0x7FFFFFFF)
    for name, data in {
        "noise": os.urandom(4096),
        "a start of 2 GB": huge + b"\0" * 1024,
        "a start of negative length": struct.pack("!i", -1) + b"\0" * 16,
        "a start of no length": struct.pack("!i", 0),
        "another protocol": struct.pack("!ii", 8, 0x7FFFFFFF),
        "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "TLS": bytes.fromhex("160301020001") + os.urandom(512),
        "a statement before the login": b"Q" + struct.pack("!i", 13) + b"SELECT 1\0",
        "a message of 2 GB": begin + b"p" + huge,
        "a message of negative length": begin + b"p" + struct.pack("!i", -5),
        "a name of a user without end": startup(user="x" * 1_000_000, database=db),
        "10,000 parameters": startup(user=user, **{f"p{i}": "x" for i in range(10000)}),
        "cancelling what is not there": struct.pack("!iiii", 16, 80877102, 1, 2),
    }.items():
        # Cancelling is never answered, or it would tell who is there.
        expected = "closed" if name.startswith("cancelling") else "08P01"

        def once():
            heard = send(data)
            answer = "open" if heard is None else sqlstate(heard)
            return answer == expected, answer

        beside(f"message: {name}", once)


def held(count, first=b""):
    """So many connections that send a little and then nothing: another client still gets in."""
    connections = []
    try:
        for _ in range(count):
            connection = socket.create_connection((host, int(port)), timeout=10)
            connection.sendall(first)
            connections.append(connection)
    except OSError:
        pass
    begun = time.monotonic()
    try:
        with psycopg.connect(**dsn) as connection:
            connection.execute("SELECT 1").fetchall()
        answer = f"in {time.monotonic() - begun:.2f} s"
        good = True
    except psycopg.Error as error:
        answer, good = f"{error.sqlstate} {error}"[:80], error.sqlstate == "53300"
    for connection in connections:
        connection.close()
    return good and len(connections) == count, f"{len(connections)} held, another gets in {answer}"


def unread(count):
    """So many clients that ask for 100 MB and take nothing of it: another one of the same user is answered."""
    slow = []
    for _ in range(count):
        slow.append(psycopg.connect(**dsn))
        slow[-1].pgconn.send_query(b"SELECT n, repeat('x', 1000) AS text FROM generate_series(1, 100000) s(n)")
    waits = []
    try:
        with psycopg.connect(**dsn) as connection:
            connection.execute("SET tidewater.cache = off")
            for _ in range(10):
                begun = time.monotonic()
                connection.execute("SELECT count(*) FROM generate_series(1, 10000)").fetchall()
                waits.append(time.monotonic() - begun)
        answer, good = f"answered in at most {max(waits):.2f} s", True
    except psycopg.Error as error:
        answer, good = f"{error.sqlstate} {error}"[:80], False
    for connection in slow:
        connection.close()
    return good, f"{count} take nothing, another is {answer}"


def in_line(count):
    """So many statements that compute as long as they may, longer than DEADLINE: one that stands in line behind them has its code in time."""
    busy = []
    for _ in range(count):
        busy.append(psycopg.connect(**dsn))
        busy[-1].execute("SET statement_timeout = '20s'")
        busy[-1].pgconn.send_query(b"SELECT sum(x) FROM generate_series(1, 1000000000000000000) a(x)")
    time.sleep(1)
    with psycopg.connect(**dsn) as connection:
        connection.execute(f"SET statement_timeout = '{TIMEOUT}s'")
        asked = time.monotonic()
        try:
            connection.execute("SELECT sum(x) FROM generate_series(1, 1000000000000000000) a(x)").fetchall()
            answer = "ok"
        except psycopg.Error as error:
            answer = error.sqlstate or f"{error}"[:80]
    took = time.monotonic() - asked
    for connection in busy:
        connection.close()
    return answer in ("57014", "53300") and took < DEADLINE, f"behind {count} that compute another is told {answer} after {took:.1f} s"


def half_messages(count):
    """So many clients that send half of a message of 60 MB each, and no more of it: those for whom there is no room are told, others are
    answered, and long messages are taken again when they have gone."""
    half = b"Q" + struct.pack("!i", 60_000_000) + b"x" * 30_000_000
    fit = (256 << 20) // len(half)  # All connections may have 256 MiB.
    clients, lines, told = [], [], []
    try:
        for _ in range(count):
            clients.append(psycopg.connect(**dsn, sslmode="disable"))
            lines.append(socket.socket(fileno=os.dup(clients[-1].pgconn.socket)))
            lines[-1].settimeout(DEADLINE)
            lines[-1].sendall(half)
        waiting, until = list(lines), time.monotonic() + DEADLINE
        while len(told) < count - fit and time.monotonic() < until:
            for line in select.select(waiting, [], [], 0.1)[0]:
                waiting.remove(line)
                heard = b""
                while more := line.recv(65536):
                    heard += more
                told.append(sqlstate(heard))
        with psycopg.connect(**dsn) as connection:
            answers = [connection.execute(f"SELECT length('{'x' * size}')").fetchone()[0] for size in (1, 50_000)]
        answer, good = f"others are answered {answers}", answers == [1, 50_000]
    except (OSError, psycopg.Error) as error:
        answer, good = f"{type(error).__name__} {error}"[:80], False
    for line, client in zip(lines, clients):
        line.close()
        client.close()
    good = good and set(told) == {"53000"} and count - fit <= len(told) < count
    # A text of this length is refused for itself, when it has been read.
    long, until, again = b"Q" + struct.pack("!i", 60_000_000) + b"x" * 59_999_995 + b"\0", time.monotonic() + DEADLINE, "53000"
    while again == "53000" and time.monotonic() < until:
        with psycopg.connect(**dsn, sslmode="disable") as client, socket.socket(fileno=os.dup(client.pgconn.socket)) as line:
            line.settimeout(DEADLINE)
            try:
                line.sendall(long)
                again = sqlstate(line.recv(65536))
            except OSError as error:
                again = type(error).__name__
    return good and again == "54001", f"{len(told)} of {count} told {sorted(set(told))}, {answer}, then a whole one {again}"


def http(at):
    line = b"POST /api/v1/sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    body = lambda data: line + f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data
    for name, (data, allowed) in {
        "noise": (os.urandom(4096), "400"),
        "a body of 1 TB": (line + b"Content-Length: 1000000000000\r\n\r\n{", "413"),
        "a body of 20 MB": (body(b'{"sql": "' + b"x" * 20_000_000), "413"),
        "a header of 1 MB": (b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", "431"),
        "100,000 headers": (b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100_000 + b"\r\n", "431"),
        "a path of 1 MB": (b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "414 431"),
        "json of 100,000 levels": (body(b"[" * 100_000), "400"),
        "no json": (body(b"\xff\xfe"), "400"),
        "two lengths": (line + b"Content-Length: 1\r\nContent-Length: 100\r\n\r\n{}", "400"),
        "chunks of 2 GB": (line + b"Transfer-Encoding: chunked\r\n\r\n7FFFFFFF\r\n" + b"x" * 20_000_000, "413"),
    }.items():

        def once():
            heard = send(data, to=at)
            status = (heard or b"").split(b"\r\n", 1)[0].decode("latin-1")
            return status[9:12] in allowed.split(), status or ("open" if heard is None else "closed")

        beside(f"http: {name}", once)


def begun(at):
    """Connections on which something is begun, and does not go on: so looked at in the end."""
    line = b"POST /api/v1/sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    halves = {"nothing": (port, b""), "half a start": (port, startup(user=user, database=db)[:-5])}
    if at:
        halves |= {
            "http: nothing": (at, b""),
            "http: half a head": (at, b"GET /health HTTP/1.1\r\nHo"),
            "http: half a body": (at, line + b"Content-Length: 100\r\n\r\n{"),
            "http: half a chunk": (at, line + b"Transfer-Encoding: chunked\r\n\r\nFF\r\n{"),
        }
    connections = {}
    for name, (to, data) in halves.items():
        connections[name] = socket.create_connection((host, int(to)), timeout=DEADLINE)
        connections[name].sendall(data)
    return connections


def over(connections, since):
    for name, connection in connections.items():
        try:
            connection.settimeout(max(0.01, since + SILENT - time.monotonic()))
            heard = connection.recv(65536)
            told(f"begun: {name}", True, heard.split(b"\r\n", 1)[0].decode("latin-1") or "closed")
        except socket.timeout:
            told(f"begun: {name}", False, f"open after {time.monotonic() - since:.0f} s")
        except OSError:
            told(f"begun: {name}", True, "closed")


watch = Watch(another)
since, halves = time.monotonic(), begun(options.get("--http")) if only.search("begun") else {}
for name, (sql, allowed) in STATEMENTS.items():
    if only.search(name):
        statement(name, sql, allowed)
if only.search("messages"):
    messages()
    beside("connections that say nothing", lambda: held(1000), again=False)
    beside("logins that never end", lambda: held(500, startup(user=user, database=db)), again=False)
    beside("halves of long messages", lambda: half_messages(20), PATIENCE, again=False)
    beside("readers that do not read", lambda: unread(24), PATIENCE, again=False)
    beside("statements in line", lambda: in_line(20), 2 * PATIENCE, again=False)
    if "--http" in options:
        http(options["--http"])
over(halves, since)
different = len(set(passed + failed))
told("another client throughout", *watch.end())
if not only.pattern:
    told("how many", different >= LEAST, f"{different} different ones, of at least {LEAST}")
print(f"{len(passed)} passed, {len(failed)} failed")
sys.stdout.flush()
os._exit(1 if failed else 0)
