"""A running Superset as its administrator sees it: the API, and dashboards in a browser."""
import json
import re
import time
import urllib.parse

import requests
from playwright.sync_api import sync_playwright

from checks import Checks

# Superset and what it calls in a page are on this machine, and nothing else is asked.
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
# Seconds. A page is megabytes of script, beside a Superset and a lake on the same cores.
PATIENCE = 120


def checks(least):
    """A browser is driven by the thread that started it."""
    return Checks(limit=400, least=least, threads=1)


class Superset:
    def __init__(self, base):
        self.base = base
        self.session = requests.Session()

    def call(self, method, path, **kw):
        r = self.session.request(method, f"{self.base}/api/v1/{path}", timeout=PATIENCE, **kw)
        if r.status_code >= 400:
            raise AssertionError(f"{method} {path}: {r.status_code} {r.text[:400]}")
        return r.json()

    def login(self):
        answer = self.call("POST", "security/login", json=dict(username="admin", password="admin", provider="db", refresh=True))
        self.session.headers["Authorization"] = "Bearer " + answer["access_token"]

    def all(self, kind):
        return self.call("GET", f"{kind}/?q=(page_size:100)")["result"]

    def clear(self):
        """With SQLite as its own database Superset holds one dataset of a table's name."""
        for kind in ("dashboard", "chart", "dataset", "database"):
            for old in self.all(kind):
                self.call("DELETE", f"{kind}/{old['id']}")

    def browse(self, width, height):
        """A page of a browser that has logged in."""
        browser = sync_playwright().start().chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = browser.new_page(viewport=dict(width=width, height=height))
        page.set_default_timeout(PATIENCE * 1000)
        # What the form reports of itself is answered with a session of nobody, which takes the place of the one just opened if it comes last.
        page.route("**/superset/log/**", lambda route: route.abort())
        page.goto(f"{self.base}/login/")
        page.fill("[data-test=username-input]", "admin")
        page.fill("[data-test=password-input]", "admin")
        page.click("[data-test=login-button]")
        page.wait_for_url(lambda u: "/login" not in u)
        page.unroute_all()
        return page


class Board:
    """A dashboard that is open in a browser. `asked` has of each chart, by its id, what it asked last, and `answer` what it was answered."""

    def __init__(self, superset, page, name, charts):
        self.page, self.asked, self.bad, self.answers = page, {}, [], {}
        page.on("response", self.note)
        page.goto(f"{superset.base}/superset/dashboard/{name}/")
        boxes = page.locator("[data-test=slice-container]")
        boxes.nth(charts - 1).wait_for(state="attached")
        # Charts below the fold ask when they are scrolled to.
        for at in range(charts):
            boxes.nth(at).scroll_into_view_if_needed()
        self.until(lambda: len(self.asked) + len(self.bad) >= charts, lambda: f"{len(self.asked)} of {charts} charts were answered")

    def note(self, response):
        if "/api/v1/chart/data" not in response.url or response.request.method != "POST":
            return
        form = urllib.parse.parse_qs(urllib.parse.urlparse(response.url).query).get("form_data", ["{}"])[0]
        chart = json.loads(form).get("slice_id")
        if response.status >= 400:
            self.bad.append(f"chart {chart}: {response.status} {response.text()[:200]}")
        elif chart is not None:
            self.asked[chart] = response.request.post_data
            self.answers[chart] = response

    def answer(self, chart):
        return self.answers[chart].json()["result"]

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what()} in {PATIENCE} s {self.bad[:5]}")
            self.page.wait_for_timeout(250)

    def picture(self, path):
        self.page.evaluate("() => window.scrollTo(0, 0)")
        self.page.wait_for_timeout(1500)  # charts draw themselves in
        self.page.screenshot(path=str(path))

    def check(self):
        """Fails where a chart was refused or shows that it was."""
        errors = self.page.locator("[role=alert], .ant-alert-error").all_inner_texts()
        errors += self.page.get_by_text(re.compile("Unexpected error|Error:|No results were returned")).all_inner_texts()
        if self.bad or errors:
            raise AssertionError(f"{errors[:5]} {self.bad[:5]}")

    def close(self):
        self.page.remove_listener("response", self.note)
