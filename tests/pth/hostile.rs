//! Files that are wrong on purpose. The fuzz target `tests/fuzz` looks for more of them.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::anything::read_or_refuse;
use super::assembler::{Storage, assemble, legacy, legacy_of, read};
use super::fixture;
use super::memory::peak_of;
use spadework::Error;

/// Reads, within memory and time that the size of the file allows, and returns the complaint if there is one.
fn complaint(file: &[u8]) -> Option<String> {
    let start = Instant::now();
    let (result, peak) = peak_of(|| read(file));
    // 100 bytes per byte of the description, which has 1 MiB at most; the directory; result and storage.
    let limit = 100 * file.len().min(1 << 20) + 8 * file.len() + (1 << 16);
    assert!(peak <= limit, "{peak} bytes for a file of {}", file.len());
    // Milliseconds, but on a machine that may be busy.
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    match result {
        Ok(_) => None,
        Err(Error::Data(message)) => {
            assert!(
                message.starts_with("PyTorch file some.pth, byte "),
                "{message}"
            );
            Some(message)
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_refused(file: &[u8], why: &str) {
    let message = complaint(file).expect("a refusal");
    assert!(message.contains(why), "{message}");
}

/// Instructions for a tensor of a storage of four.
fn tensor(layout: &str) -> String {
    format!(
        "ctorch._utils\n_rebuild_tensor_v2\n((S'storage' ctorch\nFloatStorage\n S'0' S'cpu' K4 N tQ {layout} \\x89 N tR"
    )
}

fn dictionary(value: &str) -> String {
    format!("}}(S'x' {value} u.")
}

fn four() -> Storage {
    Storage::new("0", &[1.0, 2.0, 3.0, 4.0])
}

#[test]
fn nothing_is_called() {
    for (object, name) in [
        ("cos\nsystem\n(S'true' tR.", "os.system"),
        ("cbuiltins\neval\n(S'1' tR.", "builtins.eval"),
        ("ctorch\nload\n(S'x' tR.", "torch.load"),
        (
            "cnumpy.core.multiarray\n_reconstruct\n.",
            "numpy.core.multiarray._reconstruct",
        ),
    ] {
        assert_refused(&legacy(object, &[]), name);
    }
    // Instructions that import or instantiate in other ways.
    for code in [
        "i", "o", "\\x93", "\\x92", "\\x82", "P", "V", "S''", "\\x95", "2", "0", "1",
    ] {
        let object = format!("}}N N({code}.");
        assert!(complaint(&legacy(&object, &[])).is_some(), "{code}");
    }
}

#[test]
fn wrong_objects_are_refused() {
    let whole = tensor("K0 (K4 t (K1 t");
    for (object, why) in [
        ("N.".to_owned(), "it holds None, not a dictionary"),
        (format!("{whole} ."), "it holds a tensor, not a dictionary"),
        (dictionary("K7"), "entry x is an integer, not a tensor"),
        (format!("}}(K1 {whole} u."), "an integer as a key"),
        (
            dictionary("ctorch.nn.parameter\nParameter\n)\\x81"),
            "entry x is a tensor",
        ),
        (
            format!("}}(S'x' {whole} S'x' {whole} u."),
            "a second tensor named x",
        ),
        (format!("}}({whole} u."), "a key without a value"),
        ("}(S'x'".to_owned() + "u.", "a key without a value"),
        ("](K1u.".into(), "added to a list"),
        (")(K1e.".into(), "added to a tuple"),
        ("}N b.".into(), "None as attributes"),
        ("h\\x07.".into(), "remembered as 7"),
        ("u.".into(), "no mark"),
        ("(R.".into(), "the stack is empty"),
        ("K1(\\x85.".into(), "the stack is empty"),
        (".".into(), "the stack is empty"),
        ("N)R.".into(), "None called with a tuple"),
        ("\\x80\\x04.".into(), "protocol 4"),
        ("X\\xff\\xff\\xff\\xff".into(), "a text of 4294967295 bytes"),
        ("X\\xff\\x00\\x00\\x00.".into(), "ends too early"),
        // What a terminal would obey is not printed.
        ("}S'\u{1b}[2J' N s.".into(), "entry \u{fffd}[2J is None"),
        ("X\\x01\\x00\\x00\\x00\\xff.".into(), "not UTF-8"),
        ("ctorch".into(), "a name"),
        ("S'module' \\x85Q.".into(), "neither 5 nor 6"),
        ("(S'module' N N N N tQ.".into(), "other than a storage"),
        (
            "\\x8a\\x09\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01.".into(),
            "an integer of 9 bytes",
        ),
    ] {
        assert_refused(&legacy(&object, &[four()]), why);
    }
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    const HUGE: i64 = i64::MAX;
    for (layout, why) in [
        ("K0 (K5 t (K1 t".to_owned(), "does not fit"),
        ("K1 (K4 t (K1 t".into(), "does not fit"),
        ("K0 (K2 K2 t (K3 K1 t".into(), "does not fit"),
        // Small in the file, large in memory.
        (format!("K0 (K{HUGE} t (K0 t"), "does not fit"),
        ("K0 (K5 t (K0 t".into(), "does not fit"),
        (format!("K0 (K{HUGE} K{HUGE} t (K0 K0 t"), "impossible"),
        (
            format!("K0 (K{HUGE} K{HUGE} K0 t (K0 K0 K0 t"),
            "impossible",
        ),
        (format!("K0 (K2 t (K{HUGE} t"), "does not fit"),
        (format!("K{HUGE} (K1 t (K1 t"), "does not fit"),
        ("K-1 (K1 t (K1 t".into(), "a size of -1"),
        ("K0 (K-1 t (K1 t".into(), "a size of -1"),
        ("K0 (K1 t (K-1 t".into(), "a size of -1"),
        ("K0 (K1 t )".into(), "1 axes with 0 strides"),
        ("K0 K1 (K1 t".into(), "where sizes are expected"),
    ] {
        assert_refused(&legacy(&dictionary(&tensor(&layout)), &[four()]), why);
    }
    let file = |from: &str, to: &str| {
        let object = dictionary(&tensor("K0 (K1 t (K1 t"));
        legacy(&object.replace(from, to), &[four()])
    };
    assert_eq!(complaint(&file("", "")), None);
    assert_refused(&file("K4 N", "K-4 N"), "a size of -4");
    assert_refused(&file("K4 N", &format!("K{HUGE} N")), "storage 0");
    assert_refused(&file("K4 N", "K4 (S'v' K2 K3 t"), "a view beyond");
    assert_refused(&file("K4 N", "K5 N"), "has 4 numbers, and 5 elsewhere");
}

#[test]
fn storages_that_do_not_hold_are_refused() {
    let object = dictionary(&tensor("K0 (K4 t (K1 t"));
    assert_refused(&legacy(&object, &[]), "storage 0 is missing");
    assert_refused(
        &legacy(&object, &[four().with_count(i64::MAX)]),
        "numbers, and 4",
    );
    assert_refused(&legacy(&object, &[four(), four()]), "appears twice");
    assert_refused(
        &legacy(&object, &[four(), Storage::new("1", &[])]),
        "storage 1 is of no tensor",
    );
    let (two, tensor) = (tensor("K0 (K1 t (K1 t"), tensor("K0 (K4 t (K1 t"));
    let other = two.replace("Float", "Double");
    let object = format!("}}(S'x' {tensor} S'y' {other} u.");
    assert_refused(
        &legacy(&object, &[four()]),
        "storage 0 with 4 numbers of F64",
    );
    let integers = dictionary(&tensor.replace("Float", "Int"));
    assert_refused(
        &legacy(&integers, &[four()]),
        "tensor x holds integers (I32) of shape [4]",
    );
    let many: String = (0..99).map(|i| format!("S'{i}' h\\x00")).collect();
    let object = format!("{tensor} q\\x00 \\x85 }}({many} u.");
    let storages = [Storage::new("0", &[0.0; 4])];
    // 99 names for the same four numbers are fewer numbers than the file has bytes.
    assert_eq!(complaint(&legacy(&object, &storages)), None);
    let large = object.replace("K4", "K4000");
    assert_refused(
        &legacy(&large, &[Storage::new("0", &[0.0; 4000])]),
        "more numbers than",
    );
}

#[test]
fn bombs_do_not_go_off() {
    const LEN: usize = (1 << 20) - 200;
    let repeat = |unit: &str| {
        let unit = assemble(unit);
        unit.iter()
            .copied()
            .cycle()
            .take(LEN / unit.len() * unit.len())
            .collect::<Vec<u8>>()
    };
    let close = |object: Vec<u8>| legacy_of(&[object, b".".to_vec()].concat(), &[four()]);
    for unit in [
        "]",
        "}",
        "(",
        ")",
        "\\x85",
        "N",
        "N\\x85",
        "(N t",
        "]q\\x00h\\x00a",
        "}q\\x00N h\\x00s",
    ] {
        complaint(&close([b"N".to_vec(), repeat(unit)].concat()));
    }
    // A tuple of ever more copies of the one before.
    complaint(&close(
        [assemble("N q\\x00"), repeat("(h\\x00h\\x00h\\x00tq\\x00")].concat(),
    ));
    // The same call over and over.
    let start = assemble(
        "ctorch._utils\n_rebuild_tensor\nq\\x00((S'storage' ctorch\nFloatStorage\n S'0' S'cpu' K4 N tQ K0 (K1 K1 K1 K1 K1 K1 K1 K1 t (K1 K1 K1 K1 K1 K1 K1 K1 t tq\\x01 0",
    );
    let start = &start[..start.len() - 1];
    complaint(&close([start.to_vec(), repeat("h\\x00h\\x01R")].concat()));
    // The same long name over and over, of tensors and of storages.
    let name = "n".repeat(1024);
    let named = assemble(&format!(
        "S'{name}' q\\x01 {} q\\x02 \\x85 }}(",
        tensor("K0 (K1 t (K1 t")
    ));
    let pairs = repeat("h\\x01h\\x02")[..LEN / 2].to_vec();
    assert_refused(
        &close([named, pairs, assemble("u")].concat()),
        "a second tensor",
    );
    let id = assemble(&format!(
        "(S'storage' ctorch\nFloatStorage\n S'{name}' S'cpu' K4 tq\\x01"
    ));
    complaint(&close([id, repeat("h\\x01Q")].concat()));
    // The same list made into a dictionary over and over.
    let pairs = [assemble("]q\\x00("), repeat("h\\x01")[..LEN / 2].to_vec()].concat();
    let pairs = [
        assemble("N N\\x86q\\x01"),
        pairs,
        assemble("e\\x85q\\x02ccollections\nOrderedDict\nq\\x03"),
    ]
    .concat();
    complaint(&close(
        [pairs, repeat("h\\x03h\\x02R")[..LEN / 3].to_vec()].concat(),
    ));
    let too_long = [b"}".to_vec(), repeat("q\\x00"), repeat("q\\x00")].concat();
    assert_refused(&close(too_long), "longer than 1048576 bytes");
}

/// A list that contains itself is no state dictionary, and no reason to run for ever.
#[test]
fn loops_are_harmless() {
    assert_refused(&legacy("]q\\x00h\\x00a.", &[]), "it holds a list");
    assert_refused(
        &legacy("}q\\x00S'x' h\\x00s.", &[]),
        "entry x is a dictionary",
    );
    assert_eq!(
        complaint(&legacy("}q\\x00}S'_metadata' h\\x00sb.", &[])),
        None
    );
}

#[test]
fn damaged_archives_are_refused() {
    let good = std::fs::read(fixture("pth_kinds_zip.pth")).unwrap();
    let end = good.len() - 22;
    let word = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().unwrap()) as usize;
    let directory = word(end + 16);
    let patched = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let find = |what: &[u8]| good.windows(what.len()).position(|w| w == what).unwrap();
    assert_eq!(complaint(&good), None);
    for (file, why) in [
        (good[..good.len() - 1].to_vec(), "no directory at its end"),
        (patched(end + 10, &[0xff; 2]), "larger than 4 GiB"),
        (
            patched(end + 10, &[99, 0]),
            "directory of the archive is damaged",
        ),
        (
            patched(end + 16, &[0xf0; 4]),
            "directory of the archive is damaged",
        ),
        (patched(directory + 10, &[8]), "compressed or encrypted"),
        (patched(directory + 8, &[1]), "compressed or encrypted"),
        (
            patched(directory + 24, &[1, 0, 0, 0x70]),
            "compressed or encrypted",
        ),
        (
            patched(directory + 20, &[0, 0, 0, 0x70, 0, 0, 0, 0x70]),
            "not where its directory says",
        ),
        (
            patched(directory + 42, &[1]),
            "not where its directory says",
        ),
        (patched(directory + 42, &[0, 0, 0, 0xff]), "the header of"),
        (
            patched(directory + 20, &[0, 20, 0, 0, 0, 20, 0, 0]),
            "overlaps",
        ),
        (patched(directory + 16, &[9]), "checksum"),
        (
            patched(find(&0.1f32.to_le_bytes()), &[0xff]),
            "scalar does not have its checksum",
        ),
        (
            patched(find(b"pth_kinds_zip/data.pkl"), b"x"),
            "not where its directory says",
        ),
    ] {
        assert_refused(&file, why);
    }
    // Without a checksum, as PyTorch can be told to write.
    assert_eq!(complaint(&patched(directory + 16, &[0; 4])), None);
}

/// Sources of mutations: both containers, small and real.
const FILES: [&str; 5] = [
    "pth_kinds_zip.pth",
    "pth_kinds_legacy.pth",
    "pth_before_v.pth",
    "pth_written.pth",
    "pth_discriminator_zip.pth",
];

#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Word(prop::sample::Index, u32),
    Remove(prop::sample::Index, usize),
    Copy(prop::sample::Index, prop::sample::Index, usize),
    Truncate(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    let place = any::<Index>;
    let word = prop_oneof![
        Just(u32::MAX),
        Just(1 << 31),
        Just(i32::MAX as u32),
        any::<u32>(),
        0..300u32
    ];
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        4 => (place(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (place(), word).prop_map(|(at, word)| Change::Word(at, word)),
        1 => (place(), 1..9usize).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => (place(), place(), 1..99usize).prop_map(|(from, to, len)| Change::Copy(from, to, len)),
        1 => place().prop_map(Change::Truncate),
    ]
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    if file.is_empty() {
        return;
    }
    let len = file.len();
    match change {
        Change::Set(at, byte) => file[at.index(len)] = *byte,
        Change::Flip(at, bit) => file[at.index(len)] ^= 1 << bit,
        Change::Word(at, word) => {
            let at = at.index(len);
            let bytes = &word.to_le_bytes()[..(len - at).min(4)];
            file[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Change::Remove(at, count) => {
            let at = at.index(len);
            file.drain(at..(at + count).min(len));
        }
        Change::Copy(from, to, count) => {
            let from = from.index(len);
            let piece = file[from..(from + count).min(len)].to_vec();
            let to = to.index(len);
            file.splice(to..to, piece);
        }
        Change::Truncate(at) => file.truncate(at.index(len)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_read_or_refused(
        name in prop::sample::select(&FILES[..]),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut file = std::fs::read(fixture(name)).unwrap();
        for change in &changes {
            apply(&mut file, change);
        }
        complaint(&file);
        read_or_refuse(&file);
    }

    /// Checksums catch most changes of an archive's description before the machine sees them; here it sees all.
    #[test]
    fn changed_descriptions_are_read_or_refused(changes in prop::collection::vec(change(), 1..6)) {
        let mut object = assemble(&dictionary(&tensor("K1 (K3 K1 t (K1 K1 t")));
        for change in &changes {
            apply(&mut object, change);
        }
        let file = legacy_of(&object, &[four()]);
        complaint(&file);
        read_or_refuse(&file);
    }

    #[test]
    fn programs_of_any_instructions_end(
        codes in prop::collection::vec(prop::sample::select(&b".(N\x88\x89)\x85\x86\x87t]}aesuRQb\x81qhKUcXM\0\x01\x02"[..]), 0..200),
    ) {
        complaint(&legacy_of(&codes, &[four()]));
    }

    #[test]
    fn truncated_files_are_refused(name in prop::sample::select(&FILES[..]), at in any::<prop::sample::Index>()) {
        let file = std::fs::read(fixture(name)).unwrap();
        prop_assert!(complaint(&file[..at.index(file.len())]).is_some());
    }
}
