//! Drives `api::admit` with whatever bytes the fuzzer makes: the first one says YAML or JSON.
//!
//! Nothing may panic, hang or take memory without bound; what is admitted must be admitted again
//! from its own JSON, and its pod must be made or refused in words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use setlet::api::{Object, Uid, admit, admit_value, pod};

fuzz_target!(|data: &[u8]| {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    let file = if kind % 2 == 0 {
        "fuzz.yaml"
    } else {
        "fuzz.json"
    };
    for result in admit(file, text) {
        let admitted = match result {
            Ok(admitted) => admitted,
            Err(rejected) => {
                assert!(!rejected.errors.is_empty(), "a refusal says why");
                let _ = rejected.to_string();
                continue;
            }
        };
        let again = admit_value(admitted.origin.clone(), admitted.object.to_value());
        assert_eq!(
            again.as_ref().map(|again| &again.object),
            Ok(&admitted.object)
        );
        if let Object::DaemonSet(set) = &admitted.object {
            let _ = pod::pod_from_template(set, "node", "pod", &Uid::new("uid"));
            let _ = set.unsupported();
        }
    }
});
