"""deploy/metabase/setup.py against a stand-in for Metabase's API, which is to be had from no registry. The stand-in knows the calls that
the script makes, checks what is sent against what Metabase's API takes, and keeps it; it runs no query."""
import copy
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import urllib.parse

from checks import Checks, equal

SETUP = pathlib.Path(__file__).resolve().parents[4] / "deploy/metabase/setup.py"
FIELDS = {name: of for file in sorted(SETUP.parent.glob("**/fields.json")) for name, of in json.loads(file.read_text()).items()}
DISPLAYS = {"scalar", "line", "bar", "row", "pie", "table", "area", "smartscalar", "progress", "combo"}
# Metabase's grid.
COLUMNS = 24


class Refused(Exception):
    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status


def must(condition, message):
    if not condition:
        raise Refused(message)


class Store:
    """What Metabase would hold."""

    def __init__(self):
        self.users, self.databases, self.collections, self.cards, self.dashboards = {}, {}, {}, {}, {}
        self.synced, self.looks, self.calls = set(), 0, []
        self.fields = {number: key for number, key in enumerate(sorted(FIELDS), 100)}

    def state(self):
        return copy.deepcopy((self.databases, self.collections, self.cards, self.dashboards))

    def session(self):
        return {"id": "11111111-2222-3333-4444-555555555555"}

    def metadata(self, number):
        must(number in self.databases, "no such database")
        must(number in self.synced, "nobody asked for a sync")
        self.looks += 1
        tables = {}
        for field, key in self.fields.items():
            of = FIELDS[key]
            # At the first look nothing was seen yet.
            if self.looks > 1:
                tables.setdefault(of["table"], []).append({"id": field, "name": of["column"]})
        return {"id": number, "tables": [{"id": 7 + at, "schema": "gold", "name": name, "fields": fields} for at, (name, fields) in enumerate(tables.items())]}

    def card(self, body):
        must(body.get("name", "").strip(), "name: value must be a non-blank string")
        must(body.get("display") in DISPLAYS, f"display: {body.get('display')}")
        must(isinstance(body.get("visualization_settings"), dict), "visualization_settings: value must be a map")
        must(body.get("collection_id") in self.collections, "collection_id: no such collection")
        query = body.get("dataset_query", {})
        must(query.get("type") == "native" and query.get("database") in self.databases, "dataset_query: not a native query of a database")
        native = query.get("native", {})
        tags = native.get("template-tags", {})
        must(native.get("query", "").strip(), "dataset_query: no query")
        equal(set(re.findall(r"\{\{(\w+)\}\}", native["query"])), set(tags))
        for name, tag in tags.items():
            must(tag["name"] == name and tag["id"] and tag["display-name"] and tag["type"] == "dimension" and tag["widget-type"], f"template-tags: {tag}")
            must(tag["dimension"][0] == "field" and self.fields.get(tag["dimension"][1]) == name, f"template-tags: {tag} is of another field")
        # The settings of a column name it as JSON.
        for key in body["visualization_settings"].get("column_settings", {}):
            must(json.loads(key)[0] == "name", f"column_settings: {key}")
        return {key: body[key] for key in ("name", "display", "collection_id", "description", "visualization_settings", "dataset_query")}

    def places(self, number, body):
        board = self.dashboards[number]
        parameters = body["parameters"]
        for key in ("id", "slug"):
            must(len({p[key] for p in parameters}) == len(parameters), f"parameters: {key} twice")
        must(all(p["name"] and "/" in p["type"] for p in parameters), "parameters: name or type")
        taken, kept, known = set(), [], {c["id"] for c in board["dashcards"]}
        for card in body["dashcards"]:
            must(card["card_id"] in self.cards, "dashcards: no such card")
            must(card["id"] < 0 or card["id"] in known, "dashcards: no such dashcard")
            must(card["col"] >= 0 and card["size_x"] > 0 and card["col"] + card["size_x"] <= COLUMNS, f"dashcards: out of the grid {card}")
            cells = {(x, y) for x in range(card["col"], card["col"] + card["size_x"]) for y in range(card["row"], card["row"] + card["size_y"])}
            must(not cells & taken, f"dashcards: one lies on another {card}")
            taken |= cells
            tags = self.cards[card["card_id"]]["dataset_query"]["native"]["template-tags"]
            for mapping in card["parameter_mappings"]:
                kind, (what, tag) = mapping["target"]
                must(mapping["parameter_id"] in {p["id"] for p in parameters} and mapping["card_id"] == card["card_id"], f"parameter_mappings: {mapping}")
                must(kind == "dimension" and what == "template-tag" and tag in tags, f"parameter_mappings: {mapping}")
            mapped = {m["target"][1][1] for m in card["parameter_mappings"]}
            equal(set(tags), mapped)  # every filter of a question is the dashboard's
            kept.append({**card, "id": card["id"] if card["id"] > 0 else 1000 * number + len(kept) + 1})
        board.update(parameters=parameters, dashcards=kept)
        return board

    def answer(self, method, path, query, body, logged_in):
        self.calls.append(f"{method} {path}")
        parts = path.split("/")
        number = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None
        match (method, parts[0]):
            case ("GET", "session"):
                return {"has-user-setup": bool(self.users), "setup-token": None if self.users else "token"}
            case ("POST", "setup"):
                must(not self.users and body["token"] == "token", "setup: wrong token")
                user = body["user"]
                must(all(user.get(k) for k in ("first_name", "last_name", "email", "password")) and body["prefs"]["site_name"], "setup: user or prefs")
                self.users[user["email"]] = user["password"]
                return self.session()
            case ("POST", "session"):
                must(self.users.get(body["username"]) == body["password"], "did not match stored password")
                return self.session()
        if not logged_in:
            raise Refused("Unauthenticated", 401)
        match (method, parts[0], len(parts)):
            case ("GET", "database", 1):
                return {"data": [{"id": i, "name": d["name"]} for i, d in self.databases.items()], "total": len(self.databases)}
            case ("POST", "database", 1) | ("PUT", "database", 2):
                must(body["engine"] == "postgres" and body["name"], "engine or name")
                details = body["details"]
                must(all(details.get(k) for k in ("host", "dbname", "user")) and isinstance(details["port"], int), "details")
                at = number or len(self.databases) + 1
                must(method == "POST" or at in self.databases, "no such database")
                self.databases[at] = body
                return {"id": at, **body}
            case ("POST", "database", 3):
                must(number in self.databases and parts[2] == "sync_schema", "no such call")
                self.synced.add(number)
                return {"status": "ok"}
            case ("GET", "database", 3):
                return self.metadata(number)
            case ("GET", "collection", 1):
                return [{"id": "root", "name": "Our analytics"}, *({"id": i, **c} for i, c in self.collections.items())]
            case ("POST", "collection", 1):
                at = len(self.collections) + 1
                self.collections[at] = {"name": body["name"], "archived": False}
                return {"id": at, **self.collections[at]}
            case ("GET", "collection", 3):
                kind = query["models"][0]
                items = {"card": self.cards, "dashboard": self.dashboards}[kind]
                found = [{"id": i, "name": x["name"], "model": kind} for i, x in items.items() if x["collection_id"] == number]
                return {"data": found, "total": len(found)}
            case ("POST", "card", 1) | ("PUT", "card", 2):
                at = number or max(self.cards, default=40) + 1
                must(method == "POST" or at in self.cards, "no such card")
                self.cards[at] = self.card(body)
                return {"id": at, **self.cards[at]}
            case ("POST", "dashboard", 1):
                must(body["name"].strip() and body["collection_id"] in self.collections, "name or collection_id")
                at = len(self.dashboards) + 1
                self.dashboards[at] = {**body, "dashcards": [], "parameters": []}
                return {"id": at, **self.dashboards[at]}
            case ("GET", "dashboard", 2):
                return {"id": number, **self.dashboards[number]}
            case ("PUT", "dashboard", 2):
                must(number in self.dashboards, "no such dashboard")
                if "dashcards" in body:
                    return {"id": number, **self.places(number, body)}
                self.dashboards[number].update(body)
                return {"id": number, **self.dashboards[number]}
        raise Refused(f"API endpoint does not exist: {method} {path}", 404)


