// Scale and shift per channel, one vec4 of channels of every `out`-th row per invocation.
//   affine        y = x * w + b
//   affine_dx     dx = dy * w
//   grad_tiles    sums of dy and of dy * x; reduce.wgsl folds them
//   grad_last     db, dw = the folded sums
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    c4: u32,
    rows: u32,
    out: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "affine" %}
{% set reads, writes = ["x", "w", "b"], ["y"] %}
{% elif entry == "affine_dx" %}
{% set reads, writes = ["dy", "w"], ["dx"] %}
{% elif entry == "grad_tiles" %}
{% set reads, writes = ["dy", "x"], ["partial"] %}
{% else %}
{% set reads, writes = ["partial"], ["dw", "db"] %}
{% endif %}
{% include "bindings.wgsl" %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let tile = i / p.c4;
    let c = i - tile * p.c4;
{% if entry == "affine" %}
    let weight = w[c];
    let bias = b[c];
    for (var at = i; at < p.rows * p.c4; at += p.out * p.c4) {
        y[at] = x[at] * weight + bias;
    }
{% elif entry == "affine_dx" %}
    let weight = w[c];
    for (var at = i; at < p.rows * p.c4; at += p.out * p.c4) {
        dx[at] = dy[at] * weight;
    }
{% elif entry == "grad_tiles" %}
    var sum = vec4<f32>();
    var product = vec4<f32>();
    for (var at = i; at < p.rows * p.c4; at += p.out * p.c4) {
        let incoming = dy[at];
        sum += incoming;
        product += incoming * x[at];
    }
    partial[tile * 2u * p.c4 + c] = sum;
    partial[(tile * 2u + 1u) * p.c4 + c] = product;
{% else %}
    db[c] = partial[c];
    dw[c] = partial[p.c4 + c];
{% endif %}
}
