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
{# Two vectors more: what neighbours write in one go, of four parts each, lies in different banks. #}
{% set x_row = tile + 2 %}
{% set w_row = 4 * columns + 2 %}
{% set loads = 4 * tile // 256 %}
var<workgroup> xs: array<vec4<f32>, {{ (1 + doubled) * 4 * x_row }}>; // [part of depth][pixel]
var<workgroup> ws: array<vec4<f32>, {{ (1 + doubled) * 4 * w_row }}>; // [part of depth][row of four][column]

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
    let depth = p.depth;
    let src_h = p.src_h;
    let src_w = p.src_w;
    let chunks = (taps_y * taps_x * depth + 3u) / 4u;

    // Neighbours form squares, so that they share what they read.
{% set side = [columns, 8] | min %}
    let column = local / {{ side * groups }}u * {{ side }}u + local % {{ side }}u;
    let group = local / {{ side }}u % {{ groups }}u;

    // The part of the depth that this invocation loads, and the first tap it belongs to; then the pixels,
    let own = local % 4u;
    var part = own;
    var tap_y = 0u;
    var tap_x = 0u;
{% for i in range(loads) %}
    let pixel{{ i }} = first + local / 4u + {{ i * 64 }}u;
    let image{{ i }} = pixel{{ i }} / grid_w / max(grid_h, 1u) * src_h;
{% if grad %}
    let at_x{{ i }} = i32(pixel{{ i }} % grid_w) + i32((phase_x + p.pad - first_x) / step);
    let in_y{{ i }} = i32(pixel{{ i }} / grid_w % max(grid_h, 1u)) + i32((phase_y + p.pad - first_y) / step);
{% else %}
    let at_x{{ i }} = i32(pixel{{ i }} % grid_w * p.stride) - i32(p.pad);
    let in_y{{ i }} = i32(pixel{{ i }} / grid_w % max(grid_h, 1u) * p.stride) - i32(p.pad);
{% endif %}
    // Far outside, where there is no pixel.
    let at_y{{ i }} = select(-0x40000000, in_y{{ i }}, pixel{{ i }} < pixels);
    var x{{ i }} = vec4<f32>();
{% endfor %}
    // and the row of four and the column of the weight.
    let w_column = local / 4u % {{ columns }}u;
    let w_lane = local / {{ 4 * columns }}u;
    let from_column = min(first_column + w_column, p.dst_c4 - 1u);
    var w0 = vec4<f32>();
{% for i in range(pixels) %}
    var sum{{ i }} = vec4<f32>();
{% endfor %}
{# Finds the tap of a part of the depth that has moved on. #}
{% macro settle() %}
        while part >= depth {
            part -= depth;
            tap_x++;
            if tap_x >= taps_x {
                tap_x = 0u;
                tap_y++;
            }
        }
{% endmacro %}
{% macro load() %}
{% for i in range(loads) %}
        x{{ i }} = vec4<f32>();
        let y{{ i }} = u32(at_y{{ i }} {{ "-" if grad else "+" }} i32(tap_y));
        let z{{ i }} = u32(at_x{{ i }} {{ "-" if grad else "+" }} i32(tap_x));
        if tap_y < taps_y && y{{ i }} < src_h && z{{ i }} < src_w {
            x{{ i }} = x[((image{{ i }} + y{{ i }}) * src_w + z{{ i }}) * depth + part];
        }
{% endfor %}
        w0 = vec4<f32>();
        if tap_y < taps_y{{ " && w_lane < 4u" if columns < 16 }} {
            let panel = ((first_y + tap_y * step) * p.kernel_w + first_x + tap_x * step) * p.panel_rows;
{% if grad %}
            w0 = w[(panel + from_column * 4u + w_lane) * p.panel_c4 + part];
{% else %}
            w0 = w[(panel + part * 4u + w_lane) * p.panel_c4 + from_column];
{% endif %}
        }
{% endmacro %}
{% macro store(buffer) %}
{% for i in range(loads) %}
        xs[({{ buffer }} * 4u + own) * {{ x_row }}u + local / 4u + {{ i * 64 }}u] = x{{ i }};
{% endfor %}
        {{ "if w_lane < 4u " if columns < 16 }}{
            ws[({{ buffer }} * 4u + own) * {{ w_row }}u + w_lane * {{ columns }}u + w_column] = w0;
        }
{% endmacro %}

{{ settle() }}
{% if doubled %}
    // The next chunk is on its way while the present one is multiplied, so each has one barrier.
    if chunks > 0u {
{{ load() }}
{{ store("0u") }}
    }
    workgroupBarrier();
{% endif %}
    for (var chunk = 0u; chunk < chunks; chunk++) {
{% if doubled %}
        let buffer = chunk % 2u;
        part += 4u;
{{ settle() }}
{{ load() }}
{% else %}
        let buffer = 0u;
{{ load() }}
        part += 4u;
{{ settle() }}
        workgroupBarrier();
{{ store("0u") }}
        workgroupBarrier();
{% endif %}
        let x_tile = buffer * {{ 4 * x_row }}u + group;
        let w_tile = buffer * {{ 4 * w_row }}u + column;
{% for k in range(4) %}
        {
{% for c in range(4) %}
            let row{{ c }} = ws[w_tile + {{ k * w_row + c * columns }}u];
{% endfor %}
{% for i in range(pixels) %}
            let from{{ i }} = xs[x_tile + {{ k * x_row + i * groups }}u];
            // Term by term, so that each is one fused operation.
{% if grad %}
            sum{{ i }} = vec4<f32>(
{% for c in range(4) %}
                sum{{ i }}[{{ c }}]{% for s in range(4) %} + from{{ i }}[{{ s }}] * row{{ c }}[{{ s }}]{% endfor %},
{% endfor %}
            );
{% else %}
            sum{{ i }} = sum{{ i }}{% for s in range(4) %} + from{{ i }}[{{ s }}] * row{{ s }}{% endfor %};
{% endif %}
{% endfor %}
        }
{% endfor %}
{% if doubled %}
{{ store("(1u - buffer)") }}
        workgroupBarrier();
{% endif %}
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