def handler(store):
    class Handler(http.server.BaseHTTPRequestHandler):
        def serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            url = urllib.parse.urlparse(self.path)
            try:
                must(url.path.startswith("/api/"), "no such page")
                found = store.answer(self.command, url.path[5:], urllib.parse.parse_qs(url.query), body, self.headers.get("X-Metabase-Session") == store.session()["id"])
                status, text = 200, json.dumps(found)
            except Refused as e:
                status, text = e.status, json.dumps({"errors": str(e)})
            except (KeyError, TypeError, AssertionError) as e:
                status, text = 400, json.dumps({"errors": f"{type(e).__name__} {e}"})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = serve

        def log_message(self, *_):
            pass

    return Handler


store = Store()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(store))
threading.Thread(target=server.serve_forever, daemon=True).start()
check = Checks(limit=120, least=9)


def setup(password="pw"):
    done = subprocess.run([sys.executable, SETUP, f"http://127.0.0.1:{server.server_port}"], env={**os.environ, "METABASE_PASSWORD": password, "TIDEWATER_PASSWORD": "x"}, capture_output=True, text=True, timeout=100)
    if done.returncode:
        raise AssertionError(done.stderr[-600:])
    return done.stdout


check("metabase.first-run", setup)
first = store.state()
check("metabase.dashboards", lambda: equal(["Executive", "Provider Performance"], sorted(d["name"] for d in store.dashboards.values())))
check("metabase.questions", lambda: equal(sum(len(d["dashcards"]) for d in store.dashboards.values()), len(store.cards)))
check("metabase.every-sql-is-a-question", lambda: equal(len(list(SETUP.parent.glob("*/*.sql"))), len(store.cards)))
check("metabase.second-run", setup)
check("metabase.nothing-twice", lambda: equal(first, store.state()) and "the same")


def without_one():
    number = min(store.cards)
    name = store.cards.pop(number)["name"]
    for board in store.dashboards.values():
        board["dashcards"] = [c for c in board["dashcards"] if c["card_id"] != number]
    setup()
    return equal([name], [c["name"] for c in store.cards.values() if c["name"] == name])


check("metabase.what-is-gone-comes-back", without_one)


def refused():
    try:
        setup("wrong")
    except AssertionError as e:
        return equal(True, "did not match stored password" in str(e))
    raise AssertionError("a wrong password was taken")


check("metabase.wrong-password", refused)
check("metabase.only-known-calls", lambda: f"{len(store.calls)} calls")
check.finish()
