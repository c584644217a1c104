"""Imports the bundle of deploy/superset into a running Superset, opens its dashboards in a browser and looks at what they ask.
superset_dashboards.py SUPERSET_URL BUNDLE PICTURES [STATEMENTS]   (run with the Python of Superset's venv; admin/admin)

Each chart's question is the one that the browser sent; it is asked again through the API, past Superset's own cache. STATEMENTS
is written: one JSON object a line with dashboard, chart and SQL."""
import json
import pathlib
import re
import sys
import time
import urllib.parse
import zipfile

import requests
import yaml
from playwright.sync_api import sync_playwright

from checks import Checks, equal

base, bundle, pictures = sys.argv[1:4]
statements = sys.argv[4] if len(sys.argv) > 4 else None
check = Checks(limit=300)
session = requests.Session()
asked = []  # (dashboard, slice id, body)


def call(method, path, **kw):
    r = session.request(method, f"{base}/api/v1/{path}", timeout=120, **kw)
    if r.status_code >= 400:
        raise AssertionError(f"{method} {path}: {r.status_code} {r.text[:400]}")
    return r.json()


def login():
    answer = call("POST", "security/login", json=dict(username="admin", password="admin", provider="db", refresh=True))
    session.headers["Authorization"] = "Bearer " + answer["access_token"]


def imported():
    for kind in ("dashboard", "chart", "dataset", "database"):
        for old in call("GET", f"{kind}/?q=(page_size:100)")["result"]:
            call("DELETE", f"{kind}/{old['id']}")
    with open(bundle, "rb") as f:
        return call("POST", "assets/import/", files=dict(bundle=("bundle.zip", f, "application/zip")))["message"]


check("superset.login", login)
check("superset.import", imported)
# A second import changes nothing and is no error: the bundle is the state that is wanted.
check("superset.import-again", lambda: call("POST", "assets/import/", files=dict(bundle=("b.zip", open(bundle, "rb"), "application/zip")))["message"])

with zipfile.ZipFile(bundle) as z:
    wanted = {}  # slug: (title, charts)
    for name in z.namelist():
        if "/dashboards/" in name:
            d = yaml.safe_load(z.read(name))
            wanted[d["slug"]] = (d["dashboard_title"], sorted(v["meta"]["sliceName"] for v in d["position"].values() if isinstance(v, dict) and v.get("type") == "CHART"))
names = {c["id"]: c["slice_name"] for c in call("GET", "chart/?q=(page_size:100)")["result"]}
check("superset.datasets-in-reach", lambda: [call("GET", f"dataset/{d['id']}")["result"]["columns"][0]["column_name"] for d in call("GET", "dataset/?q=(page_size:100)")["result"]])


def look(browser_page, slug):
    title, charts = wanted[slug]
    page, seen, bad = browser_page, {}, []

    def on_response(r):
        if "/api/v1/chart/data" not in r.url or r.request.method != "POST":
            return
        form = urllib.parse.parse_qs(urllib.parse.urlparse(r.url).query).get("form_data", ["{}"])[0]
        slice_id = json.loads(form).get("slice_id")
        if r.status >= 400:
            bad.append(f"{names.get(slice_id, slice_id)}: {r.status} {r.text()[:200]}")
        elif slice_id is not None:
            seen[slice_id] = r.request.post_data

    page.on("response", on_response)
    page.goto(f"{base}/superset/dashboard/{slug}/")
    page.locator("[data-test=slice-container]").nth(len(charts) - 1).wait_for(state="attached", timeout=90000)
    # Charts below the fold ask when they are scrolled to. The dashboard refreshes itself, so the network is never quiet for long.
    for at in range(len(charts)):
        page.locator("[data-test=slice-container]").nth(at).scroll_into_view_if_needed(timeout=30000)
    deadline = time.monotonic() + 120
    while len(seen) + len(bad) < len(charts) and time.monotonic() < deadline:
        page.wait_for_timeout(250)
    page.evaluate("() => window.scrollTo(0, 0)")
    page.locator(".loading").first.wait_for(state="detached", timeout=60000)
    page.wait_for_timeout(1000)  # charts draw themselves in
    page.screenshot(path=str(pathlib.Path(pictures) / f"{slug}.png"))
    errors = page.locator("[role=alert], .ant-alert-error").all_inner_texts()
    errors += page.get_by_text(re.compile("Unexpected error|Error:|No results were returned")).all_inner_texts()
    page.remove_listener("response", on_response)
    asked.extend((slug, slice_id, body) for slice_id, body in seen.items())
    if bad or errors:
        raise AssertionError(f"{errors[:5]} {bad[:5]}")
    return equal(charts, sorted(names[i] for i in seen if i in names))


def pictures_of_all():
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
        page = browser.new_page(viewport=dict(width=1500, height=1850))
        page.goto(f"{base}/login/")
        page.fill("[data-test=username-input]", "admin", timeout=90000)
        page.fill("[data-test=password-input]", "admin")
        page.click("[data-test=login-button]")
        page.wait_for_url(lambda u: "/login" not in u, timeout=60000)
        found = {}
        for slug in wanted:
            try:
                found[slug] = look(page, slug)
            except Exception as e:
                found[slug] = e
        browser.close()
        return found


looked = check("superset.browser", pictures_of_all) or {}


def verdict(found):
    if isinstance(found, Exception) or found is None:
        raise found or AssertionError("not seen")
    return f"{len(found)} charts, no error"


for slug in wanted:
    check(f"superset.dashboard.{slug}", lambda slug=slug: verdict(looked.get(slug)))

lines = []


def rows_of(slug, slice_id, body):
    body = json.loads(body)
    body["force"] = True
    body["result_type"] = "full"
    count = 0
    for result in call("POST", "chart/data", json=body)["result"]:
        if result.get("error") or not result["data"]:
            raise AssertionError(result.get("error") or "no rows")
        count += len(result["data"])
        lines.append(dict(dashboard=slug, chart=names[slice_id], sql=result["query"]))
    return f"{count} rows"


for slug, slice_id, body in asked:
    check(f"superset.chart.{slug}.{names[slice_id].replace(' ', '-')}", lambda s=slug, i=slice_id, b=body: rows_of(s, i, b))
check("superset.all-charts-asked", lambda: equal(sum(len(charts) for _, charts in wanted.values()), len(asked)))


def select_values():  # what the filters offer
    out = []
    for d in call("GET", "dataset/?q=(page_size:100)")["result"]:
        for column in ("specialty", "provider", "service_line"):
            have = [c["column_name"] for c in call("GET", f"dataset/{d['id']}")["result"]["columns"]]
            if column in have:
                values = call("GET", f"datasource/table/{d['id']}/column/{column}/values/")["result"]
                if not values:
                    raise AssertionError(f"no values of {column}")
                out.append(f"{column} {len(values)}")
    return out


check("superset.filter-values", select_values)


def filtered():  # a chart with the dashboard's filters set, as the browser would send them
    body = next(json.loads(body) for slug, i, body in asked if names[i] == "No-show rate")
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
