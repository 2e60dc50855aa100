// Which channels of the group of four number `group` exist; the others are padding.
fn true_lanes(group: u32, channels: u32) -> vec4<bool> {
    return vec4<u32>(0u, 1u, 2u, 3u) + 4u * group < vec4<u32>(channels);
}
