#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sasnet_fuzz::jpeg(bytes);
});
