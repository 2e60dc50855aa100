//! Amounts of memory as options have them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of memory: `6GiB`, `1500MiB`, `1.5 GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

/// Units and their bytes, the largest first where one goes into another evenly.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = text.split_at(number_end.unwrap_or(text.len()));
        let unit = unit.trim();
        let known = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let bytes = known.zip(number.parse::<f64>().ok());
        let bytes = bytes.map(|((_, unit), number)| (number * *unit as f64).floor());
        match bytes {
            // Whole numbers of bytes beyond are no longer exact, and no memory is that large.
            Some(bytes) if bytes < (1_u64 << 53) as f64 => Ok(Self(bytes as u64)),
            _ => Err(format!(
                "`{text}` is no amount of memory: a number and a unit are, such as 6GiB, 1500MiB or 800MB"
            )),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, unit): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(fits).unwrap_or(&UNITS[8]);
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl TryFrom<String> for Bytes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        for (text, bytes, written) in [
            ("6GiB", 6 << 30, "6GiB"),
            ("1500MiB", 1500 << 20, "1500MiB"),
            ("1.5 GB", 1_500_000_000, "1500MB"),
            ("0.5gib", 1 << 29, "512MiB"),
            ("1000 b", 1000, "1KB"),
            ("1025B", 1025, "1025B"),
            ("0MB", 0, "0B"),
        ] {
            let read: Bytes = text.parse().unwrap();
            assert_eq!((read.0, read.to_string().as_str()), (bytes, written));
            assert_eq!(written.parse(), Ok(read));
        }
        for text in [
            "",
            "6",
            "GiB",
            "6G",
            "-1GiB",
            "1e3MiB",
            "1.2.3MB",
            "99999999TiB",
        ] {
            let error = text.parse::<Bytes>().unwrap_err();
            assert!(error.contains("6GiB"), "{text}: {error}");
        }
    }
}
