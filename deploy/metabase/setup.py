#!/usr/bin/env python3
"""Makes the database, the questions and the dashboards of this folder in a Metabase, through its REST API.

    METABASE_PASSWORD=… setup.py http://127.0.0.1:3000 [--user admin@hospital.example] [--dashboard NAME]
        [--host 127.0.0.1] [--port 15432] [--dbname lake] [--dbuser dashboards] [--ssl]

The password of the database's user is taken from TIDEWATER_PASSWORD. With METABASE_API_KEY nobody logs in. In a new Metabase the
first user is made. Run again it changes what differs and makes nothing twice: things are known by their names within the
collection. Only Python's standard library is needed."""
import argparse
import json
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
DATABASE = "tidewater"
COLLECTION = "Hospital"
# Within which Metabase has to have seen the tables.
SYNC_S = 300


class Metabase:
    def __init__(self, url, key=None):
        self.url, self.headers = url.rstrip("/"), {"Content-Type": "application/json"}
        if key:
            self.headers["X-API-Key"] = key

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/{path}", data=data, method=method, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as e:
            sys.exit(f"setup: {method} {path}: {e.code} {e.read().decode(errors='replace')[:500]}")
        except urllib.error.URLError as e:
            sys.exit(f"setup: cannot reach Metabase at {self.url}: {e.reason}")

    def login(self, user, password):
        properties = self.call("GET", "session/properties")
        if properties.get("has-user-setup") is False and properties.get("setup-token"):
            session = self.call("POST", "setup", {
                "token": properties["setup-token"],
                "user": {"first_name": "Admin", "last_name": "Admin", "email": user, "password": password, "site_name": COLLECTION},
                "prefs": {"site_name": COLLECTION, "site_locale": "en", "allow_tracking": False},
            })
        else:
            session = self.call("POST", "session", {"username": user, "password": password})
        self.headers["X-Metabase-Session"] = session["id"]


def listed(answer):
    """Some lists are bare, some lie in `data`."""
    return answer["data"] if isinstance(answer, dict) else answer


def named(items, name):
    return next((item for item in items if item["name"] == name), None)


def database(metabase, details):
    found = named(listed(metabase.call("GET", "database")), DATABASE)
    wanted = {"name": DATABASE, "engine": "postgres", "details": details, "is_full_sync": True, "is_on_demand": False, "auto_run_queries": True}
    if found:
        metabase.call("PUT", f"database/{found['id']}", wanted)
        number = found["id"]
    else:
        number = metabase.call("POST", "database", wanted)["id"]
    metabase.call("POST", f"database/{number}/sync_schema")
    return number


def filters(path):
    """The columns that filters of a dashboard are about: those that all share, and its own, which may not mean something else by a name."""
    shared = json.loads((HERE / "fields.json").read_text())
    file = path / "fields.json"
    own = json.loads(file.read_text()) if file.exists() else {}
    if twice := sorted(name for name in own if name in shared and own[name] != shared[name]):
        sys.exit(f"setup: {file}: {', '.join(twice)}: means something else in fields.json")
    return {**shared, **own}


def fields(metabase, number, wanted):
    """The numbers of the columns that filters are about, as soon as Metabase has seen the tables."""
    until = time.monotonic() + SYNC_S
    while True:
        tables = metabase.call("GET", f"database/{number}/metadata")["tables"]
        known = {(t["schema"], t["name"], f["name"]): f["id"] for t in tables for f in t["fields"]}
        missing = [key for key, of in wanted.items() if ("gold", of["table"], of["column"]) not in known]
        if not missing:
            return {key: known["gold", of["table"], of["column"]] for key, of in wanted.items()}
        if time.monotonic() > until:
            sys.exit(f"setup: Metabase has not seen the tables of {', '.join(missing)}: does the user see the schema gold?")
        time.sleep(2)


def collection(metabase):
    found = named([c for c in listed(metabase.call("GET", "collection")) if not c.get("archived")], COLLECTION)
    return (found or metabase.call("POST", "collection", {"name": COLLECTION, "description": "Made by deploy/metabase/setup.py"}))["id"]


