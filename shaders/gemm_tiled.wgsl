// Products with a convolution weight whose taps stay apart, for GPUs. One matrix for each tap:
//   nn   y[tap][row][d_from + j] = sum over k of x[row][k] * w[tap][k][w_from + j]
//   tn   y[tap][k][w_from + j] (+)= sum over rows of x[row][k] * w[tap][row][d_from + j]
//   nt   y[row][k] (+)= sum over taps and j of x[tap][row][d_from + j] * w[tap][k][w_from + j]
// Of all taps of the weight, those from `first_tap` on take part; what has `d_stride` holds them alone.
//
// A workgroup computes a tile of {{ down * high * 4 }} rows by {{ across * wide * 4 }} columns, an invocation {{ high }} times 4 rows by {{ wide }} times 4 columns of it, which lie
// {{ down * 4 }} rows and {{ across * 4 }} columns apart. Both operands pass through workgroup memory, {{ depth }} terms of the sums at a time, as vectors
// along the result's rows and columns: operands that lie the other way are turned as blocks of 4x4 in registers.
{% if doubled %}
// The next terms are on their way while the present ones are multiplied, so a step has one barrier.
{% endif %}
// Where a result has few tiles, workgroups share the terms of one and leave `parts` sums to gemm_parts.wgsl.
{% include "prelude.wgsl" %}

