"""What the Flight SQL ODBC driver (apache/arrow, cpp/src/arrow/flight/sql/odbc) does for the functions of ODBC: its calls, and what it makes of the
answers. Written after its source; the client is that of Arrow C++, as the driver's is.

It sends no other calls: SQLBindParameter, SQLNumParams and SQLEndTran are refused by it, SQLPrimaryKeys and SQLForeignKeys ask nobody, SQLRowCount
is always -1, SQLCancel and SQLCloseCursor let go of streams, SQLDisconnect of the connection. SQLExecDirect and SQLExecute take all for queries.
"""
import re

import pyarrow
import pyarrow.flight as flight
import pyarrow.types as t

from flight_engine import parsed
from flight_wire import field, packed, unpacked

# What is no keyword of the driver's own in a connection string goes out as a header, and "driver" and "dsn" are none of its own.
PROPERTIES = [(b"driver", b"{Apache Arrow Flight SQL ODBC Driver}"), (b"dsn", b"lake"), (b"chunkbuffercapacity", b"5")]


def codes(*of):
    return {code for part in of for code in ([part] if isinstance(part, int) else part)}


# get_info_cache.cc: of each code of SqlInfo the member of the union to which its scalar is cast, unasked.
INFO = {
    "string_value": codes(0, 1, 504, 513, 514, range(529, 532)),
    "bool_value": codes(3, 501, 502, 506, 515, 516, range(518, 522), 523, 524, 527, 532, 537, 556, 563, 565, 566, 572),
    "bigint_value": codes(range(541, 556), range(557, 563)),
    "int32_bitmask": codes(522, 525, 526, 528, 533, 534, 538, 540, 564),
    "string_list": codes(range(508, 513)),
    "int32_to_int32_list_map": {517},
}
# These are int32 to the protocol and to JDBC; the ODBC driver reads a long there. Held to the protocol.
CONTRADICTED = {503, 505, 507}
UINT16 = codes(range(543, 551), range(552, 555), range(558, 562))
BIT, DECIMAL, INTEGER, SMALLINT, FLOAT, DOUBLE, VARCHAR, DATE, TIME, TIMESTAMP = -7, 3, 4, 5, 6, 8, 12, 91, 92, 93
BIGINT, TINYINT, BINARY = -5, -6, -2
TYPE_NAMES = {BIT: "BIT", DECIMAL: "DECIMAL", INTEGER: "INTEGER", SMALLINT: "SMALLINT", FLOAT: "FLOAT", DOUBLE: "DOUBLE", VARCHAR: "VARCHAR"}
TYPE_NAMES |= {DATE: "DATE", TIME: "TIME", TIMESTAMP: "TIMESTAMP", BIGINT: "BIGINT", TINYINT: "TINYINT", BINARY: "BINARY"}
# util.cc, GetDataTypeFromArrowFieldV3: what it does not know is VARCHAR.
TYPES = [(t.is_boolean, BIT), (t.is_int8, TINYINT), (t.is_uint8, TINYINT), (t.is_int16, SMALLINT), (t.is_uint16, SMALLINT), (t.is_int32, INTEGER)]
TYPES += [(t.is_uint32, INTEGER), (t.is_int64, BIGINT), (t.is_uint64, BIGINT), (t.is_float16, FLOAT), (t.is_float32, FLOAT), (t.is_float64, DOUBLE)]
TYPES += [(t.is_binary, BINARY), (t.is_large_binary, BINARY), (t.is_fixed_size_binary, BINARY), (t.is_date, DATE), (t.is_timestamp, TIMESTAMP)]
TYPES += [(t.is_decimal128, DECIMAL), (t.is_time, TIME)]
# util.cc, ConvertArrowTypeToC and NeedArrayConversion: SQLGetData of any other fails.
READABLE = [t.is_string, t.is_boolean, t.is_signed_integer, t.is_unsigned_integer, t.is_float32, t.is_float64, t.is_binary, t.is_date, t.is_time]
READABLE += [t.is_timestamp, t.is_decimal128, t.is_list, t.is_large_list, t.is_fixed_size_list, t.is_map, t.is_struct]
RADIX = {kind: 10 for kind in (DECIMAL, SMALLINT, TINYINT, INTEGER, BIGINT)} | {FLOAT: 2, DOUBLE: 2}
# type_info_reader.cc: by position, each with the array that it is cast to.
TYPE_INFO = [t.is_string, t.is_int32, t.is_int32, t.is_string, t.is_string, t.is_list, t.is_int32, t.is_boolean, t.is_int32, t.is_boolean]
TYPE_INFO += [t.is_boolean, t.is_boolean, t.is_string, *[t.is_int32] * 6]


