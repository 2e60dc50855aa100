{# Storage bindings from two lists of names: `reads`, then `writes`. The window table `t` and its kin hold words. Those of
   `reads` that are also `arrays` are read through functions, as `x_at(i)`: from copies as texels where `copied`. #}
{% from "texels.wgsl" import texels %}
{% set functions = arrays if arrays is defined else [] %}
{% for name in reads %}
{% if name in functions and copied %}
{{ texels(name, loop.index) }}
{% else %}
@group(0) @binding({{ loop.index }}) var<storage, read> {{ name }}: array<{{ "u32" if name in ["t", "rows_of"] else "vec4<f32>" }}>;
{% if name in functions %}
fn {{ name }}_at(i: u32) -> vec4<f32> {
    return {{ name }}[i];
}
{% endif %}
{% endif %}
{% endfor %}
{% for name in writes %}
@group(0) @binding({{ reads | length + loop.index }}) var<storage, read_write> {{ name }}: array<vec4<f32>>;
{% endfor %}
