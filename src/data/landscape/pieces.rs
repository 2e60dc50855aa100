//! Connected pieces of a map.

/// Pixels that touch along sides and belong together, piece by piece in order of their first pixel; the pixels of a
/// piece begin with its first.
pub(crate) fn pieces(
    pixels: usize,
    width: usize,
    together: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut seen = vec![false; pixels];
    let mut pieces = Vec::new();
    for start in 0..pixels {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut piece = vec![start];
        let mut next = 0;
        while let Some(&at) = piece.get(next) {
            next += 1;
            let column = at % width;
            let sides = [
                (column > 0).then(|| at - 1),
                (column + 1 < width).then(|| at + 1),
                at.checked_sub(width),
                (at + width < pixels).then(|| at + width),
            ];
            for side in sides.into_iter().flatten() {
                if !seen[side] && together(at, side) {
                    seen[side] = true;
                    piece.push(side);
                }
            }
        }
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_touch_along_sides() {
        let labels = [1, 1, 0, 0, 0, 1, 1, 0, 1];
        let pieces = pieces(9, 3, |a, b| labels[a] == labels[b]);
        let sizes: Vec<_> = pieces.iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 3, 2, 1]);
        assert_eq!(pieces[2], [3, 4, 7]);
    }
}
