//! Words the hospital's texts are made of.

pub(crate) const FIRST_NAMES: &[&str] = &[
    "Ada", "Bela", "Carmen", "Dario", "Elif", "Farid", "Greta", "Hanna", "Ivo", "Jana", "Kofi", "Lena", "Marek",
    "Noor", "Oskar", "Petra", "Quinn", "Rosa", "Samir", "Tessa", "Uma", "Viktor", "Wanda", "Ximena", "Yusuf", "Zoë",
];

pub(crate) const LAST_NAMES: &[&str] = &[
    "Almeida",
    "Berger",
    "Castillo",
    "Dvořák",
    "Eriksen",
    "Fischer",
    "Gupta",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nguyen",
    "O'Brien",
    "Petrov",
    "Quist",
    "Rossi",
    "Sato",
    "Takahashi",
    "Ueda",
    "Vargas",
    "Weber",
];

pub(crate) const STREETS: &[&str] = &[
    "Harbour Road",
    "Mill Lane",
    "Station Street",
    "Elm Avenue",
    "Quay \"Old\" Side",
    "Hill\\Top Way",
];

pub(crate) const WORDS: &[&str] = &[
    "patient",
    "reports",
    "mild",
    "pain",
    "after",
    "exercise",
    "follow",
    "up",
    "in",
    "two",
    "weeks",
    "stable",
    "blood",
    "pressure",
    "improved",
    "no",
    "fever",
    "advised",
    "rest",
    "medication",
    "tolerated",
    "well",
    "naïve",
    "recheck",
    "lungs",
    "clear",
    "referred",
    "to",
    "cardiology",
    "diet",
    "discussed",
    "sleep",
    "reduced",
    "swelling",
    "of",
    "left",
    "knee",
];

/// Medications with what they are for.
pub(crate) const MEDICATIONS: &[&str] = &[
    "Metformin",
    "Lisinopril",
    "Atorvastatin",
    "Albuterol",
    "Sertraline",
    "Amlodipine",
    "Levothyroxine",
    "Omeprazole",
];

/// ICD-10 code, condition, chronic.
pub(crate) const CONDITIONS: &[(&str, &str, bool)] = &[
    ("E11.9", "Type 2 diabetes", true),
    ("I10", "Hypertension", true),
    ("J45.909", "Asthma", true),
    ("F32.1", "Depression", true),
    ("M17.0", "Osteoarthritis of knee", true),
    ("J06.9", "Upper respiratory infection", false),
    ("S93.4", "Ankle sprain", false),
    ("R51", "Headache", false),
];

/// Insurers.
pub(crate) const PAYERS: &[&str] = &[
    "Northwind Health",
    "Bluewater Mutual",
    "Civic Care",
    "Harvest Plan",
    "Unity Benefit",
];