def question(card, sql, number, folder, known, of):
    tags = {}
    for tag in re.findall(r"\{\{(\w+)\}\}", sql):
        tags[tag] = {
            "id": f"tidewater-{tag}", "name": tag, "display-name": tag.replace("_", " ").capitalize(), "type": "dimension",
            "dimension": ["field", known[tag], None], "widget-type": of[tag]["widget"], "required": False,
        }
    return {
        "name": card["name"], "type": "question", "display": card["display"], "collection_id": folder,
        "description": card.get("description"), "visualization_settings": card["visualization_settings"],
        "dataset_query": {"type": "native", "database": number, "native": {"query": sql, "template-tags": tags}},
    }


def make(metabase, model, wanted, folder):
    """A card or dashboard by its name in the collection; its number."""
    items = listed(metabase.call("GET", f"collection/{folder}/items?models={model}&limit=1000"))
    found = named(items, wanted["name"])
    if found:
        metabase.call("PUT", f"{model}/{found['id']}", wanted)
        return found["id"]
    return metabase.call("POST", model, wanted)["id"]


def dashboard(metabase, path, number, folder, known, of):
    spec = json.loads((path / "dashboard.json").read_text())
    dashcards, cards = [], {}
    for card in spec["cards"]:
        sql = (path / f"{card['sql']}.sql").read_text().strip()
        wanted = question(card, sql, number, folder, known, of)
        cards[card["name"]] = (make(metabase, "card", wanted, folder), wanted)
    board = make(metabase, "dashboard", {"name": spec["name"], "description": spec["description"], "collection_id": folder}, folder)
    parameters = [
        {"id": f"{path.name}-{f['slug']}"[:32], "name": f["name"], "slug": f["slug"], "type": f["type"], "sectionId": f["type"].split("/")[0]}
        for f in spec["filters"]
    ]
    there = {c["card_id"]: c["id"] for c in metabase.call("GET", f"dashboard/{board}").get("dashcards", []) if c.get("card_id")}
    for at, card in enumerate(spec["cards"]):
        card_id, wanted = cards[card["name"]]
        tags = wanted["dataset_query"]["native"]["template-tags"]
        mappings = [
            {"parameter_id": p["id"], "card_id": card_id, "target": ["dimension", ["template-tag", tag]]}
            for p, f in zip(parameters, spec["filters"]) for tag in f["tags"] if tag in tags
        ]
        dashcards.append({
            # A number below zero asks for a new place.
            "id": there.get(card_id, -1 - at), "card_id": card_id, "row": card["row"], "col": card["col"],
            "size_x": card["size_x"], "size_y": card["size_y"], "parameter_mappings": mappings, "visualization_settings": {}, "series": [],
        })
    metabase.call("PUT", f"dashboard/{board}", {"parameters": parameters, "dashcards": dashcards})
    return f"{spec['name']}: {metabase.url}/dashboard/{board}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--user", default="admin@hospital.example")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=15432)
    parser.add_argument("--dbname", default="lake")
    parser.add_argument("--dbuser", default="dashboards")
    parser.add_argument("--ssl", action="store_true")
    parser.add_argument("--dashboard", action="append", help="the folder of a dashboard; all without")
    options = parser.parse_args()
    metabase = Metabase(options.url, os.environ.get("METABASE_API_KEY"))
    if "X-API-Key" not in metabase.headers:
        password = os.environ.get("METABASE_PASSWORD") or sys.exit("setup: METABASE_PASSWORD or METABASE_API_KEY is not set")
        metabase.login(options.user, password)
    details = {
        "host": options.host, "port": options.port, "dbname": options.dbname, "user": options.dbuser,
        "password": os.environ.get("TIDEWATER_PASSWORD", ""), "ssl": options.ssl, "tunnel-enabled": False,
        "schema-filters-type": "inclusion", "schema-filters-patterns": "gold", "advanced-options": True,
    }
    if options.ssl:
        details["ssl-mode"] = "require"
    paths = sorted(p.parent for p in HERE.glob("*/dashboard.json"))
    wanted = [(path, filters(path)) for path in paths if not options.dashboard or path.name in options.dashboard]
    number = database(metabase, details)
    folder = collection(metabase)
    for path, of in wanted:
        known = fields(metabase, number, of)
        print(dashboard(metabase, path, number, folder, known, of))


if __name__ == "__main__":
    main()
