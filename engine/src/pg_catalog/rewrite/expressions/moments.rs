//! Days, moments and spans as people write them, in the one way that the query engine reads.

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// What a date of three numbers has first where it does not begin with a year, as `DateStyle` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// Month, day, year.
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

impl DateOrder {
    /// Of a `DateStyle` as it is shown, `ISO, DMY`.
    pub fn of(style: &str) -> Option<Self> {
        match style.rsplit(", ").next() {
            Some("MDY") => Some(Self::Mdy),
            Some("DMY") => Some(Self::Dmy),
            Some("YMD") => Some(Self::Ymd),
            _ => None,
        }
    }
}

/// A day or moment whose date is three numbers, `2/9/24 10:20`, with the date as ISO 8601 has it; `None` for others, and for those that
/// begin with a year of four digits. Years of two digits are those from 1970 to 2069.
pub fn in_order(written: &str, order: DateOrder) -> Option<String> {
    let written = written.trim();
    let is_date = |letter: char| letter.is_ascii_digit() || matches!(letter, '/' | '-' | '.');
    let (date, behind) = written.split_at(written.find(|letter: char| !is_date(letter)).unwrap_or(written.len()));
    let is_clock = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let clock = behind
        .strip_prefix(' ')
        .is_some_and(|behind| is_clock(behind.trim_start()));
    if !behind.is_empty() && !clock {
        return None;
    }
    let mark = date.find(|letter: char| !letter.is_ascii_digit())?;
    let mark = date.get(mark..)?.chars().next()?;
    let numbers: Vec<&str> = date.split(mark).collect();
    let [first, second, third] = numbers.as_slice() else {
        return None;
    };
    let (year, month, day) = match order {
        DateOrder::Mdy => (*third, *first, *second),
        DateOrder::Dmy => (*third, *second, *first),
        DateOrder::Ymd => (*first, *second, *third),
    };
    let has = |number: &str, most: usize| {
        (1..=most).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    if first.len() > 2 || !has(year, 4) || !has(month, 2) || !has(day, 2) {
        return None;
    }
    let year = match (year.len(), year.parse::<u32>().ok()?) {
        (1..=2, year @ ..=69) => 2000 + year,
        (1..=2, year) => 1900 + year,
        (_, year) => year,
    };
    Some(format!("{year:04}-{month:0>2}-{day:0>2}{behind}"))
}

/// A day or moment, `Feb 29, 2024 10:20`, in figures; `None` where it stands so already.
pub(crate) fn figures(written: &str) -> Option<String> {
    let spaced = written.replace(',', " ");
    let mut words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    if let Some(at) = words.iter().take(2).position(|word| month(word).is_some()) {
        let month = words.get(at).and_then(|word| month(word))?;
        // `Feb 29 2024` or `29 Feb 2024`.
        let (day, year) = (
            words.get(1 - at)?.parse::<u32>().ok()?,
            // One of two digits is not that of the first century; it is refused.
            words.get(2).filter(|year| year.len() > 2)?.parse::<u32>().ok()?,
        );
        words.splice(0..3, [format!("{year:04}-{month:02}-{day:02}")]);
    }
    if let Some(first) = words.first_mut() {
        let parts: Vec<&str> = first.split('/').collect();
        if let [year, month, day] = parts.as_slice()
            && year.len() == 4
        {
            *first = format!("{year}-{month:0>2}-{day:0>2}");
        }
    }
    for word in &mut words {
        // `2024-02-29T10:20Z`, `10:20+02`.
        let (day, time) = match word.split_once('T') {
            Some((day, time)) if day.contains('-') => (format!("{day}T"), time),
            _ => (String::new(), word.as_str()),
        };
        let (clock, zone) = time.split_at(time.find(['+', '-', 'Z', 'z']).unwrap_or(time.len()));
        let clock: Vec<&str> = clock.split(':').collect();
        if let [hour, minute] = clock.as_slice()
            && [hour, minute]
                .iter()
                .all(|part| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
        {
            *word = format!("{day}{hour:0>2}:{minute:0>2}:00{zone}");
        }
    }
    let figures = words.join(" ");
    (figures != written).then_some(figures)
}

fn month(word: &str) -> Option<usize> {
    let lower = word.to_lowercase();
    let known = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let full = known.iter().position(|name| *name == lower);
    full.or_else(|| MONTHS.iter().position(|name| *name == lower))
        .map(|at| at + 1)
}

/// An interval as ISO 8601 writes it, `P1Y2M3DT4H5M6S`, in words.
pub(super) fn iso_span(written: &str) -> Option<String> {
    let (date, time) = written.strip_prefix('P')?.split_once('T').map_or_else(
        || (written.strip_prefix('P').unwrap_or_default(), ""),
        |(date, time)| (date, time),
    );
    let mut words = Vec::new();
    for (part, units) in [
        (
            date,
            &[('Y', "years"), ('M', "months"), ('W', "weeks"), ('D', "days")][..],
        ),
        (time, &[('H', "hours"), ('M', "minutes"), ('S', "seconds")][..]),
    ] {
        let mut number = String::new();
        for letter in part.chars() {
            if letter.is_ascii_digit() || matches!(letter, '-' | '.') {
                number.push(letter);
                continue;
            }
            let (_, unit) = units.iter().find(|(known, _)| *known == letter)?;
            number.parse::<f64>().ok()?;
            words.push(format!("{number} {unit}"));
            number.clear();
        }
        if !number.is_empty() {
            return None;
        }
    }
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: days and spans are read however they are written. Method: spellings that PostgreSQL 15 takes, and what is none.
    #[test]
    fn spellings_become_figures() {
        for (written, read) in [
            ("Feb 29, 2024", Some("2024-02-29")),
            ("29 February 2024 10:20", Some("2024-02-29 10:20:00")),
            ("2024/2/9", Some("2024-02-09")),
            (" 2024-02-29 ", Some("2024-02-29")),
            ("2024-02-29 1:02", Some("2024-02-29 01:02:00")),
            ("2024-02-29 10:20+02", Some("2024-02-29 10:20:00+02")),
            ("2024-02-29T10:20Z", Some("2024-02-29T10:20:00Z")),
            ("2024-02-29 10:20:30+02", None),
            ("29 Feb 24", None),
            ("x", None),
        ] {
            assert_eq!(figures(written).as_deref(), read, "{written}");
        }
        assert_eq!(
            iso_span("P1Y2M3DT4H5M6.5S").as_deref(),
            Some("1 years 2 months 3 days 4 hours 5 minutes 6.5 seconds")
        );
        assert_eq!(iso_span("P1X"), None);
        assert_eq!(iso_span("1 day"), None);
    }

    // Goal: a date of three numbers is what PostgreSQL 15 takes it for under each DateStyle, and what has no such date is left. Method: dates
    // with each mark, short years on both sides of 1970, and texts of other kinds.
    #[test]
    fn dates_have_an_order() {
        for (written, of_months, of_days, of_years) in [
            ("01/02/03", Some("2003-01-02"), Some("2003-02-01"), Some("2001-02-03")),
            ("1-2-2024", Some("2024-01-02"), Some("2024-02-01"), None),
            (" 1.2.70 ", Some("1970-01-02"), Some("1970-02-01"), Some("2001-02-70")),
            ("1/2/69", Some("2069-01-02"), Some("2069-02-01"), Some("2001-02-69")),
            ("1/2/0099", Some("0099-01-02"), Some("0099-02-01"), None),
            (
                "13/02/2024 10:20",
                Some("2024-13-02 10:20"),
                Some("2024-02-13 10:20"),
                None,
            ),
            ("2024-01-02", None, None, None),
            ("1/2-2024", None, None, None),
            ("1/2/2024 BC", None, None, None),
            ("1/2/20240", None, None, None),
            ("1/2", None, None, None),
            ("1//2", None, None, None),
            ("10:20:30", None, None, None),
            ("soon", None, None, None),
            ("", None, None, None),
        ] {
            for (style, wanted) in [("ISO, MDY", of_months), ("ISO, DMY", of_days), ("ISO, YMD", of_years)] {
                let order = DateOrder::of(style).expect(style);
                assert_eq!(in_order(written, order).as_deref(), wanted, "{written} {style}");
            }
        }
        assert_eq!(DateOrder::of("ISO"), None);
    }
}
