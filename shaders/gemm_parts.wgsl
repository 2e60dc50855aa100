// Adds the sums that workgroups of gemm_tiled.wgsl left apart, in order, and writes them where the result belongs: rows
// `stride` apart, from row `first_row` and column `from` on. An invocation owns a vector of columns.
{% include "prelude.wgsl" %}

struct Params {
    items: u32,   // vectors of a part
    parts: u32,
    width: u32,   // vectors of a row
    first_row: u32,
    stride: u32,
    first_column: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    var total = x[i];
    for (var part = 1u; part < p.parts; part++) {
        total += x[part * p.items + i];
    }
    let at = (p.first_row + i / p.width) * p.stride + p.first_column + i % p.width;
    if p.accumulate == 0u {
        y[at] = total;
    } else {
        y[at] += total;
    }
}
