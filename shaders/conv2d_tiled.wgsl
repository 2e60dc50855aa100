// Direct convolution for GPUs. A workgroup computes {{ 256 // columns * pixels }} pixels by {{ columns * 4 }} output channels; an invocation {{ pixels }}
// pixels of four channels. All pairs of a tap and a vector of source channels are walked four at a time through
// workgroup memory, so few channels waste nothing. What the entries compute stands in conv2d_subgroup.wgsl.
{% include "prelude.wgsl" %}

struct Params {
    workgroups: u32,
    tiles: u32, // of the pixels of a phase
    images: u32,
    stride: u32,
    pad: u32,
    kernel_h: u32,
    kernel_w: u32,
    src_h: u32,
    src_w: u32,
    depth: u32, // vectors of channels of a source pixel
    dst_h: u32,
    dst_w: u32,
    dst_c4: u32,
    panel_rows: u32, // input channels of a tap of the weight
    panel_c4: u32,
{% if residual %}
    residual: u32, // its vectors; samples repeat
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;
{% set sources = 2 %}
{% include "epilogue.wgsl" %}

{% set grad = entry == "input_grad" %}
{% set groups = 256 // columns %}
{% set tile = groups * pixels %}
var<workgroup> xs: array<vec4<f32>, {{ 4 * tile }}>; // [part of depth][pixel]
var<workgroup> ws: array<vec4<f32>, {{ 16 * columns }}>; // [part of depth][row of four][column]

@compute @workgroup_size(256)
fn {{ entry }}(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
    let step = {{ "p.stride" if grad else "1u" }};
    let phase = wg / p.tiles % (step * step);
    let phase_y = phase / step;
    let phase_x = phase % step;
    let first_column = wg / (p.tiles * step * step) * {{ columns }}u;
    let grid_h = (p.dst_h - phase_y + step - 1u) / step;
    let grid_w = max((p.dst_w - phase_x + step - 1u) / step, 1u);
    let pixels = p.images * grid_h * ((p.dst_w - phase_x + step - 1u) / step);
    let first = wg % p.tiles * {{ tile }}u;
    let first_y = {{ "(phase_y + p.pad) % step" if grad else "0u" }};
    let first_x = {{ "(phase_x + p.pad) % step" if grad else "0u" }};
    let taps_y = (p.kernel_h - min(first_y, p.kernel_h) + step - 1u) / step;
    let taps_x = (p.kernel_w - min(first_x, p.kernel_w) + step - 1u) / step;
    let total = taps_y * taps_x * p.depth;

    // The pixel this invocation loads, and the first part of the depth.
    let own = first + local % {{ tile }}u;
    let own_part = local / {{ tile }}u;
    let gy = own / grid_w % max(grid_h, 1u);
    let gx = own % grid_w;
    let image = own / grid_w / max(grid_h, 1u);
    let column = local % {{ columns }}u;
    let group = local / {{ columns }}u;
{% for i in range(pixels) %}
    var sum{{ i }} = vec4<f32>();
{% endfor %}

    for (var chunk = 0u; chunk < total; chunk += 4u) {
        for (var i = 0u; i < {{ 4 * tile // 256 }}u; i++) {
            let part = own_part + i * {{ 256 // tile }}u;
            let at = chunk + part;
            let tap = at / p.depth;
            let ky = first_y + tap / max(taps_x, 1u) * step;
            let kx = first_x + tap % max(taps_x, 1u) * step;
{% if grad %}
            let sy = i32(gy) + i32(phase_y + p.pad - ky) / i32(step);
            let sx = i32(gx) + i32(phase_x + p.pad - kx) / i32(step);
{% else %}
            let sy = i32(gy * p.stride + ky) - i32(p.pad);
            let sx = i32(gx * p.stride + kx) - i32(p.pad);
{% endif %}
            var value = vec4<f32>();
            if own < pixels && at < total && u32(sy) < p.src_h && u32(sx) < p.src_w {
                value = x[((image * p.src_h + u32(sy)) * p.src_w + u32(sx)) * p.depth + at % p.depth];
            }
            xs[part * {{ tile }}u + local % {{ tile }}u] = value;
        }
        if local < {{ 16 * columns }}u {
            let at = chunk + local / {{ 4 * columns }}u;
            let lane = local / {{ columns }}u % 4u;
            let tap = at / p.depth;
            let ky = first_y + tap / max(taps_x, 1u) * step;
            let kx = first_x + tap % max(taps_x, 1u) * step;
            let panel = (ky * p.kernel_w + kx) * p.panel_rows;
            var value = vec4<f32>();
            if at < total && first_column + column < p.dst_c4 {
{% if grad %}
                value = w[(panel + (first_column + column) * 4u + lane) * p.panel_c4 + at % p.depth];
{% else %}
                value = w[(panel + at % p.depth * 4u + lane) * p.panel_c4 + first_column + column];
{% endif %}
            }
            ws[local] = value;
        }
        workgroupBarrier();
{% for part in range(4) %}
        {
{% for c in range(4) %}
            let w{{ c }} = ws[{{ (part * 4 + c) * columns }}u + column];
{% endfor %}
{% for i in range(pixels) %}
            let x{{ i }} = xs[{{ part * tile + i * groups }}u + group];
{% if grad %}
            sum{{ i }} += vec4<f32>(dot(x{{ i }}, w0), dot(x{{ i }}, w1), dot(x{{ i }}, w2), dot(x{{ i }}, w3));
{% else %}
            sum{{ i }} += x{{ i }}.x * w0 + x{{ i }}.y * w1 + x{{ i }}.z * w2 + x{{ i }}.w * w3;
{% endif %}
{% endfor %}
        }
{% endfor %}
        workgroupBarrier();
    }

    if first_column + column < p.dst_c4 {
{% if divided %}
        let scale = 1.0 / divisor[0].x;
{% endif %}
{% if bias %}
        let bias = b[first_column + column];
{% endif %}
{% for i in range(pixels) %}
        let out{{ i }} = first + {{ i * groups }}u + group;
        if out{{ i }} < pixels {
            let row = out{{ i }} / grid_w;
            let to_y = row / grid_h * p.dst_h + row % grid_h * step + phase_y;
            let to_x = out{{ i }} % grid_w * step + phase_x;
            let at = (to_y * p.dst_w + to_x) * p.dst_c4 + first_column + column;
            finish(at, sum{{ i }}{{ " * scale" if divided }}{{ " + bias" if bias }});
        }
{% endfor %}
    }
}
