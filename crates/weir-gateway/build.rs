//! Has the gateway rebuilt when the web app has been built anew.

use std::fs;
use std::path::Path;

fn main() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/web/dist");
    // Cargo can watch only what exists; a missing path would rebuild the crate every time. The
    // folder is ignored by git, and in a read-only checkout it simply stays missing.
    let _ = fs::create_dir_all(&app);
    if app.exists() {
        println!("cargo:rerun-if-changed={}", app.display());
    } else {
        println!("cargo:rerun-if-changed=build.rs");
    }
}
