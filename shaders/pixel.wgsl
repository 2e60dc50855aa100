// Parameters and indices of a map with h x w pixels made from one with in_h x in_w.

struct Params {
    items: u32,
    c4: u32,
    h: u32,
    w: u32,
    in_h: u32,
    in_w: u32,
}

struct Pixel {
    n: u32,
    h: u32,
    w: u32,
    c: u32,
}

fn pixel_of(i: u32) -> Pixel {
    let pixel = i / p.c4;
    let row = pixel / p.w;
    let n = row / p.h;
    return Pixel(n, row - n * p.h, pixel - row * p.w, i - pixel * p.c4);
}

fn input_index(at: Pixel, h: u32, w: u32) -> u32 {
    return ((at.n * p.in_h + h) * p.in_w + w) * p.c4 + at.c;
}