def sql_type(kind):
    return next((code for told, code in TYPES if told(kind)), VARCHAR)


def key(column, name):
    """Of the keys of Flight SQL of a column."""
    value = (column.metadata or {}).get(f"ARROW:FLIGHT:SQL:{name}".encode())
    return None if value is None else value.decode()


def number(column, name):
    """As std::stoi does, which ends the process of whoever called the driver where it is none."""
    value = key(column, name)
    return None if value is None else int(value)


def described(column):
    """SQLDescribeCol and SQLColAttribute: type, scale, whether null is known, and the name of the type (result_set_metadata.cc)."""
    kind = sql_type(column.type)
    scale = {TIME: 3, TIMESTAMP: 3, DECIMAL: number(column, "SCALE") or 0}.get(kind, 0)
    return kind, scale, column.nullable, key(column, "TYPE_NAME") or ""


def table_types(text):
    """statement_get_tables.cc, ParseTableTypes."""
    return [word.replace("'", "").strip() for word in text.split(",")]


def dbms_version(text):
    """util.cc, ConvertToDBMSVer, of versions of three numbers."""
    major, minor, patch = (int(part) for part in re.match(r"(\d+)\.(\d+)\.(\d+)", text).groups())
    return f"{major:02}.{minor:02}.{patch:04}"


class NoHandshake(flight.ClientAuthHandler):
    """auth_method.cc, NoOpClientAuthHandler."""

    def authenticate(self, outgoing, incoming):
        outgoing.write(b"")

    def get_token(self):
        return b""


class Answers(flight.ClientMiddlewareFactory):
    """The headers of the last answer."""

    def __init__(self):
        super().__init__()
        self.headers = {}

    def start_call(self, info):
        answers = self

        class Middleware(flight.ClientMiddleware):
            def received_headers(self, headers):
                answers.headers.update(headers)

        return Middleware()


