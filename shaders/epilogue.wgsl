{# What a convolution does with its sums before they are written: a divisor, bias, a second summand, an activation. The
   bindings of `sources` arguments come before; `vector` is what an element is, `vec4<f32>` if nobody says. #}
{% set vector = vector if vector is defined else "vec4<f32>" %}
{% set first = sources + 1 %}
{% set after = first + bias %}
{% if bias %}
@group(0) @binding({{ first }}) var<storage, read> b: array<{{ vector }}>;
{% endif %}
{% if residual %}
@group(0) @binding({{ after }}) var<storage, read> residual: array<{{ vector }}>;
{% endif %}
{% if divided %}
@group(0) @binding({{ after + residual }}) var<storage, read> divisor: array<vec4<f32>>;
{% endif %}
@group(0) @binding({{ after + residual + divided }}) var<storage, read_write> y: array<{{ vector }}>;

{% if activation %}
{% include "activate.wgsl" %}
{% endif %}

fn finish(at: u32, sum: {{ vector }}) {
    y[at] = {{ ["", "relu", "leaky", "tanh_of"][activation] }}(sum{{ " + residual[at % p.residual]" if residual }});
}
