// The SPADE layer on label windows, for one block of output channels (`from` .. `from + cols`, in vec4):
//   table    gb[win]  = bias + sum over taps of products[tap][lower window at tap]; gamma then beta
//            with `keep`, into the row of a kept table that `rows_of` says
//   apply    y[pixel] = act(normalised x[pixel] * (1 + gamma[win]) + beta[win])
//   spread   dn[pixel of x] = sum over its pixels of d * (1 + gamma[win])      d = dy * act'(y)
//   chunk    part[chunk] = sums of d * normalised x, and of d, over the chunk's pixels
//   bias     db_gamma, db_beta = sum of tiles
//   taps     gradient of products: sums of the gradient rows of the windows that read it, a chunk after the other
//   taps_chunk, taps_sum   the same in two dispatches, for adapters that want many invocations
// With `up`, x has half the size of y and is read at [y / 2, x / 2].
{% from "columns.wgsl" import columns_of %}
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    cols: u32,
{% if entry == "table" %}
    taps: u32,
    lower: u32,   // rows of a tap: windows of the lower table
    from_c: u32,
    first_tap: u32, // of this pass; a further one starts from what is there, the first from the bias
    end_tap: u32,
{% if keep is defined %}
    c4: u32,
    rows: u32,    // of the kept table
{% endif %}
{% elif entry == "apply" or entry == "spread" or entry == "chunk" %}
    from_c: u32,
    c4: u32,
    h: u32,       // of y
    w: u32,
    eps: f32,
{% if keep is defined %}
    rows: u32,    // of the kept table
{% endif %}
{% elif entry == "bias" %}
    tiles: u32,
    from_c: u32,
{% else %}
    first_row: u32, // of the pass: rows of a table of windows by tap and channel
    rows: u32,
{% endif %}
}

@group(0) @binding(0) var<uniform> p: Params;
{% if entry == "table" %}
{% set arrays = ["products"] + ([] if further else ["b_gamma", "b_beta"] if beta else ["b_gamma"]) %}
{% set reads = arrays + ["t"] + (["rows_of"] if keep is defined else []) %}
{% set writes = ["gb"] %}
{% elif entry == "apply" %}
{% set arrays = ["gb"] + (["x"] if up else []) %}
{% set reads = arrays + ([] if up else ["x"]) + ["mean", "variance", "t"] %}
{% set writes = ["y"] %}
{% elif entry == "spread" %}
{% set arrays = ["gb"] %}
{% set reads = arrays + ["dy"] + (["y"] if leaky else []) + (["variance"] if given else []) + ["t"] %}
{% set writes = ["dn"] %}
{% elif entry == "chunk" %}
{% set reads = ["dy"] + (["y"] if leaky else []) + ["x", "mean", "variance", "t"] %}
{% set writes = ["part"] %}
{% elif entry == "bias" %}
{% set reads = ["part"] %}
{% set writes = ["db_gamma", "db_beta"] %}
{% else %}
{% set arrays = ["rows"] %}
{% set reads = arrays + ["t"] %}
{% set writes = ["sums"] %}
{% endif %}
{% include "bindings.wgsl" %}
{% if entry != "bias" %}
{% include "windows.wgsl" %}
{% endif %}

{% if entry == "apply" or entry == "chunk" or (entry == "spread" and given) %}
fn inverse_deviation(stat: u32) -> vec4<f32> {
{% if clamp %}
    return 1.0 / sqrt(max(variance[stat], vec4<f32>(p.eps)));
{% else %}
    return 1.0 / sqrt(variance[stat] + p.eps);
{% endif %}
}
{% endif %}
{% if entry == "apply" or entry == "chunk" %}
// The pixel of x that a pixel of y reads.
fn source_of(pixel: u32, image_w: u32) -> u32 {
{% if up %}
    // Two rows of y read one of x, so images need no division: row / 2 counts the rows of x.
    return pixel / image_w / 2u * (image_w / 2u) + pixel % image_w / 2u;
{% else %}
    return pixel;
{% endif %}
}

struct Scale {
    mean: vec4<f32>,
    inverse: vec4<f32>,
}

