"""Whether two answers are the same: rows, order where the query orders, exact numbers to the digit, floating-point ones within 1e-9."""
import datetime
import re
from decimal import Decimal

RELATIVE = 1e-9


def order_keys(text, names):
    """Positions of the output columns that the query orders by, or None if it orders by something else; [] if it does not order."""
    depth, at, lower = 0, None, text.lower()
    for found in re.finditer(r"'[^']*'|[()]|\border\s+by\b", lower):
        word = found.group()
        if word in "()":
            depth += 1 if word == "(" else -1
        elif word[0] != "'" and depth == 0:
            at = found.end()
    if at is None:
        return []
    clause = re.split(r"\blimit\b", lower[at:])[0]
    lowered, keys = [name.lower() for name in names], []
    for term in clause.split(","):
        term = re.sub(r"\s+(asc|desc)\b|\s+nulls\s+(first|last)\b", "", term).strip()
        term = term.rsplit(".", 1)[-1].strip('"')
        if term.isdigit() and 1 <= int(term) <= len(names):
            keys.append(int(term) - 1)
        elif lowered.count(term) == 1:
            keys.append(lowered.index(term))
        else:
            return None
    return keys


def equal(left, right, notes):
    """notes gathers differences that the two types allow and a reader should know."""
    if left is None or right is None:
        return left is right
    numbers = (int, float, Decimal)
    if isinstance(left, datetime.datetime) != isinstance(right, datetime.datetime):
        return False
    if not (isinstance(left, numbers) and isinstance(right, numbers)):
        return left == right
    if not isinstance(left, float) and not isinstance(right, float):
        return left == right
    if abs(float(left) - float(right)) <= RELATIVE * max(abs(float(left)), abs(float(right))) or left != left and right != right:
        return True
    # One engine divides decimals to a decimal, the other to a floating-point number: equal as far as the decimal's digits go.
    decimal = next((side for side in (left, right) if isinstance(side, Decimal)), None)
    if decimal is None or not decimal.is_finite():
        return False
    unit = Decimal(1).scaleb(decimal.as_tuple().exponent)
    other = Decimal(right if decimal is left else left)
    if abs(decimal - other) < unit:
        notes.add("a decimal of fewer digits than the floating-point number beside it")
        return True
    return False


def rank(value):
    """Sorts rows of one answer; numbers coarsely, as the other answer may differ in the last digits."""
    if value is None:
        return (0, "")
    if isinstance(value, (int, float, Decimal)):
        return (1, f"{float(value):.4e}")
    return (2, str(value))


def rows_of(table):
    columns = [column.to_pylist() for column in table.columns]
    strip = lambda value: value.rstrip(" ") if isinstance(value, str) else value
    return [tuple(map(strip, row)) for row in zip(*columns)] if columns else []


def differ(text, ours, theirs):
    """(what is different or None, notes)"""
    notes = set()
    if ours.num_columns != theirs.num_columns:
        return f"{ours.num_columns} columns, want {theirs.num_columns}", notes
    got, want = rows_of(ours), rows_of(theirs)
    if len(got) != len(want):
        return f"{len(got)} rows, want {len(want)}", notes
    keys = order_keys(text, theirs.column_names)
    if keys is None:
        notes.add("ordered by what is not a column of the answer: order not checked")
    same = lambda a, b: all(equal(x, y, notes) for x, y in zip(a, b))
    for number, (a, b) in enumerate(zip(got, want), 1):
        if not all(equal(a[key], b[key], notes) for key in keys or []):
            return f"order, row {number}: {a}, want {b}", notes
    if all(same(a, b) for a, b in zip(got, want)):
        return None, notes
    # Rows that the order leaves equal may stand in any order.
    ordered = lambda rows: sorted(rows, key=lambda row: [rank(value) for value in row])
    for a, b in zip(ordered(got), ordered(want)):
        if not same(a, b):
            return f"row {a}, want {b}", notes
    return None, notes
