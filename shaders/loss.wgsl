// Losses: one number from a whole tensor, and their derivatives.
//   linear, hinge, square, softplus, l1, kl   first phase of a sum: y[workgroup] = sum of terms
//   *_grad                dx = d * factor * slope, one vec4 per invocation
//   reparameterise        z = mu + eps * exp(logvar / 2)
//   reparameterise_grad   dlogvar = dz * eps * exp(logvar / 2) / 2
// Terms and slopes at zero need not be zero, so padding lanes are masked.
{% set term = entry | replace("_grad", "") %}
{% set is_sum = entry == term and term != "reparameterise" %}
{% include "prelude.wgsl" %}
{% include "lanes.wgsl" %}
{% if is_sum %}
{% include "tree_sum.wgsl" %}
{% endif %}

struct Params {
    items: u32,
    c4: u32,
    c: u32,
    factor: f32,
    // Sign or target of the term.
    setting: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
{% set arguments = ["mu", "logvar", "eps"] if entry == "reparameterise"
    else ["logvar", "eps"] if entry == "reparameterise_grad"
    else ["mu", "logvar"] if term == "kl"
    else ["x", "goal"] if term == "l1"
    else [] if entry == "linear_grad"
    else ["x"] %}
{% set reads = arguments if entry == term else ["d"] + arguments %}
{% set writes = ["dmu", "dlogvar"] if entry == "kl_grad" else ["y"] %}
{% include "bindings.wgsl" %}

{% if is_sum %}
fn term(i: u32) -> vec4<f32> {
{% if term == "linear" %}
    return p.setting * x[i];
{% elif term == "hinge" %}
    // Not max: it may drop NaN, which the check for bad numbers must see.
    let violation = 1.0 + p.setting * x[i];
    return select(violation, vec4<f32>(0.0), violation <= vec4<f32>(0.0));
{% elif term == "square" %}
    let difference = x[i] - p.setting;
    return difference * difference;
{% elif term == "softplus" %}
    let z = p.setting * x[i];
    return max(z, vec4<f32>(0.0)) + log(1.0 + exp(-abs(z)));
{% elif term == "l1" %}
    return abs(x[i] - goal[i]);
{% elif term == "kl" %}
    return 0.5 * (mu[i] * mu[i] + (exp(logvar[i]) - 1.0 - logvar[i]));
{% endif %}
}

@compute @workgroup_size(256)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = vec4<f32>(0.0);
    for (var i = wg.x * 256u + lane; i < p.items; i += wgs.x * 256u) {
        sum += select(vec4<f32>(0.0), term(i), true_lanes(i % p.c4, p.c));
    }
    let total = tree_sum(lane, sum);
    if lane == 0u {
        y[wg.x] = total;
    }
}
{% else %}
@compute @workgroup_size(64)
fn {{ entry }}(
    @builtin(workgroup_id) wg: vec3<u32>,
    @builtin(num_workgroups) wgs: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_item(wg, wgs, lane);
    if i >= p.items { return; }
    let zero = vec4<f32>(0.0);
    let lanes = true_lanes(i % p.c4, p.c);
{% if entry == "reparameterise" %}
    y[i] = select(zero, mu[i] + eps[i] * exp(0.5 * logvar[i]), lanes);
{% elif entry == "reparameterise_grad" %}
    y[i] = select(zero, d[i] * eps[i] * 0.5 * exp(0.5 * logvar[i]), lanes);
{% elif entry == "kl_grad" %}
    let upstream = d[0].x;
    dmu[i] = select(zero, upstream * mu[i], lanes);
    dlogvar[i] = select(zero, upstream * 0.5 * (exp(logvar[i]) - 1.0), lanes);
{% else %}
{% if term == "linear" %}
    let slope = vec4<f32>(p.setting);
{% elif term == "hinge" %}
    let slope = select(zero, vec4<f32>(p.setting), 1.0 + p.setting * x[i] > zero);
{% elif term == "square" %}
    let slope = 2.0 * (x[i] - p.setting);
{% elif term == "softplus" %}
    let z = p.setting * x[i];
    let decay = exp(-abs(z));
    let slope = p.setting * select(decay, vec4<f32>(1.0), z >= zero) / (1.0 + decay);
{% elif term == "l1" %}
    let slope = sign(x[i] - goal[i]);
{% endif %}
    y[i] = select(zero, d[0].x * p.factor * slope, lanes);
{% endif %}
}
{% endif %}
