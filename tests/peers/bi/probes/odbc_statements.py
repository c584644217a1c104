"""The checks of the Flight SQL ODBC driver's statements: SQLGetTypeInfo, SQLPrepare, SQLDescribeCol, SQLExecDirect, SQLFetch, SQLGetData, SQLCancel
and diagnostics; and the statements that Power Query and Microsoft Query write for a source of ODBC.
"""
import datetime
import decimal

import pyarrow
import pyarrow.flight as flight

from checks import equal
from flight_wire import CANCELLED, Client, field, framed
from odbc_driver import BIGINT, BINARY, BIT, DATE, DECIMAL, DOUBLE, FLOAT, INTEGER, READABLE, SMALLINT, TIME, TIMESTAMP, VARCHAR, described, sql_type

DEADLINE = 4
HOURS = "SELECT sum(sqrt(a.value * b.value)) AS v FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 30000) b"
NOON = datetime.datetime(2024, 1, 2, 12)
# Of each type of SQL that a table can have: an expression, the type of ODBC, and the value that is read.
DATA = {
    "boolean": ("CAST('true' AS BOOLEAN)", BIT, True),
    "smallint": ("CAST(-7 AS SMALLINT)", SMALLINT, -7),
    "integer": ("CAST(-70000 AS INTEGER)", INTEGER, -70000),
    "bigint": ("CAST(-7000000000 AS BIGINT)", BIGINT, -7000000000),
    "real": ("CAST(1.5 AS REAL)", FLOAT, 1.5),
    "double": ("CAST(0.1 AS DOUBLE PRECISION)", DOUBLE, 0.1),
    "decimal": ("CAST('-12345.67' AS DECIMAL(12, 2))", DECIMAL, decimal.Decimal("-12345.67")),
    "decimal-38": ("CAST('1' AS DECIMAL(38, 6))", DECIMAL, decimal.Decimal("1.000000")),
    "decimal-sum": ("sum(CAST('1' AS DECIMAL(38, 2)))", DECIMAL, decimal.Decimal("1.00")),
    "decimal-average": ("avg(CAST('1' AS DECIMAL(12, 2)))", None, decimal.Decimal(1)),
    "text": ("'Größe 数据 🦀'", VARCHAR, "Größe 数据 🦀"),
    "text-long": ("repeat('x', 200000)", VARCHAR, "x" * 200000),
    "text-empty": ("''", VARCHAR, ""),
    "bytes": ("X'00ff'", BINARY, b"\0\xff"),
    "date": ("DATE '1969-12-31'", DATE, datetime.date(1969, 12, 31)),
    "time": ("TIME '03:04:05.678'", TIME, datetime.time(3, 4, 5, 678000)),
    "timestamp": ("TIMESTAMP '2024-01-02 12:00:00'", TIMESTAMP, NOON),
    "timestamptz": ("TIMESTAMPTZ '2024-01-02 13:00:00+01'", TIMESTAMP, NOON.replace(tzinfo=datetime.timezone.utc)),
    "list": ("ARRAY['a', NULL]", VARCHAR, ["a", None]),
    "struct": ("named_struct('a', 1)", VARCHAR, {"a": 1}),
    "map": ("map(['a'], [1])", VARCHAR, [("a", 1)]),
    "null": ("NULL", VARCHAR, None),
    "null-typed": ("CAST(NULL AS INTEGER)", INTEGER, None),
    "count": ("count(*)", BIGINT, 1),
    "view-type": ("arrow_cast('a', 'Utf8View')", VARCHAR, "a"),
    "dictionary": ("arrow_cast('a', 'Dictionary(Int32, Utf8)')", VARCHAR, "a"),
}