fn scale_of(image: u32, c: u32) -> Scale {
    let stat = {{ "image * p.c4 + c" if per_sample else "c" }};
    return Scale(mean[stat], inverse_deviation(stat));
}
{% endif %}
{% if entry == "spread" or entry == "chunk" %}
fn activation_grad(at: u32) -> vec4<f32> {
{% if leaky %}
    return dy[at] * select(vec4<f32>(0.2), vec4<f32>(1.0), y[at] > vec4<f32>());
{% else %}
    return dy[at];
{% endif %}
}
{% endif %}

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
{% if entry == "table" %}
    let cols = p.cols;
    let width = {{ "2u * cols" if beta else "cols" }};
{{ columns_of("width", columns) }}
    let win = i / step;
    let to = {{ "rows_of[win] * p.c4 + p.from_c" if keep is defined else "win * width" }};
{% for k in range(columns) %}
    let at{{ k }} = to + {{ "j" ~ k ~ " / cols * p.rows * p.c4 + j" ~ k ~ " % cols" if keep is defined else "j" ~ k }};
{% if further %}
    var sum{{ k }} = gb[at{{ k }}];
{% elif beta %}
    let bias{{ k }} = p.from_c + select(j{{ k }} - cols, j{{ k }}, j{{ k }} < cols);
    var sum{{ k }} = select(b_beta_at(bias{{ k }}), b_gamma_at(bias{{ k }}), j{{ k }} < cols);
{% else %}
    var sum{{ k }} = b_gamma_at(p.from_c + j{{ k }});
{% endif %}
{% endfor %}
    let first_tap = p.first_tap;
    let end_tap = p.end_tap;
    let lower = p.lower;
    let symbols = t[SYMBOLS] + win * p.taps;
    for (var tap = first_tap; tap < end_tap; tap++) {
        let symbol = t[symbols + tap];
        if symbol != OUTSIDE {
            let row = ((tap - first_tap) * lower + (symbol & ID_MASK)) * width;
{% for k in range(columns) %}
            sum{{ k }} += products_at(row + j{{ k }});
{% endfor %}
        }
    }
{% for k in range(columns) %}
    if is_live{{ k }} { gb[at{{ k }}] = sum{{ k }}; }
{% endfor %}
{% elif entry == "apply" %}
    // An invocation takes {{ pixels }} pixels one after the other in one image.
    let cols = p.cols;
    let c4 = p.c4;
    let image_w = p.w;
    let image_pixels = p.h * image_w;
{{ columns_of("cols", columns) }}
    let runs = (image_pixels + {{ pixels - 1 }}u) / {{ pixels }}u;
    let image = i / step / runs;
    let from_pixel = i / step % runs * {{ pixels }}u;
    let first = image * image_pixels;
{% if keep is defined %}
    let ids = first;
    let width = c4;
    let beta = p.rows * c4;
{% else %}
    let ids = t[IDS] + first;
    let width = 2u * cols;
    let beta = cols;
{% endif %}
{% for k in range(columns) %}
    let c{{ k }} = p.from_c + j{{ k }};
    let scale{{ k }} = scale_of(image, c{{ k }});
{% endfor %}
    for (var pixel = from_pixel; pixel < min(from_pixel + {{ pixels }}u, image_pixels); pixel++) {
        let source = source_of(first + pixel, image_w) * c4;
        let row = t[ids + pixel] * width;
        let to = (first + pixel) * c4;
{% for k in range(columns) %}
        let normalised{{ k }} = ({{ "x_at(source + c" ~ k ~ ")" if up else "x[source + c" ~ k ~ "]" }} - scale{{ k }}.mean) * scale{{ k }}.inverse;
        let v{{ k }} = normalised{{ k }} * (1.0 + gb_at(row + j{{ k }})) + gb_at(row + beta + j{{ k }});
        if is_live{{ k }} {
            y[to + c{{ k }}] = {% if leaky %}select(v{{ k }}, 0.2 * v{{ k }}, v{{ k }} <= vec4<f32>()){% else %}v{{ k }}{% endif %};
        }
{% endfor %}
    }
{% elif entry == "spread" %}
    let cols = p.cols;
    let c4 = p.c4;
{{ columns_of("cols", columns) }}
    let pixel = i / step; // of x
    let ids = t[IDS];
{% if up %}
    let image_w = p.w;
    let half_w = image_w / 2u;
    let first = pixel / half_w * 2u * image_w + pixel % half_w * 2u;
{% endif %}
{% for k in range(columns) %}
    let c{{ k }} = p.from_c + j{{ k }};
    var sum{{ k }} = vec4<f32>();
{% endfor %}
    for (var n = 0u; n < {{ 4 if up else 1 }}u; n++) {
        let at = {{ "first + n / 2u * image_w + n % 2u" if up else "pixel" }};
        let row = t[ids + at] * cols;
{% for k in range(columns) %}
        sum{{ k }} += activation_grad(at * c4 + c{{ k }}) * (1.0 + gb_at(row + j{{ k }}));
{% endfor %}
    }
{% for k in range(columns) %}
{% if given %}
    if is_live{{ k }} { dn[pixel * c4 + c{{ k }}] = sum{{ k }} * inverse_deviation(c{{ k }}); }
{% else %}
    // The deviation is applied with the rest of the derivative of the normalisation.
    if is_live{{ k }} { dn[pixel * c4 + c{{ k }}] = sum{{ k }}; }
{% endif %}
{% endfor %}
{% elif entry == "chunk" %}
    let cols = p.cols;
    let c4 = p.c4;
    let image_w = p.w;
{% if per_sample %}
    let image_pixels = p.h * image_w;
{% endif %}
{{ columns_of("cols", columns) }}
    let chunk = i / step;
    let span = chunk_items(PIXELS_OF, chunk);
{% for k in range(columns) %}
    let c{{ k }} = p.from_c + j{{ k }};
    var d_gamma{{ k }} = vec4<f32>();
    var d_beta{{ k }} = vec4<f32>();
{% if not per_sample %}
    let scale{{ k }} = scale_of(0u, c{{ k }});
{% endif %}
{% endfor %}
    for (var at = span.x; at < span.y; at++) {
        let pixel = t[at];
        let source = source_of(pixel, image_w) * c4;
{% for k in range(columns) %}
{% if per_sample %}
        let scale{{ k }} = scale_of(pixel / image_pixels, c{{ k }});
{% endif %}
        let d{{ k }} = activation_grad(pixel * c4 + c{{ k }});
        d_gamma{{ k }} += d{{ k }} * (x[source + c{{ k }}] - scale{{ k }}.mean) * scale{{ k }}.inverse;
        d_beta{{ k }} += d{{ k }};
{% endfor %}
    }
{% for k in range(columns) %}
    if is_live{{ k }} {
        part[chunk * 2u * cols + j{{ k }}] = d_gamma{{ k }};
        part[chunk * 2u * cols + cols + j{{ k }}] = d_beta{{ k }};
    }
{% endfor %}
{% elif entry == "bias" %}
    var sum = vec4<f32>();
    for (var tile = 0u; tile < p.tiles; tile++) {
        sum += part[tile * 2u * p.cols + i];
    }
    if i < p.cols {
        db_gamma[p.from_c + i] = sum;
    } else {
        db_beta[p.from_c + i - p.cols] = sum;
    }
{% else %}
    let width = 2u * p.cols;
{{ columns_of("width", columns) }}
{% for k in range(columns) %}
    var sum{{ k }} = vec4<f32>();
{% endfor %}
{% if entry == "taps" %}
    let chunks = row_chunks(WINDOWS_OF, p.first_row + i / step);
    for (var chunk = chunks.x; chunk < chunks.y; chunk++) {
        let span = chunk_items(WINDOWS_OF, chunk);
{% for k in range(columns) %}
        var part{{ k }} = vec4<f32>();
{% endfor %}
        for (var at = span.x; at < span.y; at++) {
            let row = t[at] * width;
{% for k in range(columns) %}
            part{{ k }} += rows_at(row + j{{ k }});
{% endfor %}
        }
{% for k in range(columns) %}
        sum{{ k }} += part{{ k }};
{% endfor %}
{% else %}
    let before = row_chunks(WINDOWS_OF, p.first_row).x;
{% if entry == "taps_chunk" %}
    let chunk = before + i / step;
    if chunk >= row_chunks(WINDOWS_OF, p.first_row + p.rows - 1u).y { return; }
    let span = chunk_items(WINDOWS_OF, chunk);
    for (var at = span.x; at < span.y; at++) {
        let row = t[at] * width;
{% else %}
    let chunks = row_chunks(WINDOWS_OF, p.first_row + i / step);
    for (var chunk = chunks.x; chunk < chunks.y; chunk++) {
        let row = (chunk - before) * width;
{% endif %}
{% for k in range(columns) %}
        sum{{ k }} += rows_at(row + j{{ k }});
{% endfor %}
{% endif %}
    }
{% for k in range(columns) %}
    if is_live{{ k }} { sums[i / step * width + j{{ k }}] = sum{{ k }}; }
{% endfor %}
{% endif %}
}
