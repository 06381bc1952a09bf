//! The `postern` binary: the command line of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    postern::cli::main()
}
