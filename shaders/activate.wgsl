{% set vector = vector if vector is defined else "vec4<f32>" %}
// Activations of a vector. Written with select, which lets NaN through to the checks for bad numbers; min and max may
// drop it.
fn relu(x: {{ vector }}) -> {{ vector }} {
    return select(x, {{ vector }}(), x <= {{ vector }}());
}

fn leaky(x: {{ vector }}) -> {{ vector }} {
    return select(x, 0.2 * x, x <= {{ vector }}());
}

fn tanh_of(x: {{ vector }}) -> {{ vector }} {
    // Beyond 10 the result is 1 to rounding; some drivers compute infinity / infinity there.
    return select(tanh(x), sign(x), abs(x) > {{ vector }}(10.0));
}
