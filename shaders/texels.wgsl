{# Reads a matrix copied into texels: texel `i` is column i % 16 of line i / 16 % 1024 of layer i / 2^14. #}
{% macro texels(name, binding) %}
@group(0) @binding({{ binding }}) var {{ name }}_texels: texture_storage_2d_array<rgba32float, read>;

fn {{ name }}_at(i: u32) -> vec4<f32> {
    return textureLoad({{ name }}_texels, vec2<u32>(i & 15u, i >> 4u & 1023u), i >> 14u);
}
{% endmacro %}
// Where column `c` of a row is: rows may be stored in blocks of sixteen columns.
fn column(c: u32, block: u32) -> u32 {
    return (c >> 4u) * block + (c & 15u);
}
