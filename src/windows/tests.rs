use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// The symbol at a place that may lie outside.
fn symbol_at(map: &IdMap, image: usize, y: isize, x: isize) -> u32 {
    let inside = (0..map.h as isize).contains(&y) && (0..map.w as isize).contains(&x);
    match inside {
        true => map.ids[(image * map.h + y as usize) * map.w + x as usize],
        false => OUTSIDE,
    }
}

/// The window of every output pixel, tap by tap.
fn naive_windows(map: &IdMap, k: usize, stride: usize, pad: usize) -> Vec<Vec<u32>> {
    let [out_h, out_w] = [map.h, map.w].map(|size| (size + 2 * pad - k) / stride + 1);
    let mut windows = Vec::new();
    for image in 0..map.n {
        for y in 0..out_h {
            for x in 0..out_w {
                let at = |tap: usize| {
                    let [dy, dx] = [tap / k, tap % k];
                    let y = (y * stride + dy) as isize - pad as isize;
                    symbol_at(map, image, y, (x * stride + dx) as isize - pad as isize)
                };
                windows.push((0..k * k).map(at).collect());
            }
        }
    }
    windows
}

/// Rows of (key, items) that a group must hold.
fn assert_groups(groups: GroupsView, rows: usize, want: &BTreeMap<usize, Vec<u32>>) {
    assert_eq!(groups.rows(), rows);
    let empty = Vec::new();
    for row in 0..rows {
        assert_eq!(
            groups.row(row),
            want.get(&row).unwrap_or(&empty),
            "row {row}"
        );
        for chunk in groups.row_chunk[row]..groups.row_chunk[row + 1] {
            let [start, end] = [0, 1].map(|i| groups.chunk_start[chunk as usize + i]);
            assert!((1..=CHUNK as u32).contains(&(end - start)), "chunk {chunk}");
        }
    }
    assert_eq!(
        groups.items.len(),
        want.values().map(Vec::len).sum::<usize>()
    );
}

/// Checks a table, through its packed form, against definitions.
fn check(
    map: &IdMap,
    channels: usize,
    edge_channel: Option<u32>,
    [k, stride, pad]: [usize; 3],
) -> WindowTable {
    let table = WindowTable::build(map, channels, edge_channel, k, stride, pad);
    let packed = table.pack();
    assert!(packed.len() <= WindowTable::capacity_words(table.pixels(), k * k, channels));
    let view = WindowView::new(&packed);
    let naive = naive_windows(map, k, stride, pad);

    let mut numbers = BTreeMap::new();
    let mut distinct: Vec<&Vec<u32>> = Vec::new();
    let mut pixels_of: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (pixel, window) in naive.iter().enumerate() {
        let number = *numbers.entry(window).or_insert_with(|| {
            distinct.push(window);
            distinct.len() - 1
        });
        assert_eq!(view.ids()[pixel] as usize, number, "pixel {pixel}");
        pixels_of.entry(number).or_default().push(pixel as u32);
    }
    let mut windows_of: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (number, window) in distinct.iter().enumerate() {
        assert_eq!(view.window(number), window.as_slice());
        for (tap, &symbol) in window.iter().enumerate() {
            if symbol == OUTSIDE {
                continue;
            }
            let mut channels_here = vec![(symbol & ID_MASK) as usize];
            if symbol & EDGE_BIT != 0 {
                channels_here.extend(edge_channel.map(|edge| edge as usize));
            }
            for channel in channels_here {
                let row = windows_of.entry(tap * channels + channel).or_default();
                row.push(number as u32);
            }
        }
    }
    assert_eq!(
        [view.pixels(), view.windows(), view.taps(), view.channels()],
        [naive.len(), distinct.len(), k * k, channels]
    );
    assert_groups(view.pixels_of(), distinct.len(), &pixels_of);
    assert_groups(view.windows_of(), k * k * channels, &windows_of);
    table
}

