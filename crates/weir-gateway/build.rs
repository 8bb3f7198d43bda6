//! Rebuilds the gateway after a build of the web app.

use std::fs;
use std::path::Path;

fn main() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/web/dist");
    // Cargo rebuilds the crate every time if a watched path is missing. In a read-only checkout the
    // folder, which git ignores, stays missing.
    let _ = fs::create_dir_all(&app);
    if app.exists() {
        println!("cargo:rerun-if-changed={}", app.display());
    } else {
        println!("cargo:rerun-if-changed=build.rs");
    }
}
