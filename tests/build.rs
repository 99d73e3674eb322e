//! Tells the tests for which machine they are built, so that the graph of dependencies is the right one.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=HOST_TRIPLE={}", std::env::var("TARGET").unwrap_or_default());
}