struct Params {
    workgroups: u32,
    column_tiles: u32,
    row_tiles: u32,
    grid_taps: u32,  // taps whose results are apart
    parts: u32,
    share: u32,      // steps of a part
    steps: u32,
    rows: u32,
    inner4: u32,
    cols4: u32,      // width of the block
    w_stride: u32,   // width of a row of the weight
    w_from: u32,
    d_stride: u32,   // width of a row of the per-tap products
    d_from: u32,
    accumulate: u32,
    first_tap: u32,
    tap_rows: u32,   // rows of x from one tap to the next, where it has rows for each
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
{% if entry != "nn" %}
@group(0) @binding(4) var<storage, read_write> apart: array<vec4<f32>>;
{% endif %}

{% set threads = down * across %}
{% set x_width = down * high %}
{% set w_width = across * wide %}
{# One vector more: eight vectors that are written in one go lie in different banks. #}
{% set x_row = x_width + 1 %}
{% set w_row = w_width + 1 %}
{% set turned_x = entry != "tn" %}
{% set turned_w = entry == "nt" %}
{# Vectors that an invocation brings: turned ones four at once. #}
{% set x_loads = 1 if turned_x else (depth * x_width + threads - 1) // threads %}
{% set w_loads = 1 if turned_w else (depth * w_width + threads - 1) // threads %}
{% set x_bringers = depth // 4 * x_width if turned_x else depth * x_width // x_loads %}
{% set w_bringers = depth // 4 * w_width if turned_w else depth * w_width // w_loads %}
var<workgroup> xs: array<vec4<f32>, {{ (1 + doubled) * depth * x_row }}>; // [term][quad of rows]
var<workgroup> ws: array<vec4<f32>, {{ (1 + doubled) * depth * w_row }}>; // [term][vector of columns]

@compute @workgroup_size({{ threads }})
fn {{ entry }}(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
    let rows = p.rows;
    let inner4 = p.inner4;
    let cols4 = p.cols4;
    let column_tile = wg % p.column_tiles;
    let row_tile = wg / p.column_tiles % p.row_tiles;
    let slice = wg / (p.column_tiles * p.row_tiles);
    let grid_tap = slice % p.grid_taps;
    let part = slice / p.grid_taps;
    let begin = part * p.share;
    let end = min(begin + p.share, p.steps);
    let first_row = row_tile * {{ x_width * 4 }}u;
    let first_column = column_tile * {{ w_width }}u;
    let height = {{ "inner4 * 4u" if entry == "tn" else "rows" }};
    let width = {{ "inner4" if entry == "nt" else "cols4" }};

    // Neighbours form squares, so that they share what they read.
{% set side = [across, 8] | min %}
    let column = local / {{ side * down }}u * {{ side }}u + local % {{ side }}u;
    let quad = local / {{ side }}u % {{ down }}u;

    // What this invocation brings of x,
{% if turned_x %}
    let x_quad = local / {{ depth // 4 }}u;
    let x_term = local % {{ depth // 4 }}u;
{% for r in range(4) %}
{% if entry == "nn" %}
    let x_line{{ r }} = (grid_tap * p.tap_rows + min(first_row + x_quad * 4u + {{ r }}u, rows - 1u)) * inner4;
{% else %}
    let x_line{{ r }} = min(first_row + x_quad * 4u + {{ r }}u, rows - 1u) * p.d_stride + p.d_from;
{% endif %}
{% endfor %}
{% else %}
{% for u in range(x_loads) %}
    let x_term{{ u }} = (local + {{ u * threads }}u) / {{ x_width }}u;
    let x_quad{{ u }} = (local + {{ u * threads }}u) % {{ x_width }}u;
    let x_at{{ u }} = grid_tap * p.tap_rows * inner4 + min(first_row / 4u + x_quad{{ u }}, inner4 - 1u);
{% endfor %}
{% endif %}
    // and of w.
{% if turned_w %}
    let w_local = {{ threads - 1 }}u - local;
    let w_column = w_local / {{ depth // 4 }}u;
    let w_term = w_local % {{ depth // 4 }}u;
    let w_line = (p.first_tap * inner4 + min(first_column + w_column, inner4 - 1u)) * 4u * p.w_stride + p.w_from;
{% else %}
{% for u in range(w_loads) %}
    let w_term{{ u }} = (local + {{ u * threads }}u) / {{ w_width }}u;
    let w_column{{ u }} = (local + {{ u * threads }}u) % {{ w_width }}u;
{% if entry == "nn" %}
    let w_at{{ u }} = (p.first_tap + grid_tap) * inner4 * 4u * p.w_stride + p.w_from + min(first_column + w_column{{ u }}, cols4 - 1u);
{% else %}
    let w_at{{ u }} = grid_tap * rows * p.d_stride + p.d_from + min(first_column + w_column{{ u }}, cols4 - 1u);
{% endif %}
{% endfor %}
{% endif %}
{% for i in range(high * 4) %}
{% for j in range(wide) %}
    var sum{{ i }}_{{ j }} = vec4<f32>();
{% endfor %}
{% endfor %}
{% for u in range(4 if turned_x else x_loads) %}
    var x{{ u }} = vec4<f32>();
{% endfor %}
{% for u in range(4 if turned_w else w_loads) %}
    var w{{ u }} = vec4<f32>();
{% endfor %}
{# Loads the terms of `step`. Beyond the end x repeats its last one, which w, zero there, takes out. #}
{% macro load(step) %}
{% if entry == "nt" %}
        let tap_steps = (cols4 + {{ depth // 4 - 1 }}u) / {{ depth // 4 }}u;
        let tap = ({{ step }}) / tap_steps;
        let tap_step = ({{ step }}) % tap_steps * {{ depth // 4 }}u;
{% endif %}
        {{ "if local < " ~ x_bringers ~ "u " if x_bringers < threads }}{
{% if turned_x %}
{% if entry == "nn" %}
            let term = ({{ step }}) * {{ depth // 4 }}u + x_term;
            let start = min(term, inner4 - 1u);
{% else %}
            let term = tap_step + x_term;
            let start = tap * rows * p.d_stride + min(term, cols4 - 1u);
{% endif %}
{% for r in range(4) %}
            x{{ r }} = x[x_line{{ r }} + start];
{% endfor %}
{% else %}
{% for u in range(x_loads) %}
            let term{{ u }} = ({{ step }}) * {{ depth }}u + x_term{{ u }};
            x{{ u }} = x[x_at{{ u }} + min(term{{ u }}, rows - 1u) * inner4];
{% endfor %}
{% endif %}
        }
        {{ "if " ~ ("w_local" if turned_w else "local") ~ " < " ~ w_bringers ~ "u " if w_bringers < threads }}{
{% if turned_w %}
            let term = tap_step + w_term;
            let start = w_line + tap * inner4 * 4u * p.w_stride + min(term, cols4 - 1u);
{% for r in range(4) %}
            w{{ r }} = select(vec4<f32>(), w[start + {{ r }}u * p.w_stride], term < cols4);
{% endfor %}
{% else %}
{% set terms = "inner4 * 4u" if entry == "nn" else "rows" %}
{% for u in range(w_loads) %}
            let term{{ u }} = ({{ step }}) * {{ depth }}u + w_term{{ u }};
            w{{ u }} = select(vec4<f32>(), w[w_at{{ u }} + min(term{{ u }}, {{ terms }} - 1u) * {{ "p.w_stride" if entry == "nn" else "p.d_stride" }}], term{{ u }} < {{ terms }});
{% endfor %}
{% endif %}
        }
{% endmacro %}
{# Puts what was loaded into buffer number `buffer` of the workgroup memory. #}
{% macro store(buffer) %}
        {{ "if local < " ~ x_bringers ~ "u " if x_bringers < threads }}{
{% if turned_x %}
{% for s in range(4) %}
            xs[(({{ buffer }}) * {{ depth }}u + x_term * 4u + {{ s }}u) * {{ x_row }}u + x_quad] = vec4<f32>(x0[{{ s }}], x1[{{ s }}], x2[{{ s }}], x3[{{ s }}]);
{% endfor %}
{% else %}
{% for u in range(x_loads) %}
            xs[(({{ buffer }}) * {{ depth }}u + x_term{{ u }}) * {{ x_row }}u + x_quad{{ u }}] = x{{ u }};
{% endfor %}
{% endif %}
        }
        {{ "if " ~ ("w_local" if turned_w else "local") ~ " < " ~ w_bringers ~ "u " if w_bringers < threads }}{
{% if turned_w %}
{% for s in range(4) %}
            ws[(({{ buffer }}) * {{ depth }}u + w_term * 4u + {{ s }}u) * {{ w_row }}u + w_column] = vec4<f32>(w0[{{ s }}], w1[{{ s }}], w2[{{ s }}], w3[{{ s }}]);
{% endfor %}
{% else %}
{% for u in range(w_loads) %}
            ws[(({{ buffer }}) * {{ depth }}u + w_term{{ u }}) * {{ w_row }}u + w_column{{ u }}] = w{{ u }};
{% endfor %}
{% endif %}
        }
{% endmacro %}
{% if doubled %}
    if begin < end {
{{ load("begin") }}
{{ store("0u") }}
    }
    workgroupBarrier();
{% endif %}
    for (var step = begin; step < end; step++) {
{% if doubled %}
        let buffer = (step - begin) % 2u;
        if step + 1u < end {
{{ load("step + 1u") }}
        }
{% else %}
        let buffer = 0u;
{{ load("step") }}
        workgroupBarrier();
{{ store("0u") }}
        workgroupBarrier();
{% endif %}
        let x_tile = buffer * {{ depth * x_row }}u + quad;
        let w_tile = buffer * {{ depth * w_row }}u + column;
{% for k in range(depth) %}
        {
{% for g in range(high) %}
            let left{{ g }} = xs[x_tile + {{ k * x_row + g * down }}u];
{% endfor %}
{% for j in range(wide) %}
            let right{{ j }} = ws[w_tile + {{ k * w_row + j * across }}u];
{% for i in range(high * 4) %}
            sum{{ i }}_{{ j }} += left{{ i // 4 }}[{{ i % 4 }}] * right{{ j }};
{% endfor %}
{% endfor %}
        }
{% endfor %}
{% if doubled %}
        if step + 1u < end {
{{ store("1u - buffer") }}
        }
        workgroupBarrier();
{% endif %}
    }

{% for j in range(wide) %}
    let column{{ j }} = first_column + {{ j * across }}u + column;
{% endfor %}
{% for i in range(high * 4) %}
    let row{{ i }} = first_row + (quad + {{ i // 4 * down }}u) * 4u + {{ i % 4 }}u;
    if row{{ i }} < height {
{% if entry == "nn" %}
        let line = (grid_tap * rows + row{{ i }}) * p.d_stride + p.d_from;
{% elif entry == "tn" %}
        let line = ((p.first_tap + grid_tap) * height + row{{ i }}) * p.w_stride + p.w_from;
{% else %}
        let line = row{{ i }} * width;
{% endif %}
{% for j in range(wide) %}
        if column{{ j }} < width {
{% if entry == "nn" %}
            y[line + column{{ j }}] = sum{{ i }}_{{ j }};
{% else %}
            if p.parts > 1u {
                apart[(slice * height + row{{ i }}) * width + column{{ j }}] = sum{{ i }}_{{ j }};
            } else if p.accumulate == 0u {
                y[line + column{{ j }}] = sum{{ i }}_{{ j }};
            } else {
                y[line + column{{ j }}] += sum{{ i }}_{{ j }};
            }
{% endif %}
        }
{% endfor %}
    }
{% endfor %}
}
