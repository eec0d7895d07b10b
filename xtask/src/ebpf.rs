//! `cargo xtask ebpf`: builds the probe object that is checked in, and (`--check`) proves that it
//! is what its sources give.
//!
//! The object must not depend on where it was built: paths are remapped, debug sections dropped.
//! Beside it lies `versions.txt` with the versions of the tools and a hash of the sources. With the
//! same versions a rebuild gives the same bytes; with others it must load and pass the live suite.

use crate::repo_root;
use anyhow::{Context, Result, bail, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "bpfel-unknown-none";
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const OBJECT: &str = "capture-user/probe/capture-ebpf.o";
const LOG_OBJECT: &str = "target/ebpf/capture-ebpf-log.o";
const VERSIONS: &str = "capture-user/probe/versions.txt";

/// Files and folders that the object is made from.
const SOURCES: &[&str] = &[
    "capture-ebpf/Cargo.toml",
    "capture-ebpf/Cargo.lock",
    "capture-ebpf/src",
    "capture-common/src/abi.rs",
    "capture-common/src/abi/info.rs",
    "capture-common/src/plan.rs",
    "capture-common/src/kernel_offsets.rs",
];

/// Runs the task: no argument builds, `--check` compares, `--log` builds the debug object for
/// `capture --probe-log`.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write_object(),
        ["--check"] => check(),
        ["--log"] => {
            let object = build(true)?;
            let path = repo_root().join(LOG_OBJECT);
            fs::write(&path, object).with_context(|| format!("writing {}", path.display()))?;
            println!("{LOG_OBJECT}: for capture --probe-log");
            Ok(())
        }
        _ => bail!("usage: cargo xtask ebpf [--check | --log]"),
    }
}

fn write_object() -> Result<()> {
    let root = repo_root();
    let object = build(false)?;
    let path = root.join(OBJECT);
    fs::create_dir_all(path.parent().context("object without folder")?)?;
    let changed = fs::read(&path).ok().is_none_or(|old| old != object);
    fs::write(&path, &object).with_context(|| format!("writing {}", path.display()))?;
    fs::write(root.join(VERSIONS), versions(&root)?)?;
    println!("{OBJECT}: {} bytes, {}", object.len(), if changed { "changed" } else { "unchanged" });
    Ok(())
}

fn check() -> Result<()> {
    let root = repo_root();
    let recorded = fs::read_to_string(root.join(VERSIONS)).context("reading the probe's versions file")?;
    let sources = source_line(&root)?;
    ensure!(
        recorded.lines().any(|l| l == sources),
        "the probe's sources changed after {OBJECT} was built: run `cargo xtask ebpf` and commit the object"
    );
    if toolchain().is_err() {
        println!(
            "probe: sources unchanged; not rebuilt (no eBPF tool chain: xtask/ebpf-toolchain.sh installs it)"
        );
        return Ok(());
    }
    let now = versions(&root)?;
    let object = build(false)?;
    let same = fs::read(root.join(OBJECT))? == object;
    if recorded == now {
        ensure!(same, "{OBJECT} is not what its sources give with the same tools: run `cargo xtask ebpf`");
        println!("probe: rebuilt, same bytes");
    } else if same {
        println!("probe: rebuilt with other tools, same bytes");
    } else {
        println!(
            "probe: rebuilt with other tools, other bytes: the rebuilt object must load and pass the live suite\n{}",
            diff(&recorded, &now)
        );
    }
    Ok(())
}

fn diff(recorded: &str, now: &str) -> String {
    let lines = recorded.lines().zip(now.lines()).filter(|(a, b)| a != b);
    lines.map(|(a, b)| format!("  recorded {a}\n  now      {b}")).collect::<Vec<_>>().join("\n")
}

/// Folder of the eBPF tool chain; an error says how to get it.
fn toolchain() -> Result<PathBuf> {
    let dir = match env::var_os("EBPF_TOOLCHAIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".local/ebpf-toolchain"),
    };
    let complete =
        [RUSTC, CARGO].iter().all(|p| Path::new(p).exists()) && dir.join("bin/bpf-linker").exists();
    ensure!(complete, "the eBPF tool chain is not installed: run xtask/ebpf-toolchain.sh");
    Ok(dir)
}

/// Builds the object and drops what depends on the machine.
fn build(log: bool) -> Result<Vec<u8>> {
    let (root, tools) = (repo_root(), toolchain()?);
    let target_dir = root.join("target/ebpf");
    let mut path = vec![tools.join("bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = Command::new(CARGO);
    command
        .args(["build", "--release", "--locked", "--target", TARGET, "-Z", "build-std=core"])
        .args(if log { &["--features", "log"][..] } else { &[] })
        .current_dir(root.join("capture-ebpf"))
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("PATH", env::join_paths(path)?)
        .env("LD_LIBRARY_PATH", tools.join("llvm"))
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&root)?.join("\u{1f}"));
    for name in [
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "CARGO",
        "CARGO_MANIFEST_DIR",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(name);
    }
    let status = command.status().with_context(|| format!("running {CARGO}"))?;
    ensure!(status.success(), "building the probe failed ({status})");
    let built = target_dir.join(TARGET).join("release/capture-ebpf");
    strip(&fs::read(&built).with_context(|| format!("reading {}", built.display()))?)
}

