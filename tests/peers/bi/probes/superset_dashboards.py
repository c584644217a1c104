"""Imports the bundle of deploy/superset into a running Superset, opens its dashboards in a browser and looks at what they ask.
superset_dashboards.py SUPERSET_URL BUNDLE PICTURES [STATEMENTS]   (run with the Python of Superset's venv; admin/admin)

Each chart's question is the one that the browser sent; it is asked again through the API, past Superset's own cache. STATEMENTS
is written: one JSON object a line with dashboard, chart and SQL."""
import json
import pathlib
import sys
import zipfile

import yaml

from checks import equal
from superset_client import Board, Superset, checks

base, bundle, pictures = sys.argv[1:4]
statements = sys.argv[4] if len(sys.argv) > 4 else None
check = checks(29)
superset = Superset(base)
call = superset.call


def imported():
    with open(bundle, "rb") as f:
        return call("POST", "assets/import/", files=dict(bundle=("bundle.zip", f, "application/zip")))["message"]


check("superset.login", superset.login)
check("superset.import", lambda: superset.clear() or imported())
# A second import changes nothing and is no error: the bundle is the state that is wanted.
check("superset.import-again", imported)

with zipfile.ZipFile(bundle) as z:
    wanted = {}  # slug: charts
    for name in z.namelist():
        if "/dashboards/" in name:
            d = yaml.safe_load(z.read(name))
            wanted[d["slug"]] = sorted(v["meta"]["sliceName"] for v in d["position"].values() if isinstance(v, dict) and v.get("type") == "CHART")
names = {c["id"]: c["slice_name"] for c in superset.all("chart")}
check("superset.datasets-in-reach", lambda: [call("GET", f"dataset/{d['id']}")["result"]["columns"][0]["column_name"] for d in superset.all("dataset")])
page = check("superset.browser", lambda: superset.browse(1500, 1850))
asked = []  # (dashboard, chart's id, question)


def look(slug):
    board = Board(superset, page, slug, len(wanted[slug]))
    board.picture(pathlib.Path(pictures) / f"{slug}.png")
    board.close()
    asked.extend((slug, chart, question) for chart, question in board.asked.items())
    board.check()
    return f"{len(equal(wanted[slug], sorted(names[i] for i in board.asked)))} charts, no error"


for slug in wanted:
    check(f"superset.dashboard.{slug}", lambda slug=slug: look(slug))

lines = []


def rows_of(slug, chart, question):
    question = dict(json.loads(question), force=True, result_type="full")
    count = 0
    for result in call("POST", "chart/data", json=question)["result"]:
        if result.get("error") or not result["data"]:
            raise AssertionError(result.get("error") or "no rows")
        count += len(result["data"])
        lines.append(dict(dashboard=slug, chart=names[chart], sql=result["query"]))
    return f"{count} rows"


for slug, chart, question in asked:
    check(f"superset.chart.{slug}.{names[chart].replace(' ', '-')}", lambda s=slug, c=chart, q=question: rows_of(s, c, q))
check("superset.all-charts-asked", lambda: equal(sum(map(len, wanted.values())), len(asked)))


def select_values():  # what the filters offer
    out = []
    for d in superset.all("dataset"):
        have = [c["column_name"] for c in call("GET", f"dataset/{d['id']}")["result"]["columns"]]
        for column in {"specialty", "provider", "service_line"}.intersection(have):
            values = call("GET", f"datasource/table/{d['id']}/column/{column}/values/")["result"]
            if not values:
                raise AssertionError(f"no values of {column}")
            out.append(f"{column} {len(values)}")
    return out


check("superset.filter-values", select_values)


def filtered():  # a chart with the dashboard's filters set, as the browser would send them
    body = next(json.loads(question) for _, chart, question in asked if names[chart] == "No-show rate")
    answer = lambda: {row["provider"]: row for row in call("POST", "chart/data", json=body)["result"][0]["data"]}
    every = answer()
    table = body["datasource"]["id"]
    specialty = call("GET", f"datasource/table/{table}/column/specialty/values/")["result"][0]
    for query in body["queries"]:
        query["filters"] = [*query.get("filters", []), dict(col="specialty", op="IN", val=[specialty]), dict(col="metric_date", op="TEMPORAL_RANGE", val="Last year")]
    some = answer()
    if not 0 < len(some) < len(every):
        raise AssertionError(f"{len(some)} of {len(every)} providers are of {specialty}")
    return f"{len(some)} of {len(every)} providers are of {specialty}"


check("superset.filters", filtered)
if statements:
    pathlib.Path(statements).write_text("".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda l: (l["dashboard"], l["chart"], l["sql"]))))
check.finish()
