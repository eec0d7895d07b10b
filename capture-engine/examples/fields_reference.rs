//! Prints the reference page of all fields, docs/fields.md; `cargo xtask codegen` runs it.

fn main() {
    print!("{}", capture_engine::listing::fields_reference());
}
