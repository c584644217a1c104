"""What loading, judging and timing share: a suite's tables and queries, the catalog, and both engines over the same files."""
import importlib
import pathlib
import re
import time

import duckdb
from adbc_driver_flightsql import dbapi
from pyiceberg.catalog import load_catalog

TABLES = {
    "tpch": "customer lineitem nation orders part partsupp region supplier",
    "tpcds": "call_center catalog_page catalog_returns catalog_sales customer customer_address customer_demographics date_dim household_demographics "
    "income_band inventory item promotion reason ship_mode store store_returns store_sales time_dim warehouse web_page web_returns web_sales web_site",
}

# Words that are columns after a comma, although they name tables too, by query.
COLUMNS = {("tpcds", 49): {"item"}, ("tpcds", 51): {"store_sales", "web_sales"}}


def namespace(suite, factor):
    return f"{suite}_sf{factor.replace('.', '_')}"


def catalog(uri, warehouse=None):
    properties = {"type": "rest", "uri": uri}
    return load_catalog("lake", **properties, **({"warehouse": warehouse} if warehouse else {}))


def duck(suite, threads=None):
    """A DuckDB with the suite's extension from its wheel; nulls are sorted where PostgreSQL and tidewater have them."""
    settings = {"allow_unsigned_extensions": "true", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    db = duckdb.connect(config=settings)
    package = importlib.import_module(f"duckdb_extension_{suite}")
    found = next(pathlib.Path(next(iter(package.__path__))).rglob(f"{suite}.duckdb_extension"))
    db.execute(f"LOAD '{found}'")
    db.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
    if threads:
        db.execute(f"SET threads = {int(threads)}")
    return db


def queries(db, suite, space):
    """Number and text of each query, every table named with its namespace."""
    tables = "|".join(sorted(TABLES[suite].split(), key=len, reverse=True))
    # Only where a table can stand: some of these words are also literals and aliases.
    place = re.compile(rf"(\bfrom\s+|\bjoin\s+|,\s*)({tables})\b(?!\s*[.(])", re.IGNORECASE)
    rows = db.execute(f"SELECT query_nr, query FROM {suite}_queries() ORDER BY query_nr").fetchall()

    def named(found):
        column = found[1][0] == "," and found[2].lower() in COLUMNS.get((suite, number), ())
        return found[0] if column else f"{found[1]}{space}.{found[2]}"

    texts = []
    for number, text in rows:
        texts.append((number, place.sub(named, text).strip().rstrip(";")))
    return texts


class Duck:
    """DuckDB over the very files of the lake's tables."""

    def __init__(self, uri, suite, factor, threads=None):
        self.db = duck(suite, threads)
        self.space = namespace(suite, factor)
        lake = catalog(uri)
        self.db.execute(f"CREATE SCHEMA {self.space}")
        for name in TABLES[suite].split():
            files = lake.load_table(f"{self.space}.{name}").inspect.data_files().column("file_path").to_pylist()
            assert files, f"{self.space}.{name} has no files"
            listed = ", ".join("'" + path.removeprefix("file://").replace("'", "''") + "'" for path in files)
            self.db.execute(f"CREATE VIEW {self.space}.{name} AS SELECT * FROM read_parquet([{listed}])")

    def run(self, text):
        return self.db.execute(text).to_arrow_table()


class Tidewater:
    """execution is where queries run: auto, local or cluster."""

    def __init__(self, endpoint, execution="auto"):
        # Queries are measured, and rows that are kept are none.
        chosen = {"cache": "off", "execution": execution}
        headers = {f"adbc.flight.sql.rpc.call_header.tidewater.{name}": value for name, value in chosen.items()}
        self.connection = dbapi.connect(endpoint, db_kwargs=headers, autocommit=True)

    def run(self, text):
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetch_arrow_table()


def timed(engine, text):
    begun = time.perf_counter()
    table = engine.run(text)
    return time.perf_counter() - begun, table
