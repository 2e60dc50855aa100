// State that changes only while all numbers are good.
//   commit    y = x where the flag is up
//   average   y = y + share * (x - y) where the flag is up
//   scan      first phase of looking for numbers that are not finite: y[workgroup] counts them in a fixed tree
//   lower     y = 0 if anything was counted
{% include "prelude.wgsl" %}
{% if entry == "scan" %}
{% include "lanes.wgsl" %}
{% endif %}
{% if entry in ["scan", "lower"] %}
{% include "tree_sum.wgsl" %}
{% endif %}

struct Params {
    items: u32,
    c4: u32,
    c: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "commit" %}
{% set reads = ["x", "flag"] %}
{% elif entry == "average" %}
{% set reads = ["x", "share", "flag"] %}
{% else %}
{% set reads = ["x"] %}
{% endif %}
{% set writes = ["y"] %}
{% include "bindings.wgsl" %}

{% set lanes = 256 if entry in ["scan", "lower"] else 64 %}
@compute @workgroup_size({{ lanes }})
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
{% if entry == "commit" %}
    let i = flat_item(wg, wgs, lane);
    if i >= p.items || flag[0].x == 0.0 { return; }
    y[i] = x[i];
{% elif entry == "average" %}
    let i = flat_item(wg, wgs, lane);
    if i >= p.items || flag[0].x == 0.0 { return; }
    y[i] += share[0].x * (x[i] - y[i]);
{% elif entry == "scan" %}
    var bad = vec4<f32>(0.0);
    for (var i = wg.x * 256u + lane; i < p.items; i += wgs.x * 256u) {
        // All exponent bits set. A compiler may assume that floats are finite and fold any test of their values.
        let exponent = bitcast<vec4<u32>>(x[i]) & vec4<u32>(0x7f800000u);
        let is_bad = (exponent == vec4<u32>(0x7f800000u)) & true_lanes(i % p.c4, p.c);
        bad += select(vec4<f32>(0.0), vec4<f32>(1.0), is_bad);
    }
    let total = tree_sum(lane, bad);
    if lane == 0u {
        y[wg.x] = total;
    }
{% else %}
    var bad = vec4<f32>(0.0);
    for (var i = lane; i < p.items; i += 256u) {
        bad += x[i];
    }
    let total = lane_sum(tree_sum(lane, bad));
    if lane == 0u && total > 0.0 {
        y[0] = vec4<f32>(0.0);
    }
{% endif %}
}
