// Reading a packed window table (`t`: array<u32>). The header's words, as offsets into the table:
const PIXELS: u32 = 0u;
const WINDOWS: u32 = 1u;
const CHANNELS: u32 = 3u;
const IDS: u32 = 4u;
const SYMBOLS: u32 = 5u;
// First words of the two groups; a group is [rows, chunks, row_chunk, chunk_start, items].
const PIXELS_OF: u32 = 6u;
const WINDOWS_OF: u32 = 11u;

const OUTSIDE: u32 = 0xffffffffu;
const EDGE_BIT: u32 = 0x80000000u;
const ID_MASK: u32 = 0x00ffffffu;

// First chunk of a row of a group, and the end of its last.
fn row_chunks(table: u32, row: u32) -> vec2<u32> {
    let at = t[table + 2u] + row;
    return vec2<u32>(t[at], t[at + 1u]);
}

// First item of a chunk of a group, and the end of its last, as places in the table.
fn chunk_items(table: u32, chunk: u32) -> vec2<u32> {
    let at = t[table + 3u] + chunk;
    return vec2<u32>(t[at], t[at + 1u]) + t[table + 4u];
}
