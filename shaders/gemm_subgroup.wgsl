// The products of gemm.wgsl for adapters on the CPU, in the manner of conv2d_subgroup.wgsl: operands are texels, a lane
// owns {{ "vectors of columns" if entry == "tn" else "rows" }}, the other operand is loaded once for all lanes and shuffled, sums of four products come innermost.
//   nn   y[tap][row][d_from + j] = sum over k of x[row][k] * w[tap][k][w_from + j]
//   nt   y[row][k] (+)= sum over taps and j of x[tap][row][d_from + j] * w[tap][k][w_from + j]
//   tn   y[tap][k][w_from + j] (+)= sum over rows of x[row][k] * w[tap][row][d_from + j]
// Where it is batched, x of nn and tn has rows for each tap.
{% from "texels.wgsl" import texels %}
{% include "prelude.wgsl" %}
{% include "texels.wgsl" %}

struct Params {
    workgroups: u32,
    tiles: u32,
    quads: u32, // tiles of the result's columns (nn, nt) or of its rows (tn)
    taps: u32,
    rows: u32,
    inner4: u32,
    cols4: u32,
    weight4: u32, // width of a row of the weight
    w_from: u32,
    d_stride: u32,
    d_from: u32,
    accumulate: u32,
    first_tap: u32,
    x_row: u32,
    x_block: u32,
    w_row: u32,
    w_block: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
{{ texels("x", 1) }}
{{ texels("w", 2) }}
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size({{ lanes }})
fn {{ entry }}(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
    // Parameters used in loops: the driver would load them for each lane each time.
    let rows = p.rows;
    let inner4 = p.inner4;
    let cols4 = p.cols4;
    let x_row = p.x_row;
    let x_block = p.x_block;
    let w_row = p.w_row;
    let w_block = p.w_block;
    let first_tap = p.first_tap;
{% if entry == "tn" %}
{% set across = wide %}
{% set along = 4 %}
{% set loads = along * 4 // lanes %}
    let first_k = wg % p.quads * {{ along }}u;
    let first_j = wg / p.quads % p.tiles * {{ across * lanes }}u;
    let tap = wg / (p.quads * p.tiles);
{% for j in range(loads) %}
    let at{{ j }} = {{ j * lanes }}u + lane;
    let x_lane{{ j }} = column(min(first_k + at{{ j }} % {{ along }}u, inner4 - 1u), x_block);
    let ahead{{ j }} = at{{ j }} / {{ along }}u;
{% endfor %}
{% for j in range(across) %}
    let j{{ j }} = first_j + {{ j * lanes }}u + lane;
    let w_lane{{ j }} = column(p.d_from + min(j{{ j }}, cols4 - 1u), w_block);
{% endfor %}
{% for o in range(along * 4) %}
{% for v in range(across * 4) %}
    var s{{ o }}_{{ v }} = 0.0;
{% endfor %}
{% endfor %}
    for (var at = 0u; at < rows; at += 4u) {
{% for j in range(loads) %}
        let row{{ j }} = at + ahead{{ j }};
        let x{{ j }} = select(vec4<f32>(), x_at(({{ "tap * rows + " if batched }}min(row{{ j }}, rows - 1u)) * x_row + x_lane{{ j }}), row{{ j }} < rows);
{% endfor %}
{% for k in range(4) %}
{% for j in range(across) %}
        let d{{ k }}_{{ j }} = w_at((tap * rows + min(at + {{ k }}u, rows - 1u)) * w_row + w_lane{{ j }});
{% endfor %}
{% endfor %}
{% for o in range(along * 4) %}
{% for k in range(4) %}
{% set from = k * along + o // 4 %}
        let b{{ o }}_{{ k }} = subgroupShuffle(x{{ from // lanes }}[{{ o % 4 }}], {{ from % lanes }}u);
{% endfor %}
{% for j in range(across) %}
{% for c in range(4) %}
        s{{ o }}_{{ j * 4 + c }} = s{{ o }}_{{ j * 4 + c }}{% for k in range(4) %} + d{{ k }}_{{ j }}[{{ c }}] * b{{ o }}_{{ k }}{% endfor %};
{% endfor %}
{% endfor %}
{% endfor %}
    }
{% for j in range(across) %}
    if j{{ j }} < cols4 {
{% for o in range(along * 4) %}
        if first_k + {{ o // 4 }}u < inner4 {
            let at{{ o }} = (((first_tap + tap) * inner4 + first_k) * 4u + {{ o }}u) * p.weight4 + p.w_from + j{{ j }};
            let sum{{ o }} = vec4<f32>(s{{ o }}_{{ j * 4 }}, s{{ o }}_{{ j * 4 + 1 }}, s{{ o }}_{{ j * 4 + 2 }}, s{{ o }}_{{ j * 4 + 3 }});
            y[at{{ o }}] = sum{{ o }}{% if batched %} + select(vec4<f32>(), y[at{{ o }}], p.accumulate != 0u){% endif %};
        }
{% endfor %}
    }
{% endfor %}
{% else %}
{% set quads = 8 %}
{% set loads = quads * 4 // lanes %}
    let tile = wg % p.tiles;
    let quad = wg / p.tiles % p.quads * {{ quads }}u;
{% for i in range(wide) %}
    let row{{ i }} = tile * {{ wide * lanes }}u + {{ i * lanes }}u + lane;
    let x_lane{{ i }} = min(row{{ i }}, rows - 1u);
{% for o in range(quads * 4) %}
    var y{{ i }}_{{ o }} = 0.0;
{% endfor %}
{% endfor %}
{% if entry == "nn" %}
    let tap = wg / (p.tiles * p.quads);
    let depth = inner4;
    let x_first = 0u;
{% for i in range(wide) %}
    let x_base{{ i }} = ({{ "tap * rows + " if batched }}x_lane{{ i }}) * x_row;
{% endfor %}
{% for j in range(loads) %}
    let at{{ j }} = {{ j * lanes }}u + lane;
    let w_lane{{ j }} = at{{ j }} / {{ quads }}u * w_row + column(p.w_from + min(quad + at{{ j }} % {{ quads }}u, cols4 - 1u), w_block);
{% endfor %}
{% else %}
    let depth = cols4;
    let x_first = p.d_from;
    let taps = p.taps;
    let w_from = p.w_from;
{% for j in range(loads) %}
    let w_lane{{ j }} = min(quad * 4u + {{ j * lanes }}u + lane, inner4 * 4u - 1u) * w_row;
{% endfor %}
    for (var tap = 0u; tap < taps; tap++) {
{% for i in range(wide) %}
    let x_base{{ i }} = (tap * rows + x_lane{{ i }}) * x_row;
{% endfor %}
{% endif %}
    let w_tap = (first_tap + tap) * inner4 * 4u * w_row;
    for (var k = 0u; k < depth; k++) {
        let x_column = column(x_first + k, x_block);
{% for i in range(wide) %}
        let x{{ i }} = x_at(x_base{{ i }} + x_column);
{% endfor %}
        let w_part = w_tap + {{ "k * 4u * w_row" if entry == "nn" else "column(w_from + k, w_block)" }};
{% for j in range(loads) %}
        let w{{ j }} = w_at(w_part + w_lane{{ j }});
{% endfor %}
{% for o in range(quads * 4) %}
{% for k in range(4) %}
{% if entry == "nt" %}
        let w{{ o }}_{{ k }} = subgroupShuffle(w{{ o // lanes }}[{{ k }}], {{ o % lanes }}u);
{% else %}
{% set from = k * quads + o // 4 %}
        let w{{ o }}_{{ k }} = subgroupShuffle(w{{ from // lanes }}[{{ o % 4 }}], {{ from % lanes }}u);
{% endif %}
{% endfor %}
{% for i in range(wide) %}
        y{{ i }}_{{ o }} = y{{ i }}_{{ o }} + x{{ i }}.x * w{{ o }}_0 + x{{ i }}.y * w{{ o }}_1 + x{{ i }}.z * w{{ o }}_2 + x{{ i }}.w * w{{ o }}_3;
{% endfor %}
{% endfor %}
    }
{% if entry == "nt" %}
    }
{% endif %}
{% for q in range(quads) %}
    if quad + {{ q }}u < {{ "cols4" if entry == "nn" else "inner4" }} {
{% for i in range(wide) %}
        if row{{ i }} < rows {
            let sum = vec4<f32>(y{{ i }}_{{ q * 4 }}, y{{ i }}_{{ q * 4 + 1 }}, y{{ i }}_{{ q * 4 + 2 }}, y{{ i }}_{{ q * 4 + 3 }});
{% if entry == "nn" %}
            y[(tap * rows + row{{ i }}) * p.d_stride + p.d_from + quad + {{ q }}u] = sum;
{% else %}
            let at = row{{ i }} * inner4 + quad + {{ q }}u;
            if p.accumulate == 0u {
                y[at] = sum;
            } else {
                y[at] += sum;
            }
{% endif %}
        }
{% endfor %}
    }
{% endfor %}
{% endif %}
}
