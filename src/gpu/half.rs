//! Storage in 16-bit floats: the same shader with some of its arrays half as wide.
//!
//! Kernels compute in 32 bits whatever they read. So a shader needs no variant written by hand: arrays of `vec4<f32>` are
//! declared as `vec4<f16>`, and every element is widened where it is read and rounded where it is written.

use std::fmt::Write;

/// A storage array of vectors of floats.
#[derive(Clone, Copy)]
struct Array<'a> {
    name: &'a str,
    /// `vec4`, or `vec2`.
    vector: &'a str,
}

/// Rewrites WGSL so that the storage arrays at these bindings hold 16-bit floats; bit `b - 1` stands for binding `b`.
///
/// Elements must be read as `name[index]` and written by statements `name[index] = value;`, of one component at most, or
/// with an operator before the `=`. Comments do not stay. What a shader asks for, line by line, stays in front.
///
/// # Panics
/// If a binding is no array of vectors of floats.
pub(super) fn narrow(source: &str, bindings: u32) -> String {
    let is_chosen = |binding: u32| bindings >> (binding - 1) & 1 == 1;
    let declared = |line| declared(line).filter(|(binding, _)| is_chosen(*binding));
    let arrays: Vec<_> = source
        .lines()
        .filter_map(declared)
        .map(|(_, array)| array)
        .collect();
    assert_eq!(
        arrays.len(),
        bindings.count_ones() as usize,
        "arrays at bindings {bindings:b}"
    );
    let mut asked = vec!["enable f16;"];
    let mut declarations = String::new();
    let mut code = String::new();
    for line in source.lines() {
        let line = line.split("//").next().unwrap_or(line);
        if line.starts_with("enable ") || line.starts_with("diagnostic(") {
            if line != asked[0] {
                asked.push(line);
            }
        } else if declared(line).is_some() {
            declarations += &line.replace("<f32>", "<f16>");
            declarations.push('\n');
        } else {
            code += line;
            code.push('\n');
        }
    }
    let asked = asked.join("\n");
    format!("{asked}\n{declarations}{}", elements(&code, &arrays))
}

/// Binding and array that a line declares, if it is one of vectors of floats.
fn declared(line: &str) -> Option<(u32, Array<'_>)> {
    let (head, rest) = line.split_once("var<storage")?;
    let (_, binding) = head.split_once("@binding(")?;
    let binding = binding.split_once(')')?.0.parse().ok()?;
    let (name, ty) = rest.split_once('>')?.1.split_once(':')?;
    let vector = ty.trim().strip_prefix("array<")?.split_once("<f32>>")?.0;
    let name = name.trim();
    Some((binding, Array { name, vector }))
}

/// Widens what is read of the arrays in code, and rounds what is written.
fn elements(code: &str, arrays: &[Array]) -> String {
    let mut text = String::new();
    let mut rest = code;
    while let Some(found) = next_element(rest, arrays) {
        let Array { name, vector } = found.array;
        let index = elements(found.index, arrays);
        text += &rest[..found.start];
        let after = &rest[found.end..];
        let written = |component: &str, after: &str| -> Option<(String, usize)> {
            let [wide, narrow] = ["f32", "f16"].map(|width| match component {
                "" => format!("{vector}<{width}>"),
                _ => width.to_owned(),
            });
            let operator = after.trim_start();
            let skipped = after.len() - operator.len();
            let (sign, equals) = match operator.as_bytes() {
                [b'=', b'=', ..] => return None,
                [b'=', ..] => ("", 1),
                [sign, b'=', ..] if b"+-*/".contains(sign) => (&operator[..1], 2),
                _ => return None,
            };
            let end = operator.find(';')?;
            let value = elements(operator[equals..end].trim(), arrays);
            let element = format!("{name}[{index}]{component}");
            let value = match sign {
                "" => value,
                sign => format!("{wide}({element}) {sign} ({value})"),
            };
            Some((format!("{element} = {narrow}({value})"), skipped + end))
        };
        let component = component(after);
        match written(component, &after[component.len()..]) {
            Some((statement, length)) => {
                text += &statement;
                rest = &after[component.len() + length..];
            }
            None => {
                let _ = write!(text, "{vector}<f32>({name}[{index}])");
                rest = after;
            }
        }
    }
    text + rest
}

