// Resizing maps, one vec4 of channels of the result per invocation. The argument has in_h x in_w pixels.
//   upsample2     y[2h .. 2h + 2, 2w .. 2w + 2] = x[h, w]; here an invocation owns a pixel of x
//   downsum2      y[h, w] = sum of x[2h .. 2h + 2, 2w .. 2w + 2]
//   nearest       y[h, w] = x[floor(h in_h / out_h), floor(w in_w / out_w)]
//   nearest_grad  sum of dy over the pixels that read this one
//   bilinear      source position (h + 1/2) in_h / out_h - 1/2, not below 0; neighbours end at the border
{% include "prelude.wgsl" %}
{% include "pixel.wgsl" %}

@group(0) @binding(0) var<uniform> p: Params;
{% set reads, writes = ["x"], ["y"] %}
{% include "bindings.wgsl" %}

{% if entry == "nearest_grad" %}
/// The first place whose source, floor(place * sources / readers), is not below `source`.
fn first_reader(source: u32, sources: u32, readers: u32) -> u32 {
    return (source * readers + sources - 1u) / sources;
}
{% elif entry == "bilinear" %}
struct Tap {
    low: u32,
    high: u32,
    share: f32, // of high
}

/// In integers, so that no rounding moves a source position.
fn tap(place: u32, in_size: u32, out_size: u32) -> Tap {
    let position = max((2u * place + 1u) * in_size, out_size) - out_size;
    let low = position / (2u * out_size);
    let share = f32(position % (2u * out_size)) / f32(2u * out_size);
    return Tap(low, min(low + 1u, in_size - 1u), share);
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
{% if entry == "upsample2" or entry == "downsum2" %}
    // Two rows of the large map stand where one of the small map does, so samples need not be told apart.
    let pixel = i / p.c4;
    let row = pixel / p.w;
    let above = (row * 4u * p.w + (pixel - row * p.w) * 2u) * p.c4 + i - pixel * p.c4;
    let below = above + 2u * p.w * p.c4;
{% else %}
    let at = pixel_of(i);
{% endif %}
{% if entry == "upsample2" %}
    let value = x[i];
    y[above] = value;
    y[above + p.c4] = value;
    y[below] = value;
    y[below + p.c4] = value;
{% elif entry == "downsum2" %}
    y[i] = (x[above] + x[above + p.c4]) + (x[below] + x[below + p.c4]);
{% elif entry == "nearest" %}
    y[i] = x[input_index(at, at.h * p.in_h / p.h, at.w * p.in_w / p.w)];
{% elif entry == "nearest_grad" %}
    var sum = vec4<f32>();
    for (var h = first_reader(at.h, p.h, p.in_h); h < first_reader(at.h + 1u, p.h, p.in_h); h++) {
        for (var w = first_reader(at.w, p.w, p.in_w); w < first_reader(at.w + 1u, p.w, p.in_w); w++) {
            sum += x[input_index(at, h, w)];
        }
    }
    y[i] = sum;
{% else %}
    let row = tap(at.h, p.in_h, p.h);
    let column = tap(at.w, p.in_w, p.w);
    let top = input_index(at, row.low, 0u);
    let bottom = input_index(at, row.high, 0u);
    let left = column.low * p.c4;
    let right = column.high * p.c4;
    let above = mix(x[top + left], x[top + right], column.share);
    let below = mix(x[bottom + left], x[bottom + right], column.share);
    y[i] = mix(above, below, row.share);
{% endif %}
}
