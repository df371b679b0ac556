//! The command line: one file a subcommand. Parses, calls the library, prints.

pub mod train;
