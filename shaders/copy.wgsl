// Moving ranges along one axis, one vec4 of the result per invocation.
//   range       y[to + i] = x[start + i] for i < length, else 0
//   concat      y = a, then b
// Along samples or columns whole vec4s move: a value is outer x axis x inner of them. Along channels (entries with
// `_c`) single numbers do.
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    inner: u32,  // vec4s of one step along the axis; along channels those of a pixel of the result
    extent: u32, // of the result along the axis
{% if entry in ["range", "range_c"] %}
    x_extent: u32,
    start: u32,
    to: u32,
    length: u32,
{% else %}
    a_extent: u32,
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads, writes = (["x"] if entry in ["range", "range_c"] else ["a", "b"]), ["y"] %}
{% include "bindings.wgsl" %}

{% for name in reads if entry in ["range_c", "concat_c"] %}
fn channel_of_{{ name }}(pixel: u32, extent: u32, c: u32) -> f32 {
    return {{ name }}[pixel * ((extent + 3u) / 4u) + c / 4u][c % 4u];
}
{% endfor %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
{% if entry == "range" or entry == "concat" %}
    let within = i % p.inner;
    let at = i / p.inner % p.extent;
    let outer = i / p.inner / p.extent;
{% if entry == "range" %}
    var value = vec4<f32>();
    if at >= p.to && at - p.to < p.length {
        value = x[(outer * p.x_extent + at - p.to + p.start) * p.inner + within];
    }
    y[i] = value;
{% else %}
    if at < p.a_extent {
        y[i] = a[(outer * p.a_extent + at) * p.inner + within];
    } else {
        y[i] = b[(outer * (p.extent - p.a_extent) + at - p.a_extent) * p.inner + within];
    }
{% endif %}
{% else %}
    let pixel = i / p.inner;
    var value = vec4<f32>();
    for (var k = 0u; k < 4u; k++) {
        let c = i % p.inner * 4u + k;
{% if entry == "range_c" %}
        if c >= p.to && c - p.to < p.length {
            value[k] = channel_of_x(pixel, p.x_extent, c - p.to + p.start);
        }
{% else %}
        if c < p.a_extent {
            value[k] = channel_of_a(pixel, p.a_extent, c);
        } else if c < p.extent {
            value[k] = channel_of_b(pixel, p.extent - p.a_extent, c - p.a_extent);
        }
{% endif %}
    }
    y[i] = value;
{% endif %}
}