fn rust_flags(root: &Path) -> Result<Vec<String>> {
    let home = match env::var_os("CARGO_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let sysroot = output(Command::new(RUSTC).args(["--print", "sysroot"]))?;
    let remap = |from: &str, to: &str| format!("--remap-path-prefix={from}={to}");
    Ok(vec![
        "-Cdebuginfo=2".into(),
        "-Ctarget-cpu=v3".into(),
        "-Clink-arg=--btf".into(),
        "--cfg=bpf_target_arch=\"x86_64\"".into(),
        remap(&root.to_string_lossy(), "."),
        remap(&home.to_string_lossy(), "cargo"),
        remap(&sysroot, "rust"),
    ])
}

/// Drops the DWARF sections: a megabyte that only a debugger reads, full of paths. BTF stays, for
/// the kernel's own messages. A 64-bit little-endian ELF is rewritten: kept sections, then the
/// section table; section numbers are translated in links and symbols.
fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    const HEADER_LEN: usize = 64;
    const ENTRY_LEN: usize = 64;
    const SYMTAB: u32 = 2;
    const REL: u32 = 9;
    ensure!(elf.get(..6) == Some(b"\x7fELF\x02\x01"), "the built object is no 64-bit little-endian ELF");
    let table_at = u64_at(elf, 40)? as usize;
    let (count, names_index) = (u16_at(elf, 60)? as usize, u16_at(elf, 62)? as usize);
    let entry = |i: usize| {
        elf.get(table_at + i * ENTRY_LEN..table_at + (i + 1) * ENTRY_LEN).context("short section table")
    };
    let names_at = u64_at(entry(names_index)?, 24)? as usize;
    let dropped = |i: usize| -> Result<bool> {
        let name =
            elf.get(names_at + u32_at(entry(i)?, 0)? as usize..).context("section name out of bounds")?;
        Ok(name.starts_with(b".debug") || name.starts_with(b".rel.debug"))
    };
    let mut new_index = vec![0u32; count];
    let mut kept = Vec::new();
    for (i, index) in new_index.iter_mut().enumerate() {
        if !dropped(i)? {
            *index = kept.len() as u32;
            kept.push(i);
        }
    }
    let translate = |old: u32| new_index.get(old as usize).copied().unwrap_or(old);
    let mut out = elf[..HEADER_LEN].to_vec();
    let mut table = Vec::new();
    for i in kept.iter().copied() {
        let mut head = entry(i)?.to_vec();
        let (kind, at, len) = (u32_at(&head, 4)?, u64_at(&head, 24)? as usize, u64_at(&head, 32)? as usize);
        let mut data = elf.get(at..at + len).context("section out of bounds")?.to_vec();
        if kind == SYMTAB {
            for symbol in data.chunks_exact_mut(24) {
                let section = translate(u32::from(u16_at(symbol, 6)?)) as u16;
                symbol[6..8].copy_from_slice(&section.to_le_bytes());
            }
        }
        let (link, info) = (translate(u32_at(&head, 40)?), u32_at(&head, 44)?);
        head[40..44].copy_from_slice(&link.to_le_bytes());
        if kind == REL {
            head[44..48].copy_from_slice(&translate(info).to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(8), 0);
        head[24..32].copy_from_slice(&(out.len() as u64).to_le_bytes());
        out.extend(data);
        table.extend(head);
    }
    out.resize(out.len().next_multiple_of(8), 0);
    let at = out.len() as u64;
    out[40..48].copy_from_slice(&at.to_le_bytes());
    out[60..62].copy_from_slice(&(kept.len() as u16).to_le_bytes());
    out[62..64].copy_from_slice(&(new_index[names_index] as u16).to_le_bytes());
    out.extend(table);
    Ok(out)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk).context("short ELF")?;
    Ok(u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk).context("short ELF")?;
    Ok(u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk).context("short ELF")?;
    Ok(u64::from_le_bytes(*chunk))
}

/// Content of the versions file.
fn versions(root: &Path) -> Result<String> {
    let linker = output(Command::new(toolchain()?.join("bin/bpf-linker")).arg("--version"))?;
    let rustc = output(Command::new(RUSTC).arg("--version"))?;
    let lock = fs::read_to_string(root.join("capture-ebpf/Cargo.lock"))?;
    let aya = lock.split("name = \"aya-ebpf\"\nversion = \"").nth(1).and_then(|s| s.split('"').next());
    Ok(format!(
        "# What capture-ebpf.o was built with; written by `cargo xtask ebpf`.\nrustc: {rustc}\nlinker: {linker}\naya-ebpf: {}\n{}\n",
        aya.context("no aya-ebpf in the probe's Cargo.lock")?,
        source_line(root)?
    ))
}

/// A hash of the sources (FNV-1a over names and contents): tells whether the object is stale.
fn source_line(root: &Path) -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for file in &files {
        feed(file.strip_prefix(root)?.to_string_lossy().as_bytes());
        feed(&fs::read(file).with_context(|| format!("reading {}", file.display()))?);
    }
    Ok(format!("sources: {hash:016x} ({} files)", files.len()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(out.status.success(), "{command:?} failed ({})", out.status);
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