/// Blobs of labels: random rectangles painted over each other, or pure noise.
fn labels([n, h, w]: [usize; 3], classes: u32, noise: bool, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    if noise {
        return (0..n * h * w)
            .map(|_| rng.random_range(0..classes))
            .collect();
    }
    let mut labels = vec![0; n * h * w];
    for map in labels.chunks_mut(h * w) {
        for _ in 0..6 {
            let [y, x] = [rng.random_range(0..h), rng.random_range(0..w)];
            let [to_y, to_x] = [rng.random_range(y..h), rng.random_range(x..w)];
            let label = rng.random_range(0..classes);
            for row in map.chunks_mut(w).take(to_y + 1).skip(y) {
                row[x..=to_x].fill(label);
            }
        }
    }
    labels
}

fn edges(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len)
        .map(|_| u8::from(rng.random_range(0..4) == 0))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn tables_match_the_definition(
        shape in [1usize..4, 1usize..14, 1usize..14],
        classes in 1u32..7,
        noise: bool,
        with_edges: bool,
        k in 1usize..10,
        stride in 1usize..3,
        extra_pad in 0usize..2,
        seed: u64,
    ) {
        let pad = k / 2 + extra_pad;
        let labels = labels(shape, classes, noise, seed);
        let edges = with_edges.then(|| edges(labels.len(), seed ^ 1));
        let map = IdMap::from_labels(shape, &labels, edges.as_deref());
        let edge_channel = with_edges.then_some(classes);
        let first = check(&map, classes as usize + 1, edge_channel, [k, stride, pad]);
        let second = check(&first.map(), first.windows(), None, [k, 1, k / 2]);
        let pixels = second.pixels();
        prop_assert!(second.pack().len() <= WindowTable::capacity_words(pixels, k * k, pixels));
    }
}

#[test]
fn one_class_has_a_window_per_border_case() {
    let map = IdMap::from_labels([2, 7, 9], &[3; 2 * 7 * 9], None);
    let first = check(&map, 4, None, [3, 1, 1]);
    assert_eq!(
        first.windows(),
        9,
        "corners, sides and the inside, shared by the batch"
    );
    let second = check(&first.map(), 9, None, [3, 1, 1]);
    assert_eq!(second.windows(), 25);
}

#[test]
fn every_pixel_its_own_window_fits_the_capacity() {
    let labels: Vec<u32> = (0..12 * 11).collect();
    let map = IdMap::from_labels([1, 12, 11], &labels, Some(&[1; 12 * 11]));
    let table = check(&map, labels.len() + 1, Some(labels.len() as u32), [3, 1, 1]);
    assert_eq!(table.windows(), labels.len());
    check(&table.map(), table.windows(), None, [3, 1, 1]);
}

#[test]
fn the_discriminator_sees_half_the_size_plus_one() {
    let map = IdMap::from_labels([2, 10, 7], &labels([2, 10, 7], 3, true, 5), None);
    let table = check(&map, 3, None, [4, 2, 2]);
    assert_eq!([table.h, table.w], [6, 4]);
}

#[test]
fn a_row_of_outside_symbols_is_the_same_above_and_beside() {
    // With pad >= k some windows lie wholly outside, left of the image as well as above it.
    let map = IdMap::from_labels([1, 2, 2], &[0; 4], None);
    check(&map, 1, None, [2, 1, 3]);
}

