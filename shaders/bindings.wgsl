{# Storage bindings from two lists of names: `reads`, then `writes`. The window table `t` and its kin hold words. #}
{% for name in reads %}
@group(0) @binding({{ loop.index }}) var<storage, read> {{ name }}: array<{{ "u32" if name in ["t", "rows_of"] else "vec4<f32>" }}>;
{% endfor %}
{% for name in writes %}
@group(0) @binding({{ reads | length + loop.index }}) var<storage, read_write> {{ name }}: array<vec4<f32>>;
{% endfor %}
