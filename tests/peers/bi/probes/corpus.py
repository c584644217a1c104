"""The statements of dashboards and of Metabase, replayed at two endpoints: corpus.py HOST PORT DB USER PASSWORD  HOST PORT DB USER PASSWORD
[--only RE]. Both have the tables of toy.sql and tests/corpus/gold.sql. corpus.py --dump FILE writes the statements for CorpusJdbc.java.

tests/corpus/*/*.sql and the questions of deploy/metabase. Each statement goes through the extended protocol, and through the
simple one where it has no parameters. A statement says `-- differs: why` where its rows are known to differ; that they do is
checked then. Rows are compared in order where the statement asks for one."""
import pathlib
import re
import sys

from checks import Checks, options
from compare import compare, connect, rows

ROOT = pathlib.Path(__file__).resolve().parents[4]
# What Metabase puts in the place of an optional filter.
FILTERS = {
    "day": """"gold"."operational_kpis"."kpi_date" BETWEEN date '2026-03-01' AND date '2026-04-30'""",
    "provider_day": """"gold"."provider_scorecard"."metric_date" >= date '2026-03-01' AND "gold"."provider_scorecard"."metric_date" < date '2026-05-01'""",
    "paid_day": """"gold"."service_line_revenue"."day" BETWEEN date '2026-03-01' AND date '2026-04-30'""",
    "specialty": """"gold"."provider_scorecard"."specialty" IN ('Cardiology', 'Radiology')""",
}


def statements():
    """Name, statement, parameters and why it differs."""
    for path in sorted(ROOT.glob("tests/corpus/*/*.sql")):
        for at, block in enumerate(re.split(r";\n\s*(?=-- name:|\Z)", path.read_text())):
            if not block.strip():
                continue
            head = dict(re.findall(r"^-- (name|params|differs): (.*)$", block, re.M))
            sql = re.sub(r"^-- (name|params|differs): .*\n", "", block, flags=re.M).strip()
            params = head["params"].split(" | ") if "params" in head else None
            yield f"{path.parent.name}.{path.stem}.{head.get('name', at)}", sql, params, head.get("differs")
    for path in sorted(ROOT.glob("deploy/metabase/*/*.sql")):
        sql = path.read_text().strip()
        name = f"deploy.{path.parent.name}.{path.stem}"
        yield name, re.sub(r"\s*\[\[.*?\]\]", "", sql), None, None
        if "[[" in sql:
            filled = re.sub(r"\[\[(.*?)\]\]", r"\1", sql)
            yield f"{name}.filtered", re.sub(r"\{\{(\w+)\}\}", lambda tag: FILTERS[tag.group(1)], filled), None, None


def ordered(name, sql, answer):
    # Superset orders by one measure, in which rows can be the same.
    asked = re.search(r"\bORDER BY\b", sql, re.I) and not name.startswith("superset.")
    if isinstance(answer, str) or asked:
        return answer
    names, values = answer
    return names, sorted(values, key=str)


def dump(path):
    records = ("\1".join([name, sql, " | ".join(params or []), why or ""]) for name, sql, params, why in statements())
    pathlib.Path(path).write_text("\2".join(records))


def main():
    if sys.argv[1] == "--dump":
        return dump(sys.argv[2])
    ours, theirs = connect(*sys.argv[1:6]), connect(*sys.argv[6:11])
    opt = options(sys.argv[11:])
    check = Checks(only=opt.get("only"), least=opt.get("min"))
    for name, sql, params, why in statements():
        def replay(name=name, sql=sql, params=params, why=why):
            for how in [params] if params else [None, []]:
                got, want = (ordered(name, sql, rows(connection, sql, how)) for connection in (ours, theirs))
                if isinstance(want, str):
                    raise AssertionError(f"PostgreSQL refuses it: {want}")
                told = compare(got, want, sql, why)
            return f"{len(want[1])} rows: {told}"

        check(name, replay)
    check.finish()


if __name__ == "__main__":
    main()
