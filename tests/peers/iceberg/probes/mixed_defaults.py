"""Columns that have defaults: older rows have the first one, rows that are written without the column the one that it has then."""
import uuid
from datetime import date, datetime, time
from decimal import Decimal

from lake import same, sql
from mixed import EXCUSES, NAME, OURS, UTC, Shared, plus, steps
from mixed_turns import MODES, ends

KEY = uuid.UUID(int=2**127 + 7)
# A column of each type that can have one: what is said of it, in words that both sides know, and the value.
DEFAULTS = [
    ("n", "int", "DEFAULT 7", 7), ("must", "int", "NOT NULL DEFAULT 3", 3), ("flag", "boolean", "DEFAULT true", True),
    ("large", "long", "DEFAULT -9007199254740993", -(2**53) - 1), ("single", "float", "DEFAULT 1.5", 1.5), ("ratio", "double", "DEFAULT 0.1", 0.1),
    ("money", ("decimal", 9, 2), "DEFAULT 12.50", Decimal("12.50")), ("text", "string", "DEFAULT 'it''s grün'", "it's grün"),
    ("day", "date", "DEFAULT DATE '1969-07-20'", date(1969, 7, 20)), ("clock", "time", "DEFAULT TIME '23:59:59.999999'", time(23, 59, 59, 999999)),
    ("local", "timestamp", "DEFAULT TIMESTAMP '2024-01-15 10:20:30.123456'", datetime(2024, 1, 15, 10, 20, 30, 123456)),
    ("instant", "timestamptz", "DEFAULT '2024-01-15 10:20:30.123456+00:00'", datetime(2024, 1, 15, 10, 20, 30, 123456, UTC)),
    ("key", "uuid", f"DEFAULT '{KEY}'", KEY.bytes),
]  # fmt: skip


class Filled(Shared):
    """A table whose rows come without some columns: what these then have is `given`."""

    def __init__(self, engine, name):
        super().__init__(engine, name, [("id", "long"), ("region", "string")])
        self.given = {}

    def add(self, side, columns):
        """Columns with defaults, which the rows that are there have from now on."""
        said = ", ".join(f"ADD COLUMN {side.name(name)} {side.type(kind)} {words}" for name, kind, words, _ in columns)
        side.run(f"ALTER TABLE {self.name(side)} {said}")
        self.fields += [(name, kind) for name, kind, _, _ in columns]
        self.given |= {name: value for name, _, _, value in columns}
        for one in self.model.values():
            one.update(self.given)

    def bring(self, side, first, end, **more):
        """Rows with an id, a region, and what `more` says; all else is left to the side that writes."""
        new = [{"id": number, "region": ["eu", "us", None][number % 3], **more} for number in range(first, end)]
        told = [field for field in self.fields if field[0] in new[0]]
        side.insert(f"{self.name(side)} ({', '.join(side.name(name) for name, _ in told)})", told, new)
        self.model |= {one["id"]: {**self.given, **one} for one in new}

    def agreed(self):
        """All rows, and those that conditions on the columns choose: no file is skipped for what it has only by default."""
        said = self.compare()
        for condition, keep in [
            ("n = 7", lambda one: one["n"] == 7),
            ("n <> 7", lambda one: one["n"] not in (7, None)),
            ("n IS NULL", lambda one: one["n"] is None),
            ("n > 6 AND id < 9", lambda one: (one["n"] or 0) > 6 and one["id"] < 9),
            ("must = 3", lambda one: one["must"] == 3),
            ("text LIKE 'it%'", lambda one: one["text"].startswith("it")),
            ("day < DATE '1970-01-01'", lambda one: one["day"] < date(1970, 1, 1)),
        ]:
            ours = sql(f"SELECT id FROM {self.name(OURS)} WHERE {condition}")
            same(sorted(ours.column(0).to_pylist()), sorted(one["id"] for one in self.model.values() if keep(one)), f"WHERE {condition}:")
            self.engine.agrees(f"SELECT id FROM {self.name(self.engine)} WHERE {condition}", ours)
        return said

    def changed(self, side, first):
        """Rows of files without the columns are written anew, come and leave."""
        self.bring(side, first, first + 4)
        self.bring(side, first + 4, first + 6, n=None, must=4)
        self.update(side, "region = 'moved'", "id % 4 = 1", lambda one: one["id"] % 4 == 1, lambda one: one.update(region="moved"))
        self.update(side, "{n} = {n} + 1", "must = 3 AND id % 3 = 0", lambda one: one["must"] == 3 and one["id"] % 3 == 0, plus(1))
        self.delete(side, "id % 10 = 6", lambda one: one["id"] % 10 == 6)
        return self.agreed()


def made_here(engine, mode):
    table = Filled(engine, f"defaults_{mode}")
    # Spark has no times of day.
    columns = [column for column in DEFAULTS if column[1] != "time" or "time" not in engine.lacks]

    def begin():
        OURS.run(f"CREATE TABLE {table.name(OURS)} ({OURS.columns(table.fields)}) PARTITIONED BY (region) TBLPROPERTIES ('format-version' = '3'{MODES[mode]})")
        table.bring(OURS, 0, 12)
        table.add(OURS, columns)
        return table.agreed()

    def others():
        """What new rows have is no longer what older ones have."""
        table.bring(OURS, 12, 15)
        OURS.run(f"ALTER TABLE {table.name(OURS)} ALTER COLUMN n SET DEFAULT 8, ALTER COLUMN \"text\" SET DEFAULT 'new'")
        table.given |= {"n": 8, "text": "new"}
        table.bring(OURS, 15, 18)
        return table.agreed()

    steps(table, f"defaults {mode}", [
        ("made here", begin), ("other ones for new rows, made here", others), (f"changed by {NAME}", lambda: table.changed(engine, 100)),
        ("changed here", lambda: table.changed(OURS, 200)), *ends(table, 3),
    ])  # fmt: skip


def made_there(engine):
    table = Filled(engine, "defaults_there")

    def begin():
        engine.create(table.name(engine), table.fields, version=3)
        table.bring(engine, 0, 12)
        for column in DEFAULTS:
            # Literals of other types are no defaults of theirs there, and a column that must not be null is added by SQL alone.
            if column[0] in ("n", "flag", "large", "money", "text", "day", "local"):
                table.add(engine, [column])
        table.add(OURS, [column for column in DEFAULTS if column[0] == "must"])
        return table.agreed()

    steps(table, "defaults there", [
        (f"made by {NAME}", begin), ("changed here", lambda: table.changed(OURS, 100)), (f"changed by {NAME}", lambda: table.changed(engine, 200)),
        *ends(table, 3),
    ])  # fmt: skip


def defaults(engine):
    for mode in MODES:
        made_here(engine, mode)
    if "defaults" not in EXCUSES:
        made_there(engine)
