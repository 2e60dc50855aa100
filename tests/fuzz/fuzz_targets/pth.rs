//! Any bytes are a PyTorch file to read or to refuse with a reason, in memory and time that their number allows.

#![no_main]

#[path = "../../pth/anything.rs"]
mod anything;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| anything::read_or_refuse(bytes));
