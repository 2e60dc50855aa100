//! Integer hashing, a small random generator and gradient noise: the same bytes on every machine.
//!
//! Nothing here depends on a platform's mathematics library: hashes are wrapping integer arithmetic, and noise is
//! sums and products in a fixed order.

/// Mixes two lattice coordinates and a seed into 32 well-spread bits.
pub(super) fn hash(seed: u32, x: i32, y: i32) -> u32 {
    let mut h = seed ^ (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^= h >> 12;
    h = h.wrapping_mul(0x297a_2d39);
    h ^ (h >> 15)
}

/// The hash as a number in [0, 1).
pub(super) fn unit(seed: u32, x: i32, y: i32) -> f32 {
    (hash(seed, x, y) >> 8) as f32 / 16_777_216.0
}

/// Mixes 64 bits (the finaliser of SplitMix64), to derive independent seeds from one.
pub(super) fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// SplitMix64: a counter through [`mix64`]. Order of draws is part of a scene's definition.
pub(super) struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix64(self.0) >> 32) as u32
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / 16_777_216.0
    }

    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// In [0, n).
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }
}

/// Largest integer not above `x`; `as` truncates towards zero and is exact in our range.
pub(super) fn floor(x: f32) -> i32 {
    let i = x as i32;
    if i as f32 > x { i - 1 } else { i }
}

/// Part of `x` after [`floor`].
pub(super) fn fract(x: f32) -> f32 {
    x - floor(x) as f32
}

/// 0 below `low`, 1 above `high`, a cubic between.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Sixteen unit vectors, 22.5 degrees apart.
const DIRECTIONS: [(f32, f32); 16] = {
    const A: f32 = 0.923_879_5;
    const B: f32 = 0.707_106_77;
    const C: f32 = 0.382_683_43;
    [
        (1.0, 0.0),
        (A, C),
        (B, B),
        (C, A),
        (0.0, 1.0),
        (-C, A),
        (-B, B),
        (-A, C),
        (-1.0, 0.0),
        (-A, -C),
        (-B, -B),
        (-C, -A),
        (0.0, -1.0),
        (C, -A),
        (B, -B),
        (A, -C),
    ]
};

/// The direction of a lattice point: half the work of [`hash`], of which only four bits are wanted.
fn direction(seed: u32, x: i32, y: i32) -> (f32, f32) {
    let h = (seed ^ (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77))
        .wrapping_mul(0x2c1b_3c6d);
    DIRECTIONS[((h ^ (h >> 15)).wrapping_mul(0x297a_2d39) >> 28) as usize]
}

/// [`gradient`] with its slopes along x and y.
fn gradient_slopes(seed: u32, x: f32, y: f32) -> [f32; 3] {
    let (ix, iy) = (floor(x), floor(y));
    let (fx, fy) = (x - ix as f32, y - iy as f32);
    let corner = |cx: i32, cy: i32| {
        let (gx, gy) = direction(seed, ix.wrapping_add(cx), iy.wrapping_add(cy));
        [gx * (fx - cx as f32) + gy * (fy - cy as f32), gx, gy]
    };
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let speed = |t: f32| 30.0 * t * t * (t - 1.0) * (t - 1.0);
    let (u, v) = (fade(fx), fade(fy));
    let (a, b, c, d) = (corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1));
    let mix =
        |i: usize| (a[i] * (1.0 - u) + b[i] * u) * (1.0 - v) + (c[i] * (1.0 - u) + d[i] * u) * v;
    let across = speed(fx) * ((b[0] - a[0]) * (1.0 - v) + (d[0] - c[0]) * v);
    let along = speed(fy) * ((c[0] - a[0]) * (1.0 - u) + (d[0] - b[0]) * u);
    [
        mix(0) * 1.5,
        (mix(1) + across) * 1.5,
        (mix(2) + along) * 1.5,
    ]
}

/// Gradient noise with a quintic fade, roughly in [-1, 1], zero at lattice points.
pub(super) fn gradient(seed: u32, x: f32, y: f32) -> f32 {
    let (ix, iy) = (floor(x), floor(y));
    let (fx, fy) = (x - ix as f32, y - iy as f32);
    let corner = |cx: i32, cy: i32| {
        let (gx, gy) = direction(seed, ix.wrapping_add(cx), iy.wrapping_add(cy));
        gx * (fx - cx as f32) + gy * (fy - cy as f32)
    };
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (u, v) = (fade(fx), fade(fy));
    let top = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
    let bottom = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
    (top * (1.0 - v) + bottom * v) * 1.5
}

