// Second phase of a sum over a whole tensor, in one workgroup.
//   total   y = factor * sum of x
{% include "tree_sum.wgsl" %}

struct Params {
    items: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads = ["x"] %}
{% set writes = ["y"] %}
{% include "bindings.wgsl" %}

@compute @workgroup_size(256)
fn {{ entry }}(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4<f32>(0.0);
    for (var i = lane; i < p.items; i += 256u) {
        sum += x[i];
    }
    let total = lane_sum(tree_sum(lane, sum));
    if lane == 0u {
        y[0] = vec4<f32>(p.factor * total, 0.0, 0.0, 0.0);
    }
}
