//! What paths find, what they refuse, and what they may cost.

use super::*;

/// A document, a path, and what PostgreSQL 15 answers.
const CASES: &[(&str, &str, &str)] = &[
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[1]", "[2]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[last]", "[3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[0, 2]", "[1, 3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[1 to last]", "[2, 3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[last - 1]", "[2]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[*] ? (@ > $x)", "[3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b ? (@ >= $x)", "[2, 3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "strict $.a.b ? (@ >= $x)", "[]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.*", r#"[{"b": [1, 2, 3]}]"#),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.**",
        r#"[{"a": {"b": [1, 2, 3]}}, {"b": [1, 2, 3]}, [1, 2, 3], 1, 2, 3]"#,
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.**{1}", r#"[{"b": [1, 2, 3]}]"#),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.**{1 to 2}",
        r#"[{"b": [1, 2, 3]}, [1, 2, 3]]"#,
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.**{last}", "[1, 2, 3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.**.b", "[[1, 2, 3]]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "strict $.**.b", "[[1, 2, 3]]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.z", "[]"),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "strict $.z",
        r#"JSON object does not contain key "z""#,
    ),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "strict $.a.b[5]",
        "jsonpath array subscript is out of bounds",
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[5]", "[]"),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "strict $.a.b.c",
        "jsonpath member accessor can only be applied to an object",
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b.size()", "[3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.size()", "[1]"),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "strict $.a.size()",
        "jsonpath item method .size() can only be applied to an array",
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b.type()", r#"["array"]"#),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.a.b[*].type()",
        r#"["number", "number", "number"]"#,
    ),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.a.b[*] + 1",
        "left operand of jsonpath operator + is not a single numeric value",
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "-$.a.b[*]", "[-1, -2, -3]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[1] * 2.50", "[5.00]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[1] / 3", "[0.66666666666666666667]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b[1] / 0", "division by zero"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "7 % $.a.b[1]", "[1]"),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.keyvalue()",
        r#"[{"id": 0, "key": "a", "value": {"b": [1, 2, 3]}}]"#,
    ),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.a.b[*].keyvalue()",
        "jsonpath item method .keyvalue() can only be applied to an object",
    ),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$y",
        r#"could not find jsonpath variable "y""#,
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$s", r#"["ab"]"#),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a.b == 2", "[true]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "strict $.a.b == 2", "[null]"),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$.a.b[*] > 1 && $.a.b.size() == 3",
        "[true]",
    ),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a == 1", "[null]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a == null", "[false]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "$.a != null", "[true]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "exists($.a.b ? (@ > 2))", "[true]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "!exists($.a.c)", "[true]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "($.a > 1) is unknown", "[true]"),
    (r#"{"a": {"b": [1, 2, 3]}}"#, "($.a.b[*] > 1).type()", r#"["boolean"]"#),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$ ? (exists(@.a.b[*] ? (@ == 2))).a.b[0]",
        "[1]",
    ),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$ ? (@.a)",
        r#"syntax error at or near ")" of jsonpath input"#,
    ),
    (
        r#"{"a": {"b": [1, 2, 3]}}"#,
        "$ ? (@.a.b == 1 || @.z == 1 && 1 == 2).a.b[0]",
        "[1]",
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ starts with "ab")"#,
        r#"["abc"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        "$[*] ? (@ starts with $s)",
        r#"["abc"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ like_regex "^ab")"#,
        r#"["abc"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ like_regex "^ab" flag "i")"#,
        r#"["abc", "ABD"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ like_regex "x.y")"#,
        "[]",
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ like_regex "x.y" flag "s")"#,
        r#"["x\ny"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ like_regex "^y$" flag "m")"#,
        r#"["x\ny"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ like_regex "a.c" flag "q")"#,
        "[]",
    ),
    (r#"["abc", "ABD", "x\ny", 1, null]"#, "$[*] ? (@ == null)", "[null]"),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        r#"$[*] ? (@ < "abd")"#,
        r#"["abc", "ABD"]"#,
    ),
    (
        r#"["abc", "ABD", "x\ny", 1, null]"#,
        "$[*].double()",
        "string argument of jsonpath item method .double() is not a valid representation of a double precision number",
    ),
    (
        r#"[1.5, -1.5, "2.50", "1e3", 10, 1e3]"#,
        "$[*].double()",
        "[1.5, -1.5, 2.5, 1000, 10, 1000]",
    ),
    ("[1.5, -1.5, 10, 1e3]", "$[*].ceiling()", "[2, -1, 10, 1000]"),
    ("[1.5, -1.5, 10, 1e3]", "$[*].floor()", "[1, -2, 10, 1000]"),
    ("[1.5, -1.5, 10, 1.50]", "$.abs()", "[1.5, 1.5, 10, 1.50]"),
    ("[1.5, -1.5, 10, 1.50]", "$[1.9]", "[-1.5]"),
    ("[1.5, -1.5, 10, 1.50]", "$[-1]", "[]"),
    (
        "[1.5, -1.5, 10, 1.50]",
        "strict $[-1]",
        "jsonpath array subscript is out of bounds",
    ),
    (
        "[1.5, -1.5, 10, 1.50]",
        r#"$["a"]"#,
        "jsonpath array subscript is not a single numeric value",
    ),
    (
        "[1.5, -1.5, 10, 1.50]",
        "$[10000000000]",
        "jsonpath array subscript is out of integer range",
    ),
    ("[[1, 2], [3, [4]]]", "$[*]", "[[1, 2], [3, [4]]]"),
    ("[[1, 2], [3, [4]]]", "$[*][*]", "[1, 2, 3, [4]]"),
    ("[[1, 2], [3, [4]]]", "$[*][0]", "[1, 3]"),
    ("[[1, 2], [3, [4]]]", "$[*] ? (@ > 2)", "[3, [4]]"),
    ("[[1, 2], [3, [4]]]", "$.**{last}", "[1, 2, 3, 4]"),
    ("[[1, 2], [3, [4]]]", "$.size()", "[2]"),
    (
        r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#,
        "$.a",
        r#"[1, [2, {"a": 3}]]"#,
    ),
    (r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#, "$.a.a", "[3]"),
    (
        r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#,
        "strict $[*].a",
        r#"JSON object does not contain key "a""#,
    ),
    (
        r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#,
        "strict $.**.a",
        r#"[1, [2, {"a": 3}], 3]"#,
    ),
    (
        r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#,
        "$.**.a",
        r#"[1, [2, {"a": 3}], 1, [2, {"a": 3}], 3, 3]"#,
    ),
    (
        r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#,
        "$[*] ? (@.a == 1 || @.b > 3)",
        r#"[{"a": 1}, {"b": 4}]"#,
    ),
    (
        r#"[{"a": 1}, {"a": [2, {"a": 3}]}, {"b": 4}]"#,
        r#"$[*] ? (@.a.type() == "number").a"#,
        "[1]",
    ),
    (
        r#"{"a b": 1, "$c": {"d": 2}, "last": 3, "type": 4}"#,
        r#"$."a b""#,
        "[1]",
    ),
    (
        r#"{"a b": 1, "$c": {"d": 2}, "last": 3, "type": 4}"#,
        r#"$."$c"."\u0064""#,
        "[2]",
    ),
    (
        r#"{"a b": 1, "$c": {"d": 2}, "last": 3, "type": 4}"#,
        "$.last + $.type",
        "[7]",
    ),
    (
        r#"{"a b": 1, "$c": {"d": 2}, "last": 3, "type": 4}"#,
        "$.*.type()",
        r#"["object", "number", "number", "number"]"#,
    ),
    ("5", "$[0]", "[5]"),
    ("5", "$[last]", "[5]"),
    (
        "5",
        "strict $[0]",
        "jsonpath array accessor can only be applied to an array",
    ),
    ("5", "$[*]", "[5]"),
    ("5", "$.a", "[]"),
    (
        "5",
        "strict $.*",
        "jsonpath wildcard member accessor can only be applied to an object",
    ),
    ("5", "$ + 1 - 2 * 3", "[0]"),
    ("5", "($ + 1) * 2", "[12]"),
    (
        "5",
        r#""a" + 1"#,
        "left operand of jsonpath operator + is not a single numeric value",
    ),
    (
        "5",
        r#"1 + "a""#,
        "right operand of jsonpath operator + is not a single numeric value",
    ),
    (
        "5",
        r#"-"a""#,
        "operand of unary jsonpath operator - is not a numeric value",
    ),
    ("5", r#""a".size()"#, "[1]"),
    (
        "5",
        "1.type()",
        r#"trailing junk after numeric literal at or near "1.t" of jsonpath input"#,
    ),
    ("5", "true", "[true]"),
    ("5", "null", "[null]"),
    ("5", r#""x""#, r#"["x"]"#),
    ("5", "1.50", "[1.50]"),
    ("5", "1e2", "[100]"),
    ("5", "@.a", "@ is not allowed in root expressions"),
    ("5", "last", "LAST is allowed only in array subscripts"),
    ("5", "$.", "syntax error at end of jsonpath input"),
    (
        "5",
        "00",
        r#"trailing junk after numeric literal at or near "00" of jsonpath input"#,
    ),
    ("5", "$.a +", "syntax error at end of jsonpath input"),
    (
        "5",
        r#"$ ? (@ like_regex "a" flag "x")"#,
        r#"XQuery "x" flag (expanded regular expressions) is not implemented"#,
    ),
    ("5", "$.foo()", r#"syntax error at or near "(" of jsonpath input"#),
    ("5", "/* c */ lax $", "[5]"),
    (
        "5",
        r#""1e400".double()"#,
        "string argument of jsonpath item method .double() is not a valid representation of a double precision number",
    ),
];

fn asked(document: &str, path: &str, silent: bool) -> String {
    within(&Budget::new(), document, path, silent)
}

fn within(budget: &Budget, document: &str, path: &str, silent: bool) -> String {
    let path = match parse(path) {
        Ok(path) => path,
        Err(message) => return message,
    };
    let variables = object(r#"{"x": 2, "s": "ab"}"#, budget).expect("variables");
    let found = item(document, 0, budget).and_then(|root| {
        let evaluation = Evaluation::new(&path, root, Some(variables), budget);
        listed(&collected(&evaluation, silent)?.unwrap_or_default(), budget)
    });
    found.unwrap_or_else(|error| error.message().into_owned())
}

// Goal: paths find what PostgreSQL 15 finds, and fail as it does. Method: what it said for each of these.
#[test]
fn paths_find_what_postgresql_finds() {
    for (document, path, expected) in CASES {
        assert_eq!(asked(document, path, false), *expected, "{document} {path}");
    }
}

// Goal: a path that keeps quiet finds what lies before what went wrong. Method: an array whose third element is no number.
#[test]
fn quiet_paths_stop_where_they_fail() {
    assert_eq!(asked(r#"[1, -2, "a", 3]"#, "$[*].abs()", true), "[1, 2]");
}

// Goal: no path takes time or memory without end, whatever it keeps quiet, and long documents are looked through all the same. Method:
// paths that ask for all of a document within all of it, few letters that are millions of digits, a long text that is compared over and
// over, and what is found so.
#[test]
fn costs_have_an_end() {
    let long = format!("[{}1]", "1, ".repeat(2_000));
    let deep = format!("{}1{}", "[".repeat(150), "]".repeat(150));
    let wide = format!("[{long}]");
    let huge = format!("[{}1]", "1e131000, ".repeat(10_000));
    let texts = format!("[\"{}\"{}]", "a".repeat(1 << 20), ", 1".repeat(1_000));
    let often = format!("$[{}]", vec!["0"; 500].join(", "));
    let compared = format!("{often} == 2");
    let nested = format!("$.**{}", ".**".repeat(20));
    let cases: [(&str, &str); 8] = [
        (&long, "$[*] ? ($[*] == 2)"),
        (&long, "strict $[*] ? ($[*] == $[*])"),
        (&deep, &nested),
        (&deep, "$.** ? ($.** ? ($.** ? ($.** ? (@ == 2) == 2) == 2) == 2)"),
        (&wide, &compared),
        (&texts, "$[*] ? ($[0] == $[0])"),
        (&huge, "$[0]"),
        ("[1e131000]", &often),
    ];
    for (document, path) in cases {
        for silent in [false, true] {
            let told = within(&Budget::of(400_000, 1 << 20), document, path, silent);
            assert!(told.ends_with("is not supported"), "{path}: {} letters", told.len());
        }
    }
    assert!(parse(&format!("$[{}]", vec!["1e131000"; 10_000].join(", "))).is_err());
    let told = within(&Budget::of(400_000, 1 << 20), &wide, &often, false);
    assert!(told.ends_with("finds so much in a document is not supported"));
    assert_eq!(asked(&long, "$.size()", false), "[2001]");
    assert_eq!(asked(&long, "$[*] ? (@ > 1)", false), "[]");
}

// Goal: the longer a pattern is where its repetitions are written out, the fewer letters it is looked for in. Method: a long text and two
// patterns, of which it has neither.
#[test]
fn long_patterns_cost_more() {
    let text = format!("\"{}\"", "a".repeat(10_000));
    let told = |pattern: &str| {
        let path = format!("$ ? (@ like_regex \"{pattern}\")");
        within(&Budget::of(400_000, 1 << 20), &text, &path, false)
    };
    assert_eq!(told("c$"), "[]");
    assert!(told("(a|b){1000}c").ends_with("takes so many steps in a document is not supported"));
}

// Goal: each document has steps of its own. Method: many of them in one call, which together take more.
#[test]
fn documents_have_steps_of_their_own() {
    let budget = Budget::of(1_000, 1 << 20);
    for _ in 0..100 {
        budget.next(0);
        assert_eq!(within(&budget, "[1, 2, 3]", "$[*] ? (@ > 2)", false), "[3]");
    }
}
