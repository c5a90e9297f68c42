//! What ARCHITECTURE.md promises of this crate: everything outside `net` is free of I/O.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

/// What brings in I/O, clocks, threads or randomness.
const FORBIDDEN: [&str; 9] = [
    "tokio",
    "axum",
    "std::net",
    "std::fs",
    "std::thread",
    "fastrand",
    "Instant",
    "SystemTime",
    "crate::net",
];

#[test]
fn the_core_imports_no_io_no_clock_and_no_randomness() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    check(&src, &src.join("net"), &mut seen);
    assert!(seen > 20, "only {seen} files were found");
}

fn check(dir: &Path, except: &Path, seen: &mut usize) {
    for entry in fs::read_dir(dir).expect("the sources are there") {
        let path = entry.expect("the sources can be listed").path();
        if path.is_dir() && path != except {
            check(&path, except, seen);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *seen += 1;
            let text = fs::read_to_string(&path).expect("the sources can be read");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (number, line) in code.enumerate() {
                for word in FORBIDDEN {
                    assert!(!line.contains(word), "{}:{}: {word}", path.display(), number + 1);
                }
            }
        }
    }
}
