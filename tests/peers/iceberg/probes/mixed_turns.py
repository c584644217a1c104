"""The turns of both sides over every kind of table: formats, partitions, modes of writing, evolution, and tables of either side."""
import shlex
import subprocess
from datetime import datetime

from lake import CHOSEN, check, multiset
from mixed import FIELDS, NAME, NS, OURS, SOURCE, UTC, Shared, plus, rows, steps

# Each way to cut a table, in our words and in those of the engine.
SPECS = {
    "plain": {"ours": "", "spark": [], "trino": []},
    "identity": {"ours": "region", "spark": ["region"], "trino": ["region"]},
    "hours": {"ours": "hour(at)", "spark": ["hours(at)"], "trino": ["hour(at)"]},
    "days": {"ours": "day(at)", "spark": ["days(at)"], "trino": ["day(at)"]},
    "months": {"ours": "month(at)", "spark": ["months(at)"], "trino": ["month(at)"]},
    "years": {"ours": "year(at)", "spark": ["years(at)"], "trino": ["year(at)"]},
    "bucket": {"ours": "bucket(4, id)", "spark": ["bucket(4, id)"], "trino": ["bucket(id, 4)"]},
    "truncate": {"ours": "truncate(2, region)", "spark": ["truncate(2, region)"], "trino": ["truncate(region, 2)"]},
}
MODES = {
    "copied": ", 'write.update.mode' = 'copy-on-write', 'write.delete.mode' = 'copy-on-write', 'write.merge.mode' = 'copy-on-write'",
    "beside": ", 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
}


# What the first turn and the second delete of a table cut by times: a whole partition that has rows then, from when to when.
SPANS = {
    "hours": [((2024, 3, 1, 0), (2024, 3, 1, 1)), ((2024, 3, 2, 1), (2024, 3, 2, 2))],
    "days": [((2024, 3, 1), (2024, 3, 2)), ((2024, 3, 2), (2024, 3, 3))],
    "months": [((2024, 2, 1), (2024, 3, 1)), ((2024, 3, 1), (2024, 4, 1))],
    "years": [((2025, 1, 1), (2026, 1, 1)), ((2024, 1, 1), (2025, 1, 1))],
}
WHOLE = ("identity", *SPANS)


def span(side, spec, at):
    """An hour, day, month or year as the table is cut, and a day if by no time: of tables cut by it files, of others rows."""
    begin, end = (datetime(*moment, tzinfo=UTC) for moment in SPANS.get(spec, SPANS["days"])[at])
    words = [side.literal(moment, "timestamptz") for moment in (begin, end)]
    return f"at >= {words[0]} AND at < {words[1]}", lambda one: begin <= one["at"] < end


def whole(side, spec, at):
    if spec == "identity":
        region = ["us/a=b", "ap süd"][at]
        return f"region = '{region}'", lambda one: one["region"] == region
    if spec == "truncate":
        start = ["us", "ap"][at]
        return f"region LIKE '{start}%'", lambda one: (one["region"] or "").startswith(start)
    return span(side, spec, at)


def evolve(table):
    name = table.name(OURS)
    OURS.run(f"ALTER TABLE {name} ADD COLUMN extra string, RENAME COLUMN n TO amount, ALTER COLUMN amount TYPE bigint")
    OURS.run(f"ALTER TABLE {name} ADD PARTITION FIELD bucket(3, id), WRITE ORDERED BY id DESC")
    table.fields = [("amount", "long") if field == ("n", "int") else field for field in table.fields] + [("extra", "string")]
    table.number = "amount"


def begun(table, side, evolves):
    table.insert(side, rows(0, 20))
    if evolves:
        evolve(table)
    table.insert(side, [{**one, "extra": "x"} if evolves else one for one in rows(20, 30)])
    table.update(side, "{n} = {n} + 1", "id % 3 = 0", lambda one: one["id"] % 3 == 0, plus(1))
    table.delete(side, "id % 10 = 6", lambda one: one["id"] % 10 == 6)
    return table.compare()


def rewritten(table, version):
    """Files are written anew; in format 3 rows keep their ids, as far as the engine shows them."""
    shows = NAME == "spark" and version == 3
    ids = f"SELECT id, _row_id, _last_updated_sequence_number FROM {table.name(table.engine)}"
    before = multiset(table.engine.arrow(ids)) if shows else None
    OURS.run(f"CALL system.rewrite_data_files(table => '{table.namespace}.{table.name_}', options => map('rewrite-all', 'true'))")
    if shows:
        after = multiset(table.engine.arrow(ids))
        assert before == after, f"row ids: gone {list(before - after)[:2]}, new {list(after - before)[:2]}"
        numbers = [number for _, number, _ in after]
        assert None not in numbers and len(set(numbers)) == len(numbers), "row ids are not unique"
    return table.compare()


def known_by(table):
    """What each row is known by, by its number."""
    ids = f"SELECT id, _row_id, _last_updated_sequence_number FROM {table.name(table.engine)}"
    found = table.engine.arrow(ids).to_pydict()
    return dict(zip(found["id"], zip(found["_row_id"], found["_last_updated_sequence_number"])))


