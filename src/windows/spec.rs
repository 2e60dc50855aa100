//! Which tables a network reads, as data: the loader builds them, the graphs declare them.

use super::{IdMap, WindowTable};

/// What the windows of a table are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Labels and instance edges, resized to the table's map size.
    Labels,
    /// The windows of an earlier table of the list, whose grid is the map.
    Of(usize),
}

/// A window table that a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpec {
    /// Height of the map the windows are taken from.
    pub h: usize,
    /// Width of the map the windows are taken from.
    pub w: usize,
    /// Side of the window.
    pub k: usize,
    /// Step between windows.
    pub stride: usize,
    /// Places outside the map on every side.
    pub pad: usize,
    /// What the map holds.
    pub tier: Tier,
}

/// Builds the tables of a list of specs over one map of symbols, packed.
///
/// `channels` counts the edge channel, which is the last one where there is one.
///
/// # Panics
/// If a spec refers to itself or a later one, its size differs from the grid it refers to, or an id has no channel.
pub fn build_tables(
    map: &IdMap,
    channels: usize,
    edge_channel: Option<u32>,
    specs: &[WindowSpec],
) -> Vec<Vec<u32>> {
    let mut tables: Vec<WindowTable> = Vec::with_capacity(specs.len());
    for spec in specs {
        let (k, stride, pad) = (spec.k, spec.stride, spec.pad);
        let table = match spec.tier {
            Tier::Labels => {
                let map = map.resize_floor(spec.h, spec.w);
                WindowTable::build(&map, channels, edge_channel, k, stride, pad)
            }
            Tier::Of(lower) => {
                let lower = &tables[lower];
                assert_eq!(
                    (lower.h, lower.w),
                    (spec.h, spec.w),
                    "the grid of the lower table"
                );
                WindowTable::build(&lower.map(), lower.windows(), None, k, stride, pad)
            }
        };
        tables.push(table);
    }
    tables.iter().map(WindowTable::pack).collect()
}
