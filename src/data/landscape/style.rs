//! Style: the few numbers of a picture that its label map does not reveal.

use super::noise::Rng;

/// Everything about a picture that its layout does not say. All numbers may vary freely within their ranges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// 0 is midnight, 0.15 the blue hour, 0.3 sunset, 0.5 a golden afternoon, 1 noon. The picture brightens all the way.
    pub time_of_day: f32,
    /// Where the sun stands: -1 at the left edge, 0 straight ahead, 1 at the right edge.
    pub sun_azimuth: f32,
    /// The year as a circle of length 4: 0 spring (blossom), 1 summer, 2 autumn, 3 winter (snow), 4 spring again.
    pub season: f32,
    /// 0 is clear air, 1 a misty day.
    pub haze: f32,
    /// Tint of the clouds: -1 steel blue, 0 neutral, 1 rose.
    pub cloud_warmth: f32,
    /// Grade of the finished picture: -1 cool and teal, 0 neutral, 1 warm and faded.
    pub grade: f32,
}

impl Style {
    /// A style drawn from the whole range: about a sixth nights, a fifth dusks, the rest by day.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5354_594c_4500_0001);
        let kind = rng.unit();
        let time_of_day = match kind {
            k if k < 0.15 => rng.range(0.0, 0.12),
            k if k < 0.36 => rng.range(0.12, 0.38),
            k if k < 0.62 => rng.range(0.38, 0.65),
            _ => rng.range(0.65, 1.0),
        };
        Self {
            time_of_day,
            sun_azimuth: rng.range(-0.95, 0.95),
            season: rng.range(0.0, 4.0),
            haze: {
                let h = rng.unit();
                0.08 + 0.92 * h * h
            },
            cloud_warmth: rng.range(-1.0, 1.0),
            grade: rng.range(-1.0, 1.0),
        }
    }

    /// The styles with names, for sheets and menus.
    pub const NAMED: [(&'static str, Self); 8] = [
        ("noon", Self::new(0.95, -0.35, 1.0, 0.2, 0.0, 0.0)),
        ("golden", Self::new(0.48, 0.6, 1.3, 0.35, 0.4, 0.3)),
        ("dusk", Self::new(0.32, 0.3, 1.0, 0.3, 0.5, 0.1)),
        ("night", Self::new(0.03, -0.4, 1.0, 0.25, 0.0, -0.2)),
        ("spring", Self::new(0.8, 0.5, 0.0, 0.25, 0.2, 0.1)),
        ("autumn", Self::new(0.62, -0.6, 2.0, 0.45, 0.3, 0.4)),
        ("winter", Self::new(0.7, 0.45, 3.0, 0.35, -0.4, -0.4)),
        ("mist", Self::new(0.55, -0.2, 1.6, 1.0, 0.1, -0.1)),
    ];

    /// The style of that name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, style)| *style)
    }

    const fn new(
        time_of_day: f32,
        sun_azimuth: f32,
        season: f32,
        haze: f32,
        cloud_warmth: f32,
        grade: f32,
    ) -> Self {
        Self {
            time_of_day,
            sun_azimuth,
            season,
            haze,
            cloud_warmth,
            grade,
        }
    }

    /// The same style with every number inside its range; a number that is not finite becomes the neutral one.
    pub fn clamped(self) -> Self {
        let fit = |x: f32, low: f32, high: f32, neutral: f32| {
            if x.is_finite() {
                x.clamp(low, high)
            } else {
                neutral
            }
        };
        let year = fit(self.season, -1e4, 1e4, 1.0) / 4.0;
        Self {
            time_of_day: fit(self.time_of_day, 0.0, 1.0, 1.0),
            sun_azimuth: fit(self.sun_azimuth, -1.0, 1.0, 0.0),
            season: 4.0 * super::noise::fract(year),
            haze: fit(self.haze, 0.0, 1.0, 0.2),
            cloud_warmth: fit(self.cloud_warmth, -1.0, 1.0, 0.0),
            grade: fit(self.grade, -1.0, 1.0, 0.0),
        }
    }
}
