//! JSON as it stands in a text: where each value begins and ends, so that a part of it is the text that it was.

/// How deep values may lie in others.
const DEPTH_MAX: usize = 200;

/// A value, and the text that it is.
#[derive(Debug, Clone)]
pub(super) struct Json<'a> {
    pub(super) text: &'a str,
    pub(super) kind: Kind<'a>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind<'a> {
    Null,
    Truth(bool),
    Number,
    /// Without escapes.
    Text(String),
    Array(Vec<Json<'a>>),
    /// In the order in which they were written; of several with one name the last counts.
    Object(Vec<(String, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The value that a text is; `None` where it is none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    pub(super) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "null",
            Kind::Truth(_) => "boolean",
            Kind::Number => "number",
            Kind::Text(_) => "string",
            Kind::Array(_) => "array",
            Kind::Object(_) => "object",
        }
    }

    /// A field of an object.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Object(fields) => fields
                .iter()
                .rev()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// An element of an array, counted from 0, or from -1 at its end.
    pub(super) fn element(&self, at: i64) -> Option<&Self> {
        match &self.kind {
            Kind::Array(items) => {
                let length = i64::try_from(items.len()).ok()?;
                items.get(usize::try_from(if at < 0 { at + length } else { at }).ok()?)
            }
            _ => None,
        }
    }

    /// What a step of a path leads to: a field by name or an element by number.
    pub(super) fn step(&self, step: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Array(_) => self.element(step.parse().ok()?),
            _ => self.field(step),
        }
    }

    /// As `->>` shows it: a text without quotes, no null.
    pub(super) fn shown(&self) -> Option<String> {
        match &self.kind {
            Kind::Null => None,
            Kind::Text(text) => Some(text.clone()),
            _ => Some(self.text.to_owned()),
        }
    }

    /// As `jsonb` writes it: names once and in their order, one space behind each comma and colon.
    pub(super) fn write(&self, out: &mut String) {
        match &self.kind {
            Kind::Text(text) => quote(text, out),
            Kind::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Kind::Object(fields) => {
                // Short names come first, and of one name what was written last.
                let mut sorted: Vec<&(String, Json<'_>)> = fields.iter().rev().collect();
                sorted.sort_by(|(left, _), (right, _)| (left.len(), left).cmp(&(right.len(), right)));
                sorted.dedup_by(|(later, _), (first, _)| later == first);
                out.push('{');
                for (at, (name, value)) in sorted.into_iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    quote(name, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
            Kind::Null | Kind::Truth(_) | Kind::Number => out.push_str(self.text),
        }
    }
}

/// A text in quotes.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if u32::from(letter) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek() == Some(wanted)).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text
            .get(self.at..)?
            .starts_with(word)
            .then(|| self.at += word.len())
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        let begin = self.at;
        let kind = match self.peek()? {
            b'n' => self.word("null").map(|()| Kind::Null)?,
            b't' => self.word("true").map(|()| Kind::Truth(true))?,
            b'f' => self.word("false").map(|()| Kind::Truth(false))?,
            b'"' => Kind::Text(self.string()?),
            b'[' => Kind::Array(self.array(depth)?),
            b'{' => Kind::Object(self.object(depth)?),
            _ => {
                self.number()?;
                Kind::Number
            }
        };
        Some(Json {
            text: self.text.get(begin..self.at)?,
            kind,
        })
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Json<'a>>> {
        self.take(b'[')?;
        self.space();
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']').is_some() {
                return Some(items);
            }
            self.take(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Vec<(String, Json<'a>)>> {
        self.take(b'{')?;
        self.space();
        let mut fields = Vec::new();
        if self.take(b'}').is_some() {
            return Some(fields);
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            self.take(b':')?;
            fields.push((name, self.value(depth + 1)?));
            self.space();
            if self.take(b'}').is_some() {
                return Some(fields);
            }
            self.take(b',')?;
        }
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        let digits = |reader: &mut Self| {
            let begin = reader.at;
            while reader.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                reader.at += 1;
            }
            (reader.at > begin).then_some(())
        };
        match self.take(b'0') {
            Some(()) => {}
            None => digits(self)?,
        }
        if self.take(b'.').is_some() {
            digits(self)?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            digits(self)?;
        }
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let letter = self.text.get(self.at..)?.chars().next()?;
            self.at += letter.len_utf8();
            match letter {
                '"' => return Some(out),
                '\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    out.push(match escape {
                        b'"' | b'\\' | b'/' => char::from(escape),
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'u' => self.unicode()?,
                        _ => return None,
                    });
                }
                letter if u32::from(letter) < 0x20 => return None,
                letter => out.push(letter),
            }
        }
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.four()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        // The second half of a pair.
        self.word("\\u")?;
        let second = self.four()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)
    }

    fn four(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        // A sign is none of them.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
