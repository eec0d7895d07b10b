//! docs/write-a-chisel.md tells the truth: its code is that of the examples, which run and print what it
//! shows.

use crate::support::{capture, run};
use capture_tests::{data_dir, stock_sysdig};
use std::path::{Path, PathBuf};

#[path = "../../../chisels/examples/biggest.rs"]
#[expect(dead_code, reason = "its main is not called here")]
mod biggest;

/// Captures over which the examples run.
const CAPTURES: &[&str] = &["curl_google.scap", "k8s_dns.scap", "kitchen.scap.gz", "shell.scap.gz"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn path_of(name: &str) -> String {
    data_dir().join("captures").join(name).to_str().expect("is text").to_owned()
}

/// What the Lua file prints in our host.
fn lua(name: &str, count: &str) -> Vec<u8> {
    let folder = root().join("chisels/examples");
    let (path, folder) = (path_of(name), folder.to_str().expect("is text"));
    let output = run(capture(), &root(), &["-r", &path, "--chisel-dir", folder, "-c", "biggest", count]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_examples_in_lua_and_in_rust_print_the_same() {
    for name in CAPTURES {
        for count in ["4", "25"] {
            let rust = biggest::run(&path_of(name), count).expect("runs");
            let (rust, lua) = (String::from_utf8_lossy(&rust), lua(name, count));
            assert_eq!(rust, String::from_utf8_lossy(&lua), "{name}");
            assert_eq!(rust.lines().count().to_string(), count, "{name}");
        }
    }
    assert!(biggest::run(&path_of("k8s_dns.scap"), "0").is_err());
    assert!(biggest::run(&path_of("k8s_dns.scap"), "1 2").is_err());
}

#[test]
fn the_example_in_lua_runs_in_stock() {
    let Some(stock) = stock_sysdig("the_example_in_lua_runs_in_stock") else { return };
    let path = path_of("curl_google.scap");
    let output = run(&stock, &root().join("chisels/examples"), &["-r", &path, "-c", "biggest", "4"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&lua("curl_google.scap", "4"))
    );
}

#[test]
fn the_page_shows_the_examples() {
    let page = std::fs::read_to_string(root().join("docs/write-a-chisel.md")).expect("the page");
    let source = |name: &str| {
        std::fs::read_to_string(root().join("chisels/examples").join(name)).expect("the example")
    };
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let code = |language: &str| -> Vec<&str> {
        blocks.iter().filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
    };
    assert_eq!(code("lua"), [source("biggest.lua")]);
    let (program, in_rust) = (source("biggest.rs"), code("rust"));
    assert_eq!(in_rust.len(), 2);
    for part in in_rust {
        assert!(program.contains(part), "not in biggest.rs:\n{part}");
    }
    let shown = blocks[0].trim_start().split_once('\n').expect("a command and its output").1;
    assert_eq!(shown, String::from_utf8_lossy(&lua("shell.scap.gz", "4")));
}
