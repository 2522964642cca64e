//! Whatever comes, however it is cut: the same comes out, well-formed, and nothing is left to do.
//!
//! The first byte chooses the versions. Run as `scanner.rs` says.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use soap_router::soap::{Addressing, Arriving, Bridge, Outcome, Plan, Target, Version};
use soap_router::xml::{Limits, Reader};

fn bridge(plan: &Arc<Plan>, message: &[u8], size: usize) -> Result<(Vec<u8>, Outcome), String> {
    let mut bridge =
        Bridge::request(Arc::clone(plan), Arriving::default()).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for chunk in message.chunks(size) {
        bridge.feed(chunk, &mut out).map_err(|error| error.to_string())?;
    }
    bridge.finish(&mut out).map_err(|error| error.to_string())?;
    let outcome = bridge.outcome().cloned().expect("a message that ended is decided");
    Ok((out, outcome))
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, message)) = input.split_first() else {
        return;
    };
    let soap = [None, Some(Version::Soap11), Some(Version::Soap12)];
    let addressing = [
        Target::Keep,
        Target::None,
        Target::To(Addressing::August2004),
        Target::To(Addressing::V10),
    ];
    let plan = Arc::new(Plan {
        soap: soap[usize::from(choice) % 3],
        addressing: addressing[usize::from(choice >> 2) % 4],
        transparent_headers: choice & 0x10 != 0,
        drop_trailers: choice & 0x20 != 0,
        drop_unqualified_headers: choice & 0x40 != 0,
        default_action: Some("urn:default".into()),
        ..Plan::default()
    });
    let whole = bridge(&plan, message, usize::MAX);
    // Which of two mistakes is told may depend on the cut, and a head that is known is cut off.
    let again = bridge(&plan, message, usize::MAX);
    assert!(again == whole || again.is_err() && whole.is_err(), "{again:?} {whole:?}");
    for size in [1, 3, 17] {
        let told = bridge(&plan, message, size);
        // Which of two mistakes is told may depend on the cut.
        assert_eq!(told.is_ok(), whole.is_ok(), "cut by {size}: {told:?} {whole:?}");
        if let (Ok(told), Ok(whole)) = (&told, &whole) {
            assert_eq!(told, whole, "cut by {size}");
        }
    }
    let Ok((out, outcome)) = whole else { return };
    if !outcome.changed {
        assert_eq!(out, message);
        return;
    }
    let text = std::str::from_utf8(&out).expect("UTF-8");
    let mut reader = Reader::new(text, &Limits { depth_max: 300, tag_bytes_max: 2 << 20, ..Limits::default() });
    while reader.next_event().unwrap_or_else(|error| panic!("{error}\n{text}")).is_some() {}
    // A relayed block of SOAP 1.2 says in SOAP 1.1 no more that it is one: a second node takes it out.
    let transparent = Arc::new(Plan {
        transparent_headers: true,
        ..(*plan).clone()
    });
    let (again, second) = bridge(&transparent, &out, usize::MAX).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(!second.changed, "{text}\n{}", String::from_utf8_lossy(&again));
});
