// Convolutions of a label map through its distinct windows: each window is computed once, pixels look it up.
//   rows         rows[win]  = act(b + sum over taps of w[tap][symbol of win at tap])
//   lookup       y[pixel]   = rows[window of pixel]
//   pool         average of the one-hot symbols over 3x3, stride 2, places outside not counted
// and backwards, in two steps over lists sorted by row, so that the order of every sum is fixed:
//   rows_chunk   part[chunk] = sum of the (masked) gradient rows of the chunk's windows
//   rows_weight  dw[tap][channel] = sum of its chunks
//   bias_tile    part[tile]  = sum of 64 (masked) gradient rows
//   bias_sum     db          = sum of the tiles
//   lookup_chunk part[chunk] = sum of dy over the chunk's pixels
//   lookup_sum   drows[win]  = sum of its chunks
// One vec4 of channels per invocation, several for `rows`.
{% from "columns.wgsl" import columns_of %}
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    c4: u32,
{% if entry == "rows" %}
    taps: u32,
    w_rows: u32, // weight rows of a tap: padded input channels
{% elif entry == "rows_weight" %}
    w_rows: u32,
    channels: u32,
{% elif entry == "bias_tile" or entry == "bias_sum" %}
    count: u32,
{% elif entry == "pool" %}
    h: u32,
    w: u32,
    edge: u32, // the edge channel, or more than there are
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "rows" %}
{% set arrays = ["w"] %}
{% set reads = ["w", "b", "t"] if bias else ["w", "t"] %}
{% elif entry == "rows_chunk" %}
{% set reads = ["dy", "rows", "t"] if relu else ["dy", "t"] %}
{% elif entry == "bias_tile" %}
{% set reads = ["dy", "rows"] if relu else ["dy"] %}
{% elif entry == "bias_sum" %}
{% set reads = ["dy"] %}
{% elif entry == "pool" %}
{% set reads = ["t"] %}
{% else %}
{% set reads = ["x", "t"] %}
{% endif %}
{% set writes = ["y"] %}
{% include "bindings.wgsl" %}
{% if entry != "bias_tile" and entry != "bias_sum" %}
{% include "windows.wgsl" %}
{% endif %}

{% if entry == "rows_chunk" or entry == "bias_tile" %}
fn gradient_row(at: u32) -> vec4<f32> {
{% if relu %}
    return select(vec4<f32>(), dy[at], rows[at] > vec4<f32>());
{% else %}
    return dy[at];
{% endif %}
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
{% if entry != "rows" %}
    let row = i / p.c4;
    let c = i % p.c4;
{% endif %}
{% if entry == "rows" %}
    let c4 = p.c4;
    let w_rows = p.w_rows;
    let taps = p.taps;
{{ columns_of("c4", columns) }}
    let win = i / step;
{% for k in range(columns) %}
    var sum{{ k }} = {% if bias %}b[j{{ k }}]{% else %}vec4<f32>(){% endif %};
{% endfor %}
    let edge_row = t[CHANNELS] - 1u;
    let symbols = t[SYMBOLS] + win * taps;
    for (var tap = 0u; tap < taps; tap++) {
        let symbol = t[symbols + tap];
        if symbol != OUTSIDE {
            let base = tap * w_rows;
            let row = (base + (symbol & ID_MASK)) * c4;
{% for k in range(columns) %}
            sum{{ k }} += w_at(row + j{{ k }});
{% endfor %}
            if (symbol & EDGE_BIT) != 0u {
{% for k in range(columns) %}
                sum{{ k }} += w_at((base + edge_row) * c4 + j{{ k }});
{% endfor %}
            }
        }
    }
{% for k in range(columns) %}
    if is_live{{ k }} {
        y[win * c4 + j{{ k }}] = {% if relu %}select(sum{{ k }}, vec4<f32>(), sum{{ k }} <= vec4<f32>()){% else %}sum{{ k }}{% endif %};
    }
{% endfor %}
{% elif entry == "lookup" %}
    y[i] = x[t[t[IDS] + row] * p.c4 + c];
{% elif entry == "rows_chunk" %}
    let span = chunk_items(WINDOWS_OF, row);
    var sum = vec4<f32>();
    for (var at = span.x; at < span.y; at++) {
        sum += gradient_row(t[at] * p.c4 + c);
    }
    y[i] = sum;
{% elif entry == "rows_weight" %}
    let tap = row / p.w_rows;
    let channel = row % p.w_rows;
    var sum = vec4<f32>();
    if channel < p.channels {
        let chunks = row_chunks(WINDOWS_OF, tap * p.channels + channel);
        for (var chunk = chunks.x; chunk < chunks.y; chunk++) {
            sum += x[chunk * p.c4 + c];
        }
    }
    y[i] = sum;
{% elif entry == "bias_tile" %}
    var sum = vec4<f32>();
    for (var at = row * 64u; at < min(row * 64u + 64u, p.count); at++) {
        sum += gradient_row(at * p.c4 + c);
    }
    y[i] = sum;
{% elif entry == "bias_sum" %}
    var sum = vec4<f32>();
    for (var tile = 0u; tile < p.count; tile++) {
        sum += dy[tile * p.c4 + c];
    }
    y[i] = sum;
{% elif entry == "lookup_chunk" %}
    let span = chunk_items(PIXELS_OF, row);
    var sum = vec4<f32>();
    for (var at = span.x; at < span.y; at++) {
        sum += x[t[at] * p.c4 + c];
    }
    y[i] = sum;
{% elif entry == "lookup_sum" %}
    let chunks = row_chunks(PIXELS_OF, row);
    var sum = vec4<f32>();
    for (var chunk = chunks.x; chunk < chunks.y; chunk++) {
        sum += x[chunk * p.c4 + c];
    }
    y[i] = sum;
{% else %}
    let out_w = (p.w + 1u) / 2u;
    let out_h = (p.h + 1u) / 2u;
    let out_x = row % out_w;
    let out_y = (row / out_w) % out_h;
    let image = row / (out_w * out_h) * p.h * p.w;
    let lanes = vec4<u32>(0u, 1u, 2u, 3u) + c * 4u;
    var sum = vec4<f32>();
    var count = 0.0;
    for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
            // One is added so that the left and upper border stay unsigned.
            let y1 = out_y * 2u + ky;
            let x1 = out_x * 2u + kx;
            if y1 >= 1u && y1 <= p.h && x1 >= 1u && x1 <= p.w {
                let symbol = t[image + (y1 - 1u) * p.w + x1 - 1u];
                count += 1.0;
                sum += select(vec4<f32>(), vec4<f32>(1.0), lanes == vec4<u32>(symbol & ID_MASK));
                if (symbol & EDGE_BIT) != 0u {
                    sum += select(vec4<f32>(), vec4<f32>(1.0), lanes == vec4<u32>(p.edge));
                }
            }
        }
    }
    y[i] = sum / count;
{% endif %}
}
