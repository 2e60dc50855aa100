//! Which method each convolution is done by: what a rule or a measurement decided, by all that the decision depends on.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is computed of a convolution of 3x3 filters with stride 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// Its result, by filters that never change, so that they are transformed once.
    Drawing,
    /// Its result, by filters that learn, so that they are transformed each time.
    Forward,
    /// The gradient of what it reads.
    InputGrad,
    /// The gradient of its filters.
    WeightGrad,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pass::Drawing => "drawing",
            Pass::Forward => "forward",
            Pass::InputGrad => "input's gradient",
            Pass::WeightGrad => "filters' gradient",
        })
    }
}

/// A convolution of 3x3 filters with stride 1, as far as its method depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Convolution {
    /// What is computed of it.
    pub pass: Pass,
    /// Samples, height and width of the map that is computed; of filters' gradients that of the convolution's result.
    pub map: [usize; 3],
    /// Channels that are read, and channels that are computed.
    pub channels: [usize; 2],
}

impl Convolution {
    /// Pixels of the map.
    pub fn pixels(&self) -> usize {
        self.map.iter().product()
    }
}

impl fmt::Display for Convolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([n, h, w], [from, to]) = (self.map, self.channels);
        write!(f, "{}, {n}x{h}x{w}, {from} to {to} channels", self.pass)
    }
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// As it stands.
    Plain,
    /// In tiles of 2x2 results.
    TilesOfTwo,
    /// In tiles of 4x4 results.
    TilesOfFour,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 3] = [Method::Plain, Method::TilesOfTwo, Method::TilesOfFour];

    /// Results a side of its tiles; none of the plain method.
    pub fn tile(self) -> Option<usize> {
        match self {
            Method::Plain => None,
            Method::TilesOfTwo => Some(2),
            Method::TilesOfFour => Some(4),
        }
    }

    /// That of tiles of so many results a side.
    pub(super) fn of_tile(tile: usize) -> Self {
        match tile {
            2 => Method::TilesOfTwo,
            4 => Method::TilesOfFour,
            other => panic!("tiles are of two or four results a side, not {other}"),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Method::Plain => "plain",
            Method::TilesOfTwo => "tiles of two",
            Method::TilesOfFour => "tiles of four",
        })
    }
}

/// The methods of some convolutions. In files it is a list, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Choices(BTreeMap<Convolution, Method>);

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    convolution: Convolution,
    method: Method,
}

impl From<Vec<Entry>> for Choices {
    fn from(entries: Vec<Entry>) -> Self {
        let pairs = entries.into_iter();
        pairs
            .map(|entry| (entry.convolution, entry.method))
            .collect()
    }
}

impl From<Choices> for Vec<Entry> {
    fn from(choices: Choices) -> Self {
        let pairs = choices.0.into_iter();
        let entry = |(convolution, method)| Entry {
            convolution,
            method,
        };
        pairs.map(entry).collect()
    }
}

impl FromIterator<(Convolution, Method)> for Choices {
    fn from_iter<T: IntoIterator<Item = (Convolution, Method)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Extend<(Convolution, Method)> for Choices {
    fn extend<T: IntoIterator<Item = (Convolution, Method)>>(&mut self, pairs: T) {
        self.0.extend(pairs);
    }
}

impl Choices {
    /// The method of a convolution, if it has one here.
    pub fn get(&self, convolution: &Convolution) -> Option<Method> {
        self.0.get(convolution).copied()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Convolution, Method)> {
        self.0
            .iter()
            .map(|(&convolution, &method)| (convolution, method))
    }

    /// How many convolutions have a method here.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many convolutions of both have another method in the other.
    pub fn differing(&self, other: &Self) -> usize {
        let differs = |(convolution, method): &(Convolution, Method)| {
            other.get(convolution).is_some_and(|there| there != *method)
        };
        self.iter().filter(differs).count()
    }
}

/// How many of them each method has: `12 plain, 3 tiles of four`.
impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Method::ALL.map(|method| {
            let count = self.0.values().filter(|&&own| own == method).count();
            (count > 0).then(|| format!("{count} {method}"))
        });
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        match counts.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&counts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convolution(pass: Pass, side: usize) -> Convolution {
        Convolution {
            pass,
            map: [1, side, side],
            channels: [64, 128],
        }
    }

    #[test]
    fn choices_are_read_as_they_were_written() {
        let passes = [
            Pass::Drawing,
            Pass::Forward,
            Pass::InputGrad,
            Pass::WeightGrad,
        ];
        let methods = Method::ALL.into_iter().cycle();
        let pairs = passes.map(|pass| convolution(pass, 32)).into_iter();
        let choices: Choices = pairs.zip(methods).collect();
        let text = serde_json::to_string(&choices).unwrap();
        assert!(
            text.starts_with(
                r#"[{"pass":"drawing","map":[1,32,32],"channels":[64,128],"method":"plain"}"#
            ),
            "{text}"
        );
        let read: Choices = serde_json::from_str(&text).unwrap();
        assert_eq!(read, choices);
        assert_eq!(read.len(), 4);
        assert_eq!(
            choices.to_string(),
            "2 plain, 1 tiles of two, 1 tiles of four"
        );
        assert_eq!(Choices::default().to_string(), "none");
        let unknown = text.replace("plain", "tiles-of-nine");
        assert!(serde_json::from_str::<Choices>(&unknown).is_err());
    }

    #[test]
    fn what_both_have_may_differ() {
        let pair = |side, method| (convolution(Pass::Forward, side), method);
        let one: Choices = [pair(8, Method::Plain), pair(16, Method::TilesOfTwo)]
            .into_iter()
            .collect();
        let other: Choices = [pair(8, Method::TilesOfTwo), pair(32, Method::Plain)]
            .into_iter()
            .collect();
        assert_eq!(one.differing(&other), 1);
        assert_eq!(one.differing(&one), 0);
    }
}
