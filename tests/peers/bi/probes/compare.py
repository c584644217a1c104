"""The rows of a statement at two endpoints: tidewater and PostgreSQL."""
import psycopg


def connect(host, port, db, user, password):
    connection = psycopg.connect(host=host, port=port, dbname=db, user=user, password=password, autocommit=True)
    connection.execute("SET statement_timeout = '50s'")
    return connection


def rows(connection, sql, params=None):
    """Names and values as texts, in the order in which they came; with parameters, or an empty list, by the extended protocol."""
    try:
        if params is None:
            result = connection.pgconn.exec_(sql.encode())
        else:
            result = connection.pgconn.exec_params(sql.encode(), [p.encode() for p in params] or None)
        if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
            return "error " + (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
        names = tuple(result.fname(i).decode() for i in range(result.nfields))
        values = [tuple(None if (v := result.get_value(r, c)) is None else v.decode() for c in range(result.nfields)) for r in range(result.ntuples)]
        return names, values
    except Exception as e:
        return f"{type(e).__name__} {e}"


def compare(got, want, sql, why):
    """The same, or different where that is known."""
    if why is None and got != want:
        raise AssertionError(f"expected {str(want)[:300]}, got {str(got)[:300]}: {sql}")
    if why is not None and got == want:
        raise AssertionError(f"does not differ any more: {sql}")
    return f"{sql[:120]}" + (f" (differs: {why})" if why else "")
