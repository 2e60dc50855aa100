// Products of 16-bit rows with the taps of a 16-bit convolution weight, on the units of a GPU that multiply small matrices:
//   y[tap][row][d_from + j] = sum over k of x[row][k] * w[tap][k][w_from + j]
// Sums are kept in 32 bits.
//
// A workgroup computes 64 rows by 64 columns in four blocks of 32 by 32, a subgroup one block at a time in matrices of
// {{ side }} by {{ side }}. However many subgroups a workgroup has, all of them bring operands, {{ depth }} terms of the
// sums at a time: what is next is on its way while the present is multiplied. Operands pass through workgroup memory, zero
// beyond the last term, and so do results, so that matrices may reach beyond both.
//
// Matrices in workgroup memory lie row by row. Where they begin and how far their rows lie apart are multiples of 16 bytes.
{% if emulated %}
//
// This variant stands in for the other where there are no such units: a subgroup is {{ emulated }} neighbours, an operand is
// where it lies, and each lane computes its share of a sum's numbers from there.
{% else %}
enable wgpu_cooperative_matrix;
// Blocks differ among subgroups, but each is the same for all lanes of one, which is what the matrices need.
diagnostic(off, derivative_uniformity);
{% endif %}
enable f16;
{% include "prelude.wgsl" %}

