//! Colours of surfaces through the year.

use super::classes::{
    BUILDING, CLOUD, FLOWER, GRASS, MOUNTAIN, ROAD, ROCK, SAND, SKY, SNOW, TREE, WATER,
};
use super::color::Rgb;
use super::noise::{smoothstep, unit};
use super::objects::Kind;
use super::scene::Scene;
use super::solids::{CHIMNEY, DOOR, LIT_WINDOW, NEEDLES, ROOF, TRUNK, WINDOW};

/// Shares of spring, summer, autumn and winter, and how much snow has fallen.
pub(super) struct Year {
    shares: [f32; 4],
    snow: f32,
}

const FRESH_SNOW: Rgb = Rgb(0.73, 0.76, 0.82);

impl Year {
    pub fn new(season: f32) -> Self {
        let shares = [0.0, 1.0, 2.0, 3.0].map(|middle: f32| {
            let away = (season - middle).abs();
            // Seasons hold for a while and change quickly.
            1.0 - smoothstep(0.2, 0.8, away.min(4.0 - away))
        });
        let total: f32 = shares[0] + shares[1] + shares[2] + shares[3];
        let shares = shares.map(|s| s / total.max(1e-6));
        Self {
            shares,
            snow: shares[3],
        }
    }

    fn pick(&self, colors: [Rgb; 4]) -> Rgb {
        colors[0] * self.shares[0]
            + colors[1] * self.shares[1]
            + colors[2] * self.shares[2]
            + colors[3] * self.shares[3]
    }

    /// Snow on a surface that is `ready` (0 never, 1 at once) to hold it.
    fn snowed(&self, color: Rgb, ready: f32) -> Rgb {
        let cover = smoothstep(0.1, 0.45, ready.min(1.2) - 1.2 * (1.0 - self.snow));
        color.mix(FRESH_SNOW, cover * 0.96)
    }

    /// Share of the incoming light that the surface of a pixel sends back.
    pub fn albedo(&self, scene: &Scene, at: usize) -> Rgb {
        let (tone, coat, part) = (scene.tone[at], scene.coat[at], scene.part[at]);
        let own = |k: i32| scene.object_at(at).map_or(0.5, |o| unit(o.seed, 11, k));
        match scene.labels[at] {
            MOUNTAIN => {
                let rock = Rgb(0.275, 0.250, 0.245).mix(Rgb(0.250, 0.215, 0.190), own(0));
                self.snowed(rock * tone, 0.95 * coat - 0.12)
            }
            SNOW => {
                FRESH_SNOW.mix(
                    Rgb(0.36, 0.34, 0.35),
                    0.75 * (1.0 - smoothstep(0.1, 0.35, coat)),
                ) * (0.6 + 0.4 * tone)
            }
            GRASS => self.grass(tone, coat),
            FLOWER => self.flower(tone, coat, part),
            TREE => self.tree(
                tone,
                coat,
                part,
                [own(1), own(2), own(3)],
                scene.object_at(at).map(|o| o.kind),
            ),
            SAND => self.snowed(Rgb(0.56, 0.45, 0.27) * tone, 0.1 + 0.5 * coat),
            ROCK => self.snowed(
                Rgb(0.31, 0.29, 0.27).mix(Rgb(0.36, 0.31, 0.26), own(1)) * tone,
                coat,
            ),
            BUILDING => self.building(tone, part, own(1), own(2)),
            ROAD => self.snowed(Rgb(0.35, 0.275, 0.20) * tone, coat + 0.1),
            // Sky, clouds and water are light, not surfaces.
            SKY | CLOUD | WATER => Rgb(0.5, 0.5, 0.5),
            _ => Rgb(0.5, 0.5, 0.5),
        }
    }

    fn grass(&self, tone: f32, coat: f32) -> Rgb {
        let lush = self.pick([
            Rgb(0.150, 0.300, 0.048),
            Rgb(0.080, 0.195, 0.034),
            Rgb(0.250, 0.205, 0.060),
            Rgb(0.230, 0.200, 0.110),
        ]);
        let dry = self.pick([
            Rgb(0.250, 0.370, 0.075),
            Rgb(0.180, 0.270, 0.060),
            Rgb(0.390, 0.275, 0.080),
            Rgb(0.330, 0.280, 0.170),
        ]);
        self.snowed(
            lush.mix(dry, smoothstep(0.4, 1.2, coat)) * tone,
            0.55 + 0.45 * coat,
        )
    }

    fn flower(&self, tone: f32, head: f32, kind: u8) -> Rgb {
        let petals = match kind {
            1 => Rgb(0.82, 0.11, 0.12),
            2 => Rgb(0.92, 0.62, 0.05),
            3 => Rgb(0.80, 0.22, 0.50),
            4 => Rgb(0.74, 0.70, 0.58),
            _ => Rgb(0.36, 0.20, 0.68),
        };
        let seen = head * (self.shares[0] + self.shares[1] + 0.35 * self.shares[2]);
        self.grass(tone, 0.7).mix(petals, seen)
    }

    fn tree(&self, tone: f32, coat: f32, part: u8, own: [f32; 3], kind: Option<Kind>) -> Rgb {
        if part == TRUNK {
            return Rgb(0.115, 0.080, 0.055) * tone;
        }
        let tint = 0.8 + 0.4 * own[1];
        if part == NEEDLES {
            let green = self.pick([
                Rgb(0.050, 0.125, 0.040),
                Rgb(0.038, 0.105, 0.034),
                Rgb(0.060, 0.100, 0.032),
                Rgb(0.045, 0.085, 0.050),
            ]);
            return self.snowed(green * (tone * tint), 0.8 * coat - 0.05);
        }
        // Some blossom white or pink, others are merely fresh.
        let spring = match own[0] {
            o if o < 0.25 => Rgb(0.80, 0.42, 0.52),
            o if o < 0.45 => Rgb(0.80, 0.74, 0.72),
            _ => Rgb(0.20, 0.36, 0.06),
        };
        let gold = Rgb(0.62, 0.36, 0.04);
        let red = Rgb(0.46, 0.10, 0.03);
        let mixed = 0.7 * own[2] + 0.3 * coat.clamp(0.0, 1.0);
        let leafy = self.pick([
            if kind == Some(Kind::Forest) {
                Rgb(0.16, 0.30, 0.06)
            } else {
                spring
            },
            Rgb(0.085, 0.190, 0.030) * tint,
            gold.mix(red, mixed),
            Rgb(0.150, 0.120, 0.105),
        ]);
        // Bare twigs under hoarfrost.
        self.snowed(leafy * tone, 0.12 + 0.5 * coat)
    }

    fn building(&self, tone: f32, part: u8, own: f32, other: f32) -> Rgb {
        match part {
            ROOF => {
                let tiles =
                    Rgb(0.42, 0.13, 0.075).mix(Rgb(0.20, 0.17, 0.17), smoothstep(0.5, 0.7, other));
                self.snowed(tiles * tone, 1.0)
            }
            WINDOW | LIT_WINDOW => Rgb(0.06, 0.075, 0.095),
            DOOR => Rgb(0.16, 0.085, 0.045) * tone,
            CHIMNEY => Rgb(0.26, 0.14, 0.10) * tone,
            _ => {
                let plaster = match own {
                    o if o < 0.55 => Rgb(0.74, 0.69, 0.60),
                    o if o < 0.8 => Rgb(0.62, 0.45, 0.25),
                    _ => Rgb(0.45, 0.12, 0.09),
                };
                plaster * tone
            }
        }
    }
}
