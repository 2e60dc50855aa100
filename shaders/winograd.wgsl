// Transforms of Winograd's convolutions F({{ m }}x{{ m }}, 3x3): tiles of {{ m }}x{{ m }} results become {{ m + 2 }}x{{ m + 2 }} numbers that are multiplied one
// by one, as so many products of matrices. An invocation owns {{ lanes }} channels of a tile or of a row of filters.
//   filters        u = G w Gt
//   mirrored       the same for the filters that the gradient of the input meets: turned round, channels exchanged;
//                  an invocation owns {{ lanes }} channels of both kinds
//   filters_grad   dw = Gt du G
//   input          v = Bt x B, where x has two pixels more each way than the tile; outside the image it is zero
//   output         y = At m A, then the epilogue
//   output_grad    d = A dy At
// u, v, m and d hold the {{ (m + 2) * (m + 2) }} numbers apart, one matrix each: rows of tiles or input channels, columns of channels.
{% from "texels.wgsl" import texels %}
{% set vector = "vec" ~ lanes ~ "<f32>" %}
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    columns: u32,   // vectors of {{ lanes }} channels of a row
    first: u32,     // tiles before the first of this dispatch
    tiles: u32,     // tiles of this dispatch, or rows of filters
    grid_h: u32,    // tiles down and across an image
    grid_w: u32,
    image_h: u32,   // of x for `input`, of y otherwise
    image_w: u32,
    pad: u32,
{% if entry == "output" and residual %}
    residual: u32,  // its vectors; samples repeat
{% endif %}
}

