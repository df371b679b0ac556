//! The header is what cbindgen makes of the source. `SASNET_RENEW_HEADER=1` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let mut made = vec![];
    let sources = ["src/image.rs", "src/lib.rs"];
    let builder = sources.iter().fold(cbindgen::Builder::new(), |builder, file| builder.with_src(folder.join(file)));
    builder.with_config(config).generate().unwrap().write(&mut made);
    let (path, made) = (folder.join("include/sasnet.h"), String::from_utf8(made).unwrap());
    if std::env::var_os("SASNET_RENEW_HEADER").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "include/sasnet.h is not that of the source: SASNET_RENEW_HEADER=1 cargo test -p sasnet-c header"
    );
}
