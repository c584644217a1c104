"""Branches, tags and staged snapshots of a table: made by one side, written and read by the other."""
from lake import catalog, check, multiset, same, sql
from mixed import EXCUSES, FIELDS, NAME, NS, OURS, Shared, Tidewater, row, rows, steps

import pyarrow as pa


class Ref(Shared):
    """A branch or tag of a table: its own model, and its own names for either side."""

    def __init__(self, table, ref, kind="branch"):
        super().__init__(table.engine, table.name_)
        self.ref, self.kind, self.model = ref, kind, {number: dict(one) for number, one in table.model.items()}

    def name(self, side):
        return side.name(self.namespace, self.name_, f"{self.kind}_{self.ref}")

    def compare(self):
        ours = sql(f"SELECT * FROM {self.name(OURS)}")
        for text in (f"{OURS.name(NS, self.name_)} FOR VERSION AS OF '{self.ref}'", OURS.name(NS, f"{self.name_}@{self.ref}")):
            same(multiset(sql(f"SELECT * FROM {text}")), multiset(ours), text)
        got, want = multiset(ours), multiset(pa.Table.from_pylist(list(self.model.values()), schema=ours.schema))
        assert got == want, f"SQL against the model: missing {list(want - got)[:1]}, too many {list(got - want)[:1]}"
        self.engine.agrees(f"SELECT * FROM {self.engine.name(NS, self.name_)} FOR VERSION AS OF '{self.ref}'", ours)
        if NAME == "spark":
            self.engine.agrees(f"SELECT * FROM {self.name(self.engine)}", ours)
        return f"{ours.num_rows} rows"


def made(engine, name, version, more=""):
    table = Shared(engine, name)
    OURS.run(
        f"CREATE TABLE {table.name(OURS)} ({OURS.columns(FIELDS)}) PARTITIONED BY (region) TBLPROPERTIES ('format-version' = '{version}', "
        f"'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read'{more})"
    )
    table.insert(OURS, rows(0, 12))
    return table


def changed(ref, side, first):
    """Rows come, change and leave on a branch."""
    ref.insert(side, rows(first, first + 5))
    ref.update(side, "n = 5", "id % 4 = 2", lambda one: one["id"] % 4 == 2, lambda one: one.update(n=5))
    ref.delete(side, "region = 'eu-east'", lambda one: one["region"] == "eu-east")
    ref.delete(side, f"id = {first + 1}", lambda one: one["id"] == first + 1)
    return ref.compare()


def branches(engine, version):
    kept = {}

    def begin():
        table = kept["table"] = made(engine, f"branched_v{version}", version)
        for side, name in ((OURS, "here"), (engine, "there")) if "branches" not in EXCUSES else ((OURS, "here"), (OURS, "there")):
            side.run(f"ALTER TABLE {table.name(side)} CREATE BRANCH {name}")
            side.run(f"ALTER TABLE {table.name(side)} CREATE TAG tag_{name}")
            kept[name], kept["tag_" + name] = Ref(table, name), Ref(table, "tag_" + name, "tag")
        return table.compare()

    def main_is_still():
        kept["tag_here"].compare()
        kept["tag_there"].compare()
        return kept["table"].compare()

    def forwarded(name, call):
        """Main becomes what the branch is."""
        call(f"CALL {'tw.' if call == engine.run else ''}system.fast_forward('{NS}.{kept['table'].name_}', 'main', '{name}')")
        kept["table"].model = {number: dict(one) for number, one in kept[name].model.items()}
        return kept["table"].compare()

    def both_write(first):
        changed(kept["here"], OURS, first)
        return changed(kept["here"], engine, first + 50)

    def here_forwards():
        # A new branch of what main is now.
        engine.run(f"ALTER TABLE {kept['table'].name(engine)} CREATE BRANCH last")
        kept["last"] = Ref(kept["table"], "last")
        changed(kept["last"], engine, 400)
        return forwarded("last", OURS.run)

    holder = type("Holder", (), {"broken": False})()
    if "branches" in EXCUSES:
        steps(holder, f"branches v{version}", [
            (EXCUSES["branches"], begin), ("written here", lambda: changed(kept["here"], OURS, 100)),
            ("main and the tags stayed as they were", main_is_still), ("main put forward here", lambda: forwarded("here", OURS.run)),
        ])  # fmt: skip
        return
    steps(holder, f"branches v{version}", [
        ("made by both sides", begin), (f"of ours, written by {NAME}", lambda: changed(kept["here"], engine, 100)),
        (f"of {NAME}, written here", lambda: changed(kept["there"], OURS, 200)), ("one written by both in turns", lambda: both_write(300)),
        ("main and the tags stayed as they were", main_is_still), (f"main put forward by {NAME}", lambda: forwarded("here", engine.run)),
        ("main put forward here", here_forwards),
    ])  # fmt: skip


