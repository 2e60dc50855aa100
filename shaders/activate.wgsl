// Activations of a vector. Written with select, which lets NaN through to the checks for bad numbers; min and max may
// drop it.
fn relu(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(), x <= vec4<f32>());
}

fn leaky(x: vec4<f32>) -> vec4<f32> {
    return select(x, 0.2 * x, x <= vec4<f32>());
}

fn tanh_of(x: vec4<f32>) -> vec4<f32> {
    // Beyond 10 the result is 1 to rounding; some drivers compute infinity / infinity there.
    return select(tanh(x), sign(x), abs(x) > vec4<f32>(10.0));
}