/// `.x` and the like at the start of a text, if there is one.
fn component(text: &str) -> &str {
    let is_one = text.starts_with('.')
        && text[1..].starts_with(['x', 'y', 'z', 'w'])
        && !text[2..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if is_one { &text[..2] } else { "" }
}

struct Element<'a> {
    array: Array<'a>,
    index: &'a str,
    start: usize,
    end: usize,
}

/// The first `name[index]` in code.
fn next_element<'a>(code: &'a str, arrays: &[Array<'a>]) -> Option<Element<'a>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    while let Some(found) = code[at..].find(is_word) {
        let start = at + found;
        let word = code[start..].split(|c| !is_word(c)).next().unwrap_or("");
        let open = start + word.len();
        // Nor a member of something else.
        let is_whole = !code[..start].ends_with('.');
        let array = arrays.iter().find(|array| array.name == word);
        if let (Some(&array), true, true) = (array, is_whole, code[open..].starts_with('[')) {
            let close = open + closing(&code[open..])?;
            return Some(Element {
                array,
                index: &code[open + 1..close],
                start,
                end: close + 1,
            });
        }
        at = open;
    }
    None
}

/// Where the bracket that a text begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHADER: &str = "\
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> t: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
// y[i] = x[i]
let v = x[t[i] + 1u].z * q.x[2] + x[a[x[0].x]];
y[at + t[1u]] = v + y[j];
y[i].w -= 2.0 * x[k].y; // x[i] += 1
y[0] = max(
    x[0], v);
y[i] *= x[i]; if x[i].x == y[i].y { return; }
";

    #[test]
    fn elements_are_widened_and_rounded() {
        let both = narrow(SHADER, 0b101);
        let want = "\
enable f16;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> t: array<u32>;

let v = vec4<f32>(x[t[i] + 1u]).z * q.x[2] + vec4<f32>(x[a[vec4<f32>(x[0]).x]]);
y[at + t[1u]] = vec4<f16>(v + vec4<f32>(y[j]));
y[i].w = f16(f32(y[i].w) - (2.0 * vec4<f32>(x[k]).y)); 
y[0] = vec4<f16>(max(
    vec4<f32>(x[0]), v));
y[i] = vec4<f16>(vec4<f32>(y[i]) * (vec4<f32>(x[i]))); if vec4<f32>(x[i]).x == vec4<f32>(y[i]).y { return; }
";
        assert_eq!(both, want);
    }

    #[test]
    fn arrays_of_other_vectors_are_narrow_too() {
        let shader = SHADER.replace("array<vec4<f32>>", "array<vec2<f32>>");
        let both = narrow(&shader, 0b101);
        assert!(
            both.contains("var<storage, read> x: array<vec2<f16>>;"),
            "{both}"
        );
        assert!(
            both.contains("y[at + t[1u]] = vec2<f16>(v + vec2<f32>(y[j]));"),
            "{both}"
        );
    }

    #[test]
    fn what_is_asked_for_stays_in_front() {
        let asked = "enable f16;\nenable wgpu_cooperative_matrix;\ndiagnostic(off, derivative_uniformity);\n";
        assert_eq!(
            narrow(&format!("{asked}{SHADER}"), 0b101),
            narrow(SHADER, 0b101).replacen("enable f16;\n", asked, 1)
        );
    }

    #[test]
    #[should_panic(expected = "arrays at bindings 10")]
    fn whole_numbers_are_never_narrow() {
        narrow(SHADER, 0b010);
    }

    #[test]
    fn arrays_of_other_bindings_stay() {
        let reads = narrow(SHADER, 0b001);
        assert!(reads.contains("y[i] *= vec4<f32>(x[i]); if"), "{reads}");
    }
}
