//! Any bytes are a PyTorch file to read or to refuse with a reason, in memory and time that their number allows.

#![no_main]

use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use spadework::Error;
use spadework::convert::{modernise, pth, strip_wrapper};

fuzz_target!(|bytes: &[u8]| {
    match pth::read_from(Cursor::new(bytes), Path::new("some.pth"), |_| true) {
        Ok(state) => {
            let numbers: usize = state.tensors.values().map(|tensor| tensor.data.len()).sum();
            assert!(
                numbers <= bytes.len(),
                "{numbers} numbers of {} bytes",
                bytes.len()
            );
            // What is done to every file next.
            if let Ok(mut state) = strip_wrapper(state) {
                let _ = modernise(&mut state);
                let mut written = Vec::new();
                // An empty tensor may have sides that are too long to write.
                if pth::write(&state, &mut written).is_ok() {
                    pth::read_from(Cursor::new(written), Path::new("again.pth"), |_| true)
                        .expect("what was written can be read");
                }
            }
        }
        Err(Error::Data(message)) => assert!(
            message.starts_with("PyTorch file some.pth, byte "),
            "{message}"
        ),
        Err(other) => panic!("{other:?}"),
    }
});
