//! Records made from real ones by changes of their structure, for tests.

use crate::decode::json::{self, JsonType, Scratch, Value};

/// JSON as a tree in which a name may stand twice and a scalar need not be sound.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// As it is written.
    Scalar(String),
    List(Vec<Tree>),
    /// With names as they are written.
    Object(Vec<(String, Tree)>),
}

/// Numbers that follow from a seed. None of them but zeros for the seed 0, which changes nothing.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, sides: usize) -> usize {
        if self.0 == 0 || sides == 0 {
            return 0;
        }
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0) % sides
    }

    pub(super) fn one_in(&mut self, sides: usize) -> bool {
        self.0 != 0 && self.below(sides) == 0
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// Scalars, containers and texts that are neither, each of which some column takes as its own.
const VALUES: &[&str] = &[
    "null",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-1",
    "01",
    "+1",
    ".5",
    "1.",
    "1.0",
    "1.50",
    "1e5",
    "1E-2",
    "1e400",
    "2147483648",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999",
    "\"\"",
    "\"c\"",
    "\"\\u0063\"",
    "\"d\"",
    "\"u\"",
    "\"t\"",
    "\"m\"",
    "\"x\"",
    "\"true\"",
    "\"false\"",
    "\"BEGIN\"",
    "\"B9A=\"",
    "\"AA\"",
    "\"NaN\"",
    "\"-Infinity\"",
    "\"infinity\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\x\"",
    "\"a\\/b\\n\\\"\"",
    "\"\u{e9}\u{1F600}\"",
    "\"\n\"",
    "\"2026-01-08\"",
    "\"12:00:00\"",
    "\"2026-01-08T07:04:56Z\"",
    "\"+292278994-08-17T07:12:55Z\"",
    "\"__debezium_unavailable_value\"",
    "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"",
    "[\"__debezium_unavailable_value\"]",
    "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]",
    "[]",
    "[null]",
    "[1,2]",
    "[1,99999999999,null]",
    "[1.5, 2.5]",
    "[\"a\",\"\\u0062\"]",
    "[1,\"a\",{}]",
    "[[1],[2]]",
    "{}",
    "{\"scale\":1,\"value\":\"B9A=\"}",
    "{ \"a\" : [ 1 , {\"b\":null} ] }",
    "{\"a\":1,\"a\":2}",
    "{\"d\":99999999999,\"n\":1}",
    "nul",
    "nulls",
    "tru",
    "",
];

/// Names that mean something, or are odd.
const NAMES: &[&str] = &[
    "op",
    "before",
    "after",
    "source",
    "transaction",
    "message",
    "ts_ms",
    "lsn",
    "status",
    "event_count",
    "data_collections",
    "ddl",
    "tableChanges",
    "schema",
    "payload",
    "serverName",
    "__deleted",
    "__op",
    "__ts_ms",
    "__lsn",
    "__source_lsn",
    "__source_ts_ms",
    "__table",
    "__colour",
    "id",
    "ID",
    "i\\u0064",
    "id__string",
    "name",
    "name\\/",
    "",
    "\\u0001",
    "new",
    "newer",
    "value",
];

/// Bytes that mean something to a scanner.
const BYTES: &[u8] = b"0159aefntuz\"\\{}[],:-+. \t\r\x0c\x00\x01\xc3\xff";

impl Tree {
    /// Of a text that is JSON.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut scratch = Scratch::default();
        let text = json::parse(bytes, "value", &mut scratch).ok()?;
        let document = json::Document::new(text, &scratch);
        Some(Self::of_value(document.root()))
    }

    fn of_value(value: Value<'_>) -> Self {
        match value.get_type() {
            JsonType::Array => Self::List(value.as_array().into_iter().flatten().map(Self::of_value).collect()),
            JsonType::Object => {
                let fields = value.as_object().into_iter().flat_map(|object| object.iter());
                Self::Object(
                    fields
                        .map(|(name, value)| (name.to_owned(), Self::of_value(value)))
                        .collect(),
                )
            }
            _ => {
                let mut text = Vec::new();
                value.write(&mut text).expect("memory takes all");
                Self::Scalar(String::from_utf8(text).expect("JSON is text"))
            }
        }
    }

    fn children(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Scalar(_) => Vec::new(),
            Self::List(items) => items.iter_mut().collect(),
            Self::Object(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
        }
    }

    /// Any part of it; of a schema and its payload mostly one of the payload.
    fn any(&mut self, dice: &mut Dice) -> &mut Self {
        let mut here = self;
        let mut depth = 0;
        loop {
            let count = here.children().len();
            // The outermost ones are met often enough.
            if count == 0 || (depth > 0 && dice.one_in(4)) {
                return here;
            }
            let wrapped = matches!(here, Self::Object(fields) if depth == 0 && count == 2 && fields[0].0 == "schema");
            let at = if wrapped {
                usize::from(!dice.one_in(8))
            } else {
                dice.below(count)
            };
            here = here.children().swap_remove(at);
            depth += 1;
        }
    }

    /// A container in it.
    fn container(&mut self, dice: &mut Dice) -> Option<&mut Vec<(String, Self)>> {
        let (mut tries, mut seed) = (0, dice.0);
        loop {
            let is_object = matches!(self.any(&mut Dice(seed)), Self::Object(_));
            if is_object || tries == 8 {
                break;
            }
            tries += 1;
            dice.below(2);
            seed = dice.0;
        }
        match self.any(&mut Dice(seed)) {
            Self::Object(fields) => {
                dice.below(2);
                Some(fields)
            }
            _ => None,
        }
    }

    /// Changes its values and not what they are: what the next record of a table is to the one before.
    pub(super) fn age(&mut self, dice: &mut Dice) {
        if let Self::Scalar(text) = self {
            let digits = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits && dice.one_in(2) {
                text.replace_range(text.len() - 1.., &dice.below(10).to_string());
            } else if text.len() > 40 && dice.one_in(8) {
                let at = (0..text.len() / 2)
                    .rev()
                    .find(|at| text.is_char_boundary(*at))
                    .unwrap_or(0);
                if text[at..]
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'"')
                {
                    text.truncate(at);
                    text.push('"');
                }
            }
            return;
        }
        // Schemas do not age.
        let wrapped = matches!(self, Self::Object(fields) if fields.len() == 2 && fields[0].0 == "schema");
        for child in self.children().into_iter().skip(usize::from(wrapped)) {
            child.age(dice);
        }
    }

    /// One change of its structure. `other` is where parts may come from.
    pub(super) fn change(&mut self, other: &mut Self, dice: &mut Dice) {
        let any = |dice: &mut Dice| Self::Scalar(dice.of(VALUES).to_owned());
        match dice.below(11) {
            0..=3 => {
                let value = any(dice);
                *self.any(dice) = value;
            }
            4 => {
                let value = other.any(dice).clone();
                *self.any(dice) = value;
            }
            5 => {
                let here = self.any(dice);
                let value = here.clone();
                *here = match dice.below(2) {
                    0 => Self::List(vec![value]),
                    _ => Self::Object(vec![(dice.of(NAMES).to_owned(), value)]),
                };
            }
            what => {
                let Some(fields) = self.container(dice) else { return };
                let (at, to) = (dice.below(fields.len()), dice.below(fields.len() + 1));
                match what {
                    6 if !fields.is_empty() => drop(fields.remove(at)),
                    7 if !fields.is_empty() => {
                        let mut field = fields[at].clone();
                        if dice.one_in(2) {
                            field.1 = any(dice);
                        }
                        fields.insert(to, field);
                    }
                    8 if to < fields.len() => fields.swap(at, to),
                    9 if !fields.is_empty() => fields[at].0 = dice.of(NAMES).to_owned(),
                    _ => fields.insert(to, (dice.of(NAMES).to_owned(), any(dice))),
                }
            }
        }
    }

    /// As text, with blanks in one of some manners.
    pub(super) fn write(&self, manner: usize, into: &mut String) {
        let blank = ["", " ", "\n\t"][manner % 3];
        let list = |into: &mut String, ends: [char; 2], count: usize, each: &dyn Fn(&mut String, usize)| {
            into.push(ends[0]);
            for at in 0..count {
                if at > 0 {
                    into.push(',');
                }
                into.push_str(blank);
                each(into, at);
            }
            into.push_str(blank);
            into.push(ends[1]);
        };
        match self {
            Self::Scalar(text) => into.push_str(text),
            Self::List(items) => list(into, ['[', ']'], items.len(), &|into, at| items[at].write(manner, into)),
            Self::Object(fields) => list(into, ['{', '}'], fields.len(), &|into, at| {
                let (name, value) = &fields[at];
                into.push('"');
                into.push_str(name);
                into.push_str("\":");
                into.push_str(blank);
                value.write(manner, into);
            }),
        }
    }
}

/// Changes of a text that structure does not know.
pub(super) fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let (at, byte) = (dice.below(bytes.len()), BYTES[dice.below(BYTES.len())]);
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.push(byte),
        2 => bytes.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
        3 => bytes.insert(at, byte),
        4 if !bytes.is_empty() => drop(bytes.remove(at)),
        _ if !bytes.is_empty() => bytes[at] = byte,
        _ => {}
    }
}
