// Shared by every shader: the flat invocation index. The host folds more than 65535 workgroups into y.

fn flat_workgroup(id: vec3<u32>, count: vec3<u32>) -> u32 {
    return id.y * count.x + id.x;
}

fn flat_item(id: vec3<u32>, count: vec3<u32>, lane: u32) -> u32 {
    return flat_workgroup(id, count) * 64u + lane;
}
