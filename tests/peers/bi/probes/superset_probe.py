"""Drives a running Superset like an analyst: from the connection to a dashboard in a browser. First it deletes all that this Superset holds.
superset_probe.py SUPERSET_URL SQLALCHEMY_URI SCHEMA PICTURE   (run with the Python of Superset's venv; admin/admin; the tables of toy.sql)

What each question must be answered is reckoned from how toy.sql makes its rows."""
import datetime
import json
import sys

from checks import equal
from superset_client import Board, Superset, checks

base, uri, schema, picture = sys.argv[1:5]
check = checks(28)
superset = Superset(base)
call = superset.call

FIRST = datetime.datetime(2024, 1, 1)
ORDERS = [dict(at=FIRST + datetime.timedelta(hours=i), amount=i % 997 / 10, status=("new", "sent", "done")[i % 3]) for i in range(9000)]
AMOUNT = dict(expressionType="SIMPLE", column=dict(column_name="amount"), aggregate="SUM", label="amount")


def has(got, *wanted):
    missing = set(wanted) - set(got)
    if missing:
        raise AssertionError(f"lacks {missing}: {list(got)[:20]}")
    return f"{len(got)}"


def rows(**query):
    asked = dict(datasource=dict(id=dataset, type="table"), force=True, result_format="json", result_type="full", queries=[dict(dict(orderby=[], filters=[]), **query)])
    answer = call("POST", "chart/data", json=asked)["result"][0]
    if answer.get("error"):
        raise AssertionError(answer["error"])
    return answer["data"]


def by_status(wanted):
    counts = {}
    for order in filter(wanted, ORDERS):
        counts[order["status"]] = counts.get(order["status"], 0) + 1
    return counts


def counted(wanted, **query):
    return equal(by_status(wanted), {row["status"]: row["count"] for row in rows(columns=["status"], metrics=["count"], row_limit=10, **query)})


check("superset.login", superset.login)
check("superset.empty", superset.clear)
check("superset.test-connection", lambda: call("POST", "database/test_connection/", json=dict(sqlalchemy_uri=uri, database_name="tried")))
database = check("superset.database", lambda: call("POST", "database/", json=dict(database_name="probe", sqlalchemy_uri=uri, expose_in_sqllab=True))["id"])
check("superset.schemas", lambda: has(call("GET", f"database/{database}/schemas/")["result"], schema))
check("superset.tables", lambda: has([t["value"] for t in call("GET", f"database/{database}/tables/?q=(schema_name:{schema},force:!t)")["result"]], "customers", "orders", "daily"))
check("superset.table-metadata", lambda: has([c["name"] for c in call("GET", f"database/{database}/table_metadata/?name=orders&schema={schema}")["columns"]], "amount", "day"))
check("superset.select-star", lambda: has(call("GET", f"database/{database}/select_star/orders/{schema}/")["result"].split(), "SELECT", f"{schema}.orders"))
dataset = check("superset.dataset", lambda: call("POST", "dataset/", json=dict(database=database, schema=schema, table_name="orders"))["id"])
check("superset.dataset-columns", lambda: has([c["column_name"] for c in call("GET", f"dataset/{dataset}")["result"]["columns"]], "amount", "day", "status"))


def sqllab():
    sql = f"SELECT status, count(*) AS n FROM {schema}.orders GROUP BY status ORDER BY 1"
    answer = call("POST", "sqllab/execute/", json=dict(database_id=database, sql=sql, schema=schema, runAsync=False))
    equal("success", answer["status"])
    return equal(by_status(bool), {row["status"]: row["n"] for row in answer["data"]})


def aggregate():
    got = rows(columns=["status"], metrics=[AMOUNT, "count"], row_limit=100)
    equal(round(sum(order["amount"] for order in ORDERS), 1), round(sum(row["amount"] for row in got), 1))
    return equal(by_status(bool), {row["status"]: row["count"] for row in got})


