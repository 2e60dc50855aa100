//! Which residual blocks a generator has, and at which sizes they work: Figure 4 (right) of the paper.

use crate::config::Upsampling;

/// A residual block of the generator.
pub(super) struct Block {
    /// Its name in the state dict.
    pub name: &'static str,
    /// Channels in, as the divisor of the first width.
    pub fin: usize,
    /// Channels out, likewise.
    pub fout: usize,
    /// Whether its input is doubled first.
    pub up: bool,
}

/// The blocks in order; channels are `ngf * 16 / divisor`.
pub(super) fn blocks(upsampling: Upsampling) -> Vec<Block> {
    let block = |name, fin, fout, up| Block {
        name,
        fin,
        fout,
        up,
    };
    let mut blocks = vec![
        block("head_0", 1, 1, false),
        block("G_middle_0", 1, 1, true),
        block("G_middle_1", 1, 1, upsampling != Upsampling::Normal),
        block("up_0", 1, 2, true),
        block("up_1", 2, 4, true),
        block("up_2", 4, 8, true),
        block("up_3", 8, 16, true),
    ];
    if upsampling == Upsampling::Most {
        blocks.push(block("up_4", 16, 32, true));
    }
    blocks
}

/// Names of the blocks, and the doublings of the first grid where they work.
pub(super) fn sizes(upsampling: Upsampling) -> Vec<(&'static str, usize)> {
    let mut doublings = 0;
    let size = |block: Block| {
        doublings += usize::from(block.up);
        (block.name, doublings)
    };
    blocks(upsampling).into_iter().map(size).collect()
}

/// Doublings of the first grid where blocks with a shortcut work.
pub(super) fn shortcuts(upsampling: Upsampling) -> Vec<usize> {
    let has_shortcut = blocks(upsampling)
        .into_iter()
        .map(|block| block.fin != block.fout);
    let sizes = sizes(upsampling).into_iter().zip(has_shortcut);
    sizes
        .filter_map(|((_, doublings), has)| has.then_some(doublings))
        .collect()
}
