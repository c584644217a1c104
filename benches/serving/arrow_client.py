"""Flight SQL by Arrow's client in C++, which needs less of the processor than a driver: a load of many users is the server's then."""
import pyarrow.flight as flight


def field(number, data):
    """A field of bytes, as Protocol Buffers write it."""
    length, size = len(data), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + data


def statement(sql):
    """Where Flight SQL's CommandStatementQuery is asked for."""
    command = field(1, b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery") + field(2, field(1, sql.encode()))
    return flight.FlightDescriptor.for_command(command)


class Session:
    """A connection with headers of its own."""

    def __init__(self, uri, headers):
        self.client = flight.connect(uri)
        self.options = flight.FlightCallOptions(headers=[(name.encode(), value.encode()) for name, value in headers.items()])

    def ask(self, sql):
        info = self.client.get_flight_info(statement(sql), self.options)
        return self.client.do_get(info.endpoints[0].ticket, self.options).read_all()
