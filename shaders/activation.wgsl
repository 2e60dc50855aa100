// Activations, one vec4 per invocation. Each derivative follows from the result y.
//   relu    y = max(x, 0)               dx = dy where y > 0, else 0
//   leaky   y = x where x > 0, else x/5 dx = dy where y > 0, else dy/5
//   tanh                                dx = dy (1 - y^2)
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% set is_grad = entry in ["relu_grad", "leaky_grad", "tanh_grad"] %}
{% set reads, writes = (["dy", "y"], ["dx"]) if is_grad else (["x"], ["y"]) %}
{% include "bindings.wgsl" %}
{% include "activate.wgsl" %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
{% if entry == "relu_forward" %}
    y[i] = relu(x[i]);
{% elif entry == "leaky_forward" %}
    y[i] = leaky(x[i]);
{% elif entry == "tanh_forward" %}
    y[i] = tanh_of(x[i]);
{% elif entry == "relu_grad" %}
    dx[i] = select(vec4<f32>(), dy[i], y[i] > vec4<f32>());
{% elif entry == "leaky_grad" %}
    dx[i] = select(0.2 * dy[i], dy[i], y[i] > vec4<f32>());
{% else %}
    dx[i] = dy[i] * (1.0 - y[i]) * (1.0 + y[i]);
{% endif %}
}
