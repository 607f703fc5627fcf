//! Tells the life cycle that it is compiled for the model checker.

fn main() {
    println!("cargo::rustc-cfg=opcancel_model");
    println!("cargo::rerun-if-changed=build.rs");
}