def staged(table, wap_id):
    """The snapshots that wait under this id."""
    snapshots = catalog.load_table((NS, table.name_)).snapshots()
    return [snapshot.snapshot_id for snapshot in snapshots if snapshot.summary.get("wap.id") == wap_id]


def as_of(table, snapshot, more):
    """Both sides read the staged snapshot, which main does not have."""
    waiting = {**table.model, **{one["id"]: one for one in more}}
    ours = sql(f"SELECT * FROM {table.name(OURS)} FOR VERSION AS OF {snapshot}")
    same(multiset(ours), multiset(pa.Table.from_pylist(list(waiting.values()), schema=ours.schema)), "staged:")
    table.engine.agrees(f"SELECT * FROM {table.name(table.engine)} FOR VERSION AS OF {snapshot}", ours)


def published(table, stage, call, wap_id, more, moved):
    """One side stages rows, the other lets main have them: while main stands, and after it has moved."""
    stage(more)
    table.compare()
    waiting = staged(table, wap_id)
    same(len(waiting), 1, "staged snapshots:")
    as_of(table, waiting[0], more)
    if moved:
        table.insert(OURS, [row(more[0]["id"] + 50)])
    call(f"CALL {'tw.' if call == table.engine.run else ''}system.publish_changes('{NS}.{table.name_}', '{wap_id}')")
    table.model |= {one["id"]: one for one in more}
    return table.compare()


def wap(engine, version):
    table = Shared(engine, f"staged_v{version}")

    def begin():
        table.model = made(engine, table.name_, version, ", 'write.wap.enabled' = 'true'").model
        return table.compare()

    def by_engine(wap_id):
        def stage(more):
            engine.session.conf.set("spark.wap.id", wap_id)
            try:
                engine.insert(table.name(engine), FIELDS, more)
            finally:
                engine.session.conf.unset("spark.wap.id")

        return stage

    def by_us(wap_id):
        def stage(more):
            side = Tidewater({"adbc.flight.sql.session.option.tidewater.wap_id": wap_id})
            try:
                side.insert(table.name(OURS), FIELDS, more)
            finally:
                side.connection.close()

        return stage

    def step(stage, call, wap_id, first, moved):
        return published(table, stage(wap_id), call, wap_id, rows(first, first + 4), moved)

    def deleted_here():
        """A change that deletes, published while main has not moved."""
        side = Tidewater({"adbc.flight.sql.session.option.tidewater.wap_id": "less"})
        same(side.run(f"DELETE FROM {table.name(OURS)} WHERE id IN (1, 2)"), 2)
        side.connection.close()
        table.compare()
        engine.run(f"CALL tw.system.publish_changes('{NS}.{table.name_}', 'less')")
        table.model = {number: one for number, one in table.model.items() if number not in (1, 2)}
        return table.compare()

    if "wap" in EXCUSES:
        steps(table, f"wap v{version}", [
            (EXCUSES["wap"], begin), ("staged and published here", lambda: step(by_us, OURS.run, "a", 100, False)),
            ("staged and published here after main moved", lambda: step(by_us, OURS.run, "b", 200, True)),
        ])  # fmt: skip
        return
    steps(table, f"wap v{version}", [
        ("a table that waits", begin),
        (f"staged by {NAME}, published here", lambda: step(by_engine, OURS.run, "a", 100, False)),
        (f"staged by {NAME}, published here after main moved", lambda: step(by_engine, OURS.run, "b", 200, True)),
        (f"staged here, published by {NAME}", lambda: step(by_us, engine.run, "c", 300, False)),
        (f"staged here, published by {NAME} after main moved", lambda: step(by_us, engine.run, "d", 400, True)),
        (f"rows deleted here, published by {NAME}", deleted_here),
    ])  # fmt: skip


def refs(engine):
    for version in (2, 3):
        branches(engine, version)
        wap(engine, version)

    @check("turns: nothing of them stays")
    def _():
        OURS.run(f"DROP SCHEMA {NS} CASCADE")
