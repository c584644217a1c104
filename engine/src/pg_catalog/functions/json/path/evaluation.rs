//! Follows a path through a document, as PostgreSQL 15 does: what a lax path unwraps and wraps, what is an error, and when it stops.

use std::cell::Cell;
use std::rc::Rc;

use super::budget::Budget;
use super::item::{Item, Object};
use super::number::Number;
use super::syntax::{DEEPEST, Method, Operator, Path, Step, Value};

/// Why a path could not be followed.
#[derive(Debug)]
pub(super) enum Failure {
    /// What a condition does not know then, and what `silent` keeps quiet.
    Quiet(String),
    /// What is told in any case.
    Loud(String),
}

fn quiet<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Quiet(message.into()))
}

/// Whether something was found.
type Outcome = Result<bool, Failure>;

/// What was found, or that something was.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    /// Whether the first is enough, and no more than that it is there is asked.
    first: bool,
}

impl Found {
    pub(super) fn all() -> Self {
        Self {
            items: Vec::new(),
            first: false,
        }
    }

    pub(super) fn first() -> Self {
        Self {
            items: Vec::new(),
            first: true,
        }
    }

    fn take(&mut self, item: &Item) -> Outcome {
        if !self.first {
            self.items.push(item.clone());
        }
        Ok(true)
    }
}

/// Steps that an item that is found counts for: it has a place of its own.
const FOUND_STEPS: usize = 4;

/// Objects of the document, of the variables, and those that are made on the way are counted from multiples of this on.
const IDS: i64 = 10_000_000_000;

/// Where the numbers of the variables' objects begin.
pub(super) const VARIABLES: i64 = IDS;

/// A path, the document that it is followed through, and the values of its variables.
#[derive(Debug)]
pub(super) struct Evaluation<'a> {
    path: &'a Path,
    root: Item,
    /// Without any, variables are null.
    variables: Option<Item>,
    /// How many objects were made.
    made: Cell<i64>,
    budget: &'a Budget,
}

