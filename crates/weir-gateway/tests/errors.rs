//! Checks that an error that quotes its source does not also return it as source: logs that print
//! both would repeat it.

use std::{fs, path::Path};

/// Reads every file of every crate's `src`.
fn sources() -> Vec<(String, String)> {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let (mut found, mut folders) = (Vec::new(), vec![crates.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("/src/")
                && path.extension().is_some_and(|kind| kind == "rs")
            {
                let text = fs::read_to_string(&path).expect("a file");
                found.push((path.display().to_string(), text));
            }
        }
    }
    found
}

#[test]
fn errors_quote_their_source_or_return_it() {
    let mut variants = 0;
    for (path, text) in sources() {
        for variant in text.split("#[error(").skip(1) {
            // Up to the next variant, or the end of the type.
            let variant = variant.split("\n}").next().unwrap_or(variant);
            let message = variant.split(")]\n").next().unwrap_or(variant);
            let fields = &variant[message.len()..];
            variants += 1;
            // A field named `source` is the source without an attribute.
            let quoted = ["{source}", "{source:"]
                .iter()
                .any(|of| message.contains(of));
            assert!(!quoted, "{path}: {message}");
            // A tuple has one field, or the first one is quoted.
            let named = fields.split("\n    #[error(").next().unwrap_or(fields);
            let is_source = named.contains("#[from]") || named.contains("#[source]");
            let quotes = message.contains("{0}") || message.contains("{0:");
            assert!(!(is_source && quotes), "{path}: {message}");
        }
    }
    assert!(variants > 20, "{variants} variants were found");
}