{% set t = m + 2 %}
{% if m == 2 %}
{% set bt = [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]] %}
{% set g = [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]] %}
{% set at = [[1, 1, 1, 0], [0, 1, -1, -1]] %}
{% else %}
{% set bt = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]] %}
{% set sixth = 1.0 / 6.0 %}
{% set g = [[0.25, 0, 0], [-sixth, -sixth, -sixth], [-sixth, sixth, -sixth], [sixth / 4, sixth / 2, sixth], [sixth / 4, -sixth / 2, sixth], [0, 0, 1]] %}
{% set at = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]] %}
{% endif %}
{# `to[i][j] = sum over k of matrix[i][k] from[k][j]` or, with `across`, `to[j][i] = sum over k of matrix[i][k] from[j][k]`. #}
{% macro multiply(matrix, turned, across, to, from, others) %}
{% for i in range(matrix[0] | length if turned else matrix | length) %}
{% for j in range(others) %}
    let {{ to }}{{ j ~ "_" ~ i if across else i ~ "_" ~ j }} = {% for k in range(matrix | length if turned else matrix[0] | length) if (matrix[k][i] if turned else matrix[i][k]) != 0 %}{% set factor = matrix[k][i] if turned else matrix[i][k] %}{{ "" if loop.first else " + " }}{% if factor == -1 %}-{% elif factor != 1 %}{{ factor | float }} * {% endif %}{{ from }}{{ j ~ "_" ~ k if across else k ~ "_" ~ j }}{% endfor %};
{% endfor %}
{% endfor %}
{% endmacro %}
{# `to = matrix from matrix^T`, where from has `n` rows and columns. #}
{% macro both(matrix, turned, to, from, n) %}
{{ multiply(matrix, turned, false, "half_" ~ to, from, n) }}
{{ multiply(matrix, turned, true, to, "half_" ~ to, matrix[0] | length if turned else matrix | length) }}
{% endmacro %}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "input" and copied %}
{{ texels("x", 1) }}
{% else %}
@group(0) @binding(1) var<storage, read> x: array<{{ vector }}>;
fn x_at(i: u32) -> {{ vector }} {
    return x[i];
}
{% endif %}
{% if entry == "output" %}
{% set sources = 1 %}
{% include "epilogue.wgsl" %}
{% else %}
@group(0) @binding(2) var<storage, read_write> y: array<{{ vector }}>;
{% endif %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let column = i % p.columns;
    let row = i / p.columns;
    let matrix = p.tiles * p.columns;
{% if entry == "filters" %}
{% for ky in range(3) %}
{% for kx in range(3) %}
    let w{{ ky }}_{{ kx }} = x[i + {{ ky * 3 + kx }}u * matrix];
{% endfor %}
{% endfor %}
{{ both(g, false, "u", "w", 3) }}
{% for j in range(t) %}
{% for k in range(t) %}
    y[i + {{ j * t + k }}u * matrix] = u{{ j }}_{{ k }};
{% endfor %}
{% endfor %}
{% elif entry == "mirrored" %}
    // Rows of the result are the output channels of the filters, {{ lanes }} of them here; `columns` their input channels.
    let outputs = p.tiles / {{ lanes }}u;
    let filter_rows = p.columns * {{ lanes }}u;
{% for tap in range(9) %}
{% for r in range(lanes) %}
    let f{{ tap }}_{{ r }} = x[({{ 8 - tap }}u * filter_rows + column * {{ lanes }}u + {{ r }}u) * outputs + row];
{% endfor %}
{% endfor %}
{% for s in range(lanes) %}
    {
{% for ky in range(3) %}
{% for kx in range(3) %}
    let w{{ ky }}_{{ kx }} = {{ vector }}({% for r in range(lanes) %}f{{ ky * 3 + kx }}_{{ r }}[{{ s }}]{{ ", " if not loop.last }}{% endfor %});
{% endfor %}
{% endfor %}
{{ both(g, false, "u", "w", 3) }}
    let to = (row * {{ lanes }}u + {{ s }}u) * p.columns + column;
{% for j in range(t) %}
{% for k in range(t) %}
    y[to + {{ j * t + k }}u * matrix] = u{{ j }}_{{ k }};
{% endfor %}
{% endfor %}
    }
{% endfor %}
{% elif entry == "filters_grad" %}
{% for j in range(t) %}
{% for k in range(t) %}
    let u{{ j }}_{{ k }} = x[i + {{ j * t + k }}u * matrix];
{% endfor %}
{% endfor %}
{{ both(g, true, "w", "u", t) }}
{% for ky in range(3) %}
{% for kx in range(3) %}
    y[i + {{ ky * 3 + kx }}u * matrix] = w{{ ky }}_{{ kx }};
{% endfor %}
{% endfor %}
{% else %}
    let tile = p.first + row;
    let image = tile / (p.grid_h * p.grid_w);
    let tile_y = tile / p.grid_w % p.grid_h * {{ m }}u;
    let tile_x = tile % p.grid_w * {{ m }}u;
{% if entry == "output" %}
{% for j in range(t) %}
{% for k in range(t) %}
    let m{{ j }}_{{ k }} = x[i + {{ j * t + k }}u * matrix];
{% endfor %}
{% endfor %}
{{ both(at, false, "sum", "m", t) }}
{% if divided %}
    let scale = 1.0 / divisor[0].x;
{% endif %}
{% if bias %}
    let bias = b[column];
{% endif %}
{% for j in range(m) %}
{% for k in range(m) %}
    if tile_y + {{ j }}u < p.image_h && tile_x + {{ k }}u < p.image_w {
        let pixel = (image * p.image_h + tile_y + {{ j }}u) * p.image_w + tile_x + {{ k }}u;
        finish(pixel * p.columns + column, sum{{ j }}_{{ k }}{{ " * scale" if divided }}{{ " + bias" if bias }});
    }
{% endfor %}
{% endfor %}
{% else %}
{% set size = t if entry == "input" else m %}
    let columns = p.columns;
    let image_h = p.image_h;
    let image_w = p.image_w;
{% for j in range(size) %}
    let y{{ j }} = tile_y + {{ j }}u - p.pad;
    let x{{ j }} = tile_x + {{ j }}u - p.pad;
{% endfor %}
{% for j in range(size) %}
    let line{{ j }} = (image * image_h + min(y{{ j }}, image_h - 1u)) * image_w;
{% for k in range(size) %}
    // Not `&&`: it would branch.
    let d{{ j }}_{{ k }} = select({{ vector }}(), x_at((line{{ j }} + min(x{{ k }}, image_w - 1u)) * columns + column), (y{{ j }} < image_h) & (x{{ k }} < image_w));
{% endfor %}
{% endfor %}
{{ both(bt, false, "v", "d", t) if entry == "input" else both(at, true, "v", "d", m) }}
{% for j in range(t) %}
{% for k in range(t) %}
    y[i + {{ j * t + k }}u * matrix] = v{{ j }}_{{ k }};
{% endfor %}
{% endfor %}
{% endif %}
{% endif %}
}
