//! Whether a document holds all that another does (`@>`), or has names (`?`, `?|`, `?&`).

use datafusion::common::{Result, exec_err};

use super::effort::Effort;
use super::value::{Json, Kind};

/// Values, or names, that are compared in about a step.
const COMPARED_A_STEP: usize = 16;

/// Bytes of two texts that are compared in about a step.
const TEXT_STEP_BYTES: usize = 256;

/// Bytes that are read as a number in about a step.
const NUMBER_STEP_BYTES: usize = 32;

/// What is asked of the documents of one call, as long as it takes no more steps than there are: each value of an array is looked for
/// among all of another.
#[derive(Debug)]
pub(super) struct Contained {
    effort: Effort,
}

impl Contained {
    pub(super) fn new() -> Self {
        Self { effort: Effort::new() }
    }

    /// Other documents of so many bytes together come.
    pub(super) fn next(&self, bytes: usize) {
        self.effort.next(bytes);
    }

    /// Whether one holds all that another does.
    pub(super) fn contains(&self, own: &Json<'_>, wanted: &Json<'_>) -> Result<bool> {
        match (&own.kind, &wanted.kind) {
            (Kind::Object(fields), Kind::Object(wanted)) => {
                for (name, value) in wanted {
                    self.look(fields.len(), name)?;
                    let holds = match own.field(name) {
                        Some(field) => self.contains(field, value)?,
                        None => false,
                    };
                    if !holds {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Kind::Array(items), Kind::Array(wanted)) => {
                for value in wanted {
                    if !self.among(items, value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            // An array holds a plain value as if it stood in an array.
            (Kind::Array(items), kind) if !matches!(kind, Kind::Object(_)) => self.among(items, wanted),
            _ => self.alike(own, wanted),
        }
    }

    /// Whether an object has a field of a name, or an array such a text.
    pub(super) fn has(&self, json: &Json<'_>, name: &str) -> Result<bool> {
        Ok(match &json.kind {
            Kind::Object(fields) => {
                self.look(fields.len(), name)?;
                json.field(name).is_some()
            }
            Kind::Array(items) => {
                self.look(items.len(), name)?;
                items
                    .iter()
                    .any(|item| matches!(&item.kind, Kind::Text(text) if text == name))
            }
            Kind::Text(text) => text == name,
            _ => false,
        })
    }

    /// Whether one of the values of an array is the same.
    fn among(&self, items: &[Json<'_>], wanted: &Json<'_>) -> Result<bool> {
        self.pay(1 + items.len() / COMPARED_A_STEP)?;
        for item in items {
            if self.alike(item, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether values within arrays are the same, as far as containing goes.
    fn alike(&self, own: &Json<'_>, wanted: &Json<'_>) -> Result<bool> {
        Ok(match (&own.kind, &wanted.kind) {
            (Kind::Object(_), Kind::Object(_)) | (Kind::Array(_), Kind::Array(_)) => self.contains(own, wanted)?,
            (Kind::Null, Kind::Null) => true,
            (Kind::Truth(left), Kind::Truth(right)) => left == right,
            (Kind::Text(left), Kind::Text(right)) => {
                self.pay(left.len().min(right.len()) / TEXT_STEP_BYTES)?;
                left == right
            }
            (Kind::Number, Kind::Number) => {
                let bytes = own.text.len().saturating_add(wanted.text.len());
                self.pay(bytes / NUMBER_STEP_BYTES)?;
                let same = own.text == wanted.text;
                if same || is_whole(own.text) && is_whole(wanted.text) {
                    return Ok(same);
                }
                self.pay(1)?;
                // What is the same number is the same float, which is found sooner.
                own.text.parse::<f64>().ok() == wanted.text.parse::<f64>().ok()
                    && Decimal::of(own.text).is_some_and(|own| Decimal::of(wanted.text) == Some(own))
            }
            _ => false,
        })
    }

    /// Pays for looking for a name among so many.
    fn look(&self, among: usize, name: &str) -> Result<()> {
        let compared = among.saturating_mul(1 + name.len() / TEXT_STEP_BYTES);
        self.pay(1 + compared / COMPARED_A_STEP)
    }

    fn pay(&self, steps: usize) -> Result<()> {
        match self.effort.take(steps) {
            true => Ok(()),
            false => exec_err!("a comparison of json documents that takes so many steps is not supported"),
        }
    }
}

/// Whether a number has digits only: there is one way to write it so.
fn is_whole(number: &str) -> bool {
    number.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number as there is one way to write it: digits without zeros around them, and the power of ten that they are times.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// `None` for a power beyond every document's.
    fn of(number: &str) -> Option<Self> {
        let unsigned = number.strip_prefix('-');
        let number = unsigned.unwrap_or(number);
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (number, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let trimmed = all.trim_start_matches('0');
        let digits = trimmed.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            });
        }
        let behind = i64::try_from(fraction.len()).ok()?;
        let zeros = i64::try_from(trimmed.len() - digits.len()).ok()?;
        Some(Self {
            negative: unsigned.is_some(),
            digits: digits.to_owned(),
            exponent: exponent.checked_sub(behind)?.checked_add(zeros)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(document: &str) -> Json<'_> {
        Json::parse(document).expect("a document")
    }

    fn of(steps: usize) -> Contained {
        Contained {
            effort: Effort::of(steps),
        }
    }

    // Goal: a document holds what PostgreSQL's rules of containing say. Method: objects, arrays and plain values in each other, and numbers
    // that are written in several ways or are neighbours.
    #[test]
    fn documents_hold_others() {
        for (own, wanted, expected) in [
            (r#"{"a": 1, "b": [1, 2]}"#, r#"{"b": [2]}"#, true),
            (r#"{"a": 1, "b": [1, 2]}"#, r#"{"b": [3]}"#, false),
            (r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, false),
            ("[1, null]", "1", true),
            (r#"{"a": 1}"#, "[1]", false),
            ("[[1]]", "[1]", false),
            (r#"[{"a": 1, "b": 2}]"#, r#"[{"b": 2}]"#, true),
            (r#"["a", "b"]"#, r#"["b", "b"]"#, true),
            ("1", "1.0", true),
            ("[1e2]", "100", true),
            ("-0", "0", true),
            ("9007199254740993", "9007199254740992", false),
            ("-9007199254740993", "-9007199254740992", false),
            ("-9007199254740993", "-9007199254740993.0", true),
            ("9007199254740993", "-9007199254740993", false),
            ("[9007199254740993]", "9.007199254740992e15", false),
            ("0.12345678901234567891", "0.12345678901234567892", false),
            ("0.10", "1e-1", true),
            ("-0.0", "0", true),
            ("1e400", "2e400", false),
            ("1e400", "10E+399", true),
        ] {
            let found = Contained::new().contains(&parsed(own), &parsed(wanted)).expect("steps");
            assert_eq!(found, expected, "{own} {wanted}");
        }
    }

    // Goal: no comparison takes time without end, and sensible documents are compared all the same. Method: arrays and objects whose values
    // and names are compared each with each, of which the shorter ones have steps enough.
    #[test]
    fn comparisons_have_an_end() {
        let listed = |count: usize, item: &str| format!("[{}1]", format!("{item}, ").repeat(count));
        let (fractions, texts) = (listed(1_000, "0.5"), listed(1_000, "\"aaaaaaaa\""));
        let ones = listed(1_000, "1");
        let fields: Vec<String> = (0..2_000).map(|at| format!("\"k{at}\": 1")).collect();
        let object = format!("{{{}}}", fields.join(", "));
        for (own, wanted) in [(&fractions, &ones), (&texts, &ones), (&object, &object)] {
            let (own, wanted) = (parsed(own), parsed(wanted));
            assert!(of(10_000).contains(&own, &wanted).is_err());
            assert!(Contained::new().contains(&own, &wanted).expect("steps"));
        }
        let object = parsed(&object);
        let asked = |contained: &Contained| {
            let mut names = (0..2_000).map(|at| format!("k{at}"));
            names.all(|name| contained.has(&object, &name).is_ok_and(|has| has))
        };
        assert!(asked(&Contained::new()) && !asked(&of(10_000)));
    }

    // Goal: each pair of documents has steps of its own. Method: many of them in one call, which together take more.
    #[test]
    fn documents_have_steps_of_their_own() {
        let contained = of(10);
        for _ in 0..100 {
            contained.next(0);
            assert!(contained.contains(&parsed("[1, 2]"), &parsed("[2, 1]")).expect("steps"));
        }
    }
}
