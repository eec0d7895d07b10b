//! Prints the schema of lines of JSON, docs/json-lines.schema.json; `cargo xtask codegen` runs it.

fn main() {
    print!("{}", capture_engine::format::json_schema());
}
