// Sums over rows, one vec4 of channels per invocation. Invocation i of `out` adds elements i, i + out, i + 2 out, ...
// of its group: neighbours read neighbouring memory however few channels there are.
//   sum    y[i] = that sum
//   fold   the same, written where the first term was: nobody else reads that place
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    out: u32,    // results of a group
    count: u32,  // terms of a group
    stride: u32, // from one group to the next
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "sum" %}
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
{% else %}
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
{% endif %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let group = i / p.out * p.stride;
    let first = group + i % p.out;
    var total = x[first];
    for (var at = first + p.out; at < group + p.count; at += p.out) {
        total += x[at];
    }
    {% if entry == "sum" %}y[i]{% else %}x[first]{% endif %} = total;
}
