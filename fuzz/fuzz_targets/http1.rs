//! Any bytes, cut anywhere, as requests and as answers: the same is read however they were cut,
//! and nothing that hyper reads, too, is read otherwise.
//!
//! Run as `scanner.rs` says; `fuzz/corpus/http1` needs no seeds but helps with some.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/reading.rs"]
mod reading;

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    for asked in [None, Some(&http::Method::POST), Some(&http::Method::HEAD)] {
        let (whole, ended) = reading::read_all(std::iter::once(bytes), asked);
        let (cut, ended_cut) = reading::read_all(bytes.chunks(size), asked);
        assert_eq!(whole, cut);
        assert_eq!(ended == Ok(true), ended_cut == Ok(true));
        if whole.is_empty() {
            continue;
        }
        let theirs = match asked {
            None => reading::as_hyper_reads(bytes),
            Some(asked) => Vec::from_iter(reading::as_hyper_reads_answer(bytes, asked)),
        };
        for (ours, theirs) in reading::complete(&whole, ended).iter().zip(&theirs) {
            assert_eq!(ours, theirs);
        }
    }
});
