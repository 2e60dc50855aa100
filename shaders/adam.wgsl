// One step of Adam, one vec4 per invocation; every buffer is read and written once.
//   adam      m = beta1 m + (1 - beta1) g;  s = beta2 s + (1 - beta2) g g;  x -= rate * m / (sqrt(s) * root + eps)
//   rmsprop   the same with beta1 = 0, where m is g
// hyper holds rate = lr / (1 - beta1^t) and root = 1 / sqrt(1 - beta2^t). Where the flag is down nothing is written.
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    beta1: f32,
    beta2: f32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads = ["g", "hyper", "flag"] %}
{% set writes = ["x", "m", "s"] if entry == "adam" else ["x", "s"] %}
{% include "bindings.wgsl" %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items || flag[0].x == 0.0 { return; }
    let slope = g[i];
{% if entry == "adam" %}
    let first = p.beta1 * m[i] + (1.0 - p.beta1) * slope;
    m[i] = first;
{% else %}
    let first = slope;
{% endif %}
    let second = p.beta2 * s[i] + (1.0 - p.beta2) * slope * slope;
    s[i] = second;
    x[i] -= hyper[0].x * first / (sqrt(second) * hyper[0].y + p.eps);
}
