//! Scenes are the same bytes everywhere, cover all classes, and obey light.

use super::*;

fn brightness(rgb: &[u8]) -> f64 {
    rgb.iter().map(|&b| f64::from(b)).sum::<f64>() / rgb.len() as f64
}

#[test]
fn same_seed_same_bytes() {
    assert_eq!(pair(3, 5, 40, 32).unwrap(), pair(3, 5, 40, 32).unwrap());
    assert_ne!(
        pair(3, 5, 40, 32).unwrap().rgb,
        pair(3, 6, 40, 32).unwrap().rgb
    );
    assert_ne!(
        pair(3, 5, 40, 32).unwrap().rgb,
        pair(4, 5, 40, 32).unwrap().rgb
    );
}

/// FNV-1a over 64 bits.
fn digest(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Digests of labels, instances and picture. They change only when the scenes are changed on purpose; a difference
/// between machines or optimisation levels is a mistake.
#[test]
fn scenes_are_the_same_bytes_everywhere() {
    for (index, width, height, expected) in [
        (
            0,
            64,
            64,
            [
                0xa69d_cabd_2032_34e9,
                0x770c_4d64_a7f8_9357,
                0x5444_b6f1_6230_11ff,
            ],
        ),
        (
            3,
            37,
            53,
            [
                0xc748_7674_3ded_be43,
                0xe47d_f4ae_c46b_9b2e,
                0xe284_02ff_7e30_68fe,
            ],
        ),
        (
            4,
            96,
            48,
            [
                0x2030_114d_909f_268e,
                0x0b29_9db1_1a8b_6291,
                0xc296_d8b4_47a3_7f30,
            ],
        ),
    ] {
        let sample = pair(1, index, width, height).unwrap();
        let instances = sample.instances.iter().flat_map(|i| i.to_le_bytes());
        let got = [
            digest(sample.labels.iter().copied()),
            digest(instances),
            digest(sample.rgb),
        ];
        assert_eq!(
            got, expected,
            "sample {index} at {width}x{height}: {got:#018x?}"
        );
    }
}

#[test]
fn every_class_occurs_and_nothing_else() {
    let mut seen = [0_usize; CLASSES.len()];
    for seed in 0..40 {
        let scene = layout(seed, 64, 64).unwrap();
        assert!(scene.instances.iter().all(|&i| i < 256));
        for (label, instance) in scene.labels.iter().zip(&scene.instances) {
            seen[usize::from(*label)] += 1;
            if *instance < FIRST_OBJECT {
                assert_eq!(*instance, u16::from(*label), "seed {seed}");
            } else {
                assert!(usize::from(instance - FIRST_OBJECT) < scene.objects.len());
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}

#[test]
fn one_layout_in_six_is_painted() {
    let painted = (0..600).filter(|&seed| is_brush_like(seed)).count();
    assert!((70..130).contains(&painted), "{painted}");
}

#[test]
fn odd_sizes_work_and_absurd_ones_are_refused() {
    for (width, height) in [(1, 1), (37, 53), (200, 3), (2, 90)] {
        for seed in 0..6 {
            let scene = layout(seed, width, height).unwrap();
            assert_eq!(
                render(&scene, &Style::from_seed(seed)).len(),
                3 * width * height
            );
            assert!(scene.depth.iter().all(|d| d.is_finite() && *d > 0.0));
            assert!(scene.normals.iter().flatten().all(|n| n.is_finite()));
        }
    }
    for (width, height) in [(0, 8), (8, 0), (MAX_SIDE + 1, 8)] {
        let error = layout(0, width, height).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains(&format!("{width}x{height}")),
            "{error}"
        );
    }
}

#[test]
fn days_brighten_from_midnight_to_noon() {
    for seed in 0..20 {
        let scene = layout(seed, 48, 48).unwrap();
        let mut style = Style::named("noon").unwrap();
        let mut last = 0.0;
        for step in 0..=10 {
            style.time_of_day = step as f32 / 10.0;
            let now = brightness(&render(&scene, &style));
            assert!(
                now > last,
                "seed {seed}: {now} after {last} at {}",
                style.time_of_day
            );
            last = now;
        }
    }
}

#[test]
fn nights_are_dark_but_not_black() {
    for seed in 0..6 {
        let scene = layout(seed, 48, 48).unwrap();
        let night = brightness(&render(&scene, &Style::named("night").unwrap()));
        assert!((25.0..90.0).contains(&night), "seed {seed}: {night}");
    }
}

#[test]
fn a_label_map_alone_makes_a_scene() {
    let natural = natural_layout(4, 64, 48).unwrap();
    let scene = Scene::from_labels(4, 64, 48, &natural.labels, Some(&natural.instances)).unwrap();
    assert_eq!(scene.labels, natural.labels);
    assert!((scene.horizon - natural.horizon).abs() < 0.1);
    let mut labels = natural.labels;
    labels[64 + 3] = 12;
    let error = Scene::from_labels(4, 64, 48, &labels, None).unwrap_err();
    assert!(
        error.to_string().contains("label 12 at column 3, row 1"),
        "{error}"
    );
    assert!(Scene::from_labels(4, 64, 48, &labels[1..], None).is_err());
}

#[test]
fn wild_styles_are_tamed() {
    let scene = layout(1, 24, 24).unwrap();
    let wild = Style {
        time_of_day: f32::NAN,
        sun_azimuth: 40.0,
        season: -3.0,
        haze: f32::INFINITY,
        cloud_warmth: -7.0,
        grade: 1e30,
    };
    assert_eq!(render(&scene, &wild), render(&scene, &wild.clamped()));
    assert_eq!(wild.clamped().season, 1.0);
}
