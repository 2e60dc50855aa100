// Products with a convolution weight whose taps stay apart, for rows of label windows. One panel per tap:
//   nn   y[tap][row][j]  = sum over k of a[row][k] * w[tap][k][from + j]
//   tn   dw[tap][k][from + j] (+)= sum over rows of a[row][k] * d[tap][row][d_from + j]
//   nt   da[row][k] (+)= sum over taps and j of d[tap][row][d_from + j] * w[tap][k][from + j]
// Of all taps, those from `first_tap` on take part; y and d hold them alone. Where it is batched, a has rows for each tap.
// k runs over hidden channels, j over a block of output channels. nn: 4 rows x 4 columns an invocation; tn and nt: 4 k.
{% include "prelude.wgsl" %}

struct Params {
    items: u32,
    taps: u32,
    rows: u32,
    inner4: u32,    // hidden channels in vec4
    cols4: u32,     // width of the block
    w_stride: u32,  // width of a weight row
    w_from: u32,    // first column of the block in the weight
    d_stride: u32,  // width of a row of y or d
    d_from: u32,
    accumulate: u32,
    first_tap: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
{% if entry == "nn" %}
    let tiles = (p.rows + 3u) / 4u;
    let j = i % p.cols4;
    let row = i / p.cols4 % tiles * 4u;
    let tap = i / (p.cols4 * tiles);
{% for r in range(4) %}
    let a_at{{ r }} = ({{ "tap * p.rows + " if batched }}min(row + {{ r }}u, p.rows - 1u)) * p.inner4;
    var sum{{ r }} = vec4<f32>();
{% endfor %}
    var w_at = (p.first_tap + tap) * p.inner4 * 4u * p.w_stride + p.w_from + j;
    for (var k = 0u; k < p.inner4; k++) {
{% for s in range(4) %}
        let w{{ s }} = b[w_at + {{ s }}u * p.w_stride];
{% endfor %}
        w_at += 4u * p.w_stride;
{% for r in range(4) %}
        let a{{ r }} = a[a_at{{ r }} + k];
        sum{{ r }} += a{{ r }}.x * w0 + a{{ r }}.y * w1 + a{{ r }}.z * w2 + a{{ r }}.w * w3;
{% endfor %}
    }
{% for r in range(4) %}
    if row + {{ r }}u < p.rows {
        y[(tap * p.rows + row + {{ r }}u) * p.d_stride + p.d_from + j] = sum{{ r }};
    }
{% endfor %}
{% elif entry == "tn" %}
    let j = i % p.cols4;
    let k = i / p.cols4 % p.inner4;
    let tap = i / (p.cols4 * p.inner4);
{% for s in range(4) %}
    var sum{{ s }} = vec4<f32>();
{% endfor %}
    for (var row = 0u; row < p.rows; row++) {
        let left = a[({{ "tap * p.rows + " if batched }}row) * p.inner4 + k];
        let right = b[(tap * p.rows + row) * p.d_stride + p.d_from + j];
{% for s in range(4) %}
        sum{{ s }} += left[{{ s }}] * right;
{% endfor %}
    }
    let at = ((p.first_tap + tap) * p.inner4 + k) * 4u * p.w_stride + p.w_from + j;
{% for s in range(4) %}
    y[at + {{ s }}u * p.w_stride] = sum{{ s }}{% if batched %} + select(vec4<f32>(), y[at + {{ s }}u * p.w_stride], p.accumulate != 0u){% endif %};
{% endfor %}
{% else %}
    let k = i % p.inner4;
    let row = i / p.inner4;
    var sum = vec4<f32>();
    for (var tap = 0u; tap < p.taps; tap++) {
        let d_at = (tap * p.rows + row) * p.d_stride + p.d_from;
        let w_at = ((p.first_tap + tap) * p.inner4 + k) * 4u * p.w_stride + p.w_from;
        for (var j = 0u; j < p.cols4; j++) {
            let d = a[d_at + j];
            sum += vec4<f32>(
{% for s in range(4) %}
                dot(d, b[w_at + {{ s }}u * p.w_stride + j]),
{% endfor %}
            );
        }
    }
    if p.accumulate == 0u {
        y[i] = sum;
    } else {
        y[i] += sum;
    }
{% endif %}
}
