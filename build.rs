//! How the binary is linked where that depends on the machine.

use std::env;
use std::process::Command;

/// The first glibc that reads packed relocations.
const READS_PACKED: (u32, u32) = (2, 36);

/// Addresses inside the binary have to be put right when it starts, and a list says where: 24 bytes for each of 67,000 places,
/// or 20 kB for all of them, packed (`DT_RELR` of the generic ELF ABI). A program needs the C library that it was
/// built with, or a newer one, so that one decides; a linker that does not know the option says so and goes on.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo says in the environment of a build script what it builds for"
)]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let here = env::var("TARGET").ok() == env::var("HOST").ok();
    if here && glibc().is_some_and(|version| version >= READS_PACKED) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's C library; `None` where it is another one.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