check("superset.sql-lab", sqllab)
check("superset.query-aggregate", aggregate)
for grain, groups in dict(P1D=375, P1W=54, P1M=13, P3M=5, P1Y=2).items():
    axis = dict(columnType="BASE_AXIS", sqlExpression="day", label="day", expressionType="SQL", timeGrain=grain)
    query = dict(columns=[axis], metrics=[AMOUNT], granularity="day", extras=dict(time_grain_sqla=grain), row_limit=1000)
    check(f"superset.query-{grain}", lambda query=query, groups=groups: equal(groups, len(rows(**query))))
LIMITS = [dict(col="day", op="TEMPORAL_RANGE", val="2024-01-01 : 2024-06-01"), dict(col="status", op="IN", val=["new", "sent"]), dict(col="amount", op=">", val=10)]
check("superset.query-filters", lambda: counted(lambda o: o["at"] < datetime.datetime(2024, 6, 1) and o["status"] in ("new", "sent") and o["amount"] > 10, filters=LIMITS))
JANUARY = [dict(col="ordered_at", op="TEMPORAL_RANGE", val="2024-01-01 : 2024-02-01")]
check("superset.query-timestamptz", lambda: counted(lambda o: o["at"] < datetime.datetime(2024, 2, 1), filters=JANUARY))
RAW = dict(columns=["id", "day", "ordered_at", "amount", "paid"], metrics=[], orderby=[["id", True]], row_limit=50)
check("superset.query-raw", lambda: equal([(i, i / 10, i % 2 == 0) for i in range(50)], [(row["id"], row["amount"], row["paid"]) for row in rows(**RAW)]))
check("superset.filter-values", lambda: equal(["done", "new", "sent"], sorted(call("GET", f"datasource/table/{dataset}/column/status/values/")["result"])))


def chart(name, viz, form):
    form = dict(datasource=f"{dataset}__table", viz_type=viz, adhoc_filters=[], row_limit=1000, **form)
    return call("POST", "chart/", json=dict(slice_name=name, viz_type=viz, datasource_id=dataset, datasource_type="table", params=json.dumps(form)))["id"]


charts = {}
for name, viz, form in (
    ("Amount a month", "echarts_timeseries_bar", dict(x_axis="day", time_grain_sqla="P1M", metrics=[AMOUNT], groupby=["status"])),
    ("Orders", "big_number_total", dict(metric="count")),
    ("By status", "pie", dict(groupby=["status"], metric=AMOUNT)),
    ("Table", "table", dict(query_mode="aggregate", groupby=["status", "paid"], metrics=["count", AMOUNT])),
):
    charts[name] = check(f"superset.chart-{viz}", lambda name=name, viz=viz, form=form: chart(name, viz, form))


def dashboard():
    above, rows = ["ROOT_ID", "GRID_ID"], []
    position = dict(DASHBOARD_VERSION_KEY="v2", ROOT_ID=dict(type="ROOT", id="ROOT_ID", children=["GRID_ID"]))
    for at, (name, c) in enumerate(charts.items()):
        row, box = f"ROW-{at // 2}", f"CHART-{c}"
        if row not in position:
            position[row] = dict(type="ROW", id=row, children=[], parents=above, meta=dict(background="BACKGROUND_TRANSPARENT"))
            rows.append(row)
        position[row]["children"].append(box)
        position[box] = dict(type="CHART", id=box, children=[], parents=[*above, row], meta=dict(chartId=c, width=6, height=50, sliceName=name))
    position["GRID_ID"] = dict(type="GRID", id="GRID_ID", children=rows, parents=["ROOT_ID"])
    made = call("POST", "dashboard/", json=dict(dashboard_title="Probe", position_json=json.dumps(position), published=True))["id"]
    for c in charts.values():
        call("PUT", f"chart/{c}", json=dict(dashboards=[made]))
    return made


made = check("superset.dashboard", dashboard)
check("superset.dashboard-charts", lambda: equal(sorted(charts), sorted(c["slice_name"] for c in call("GET", f"dashboard/{made}/charts")["result"])))


def looked_at():
    board = Board(superset, superset.browse(1400, 1200), made, len(charts))
    board.picture(picture)
    board.check()
    return equal(sorted(charts.values()), sorted(board.asked))


check("superset.picture", looked_at)
check.finish()
