"""answers.py CATALOG_URI ENDPOINT SF SUITE: every query of the suite must answer as DuckDB does over the same files."""
import sys

from compare import differ
from suite import Duck, Tidewater, namespace, queries

uri, endpoint, factor, suite = sys.argv[1:5]
theirs, ours = Duck(uri, suite, factor), Tidewater(endpoint)
failed = 0
asked = queries(theirs.db, suite, namespace(suite, factor))
assert asked, f"{suite} has no queries"
for number, text in asked:
    try:
        want = theirs.run(text)
    except Exception as error:
        sys.exit(f"DuckDB refuses query {number}, so there is nothing to judge by: {error}")
    try:
        different, notes = differ(text, ours.run(text), want)
    except Exception as error:
        different, notes = f"{type(error).__name__}: {' '.join(str(error).split())[:600]}", ()
    failed += different is not None
    said = "".join(f" ({note})" for note in sorted(notes))
    print(f"FAIL q{number}: {different}{said}" if different else f"ok   q{number}: {want.num_rows} rows{said}", flush=True)
print(f"{len(asked) - failed} passed, {failed} failed", flush=True)
sys.exit(1 if failed else 0)