def kept(table):
    """Rows that SQL changes keep their ids; those that it does not change, the number of their last change too, wherever they go."""
    before = known_by(table)
    table.update(OURS, "{n} = {n} + 1", "id % 5 = 2", lambda one: one["id"] % 5 == 2, plus(1))
    table.delete(OURS, "id % 7 = 3", lambda one: one["id"] % 7 == 3)
    changed = 0
    for number, (row, updated) in known_by(table).items():
        assert row == before[number][0], f"row {number} was {before[number][0]}, and is {row}"
        if number % 5 == 2:
            changed += 1
            assert updated > before[number][1], f"row {number} changed, and its last change is {updated} still"
        else:
            assert updated == before[number][1], f"row {number} did not change, and its last change is {updated}"
    assert changed, "no row was changed"
    return table.compare()


def verified(table):
    """`tidewater table verify`, where verify=COMMAND tells how it is called here."""
    done = subprocess.run([*shlex.split(CHOSEN["verify"]), f"{table.namespace}.{table.name_}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def ends(table, version):
    if NAME == "spark" and version == 3:
        yield "rows keep their ids", lambda: kept(table)
    yield "files written anew", lambda: rewritten(table, version)
    if "verify" in CHOSEN:
        yield "its files are whole", lambda: verified(table)


def made_here(engine, version, spec, mode, evolves=False):
    name = f"v{version}_{spec}_{mode}" + ("_evolved" if evolves else "")
    table = Shared(engine, name)

    def create():
        clause = f" PARTITIONED BY ({SPECS[spec]['ours']})" if spec != "plain" else ""
        OURS.run(f"CREATE TABLE {table.name(OURS)} ({OURS.columns(FIELDS)}){clause} TBLPROPERTIES ('format-version' = '{version}'{MODES[mode]})")
        return begun(table, OURS, evolves)

    def turn(side, first, at, source):
        table.turn(side, first, whole(side, spec, at), source, spec in WHOLE)
        return table.compare()

    steps(table, f"turns {name}", [
        ("made here", create), (f"changed by {NAME}", lambda: turn(engine, 100, 0, "first_source")),
        ("changed here", lambda: turn(OURS, 200, 1, "second_source")), *ends(table, version),
    ])  # fmt: skip


def made_there(engine, version, spec, mode):
    name = f"there_v{version}_{spec}_{mode}"
    table = Shared(engine, name, [(field, kind) for field, kind in FIELDS if kind not in engine.lacks])

    def create():
        engine.create(table.name(engine), table.fields, parts=SPECS[spec][NAME], version=version)
        if mode == "beside" and NAME == "spark":
            engine.run(f"ALTER TABLE {table.name(engine)} SET TBLPROPERTIES ({MODES[mode][2:]})")
        return begun(table, engine, False)

    def turn(side, first, at, source):
        table.turn(side, first, whole(side, spec, at), source, spec in WHOLE)
        return table.compare()

    steps(table, f"turns {name}", [
        (f"made by {NAME}", create), ("changed here", lambda: turn(OURS, 100, 0, "first_source")),
        (f"changed by {NAME}", lambda: turn(engine, 200, 1, "second_source")), *ends(table, version),
    ])  # fmt: skip


def selected_there(engine, spec):
    """CREATE TABLE AS of the engine, whose rows are ours."""
    fields = [(field, kind) for field, kind in FIELDS if kind not in engine.lacks]
    table = Shared(engine, f"selected_{spec}", fields)
    parts = ", ".join(f"'{part}'" if NAME == "trino" else part for part in SPECS[spec][NAME])
    clause = {"spark": f"USING iceberg PARTITIONED BY ({parts})", "trino": f"WITH (partitioning = ARRAY[{parts}])"}[NAME] if parts else ""

    def create():
        names = ", ".join(engine.name(name) for name, _ in fields)
        engine.run(f"CREATE TABLE {table.name(engine)} {clause} AS SELECT {names} FROM {engine.name(NS, 'first_source')}")
        table.model = {number: {name: one.get(name) for name, _ in fields} for number, one in SOURCE["first_source"].items()}
        return table.compare()

    def turn():
        table.turn(OURS, 100, whole(OURS, spec, 0), "second_source", spec in WHOLE)
        return table.compare()

    steps(table, f"turns selected_{spec}", [(f"made by {NAME}", create), ("changed here", turn), *ends(table, 2)])


def sources():
    OURS.run(f"DROP SCHEMA IF EXISTS {NS} CASCADE")
    OURS.run(f"CREATE SCHEMA {NS}")
    for name, new in SOURCE.items():
        OURS.run(f"CREATE TABLE {OURS.name(NS, name)} ({OURS.columns(FIELDS)})")
        OURS.insert(OURS.name(NS, name), FIELDS, list(new.values()))


def matrix(engine):
    check("turns: makes a namespace and what is merged")(sources)
    for version in (2, 3):
        for spec in SPECS:
            for mode in MODES:
                made_here(engine, version, spec, mode)
        for mode in MODES:
            made_here(engine, version, "identity", mode, evolves=True)
    there = [(2, "plain", "copied"), (2, "identity", "beside"), (3, "days", "beside"), (3, "bucket", "copied")]
    for version, spec, mode in [*there, (2, "hours", "copied"), (3, "months", "beside"), (2, "years", "beside")]:
        made_there(engine, version, spec, mode)
    for spec in ("plain", "days"):
        selected_there(engine, spec)
