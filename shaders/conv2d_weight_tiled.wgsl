// Gradient of a convolution's weight for GPUs. A workgroup computes {{ 256 // columns * vectors * 4 }} rows of the weight, which are all pairs
// of a tap and an input channel, by {{ columns * 4 }} output channels, from {{ chunk }} pixels at a time in workgroup memory; an
// invocation {{ vectors * 4 }} rows by four channels. Workgroups of the same tile take different pixels; their sums are added
// in a fixed order afterwards. The formula stands in conv2d_weight_subgroup.wgsl.
{% include "prelude.wgsl" %}

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
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> d: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

{% set groups = 256 // columns %}
{% set tile = groups * vectors %}
{% set loads = chunk * tile // 256 %}
var<workgroup> xs: array<vec4<f32>, {{ (1 + doubled) * chunk * tile }}>; // [pixel][vector of rows]
var<workgroup> ds: array<vec4<f32>, {{ (1 + doubled) * chunk * columns }}>; // [pixel][column]

@compute @workgroup_size(256)
fn weight_grad(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
    let first_row = wg % p.row_tiles * {{ tile }}u;
    let first_column = wg / p.row_tiles % p.column_tiles * {{ columns }}u;
    let part = wg / (p.row_tiles * p.column_tiles);
    let begin = part * p.share;
    let end = min(begin + p.share, p.pixels);
    let in_h = p.in_h;
    let in_w = p.in_w;
    let out_h = p.out_h;
    let out_w = p.out_w;

    // Neighbours form squares, so that they share what they read.
{% set side = [columns, 8] | min %}
    let column = local / {{ side * groups }}u * {{ side }}u + local % {{ side }}u;
    let group = local / {{ side }}u % {{ groups }}u;

    // The vector of rows this invocation loads, for which pixels,
    let own = first_row + local % {{ tile }}u;
    let tap = own / p.in_c4;
    let shift_y = i32(tap / p.kernel_w) - i32(p.pad);
    let shift_x = i32(tap % p.kernel_w) - i32(p.pad);
    let channel = own % p.in_c4;
{% for i in range(loads) %}
    let ahead{{ i }} = local / {{ tile }}u + {{ i * 256 // tile }}u;
    var out_x{{ i }} = (begin + ahead{{ i }}) % out_w;
    var out_y{{ i }} = (begin + ahead{{ i }}) / out_w % out_h;
    var image{{ i }} = (begin + ahead{{ i }}) / out_w / out_h;
    var x{{ i }} = vec4<f32>();
{% endfor %}
    // and the column of the gradient, of which pixel.
    let d_column = min(first_column + local % {{ columns }}u, p.out_c4 - 1u);
    let d_ahead = local / {{ columns }}u;
    var d0 = vec4<f32>();
{% for v in range(vectors) %}
{% for c in range(4) %}
    var sum{{ v }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}
{# Loads from pixel `at` on, and moves on to the next chunk. #}
{% macro load(at) %}
{% for i in range(loads) %}
        let y{{ i }} = u32(i32(out_y{{ i }} * p.stride) + shift_y);
        let z{{ i }} = u32(i32(out_x{{ i }} * p.stride) + shift_x);
        x{{ i }} = vec4<f32>();
        if {{ at }} + ahead{{ i }} < end && own < p.rows4 && y{{ i }} < in_h && z{{ i }} < in_w {
            x{{ i }} = x[((image{{ i }} * in_h + y{{ i }}) * in_w + z{{ i }}) * p.in_c4 + channel];
        }
        out_x{{ i }} += {{ chunk }}u;
        while out_x{{ i }} >= out_w {
            out_x{{ i }} -= out_w;
            out_y{{ i }}++;
            if out_y{{ i }} >= out_h {
                out_y{{ i }} = 0u;
                image{{ i }}++;
            }
        }
{% endfor %}
        d0 = vec4<f32>();
        if {{ at }} + d_ahead < end{{ " && d_ahead < " ~ chunk ~ "u" if chunk * columns < 256 }} {
            d0 = d[({{ at }} + d_ahead) * p.out_c4 + d_column];
        }
{% endmacro %}
{% macro store(buffer) %}
{% for i in range(loads) %}
        xs[({{ buffer }} * {{ chunk }}u + ahead{{ i }}) * {{ tile }}u + local % {{ tile }}u] = x{{ i }};
{% endfor %}
        {{ "if d_ahead < " ~ chunk ~ "u " if chunk * columns < 256 }}{
            ds[({{ buffer }} * {{ chunk }}u + d_ahead) * {{ columns }}u + local % {{ columns }}u] = d0;
        }
{% endmacro %}

{% if doubled %}
    // The next chunk is on its way while the present one is multiplied, so each has one barrier.
    var buffer = 0u;
    if begin < end {
{{ load("begin") }}
{{ store("0u") }}
    }
    workgroupBarrier();
{% else %}
    let buffer = 0u;
{% endif %}
    for (var at = begin; at < end; at += {{ chunk }}u) {
{% if doubled %}
        if at + {{ chunk }}u < end {
{{ load("at + " ~ chunk ~ "u") }}
        }
{% else %}
{{ load("at") }}
        workgroupBarrier();
{{ store("0u") }}
        workgroupBarrier();
{% endif %}
        let x_tile = buffer * {{ chunk * tile }}u + group;
        let d_tile = buffer * {{ chunk * columns }}u + column;
        for (var i = 0u; i < {{ chunk }}u; i += 8u) {
{% for k in range(8) %}
            {
            let dy = ds[d_tile + i * {{ columns }}u + {{ k * columns }}u];
{% for v in range(vectors) %}
            let from{{ v }} = xs[x_tile + i * {{ tile }}u + {{ k * tile + v * groups }}u];
{% for c in range(4) %}
            sum{{ v }}_{{ c }} += from{{ v }}[{{ c }}] * dy;
{% endfor %}
{% endfor %}
            }
{% endfor %}
        }
{% if doubled %}
        buffer = 1u - buffer;
        if at + {{ chunk }}u < end {
{{ store("buffer") }}
        }
        workgroupBarrier();
{% endif %}
    }

    if first_column + column < p.out_c4 {
{% for v in range(vectors) %}
        let row{{ v }} = first_row + {{ v * groups }}u + group;
        if row{{ v }} < p.rows4 {
            let to = (part * p.rows4 + row{{ v }}) * 4u * p.out_c4 + first_column + column;
{% for c in range(4) %}
            dw[to + {{ c }}u * p.out_c4] = sum{{ v }}_{{ c }};
{% endfor %}
        }
{% endfor %}
    }
}
