"""The checks of Flight SQL's metadata commands: the schemas of all calls are the same bytes and as specified, and the rows are true of the toy tables."""
from checks import equal
from flight_engine import parsed
from flight_schemas import CATALOGS, CODES, INFO, KEYS, ORDINALS, PRIMARY_KEYS, SCHEMAS, TABLES, TABLES_WITH_SCHEMA, TABLE_TYPES, TYPES
from flight_wire import command, field, fields, query


def ordered(found, *names):
    keys = [tuple(row[name] for name in names) for row in found]
    equal(sorted(set(keys)), keys)


class Metadata:
    """Of the tables of toy-tidewater.sql, which are in `schema`."""

    def __init__(self, engine, schema):
        self.engine, self.asked, self.schema = engine, engine.asked, schema
        self.catalog = engine.asked("CommandGetCatalogs")[0]["catalog_name"]
        self.place = field(1, self.catalog) + field(2, schema)
        self.customers, orders = self.place + field(3, "customers"), self.place + field(3, "orders")
        both = field(4, "TABLE") + field(4, "VIEW")
        self.commands = {
            "catalogs": ("CommandGetCatalogs", b"", CATALOGS),
            "schemas": ("CommandGetDbSchemas", b"", SCHEMAS),
            "schemas-chosen": ("CommandGetDbSchemas", self.place, SCHEMAS),
            "tables": ("CommandGetTables", b"", TABLES),
            "tables-chosen": ("CommandGetTables", self.place + field(3, "%") + both + field(5, 1), TABLES_WITH_SCHEMA),
            "tables-with-schema": ("CommandGetTables", field(5, 1), TABLES_WITH_SCHEMA),
            "table-types": ("CommandGetTableTypes", b"", TABLE_TYPES),
            "primary-keys": ("CommandGetPrimaryKeys", self.customers, PRIMARY_KEYS),
            "exported-keys": ("CommandGetExportedKeys", self.customers, KEYS),
            "imported-keys": ("CommandGetImportedKeys", orders, KEYS),
            "cross-reference": ("CommandGetCrossReference", self.customers + field(4, self.catalog) + field(5, schema) + field(6, "orders"), KEYS),
            "type-info": ("CommandGetXdbcTypeInfo", b"", TYPES),
            "type-info-chosen": ("CommandGetXdbcTypeInfo", field(1, 12), TYPES),
            "sql-info": ("CommandGetSqlInfo", b"", INFO),
            "sql-info-chosen": ("CommandGetSqlInfo", field(1, 0) + field(1, 3), INFO),
        }

    def __str__(self):
        return f"catalog {self.catalog}"

    def checks(self):
        """By their names."""
        out = {}
        for name, (kind, body, want) in self.commands.items():
            out[f"{name}.agree"] = lambda kind=kind, body=body: f"{len(self.asked(kind, body))} rows"
            out[f"{name}.schema"] = lambda kind=kind, body=body, want=want: self.as_specified(kind, body, want)
        out |= {"catalogs.rows": lambda: ordered(self.asked("CommandGetCatalogs"), "catalog_name"), "schemas.rows": self.schemas, "tables.rows": self.tables}
        out["tables.view"] = lambda: equal(["daily"], [row["table_name"] for row in self.asked("CommandGetTables", self.place, field(4, "VIEW"))])
        for table in ("customers", "orders", "daily"):
            out[f"tables.as-selected.{table}"] = lambda table=table: self.as_selected(table)
        about = {"CATALOG_NAME": self.catalog, "DB_SCHEMA_NAME": self.schema, "TABLE_NAME": "customers", "IS_AUTO_INCREMENT": "0", "IS_READ_ONLY": "0", "IS_SEARCHABLE": "1"}
        for key, want in about.items():
            out[f"tables.metadata.{key}"] = lambda key=key, want=want: self.described(key, want)
        out |= {"table-types.rows": lambda: ordered(self.asked("CommandGetTableTypes"), "table_type"), "primary-keys.rows": self.primary_keys, "type-info.rows": self.types}
        for name in ("exported-keys", "imported-keys", "cross-reference"):
            out[f"{name}.rows"] = lambda name=name: self.rules(*self.commands[name][:2])
        for name in ("schemas", "tables", "primary-keys"):
            for case, other in {"no": "", "unknown": "no_such_catalog"}.items():
                out[f"{name}.{case}-catalog"] = lambda name=name, other=other: equal([], self.asked(*self.commands[name][:2], field(1, other)))
        return out | {f"sql-info.{name}": body for name, body in {"codes": self.codes, "types": self.code_types, "ordinals": self.ordinals, "packed": self.packed}.items()}

    def as_specified(self, kind, body, want):
        got = parsed(fields(self.engine.get("GetFlightInfo", command(kind, body)))[1][0])
        if not want.equals(got):
            wrong = [f"{b} (nullable: {b.nullable}) for {a} (nullable: {a.nullable})" for a, b in zip(want, got) if not a.equals(b)]
            raise AssertionError(f"sent {wrong or got.names}")

    def schemas(self):
        found = self.asked("CommandGetDbSchemas")
        ordered(found, "catalog_name", "db_schema_name")
        own = {"catalog_name": self.catalog, "db_schema_name": self.schema}
        for pattern in (self.schema, self.schema[:1] + "%", "_" + self.schema[1:]):
            equal(True, own in self.asked("CommandGetDbSchemas", field(1, self.catalog), field(2, pattern)))
        equal(False, own in self.asked("CommandGetDbSchemas", field(2, self.schema + "_")))

    def tables(self):
        found = self.asked("CommandGetTables")
        ordered(found, "catalog_name", "db_schema_name", "table_name", "table_type")
        equal(set(), {row["table_type"] for row in found} - {row["table_type"] for row in self.asked("CommandGetTableTypes")})
        equal(["customers"], [row["table_name"] for row in self.asked("CommandGetTables", self.place, field(3, "c_stom%"), field(4, "TABLE"))])
        equal([], self.asked("CommandGetTables", self.place, field(4, "NO SUCH TYPE")))

    def columns(self, table):
        found = self.asked("CommandGetTables", self.place, field(3, table), field(5, 1))
        equal([table], [row["table_name"] for row in found])
        return parsed(found[0]["table_schema"])

    def as_selected(self, table):
        got = self.engine.three(query(f"SELECT * FROM {self.schema}.{table}")).schema
        # Of a view only names and types are kept: that a column of one cannot be null is known when it is asked.
        plain = lambda of: [(f.name, f.type, f.nullable or table == "daily") for f in of]
        equal(plain(got), plain(self.columns(table)))

    def described(self, key, want):
        equal(want, self.columns("customers").field("name").metadata.get(f"ARROW:FLIGHT:SQL:{key}".encode(), b"").decode())

    def primary_keys(self):
        found = self.asked("CommandGetPrimaryKeys", self.customers)
        got = [row[key] for row in found for key in ("catalog_name", "db_schema_name", "table_name", "column_name", "key_sequence")]
        equal([self.catalog, self.schema, "customers", "id", 1], got)
        equal(found, self.asked("CommandGetPrimaryKeys", field(2, self.schema), field(3, "customers")))
        equal([], self.asked("CommandGetPrimaryKeys", self.place, field(3, "no_such_table")))
        equal([], self.asked("CommandGetPrimaryKeys", field(2, ""), field(3, "customers")))

    def rules(self, kind, body):
        """The rows of foreign keys, if there are any."""
        found = self.asked(kind, body)
        equal([], [row for row in found if row["update_rule"] not in range(5) or row["delete_rule"] not in range(5) or row["key_sequence"] < 1])

    def types(self):
        found = self.asked("CommandGetXdbcTypeInfo")
        ordered(found, "data_type", "type_name")
        for row in found:
            name, kind, timed = row["type_name"], row["data_type"], row["data_type"] in (91, 92, 93)
            radix = 2 if kind in (6, 7, 8) else 10 if kind in (2, 3, 4, 5, -5, -6) else None
            equal((name, 9 if timed else kind, timed), (name, row["sql_data_type"], row["datetime_subcode"] is not None))
            equal((name, radix, radix is None), (name, row["num_prec_radix"], row["unsigned_attribute"] is None))
            equal((name, True, True), (name, row["nullable"] in range(3), row["searchable"] in range(4)))
        for kind in (12, -5, 93, 9999):
            equal([row for row in found if row["data_type"] == kind], self.asked("CommandGetXdbcTypeInfo", field(1, kind)))

    def codes(self):
        equal(set(), set(CODES) - set(self.engine.info()))

    def code_types(self):
        equal({}, {code: kind for code, (kind, _) in self.engine.info().items() if kind != CODES.get(code, kind)})

    def ordinals(self):
        found = self.engine.info(*ORDINALS)
        equal({}, {code: found[code][1] for code, end in ORDINALS.items() if found[code][1] not in range(end)})

    def packed(self):
        """As proto3 sends numbers that are repeated."""
        equal(2, self.engine.three(command("CommandGetSqlInfo", field(1, b"\0\3"))).num_rows)
