"""Chooses values in the filters of the dashboards, in a browser, and holds what charts are answered then against psql.
superset_filters.py SUPERSET_URL PICTURES [DATABASE...]   (after superset_dashboards.py; each DATABASE is a URI for psql)

Every statement that a chart's answer names is asked of each DATABASE: of the lake, which nobody may write meanwhile, and of whatever
else holds the same rows. What they answer has to be what the chart was answered. Without any, of a lake that is being written, the
statements only have to run."""
import csv
import datetime
import io
import json
import pathlib
import re
import subprocess
import sys

from checks import equal
from superset_client import Board, Superset, checks

base, pictures, *databases = sys.argv[1:]
check = checks(67)
superset = Superset(base)
NULL = "(null)"
MONTH = [(datetime.date.today() - datetime.timedelta(days=days)).isoformat() for days in (40, 10)]


def plain(value):
    """A value of an answer or of psql's: numbers as far as their digits count, times as Superset sends them."""
    if value is None or value == NULL:
        return ""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d( |$)", value):
        at = datetime.datetime.fromisoformat(value)
        value = (at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)).timestamp() * 1000
    try:
        return f"{float(value):.9g}"
    except ValueError:
        return value


def psql(database, sql):
    done = subprocess.run(["psql", "-X", "--csv", "-P", f"null={NULL}", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise AssertionError(f"{done.stderr.strip()}: {sql}")
    return list(csv.DictReader(io.StringIO(done.stdout)))


def same(sql, got, want):
    """Of a statement with a limit any of the rows that are tied at its end may be there."""
    columns = list(want[0]) if want else []
    got, want = ([{c: plain(row[c]) for c in columns} for row in rows] for rows in (got, want))
    limit, order = re.search(r"LIMIT (\d+)", sql), re.search(r"ORDER BY (\w+) DESC", sql)
    if limit and order and len(want) == int(limit[1]):
        by = order[1]
        equal(sorted(row[by] for row in want), sorted(row[by] for row in got))
        last = min(want, key=lambda row: float(row[by] or "-inf"))[by]
        got, want = ([row for row in rows if row[by] != last] for rows in (got, want))
    key = lambda row: list(row.values())
    equal(sorted(want, key=key), sorted(got, key=key))


def as_psql(results):
    for result in results:
        if result.get("error"):
            raise AssertionError(result["error"])
        for database in databases:
            same(result["query"], result["data"], psql(database, result["query"]))
    return f"{sum(len(result['data']) for result in results)} rows"


class Filtered:
    """A dashboard whose filters are set one at a time: `start` has what each chart was answered without any, `found` with the last."""

    def __init__(self, slug):
        self.slug, self.start, self.found = slug, {}, {}
        about = superset.call("GET", f"dashboard/{slug}")["result"]
        self.names = {c["id"]: c["slice_name"] for c in superset.call("GET", f"dashboard/{slug}/charts")["result"]}
        self.filters = {f["name"]: f for f in json.loads(about["json_metadata"])["native_filter_configuration"]}
        self.step("none", self.names, self.open)

    def step(self, name, charts, act):
        """Does it in the browser; what the charts that it concerns are answered is held against psql."""
        check(f"superset.filter.{self.slug}.{name}", act)
        for chart in sorted(charts, key=self.names.get):
            check(f"superset.filter.{self.slug}.{name}.{self.names[chart].replace(' ', '-')}", lambda chart=chart: as_psql(self.found[chart]))
        self.found = {}

    def open(self):
        self.board = Board(superset, page, self.slug, len(self.names))
        self.take("none")
        self.start = self.found

    def take(self, name):
        self.board.picture(pathlib.Path(pictures) / f"{self.slug}-{name}.png")
        self.board.check()
        self.found = {chart: self.board.answer(chart) for chart in self.names}

    def filtered(self, name, charts, value, choose, undo=None):
        """Chooses, waits for the answers, which may leave neither all as it was nor other charts otherwise, and undoes it."""

        def act():
            choose()
            try:
                self.asked(value, charts)
                self.take(name)
            finally:
                undo() if undo else self.click("clear")
                self.asked(value, [])
            part = lambda of, chart, what: [result[what] for result in of[chart]]
            other = {what: [chart for chart in self.names if part(self.start, chart, what) != part(self.found, chart, what)] for what in ("query", "data")}
            equal(sorted(charts), sorted(other["query"]))
            if not other["data"]:
                raise AssertionError("every chart shows what it showed before")
            return f"{value}: {len(other['data'])} of {len(charts)} charts show something else"

        self.step(name, charts, act)

    def asked(self, value, charts):
        """Waits until these charts and no others are asked with that value."""
        found = lambda: {chart for chart, question in self.board.asked.items() if json.dumps(value) in question}
        self.board.until(lambda: found() == set(charts), lambda: f"{[self.names[chart] for chart in found()]} are asked with {value}")

    def click(self, button):
        page.click(f"[data-test=filter-bar__{button}-button]")

    def bound(self, name):
        return [chart for chart in self.names if chart not in self.filters[name]["scope"]["excluded"]]

    def range(self, name, kind, value, fill):
        def choose():
            page.click("[data-test=time-range-trigger]")
            page.click(".ant-popover [data-test='Range type']")
            page.locator(".ant-select-item-option").get_by_text(kind, exact=True).click()
            fill(page.locator(".ant-popover"))
            page.click("[data-test=date-filter-control__apply-button]")
            self.click("apply")

        self.filtered(name, self.bound("Time range"), value, choose)

    def last_month(self):
        self.range("last-month", "Last", "Last month", lambda box: box.get_by_text("Last month", exact=True).click())

    def between(self, *days):
        def fill(box):
            for at, day in enumerate(days):
                box.locator("input[type=text]").nth(at).fill(day)
            # Superset looks at what was typed before it can be applied.
            box.get_by_text(re.compile(".*".join(days))).wait_for()

        self.range("days", "Advanced", " : ".join(days), fill)

    def shown(self, column):
        """A value of which every chart that names any shows something: not all providers are rated, and a chart may say that it has no rows."""
        values = [{row[column] for row in results[0]["data"]} for results in self.start.values() if column in results[0]["data"][0]]
        return min(set.intersection(*values))

    def value(self, name, column):
        value = self.shown(column)

        def choose():
            page.click(f"[data-test='{self.filters[name]['id']}']")
            page.locator(".ant-select-dropdown:visible .ant-select-item-option").get_by_text(value, exact=True).click()
            page.keyboard.press("Escape")
            self.click("apply")

        self.filtered(name.lower().replace(" ", "-"), self.bound(name), value, choose)

    def cell(self, title, column):
        """A cell of a table is a filter of all other charts until it is clicked again."""
        table = next(chart for chart, name in self.names.items() if name == title)
        value = self.shown(column)
        cell = page.locator("[data-test=slice-container] td").get_by_text(value, exact=True).first
        self.filtered("cross-filter", [chart for chart in self.names if chart != table], value, cell.click, cell.click)


check("superset.login", superset.login)
page = check("superset.browser", lambda: superset.browse(1500, 1850))
executive = Filtered("executive")
executive.last_month()
executive.value("Service line", "service_line")
check("superset.filter.executive.left", executive.board.close)
providers = Filtered("provider-performance")
providers.between(*MONTH)
providers.value("Specialty", "specialty")
providers.value("Provider", "provider")
providers.cell("Top 10 by patient satisfaction", "specialty")
check.finish()
