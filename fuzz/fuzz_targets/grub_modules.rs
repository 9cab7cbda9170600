//! Any kernel, module and list of dependencies out of a tree becomes an image of GRUB or is refused, without panic, hang or
//! memory that its limits do not justify. A core image is no longer than what GRUB's installer takes.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
