"""Ratios of two runs of bench_catalog.py: bench_ratios.py OURS.json REFERENCE.json RESULT.json

Prints a line a case and writes figures, goals and ratios in the form of benches/results.
"""
import json
import os
import sys

OURS, REFERENCE, RESULT = sys.argv[1:]
# Case: figure: the ratio to the reference must be at most (or, for a rate, at least) this.
GOALS = {
    "load, all snapshots": {"cpu_ms": 0.05, "p99_ms": 0.2},
    "load, If-None-Match hit": {"cpu_ms": 0.05},
    "load, 8 connections": {"p99_ms": 0.2},
    "load, 32 connections": {"p99_ms": 0.2},
    "raw commits, 8 writers 8 tables": {"rate": 5.0},
    "raw commits, 8 writers 100 tables": {"rate": 5.0},
}
# Case: figure: at most this, whatever the reference takes.
LIMITS = {"raw commits, 8 writers 1 table": {"p99_ms": 50.0}}
# What no peer offers: figure: at least this.
ALONE = {"append-files on one table": {"rate": 200.0}}


def cases(path):
    with open(path) as file:
        return {case.pop("case"): case for case in json.load(file)}


def main():
    ours, reference = cases(OURS), cases(REFERENCE)
    figures = []
    for case, own in ours.items():
        if case not in reference:
            for figure, value in own.items():
                entry = {"name": "%s: %s" % (case, figure), "value": round(value, 3)}
                goal = ALONE.get(case, {}).get(figure)
                if goal:
                    entry.update(goal=">= %g" % goal, met=value >= goal)
                figures.append(entry)
            print("%-34s %s" % (case, ", ".join("%s %.3g" % pair for pair in own.items())))
            continue
        theirs = reference[case]
        goals = GOALS.get(case, {})
        line = []
        for figure, value in own.items():
            ratio = value / theirs[figure] if theirs[figure] else float("inf")
            entry = {"name": "%s: %s" % (case, figure), "value": round(value, 3), "reference": round(theirs[figure], 3), "ratio": round(ratio, 3)}
            text = "%s %.3g (%.3g x)" % (figure, value, ratio)
            if figure in goals:
                least = figure == "rate"
                met = ratio >= goals[figure] if least else ratio <= goals[figure]
                entry.update(goal="%s %g x" % (">=" if least else "<=", goals[figure]), met=met)
                text += " goal %s: %s" % (entry["goal"], "met" if met else "MISSED")
            limit = LIMITS.get(case, {}).get(figure)
            if limit:
                entry.update(goal="<= %g" % limit, met=value <= limit)
                text += " goal %s: %s" % (entry["goal"], "met" if entry["met"] else "MISSED")
            figures.append(entry)
            line.append(text)
        print("%-34s %s" % (case, ", ".join(line)))
    result = {
        "bench": "catalog",
        "command": "scripts/bench-catalog",
        "figures": figures,
        "machine": {"cores": os.cpu_count(), "load_average_1m_after": round(os.getloadavg()[0], 2)},
        "notes": ["both servers one after the other in one run, on local files; ours syncs every commit to disk, the reference's sqlite does not"],
        "profile": "release",
    }
    with open(RESULT, "w") as file:
        json.dump(result, file, indent=2)
        file.write("\n")


main()
