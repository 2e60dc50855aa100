//! From a scene and a style to a picture.
//!
//! Everything but water is shaded first; water then mirrors what it can see of that; the finish turns light into
//! bytes. All arithmetic is in a fixed order on one thread: the same scene and style give the same bytes anywhere.

use super::classes::{BUILDING, CLOUD, SKY, SNOW, WATER, is_ground};
use super::color::Rgb;
use super::light::Light;
use super::materials::Year;
use super::noise::{hash, smoothstep, unit};
use super::objects::Kind;
use super::scene::Scene;
use super::solids::LIT_WINDOW;
use super::style::Style;
use super::{finish, mirror};

/// The scene in that style: RGB bytes, row by row. Numbers outside a style's ranges are clamped.
pub fn render(scene: &Scene, style: &Style) -> Vec<u8> {
    let style = style.clamped();
    let light = Light::new(&style, scene.horizon, scene.aspect());
    let mut picture = shade(scene, &style, &light);
    mirror::water(scene, &light, &mut picture);
    finish::develop(scene, &style, &light, &picture)
}

fn shade(scene: &Scene, style: &Style, light: &Light) -> Vec<Rgb> {
    let year = Year::new(style.season);
    let sunlit = shadows(scene, light);
    let mut picture = vec![Rgb::default(); scene.labels.len()];
    for row in 0..scene.height {
        let y = scene.y(row);
        for column in 0..scene.width {
            let at = row * scene.width + column;
            let x = scene.x(column);
            picture[at] = match scene.labels[at] {
                SKY | CLOUD => sky(scene, style, light, at, x, y),
                WATER => continue,
                class => {
                    let lit = year.albedo(scene, at) * light.on(scene.normals[at], sunlit[at]);
                    let lit = if class == BUILDING {
                        lit + lamp(scene, light, at)
                    } else {
                        lit
                    };
                    light.through_air(lit, scene.depth[at], x, scene.horizon - y)
                }
            };
        }
    }
    picture
}

fn lamp(scene: &Scene, light: &Light, at: usize) -> Rgb {
    if scene.part[at] == LIT_WINDOW {
        Rgb(2.1, 1.15, 0.36) * light.lamps
    } else {
        Rgb::default()
    }
}

fn sky(scene: &Scene, style: &Style, light: &Light, at: usize, x: f32, y: f32) -> Rgb {
    let clear = light.sky(x, y);
    let thick = scene.coat[at];
    let stars = if light.night > 0.0 {
        star(scene, light, x, y)
    } else {
        0.0
    };
    let open = clear
        + (light.discs(x, y, scene.pixel()) + Rgb(0.8, 0.85, 1.0) * stars) * (1.0 - thick).max(0.0);
    if thick <= 0.0 {
        return open;
    }
    let warm = style.cloud_warmth;
    let tint = Rgb(
        1.0 + 0.13 * warm,
        1.0 - 0.02 * warm.abs(),
        1.0 - 0.13 * warm,
    );
    let normal = scene.normals[at];
    let facing =
        normal[0] * light.to_sun[0] + normal[1] * light.to_sun[1] + normal[2] * light.to_sun[2];
    // Light scatters through a cloud: no side of it is black.
    let scattered = 0.14 + 0.42 * smoothstep(-0.35, 0.9, facing);
    let (dx, dy) = (x - light.sun_at.0, y - light.sun_at.1);
    let near_sun = 1.0 / (1.0 + 14.0 * (dx * dx + dy * dy));
    let lining = light.glow * (near_sun * (1.15 - thick).max(0.0) * 0.9);
    let belly = light.ambient.mix(light.middle, 0.4) * (0.62 + 0.3 * normal[1]);
    let lit = (light.sun * scattered + belly) * tint * (0.72 + 0.28 * scene.tone[at]) + lining;
    // Distant clouds sink into the haze.
    let far = 1.0 - smoothstep(0.0, 0.2, light.horizon - y);
    let lit = lit.mix(clear, far * (0.35 + 0.4 * light.mist));
    open.mix(lit, thick)
}

/// Stars: few cells of the sky hold one. Brightness follows resolution so that they stay points.
fn star(scene: &Scene, light: &Light, x: f32, y: f32) -> f32 {
    let cells = 90.0;
    let (cx, cy) = (
        super::noise::floor(x * cells),
        super::noise::floor(y * cells),
    );
    let bits = hash(scene.seed ^ 0x57a2, cx, cy);
    if bits % 100 >= 9 {
        return 0.0;
    }
    let at = |shift: u32| 0.25 + 0.5 * (bits >> shift & 255) as f32 / 255.0;
    let (dx, dy) = (
        x * cells - cx as f32 - at(8),
        y * cells - cy as f32 - at(16),
    );
    let radius = (0.11_f32).max(0.55 * scene.pixel() * cells);
    let point = (1.0 - (dx * dx + dy * dy) / (radius * radius)).max(0.0);
    let bright = unit(scene.seed ^ 0x57a3, cx, cy);
    let high = smoothstep(0.0, 0.3, light.horizon - y);
    point * (0.12 + 0.88 * bright * bright * bright) * high * light.night
}

/// How much of the sun each pixel sees: things throw soft shadows on the ground beside them.
fn shadows(scene: &Scene, light: &Light) -> Vec<f32> {
    let mut sunlit = vec![1.0_f32; scene.labels.len()];
    for object in &scene.objects {
        if matches!(object.kind, Kind::Ridge | Kind::Forest) {
            continue;
        }
        let [x0, y0, x1, foot] = object.bounds;
        let (half, tall) = (0.5 * (x1 - x0), foot - y0);
        // A low sun throws long shadows, away from itself and towards the viewer.
        let reach = (tall * 0.55 / light.to_sun[1].max(0.3)).min(1.6 * tall);
        let lean = -light.to_sun[0] * reach;
        let flat = (0.22 * half).max(0.1 * tall);
        let (left, right) = (x0.min(x0 + lean) - half, x1.max(x1 + lean) + half);
        let edge = 0.5 * scene.aspect();
        if right < -edge || left > edge {
            continue;
        }
        let rows = scene.row((foot - 2.0 * flat).max(0.0))..=scene.row(foot + 2.5 * flat);
        for row in rows {
            for column in scene.column(left.max(-edge))..=scene.column(right) {
                let at = row * scene.width + column;
                let on_ground = is_ground(scene.labels[at]) || scene.labels[at] == SNOW;
                if on_ground && scene.instances[at] < super::scene::FIRST_OBJECT {
                    let (dx, dy) = (scene.x(column) - 0.5 * (x0 + x1), scene.y(row) - foot);
                    let shade =
                        0.75 * blob(
                            dx - 0.5 * lean,
                            dy - 0.1 * flat,
                            half + 0.5 * lean.abs(),
                            flat,
                        ) + 0.25 * blob(dx, dy, half * 0.8, flat * 0.7);
                    sunlit[at] = sunlit[at].min(1.0 - 0.85 * shade.min(1.0));
                }
            }
        }
    }
    sunlit
}

/// 1 in the middle of an ellipse, 0 outside it.
fn blob(dx: f32, dy: f32, half_width: f32, half_height: f32) -> f32 {
    let (u, v) = (dx / half_width.max(1e-6), dy / half_height.max(1e-6));
    smoothstep(1.0, 0.35, u * u + v * v)
}
