//! What the fuzz target and the tests ask of any bytes: to be a PyTorch file, or to be refused with a reason.

use std::io::Cursor;
use std::path::Path;

use spadework::Error;
use spadework::convert::{modernise, pth, strip_wrapper};

/// Reads bytes and does with them what is done to every file next.
///
/// # Panics
/// If they are neither read, written and read again, nor refused as they should be.
pub fn read_or_refuse(bytes: &[u8]) {
    match pth::read_from(Cursor::new(bytes), Path::new("some.pth"), |_| true) {
        Ok(state) => {
            let numbers: usize = state.tensors.values().map(|tensor| tensor.data.len()).sum();
            assert!(
                numbers <= bytes.len(),
                "{numbers} numbers of {} bytes",
                bytes.len()
            );
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
}
