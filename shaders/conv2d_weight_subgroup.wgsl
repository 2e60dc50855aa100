// Gradient of a convolution's weight for adapters on the CPU: dw[tap][ci][co] = sum over pixels of
// x[p * stride + tap - pad][ci] * dy[p][co]. The rows of the weight are all pairs of a tap and an input channel, so few
// input channels waste nothing. One side of the product lies across the lanes, {{ across }} loads of one vector a lane; the
// other, {{ along }} vectors, is shuffled to all of them. Four pixels come innermost. Workgroups of the same tile take
// different pixels; their sums are added in a fixed order afterwards.
// Here {{ "the weight's rows lie" if swapped else "the output channels lie" }} across the lanes.
{% from "texels.wgsl" import texels %}
{% include "prelude.wgsl" %}
{% include "texels.wgsl" %}

struct Params {
    workgroups: u32,
    row_tiles: u32,
    column_tiles: u32,
    share: u32, // pixels of a workgroup
    pixels: u32,
    stride: u32,
    pad: u32,
    kernel_w: u32,
    in_h: u32,
    in_w: u32,
    in_c4: u32,
    out_h: u32,
    out_w: u32,
    out_c4: u32,
    rows4: u32, // vectors of rows of the weight
    x_row: u32,
    x_block: u32,
    d_row: u32,
    d_block: u32,
    per_out_h: f32,
    per_out_w: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
{{ texels("x", 1) }}
{{ texels("d", 2) }}
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

// Quotient and rest by the reciprocal; the driver divides integers lane by lane.
fn divide(a: u32, b: u32, per_b: f32) -> vec2<u32> {
    let guess = i32(f32(a) * per_b);
    let rest = i32(a) - guess * i32(b);
    let off = select(0, 1, rest >= i32(b)) - select(0, 1, rest < 0);
    return vec2<u32>(u32(guess + off), u32(rest - off * i32(b)));
}

{% set loads = (along * 4 + lanes - 1) // lanes %}
{% set x_loads = across if swapped else loads %}
{% set d_loads = loads if swapped else across %}
@compute @workgroup_size({{ lanes }})
fn weight_grad(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
    let first_row = wg % p.row_tiles * {{ across * lanes if swapped else along }}u;
    let first_column = wg / p.row_tiles % p.column_tiles * {{ along if swapped else across * lanes }}u;
    let part = wg / (p.row_tiles * p.column_tiles);
    let begin = part * p.share;
    let end = min(begin + p.share, p.pixels);
    // Parameters used in loops: the driver would load them for each lane each time.
    let stride = p.stride;
    let in_h = p.in_h;
    let in_w = p.in_w;
    let out_h = p.out_h;
    let out_w = p.out_w;
    let x_row = p.x_row;
    let d_row = p.d_row;
    let per_out_h = p.per_out_h;
    let per_out_w = p.per_out_w;

{% for j in range(x_loads) %}
{% if swapped %}
    let row{{ j }} = first_row + {{ j * lanes }}u + lane;
{% else %}
    let row{{ j }} = first_row + ({{ j * lanes }}u + lane) % {{ along }}u;
    let x_ahead{{ j }} = ({{ j * lanes }}u + lane) / {{ along }}u;
{% endif %}
    let tap{{ j }} = min(row{{ j }}, p.rows4 - 1u) / p.in_c4;
    let shift_y{{ j }} = i32(tap{{ j }} / p.kernel_w) - i32(p.pad);
    let shift_x{{ j }} = i32(tap{{ j }} % p.kernel_w) - i32(p.pad);
    let x_column{{ j }} = column(min(row{{ j }}, p.rows4 - 1u) % p.in_c4, p.x_block);
{% endfor %}
{% for j in range(d_loads) %}
{% if swapped %}
    let column{{ j }} = first_column + ({{ j * lanes }}u + lane) % {{ along }}u;
    let d_ahead{{ j }} = ({{ j * lanes }}u + lane) / {{ along }}u;
{% else %}
    let column{{ j }} = first_column + {{ j * lanes }}u + lane;
{% endif %}
    let d_column{{ j }} = column(min(column{{ j }}, p.out_c4 - 1u), p.d_block);
{% endfor %}
{% for o in range(along * 4) %}
{% for v in range(across * 4) %}
    var s{{ o }}_{{ v }} = 0.0;
{% endfor %}
{% endfor %}

    for (var at = begin; at < end; at += 4u) {
{% macro load_x(name, j, pixel) %}
        let pixel_{{ name }} = {{ pixel }};
        let row_{{ name }} = divide(pixel_{{ name }}, out_w, per_out_w);
        let image_{{ name }} = divide(row_{{ name }}.x, out_h, per_out_h);
        let iy_{{ name }} = i32(image_{{ name }}.y * stride) + shift_y{{ j }};
        let ix_{{ name }} = i32(row_{{ name }}.y * stride) + shift_x{{ j }};
        let is_inside_{{ name }} = (pixel_{{ name }} < end) & (u32(iy_{{ name }}) < in_h) & (u32(ix_{{ name }}) < in_w);
        let source_{{ name }} = u32((i32(image_{{ name }}.x * in_h) + iy_{{ name }}) * i32(in_w) + ix_{{ name }});
        let x_lane_{{ name }} = select(0u, source_{{ name }}, is_inside_{{ name }}) * x_row + x_column{{ j }};
        let x{{ name }} = select(vec4<f32>(), x_at(x_lane_{{ name }}), is_inside_{{ name }});
{% endmacro %}
{% if swapped %}
{% for k in range(4) %}
{% for j in range(across) %}
{{ load_x(k ~ "_" ~ j, j, "at + " ~ k ~ "u") }}
{% endfor %}
{% endfor %}
{% for j in range(loads) %}
        let d{{ j }} = d_at(min(at + d_ahead{{ j }}, end - 1u) * d_row + d_column{{ j }});
{% endfor %}
{% else %}
{% for j in range(loads) %}
{{ load_x(j, j, "at + x_ahead" ~ j) }}
{% endfor %}
{% for k in range(4) %}
{% for j in range(across) %}
        let d{{ k }}_{{ j }} = d_at(min(at + {{ k }}u, end - 1u) * d_row + d_column{{ j }});
{% endfor %}
{% endfor %}
{% endif %}
{% set laid, sent = ("x", "d") if swapped else ("d", "x") %}
{% for o in range(along * 4) %}
{% for k in range(4) %}
{% set from = k * along + o // 4 %}
        let b{{ o }}_{{ k }} = subgroupShuffle({{ sent }}{{ from // lanes }}[{{ o % 4 }}], {{ from % lanes }}u);
{% endfor %}
{% for j in range(across) %}
{% for c in range(4) %}
        s{{ o }}_{{ j * 4 + c }} = s{{ o }}_{{ j * 4 + c }}{% for k in range(4) %} + {{ laid }}{{ k }}_{{ j }}[{{ c }}] * b{{ o }}_{{ k }}{% endfor %};
{% endfor %}
{% endfor %}
{% endfor %}
    }

    let panel = part * p.rows4 * 4u * p.out_c4;
{% if swapped %}
{% for j in range(across) %}
    if row{{ j }} < p.rows4 {
{% for q in range(along) %}
        if first_column + {{ q }}u < p.out_c4 {
{% for c in range(4) %}
            dw[panel + (row{{ j }} * 4u + {{ c }}u) * p.out_c4 + first_column + {{ q }}u] = vec4<f32>(s{{ q * 4 }}_{{ j * 4 + c }}, s{{ q * 4 + 1 }}_{{ j * 4 + c }}, s{{ q * 4 + 2 }}_{{ j * 4 + c }}, s{{ q * 4 + 3 }}_{{ j * 4 + c }});
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
{% else %}
{% for j in range(across) %}
    if column{{ j }} < p.out_c4 {
{% for o in range(along) %}
        if first_row + {{ o }}u < p.rows4 {
{% for c in range(4) %}
            dw[panel + ((first_row + {{ o }}u) * 4u + {{ c }}u) * p.out_c4 + column{{ j }}] = vec4<f32>(s{{ o * 4 + c }}_{{ j * 4 }}, s{{ o * 4 + c }}_{{ j * 4 + 1 }}, s{{ o * 4 + c }}_{{ j * 4 + 2 }}, s{{ o * 4 + c }}_{{ j * 4 + 3 }});
{% endfor %}
        }
{% endfor %}
    }
{% endfor %}
{% endif %}
}
