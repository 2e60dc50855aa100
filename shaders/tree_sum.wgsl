// Sum over the 256 lanes of a workgroup in a fixed tree of two levels of sixteen; every lane gets it.
// Once per entry point: a second call would need a barrier before it.
var<workgroup> tree: array<vec4<f32>, 256>;

fn tree_sum(lane: u32, value: vec4<f32>) -> vec4<f32> {
    tree[lane] = value;
    workgroupBarrier();
    if lane < 16u {
        var sum = value;
        for (var i = 16u; i < 256u; i += 16u) {
            sum += tree[lane + i];
        }
        tree[lane] = sum;
    }
    workgroupBarrier();
    var total = tree[0];
    for (var i = 1u; i < 16u; i++) {
        total += tree[i];
    }
    return total;
}

fn lane_sum(value: vec4<f32>) -> f32 {
    return (value.x + value.y) + (value.z + value.w);
}
