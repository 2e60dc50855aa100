// Spectral normalisation of a weight M of `rows` (taps times padded input channels) by 4 * c4 output channels.
//   rows           y[r] = sum over c of w[r, c] * u[c]; a workgroup owns 8 rows, its lanes stride over the channels
//   columns        y[chunk, c] = sum over 32 rows of w[r, c] * v[r]; an invocation owns a chunk and four channels
//   columns_total  y[c] = sum over chunks of x[chunk, c]; a workgroup owns 32 channels, eight lanes share four
//   unit           y = x / max(|x|, 1e-12), one workgroup
//   product         y = sum of x * v, one workgroup
//   scale          y = w / sigma
//   inner          first phase of <dw, w>
//   scale_grad     y = (dw - inner / sigma * u vt) / sigma; an invocation owns four rows of four channels
// Both matrix-vector products read w once, neighbouring lanes neighbouring vec4.
{% include "prelude.wgsl" %}
{% include "lanes.wgsl" %}
{% if entry in ["unit", "product", "inner"] %}
{% include "tree_sum.wgsl" %}
{% endif %}

struct Params {
    items: u32,
    rows: u32,
    c4: u32,
    c: u32,
    cin4: u32,
    cin: u32,
    chunks: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads = {
    "rows": ["w", "u"],
    "columns": ["w", "v"],
    "columns_total": ["x"],
    "unit": ["x"],
    "product": ["x", "v"],
    "scale": ["w", "sigma"],
    "inner": ["dw", "w"],
    "scale_grad": ["dw", "u", "v", "sigma", "inner"],
}[entry] %}
{% set writes = ["y"] %}
{% include "bindings.wgsl" %}

{% if entry == "rows" %}
var<workgroup> sums: array<f32, 512>;
{% elif entry == "columns_total" %}
var<workgroup> sums: array<vec4<f32>, 64>;
{% endif %}

{% set lanes = 256 if entry in ["unit", "product", "inner"] else 64 %}
@compute @workgroup_size({{ lanes }})
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let zero = vec4<f32>(0.0);
{% if entry == "rows" %}
    let first = 8u * flat_workgroup(wg, wgs);
    {% for k in range(8) %}
    var sum{{ k }} = 0.0;
    let row{{ k }} = min(first + {{ k }}u, p.rows - 1u) * p.c4;
    {% endfor %}
    for (var g = lane; g < p.c4; g += 64u) {
        let factor = select(zero, u[g], true_lanes(g, p.c));
        {% for k in range(8) %}
        sum{{ k }} += dot(w[row{{ k }} + g], factor);
        {% endfor %}
    }
    {% for k in range(8) %}
    sums[{{ k * 64 }}u + lane] = sum{{ k }};
    {% endfor %}
    workgroupBarrier();
    // Eight lanes to a row, eight sums to a lane.
    var part = 0.0;
    for (var i = 0u; i < 64u; i += 8u) {
        part += sums[lane / 8u * 64u + lane % 8u + i];
    }
    workgroupBarrier();
    sums[lane] = part;
    workgroupBarrier();
    let group = first / 4u + lane;
    if lane < 2u && group < p.rows / 4u {
        var total = zero;
        for (var i = 0u; i < 8u; i++) {
            let at = lane * 32u + i;
            total += vec4<f32>(sums[at], sums[at + 8u], sums[at + 16u], sums[at + 24u]);
        }
        y[group] = select(zero, total, true_lanes(group % p.cin4, p.cin));
    }
{% elif entry == "columns" %}
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let first = i / p.c4 * 8u;
    let last = min(first + 8u, p.rows / 4u);
    var sum = zero;
    for (var group = first; group < last; group++) {
        let factor = v[group];
        let at = group * 4u * p.c4 + i % p.c4;
        sum += factor.x * w[at] + factor.y * w[at + p.c4];
        sum += factor.z * w[at + 2u * p.c4] + factor.w * w[at + 3u * p.c4];
    }
    y[i] = sum;
{% elif entry == "columns_total" %}
    let group = wg.x * 8u + lane % 8u;
    let column = min(group, p.c4 - 1u);
    var sum = zero;
    for (var i = lane / 8u; i < p.chunks; i += 8u) {
        sum += x[i * p.c4 + column];
    }
    sums[lane] = sum;
    workgroupBarrier();
    if lane < 8u && group < p.c4 {
        for (var i = 8u; i < 64u; i += 8u) {
            sum += sums[lane + i];
        }
        y[group] = select(zero, sum, true_lanes(group, p.c));
    }
{% elif entry == "unit" %}
    var squares = zero;
    for (var i = lane; i < p.items; i += 256u) {
        squares += x[i] * x[i];
    }
    let norm = max(sqrt(lane_sum(tree_sum(lane, squares))), 1e-12);
    for (var i = lane; i < p.items; i += 256u) {
        y[i] = x[i] / norm;
    }
{% elif entry == "product" %}
    var sum = zero;
    for (var i = lane; i < p.items; i += 256u) {
        sum += x[i] * v[i];
    }
    let total = lane_sum(tree_sum(lane, sum));
    if lane == 0u {
        y[0] = vec4<f32>(total, 0.0, 0.0, 0.0);
    }
{% elif entry == "scale" %}
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    y[i] = w[i] / sigma[0].x;
{% elif entry == "inner" %}
    var sum = zero;
    for (var i = wg.x * 256u + lane; i < p.items; i += wgs.x * 256u) {
        sum += select(zero, dw[i] * w[i], true_lanes(i % p.c4, p.c));
    }
    let total = tree_sum(lane, sum);
    if lane == 0u {
        y[wg.x] = total;
    }
{% elif entry == "scale_grad" %}
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let group = i / p.c4;
    let at = group * 4u * p.c4 + i % p.c4;
    let left = inner[0].x / sigma[0].x * select(zero, v[group], true_lanes(group % p.cin4, p.cin));
    let right = u[i % p.c4];
    y[at] = (dw[at] - left.x * right) / sigma[0].x;
    y[at + p.c4] = (dw[at + p.c4] - left.y * right) / sigma[0].x;
    y[at + 2u * p.c4] = (dw[at + 2u * p.c4] - left.z * right) / sigma[0].x;
    y[at + 3u * p.c4] = (dw[at + 3u * p.c4] - left.w * right) / sigma[0].x;
{% endif %}
}
