// Normalisation to mean 0 and variance 1, per channel over a group of rows: all samples or each.
//   tiles        (mean, M2) of every T-th row by Welford's update; M2 = sum of (x - mean)^2
//   fold, last   merge tiles: with d = mean_b - mean_a and n = n_a + n_b,
//                mean = mean_a + d n_b / n,  M2 = M2_a + M2_b + d^2 n_a n_b / n
//   apply        y = (x - mean) / deviation
//   grad_tiles   sums of d and of d (x - mean) over every T-th row; reduce.wgsl folds them
//   grad_apply   dx = (d - mean of d - (x - mean) * mean of d (x - mean) / variance) / deviation
//   given_grad   dx = d / deviation
// One vec4 of channels of every `out`-th row per invocation: neighbours read neighbouring memory, and the statistics
// are read once for several rows. Tile t of a group is two rows of the scratch buffer: mean and M2, or both sums.
{% include "prelude.wgsl" %}
{% set is_merge = entry == "fold" or entry == "last" %}
{% set is_map = entry in ["apply", "grad_apply", "given_grad"] %}

struct Params {
    items: u32,
    c4: u32,
    rows: u32,   // of a group
    out: u32,    // invocations, or tiles after this dispatch, of a group
{% if is_map %}
    eps: f32,
{% endif %}
    stride: u32, // tiles from one group to the next
{% if is_merge %}
    tiles: u32,  // of a group, before this dispatch
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "tiles" %}
{% set reads, writes = ["x"], ["partial"] %}
{% elif entry == "fold" %}
{% set reads, writes = [], ["partial"] %}
{% elif entry == "last" %}
{% set reads, writes = ["partial"], ["mean", "variance"] %}
{% elif entry == "apply" %}
{% set reads, writes = ["x", "mean", "variance"], ["y"] %}
{% elif entry == "grad_tiles" %}
{% set reads, writes = ["d", "x", "mean"], ["partial"] %}
{% elif entry == "grad_apply" %}
{% set reads, writes = ["d", "x", "mean", "variance", "partial"], ["dx"] %}
{% else %}
{% set reads, writes = ["d", "variance"], ["dx"] %}
{% endif %}
{% include "bindings.wgsl" %}

{% if is_merge %}
/// Rows that tile `t` of `tiles` holds: those that equal t modulo the number of tiles.
fn rows_of(t: u32) -> f32 {
    return f32(p.rows / p.tiles + select(0u, 1u, t < p.rows % p.tiles));
}
{% elif is_map %}
fn guarded(stat: u32) -> vec4<f32> {
    return {% if clamp %}max(variance[stat], vec4<f32>(p.eps)){% else %}variance[stat] + p.eps{% endif %};
}
{% endif %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let row_of_all = i / p.c4;
    let c = i - row_of_all * p.c4;
    let group = row_of_all / p.out;
    let tile = row_of_all - group * p.out;
{% if is_map %}
    let stat = group * p.c4 + c;
    let v = guarded(stat);
    let inverse = 1.0 / sqrt(v);
{% if entry != "given_grad" %}
    let center = mean[stat];
{% endif %}
{% if entry == "grad_apply" %}
    let sums = group * p.stride * 2u * p.c4 + c;
    let count = f32(p.rows);
    let mean_d = partial[sums] / count;
    var slope = partial[sums + p.c4] / (count * v);
{% if clamp %}
    slope = select(slope, vec4<f32>(), variance[stat] < vec4<f32>(p.eps));
{% endif %}
{% endif %}
    for (var row = tile; row < p.rows; row += p.out) {
        let at = (group * p.rows + row) * p.c4 + c;
{% if entry == "apply" %}
        y[at] = (x[at] - center) * inverse;
{% elif entry == "grad_apply" %}
        dx[at] = (d[at] - mean_d - (x[at] - center) * slope) * inverse;
{% else %}
        dx[at] = d[at] * inverse;
{% endif %}
    }
{% elif entry == "tiles" %}
    var count = 0.0;
    var center = vec4<f32>();
    var m2 = vec4<f32>();
    for (var row = tile; row < p.rows; row += p.out) {
        count += 1.0;
        let value = x[(group * p.rows + row) * p.c4 + c];
        let off = value - center;
        center += off / count;
        m2 += off * (value - center);
    }
    let at = (group * p.stride + tile) * 2u * p.c4 + c;
    partial[at] = center;
    partial[at + p.c4] = m2;
{% elif is_merge %}
    let at = (group * p.stride + tile) * 2u * p.c4 + c;
    var count = rows_of(tile);
    var center = partial[at];
    var m2 = partial[at + p.c4];
    for (var other = tile + p.out; other < p.tiles; other += p.out) {
        let here = (group * p.stride + other) * 2u * p.c4 + c;
        let more = rows_of(other);
        let share = more / (count + more);
        let off = partial[here] - center;
        center += off * share;
        m2 += partial[here + p.c4] + off * off * (count * share);
        count += more;
    }
{% if entry == "fold" %}
    partial[at] = center;
    partial[at + p.c4] = m2;
{% else %}
    mean[i] = center;
    variance[i] = m2 / f32(p.rows);
{% endif %}
{% else %}
    let center = mean[group * p.c4 + c];
    var sum = vec4<f32>();
    var product = vec4<f32>();
    for (var row = tile; row < p.rows; row += p.out) {
        let here = (group * p.rows + row) * p.c4 + c;
        let incoming = d[here];
        sum += incoming;
        product += incoming * (x[here] - center);
    }
    let at = (group * p.stride + tile) * 2u * p.c4 + c;
    partial[at] = sum;
    partial[at + p.c4] = product;
{% endif %}
}
