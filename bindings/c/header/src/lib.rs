//! The header is what cbindgen makes of the C library's source.
#![cfg(test)]

use cbindgen::{Builder, Config};
use std::path::Path;

#[test]
fn the_header_is_current() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = Config::from_file(library.join("cbindgen.toml")).unwrap();
    let mut made = vec![];
    let builder = Builder::new().with_src(library.join("src/image.rs")).with_src(library.join("src/lib.rs"));
    builder.with_config(config).generate().unwrap().write(&mut made);
    let (path, made) = (library.join("include/sasnet.h"), String::from_utf8(made).unwrap());
    if std::env::var_os("SASNET_RENEW_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "sasnet.h is not that of its source: SASNET_RENEW_HEADER=1 cargo test --profile dev -p sasnet-header"
    );
}
