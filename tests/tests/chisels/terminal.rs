//! The chisels that draw on a terminal draw there what sysdig's Lua files draw, in our host and in stock.
//!
//! One exception: the file of `subsecoffset` puts events into columns from 0 and draws those from 1, so that
//! it loses the first and draws the others one to the left; the built-in one draws all where they belong, and
//! what happened after the last whole slice.

use crate::cases::{FOLDER, READ_BY_STOCK};
use crate::support::{capture, run_on_terminal};
use capture_tests::{data_dir, stock_sysdig};

/// Further captures, which stock does not read to the end.
const REAL: &[&str] = &["kitchen.scap.gz", "dns.scap.gz", "postgres.scap.gz"];
const DRAWN: &[&[&str]] =
    &[&["spectrogram"], &["spectrogram", "100"], &["subsecoffset"], &["subsecoffset", "100"]];

#[test]
fn heat_maps_are_those_of_the_lua_files() {
    let Some(stock) = stock_sysdig("heat_maps_are_those_of_the_lua_files") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = 0;
    for &name in READ_BY_STOCK.iter().chain(REAL) {
        let path = data_dir().join("captures").join(name);
        let input = ["-r", path.to_str().expect("is text"), "-c"];
        for chisel in DRAWN {
            let drawn = |program, own: &[&str]| {
                let drawn = run_on_terminal(program, folder.path(), &[own, &input, chisel].concat());
                String::from_utf8_lossy(&drawn).into_owned()
            };
            let native = drawn(capture(), &[]);
            let lua = drawn(capture(), &["--chisel-dir", FOLDER]);
            // Their text would fill the terminal of whoever reads the failure.
            let is_alike = native == lua || chisel[0] == "subsecoffset";
            assert!(is_alike, "{chisel:?} on {name} is not that of the Lua file");
            if READ_BY_STOCK.contains(&name) {
                // Stock ends colours once more after each row.
                let stocks = drawn(&stock, &[]).replace("\x1b[00m", "");
                assert!(lua == stocks, "{chisel:?} on {name} is not that of stock");
            }
            rows += native.lines().count();
        }
    }
    assert!(rows > 300, "{rows} rows");
}
