// What groups of neighbouring channels share, from what their channels have. All channels of a sample count equally
// many pixels, so plain means over channels are exact.
//   moments   mean = mean of the means,  variance = mean of the variances + variance of the means
//   sums      y = means of both sums of norm.wgsl's derivative
// One vec4 of channels per invocation; each channel gets its group's number, lanes without a channel get zero.
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    c4: u32,
    c: u32,
    width: u32,  // channels of a group
{% if entry == "sums" %}
    stride: u32, // tiles from one sample to the next
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "moments" %}
{% set reads, writes = ["means", "variances"], ["mean", "variance"] %}
{% else %}
{% set reads, writes = ["partial"], ["y"] %}
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
    let row = i / p.c4;
    let c = i - row * p.c4;
{% if entry == "moments" %}
    let base = row * p.c4;
    var center = vec4<f32>();
    var spread = vec4<f32>();
{% else %}
    let base = ((row / 2u) * p.stride * 2u + row % 2u) * p.c4;
    var total = vec4<f32>();
{% endif %}
    for (var k = 0u; k < 4u; k++) {
        let channel = c * 4u + k;
        if channel >= p.c { continue; }
        let first = channel / p.width * p.width;
        var sum = 0.0;
        for (var j = first; j < first + p.width; j++) {
            sum += {{ "means" if entry == "moments" else "partial" }}[base + j / 4u][j % 4u];
        }
        sum /= f32(p.width);
{% if entry == "moments" %}
        center[k] = sum;
        var square = 0.0;
        for (var j = first; j < first + p.width; j++) {
            let off = means[base + j / 4u][j % 4u] - sum;
            square += variances[base + j / 4u][j % 4u] + off * off;
        }
        spread[k] = square / f32(p.width);
{% else %}
        total[k] = sum;
{% endif %}
    }
{% if entry == "moments" %}
    mean[i] = center;
    variance[i] = spread;
{% else %}
    y[i] = total;
{% endif %}
}