#[test]
fn rows_of_the_table_equal_a_dense_convolution() {
    let (shape, classes, k) = ([2, 6, 5], 4u32, 3);
    let (labels, edges) = (labels(shape, classes, false, 8), edges(2 * 6 * 5, 9));
    let map = IdMap::from_labels(shape, &labels, Some(&edges));
    let channels = classes as usize + 1;
    let table = WindowTable::build(&map, channels, Some(classes), k, 1, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    // Whole numbers, so that the order of a sum does not matter.
    let weights: Vec<i64> = (0..channels * k * k)
        .map(|_| rng.random_range(-99..100))
        .collect();

    let weight = |tap: usize, channel: usize| weights[channel * k * k + tap];
    let row = |window: &[u32]| -> i64 {
        let tap_value = |(tap, &symbol): (usize, &u32)| match symbol {
            OUTSIDE => 0,
            _ if symbol & EDGE_BIT != 0 => {
                weight(tap, (symbol & ID_MASK) as usize) + weight(tap, classes as usize)
            }
            _ => weight(tap, symbol as usize),
        };
        window.iter().enumerate().map(tap_value).sum()
    };
    let rows: Vec<i64> = table.symbols.chunks(k * k).map(row).collect();

    let [n, h, w] = shape;
    let one_hot = |image: usize, y: usize, x: usize, channel: usize| {
        let pixel = (image * h + y) * w + x;
        let on = if channel == classes as usize {
            edges[pixel] != 0
        } else {
            labels[pixel] == channel as u32
        };
        i64::from(on)
    };
    for (pixel, &id) in table.ids.iter().enumerate() {
        let [image, y, x] = [pixel / (h * w), pixel / w % h, pixel % w];
        assert!(image < n);
        let mut dense = 0;
        for tap in 0..k * k {
            let [sy, sx] = [y + tap / k, x + tap % k];
            if (1..=h).contains(&sy) && (1..=w).contains(&sx) {
                dense += (0..channels)
                    .map(|c| weight(tap, c) * one_hot(image, sy - 1, sx - 1, c))
                    .sum::<i64>();
            }
        }
        assert_eq!(rows[id as usize], dense, "pixel {pixel}");
    }
}

#[test]
fn resizing_takes_the_floor() {
    let map = IdMap::from_labels([2, 3, 4], &(0..24).collect::<Vec<_>>(), None);
    let small = map.resize_floor(2, 3);
    assert_eq!(small.ids, [0, 1, 2, 4, 5, 6, 12, 13, 14, 16, 17, 18]);
    let large = map.resize_floor(3, 6);
    assert_eq!(large.ids[..6], [0, 0, 1, 2, 2, 3]);
    assert_eq!(map.resize_floor(3, 4), map);
}

#[test]
fn specs_build_the_tables_they_describe() {
    let labels: Vec<u32> = (0..2 * 8 * 6).map(|i| i * i / 7 % 4).collect();
    let map = IdMap::from_labels([2, 8, 6], &labels, None);
    let spec = |tier| WindowSpec {
        h: 4,
        w: 3,
        k: 3,
        stride: 1,
        pad: 1,
        tier,
    };
    let built = build_tables(&map, 4, None, &[spec(Tier::Labels), spec(Tier::Of(0))]);
    let lower = WindowTable::build(&map.resize_floor(4, 3), 4, None, 3, 1, 1);
    let upper = WindowTable::build(&lower.map(), lower.windows(), None, 3, 1, 1);
    assert_eq!(built, [lower.pack(), upper.pack()]);
}

#[test]
fn no_word_of_a_table_leads_out_of_its_bounds_unnoticed() {
    let map = IdMap {
        n: 2,
        h: 3,
        w: 4,
        ids: (0..24).map(|i| (i * i % 3) | ((i % 5 / 4) << 31)).collect(),
    };
    let table = WindowTable::build(&map, 4, Some(3), 3, 1, 1);
    let words = table.pack();
    let check = |words: &[u32]| check_packed(words, 24, 9, 4);
    check(&words).unwrap();
    (0..words.len()).for_each(|len| assert!(check(&words[..len]).is_err(), "{len} words"));
    let mut refused = 0;
    for at in 0..words.len() {
        for value in [
            0,
            1,
            3,
            64,
            1 << 24,
            u32::MAX,
            words[at] ^ 1,
            words[at].wrapping_add(1),
        ] {
            let mut changed = words.clone();
            changed[at] = value;
            if check(&changed).is_err() {
                refused += 1;
                continue;
            }
            // Accepted, so everything that kernels follow must stay inside.
            let view = WindowView::new(&changed);
            assert!(view.ids().iter().all(|&id| (id as usize) < view.windows()));
            let symbols = view.symbols().iter().filter(|&&s| s != OUTSIDE);
            assert!(
                symbols
                    .map(|s| s & ID_MASK)
                    .all(|id| (id as usize) < view.channels())
            );
            for (groups, bound) in [(view.pixels_of(), 24), (view.windows_of(), view.windows())] {
                let items = (0..groups.rows()).flat_map(|row| groups.row(row));
                assert!(items.into_iter().all(|&item| (item as usize) < bound));
            }
        }
    }
    assert!(refused > words.len(), "{refused} changes refused");
}
