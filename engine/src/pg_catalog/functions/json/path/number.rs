//! Numbers as PostgreSQL's `numeric` reckons with them: exact, with as many digits behind the point as the operands ask for.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, Sign};

/// Digits before the point that a `numeric` has at most.
const WHOLE_DIGITS_MAX: u32 = 131_072;

/// Digits behind it.
const SCALE_MAX: u32 = 16_383;

/// Digits that a number is written with at most, with its sign.
const DIGITS_MAX: usize = 131_072 + 16_383 + 1;

/// Digits that a quotient has at least, and how many behind the point at most (PostgreSQL's `NUMERIC_MIN_SIG_DIGITS` and
/// `NUMERIC_MAX_DISPLAY_SCALE`).
const QUOTIENT_DIGITS: i64 = 16;
const QUOTIENT_SCALE_MAX: i64 = 1000;

pub(super) const OVERFLOW: &str = "value overflows numeric format";

/// An exact number: its digits, of which so many stand behind the point.
#[derive(Debug, Clone)]
pub(super) struct Number {
    digits: BigInt,
    scale: u32,
}

fn ten_to(power: u32) -> BigInt {
    BigInt::from(10_u8).pow(power)
}

impl Number {
    /// The number that is written so; `None` where it has too many digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // Reading more digits than that takes longer the more there are.
        if whole.len() + fraction.len() > DIGITS_MAX {
            return None;
        }
        let digits = BigInt::parse_bytes(format!("{whole}{fraction}").as_bytes(), 10)?;
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if scale >= 0 {
            let scale = u32::try_from(scale).ok().filter(|scale| *scale <= SCALE_MAX)?;
            return Self { digits, scale }.limited();
        }
        let zeros = u32::try_from(scale.checked_neg()?).ok();
        let digits = digits * ten_to(zeros.filter(|zeros| *zeros <= WHOLE_DIGITS_MAX)?);
        Self { digits, scale: 0 }.limited()
    }

    /// A count.
    pub(super) fn of(count: usize) -> Self {
        Self::whole(BigInt::from(count))
    }

    fn whole(digits: BigInt) -> Self {
        Self { digits, scale: 0 }
    }

    /// An object's number.
    pub(super) fn of_id(id: i64) -> Self {
        Self::whole(BigInt::from(id))
    }

    /// A floating-point number, by the 15 digits that are certain.
    pub(super) fn of_double(value: f64) -> Option<Self> {
        let shown = format!("{value:.14e}");
        let (mantissa, exponent) = shown.split_once('e')?;
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        Self::parse(&format!("{mantissa}e{exponent}"))
    }

    /// Whether a floating-point number can be as large.
    pub(super) fn is_double(&self) -> bool {
        self.to_string().parse::<f64>().is_ok_and(f64::is_finite)
    }

    /// How many steps more than one with a plain number a step with this one counts for: reckoning with it, and reading and writing it,
    /// takes the longer the more digits it has.
    pub(super) fn cost(&self) -> usize {
        let words = usize::try_from(self.digits.bits() / 64).unwrap_or(usize::MAX);
        words.saturating_add(words.saturating_mul(words) / 256)
    }

    /// The whole part, as a place in an array.
    pub(super) fn place(&self) -> Option<i32> {
        i32::try_from(&(&self.digits / ten_to(self.scale))).ok()
    }

    fn limited(self) -> Option<Self> {
        // Ten digits are less than 34 bits.
        let bits_max = u64::from(WHOLE_DIGITS_MAX + self.scale) * 34 / 10;
        (self.digits.bits() <= bits_max).then_some(self)
    }

    /// The digits of both, with as many behind the point.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt, u32) {
        let scale = self.scale.max(other.scale);
        let widened = |number: &Self| &number.digits * ten_to(scale - number.scale);
        (widened(self), widened(other), scale)
    }

    pub(super) fn plus(&self, other: &Self) -> Result<Self, &'static str> {
        let (left, right, scale) = self.aligned(other);
        let digits = left + right;
        Self { digits, scale }.limited().ok_or(OVERFLOW)
    }

    pub(super) fn minus(&self, other: &Self) -> Result<Self, &'static str> {
        self.plus(&other.negated())
    }

    pub(super) fn times(&self, other: &Self) -> Result<Self, &'static str> {
        let scale = self.scale + other.scale;
        let digits = &self.digits * &other.digits;
        let product = Self { digits, scale };
        product.limited().filter(|_| scale <= SCALE_MAX).ok_or(OVERFLOW)
    }

    pub(super) fn rest(&self, other: &Self) -> Result<Self, &'static str> {
        let (left, right, scale) = self.aligned(other);
        if right.sign() == Sign::NoSign {
            return Err("division by zero");
        }
        let digits = left % right;
        Ok(Self { digits, scale })
    }

    pub(super) fn by(&self, other: &Self) -> Result<Self, &'static str> {
        if other.digits.sign() == Sign::NoSign {
            return Err("division by zero");
        }
        let ((weight, first), (other_weight, other_first)) = (self.leading(), other.leading());
        let weight = weight - other_weight - i64::from(first <= other_first);
        let wanted = (QUOTIENT_DIGITS - weight * 4).max(0);
        let wanted = wanted.max(i64::from(self.scale)).max(i64::from(other.scale));
        let wanted = u32::try_from(wanted.min(QUOTIENT_SCALE_MAX)).map_err(|_| OVERFLOW)?;
        // Below it the dividend would lose digits here.
        let scale = wanted.max(self.scale.saturating_sub(other.scale));
        let widened = &self.digits * ten_to(scale + other.scale - self.scale);
        let (above, below) = (widened.magnitude(), other.digits.magnitude());
        // Halves go away from zero.
        let quotient = (above * 2_u32 + below) / (below * 2_u32);
        let sign = match self.digits.sign() == other.digits.sign() {
            true => Sign::Plus,
            false => Sign::Minus,
        };
        let digits = BigInt::from_biguint(sign, quotient);
        Self { digits, scale }.limited().ok_or(OVERFLOW)
    }

    /// The place and the value of the first digit, of those that stand for four of ours.
    fn leading(&self) -> (i64, u32) {
        let shown = self.absolute().to_string();
        let (whole, fraction) = shown.split_once('.').unwrap_or((shown.as_str(), ""));
        let (before, behind) = (whole.len().div_ceil(4), fraction.len().div_ceil(4));
        let all = format!(
            "{whole:0>before$}{fraction:0<behind$}",
            before = before * 4,
            behind = behind * 4
        );
        let values = all.as_bytes().chunks(4).map(|four| {
            let digits = four.iter().map(|digit| u32::from(digit.saturating_sub(b'0')));
            digits.fold(0, |sum, digit| sum * 10 + digit)
        });
        let mut place = i64::try_from(before).unwrap_or(i64::MAX);
        for value in values {
            place -= 1;
            if value > 0 {
                return (place, value);
            }
        }
        (0, 0)
    }

    pub(super) fn negated(&self) -> Self {
        Self {
            digits: -self.digits.clone(),
            scale: self.scale,
        }
    }

    pub(super) fn absolute(&self) -> Self {
        match self.digits.sign() {
            Sign::Minus => self.negated(),
            Sign::NoSign | Sign::Plus => self.clone(),
        }
    }

    pub(super) fn ceiling(&self) -> Self {
        let (whole, above) = self.parted();
        Self::whole(whole + i32::from(above == Sign::Plus))
    }

    pub(super) fn floor(&self) -> Self {
        let (whole, below) = self.parted();
        Self::whole(whole - i32::from(below == Sign::Minus))
    }

    /// What stands before the point, and the sign of the rest.
    fn parted(&self) -> (BigInt, Sign) {
        let one = ten_to(self.scale);
        (&self.digits / &one, (&self.digits % &one).sign())
    }

    pub(super) fn compared(&self, other: &Self) -> Ordering {
        let (left, right, _) = self.aligned(other);
        left.cmp(&right)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.sign() == Sign::Minus {
            formatter.write_str("-")?;
        }
        let digits = self.digits.magnitude().to_string();
        let Some(scale) = usize::try_from(self.scale).ok().filter(|scale| *scale > 0) else {
            return formatter.write_str(&digits);
        };
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(formatter, "{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    // Goal: numbers are reckoned with as PostgreSQL 15's numeric is. Method: what it said for each of these.
    #[test]
    fn numbers_are_numeric() {
        let shown = |found: Result<Number, &str>| found.map_or_else(str::to_owned, |found| found.to_string());
        assert_eq!(number("1.50").to_string(), "1.50");
        assert_eq!(number("-1e3").to_string(), "-1000");
        assert_eq!(number("1.5e-3").to_string(), "0.0015");
        assert_eq!(shown(number("1.50").plus(&number("-2"))), "-0.50");
        assert_eq!(shown(number("1.50").times(&number("0.1"))), "0.150");
        assert_eq!(shown(number("1").by(&number("3"))), "0.33333333333333333333");
        assert_eq!(shown(number("10").by(&number("4"))), "2.5000000000000000");
        assert_eq!(shown(number("-2").by(&number("3"))), "-0.66666666666666666667");
        assert_eq!(shown(number("1").by(&number("0.00"))), "division by zero");
        assert_eq!(shown(number("-7").rest(&number("2.5"))), "-2.0");
        assert_eq!(number("-1.5").ceiling().to_string(), "-1");
        assert_eq!(number("-1.5").floor().to_string(), "-2");
        assert_eq!(number("1.2").ceiling().to_string(), "2");
        assert_eq!(number("-1.9").place(), Some(-1));
        assert_eq!(
            Number::of_double(1.5e20).map(|found| found.to_string()).as_deref(),
            Some("150000000000000000000")
        );
        assert_eq!(
            Number::of_double(0.0).map(|found| found.to_string()).as_deref(),
            Some("0")
        );
    }

    // Goal: a number that would fill the memory is refused. Method: exponents of all sizes.
    #[test]
    fn size_has_an_end() {
        for large in ["1e200000", "1e-20000", "1e99999999999", "1e-9223372036854775808"] {
            assert!(Number::parse(large).is_none(), "{large}");
        }
        assert!(Number::parse(&"7".repeat(1_000_000)).is_none());
        let large = number("1e131000");
        assert!(large.cost() > 10_000 && number("-1234567890.12345").cost() == 0);
        assert!(large.times(&large).is_err());
        assert!(!large.is_double());
    }
}