/// Where a part of the path is followed.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// `@`
    pub(super) current: Item,
    /// Elements of the array in whose subscript this is.
    pub(super) size: usize,
    /// Whether what is not there is no error.
    pub(super) lenient: bool,
    /// Whether errors are told.
    pub(super) loud: bool,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(path: &'a Path, root: Item, variables: Option<Item>, budget: &'a Budget) -> Self {
        Self {
            path,
            root,
            variables,
            made: Cell::new(2),
            budget,
        }
    }

    /// Takes so many steps, if they are left. That they are not is told in any case.
    pub(super) fn pay(&self, steps: usize) -> Result<(), Failure> {
        self.budget.pay(steps).map_err(Failure::Loud)
    }

    pub(super) fn is_lax(&self) -> bool {
        !self.path.strict
    }

    /// Follows the whole path.
    pub(super) fn run(&self, silent: bool, found: &mut Found) -> Outcome {
        let context = Context {
            current: self.root.clone(),
            size: 0,
            lenient: self.is_lax(),
            loud: !silent,
        };
        self.value(&self.path.value, &[], &context, found)
    }

    /// What a value is; of arrays, if wanted, their elements.
    pub(super) fn sequence(&self, value: &Value, unwrap: bool, context: &Context) -> Result<Vec<Item>, Failure> {
        let mut found = Found::all();
        self.value(value, &[], context, &mut found)?;
        if !(unwrap && self.is_lax()) {
            return Ok(found.items);
        }
        let mut items = Vec::with_capacity(found.items.len());
        for item in &found.items {
            for element in item.elements() {
                self.pay(FOUND_STEPS + element.cost())?;
                items.push(element.clone());
            }
        }
        Ok(items)
    }

    /// Follows steps from a value on.
    pub(super) fn value(&self, value: &Value, rest: &[Step], context: &Context, found: &mut Found) -> Outcome {
        self.pay(1)?;
        match value {
            Value::Root => self.follow(&self.root, rest, context, found),
            Value::Current => self.follow(&context.current, rest, context, found),
            Value::Last => {
                let last = Number::of(context.size).minus(&Number::of(1));
                let last = last.map_err(|error| Failure::Quiet(error.to_owned()))?;
                self.follow(&Item::Number(last), rest, context, found)
            }
            Value::Constant(item) => self.follow(item, rest, context, found),
            Value::Variable(name) => match &self.variables {
                Some(Item::Object(variables)) => match self.field(variables, name)? {
                    Some(item) => self.follow(item, rest, context, found),
                    None => Err(Failure::Loud(format!("could not find jsonpath variable \"{name}\""))),
                },
                _ => self.follow(&Item::Null, rest, context, found),
            },
            Value::Steps(from, steps) => self.value(from, steps, context, found),
            Value::Signed { negative, of } => self.signed(*negative, of, rest, context, found),
            Value::Reckoned(left, operator, right) => {
                let number = self.reckoned(left, *operator, right, context)?;
                self.follow(&Item::Number(number), rest, context, found)
            }
            Value::Truth(condition) => {
                let truth = self.holds(condition, context)?;
                let item = truth.known().map_or(Item::Null, Item::Truth);
                self.follow(&item, rest, context, found)
            }
        }
    }

    fn signed(&self, negative: bool, of: &Value, rest: &[Step], context: &Context, found: &mut Found) -> Outcome {
        let mut any = false;
        for item in self.sequence(of, true, context)? {
            let Item::Number(number) = &item else {
                if found.first && rest.is_empty() {
                    continue;
                }
                let sign = if negative { "-" } else { "+" };
                return quiet(format!(
                    "operand of unary jsonpath operator {sign} is not a numeric value"
                ));
            };
            self.pay(1)?;
            let number = if negative { number.negated() } else { number.clone() };
            any |= self.follow(&Item::Number(number), rest, context, found)?;
            if any && found.first {
                break;
            }
        }
        Ok(any)
    }

    fn reckoned(&self, left: &Value, operator: Operator, right: &Value, context: &Context) -> Result<Number, Failure> {
        let left = self.sequence(left, true, context)?;
        let right = self.sequence(right, true, context)?;
        let sign = operator.sign();
        let [Item::Number(left)] = left.as_slice() else {
            return quiet(format!(
                "left operand of jsonpath operator {sign} is not a single numeric value"
            ));
        };
        let [Item::Number(right)] = right.as_slice() else {
            return quiet(format!(
                "right operand of jsonpath operator {sign} is not a single numeric value"
            ));
        };
        self.pay(left.cost().saturating_add(right.cost()).saturating_mul(2))?;
        let number = match operator {
            Operator::Plus => left.plus(right),
            Operator::Minus => left.minus(right),
            Operator::Times => left.times(right),
            Operator::By => left.by(right),
            Operator::Rest => left.rest(right),
        };
        number.map_err(|error| Failure::Quiet(error.to_owned()))
    }

    fn follow(&self, item: &Item, steps: &[Step], context: &Context, found: &mut Found) -> Outcome {
        match steps.split_first() {
            None => {
                self.pay(FOUND_STEPS + item.cost())?;
                found.take(item)
            }
            Some((step, rest)) => self.step(item, step, rest, self.is_lax(), context, found),
        }
    }

    /// Takes a step from each of these.
    fn of_each(&self, items: &[Item], step: &Step, rest: &[Step], context: &Context, found: &mut Found) -> Outcome {
        let mut any = false;
        for item in items {
            any |= self.step(item, step, rest, false, context, found)?;
            if any && found.first {
                break;
            }
        }
        Ok(any)
    }

    /// Takes a step, from the elements of an array where it is not for arrays, and the rest of them.
    fn step(
        &self,
        item: &Item,
        step: &Step,
        rest: &[Step],
        unwrap: bool,
        context: &Context,
        found: &mut Found,
    ) -> Outcome {
        self.pay(1 + item.cost())?;
        let for_arrays = matches!(
            step,
            Step::AnyElement | Step::Elements(_) | Step::Descendants { .. } | Step::Method(Method::Type | Method::Size)
        );
        if let Item::Array(items) = item
            && unwrap
            && !for_arrays
        {
            return self.of_each(items, step, rest, context, found);
        }
        match step {
            Step::Member(name) => match item {
                Item::Object(object) => match self.field(object, name)? {
                    Some(value) => self.follow(value, rest, context, found),
                    None => missing(context, format!("JSON object does not contain key \"{name}\"")),
                },
                _ => missing(context, "jsonpath member accessor can only be applied to an object"),
            },
            Step::AnyMember => match item {
                Item::Object(_) => self.follow_each(self.children(item)?, rest, context, found),
                _ => missing(
                    context,
                    "jsonpath wildcard member accessor can only be applied to an object",
                ),
            },
            Step::AnyElement => match item {
                Item::Array(items) => self.follow_each(items.iter(), rest, context, found),
                _ if self.is_lax() => self.follow(item, rest, context, found),
                _ => missing(
                    context,
                    "jsonpath wildcard array accessor can only be applied to an array",
                ),
            },
            Step::Elements(ranges) => match item {
                Item::Array(items) => self.ranges(items, ranges, rest, context, found),
                _ if self.is_lax() => self.ranges(item.elements(), ranges, rest, context, found),
                _ => missing(context, "jsonpath array accessor can only be applied to an array"),
            },
            Step::Descendants { first, last } => self.descendants(item, (*first, *last), rest, context, found),
            Step::Filter(condition) => {
                let inner = Context {
                    current: item.clone(),
                    ..context.clone()
                };
                match self.holds(condition, &inner)?.known() {
                    Some(true) => self.follow(item, rest, context, found),
                    _ => Ok(false),
                }
            }
            Step::Method(Method::KeyValue) => self.key_value(item, rest, context, found),
            Step::Method(method) => match self.called(*method, item, context)? {
                Some(answer) => self.follow(&answer, rest, context, found),
                None => Ok(false),
            },
        }
    }

    /// A field of an object, which is looked for among all of them.
    fn field<'i>(&self, object: &'i Object, name: &str) -> Result<Option<&'i Item>, Failure> {
        self.pay(object.fields.len() / 8)?;
        let found = object.fields.iter().find(|(field, _)| field == name);
        Ok(found.map(|(_, value)| value))
    }

    /// The values that lie in an item.
    fn children<'i>(&self, item: &'i Item) -> Result<Vec<&'i Item>, Failure> {
        let children = item.children();
        self.pay(children.len())?;
        Ok(children)
    }

    fn follow_each<'i>(
        &self,
        items: impl IntoIterator<Item = &'i Item>,
        rest: &[Step],
        context: &Context,
        found: &mut Found,
    ) -> Outcome {
        let mut any = false;
        for item in items {
            any |= self.follow(item, rest, context, found)?;
            if any && found.first {
                break;
            }
        }
        Ok(any)
    }

    fn ranges(
        &self,
        items: &[Item],
        ranges: &[(Value, Option<Value>)],
        rest: &[Step],
        context: &Context,
        found: &mut Found,
    ) -> Outcome {
        let inner = Context {
            size: items.len(),
            ..context.clone()
        };
        let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let mut any = false;
        for (from, to) in ranges {
            let from = self.place(from, &inner)?;
            let to = match to {
                Some(to) => self.place(to, &inner)?,
                None => from,
            };
            if !context.lenient && (from < 0 || from > to || to >= size) {
                return quiet("jsonpath array subscript is out of bounds");
            }
            for at in from.max(0)..=to.min(size - 1) {
                if let Some(item) = usize::try_from(at).ok().and_then(|at| items.get(at)) {
                    any |= self.follow(item, rest, &inner, found)?;
                }
                if any && found.first {
                    return Ok(true);
                }
            }
        }
        Ok(any)
    }

    fn place(&self, value: &Value, context: &Context) -> Result<i64, Failure> {
        let found = self.sequence(value, false, context)?;
        let [Item::Number(number)] = found.as_slice() else {
            return quiet("jsonpath array subscript is not a single numeric value");
        };
        match number.place() {
            Some(place) => Ok(i64::from(place)),
            None => quiet("jsonpath array subscript is out of integer range"),
        }
    }

    fn descendants(
        &self,
        item: &Item,
        (first, last): (u32, u32),
        rest: &[Step],
        context: &Context,
        found: &mut Found,
    ) -> Outcome {
        let lenient = Context {
            lenient: true,
            ..context.clone()
        };
        let mut any = false;
        if first == 0 {
            match self.follow(item, rest, &lenient, found) {
                Ok(something) => any = something,
                // Where errors are not told, those below decide.
                Err(Failure::Quiet(_)) if !context.loud && item.is_container() => {}
                Err(failure) => return Err(failure),
            }
            if any && found.first {
                return Ok(true);
            }
        }
        Ok(any | self.below(item, 1, (first, last), rest, &lenient, found)?)
    }

    fn below(
        &self,
        item: &Item,
        depth: u32,
        (first, last): (u32, u32),
        rest: &[Step],
        context: &Context,
        found: &mut Found,
    ) -> Outcome {
        let mut any = false;
        if depth > last {
            return Ok(any);
        }
        // From the deepest on: what nothing can lie in.
        let leaves = first == DEEPEST && last == DEEPEST;
        for child in self.children(item)? {
            if depth >= first || (leaves && !child.is_container()) {
                any |= self.follow(child, rest, context, found)?;
                if any && found.first {
                    break;
                }
            }
            if depth < last {
                any |= self.below(child, depth + 1, (first, last), rest, context, found)?;
                if any && found.first {
                    break;
                }
            }
        }
        Ok(any)
    }

    /// What a method answers; none where a lax path finds nothing.
    fn called(&self, method: Method, item: &Item, context: &Context) -> Result<Option<Item>, Failure> {
        let name = method.name();
        let number = match (method, item) {
            (Method::Type, _) => return Ok(Some(Item::Text(item.type_name().into()))),
            (Method::Size, Item::Array(items)) => Number::of(items.len()),
            (Method::Size, _) if self.is_lax() => Number::of(1),
            (Method::Size, _) => {
                let message = format!("jsonpath item method .{name}() can only be applied to an array");
                return missing(context, message).map(|_| None);
            }
            (Method::Double, Item::Number(number)) if number.is_double() => number.clone(),
            (Method::Double, Item::Number(_)) => {
                return quiet(format!(
                    "numeric argument of jsonpath item method .{name}() is out of range for type double precision"
                ));
            }
            (Method::Double, Item::Text(text)) => {
                let value = text.trim_ascii().parse::<f64>().ok().filter(|value| value.is_finite());
                match value.and_then(Number::of_double) {
                    Some(number) => number,
                    None => {
                        return quiet(format!(
                            "string argument of jsonpath item method .{name}() is not a valid representation of a double \
                             precision number"
                        ));
                    }
                }
            }
            (Method::Double, _) => {
                return quiet(format!(
                    "jsonpath item method .{name}() can only be applied to a string or numeric value"
                ));
            }
            (Method::Abs, Item::Number(number)) => number.absolute(),
            (Method::Ceiling, Item::Number(number)) => number.ceiling(),
            (Method::Floor, Item::Number(number)) => number.floor(),
            _ => {
                return quiet(format!(
                    "jsonpath item method .{name}() can only be applied to a numeric value"
                ));
            }
        };
        Ok(Some(Item::Number(number)))
    }

    /// Each field as an object of its name, its value and the number of the object that it is of.
    fn key_value(&self, item: &Item, rest: &[Step], context: &Context, found: &mut Found) -> Outcome {
        let Item::Object(object) = item else {
            return quiet("jsonpath item method .keyvalue() can only be applied to an object");
        };
        let mut any = false;
        for (name, value) in &object.fields {
            let made = self.made.get();
            self.made.set(made + 1);
            let pair = Item::Object(Rc::new(Object {
                id: IDS.saturating_mul(made),
                fields: vec![
                    ("id".to_owned(), Item::Number(Number::of_id(object.id))),
                    ("key".to_owned(), Item::Text(name.as_str().into())),
                    ("value".to_owned(), value.clone()),
                ],
            }));
            any |= self.follow(&pair, rest, context, found)?;
            if any && found.first {
                break;
            }
        }
        Ok(any)
    }
}

/// What is not there: nothing, or an error.
fn missing(context: &Context, message: impl Into<String>) -> Outcome {
    match context.lenient {
        true => Ok(false),
        false => quiet(message),
    }
}