struct Params {
    workgroups: u32,
    column_tiles: u32,
    row_tiles: u32,
    steps: u32,
    rows: u32,
    inner4: u32,
    cols4: u32,      // width of the block of columns
    w_stride: u32,   // width of a row of the weight
    w_from: u32,
    d_stride: u32,   // width of a row of the products
    d_from: u32,
    first_tap: u32,
    tap_rows: u32,   // rows of x from one tap to the next, where it has rows for each
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

{% set threads = 128 %}
{% set edge = 64 %}
{% set half = 32 %}
{% set area = side * side %}
{% set matrices = half // side %}
{# Eight numbers more than there are, so that rows begin in different banks. #}
{% set x_row = depth + 8 %}
{% set w_row = edge + 8 %}
{% set x_quads = depth // 4 %}
{% set w_quads = edge // 4 %}
{% set x_loads = edge * x_quads // threads %}
{% set w_loads = depth * w_quads // threads %}
var<workgroup> xs: array<f16, {{ edge * x_row }}>;  // [row][term]
var<workgroup> ws: array<f16, {{ depth * w_row }}>; // [term][column]
var<workgroup> sums: array<f32, {{ 4 * area }}>;    // a matrix of each block

{% if emulated %}
{% set share = area // emulated %}
alias Sum = array<f32, {{ share }}>;

fn load_sum(at: u32, lane: u32) -> Sum {
    var sum: Sum;
    for (var i = 0u; i < {{ share }}u; i++) {
        sum[i] = sums[at + i * {{ emulated }}u + lane];
    }
    return sum;
}

fn multiply_add(x_at: u32, w_at: u32, before: Sum, lane: u32) -> Sum {
    var sum = before;
    for (var i = 0u; i < {{ share }}u; i++) {
        let row = (i * {{ emulated }}u + lane) / {{ side }}u;
        let column = (i * {{ emulated }}u + lane) % {{ side }}u;
        for (var k = 0u; k < {{ side }}u; k++) {
            sum[i] += f32(xs[x_at + row * {{ x_row }}u + k]) * f32(ws[w_at + k * {{ w_row }}u + column]);
        }
    }
    return sum;
}

fn store_sum(sum: Sum, at: u32, lane: u32) {
    var numbers = sum;
    for (var i = 0u; i < {{ share }}u; i++) {
        sums[at + i * {{ emulated }}u + lane] = numbers[i];
    }
}
{% endif %}
{% set matrix = "coop_mat" ~ side ~ "x" ~ side %}
{% macro load_x(at) %}{{ at if emulated else "coopLoadT<" ~ matrix ~ "<f16, A>>(&xs[" ~ at ~ "], " ~ x_row ~ "u)" }}{% endmacro %}
{% macro load_w(at) %}{{ at if emulated else "coopLoadT<" ~ matrix ~ "<f16, B>>(&ws[" ~ at ~ "], " ~ w_row ~ "u)" }}{% endmacro %}
{% macro load_sum(at) %}{{ "load_sum(" ~ at ~ ", lane)" if emulated else "coopLoadT<" ~ matrix ~ "<f32, C>>(&sums[" ~ at ~ "], " ~ side ~ "u)" }}{% endmacro %}
{% macro multiply_add(a, b, c) %}{{ "multiply_add(" ~ a ~ ", " ~ b ~ ", " ~ c ~ ", lane)" if emulated else "coopMultiplyAdd(" ~ a ~ ", " ~ b ~ ", " ~ c ~ ")" }}{% endmacro %}
{% macro store_sum(sum, at) %}{{ "store_sum(" ~ sum ~ ", " ~ at ~ ", lane)" if emulated else "coopStoreT(" ~ sum ~ ", &sums[" ~ at ~ "], " ~ side ~ "u)" }}{% endmacro %}

@compute @workgroup_size({{ threads }})
fn {{ entry }}(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
{% if not emulated %}
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
{% endif %}
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
{% if emulated %}
    let lane = local % {{ emulated }}u;
    let subgroup = local / {{ emulated }}u;
    let subgroups = {{ threads // emulated }}u;
{% endif %}
    let rows = p.rows;
    let inner4 = p.inner4;
    let cols4 = p.cols4;
    let tap = wg / (p.column_tiles * p.row_tiles);
    let first_row = wg / p.column_tiles % p.row_tiles * {{ edge }}u;
    let first_column = wg % p.column_tiles * {{ w_quads }}u;

    // What this invocation brings.
{% for u in range(x_loads) %}
    let x_row{{ u }} = (local + {{ u * threads }}u) / {{ x_quads }}u;
    let x_term{{ u }} = (local + {{ u * threads }}u) % {{ x_quads }}u;
    let x_line{{ u }} = (tap * p.tap_rows + min(first_row + x_row{{ u }}, rows - 1u)) * inner4;
    let x_to{{ u }} = x_row{{ u }} * {{ x_row }}u + x_term{{ u }} * 4u;
    var x{{ u }} = vec4<f16>();
{% endfor %}
{% for u in range(w_loads) %}
    let w_term{{ u }} = (local + {{ u * threads }}u) / {{ w_quads }}u;
    let w_column{{ u }} = (local + {{ u * threads }}u) % {{ w_quads }}u;
    let w_line{{ u }} = (p.first_tap + tap) * inner4 * 4u * p.w_stride + p.w_from + min(first_column + w_column{{ u }}, cols4 - 1u);
    let w_to{{ u }} = w_term{{ u }} * {{ w_row }}u + w_column{{ u }} * 4u;
    var w{{ u }} = vec4<f16>();
{% endfor %}
{% macro bring(step) %}
{% for u in range(x_loads) %}
            let x_at{{ u }} = ({{ step }}) * {{ x_quads }}u + x_term{{ u }};
            x{{ u }} = vec4<f16>(select(vec4<f32>(), x[x_line{{ u }} + min(x_at{{ u }}, inner4 - 1u)], x_at{{ u }} < inner4));
{% endfor %}
{% for u in range(w_loads) %}
            let w_at{{ u }} = ({{ step }}) * {{ depth }}u + w_term{{ u }};
            w{{ u }} = vec4<f16>(select(vec4<f32>(), w[w_line{{ u }} + min(w_at{{ u }}, inner4 * 4u - 1u) * p.w_stride], w_at{{ u }} < inner4 * 4u));
{% endfor %}
{% endmacro %}
    for (var round = 0u; round * subgroups < 4u; round++) {
        let block = round * subgroups + subgroup;
        let has_block = block < 4u;
        let top = block / 2u * {{ half }}u;
        let left = block % 2u * {{ half }}u;
        // A matrix of zeros.
        for (var i = local; i < {{ area }}u; i += {{ threads }}u) {
            sums[i] = 0.0;
        }
        workgroupBarrier();
{% for i in range(matrices) %}
{% for j in range(matrices) %}
        var sum{{ i }}_{{ j }} = {{ load_sum("0u") }};
{% endfor %}
{% endfor %}
        {
{{ bring("0u") }}
        }
        for (var step = 0u; step < p.steps; step++) {
            workgroupBarrier();
{% for u in range(x_loads) %}
{% for s in range(4) %}
            xs[x_to{{ u }} + {{ s }}u] = x{{ u }}[{{ s }}];
{% endfor %}
{% endfor %}
{% for u in range(w_loads) %}
{% for s in range(4) %}
            ws[w_to{{ u }} + {{ s }}u] = w{{ u }}[{{ s }}];
{% endfor %}
{% endfor %}
            workgroupBarrier();
            if step + 1u < p.steps {
{{ bring("step + 1u") }}
            }
            if has_block {
{% for k in range(depth // side) %}
                {
{% for i in range(matrices) %}
                    let a{{ i }} = {{ load_x("(top + " ~ (i * side) ~ "u) * " ~ x_row ~ "u + " ~ (k * side) ~ "u") }};
{% endfor %}
{% for j in range(matrices) %}
                    let b{{ j }} = {{ load_w((k * side * w_row) ~ "u + left + " ~ (j * side) ~ "u") }};
{% for i in range(matrices) %}
                    sum{{ i }}_{{ j }} = {{ multiply_add("a" ~ i, "b" ~ j, "sum" ~ i ~ "_" ~ j) }};
{% endfor %}
{% endfor %}
                }
{% endfor %}
            }
        }
        // One matrix of each block at a time.
{% for i in range(matrices) %}
{% for j in range(matrices) %}
        workgroupBarrier();
        if has_block {
            {{ store_sum("sum" ~ i ~ "_" ~ j, "block * " ~ area ~ "u") }};
        }
        workgroupBarrier();
        for (var item = local; item < {{ area }}u; item += {{ threads }}u) {
            let owner = item / {{ area // 4 }}u;
            let at = item % {{ area // 4 }}u;
            let row = first_row + owner / 2u * {{ half }}u + {{ i * side }}u + at / {{ side // 4 }}u;
            let column = first_column + owner % 2u * {{ half // 4 }}u + {{ j * side // 4 }}u + at % {{ side // 4 }}u;
            if owner / subgroups == round && row < rows && column < cols4 {
                let first = item * 4u;
                y[(tap * rows + row) * p.d_stride + p.d_from + column] = vec4<f32>(sums[first], sums[first + 1u], sums[first + 2u], sums[first + 3u]);
            }
        }
{% endfor %}
{% endfor %}
        workgroupBarrier();
    }
}
