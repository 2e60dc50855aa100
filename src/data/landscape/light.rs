//! Light of a style: the sky, one sun (or moon) colour and one ambient colour shared by everything.

use super::color::Rgb;
use super::noise::smoothstep;
use super::style::Style;

/// Light of a whole scene.
pub(super) struct Light {
    pub zenith: Rgb,
    pub middle: Rgb,
    pub low: Rgb,
    pub sun: Rgb,
    pub ambient: Rgb,
    /// Colour of the glow around the sun.
    pub glow: Rgb,
    /// Unit vector to the sun or the moon: right, up, towards the viewer.
    pub to_sun: [f32; 3],
    /// Where the sun's and the moon's discs stand in the picture.
    pub sun_at: (f32, f32),
    pub moon_at: (f32, f32),
    /// 0 by day, 1 at night.
    pub night: f32,
    /// How far the lamps are turned up.
    pub lamps: f32,
    /// Share of light lost per unit of depth.
    pub extinction: f32,
    pub mist: f32,
    pub horizon: f32,
}

/// Colours of one time of day.
struct Hour {
    time: f32,
    zenith: Rgb,
    middle: Rgb,
    low: Rgb,
    sun: Rgb,
    ambient: Rgb,
    glow: Rgb,
}

const HOURS: [Hour; 7] = [
    Hour {
        time: 0.0,
        zenith: Rgb(0.012, 0.022, 0.068),
        middle: Rgb(0.022, 0.040, 0.105),
        low: Rgb(0.050, 0.075, 0.150),
        sun: Rgb(0.130, 0.165, 0.260),
        ambient: Rgb(0.050, 0.070, 0.135),
        glow: Rgb(0.0, 0.0, 0.0),
    },
    Hour {
        time: 0.1,
        zenith: Rgb(0.016, 0.032, 0.105),
        middle: Rgb(0.035, 0.065, 0.175),
        low: Rgb(0.110, 0.120, 0.220),
        sun: Rgb(0.130, 0.160, 0.260),
        ambient: Rgb(0.065, 0.090, 0.170),
        glow: Rgb(0.05, 0.03, 0.03),
    },
    Hour {
        time: 0.19,
        zenith: Rgb(0.035, 0.068, 0.215),
        middle: Rgb(0.170, 0.150, 0.300),
        low: Rgb(0.600, 0.280, 0.230),
        sun: Rgb(0.280, 0.190, 0.230),
        ambient: Rgb(0.115, 0.125, 0.215),
        glow: Rgb(0.50, 0.20, 0.08),
    },
    Hour {
        time: 0.3,
        zenith: Rgb(0.070, 0.115, 0.310),
        middle: Rgb(0.390, 0.240, 0.340),
        low: Rgb(1.000, 0.460, 0.200),
        sun: Rgb(1.450, 0.660, 0.300),
        ambient: Rgb(0.160, 0.160, 0.255),
        glow: Rgb(1.40, 0.60, 0.20),
    },
    Hour {
        time: 0.48,
        zenith: Rgb(0.120, 0.250, 0.560),
        middle: Rgb(0.410, 0.460, 0.610),
        low: Rgb(0.930, 0.690, 0.460),
        sun: Rgb(1.900, 1.250, 0.690),
        ambient: Rgb(0.300, 0.330, 0.430),
        glow: Rgb(1.05, 0.65, 0.32),
    },
    Hour {
        time: 0.72,
        zenith: Rgb(0.100, 0.275, 0.680),
        middle: Rgb(0.290, 0.500, 0.820),
        low: Rgb(0.760, 0.840, 0.890),
        sun: Rgb(2.300, 2.040, 1.660),
        ambient: Rgb(0.370, 0.440, 0.560),
        glow: Rgb(0.58, 0.53, 0.44),
    },
    Hour {
        time: 1.0,
        zenith: Rgb(0.095, 0.300, 0.760),
        middle: Rgb(0.270, 0.530, 0.900),
        low: Rgb(0.720, 0.880, 1.000),
        sun: Rgb(2.500, 2.380, 2.120),
        ambient: Rgb(0.430, 0.505, 0.620),
        glow: Rgb(0.52, 0.52, 0.50),
    },
];

/// Height of the sun's path over the horizon, at the time it sets.
const SUNSET: f32 = 0.27;