class Statements:
    def __init__(self, odbc, connect, address, toy, mark):
        self.odbc, self.connect, self.address, self.toy, self.table = odbc, connect, address, toy, f"{toy}.{mark}"

    def checks(self):
        odbc, toy, table = self.odbc, self.toy, self.table
        out = {f"data.{name}": lambda case=case: self.data(*case) for name, case in DATA.items()}
        out |= {f"type-info.{name}": getattr(self, f"types_{name}") for name in ("order", "one", "columns", "literals")}
        names = "result update unbound wrong again fresh ddl closed".split()
        out |= {f"prepare.{name}": getattr(self, f"prepare_{name}") for name in names}
        out |= {f"describe.{name}": getattr(self, f"describe_{name}") for name in ("types", "scale", "type_name")}
        for name in "rows none many made inserted changed beside left cancelled timeout".split():
            out[f"execute.{name}"] = getattr(self, name)
        said = {"syntax": "SELEC 1", "column": "SELECT no_such_column", "table": "SELECT * FROM no_such_table"}
        said |= {"runtime": "SELECT CAST('abc' AS INT)", "late": "SELECT 1 / (value - 90000) FROM generate_series(1, 100000)"}
        words = {"syntax": "SELEC", "column": "no_such_column", "table": "no_such_table", "runtime": "abc", "late": "zero"}
        out |= {f"diagnostics.{name}": lambda name=name: self.told(said[name], words[name]) for name in said}
        lake = f'"lake"."{toy}"'
        grouped = f'select "rows"."mood" as "mood", count(1) as "a0" from (select "mood" from {lake}."customers" "$Table") "rows"'
        some = f'select "_"."id", "_"."name" from {lake}."customers" "_" where "_"."joined" >= {{d \'2023-04-10\'}} and "_"."mood" is not null'
        joined = f'select "$Outer"."id", "$Inner"."id2" from {lake}."customers" as "$Outer" left outer join (select "_"."id" as "id2",'
        joined += f' "_"."customer_id" as "c" from {lake}."orders" as "_") as "$Inner" on ("$Outer"."id" = "$Inner"."c") where "$Inner"."id2" = 7'
        cast = f'select cast("_"."amount" as DOUBLE) as "C1", {{fn CONCAT("_"."status", \'!\')}} as "C2" from {lake}."orders" "_" where "_"."id" = 3'
        window = f"SELECT c.id FROM lake.{toy}.customers c WHERE (c.joined>={{ts '2023-04-10 00:00:00'}}) AND (c.name LIKE 'customer 10%')"
        for name, sql, want in [
            ("power-query.empty", f'select * from {lake}."customers" where 1 = 0', []),
            ("power-query.group", grouped + ' group by "mood" order by "mood"', [("high", 33), ("low", 33), ("mid", 34)]),
            ("power-query.filter", some + ' order by "_"."id"', [(99, "customer 99"), (100, "customer 100")]),
            ("power-query.join", joined, [(8, 7)]),
            ("power-query.cast", cast, [(0.3, "new!")]),
            ("power-query.first", f'select "id" from {lake}."customers" order by "id" limit 2 offset 1', [(2,), (3,)]),
            ("microsoft-query.filter", window, [(100,)]),
        ]:
            out[name] = lambda sql=sql, want=want: equal(want, self.rows_of(sql))
        return out

    def rows_of(self, sql):
        return [tuple(row.values()) for row in self.odbc.exec_direct(sql).to_pylist()]

    def data(self, expression, kind, want):
        got = self.odbc.exec_direct(f"SELECT {expression} AS v")
        equal((kind or sql_type(got.schema.field(0).type), [want]), (sql_type(got.schema.field(0).type), got.column(0).to_pylist()))
        if not any(read(got.schema.field(0).type) for read in READABLE):
            raise AssertionError(f"SQLGetData of {got.schema.field(0).type} fails: invalid conversion")

    # SQLGetTypeInfo.

    def types_order(self):
        kinds = [row["data_type"] for row in self.odbc.type_info()]
        equal((sorted(kinds), True), (kinds, len(kinds) > 10))

    def types_one(self):
        equal([["VARCHAR"], ["DATE"], []], [[row["type_name"] for row in self.odbc.type_info(kind)] for kind in (12, 91, 9999)])

    def types_columns(self):
        """A tool looks the types of columns up there."""
        told = {row["data_type"] for row in self.odbc.type_info()}
        equal(set(), {row["type"] for row in self.odbc.columns(None, self.toy)} - told)

    def types_literals(self):
        """What stands around a literal is what Microsoft Query writes around it."""
        samples = {"VARCHAR": "a", "CHAR": "a", "DATE": "2024-01-02", "TIME": "03:04:05", "TIMESTAMP": "2024-01-02 03:04:05"}
        samples |= {"VARBINARY": "00ff", "BINARY": "00ff"}
        rows = [row for row in self.odbc.type_info() if row["literal_prefix"]]
        equal(set(), {row["type_name"] for row in rows} - set(samples))
        for row in rows:
            literal = row["literal_prefix"] + samples[row["type_name"]] + row["literal_suffix"]
            got = self.odbc.exec_direct(f"SELECT {literal} AS v").schema.field(0).type
            equal((literal, {1: VARCHAR, -3: BINARY}.get(row["data_type"], row["data_type"])), (literal, sql_type(got)))

    # SQLPrepare, SQLNumResultCols, SQLDescribeCol, SQLExecute.

    def prepare_result(self):
        handle, columns = self.odbc.prepare(f"SELECT * FROM {self.toy}.orders WHERE id < 3")
        got = self.odbc.execute(handle)
        equal((10, 3, columns), (len(columns), got.num_rows, got.schema))
        self.odbc.free(handle)

    def prepare_update(self):
        """Told as one without columns, and carried out once by what the driver takes for a query."""
        self.odbc.exec_direct(f"CREATE TABLE {self.table}p (id INT)")
        handle, columns = self.odbc.prepare(f"INSERT INTO {self.table}p VALUES (1), (2)")
        equal(0, len(columns))
        self.odbc.execute(handle)
        equal([1, 2], sorted(self.odbc.column(f"SELECT id FROM {self.table}p")))
        self.odbc.execute(handle)
        equal([1, 1, 2, 2], sorted(self.odbc.column(f"SELECT id FROM {self.table}p")))
        self.odbc.free(handle)

    def prepare_ddl(self):
        handle, _ = self.odbc.prepare(f"CREATE TABLE {self.table}d (id INT)")
        equal([], [row for row in self.odbc.tables(schema=self.toy) if f"{self.toy}.{row[2]}" == f"{self.table}d"])
        self.odbc.execute(handle)
        equal([], self.odbc.column(f"SELECT id FROM {self.table}d"))
        self.odbc.free(handle)

    def prepare_unbound(self):
        """It can bind nothing, and asks without."""
        handle, _ = self.odbc.prepare(f"SELECT name FROM {self.toy}.customers WHERE id = ?")
        said = self.refused(lambda: self.odbc.execute(handle))
        self.odbc.free(handle)
        return said

    def prepare_wrong(self):
        equal(True, "no_such_column" in self.refused(lambda: self.odbc.prepare(f"SELECT no_such_column FROM {self.toy}.customers")))

    def prepare_again(self):
        handle, _ = self.odbc.prepare(f"SELECT count(*) FROM {self.toy}.customers")
        equal([[100]] * 3, [self.odbc.execute(handle).column(0).to_pylist() for _ in range(3)])
        self.odbc.free(handle)

    def prepare_fresh(self):
        self.odbc.exec_direct(f"CREATE TABLE {self.table}f (id INT)")
        handle, _ = self.odbc.prepare(f"SELECT count(*) FROM {self.table}f")
        before = self.odbc.execute(handle).column(0).to_pylist()
        self.odbc.exec_direct(f"INSERT INTO {self.table}f VALUES (1)")
        equal(([0], [1]), (before, self.odbc.execute(handle).column(0).to_pylist()))
        self.odbc.free(handle)

    def prepare_closed(self):
        """SQLFreeStmt; each new statement on the handle closes the one before, and nothing is to be read of the answer."""
        handles = [self.odbc.prepare("SELECT 1")[0] for _ in range(20)]
        equal([None] * 20, [self.odbc.free(handle) for handle in handles])

    def describe_types(self):
        _, columns = self.odbc.prepare(f"SELECT * FROM {self.toy}.orders")
        want = [BIGINT, INTEGER, TIMESTAMP, DATE, DECIMAL, DOUBLE, VARCHAR, BIT, VARCHAR, BINARY]
        equal(list(zip(want, [False] * 5 + [True] + [False] * 2 + [True] * 2)), [described(column)[::2] for column in columns])

    def describe_scale(self):
        """The driver knows the digits behind the point from the column's metadata alone."""
        _, columns = self.odbc.prepare(f"SELECT amount, sum(amount) AS s FROM {self.toy}.orders GROUP BY amount")
        direct = self.odbc.info("CommandStatementQuery", field(1, f"SELECT amount FROM {self.toy}.orders"))
        equal([2, 2, 2], [described(column)[1] for column in [*columns, *direct.schema]])

    def describe_type_name(self):
        _, columns = self.odbc.prepare(f"SELECT * FROM {self.toy}.customers")
        equal(["INTEGER", "VARCHAR", "VARCHAR", "DATE"], [described(column)[3] for column in columns])

    # SQLExecDirect, SQLFetch, SQLRowCount, SQLCancel.

    def rows(self):
        equal([*range(9000)], sorted(self.odbc.column(f"SELECT id FROM {self.toy}.orders")))

    def none(self):
        got = self.odbc.exec_direct(f"SELECT id, name FROM {self.toy}.customers WHERE id < 0")
        equal((0, ["id", "name"]), (got.num_rows, got.column_names))

    def many(self):
        got = self.odbc.column("SELECT value FROM generate_series(1, 300000) ORDER BY value")
        equal([*range(1, 300001)], got)

    def made(self):
        for sql in (f"CREATE TABLE {self.table}m AS SELECT 1 AS id", f"CREATE VIEW {self.table}v AS SELECT id FROM {self.table}m"):
            self.odbc.exec_direct(sql)
        equal([1], self.odbc.column(f"SELECT id FROM {self.table}v"))

    def inserted(self):
        """Carried out once by GetFlightInfo and DoGet together."""
        self.odbc.exec_direct(f"CREATE TABLE {self.table}i (id INT)")
        self.odbc.exec_direct(f"INSERT INTO {self.table}i VALUES (1), (2), (3)")
        equal([1, 2, 3], sorted(self.odbc.column(f"SELECT id FROM {self.table}i")))

    def changed(self):
        changes = [f"CREATE TABLE {self.table}c (id INT)", f"INSERT INTO {self.table}c VALUES (1), (2), (3)"]
        changes += [f"UPDATE {self.table}c SET id = id + 10 WHERE id > 1", f"DELETE FROM {self.table}c WHERE id = 13"]
        for sql in changes:
            self.odbc.exec_direct(sql)
        equal([1, 12], sorted(self.odbc.column(f"SELECT id FROM {self.table}c")))

    def beside(self):
        """Two statements of a connection, read in turn: SQL_MAX_CONCURRENT_ACTIVITIES is told to have no end."""
        sql = field(1, "SELECT value FROM generate_series(1, 200000)")
        one, two = (self.odbc.opened(self.odbc.info("CommandStatementQuery", sql))[0] for _ in range(2))
        sizes = [0, 0]
        for at, reader in ((0, one), (1, two)) * 3:
            sizes[at] += reader.read_chunk().data.num_rows
        equal([200000] * 2, [size + sum(chunk.data.num_rows for chunk in reader) for size, reader in zip(sizes, (one, two))])

    def left(self):
        """SQLCloseCursor amid rows, more than a connection's window holds, and the connection goes on."""
        wide = field(1, "SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
        for _ in range(10):
            reader = self.odbc.opened(self.odbc.info("CommandStatementQuery", wide))[0]
            reader.read_chunk()
            del reader
        equal([1], self.odbc.column("SELECT 1"))

    def cancelled(self):
        """SQLCancel lets go of the stream of rows; there is nothing to cancel before their columns came."""
        endless = field(1, "SELECT value FROM generate_series(1, 1000000000000)")
        reader = self.odbc.opened(self.odbc.info("CommandStatementQuery", endless))[0]
        equal(True, reader.read_chunk().data.num_rows > 0)
        reader.cancel()
        self.refused(reader.read_chunk)
        equal([1], self.odbc.column("SELECT 1"))

    def timeout(self):
        """SQL_ATTR_QUERY_TIMEOUT is the deadline of each call, which the server ends too."""
        ticket = self.odbc.info("CommandStatementQuery", field(1, HOURS)).endpoints[0].ticket.ticket
        client = Client(*self.address)
        client.headers = [(name.decode(), value.decode()) for name, value in self.odbc.headers]
        stream = client.begin("DoGet", ("grpc-timeout", "1S"))
        client.send(stream, framed(field(1, ticket)))
        headers, _ = client.take(stream)
        equal(True, int(headers["grpc-status"]) in (DEADLINE, CANCELLED))

    # Diagnostics.

    def refused(self, body):
        try:
            body()
        except (pyarrow.ArrowException, flight.FlightError) as e:
            return str(e)
        raise AssertionError("it was answered")

    def told(self, sql, word):
        """The message is that of the status, and says what is wrong; the connection goes on."""
        said = self.refused(lambda: self.odbc.exec_direct(sql))
        equal((said, True, [1]), (said, word in said, self.odbc.column("SELECT 1")))
        return said
