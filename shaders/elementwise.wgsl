// Element-wise arithmetic, one vec4 per invocation.
//   add           y[i] = a[i] + b[i mod period]
//   add_upsampled y[n, h, w] = a[n, h / 2, w / 2] + b[n, h, w]
//   fold_samples  y[i] = sum over j < period of x[j * items + i]
//   scale         y[i] = factor * x[i]
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
{% if entry == "scale" %}
    factor: f32,
{% elif entry == "add_upsampled" %}
    c4: u32,
    w: u32,
{% else %}
    period: u32,
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads = ["a", "b"] if entry in ["add", "add_upsampled"] else ["x"] %}
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
{% if entry == "add" %}
    y[i] = a[i] + b[i % p.period];
{% elif entry == "add_upsampled" %}
    // Two rows of b and one of a hold as many pixels, so n needs no division: row / 2 counts the rows of a.
    let pixel = i / p.c4;
    let source = pixel / p.w / 2u * (p.w / 2u) + pixel % p.w / 2u;
    y[i] = a[source * p.c4 + i % p.c4] + b[i];
{% elif entry == "fold_samples" %}
    var sum = x[i];
    for (var j = 1u; j < p.period; j++) {
        sum += x[j * p.items + i];
    }
    y[i] = sum;
{% else %}
    y[i] = p.factor * x[i];
{% endif %}
}