class Odbc:
    """One connection of SQLDriverConnect. `properties` are more of the connection string."""

    def __init__(self, host, port, user=None, password=None, token=None, properties=()):
        self.answers = Answers()
        self.client = flight.FlightClient(f"grpc://{host}:{port}", middleware=[self.answers])
        self.headers = []
        if user is not None or password is not None:
            name, value = self.client.authenticate_basic_token(user or "", password or "")
            self.headers = [(name, value)]
        elif token is not None:
            self.headers = [(b"authorization", f"Bearer {token}".encode())]
            self.client.authenticate(NoHandshake(), options=flight.FlightCallOptions(headers=self.headers))
        self.headers = self.headers + PROPERTIES + list(properties)

    @property
    def options(self):
        return flight.FlightCallOptions(headers=self.headers)

    def info(self, kind, body=b""):
        """A flight info whose schema the driver can read, and whose endpoints it can reach."""
        info = self.client.get_flight_info(flight.FlightDescriptor.for_command(packed(kind, body)), self.options)
        if info.schema is None:
            raise AssertionError("no schema")
        first = [place.uri for end in info.endpoints for place in end.locations[:1]]
        away = [uri for uri in first if not re.match(rb"grpc(\+tcp|\+tls)?://\w", uri)]
        if away or not info.endpoints:
            raise AssertionError(f"it would go to {away}")
        return info

    def opened(self, info):
        return [self.client.do_get(end.ticket, self.options) for end in info.endpoints]

    def fetched(self, info):
        """SQLFetch to the end: a chunk without data ends it (stream_chunk_buffer.cc), and columns are read as the info told."""
        batches = []
        for reader in self.opened(info):
            if not reader.schema.equals(info.schema, check_metadata=True):
                raise AssertionError(f"told {info.schema}, sent {reader.schema}")
            while True:
                try:
                    chunk = reader.read_chunk()
                except StopIteration:
                    break
                if chunk.data is None:
                    raise AssertionError("a chunk without data, at which the driver stops")
                batches.append(chunk.data)
        return pyarrow.Table.from_batches(batches, info.schema)

    def asked(self, kind, body=b""):
        return self.fetched(self.info(kind, body))

    def close(self):
        self.client.close()

    # Statements.

    def exec_direct(self, sql):
        return self.asked("CommandStatementQuery", field(1, sql))

    def column(self, sql):
        return self.exec_direct(sql).column(0).to_pylist()

    def action(self, kind, body):
        return list(self.client.do_action(flight.Action(kind, packed(f"Action{kind}Request", body)), self.options))

    def prepare(self, sql):
        """The handle and the columns. Where no schema comes the driver follows a null pointer (result_set_metadata.cc, GetColumnCount)."""
        got = unpacked("ActionCreatePreparedStatementResult", self.action("CreatePreparedStatement", field(1, sql))[0].body.to_pybytes())
        if not got.get(2, [b""])[0]:
            raise AssertionError("no dataset schema: the driver follows a null pointer")
        return got[1][0], parsed(got[2][0])

    def execute(self, handle):
        return self.asked("CommandPreparedStatementQuery", field(1, handle))

    def free(self, handle):
        self.action("ClosePreparedStatement", field(1, handle))

    # The catalog.

    def sql_info(self):
        """SQLGetInfo: all of it in one call, {code: (member, value)}; the columns are found by name."""
        got = self.asked("CommandGetSqlInfo").combine_chunks()
        values = got.column("value").chunk(0)
        members = [values.type.field(at).name for at in range(values.type.num_fields)]
        rows = zip(got.column("info_name").to_pylist(), values.type_codes, values)
        return {code: (members[member.as_py()], value.as_py()) for code, member, value in rows}

    def tables(self, catalog=None, schema=None, table=None, types=None):
        """SQLTables: rows of catalog, schema, table and type, of which the three enumerations leave the others null."""
        if (catalog, schema, table) == ("%", "", ""):
            return [(row["catalog_name"], None, None, None) for row in self.asked("CommandGetCatalogs").to_pylist()]
        if (catalog, schema, table) == ("", "%", ""):
            return [(None, row["db_schema_name"], None, None) for row in self.asked("CommandGetDbSchemas", field(2, "%")).to_pylist()]
        if (catalog, schema, table, types) == ("", "", "", "%"):
            return [(None, None, None, row["table_type"]) for row in self.asked("CommandGetTableTypes").to_pylist()]
        body = self.place(catalog, schema, table) + b"".join(field(4, word) for word in ([] if types is None else table_types(types)))
        names = ("catalog_name", "db_schema_name", "table_name", "table_type")
        return [tuple(row[name] for name in names) for row in self.asked("CommandGetTables", body).to_pylist()]

    @staticmethod
    def place(*parts):
        return b"".join(field(at, part) for at, part in enumerate(parts, 1) if part is not None)

    def columns(self, catalog=None, schema=None, table=None, pattern="%"):
        """SQLColumns; the pattern of the column is the driver's affair. It reads a field's metadata without looking whether there is any."""
        like, rows = re.compile(re.escape(pattern).replace("%", ".*").replace("_", ".")), []
        for place in self.asked("CommandGetTables", self.place(catalog, schema, table) + field(5, 1)).to_pylist():
            for at, column in enumerate(parsed(place["table_schema"]), 1):
                if not like.fullmatch(column.name):
                    continue
                if not column.metadata:
                    raise AssertionError(f"{place['table_name']}.{column.name} has no metadata: the driver follows a null pointer")
                kind = sql_type(column.type)
                row = {"table": place["table_name"], "schema": place["db_schema_name"], "name": column.name, "type": kind, "ordinal": at}
                row |= {"type_name": key(column, "TYPE_NAME") or TYPE_NAMES[kind], "size": number(column, "PRECISION")}
                rows.append(row | {"digits": number(column, "SCALE"), "radix": RADIX.get(kind), "nullable": column.nullable, "field": column})
        return rows

    def type_info(self, data_type=None):
        """SQLGetTypeInfo: all types are asked for, and one picked out here."""
        got = self.asked("CommandGetXdbcTypeInfo")
        wrong = [column for read, column in zip(TYPE_INFO, got.schema, strict=True) if not read(column.type)]
        if wrong or not t.is_string(got.schema.field(5).type.value_type):
            raise AssertionError(f"read as another: {wrong or got.schema.field(5)}")
        rows = got.to_pylist()
        return [row for row in rows if data_type in (None, row["data_type"])]


def escaped(pattern):
    return re.sub(r"([_%\\])", r"\\\1", pattern)

