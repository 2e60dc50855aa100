// The SPADE layer on label windows, for one block of output channels (`from` .. `from + cols`, in vec4):
//   table    gb[win]  = bias + sum over taps of products[tap][lower window at tap]; gamma then beta
//            with `keep`, into the row of a kept table that `rows_of` says
//   apply    y[pixel] = act(normalised x[pixel] * (1 + gamma[win]) + beta[win])
//   spread   dn[pixel of x] = sum over its pixels of d * (1 + gamma[win])      d = dy * act'(y)
//   chunk    part[chunk] = sums of d * normalised x, and of d, over the chunk's pixels
//   bias     db_gamma, db_beta = sum of tiles
//   taps_chunk, taps_sum   gradient of products: sums of the gradient rows of the windows that read it
// With `up`, x has half the size of y and is read at [y / 2, x / 2].
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    cols: u32,
{% if entry == "table" %}
    taps: u32,
    lower: u32,   // rows of a tap: windows of the lower table
    from_c: u32,
    first_tap: u32, // of this pass; the first pass starts from the bias
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
    pixels: u32,  // of y
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
{% set reads = ["products", "b_gamma"] + (["b_beta"] if beta else []) + ["t"] + (["rows_of"] if keep is defined else []) %}
{% set writes = ["gb"] %}
{% elif entry == "apply" %}
{% set reads = ["x", "mean", "variance", "gb", "t"] %}
{% set writes = ["y"] %}
{% elif entry == "spread" %}
{% set reads = ["dy"] + (["y"] if leaky else []) + (["variance"] if given else []) + ["gb", "t"] %}
{% set writes = ["dn"] %}
{% elif entry == "chunk" %}
{% set reads = ["dy"] + (["y"] if leaky else []) + ["x", "mean", "variance", "t"] %}
{% set writes = ["part"] %}
{% elif entry == "bias" %}
{% set reads = ["part"] %}
{% set writes = ["db_gamma", "db_beta"] %}
{% else %}
{% set reads = ["rows", "t"] %}
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
// Where the value of x is that a pixel of y reads, without the channel.
fn source_of(pixel: u32) -> u32 {
{% if up %}
    // Two rows of y read one of x, so images need no division: row / 2 counts the rows of x.
    return (pixel / p.w / 2u * (p.w / 2u) + pixel % p.w / 2u) * p.c4;
{% else %}
    return pixel * p.c4;
{% endif %}
}

struct Scale {
    mean: vec4<f32>,
    inverse: vec4<f32>,
}

fn scale_of(pixel: u32, c: u32) -> Scale {
    let stat = {{ "pixel / (p.h * p.w) * p.c4 + c" if per_sample else "c" }};
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
{% if beta %}
    let width = 2u * p.cols;
{% else %}
    let width = p.cols;
{% endif %}
    let j = i % width;
    let win = i / width;
{% if beta %}
    var sum = select(b_beta[p.from_c + j % p.cols], b_gamma[p.from_c + j % p.cols], j < p.cols);
{% else %}
    var sum = b_gamma[p.from_c + j];
{% endif %}
{% if keep is defined %}
    let at = (j / p.cols * p.rows + rows_of[win]) * p.c4 + p.from_c + j % p.cols;
{% else %}
    let at = i;
{% endif %}
    if p.first_tap > 0u { sum = gb[at]; }
    let symbols = t[SYMBOLS] + win * p.taps;
    for (var tap = p.first_tap; tap < p.end_tap; tap++) {
        let symbol = t[symbols + tap];
        if symbol != OUTSIDE {
            sum += products[((tap - p.first_tap) * p.lower + (symbol & ID_MASK)) * width + j];
        }
    }
    gb[at] = sum;
{% elif entry == "apply" %}
    let j = i % p.cols;
    let first = i / p.cols * 4u;
    let c = p.from_c + j;
{% if keep is not defined %}
    let ids = t[IDS];
{% endif %}
{% if not per_sample %}
    let scale = scale_of(first, c);
{% endif %}
    for (var pixel = first; pixel < min(first + 4u, p.pixels); pixel++) {
{% if per_sample %}
        let scale = scale_of(pixel, c);
{% endif %}
{% if keep is defined %}
        let row = t[pixel] * p.c4 + j;
        let beta = row + p.rows * p.c4;
{% else %}
        let row = t[ids + pixel] * 2u * p.cols + j;
        let beta = row + p.cols;
{% endif %}
        let normalised = (x[source_of(pixel) + c] - scale.mean) * scale.inverse;
        let v = normalised * (1.0 + gb[row]) + gb[beta];
        y[pixel * p.c4 + c] = {% if leaky %}select(v, 0.2 * v, v <= vec4<f32>()){% else %}v{% endif %};
    }
{% elif entry == "spread" %}
    let j = i % p.cols;
    let pixel = i / p.cols; // of x
    let c = p.from_c + j;
{% if up %}
    let half_w = p.w / 2u;
    let first = pixel / half_w * 2u * p.w + pixel % half_w * 2u;
    let ids = t[IDS];
    var sum = vec4<f32>();
    for (var k = 0u; k < 4u; k++) {
        let at = first + k / 2u * p.w + k % 2u;
        sum += activation_grad(at * p.c4 + c) * (1.0 + gb[t[ids + at] * p.cols + j]);
    }
{% else %}
    let sum = activation_grad(pixel * p.c4 + c) * (1.0 + gb[t[t[IDS] + pixel] * p.cols + j]);
{% endif %}
{% if given %}
    dn[pixel * p.c4 + c] = sum * inverse_deviation(c);
{% else %}
    // The deviation is applied with the rest of the derivative of the normalisation.
    dn[pixel * p.c4 + c] = sum;
{% endif %}
{% elif entry == "chunk" %}
    let j = i % p.cols;
    let chunk = i / p.cols;
    let c = p.from_c + j;
    let span = chunk_items(PIXELS_OF, chunk);
    var d_gamma = vec4<f32>();
    var d_beta = vec4<f32>();
{% if not per_sample %}
    let scale = scale_of(0u, c);
{% endif %}
    for (var at = span.x; at < span.y; at++) {
        let pixel = t[at];
{% if per_sample %}
        let scale = scale_of(pixel, c);
{% endif %}
        let d = activation_grad(pixel * p.c4 + c);
        d_gamma += d * (x[source_of(pixel) + c] - scale.mean) * scale.inverse;
        d_beta += d;
    }
    part[chunk * 2u * p.cols + j] = d_gamma;
    part[chunk * 2u * p.cols + p.cols + j] = d_beta;
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
{% elif entry == "taps_chunk" %}
    let width = 2u * p.cols;
    let chunk = row_chunks(WINDOWS_OF, p.first_row).x + i / width;
    if chunk >= row_chunks(WINDOWS_OF, p.first_row + p.rows - 1u).y { return; }
    let span = chunk_items(WINDOWS_OF, chunk);
    var sum = vec4<f32>();
    for (var at = span.x; at < span.y; at++) {
        sum += rows[t[at] * width + i % width];
    }
    sums[i] = sum;
{% else %}
    let width = 2u * p.cols;
    let before = row_chunks(WINDOWS_OF, p.first_row).x;
    let chunks = row_chunks(WINDOWS_OF, p.first_row + i / width);
    var sum = vec4<f32>();
    for (var chunk = chunks.x; chunk < chunks.y; chunk++) {
        sum += rows[(chunk - before) * width + i % width];
    }
    sums[i] = sum;
{% endif %}
}
