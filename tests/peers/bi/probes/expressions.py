"""The tables of expressions that differ.py sends to both endpoints: a template and the values that are put into it.

`$x` takes each of the values, `$a` and `$b` each pair of them. What a line yields is one expression, which is selected alone."""

TIMES = [
    "TIMESTAMP '2024-02-29 15:04:09.123456'",
    "TIMESTAMP '2023-12-31 23:59:59'",
    "TIMESTAMP '2021-01-03 00:00:00'",
    "TIMESTAMP '1999-05-05 12:00:00.5'",
]
DAYS = ["DATE '2024-02-29'", "DATE '2023-12-31'", "DATE '2021-01-03'", "DATE '1970-01-01'", "DATE '1899-07-14'"]
INSTANTS = ["TIMESTAMPTZ '2024-03-31 00:30:00+00'", "TIMESTAMPTZ '2024-07-01 12:34:56.789+02'", "TIMESTAMPTZ '1970-01-01 00:00:00+00'"]
ZONES = ["'UTC'", "'Europe/Berlin'", "'America/New_York'", "'Asia/Kolkata'"]
FIELDS = ["century", "day", "decade", "dow", "doy", "epoch", "hour", "isodow", "isoyear", "microseconds", "millennium", "milliseconds", "minute", "month", "quarter", "second", "week", "year"]
GRAINS = ["microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century"]
SPANS = [
    "INTERVAL '1 month'", "INTERVAL '-1 month'", "INTERVAL '1 year 2 months 3 days'", "INTERVAL '36 hours'", "INTERVAL '90 minutes'",
    "INTERVAL '1 week'", "INTERVAL '0.5 seconds'", "INTERVAL '1 day -02:00:00'",
]
PATTERNS = [
    "YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS", "YYYY-MM-DD HH24:MI:SS.MS", "YYYY-MM-DD HH24:MI:SS.US", "YYYYMMDDHH24MISS", "DD/MM/YYYY", "MM/DD/YY",
    "Mon DD, YYYY", "FMMonth FMDD, YYYY", "Month", "MONTH", "month", "MON", "mon", "Day", "DAY", "day", "Dy", "DY", "dy", "D", "ID", "DDD", "IDDD",
    "WW", "IW", "W", "IYYY-IW", "IYYY", "YYY", "YY", "Y", "Y,YYY", "CC", "Q", "HH", "HH12", "HH12:MI am", "HH12:MI PM", "HH12:MI a.m.", "SSSS", "J",
    "FMHH24:FMMI", "\"Q\"Q YYYY", "YYYY\"W\"IW", "FMDDth", "DDTH", "RM", "FMrm", "AD", "bc", "TZ", "OF", "FF3", "FF6", "literal", "MI \"min\"",
]
NUMBERS = ["0", "1", "-1", "7", "-7", "12.345", "-0.05", "1234567.891", "99.995", "0.5", "1.5", "2.5", "-2.5"]
FLOATS = ["0::float8", "1.5::float8", "-2.5::float8", "0.1::float8", "123456.789::float8", "'NaN'::float8", "'Infinity'::float8", "(-0.004)::float8"]
MASKS = ["999", "9999.99", "FM9999.00", "0000.00", "FM0000", "9,999,999.99", "FM9,999,999.999", "S999", "999S", "MI9999.9", "9999.9MI", "PR9999.9", "9999.9PR", "SG999", "$9999.99", "FM$9,999", "999D99", "9G999D9", "9.99EEEE", "V999", "999th", "FM999th", "RN", "L999", "B9999.99", "09999", "FM9.9", "FM990.099"]
TEXTS = ["''", "'a'", "'Hello World'", "'grün Straße'", "'  padded  '", "'a,b,,c'", "'it''s'", "'100%'", "'under_score'", "E'tab\\there'"]
REGEX = ["'^a'", "'o+'", "'(.)(.)'", "'[[:digit:]]+'", "'\\d+'", "'\\w+'", "'[aeiou]'", "'l{2}'", "'a|b'", "'W.*d'", "'(?i)WORLD'", "'\\mW'", "'\\yo'"]
ARRAYS = ["ARRAY[1, 2, 3]::int[]", "ARRAY[3, 1, NULL, 2]::int[]", "'{}'::int[]", "ARRAY[1, 1, 2]::int[]"]
WORDS = ["ARRAY['a', 'b', 'c']", "ARRAY['a', NULL, 'c']", "ARRAY['x y', 'q\"r', '']", "'{}'::text[]"]
JSON = [
    """'{"a": 1, "b": {"c": [10, 20, 30]}, "d": null, "e": "text", "f": true, "g": 1.50}'""",
    """'[1, "two", null, {"three": 3}]'""",
    "'{}'", "'[]'", "'\"scalar\"'", "'12.50'", "'null'",
]
TRUTHS = ["TRUE", "FALSE", "NULL::boolean"]

