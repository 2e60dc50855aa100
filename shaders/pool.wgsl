// Pooling, one vec4 of channels of the result per invocation. The argument has in_h x in_w pixels.
//   average       y = mean over the pixels of a 3x3 window, stride 2, padding 1, that lie inside
//   average_grad  dx = sum over the windows that hold this pixel of dy / pixels of the window
//   largest       y = maximum of 2x2, stride 2
//   largest_grad  dx = dy at the first pixel of the window that equals y, else 0
{% include "prelude.wgsl" %}
{% include "pixel.wgsl" %}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads = ["dy", "x", "largest_x"] if entry == "largest_grad" else ["x"] %}
{% set writes = ["y"] %}
{% include "bindings.wgsl" %}

{% if entry == "average" or entry == "average_grad" %}
/// Places of window `window` that lie inside: from 2 window - 1 to 2 window + 1, as far as there are.
fn first_inside(window: u32) -> u32 {
    return max(2u * window, 1u) - 1u;
}

fn end_inside(window: u32, size: u32) -> u32 {
    return min(2u * window + 2u, size);
}

fn count_inside(window: u32, size: u32) -> f32 {
    return f32(end_inside(window, size) - first_inside(window));
}
{% endif %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let at = pixel_of(i);
{% if entry == "average" %}
    var sum = vec4<f32>();
    for (var h = first_inside(at.h); h < end_inside(at.h, p.in_h); h++) {
        for (var w = first_inside(at.w); w < end_inside(at.w, p.in_w); w++) {
            sum += x[input_index(at, h, w)];
        }
    }
    y[i] = sum / (count_inside(at.h, p.in_h) * count_inside(at.w, p.in_w));
{% elif entry == "average_grad" %}
    var sum = vec4<f32>();
    for (var h = at.h / 2u; h <= min((at.h + 1u) / 2u, p.in_h - 1u); h++) {
        for (var w = at.w / 2u; w <= min((at.w + 1u) / 2u, p.in_w - 1u); w++) {
            sum += x[input_index(at, h, w)] / (count_inside(h, p.h) * count_inside(w, p.w));
        }
    }
    y[i] = sum;
{% elif entry == "largest" %}
    let above = input_index(at, 2u * at.h, 2u * at.w);
    let below = above + p.in_w * p.c4;
    y[i] = max(max(x[above], x[above + p.c4]), max(x[below], x[below + p.c4]));
{% else %}
    var value = vec4<f32>();
    let h = at.h / 2u;
    let w = at.w / 2u;
    if h < p.in_h && w < p.in_w {
        let window = input_index(at, h, w);
        var is_first = x[i] == largest_x[window];
        for (var k = 0u; k < at.h % 2u * 2u + at.w % 2u; k++) {
            let earlier = ((at.n * p.h + 2u * h + k / 2u) * p.w + 2u * w + k % 2u) * p.c4 + at.c;
            is_first = is_first & (x[earlier] != largest_x[window]);
        }
        value = select(value, dy[window], is_first);
    }
    y[i] = value;
{% endif %}
}
