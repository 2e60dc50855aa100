// Direct convolution for adapters on the CPU. A lane owns {{ pixels }} pixels and {{ quads * 4 }} output channels of each; its
// subgroup covers neighbours, so a lane loads one weight vector for all of them and the others get it by shuffle. No
// barrier, no workgroup memory. The accumulators are scalars by name: the same tile as an array runs ten times
// slower. Sums of four products come innermost, so that an accumulator travels to memory once for four of them; the
// tile is as large as the processor's decoded instruction cache allows.
//   forward      y[p] = b + sum over taps and input channels of x[p * stride + tap - pad] * w
//   input_grad   dx[q] = sum over taps and output channels of dy[(q + pad - tap) / stride] * w; pixels whose
//                coordinates agree modulo the stride use the same taps and are taken together, as one phase
{% from "texels.wgsl" import texels %}
{% include "prelude.wgsl" %}
{% include "texels.wgsl" %}

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
    x_row: u32,
    x_block: u32,
    w_row: u32,
    w_block: u32,
{% if residual %}
    residual: u32, // its vectors; samples repeat
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{{ texels("x", 1) }}
{{ texels("w", 2) }}
{% set sources = 2 %}
{% include "epilogue.wgsl" %}

{% set grad = entry == "input_grad" %}
{% set loads = (quads * 4 + lanes - 1) // lanes %}
@compute @workgroup_size({{ lanes }})
fn {{ entry }}(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let wg = flat_workgroup(id, count);
    if wg >= p.workgroups { return; }
    // Parameters used in loops: the driver would load them for each lane each time.
    let stride = p.stride;
    let pad = p.pad;
    let kernel_h = p.kernel_h;
    let kernel_w = p.kernel_w;
    let src_h = p.src_h;
    let src_w = p.src_w;
    let depth = p.depth;
    let panel_rows = p.panel_rows;
    let x_row = p.x_row;
    let x_block = p.x_block;
    let w_row = p.w_row;
    let w_block = p.w_block;

    let step = {{ "stride" if grad else "1u" }};
    let phase = wg / p.tiles % (step * step);
    let phase_y = phase / step;
    let phase_x = phase % step;
    let quad = wg / (p.tiles * step * step) * {{ quads }}u;
    let grid_h = (p.dst_h - phase_y + step - 1u) / step;
    let grid_w = (p.dst_w - phase_x + step - 1u) / step;
    let pixels = p.images * grid_h * grid_w;
    let first = wg % p.tiles * {{ pixels * lanes }}u + lane;
{% for i in range(pixels) %}
    let is_live{{ i }} = first + {{ i * lanes }}u < pixels;
    let pixel{{ i }} = min(first + {{ i * lanes }}u, max(pixels, 1u) - 1u);
    let row{{ i }} = pixel{{ i }} / grid_w;
    let image{{ i }} = row{{ i }} / grid_h;
    let gy{{ i }} = row{{ i }} % grid_h;
    let gx{{ i }} = pixel{{ i }} % grid_w;
    let sy{{ i }} = i32(gy{{ i }}{{ "" if grad else " * stride" }});
    let sx{{ i }} = i32(gx{{ i }}{{ "" if grad else " * stride" }});
    let base{{ i }} = (i32(image{{ i }} * src_h) + sy{{ i }}) * i32(src_w) + sx{{ i }};
{% for o in range(quads * 4) %}
    var y{{ i }}_{{ o }} = 0.0;
{% endfor %}
{% endfor %}
    // Four rows of the panel by {{ quads }} vectors ({{ quads * 4 }} rows by one for the gradient), spread over the lanes.
{% for j in range(loads) %}
{% if grad %}
    let w_lane{{ j }} = min(quad * 4u + {{ j * lanes }}u + lane, panel_rows - 1u) * w_row;
{% else %}
    let w_column{{ j }} = min(quad + ({{ j * lanes }}u + lane) % {{ quads }}u, p.panel_c4 - 1u);
    let w_lane{{ j }} = ({{ j * lanes }}u + lane) / {{ quads }}u % 4u * w_row + column(w_column{{ j }}, w_block);
{% endif %}
{% endfor %}

    let first_y = {{ "(phase_y + pad) % step" if grad else "0u" }};
    let first_x = {{ "(phase_x + pad) % step" if grad else "0u" }};
    for (var ky = first_y; ky < kernel_h; ky += step) {
        for (var kx = first_x; kx < kernel_w; kx += step) {
{% if grad %}
            let shift_y = i32(phase_y + pad - ky) / i32(step);
            let shift_x = i32(phase_x + pad - kx) / i32(step);
{% else %}
            let shift_y = i32(ky) - i32(pad);
            let shift_x = i32(kx) - i32(pad);
{% endif %}
            let shift = shift_y * i32(src_w) + shift_x;
            let tap = (ky * kernel_w + kx) * panel_rows * w_row;
{% for i in range(pixels) %}
            // Not `&&`: it would branch.
            let is_inside{{ i }} = is_live{{ i }} & (u32(sy{{ i }} + shift_y) < src_h) & (u32(sx{{ i }} + shift_x) < src_w);
            let x_lane{{ i }} = select(0u, u32(base{{ i }} + shift), is_inside{{ i }}) * x_row;
{% endfor %}
            for (var k = 0u; k < depth; k++) {
                let x_column = column(k, x_block);
{% for i in range(pixels) %}
                let x{{ i }} = select(vec4<f32>(), x_at(x_lane{{ i }} + x_column), is_inside{{ i }});
{% endfor %}
                let w_part = tap + {{ "column(k, w_block)" if grad else "k * 4u * w_row" }};
{% for j in range(loads) %}
                let w{{ j }} = w_at(w_part + w_lane{{ j }});
{% endfor %}
{% for o in range(quads * 4) %}
{% for k in range(4) %}
{% if grad %}
                let w{{ o }}_{{ k }} = subgroupShuffle(w{{ o // lanes }}[{{ k }}], {{ o % lanes }}u);
{% else %}
{% set at = k * quads + o // 4 %}
                let w{{ o }}_{{ k }} = subgroupShuffle(w{{ at // lanes }}[{{ o % 4 }}], {{ at % lanes }}u);
{% endif %}
{% endfor %}
{% for i in range(pixels) %}
                y{{ i }}_{{ o }} = y{{ i }}_{{ o }} + x{{ i }}.x * w{{ o }}_0 + x{{ i }}.y * w{{ o }}_1 + x{{ i }}.z * w{{ o }}_2 + x{{ i }}.w * w{{ o }}_3;
{% endfor %}
{% endfor %}
            }
        }
    }

{% if divided %}
    let scale = 1.0 / divisor[0].x;
{% endif %}
{% for q in range(quads) %}
    if quad + {{ q }}u < p.dst_c4 {
{% if bias %}
        let bias{{ q }} = b[quad + {{ q }}u];
{% endif %}
{% for i in range(pixels) %}
        if is_live{{ i }} {
            let at = ((image{{ i }} * p.dst_h + gy{{ i }} * step + phase_y) * p.dst_w + gx{{ i }} * step + phase_x) * p.dst_c4;
            finish(at + quad + {{ q }}u, vec4<f32>(y{{ i }}_{{ q * 4 }}, y{{ i }}_{{ q * 4 + 1 }}, y{{ i }}_{{ q * 4 + 2 }}, y{{ i }}_{{ q * 4 + 3 }}){{ " * scale" if divided }}{{ " + bias" ~ q if bias }});
        }
{% endfor %}
    }
{% endfor %}
}