/// Weight of an octave whose wavelength approaches the size of a pixel: it fades before it can alias.
fn octave_weight(frequency: f32, footprint: f32) -> f32 {
    1.0 - smoothstep(0.25, 0.6, frequency * footprint)
}

/// How octaves of gradient noise are shaped before they are summed.
#[derive(Clone, Copy)]
pub(super) enum Crease {
    /// Not at all: rolling ground.
    None,
    /// Zero crossings become crests: mountains.
    Crests,
    /// Zero crossings become valleys: cauliflower.
    Valleys,
}

/// Octaves of gradient noise, each half as strong and about twice as fine; `footprint` is a pixel in units of `x`.
pub(super) fn fbm(seed: u32, x: f32, y: f32, octaves: u32, footprint: f32) -> f32 {
    octave_sum(Crease::None, seed, x, y, octaves, footprint)
}

/// Octaves with crests, roughly in [-1, 1].
pub(super) fn ridged(seed: u32, x: f32, y: f32, octaves: u32, footprint: f32) -> f32 {
    octave_sum(Crease::Crests, seed, x, y, octaves, footprint)
}

/// Octaves with valleys, roughly in [-1, 1].
pub(super) fn billow(seed: u32, x: f32, y: f32, octaves: u32, footprint: f32) -> f32 {
    octave_sum(Crease::Valleys, seed, x, y, octaves, footprint)
}

/// Calls `add` with strength, seed, frequency and shift of every octave that the footprint leaves.
fn octaves(seed: u32, count: u32, footprint: f32, mut add: impl FnMut(f32, u32, f32, f32)) {
    let (mut strength, mut frequency) = (0.55, 1.0);
    for octave in 0..count {
        let weight = octave_weight(frequency, footprint);
        if weight <= 0.0 {
            break;
        }
        add(
            strength * weight,
            seed.wrapping_add(octave * 101),
            frequency,
            octave as f32 * 17.13,
        );
        strength *= 0.5;
        // Not 2: lattice lines of the octaves must not coincide.
        frequency *= 2.03;
    }
}

fn octave_sum(crease: Crease, seed: u32, x: f32, y: f32, count: u32, footprint: f32) -> f32 {
    let mut sum = 0.0;
    octaves(
        seed,
        count,
        footprint,
        |strength, seed, frequency, shift| {
            let n = gradient(seed, x * frequency + shift, y * frequency - shift);
            sum += strength
                * match crease {
                    Crease::None => n,
                    Crease::Crests => 1.0 - 2.6 * n.abs(),
                    Crease::Valleys => 2.6 * n.abs() - 1.0,
                };
        },
    );
    sum
}

/// Octaves of noise with the slopes of their sum along x and y: value, d/dx, d/dy.
pub(super) fn slopes(
    crease: Crease,
    seed: u32,
    x: f32,
    y: f32,
    count: u32,
    footprint: f32,
) -> [f32; 3] {
    let mut sum = [0.0; 3];
    octaves(
        seed,
        count,
        footprint,
        |strength, seed, frequency, shift| {
            let [n, dx, dy] = gradient_slopes(seed, x * frequency + shift, y * frequency - shift);
            let (value, steep) = match (crease, n < 0.0) {
                (Crease::None, _) => (n, 1.0),
                (Crease::Crests, false) => (1.0 - 2.6 * n, -2.6),
                (Crease::Crests, true) => (1.0 + 2.6 * n, 2.6),
                (Crease::Valleys, false) => (2.6 * n - 1.0, 2.6),
                (Crease::Valleys, true) => (-2.6 * n - 1.0, -2.6),
            };
            sum[0] += strength * value;
            sum[1] += strength * steep * frequency * dx;
            sum[2] += strength * steep * frequency * dy;
        },
    );
    sum
}

/// The jittered lattice point nearest to (x, y): its distance, and bits that are the cell's own.
pub(super) fn nearest_point(seed: u32, x: f32, y: f32) -> (f32, u32) {
    let (ix, iy) = (floor(x), floor(y));
    let mut best = (9.0_f32, 0);
    for cy in -1..=1 {
        for cx in -1..=1 {
            let (px, py) = (ix.wrapping_add(cx), iy.wrapping_add(cy));
            let bits = hash(seed, px, py);
            let dx = px as f32 + 0.15 + 0.7 * (bits & 1023) as f32 / 1023.0 - x;
            let dy = py as f32 + 0.15 + 0.7 * (bits >> 10 & 1023) as f32 / 1023.0 - y;
            let square = dx * dx + dy * dy;
            if square < best.0 {
                best = (square, bits >> 20);
            }
        }
    }
    (best.0.sqrt(), best.1)
}