TABLES = [
    # Dates and instants
    *[(f"EXTRACT({f} FROM $x)", TIMES) for f in FIELDS],
    *[(f"EXTRACT({f} FROM $x)", DAYS[:3]) for f in ("year", "month", "day", "dow", "doy", "week", "isodow", "isoyear", "quarter", "decade", "century", "epoch")],
    *[(f"EXTRACT({f} FROM $x)", INSTANTS) for f in ("year", "hour", "epoch", "timezone", "timezone_hour", "week")],
    *[(f"EXTRACT({f} FROM $x)", SPANS) for f in ("day", "month", "year", "hour", "minute", "epoch", "second")],
    *[(f"EXTRACT({f} FROM $x)", ["TIME '12:34:56.789'"]) for f in ("hour", "minute", "second", "epoch", "milliseconds")],
    *[(f"date_part('{f}', $x)", TIMES[:1] + DAYS[:1] + INSTANTS[:1]) for f in ("year", "dow", "epoch", "second", "week", "julian")],
    *[(f"date_trunc('{g}', $x)", TIMES[:3]) for g in GRAINS],
    *[(f"date_trunc('{g}', $x)", DAYS[:2]) for g in ("day", "week", "month", "quarter", "year")],
    *[(f"date_trunc('{g}', $x)", INSTANTS[:2]) for g in ("hour", "day", "week", "month")],
    *[(f"date_trunc('{g}', $x, 'Europe/Berlin')", INSTANTS[:2]) for g in ("day", "month")],
    ("date_trunc('hour', $x)", SPANS[2:5]),
    *[(f"$x + {s}", TIMES[:2]) for s in SPANS],
    *[(f"$x - {s}", TIMES[:2]) for s in SPANS],
    *[(f"$x + {s}", DAYS[:2]) for s in SPANS[:4]],
    *[(f"$x + {s}", INSTANTS[:1]) for s in SPANS[:4]],
    ("$a - $b", TIMES[:3]),
    ("$a - $b", DAYS[:3]),
    ("$a - $b", INSTANTS),
    ("age($a, $b)", TIMES[:3]),
    ("age($a, $b)", DAYS[:3]),
    ("$x + TIME '01:02:03'", DAYS[:2]),
    ("$x + 7", DAYS),
    ("$x - 7", DAYS),
    ("$x", SPANS), ("-($x)", SPANS), ("$x * 2", SPANS), ("$x / 2", SPANS), ("$x * 1.5", SPANS), ("$x + INTERVAL '1 day'", SPANS),
    ("justify_days($x)", SPANS), ("justify_hours($x)", SPANS), ("justify_interval($x)", SPANS),
    ("CAST($x AS text)", SPANS[:4]),
    ("$a = $b", ["INTERVAL '1 day'", "INTERVAL '24 hours'", "INTERVAL '1 month'", "INTERVAL '30 days'"]),
    ("$a > $b", ["INTERVAL '1 day'", "INTERVAL '23 hours'", "INTERVAL '1 month'"]),
    *[(f"$x AT TIME ZONE {z}", TIMES[:2] + INSTANTS[:2]) for z in ZONES],
    *[(f"timezone({z}, $x)", TIMES[:1] + INSTANTS[:1]) for z in ZONES],
    ("(TIMESTAMP '2024-03-31 02:30:00' AT TIME ZONE 'Europe/Berlin') AT TIME ZONE $x", ZONES),
    ("TIMESTAMPTZ '2024-01-01 00:00:00+00' AT TIME ZONE $x", ["INTERVAL '2 hours'", "'+03'", "'EST'", "'PST8PDT'", "'nonsense'"]),
    ("$x::date", TIMES + INSTANTS), ("$x::time", TIMES), ("$x::timestamp", DAYS + INSTANTS), ("$x::timestamptz", DAYS[:2] + TIMES[:2]), ("$x::text", TIMES + DAYS + INSTANTS),
    ("$x::date", ["'2024-02-29'", "'20240229'", "'Feb 29, 2024'", "'2024-02-30'", "'29.02.2024'", "'2024/02/29'", "' 2024-02-29 '", "'February 29 2024'", "'2024-2-9'", "'x'"]),
    ("$x::timestamp", ["'2024-02-29 10:20'", "'2024-02-29T10:20:30Z'", "'2024-02-29 10:20:30.5'", "'2024-02-29 24:00:00'", "'2024-02-29'", "'x'", "'2024-13-01'"]),
    ("$x::timestamptz", ["'2024-02-29 10:20:30+05:30'", "'2024-02-29 10:20:30 UTC'", "'2024-02-29 10:20:30 Europe/Berlin'", "'2024-02-29T10:20:30Z'", "'2024-02-29'"]),
    ("$x::time", ["'10:20'", "'10:20:30.123456'", "'24:00'", "'3 PM'", "'25:00'"]),
    ("$x::interval", ["'1 day'", "'1:02:03'", "'P1Y2M3DT4H5M6S'", "'1 year 6 mons'", "'-1 days +02:03'", "'2 weeks ago'", "'1.5 hours'", "'1 fortnight'", "'100'"]),
    ("make_date($x)", ["2024, 2, 29", "1, 1, 1", "2024, 2, 30"]),
    ("make_time($x)", ["1, 2, 3", "23, 59, 59.5"]),
    ("make_timestamp($x)", ["2024, 2, 29, 1, 2, 3.5", "2024, 13, 1, 0, 0, 0"]),
    ("make_interval($x)", ["1", "0, 2", "0, 0, 1, 2", "days => 10"]),
    ("to_timestamp($x)", ["0", "1704067200", "1704067200.25", "-1.5"]),
    ("isfinite($x)", ["DATE '2024-01-01'", "TIMESTAMP '2024-01-01'"]),
    ("date_bin(INTERVAL '15 minutes', $x, TIMESTAMP '2001-01-01')", TIMES),
    ("$x", ["DATE '2024-01-01' BETWEEN DATE '2023-01-01' AND DATE '2024-12-31'", "(DATE '2024-01-01', DATE '2024-02-01') OVERLAPS (DATE '2024-01-15', DATE '2024-03-01')", "DATE '2024-01-01' = TIMESTAMP '2024-01-01 00:00:00'", "DATE '2024-01-01' < TIMESTAMPTZ '2024-01-01 00:00:01+00'"]),
    # to_char, to_date, to_timestamp, to_number
    *[("to_char($x, '" + p + "')", TIMES[:3]) for p in PATTERNS],
    *[("to_char($x, '" + p + "')", INSTANTS[:1] + DAYS[:1]) for p in PATTERNS[:6]],
    *[("to_char($x, '" + m + "')", NUMBERS[3:8]) for m in MASKS],
    *[("to_char($x, '" + m + "')", ["123456.789::float8", "0::int4", "-485::int8"]) for m in ("999", "FM9,999,999.00", "0000.0")],
    ("to_char($x, 'HH24:MI:SS')", SPANS[3:5]),
    ("to_date($x)", ["'2024-02-29', 'YYYY-MM-DD'", "'29 Feb 2024', 'DD Mon YYYY'", "'20240229', 'YYYYMMDD'", "'02/29/24', 'MM/DD/YY'", "'2024-060', 'YYYY-DDD'", "'2024-W09', 'IYYY-\"W\"IW'", "'February 2024', 'Month YYYY'", "'2024-02-30', 'YYYY-MM-DD'", "'x', 'YYYY'", "'2024', 'YYYY'", "'2024-2-9', 'YYYY-MM-DD'"]),
    ("to_timestamp($x)", ["'2024-02-29 10:20:30', 'YYYY-MM-DD HH24:MI:SS'", "'2024-02-29 10:20:30.123456', 'YYYY-MM-DD HH24:MI:SS.US'", "'2024-02-29 10:20:30.5', 'YYYY-MM-DD HH24:MI:SS.MS'", "'29/02/2024 03:04 PM', 'DD/MM/YYYY HH12:MI AM'", "'20240229', 'YYYYMMDD'", "'10:20', 'HH24:MI'", "'2024-02-29 25:00', 'YYYY-MM-DD HH24:MI'"]),
    ("to_number($x)", ["'12,454.8-', '99G999D9S'", "'1234.5', '9999.9'", "'-1,234', '9,999'", "'$12.50', 'L99.99'"]),
    # Numbers
    *[(f + "($x)", NUMBERS) for f in ("abs", "ceil", "floor", "round", "trunc", "sign")],
    *[(f + "($x)", FLOATS) for f in ("abs", "ceil", "floor", "round", "trunc", "sign", "cbrt")],
    *[("round($x, " + d + ")", NUMBERS[5:]) for d in ("0", "1", "2", "-2")],
    ("trunc($x, 1)", NUMBERS[5:]),
    ("$x::int", NUMBERS), ("$x::bigint", NUMBERS[:6]), ("$x::smallint", NUMBERS[:6]), ("$x::text", NUMBERS), ("$x::float8", NUMBERS), ("$x::numeric(10,2)", NUMBERS), ("$x::float4", NUMBERS[5:9]),
    ("$x::int", FLOATS[:5] + ["'NaN'::float8", "'12'", "' 12 '", "'1.5'", "'x'", "'2147483648'", "''", "TRUE", "FALSE"]),
    ("$x::text", FLOATS + ["1e20::float8", "1e-7::float8", "1.0::float8", "100000000000000000000::numeric"]),
    ("$x::numeric", FLOATS[1:5] + ["'12.340'", "'x'", "'1e3'", "'-0.0'", "'NaN'"]),
    ("$x::boolean", ["'t'", "'yes'", "'on'", "'1'", "'false'", "'off'", "'maybe'", "1", "0", "2"]),
    ("$a + $b", NUMBERS[3:7]), ("$a - $b", NUMBERS[3:7]), ("$a * $b", NUMBERS[3:7]), ("$a % $b", NUMBERS[3:6]), ("$a / $b", NUMBERS[3:6]),
    ("$x", ["7 / 2", "-7 / 2", "7 / 2.0", "7.0 / 2", "1 / 3.0", "10 / 4::float8", "5 % -3", "-5 % 3", "5.5 % 2", "2 ^ 10", "2.0 ^ 0.5", "|/ 25.0", "||/ 27.0", "@ -5", "5 & 3", "5 | 3", "5 # 3", "~5", "1 << 4", "16 >> 2", "0.1 + 0.2", "0.1::float8 + 0.2::float8", "1.10 * 2", "1.00 / 3", "10.0 / 3.0", "1e3", "1.5e-3", "0x1F"]),
    ("$x", ["mod(7, 3)", "mod(-7, 3)", "mod(7.5, 2)", "div(7, 2)", "div(-7, 2)", "div(7.5, 2)", "gcd(12, 18)", "lcm(4, 6)", "power(2, 0.5)", "power(2, 10)", "power(2::numeric, 3)", "sqrt(2)", "sqrt(2::numeric)", "exp(1)", "exp(1.0)", "ln(10)", "ln(2.0)", "log(100)", "log(2, 8)", "log10(1000)", "pi()", "degrees(pi())", "radians(180)", "sin(1)", "cos(1)", "tan(1)", "cot(1)", "asin(1)", "acos(0.5)", "atan(1)", "atan2(1, 2)", "sinh(1)", "cosh(1)", "tanh(1)", "factorial(5)", "width_bucket(5.35, 0.024, 10.06, 5)", "scale(8.41)", "min_scale(8.4100)", "trim_scale(8.4100)", "numeric_larger(1, 2)", "random() < 1"]),
    ("$x", ["sqrt(-1)", "ln(0)", "1 / 0", "1.0 / 0", "1::float8 / 0", "0 % 0", "9223372036854775807 + 1", "32767::int2 + 1::int2", "40000::int2", "abs(-9223372036854775808)", "1e400::float8", "power(10, 400)"]),
    ("greatest($x)", ["1, 2, 3", "1, NULL, 3", "'a', 'b'", "1.5, 2", "NULL, NULL", "DATE '2024-01-01', DATE '2023-01-01'"]),
    ("least($x)", ["1, 2, 3", "1, NULL, 3", "'a', 'B'", "1.5, 2"]),
    # Texts
    *[(f + "($x)", TEXTS) for f in ("upper", "lower", "initcap", "length", "reverse", "trim", "ltrim", "rtrim", "md5", "octet_length", "bit_length", "quote_literal", "quote_ident", "quote_nullable", "ascii", "char_length")],
    *[("left($x, " + n + ")", TEXTS[2:4]) for n in ("0", "3", "-2", "100")],
    *[("right($x, " + n + ")", TEXTS[2:4]) for n in ("0", "3", "-2", "100")],
    *[("substring($x " + r + ")", TEXTS[2:4]) for r in ("FROM 3", "FROM 0 FOR 3", "FROM -1 FOR 4", "FROM 2 FOR 100", "FOR 2", "FROM 'o.'", "FROM '(l+)(o)'", "SIMILAR '%#\"o_#\"%' ESCAPE '#'")],
    *[("split_part($x, ',', " + n + ")", ["'a,b,,c'", "''", "'abc'"]) for n in ("1", "3", "9", "-1", "-2")],
    *[("lpad($x, " + n + ")", ["'abc'", "''"]) for n in ("5", "2", "5, 'xy'", "0")],
    *[("rpad($x, " + n + ")", ["'abc'", "''"]) for n in ("5", "2", "5, 'xy'", "-1")],
    ("trim($x)", ["BOTH 'x' FROM 'xxaxx'", "LEADING 'x' FROM 'xxaxx'", "TRAILING FROM ' a '", "BOTH FROM ' a '", "'xy' FROM 'xyaxy'"]),
    ("$x", ["btrim('xyaxy', 'xy')", "ltrim('zzzytest', 'xyz')", "rtrim('testxxzx', 'xyz')", "position('lo' IN 'hello')", "position('' IN 'hello')", "position('x' IN 'hello')", "strpos('hello', 'l')", "replace('hello', 'l', 'LL')", "replace('hello', '', 'x')", "translate('12345', '143', 'ax')", "translate('abc', 'abc', '')", "overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4)", "overlay('abc' PLACING 'X' FROM 2)", "repeat('ab', 3)", "repeat('ab', -1)", "concat('a', 1, NULL, TRUE, 2.50)", "concat_ws(',', 'a', NULL, 'b')", "concat_ws(NULL, 'a')", "'a' || NULL", "'a' || 1.50", "'a' || TRUE", "'x' || DATE '2024-01-01'", "1 || '2'", "chr(8364)", "to_hex(2147483647)", "to_hex(-1)", "starts_with('alphabet', 'alph')", "'alphabet' ^@ 'alph'", "encode('\\x00ff'::bytea, 'hex')", "encode('hello'::bytea, 'base64')", "decode('aGVsbG8=', 'base64')", "decode('68656c6c6f', 'hex')", "convert_from('\\x68'::bytea, 'UTF8')", "convert_to('h', 'UTF8')", "sha256('a'::bytea)", "sha512('a'::bytea)", "md5('a'::bytea)", "length('\\x0102'::bytea)", "get_byte('\\x0102'::bytea, 1)", "'\\x01'::bytea || '\\x02'::bytea", "normalize('a')", "unistr('\\0041')", "parse_ident('a.b')", "string_to_array('a,b,c', ',')", "string_to_array('a,b,c', ',', 'b')", "string_to_array('abc', NULL)", "array_to_string(ARRAY['a', NULL, 'c'], ',', '*')", "unaccent('x')", "regexp_count('banana', 'a')", "regexp_instr('banana', 'n')", "regexp_like('banana', 'N', 'i')", "regexp_substr('banana', 'n.')", "'abc' COLLATE \"C\"", "'a' < 'B'", "'abc' = 'abc '", "'abc'::char(5) = 'abc'", "'abcdef'::varchar(3)", "'abcdef'::char(3)", "'a'::\"char\"", "U&'\\0061'", "B'101'", "X'1F'"]),
    *[("$x ~ " + r, ["'Hello World 42'"]) for r in REGEX],
    *[("$x ~* " + r, ["'Hello World 42'"]) for r in REGEX],
    *[("regexp_replace($x, " + r + ", '<\\1>')", ["'Hello World 42'"]) for r in REGEX],
    *[("regexp_replace($x, " + r + ", '-', 'g')", ["'Hello World 42'"]) for r in REGEX],
    *[("regexp_replace($x, " + r + ", '[\\&]', 'gi')", ["'Hello World 42'"]) for r in REGEX[:6]],
    *[("regexp_match($x, " + r + ")", ["'Hello World 42'"]) for r in REGEX],
    *[("substring($x FROM " + r + ")", ["'Hello World 42'"]) for r in REGEX],
    *[("regexp_split_to_array($x, " + r + ")", ["'Hello World 42'"]) for r in REGEX[1:8]],
    *[("$x LIKE " + p, ["'100%'", "'under_score'", "'a\\b'", "NULL"]) for p in ("'%'", "'%\\%'", "'_nder%'", "'under\\_%'", "'a\\\\b'", "''")],
    *[("$x " + p, ["'100%'", "'Abc'"]) for p in ("LIKE '%!%' ESCAPE '!'", "ILIKE 'aB%'", "NOT LIKE 'A%'", "NOT ILIKE '%B%'", "SIMILAR TO '(A|1)%'", "NOT SIMILAR TO 'A_c'", "LIKE ANY (ARRAY['A%', 'x'])", "!~~ 'A%'", "~~ 'A%'", "~~* 'a%'")],
    ("format($x)", ["'%s', 1.50", "'%s %s', 'a', NULL", "'%I', 'a b'", "'%I', 'select'", "'%L', NULL", "'%L', 'it''s'", "'%1$s %1$s %2$s', 'a', 'b'", "'%10s|', 'a'", "'%-10s|', 'a'", "'%%'", "'%s', TRUE", "'%s', DATE '2024-01-01'", "'%s', ARRAY[1,2]", "'%x', 1", "'%s'"]),
    # Arrays
    ("$x", ARRAYS + WORDS), ("$x::text", ARRAYS + WORDS), ("$x::text[]", ARRAYS),
    *[(f + "($x)", ARRAYS) for f in ("cardinality", "array_ndims", "array_dims")],
    *[(f + "($x, 1)", ARRAYS) for f in ("array_length", "array_upper", "array_lower")],
    *[(f, ARRAYS) for f in ("array_append($x, 9)", "array_prepend(9, $x)", "array_remove($x, 1)", "array_replace($x, 1, 7)", "array_position($x, 2)", "array_positions($x, 1)", "array_cat($x, $x)", "$x || 4", "0 || $x", "$x || $x", "($x)[1]", "($x)[5]", "($x)[1:2]", "($x)[2:]", "2 = ANY($x)", "2 <> ALL($x)", "2 > ALL($x)", "$x @> ARRAY[1]", "$x <@ ARRAY[1, 2, 3, 4]", "$x && ARRAY[3, 9]", "$x = ARRAY[1, 2, 3]", "$x < ARRAY[2]", "array_to_string($x, '-')", "array_to_string($x, '-', 'N')", "(SELECT sum(x) FROM unnest($x) AS x)", "array_to_json($x)", "to_json($x)")],
    ("$x", ["ARRAY[[1, 2], [3, 4]]", "(ARRAY[[1, 2], [3, 4]])[2][1]", "array_fill(7, ARRAY[3])", "trim_array(ARRAY[1, 2, 3], 1)", "ARRAY(SELECT generate_series(1, 3))", "ARRAY[1, 2.5]", "ARRAY['a'::text]", "'{1,NULL,3}'::int[]", "'{\"a b\",c}'::text[]", "'{{1,2},{3,4}}'::int[]", "'{x}'::int[]", "array_agg(x) FROM (VALUES (1), (2)) t(x)", "array_agg(x ORDER BY x DESC) FROM (VALUES (1), (2)) t(x)", "array_agg(DISTINCT x) FROM (VALUES (1), (1)) t(x)", "string_agg(x::text, ',' ORDER BY x DESC) FROM (VALUES (1), (2)) t(x)", "1 IN (1, 2, NULL)", "3 IN (1, 2, NULL)", "3 NOT IN (1, 2, NULL)", "ROW(1, 'a')", "ROW(1, 2) = ROW(1, 2)", "(1, 2) < (1, 3)", "ROW(1, NULL) IS NULL"]),
    # JSON
    *[("$x::json" + o, JSON[:2]) for o in ("->'a'", "->>'a'", "->'b'->'c'", "->'b'->>'c'", "->'b'->'c'->1", "->>'d'", "->'d'", "->>'e'", "->'x'", "->0", "->>1", "->-1", "#>'{b,c}'", "#>>'{b,c,0}'", "#>>'{b,x}'", "#>>ARRAY['b', 'c', '1']")],
    *[("$x::jsonb" + o, JSON[:2]) for o in ("->'a'", "->>'a'", "->'b'->'c'", "->'b'->'c'->>1", "->>'d'", "->>'e'", "->>'f'", "->>'g'", "->'x'", "->0", "->>3", "->-2", "#>'{b,c}'", "#>>'{b,c,2}'", " ? 'a'", " ?| ARRAY['a', 'z']", " ?& ARRAY['a', 'e']", " @> '{\"a\": 1}'", " @> '[1]'", " <@ '{\"a\": 1}'", " - 'a'", " - 0", " || '{\"z\": 9}'", " = '{}'")],
    ("$x::jsonb", JSON), ("$x::json", JSON), ("($x::jsonb->>'a')::int + 1", JSON[:1]),
    ("jsonb_typeof($x::jsonb)", JSON), ("json_typeof($x::json)", JSON), ("jsonb_array_length($x::jsonb)", JSON[1:4:2]), ("json_array_length($x::json)", JSON[1:4:2]),
    ("$x", ["json_build_object('a', 1, 'b', 'x')", "jsonb_build_object('a', 1, 'b', 'x')", "json_build_array(1, 'a', NULL)", "jsonb_build_array(1, 'a', NULL)", "to_json('a'::text)", "to_jsonb(1.50)", "to_jsonb(TRUE)", "to_json(DATE '2024-01-01')", "jsonb_extract_path_text('{\"a\": {\"b\": 2}}', 'a', 'b')", "json_extract_path('{\"a\": {\"b\": 2}}', 'a')", "json_extract_path_text('{\"a\": {\"b\": 2}}', 'a', 'b')", "jsonb_set('{\"a\": 1}', '{a}', '2')", "jsonb_strip_nulls('{\"a\": null, \"b\": 1}')", "jsonb_pretty('{\"a\": 1}')", "json_object('{a,1,b,2}')", "json_agg(x) FROM (VALUES (1), (2)) t(x)", "jsonb_agg(x) FROM (VALUES (1), (2)) t(x)", "json_object_agg(k, v) FROM (VALUES ('a', 1)) t(k, v)", "'{\"a\": 1}'::jsonb @? '$.a'", "jsonb_path_query_first('{\"a\": [1, 2]}', '$.a[1]')", "'{bad'::json", "(SELECT string_agg(k, ',') FROM jsonb_object_keys('{\"b\": 1, \"a\": 2}') k)", "(SELECT sum(v::int) FROM jsonb_array_elements_text('[1, 2, 3]') v)", "(SELECT count(*) FROM json_each_text('{\"a\": 1, \"b\": null}'))", "'{\"b\": 1, \"a\": 2, \"b\": 3}'::jsonb"]),
    # Logic and comparisons
    ("$a AND $b", TRUTHS), ("$a OR $b", TRUTHS), ("$a = $b", TRUTHS), ("$a IS DISTINCT FROM $b", TRUTHS), ("$a IS NOT DISTINCT FROM $b", TRUTHS), ("NOT $x", TRUTHS),
    *[("($x) IS " + w, TRUTHS) for w in ("TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN", "NULL", "NOT NULL")],
    ("$x", ["NULL = NULL", "NULL IS NULL", "1 <> NULL", "NULL + 1", "NULL || 'a'", "coalesce(NULL, NULL, 3)", "coalesce(NULL, 'x')", "nullif(1, 2)", "nullif('a', 'a')", "CASE WHEN NULL THEN 1 ELSE 2 END", "CASE 1 WHEN 1 THEN 'one' ELSE 'other' END", "CASE WHEN FALSE THEN 1 END", "1 BETWEEN 0 AND 2", "1 NOT BETWEEN 2 AND 3", "2 BETWEEN SYMMETRIC 3 AND 1", "1 = 1.0", "1.0 = 1.00", "'1' = 1", "1 < 1.5", "'a' = 'a'", "'abc' > 'abd'", "1 IS NOT NULL", "num_nulls(1, NULL, 2)", "num_nonnulls(1, NULL, 2)", "TRUE::int", "TRUE::text", "1::boolean", "EXISTS (SELECT 1)", "NOT EXISTS (SELECT 1 WHERE FALSE)", "(SELECT 1 WHERE FALSE)", "1 = ANY (SELECT 1)", "2 > ALL (SELECT 1)", "1 = SOME (ARRAY[1])", "bool 't'", "DATE '2024-01-01' IS NOT NULL", "'NaN'::float8 = 'NaN'::float8", "'NaN'::float8 > 1", "'Infinity'::float8 > 1e300", "-0.0::float8 = 0"]),
    # Sets
    ("count(*), min(x)::text, max(x)::text FROM generate_series($x) x", ["1, 5", "5, 1", "1, 10, 3", "10, 1, -4", "0, 1, 0.25", "1.5, 4.0", "TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-03', INTERVAL '12 hours'", "DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1 month'", "TIMESTAMPTZ '2024-01-01 00:00:00+00', TIMESTAMPTZ '2024-01-02 00:00:00+00', INTERVAL '6 hours'", "1, NULL", "1, 3, 0"]),
    ("$x", ["generate_series(1, 3)", "generate_series(1, 3) AS n, 'x' AS y", "unnest(ARRAY[1, NULL])", "* FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) AS t(n, s)", "* FROM unnest(ARRAY['a', 'b']) WITH ORDINALITY AS t(s, n)", "* FROM generate_series(1, 2) WITH ORDINALITY", "* FROM regexp_split_to_table('a b c', ' ') x", "* FROM string_to_table('a,b', ',') x", "regexp_matches('foobarbaz', 'ba.', 'g')", "* FROM (VALUES (1, 'a'), (2, NULL)) AS t(n, s)", "* FROM generate_subscripts(ARRAY[4, 5], 1) s", "x, count(*) FROM (VALUES (1), (1), (NULL)) t(x) GROUP BY x ORDER BY x NULLS FIRST", "x FROM (VALUES (2), (NULL), (1)) t(x) ORDER BY x", "x FROM (VALUES (2), (NULL), (1)) t(x) ORDER BY x DESC", "x FROM (VALUES ('b'), ('B'), ('a')) t(x) ORDER BY x", "DISTINCT ON (x) x, y FROM (VALUES (1, 2), (1, 1), (2, 5)) t(x, y) ORDER BY x, y", "x FROM (VALUES (1), (2), (3)) t(x) ORDER BY x LIMIT 1 OFFSET 1", "x FROM (VALUES (1), (2), (3)) t(x) ORDER BY x FETCH FIRST 2 ROWS ONLY", "a.x, b.y FROM (VALUES (1), (2)) a(x) LEFT JOIN LATERAL (SELECT a.x * 2 AS y) b ON TRUE ORDER BY 1"]),
    # Aggregates and windows
    *[(f + " FROM (VALUES (1), (2), (NULL), (4)) t(x)", [""]) for f in ("count(*)", "count(x)", "sum(x)", "avg(x)", "min(x)", "max(x)", "stddev(x)", "stddev_pop(x)", "stddev_samp(x)", "variance(x)", "var_pop(x)", "var_samp(x)", "count(DISTINCT x)", "sum(DISTINCT x)", "bit_and(x)", "bit_or(x)", "bit_xor(x)", "avg(x::numeric)", "avg(x::float8)", "sum(x::numeric(10,2))", "sum(x::float8)", "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)", "percentile_disc(0.5) WITHIN GROUP (ORDER BY x)", "percentile_cont(0.25) WITHIN GROUP (ORDER BY x::float8)", "mode() WITHIN GROUP (ORDER BY x)", "bool_and(x > 0)", "bool_or(x > 3)", "every(x > 0)", "array_agg(x)", "string_agg(x::text, '|')", "sum(x) FILTER (WHERE x > 1)", "count(*) FILTER (WHERE x IS NULL)", "corr(x, x * 2)", "regr_slope(x, x)", "regr_count(x, x)", "covar_pop(x, x)", "covar_samp(x, x)", "json_agg(x)", "any_value(x)", "max(x::text)", "min(DATE '2024-01-01' + x::int)", "sum(INTERVAL '1 hour' * x)", "round(avg(x), 2)", "sum(x) / count(*)", "avg(x) * 100")],
    *[("x, " + f + " FROM (VALUES (1), (2), (2), (4)) t(x) ORDER BY x, 2", [""]) for f in ("row_number() OVER (ORDER BY x)", "rank() OVER (ORDER BY x)", "dense_rank() OVER (ORDER BY x)", "percent_rank() OVER (ORDER BY x)", "cume_dist() OVER (ORDER BY x)", "ntile(2) OVER (ORDER BY x)", "lag(x) OVER (ORDER BY x)", "lead(x, 1, 0) OVER (ORDER BY x)", "first_value(x) OVER (ORDER BY x)", "last_value(x) OVER (ORDER BY x)", "nth_value(x, 2) OVER (ORDER BY x)", "sum(x) OVER (ORDER BY x)", "sum(x) OVER (ORDER BY x ROWS UNBOUNDED PRECEDING)", "avg(x) OVER ()", "avg(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", "count(*) OVER (PARTITION BY x)", "sum(x) OVER w")][:-1],
    # Casts and the like of everything else
    ("$x", ["'123e4567-e89b-12d3-a456-426614174000'::uuid::text", "'123E4567E89B12D3A456426614174000'::uuid", "'x'::uuid", "gen_random_uuid() IS NOT NULL", "'\\x41'::bytea::text", "'abc'::bytea", "'toy.orders'::regclass", "'int4'::regtype", "1::oid", "'a'::name", "CAST('2024-01-01' AS date)", "pg_typeof(1)", "pg_typeof(1.5)", "pg_typeof('a')", "pg_typeof(now())", "pg_typeof(DATE '2024-01-01')", "pg_typeof(ARRAY['a'])", "pg_typeof(NULL)", "pg_typeof('{}'::jsonb)", "pg_typeof(INTERVAL '1 day')", "current_database() IS NOT NULL", "current_schema() IS NOT NULL", "current_user IS NOT NULL", "session_user IS NOT NULL", "version() LIKE 'PostgreSQL%'", "now() = CURRENT_TIMESTAMP", "CURRENT_DATE = now()::date", "LOCALTIMESTAMP <= now()", "CURRENT_TIME IS NOT NULL", "clock_timestamp() >= now()", "pg_backend_pid() > 0", "txid_current() > 0", "inet_server_port() > 0", "current_setting('server_version_num')::int >= 150000", "current_setting('TimeZone') IS NOT NULL", "obj_description('toy.customers'::regclass)", "has_table_privilege('toy.orders', 'SELECT')", "pg_get_userbyid(10) IS NOT NULL", "quote_ident('Toy')", "to_regclass('no.such')", "pg_column_size(1)", "pg_size_pretty(1048576::bigint)", "pg_size_pretty(99999999999)"]),
]


def statements():
    """Each statement once, in order."""
    seen = {}
    for template, values in TABLES:
        if "$a" in template:
            found = [template.replace("$a", a).replace("$b", b) for a in values for b in values]
        else:
            found = [template.replace("$x", v) for v in values]
        for one in found:
            seen.setdefault(f"SELECT {one}")
    return list(seen)
