//! Names the shared library, so that programs find the version that they were linked with.

fn main() {
    let of = |name: &str| std::env::var(name).expect("cargo sets it");
    let major = match of("CARGO_PKG_VERSION_MAJOR").as_str() {
        "0" => format!("0.{}", of("CARGO_PKG_VERSION_MINOR")),
        major => major.into(),
    };
    match of("CARGO_CFG_TARGET_OS").as_str() {
        "linux" => println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libsasnet_c.so.{major}"),
        "macos" => println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libsasnet_c.dylib"),
        _ => {}
    }
    println!("cargo::rerun-if-changed=build.rs");
}
