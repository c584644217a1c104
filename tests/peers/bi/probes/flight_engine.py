"""What a client of Flight SQL asks of an engine, with hand-made messages; the answers as Python has them, an error as Refused with its code."""
import pyarrow
import pyarrow.flight

from checks import equal
from flight_schemas import VALUES
from flight_wire import Client, command, endpoint, field, fields, packed, query, unpacked

NOTHING = pyarrow.schema([]).empty_table()


def parsed(data):
    return pyarrow.ipc.read_schema(pyarrow.py_buffer(data))


class Engine:
    """Each call goes over a connection of its own."""

    def __init__(self, host, port, **who):
        self.address, self.who = (host, port), who

    def connect(self):
        return Client(*self.address, **self.who)

    def get(self, method, descriptor):
        return self.connect().call(method, descriptor)[0]

    def rows(self, ticket):
        headers = [(name.encode(), value.encode()) for name, value in self.connect().headers]
        flight = pyarrow.flight.FlightClient("grpc://{}:{}".format(*self.address))
        return flight.do_get(pyarrow.flight.Ticket(ticket), pyarrow.flight.FlightCallOptions(headers=headers)).read_all()

    def three(self, descriptor):
        """The rows; their schema, and those of GetFlightInfo and GetSchema, are one."""
        info = self.get("GetFlightInfo", descriptor)
        equal(descriptor, fields(info)[2][0])
        told, asked = fields(info)[1][0], fields(self.get("GetSchema", descriptor))[1][0]
        table = self.rows(endpoint(info)[1])
        if not (told == asked and parsed(told).equals(table.schema, check_metadata=True) and parsed(told).serialize() == table.schema.serialize()):
            raise AssertionError(f"GetFlightInfo: {parsed(told)}; GetSchema: {parsed(asked)}; DoGet: {table.schema}")
        return table

    def asked(self, kind, *body):
        """The rows of a metadata command."""
        return self.three(command(kind, b"".join(body))).to_pylist()

    def run(self, sql):
        return self.rows(endpoint(self.get("GetFlightInfo", query(sql)))[1])

    def info(self, *codes):
        """Of each code of SqlInfo the member of the union, and the value."""
        table = self.three(command("CommandGetSqlInfo", b"".join(field(1, code) for code in codes))).combine_chunks()
        if not table.num_rows:
            return {}
        names, values = table.column(0).to_pylist(), table.column(1).chunk(0)
        equal(len(set(names)), len(names))
        return {name: (list(VALUES)[kind.as_py()], value.as_py()) for name, kind, value in zip(names, values.type_codes, values)}

    def told(self, code):
        return self.info(code)[code][1]

    def put(self, kind, body, table=NOTHING):
        """The first field of the one answer: a record count, or a handle."""
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        answers = self.connect().put(command(kind, body), sink.getvalue())
        equal(1, len(answers))
        return fields(answers[0]).get(1, [0])[0]

    def update(self, sql, *more):
        return self.put("CommandStatementUpdate", b"".join([field(1, sql), *more]))

    def act(self, kind, body=b""):
        return self.connect().act(kind, packed(f"Action{kind}Request", body))

    def prepare(self, sql, *more):
        """The handle, and the schemas of rows and parameters."""
        body = self.act("CreatePreparedStatement", b"".join([field(1, sql), *more]))
        got = unpacked("ActionCreatePreparedStatementResult", body)
        return got[1][0], *(parsed(got[key][0]) if got.get(key, [b""])[0] else pyarrow.schema([]) for key in (2, 3))

    def bind(self, handle, **values):
        """The handle to go on with."""
        return self.put("CommandPreparedStatementQuery", field(1, handle), pyarrow.table(values)) or handle

    def prepared(self, handle):
        return self.three(command("CommandPreparedStatementQuery", field(1, handle)))

    def prepared_update(self, sql, *values):
        """One row of parameters a value."""
        table = pyarrow.table({"$1": values}) if values else NOTHING
        return self.put("CommandPreparedStatementUpdate", field(1, self.prepare(sql)[0]), table)

    def cancel_flight_info(self, info):
        return fields(self.connect().act("CancelFlightInfo", field(1, info)))[1][0]

    def cancel_query(self, info):
        return unpacked("ActionCancelQueryResult", self.act("CancelQuery", field(1, info)))[1][0]
