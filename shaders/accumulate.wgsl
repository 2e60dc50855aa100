// Gradients of a batch that is computed in parts.
//   accumulate  y = x of the first part, then y + x
//   both        y = 1 where a and b are
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads = ["x", "first"] if entry == "accumulate" else ["a", "b"] %}
{% set writes = ["y"] %}
{% include "bindings.wgsl" %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
{% if entry == "accumulate" %}
    // Not by a product with zero: the sum may hold what is no number.
    y[i] = x[i] + select(y[i], vec4<f32>(), first[0].x != 0.0);
{% else %}
    y[i] = a[i] * b[i];
{% endif %}
}