impl Light {
    pub fn new(style: &Style, horizon: f32, aspect: f32) -> Self {
        let time = style.time_of_day;
        let next = HOURS
            .iter()
            .position(|h| h.time >= time)
            .unwrap_or(HOURS.len() - 1)
            .max(1);
        let (a, b) = (&HOURS[next - 1], &HOURS[next]);
        let share = (time - a.time) / (b.time - a.time);
        let night = 1.0 - smoothstep(0.06, 0.2, time);
        let elevation = (time - SUNSET) / (1.0 - SUNSET);
        let sun_at = (
            style.sun_azimuth * 0.46 * aspect,
            horizon - 0.07 - 0.72 * elevation,
        );
        let moon_at = (
            -style.sun_azimuth * 0.36 * aspect - 0.06,
            0.13 + 0.1 * horizon,
        );
        let day_dir = [
            style.sun_azimuth * 0.95,
            0.22 + 0.85 * elevation.max(0.0),
            0.28 + 0.3 * elevation.max(0.0),
        ];
        let moon_dir = [-style.sun_azimuth * 0.8, 0.65, 0.5];
        let dir = [0, 1, 2].map(|i| day_dir[i] * (1.0 - night) + moon_dir[i] * night);
        let length = (dir[0] * dir[0] + dir[1] * dir[1] + dir[2] * dir[2]).sqrt();
        let overcast = 1.0 - 0.45 * style.haze * style.haze;
        Self {
            zenith: a.zenith.mix(b.zenith, share),
            middle: a.middle.mix(b.middle, share),
            low: a.low.mix(b.low, share),
            sun: a.sun.mix(b.sun, share) * overcast,
            ambient: a.ambient.mix(b.ambient, share) * (1.0 + 0.35 * (1.0 - overcast)),
            glow: a.glow.mix(b.glow, share),
            to_sun: dir.map(|d| d / length),
            sun_at,
            moon_at,
            night,
            lamps: 1.0 - smoothstep(0.16, 0.36, time),
            extinction: 0.0005 + 0.0046 * style.haze * style.haze + 0.0014 * style.haze,
            mist: style.haze,
            horizon,
        }
    }

    /// Clear sky at a point of the picture; also good above its upper edge, for mirrors.
    pub fn sky(&self, x: f32, y: f32) -> Rgb {
        let (dx, dy) = (x - self.sun_at.0, y - self.sun_at.1);
        let tight = 1.0 / (1.0 + 130.0 * (dx * dx + 1.6 * dy * dy));
        self.air(x, y) + self.glow * (0.5 * tight * tight)
    }

    /// Sky without the glare close to the sun: the colour of distance.
    fn air(&self, x: f32, y: f32) -> Rgb {
        let rise = ((self.horizon - y) / 0.55).max(0.0);
        let first = smoothstep(0.0, 0.45, rise);
        let second = smoothstep(0.2, 1.15, rise);
        let haze = 0.5 * self.mist * self.mist * self.mist * (1.0 - 0.5 * second);
        let clear = self.low.mix(self.middle, first).mix(self.zenith, second);
        let (dx, dy) = (x - self.sun_at.0, y - self.sun_at.1);
        let square = dx * dx + 1.6 * dy * dy;
        let wide = 1.0 / (1.0 + 9.0 * square);
        clear.mix(self.low * 0.92, haze) + self.glow * (0.28 * wide * wide)
    }

    /// Discs and stars, seen only where nothing stands before them.
    pub fn discs(&self, x: f32, y: f32, pixel: f32) -> Rgb {
        let distance = |at: (f32, f32)| ((x - at.0) * (x - at.0) + (y - at.1) * (y - at.1)).sqrt();
        let sun = 1.0 - smoothstep(0.021 - pixel, 0.024 + pixel, distance(self.sun_at));
        let mut shine =
            self.glow * (sun * 5.0 * (1.0 - self.night)) + self.sun * (sun * (1.0 - self.night));
        if self.night > 0.0 {
            let at = distance(self.moon_at);
            let shadow = distance((self.moon_at.0 + 0.011, self.moon_at.1 - 0.006));
            let moon = (1.0 - smoothstep(0.021 - pixel, 0.021 + pixel, at))
                * smoothstep(0.017, 0.021, shadow);
            let halo = 1.0 / (1.0 + 220.0 * at * at);
            shine = shine
                + Rgb(0.95, 0.95, 0.85) * (moon * self.night)
                + Rgb(0.10, 0.12, 0.18) * (halo * self.night);
        }
        shine
    }

    /// Light on a surface that faces `normal`; `sunlit` is 0 in a shadow.
    pub fn on(&self, normal: [f32; 3], sunlit: f32) -> Rgb {
        let facing: f32 =
            normal[0] * self.to_sun[0] + normal[1] * self.to_sun[1] + normal[2] * self.to_sun[2];
        let sky_seen = 0.68 + 0.32 * normal[1];
        self.ambient * sky_seen + self.sun * (facing.max(0.0) * sunlit)
    }

    /// What the air between the viewer and a point does to its colour. `rise` is the height over the horizon.
    pub fn through_air(&self, color: Rgb, depth: f32, x: f32, rise: f32) -> Rgb {
        // Mist lies low: the feet of mountains drown first.
        let valley = 1.0 + 1.7 * (0.15 + self.mist) / (1.0 + 90.0 * rise.max(0.0) * rise.max(0.0));
        let lost = 1.0 - libm::expf(-depth * self.extinction * valley);
        let air = self.air(x, self.horizon - 0.1) * 0.62 + self.middle * 0.33;
        color.mix(air, lost.min(0.9))
    }
}
