//! Reads a path, as PostgreSQL 15's grammar of them has it.

use super::item::Item;
use super::pattern::Pattern;
use super::syntax::{Comparison, Condition, DEEPEST, Method, Operator, Path, Step, Value};
use super::words::{Token, tokens};
use crate::pg_catalog::functions::regexes::{Options, compiled};

/// Steps, operators and parentheses of one path: each costs stack when it is followed.
const PARTS_MAX: usize = 64;

/// What was read where both a value and a condition may stand.
enum Either {
    Value(Value),
    Condition(Condition),
}

type Read<T> = Result<T, String>;

/// The path that a text is, or what is wrong with it.
pub(super) fn parse(text: &str) -> Read<Path> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err("invalid input syntax for type jsonpath: \"\"".to_owned());
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        parts: 0,
        filters: 0,
        subscripts: 0,
    };
    let strict = parser.word("strict");
    if !strict {
        parser.word("lax");
    }
    let value = match parser.either()? {
        Either::Value(value) => value,
        Either::Condition(condition) => Value::Truth(Box::new(condition)),
    };
    match parser.peek() {
        None => Ok(Path { strict, value }),
        Some(_) => Err(parser.wrong()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    parts: usize,
    filters: usize,
    subscripts: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Takes a sign if it comes next.
    fn sign(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(sign)) if *sign == wanted);
        self.at += usize::from(found);
        found
    }

    /// Takes a word if it comes next, in whatever case.
    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn want(&mut self, wanted: &str) -> Read<()> {
        match self.sign(wanted) {
            true => Ok(()),
            false => Err(self.wrong()),
        }
    }

    fn want_word(&mut self, wanted: &str) -> Read<()> {
        match self.word(wanted) {
            true => Ok(()),
            false => Err(self.wrong()),
        }
    }

    /// The error that the next token is.
    fn wrong(&self) -> String {
        let near = match self.peek() {
            None => return "syntax error at end of jsonpath input".to_owned(),
            Some(Token::Word(text) | Token::Text(text) | Token::Number(text, _)) => text.clone(),
            Some(Token::Variable(name)) => format!("${name}"),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
        };
        format!("syntax error at or near \"{near}\" of jsonpath input")
    }

    fn part(&mut self) -> Read<()> {
        self.parts += 1;
        match self.parts > PARTS_MAX {
            true => Err(format!("a jsonpath of more than {PARTS_MAX} parts is not supported")),
            false => Ok(()),
        }
    }

    fn value(&mut self) -> Read<Value> {
        match self.sum()? {
            Either::Value(value) => Ok(value),
            Either::Condition(_) => Err(self.wrong()),
        }
    }

    fn condition(&mut self) -> Read<Condition> {
        match self.either()? {
            Either::Condition(condition) => Ok(condition),
            Either::Value(_) => Err(self.wrong()),
        }
    }

    fn either(&mut self) -> Read<Either> {
        let mut left = self.conjunction()?;
        while matches!(left, Either::Condition(_)) && self.sign("||") {
            self.part()?;
            let right = self.conjunction()?;
            left = match (left, right) {
                (Either::Condition(left), Either::Condition(right)) => {
                    Either::Condition(Condition::Either(Box::new(left), Box::new(right)))
                }
                _ => return Err(self.wrong()),
            };
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Read<Either> {
        let mut left = self.comparison()?;
        while matches!(left, Either::Condition(_)) && self.sign("&&") {
            self.part()?;
            let right = self.comparison()?;
            left = match (left, right) {
                (Either::Condition(left), Either::Condition(right)) => {
                    Either::Condition(Condition::Both(Box::new(left), Box::new(right)))
                }
                _ => return Err(self.wrong()),
            };
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Read<Either> {
        if self.sign("!") {
            self.part()?;
            let inner = match self.word("exists") {
                true => self.exists()?,
                false => {
                    self.want("(")?;
                    let inner = self.condition()?;
                    self.want(")")?;
                    inner
                }
            };
            return Ok(Either::Condition(Condition::Not(Box::new(inner))));
        }
        if self.word("exists") {
            return Ok(Either::Condition(self.exists()?));
        }
        let left = match self.sum()? {
            Either::Value(value) => value,
            Either::Condition(condition) => {
                return Ok(Either::Condition(match self.word("is") {
                    true => {
                        self.want_word("unknown")?;
                        Condition::Unknown(Box::new(condition))
                    }
                    false => condition,
                }));
            }
        };
        if self.word("starts") {
            self.want_word("with")?;
            let prefix = match self.take() {
                Some(Token::Text(text)) => Value::Constant(Item::Text(text.as_str().into())),
                Some(Token::Variable(name)) => Value::Variable(name),
                _ => return Err("syntax error behind \"starts with\" of jsonpath input".to_owned()),
            };
            return Ok(Either::Condition(Condition::StartsWith(left, prefix)));
        }
        if self.word("like_regex") {
            return Ok(Either::Condition(self.like(left)?));
        }
        let Some(comparison) = self.compared() else {
            return Ok(Either::Value(left));
        };
        self.part()?;
        let right = self.value()?;
        Ok(Either::Condition(Condition::Compared(left, comparison, right)))
    }

    fn compared(&mut self) -> Option<Comparison> {
        let found = match self.peek()? {
            Token::Sign("==") => Comparison::Equal,
            Token::Sign("!=" | "<>") => Comparison::NotEqual,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.at += 1;
        Some(found)
    }

    fn exists(&mut self) -> Read<Condition> {
        self.part()?;
        self.want("(")?;
        let value = self.value()?;
        self.want(")")?;
        Ok(Condition::Exists(value))
    }

    fn like(&mut self, left: Value) -> Read<Condition> {
        let Some(Token::Text(pattern)) = self.take() else {
            return Err("syntax error behind \"like_regex\" of jsonpath input".to_owned());
        };
        let mut flags = String::new();
        if self.word("flag") {
            let Some(Token::Text(given)) = self.take() else {
                return Err("syntax error behind \"flag\" of jsonpath input".to_owned());
            };
            flags = given;
        }
        if let Some(other) = flags.chars().find(|flag| !"ismxq".contains(*flag)) {
            return Err(format!(
                "invalid input syntax for type jsonpath: Unrecognized flag character \"{other}\" in LIKE_REGEX predicate."
            ));
        }
        let literal = flags.contains('q');
        if flags.contains('x') && !literal {
            return Err("XQuery \"x\" flag (expanded regular expressions) is not implemented".to_owned());
        }
        // A dot stops at the end of a line unless it is told not to, and `^` and `$` know lines if they are told to.
        let lines = match (literal, flags.contains('s'), flags.contains('m')) {
            (true, ..) => "q",
            (false, true, false) => "s",
            (false, true, true) => "w",
            (false, false, false) => "p",
            (false, false, true) => "n",
        };
        let any_case = if flags.contains('i') { "i" } else { "" };
        let options = Options::of(&format!("{lines}{any_case}")).map_err(|error| error.message().into_owned())?;
        let pattern = compiled(&pattern, options).map_err(|error| error.message().into_owned())?;
        Ok(Condition::Like(left, Pattern::of(pattern)))
    }

    fn sum(&mut self) -> Read<Either> {
        let mut left = self.product()?;
        while matches!(left, Either::Value(_)) {
            let operator = match self.peek() {
                Some(Token::Sign("+")) => Operator::Plus,
                Some(Token::Sign("-")) => Operator::Minus,
                _ => break,
            };
            left = self.reckoned(left, operator, Self::product)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Read<Either> {
        let mut left = self.signed()?;
        while matches!(left, Either::Value(_)) {
            let operator = match self.peek() {
                Some(Token::Sign("*")) => Operator::Times,
                Some(Token::Sign("/")) => Operator::By,
                Some(Token::Sign("%")) => Operator::Rest,
                _ => break,
            };
            left = self.reckoned(left, operator, Self::signed)?;
        }
        Ok(left)
    }

    /// Takes the operator that comes next and the value behind it.
    fn reckoned(&mut self, left: Either, operator: Operator, right: fn(&mut Self) -> Read<Either>) -> Read<Either> {
        self.part()?;
        self.at += 1;
        match (left, right(self)?) {
            (Either::Value(left), Either::Value(right)) => Ok(Either::Value(Value::Reckoned(
                Box::new(left),
                operator,
                Box::new(right),
            ))),
            _ => Err(self.wrong()),
        }
    }

    fn signed(&mut self) -> Read<Either> {
        let negative = self.sign("-");
        if !negative && !self.sign("+") {
            return self.stepped();
        }
        self.part()?;
        match self.signed()? {
            Either::Value(of) => Ok(Either::Value(Value::Signed {
                negative,
                of: Box::new(of),
            })),
            Either::Condition(_) => Err(self.wrong()),
        }
    }

    fn stepped(&mut self) -> Read<Either> {
        let first = self.first()?;
        let mut steps = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        if steps.is_empty() {
            return Ok(first);
        }
        Ok(Either::Value(match first {
            Either::Value(Value::Steps(from, mut before)) => {
                before.extend(steps);
                Value::Steps(from, before)
            }
            Either::Value(value) => Value::Steps(Box::new(value), steps),
            Either::Condition(condition) => Value::Steps(Box::new(Value::Truth(Box::new(condition))), steps),
        }))
    }

    fn first(&mut self) -> Read<Either> {
        if self.sign("(") {
            self.part()?;
            let inner = self.either()?;
            self.want(")")?;
            return Ok(inner);
        }
        let wrong = self.wrong();
        Ok(Either::Value(match self.take() {
            Some(Token::Sign("$")) => Value::Root,
            Some(Token::Sign("@")) if self.filters > 0 => Value::Current,
            Some(Token::Sign("@")) => return Err("@ is not allowed in root expressions".to_owned()),
            Some(Token::Text(text)) => Value::Constant(Item::Text(text.as_str().into())),
            Some(Token::Variable(name)) => Value::Variable(name),
            Some(Token::Number(_, number)) => Value::Constant(Item::Number(number)),
            Some(Token::Word(word)) => match word.as_str() {
                "null" => Value::Constant(Item::Null),
                "true" => Value::Constant(Item::Truth(true)),
                "false" => Value::Constant(Item::Truth(false)),
                last if last.eq_ignore_ascii_case("last") => match self.subscripts > 0 {
                    true => Value::Last,
                    false => return Err("LAST is allowed only in array subscripts".to_owned()),
                },
                _ => return Err(wrong),
            },
            _ => return Err(wrong),
        }))
    }

    fn step(&mut self) -> Read<Option<Step>> {
        if self.sign("?") {
            self.part()?;
            self.want("(")?;
            self.filters += 1;
            let condition = self.condition()?;
            self.filters -= 1;
            self.want(")")?;
            return Ok(Some(Step::Filter(condition)));
        }
        if self.sign("[") {
            self.part()?;
            return self.elements().map(Some);
        }
        if !self.sign(".") {
            return Ok(None);
        }
        self.part()?;
        if self.sign("*") {
            return Ok(Some(Step::AnyMember));
        }
        if self.sign("**") {
            return self.descendants().map(Some);
        }
        let wrong = self.wrong();
        match self.take() {
            Some(Token::Text(name)) => Ok(Some(Step::Member(name))),
            Some(Token::Word(name)) if self.sign("(") => match Method::called(&name) {
                Some(method) => {
                    self.want(")")?;
                    Ok(Some(Step::Method(method)))
                }
                None if name.eq_ignore_ascii_case("datetime") => {
                    Err("jsonpath item method .datetime() is not supported".to_owned())
                }
                None => Err("syntax error at or near \"(\" of jsonpath input".to_owned()),
            },
            Some(Token::Word(name)) => Ok(Some(Step::Member(name))),
            _ => Err(wrong),
        }
    }

    fn elements(&mut self) -> Read<Step> {
        if self.sign("*") {
            self.want("]")?;
            return Ok(Step::AnyElement);
        }
        let mut all = Vec::new();
        self.subscripts += 1;
        loop {
            let from = self.value()?;
            let to = match self.word("to") {
                true => Some(self.value()?),
                false => None,
            };
            all.push((from, to));
            if !self.sign(",") {
                break;
            }
        }
        self.subscripts -= 1;
        self.want("]")?;
        Ok(Step::Elements(all))
    }

    fn descendants(&mut self) -> Read<Step> {
        if !self.sign("{") {
            return Ok(Step::Descendants {
                first: 0,
                last: DEEPEST,
            });
        }
        let first = self.depth()?;
        let last = match self.word("to") {
            true => self.depth()?,
            false => first,
        };
        self.want("}")?;
        Ok(Step::Descendants { first, last })
    }

    fn depth(&mut self) -> Read<u32> {
        let wrong = self.wrong();
        match self.take() {
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("last") => Ok(DEEPEST),
            Some(Token::Number(text, _)) => text.parse().map_err(|_| wrong),
            _ => Err(wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    // Goal: what is no path is refused with PostgreSQL 15's words. Method: what it said for each of these.
    #[test]
    fn what_is_no_path_is_refused() {
        for (path, message) in [
            ("", "invalid input syntax for type jsonpath: \"\""),
            ("$.", "syntax error at end of jsonpath input"),
            ("$ ? (@.a)", "syntax error at or near \")\" of jsonpath input"),
            ("@.a", "@ is not allowed in root expressions"),
            ("last", "LAST is allowed only in array subscripts"),
            ("$.a + ", "syntax error at end of jsonpath input"),
            (
                "00",
                "trailing junk after numeric literal at or near \"00\" of jsonpath input",
            ),
        ] {
            let refused = parse(path).expect_err("no path");
            assert_eq!(refused, message, "{path}");
        }
    }

    // Goal: a path that would fill the stack is refused. Method: parentheses, signs, steps and sums without end.
    #[test]
    fn length_has_an_end() {
        for path in [
            "(".repeat(100_000),
            "-".repeat(100_000),
            format!("${}", ".a".repeat(100_000)),
            format!("1{}", "+1".repeat(100_000)),
            format!("$ ? {}", "(!".repeat(100_000)),
        ] {
            assert!(parse(&path).is_err());
        }
    }
}
