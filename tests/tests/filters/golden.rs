//! Commands with filters print what stock sysdig printed, byte for byte.

use capture_tests::data_dir;
use serde_json::Value;
use std::process::Command;

#[test]
fn commands_print_what_stock_printed() {
    let folder = data_dir().join("golden");
    let mut ran = 0;
    for number in 31..=37 {
        let record = std::fs::read_to_string(folder.join(format!("{number}.json"))).expect("reads");
        let record: Value = serde_json::from_str(&record).expect("is JSON");
        let shell = record["shell"].as_str().expect("a command").replace("captures/libs/", "data/captures/");
        // `-d` chose the display filter of old; capture has one filter only and no such option.
        let shell = shell.replace(" -d ", " ");
        let words = shell.strip_prefix("sysdig ").expect("runs sysdig");
        let out = Command::new("sh")
            .args(["-c", &format!("exec \"$CAPTURE\" {words}")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CAPTURE", env!("CARGO_BIN_EXE_capture-test"))
            .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8")])
            .output()
            .expect("starts");
        assert_eq!(out.status.code().map(i64::from), record["exit_code"].as_i64(), "{shell}");
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(stderr, record["stderr"]["text"].as_str().expect("text"), "{shell}");
        let stdout = String::from_utf8_lossy(&out.stdout);
        assert_eq!(stdout, record["stdout"]["text"].as_str().expect("text"), "{shell}");
        ran += 1;
    }
    assert_eq!(ran, 7);
}
