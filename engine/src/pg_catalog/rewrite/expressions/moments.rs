//! Days, moments and spans as people write them, in the one way that the query engine reads.

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// A day or moment, `Feb 29, 2024 10:20`, in figures; `None` where it stands so already.
pub(crate) fn figures(written: &str) -> Option<String> {
    let spaced = written.replace(',', " ");
    let mut words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    if let Some(at) = words.iter().take(2).position(|word| month(word).is_some()) {
        let month = words.get(at).and_then(|word| month(word))?;
        // `Feb 29 2024` or `29 Feb 2024`.
        let (day, year) = (
            words.get(1 - at)?.parse::<u32>().ok()?,
            words.get(2)?.parse::<u32>().ok()?,
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
}
