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
var<workgroup> xs: array<vec4<f32>, {{ chunk * tile }}>; // [pixel][vector of rows]
var<workgroup> ds: array<vec4<f32>, {{ chunk * columns }}>; // [pixel][column]

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

    // The vector of rows this invocation loads.
    let own = first_row + local % {{ tile }}u;
    let tap = own / p.in_c4;
    let shift_y = i32(tap / p.kernel_w) - i32(p.pad);
    let shift_x = i32(tap % p.kernel_w) - i32(p.pad);
    let column = local % {{ columns }}u;
    let group = local / {{ columns }}u;
{% for v in range(vectors) %}
{% for c in range(4) %}
    var sum{{ v }}_{{ c }} = vec4<f32>();
{% endfor %}
{% endfor %}

    for (var at = begin; at < end; at += {{ chunk }}u) {
        for (var i = 0u; i < {{ chunk * tile // 256 }}u; i++) {
            let ahead = local / {{ tile }}u + i * {{ 256 // tile }}u;
            let pixel = at + ahead;
            let row = pixel / p.out_w;
            let iy = i32(row % p.out_h * p.stride) + shift_y;
            let ix = i32(pixel % p.out_w * p.stride) + shift_x;
            var value = vec4<f32>();
            if pixel < end && own < p.rows4 && u32(iy) < p.in_h && u32(ix) < p.in_w {
                value = x[((row / p.out_h * p.in_h + u32(iy)) * p.in_w + u32(ix)) * p.in_c4 + own % p.in_c4];
            }
            xs[ahead * {{ tile }}u + local % {{ tile }}u] = value;
        }
        if local < {{ chunk * columns }}u {
            let pixel = at + local / {{ columns }}u;
            var value = vec4<f32>();
            if pixel < end && first_column + column < p.out_c4 {
                value = d[pixel * p.out_c4 + first_column + column];
            }
            ds[local] = value;
        }
        workgroupBarrier();
        for (var i = 0u; i < {{ chunk }}u; i++) {
            let dy = ds[i * {{ columns }}u + column];
{% for v in range(vectors) %}
            let x{{ v }} = xs[i * {{ tile }}u + {{ v * groups }}u + group];
{% for c in range(4) %}
            sum{{ v }}_{{ c }} += x{{ v }}[{{ c }}] * dy;
{% endfor %}
{% endfor %}
        }
        workgroupBarrier();
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
