// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs in C and in Python, and the example in Rust.

use super::planted;
use crate::pattern::START;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts::Library;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use linpmem_testkit::vm::{Output, Vm, guest};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub fn check(vm: &Vm) -> Result<()> {
    let library = Library::build()?;
    let folder = tempfile::tempdir()?;
    in_c(vm, &library, folder.path())?;
    in_rust(vm)?;
    in_python(vm, &library, folder.path())
}

/// Compiles a program as a user would, against the installed library.
fn compile(
    library: &Library,
    source: &Path,
    program: &Path,
    link: impl FnOnce(&mut Command),
) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-g", "-O1", "-Wall", "-Wextra", "-Werror"])
        .arg(source)
        .arg("-I")
        .arg(&library.include)
        .arg("-o")
        .arg(program);
    link(&mut cc);
    let output = cc.output().context("running cc")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} does not compile:\n{said}",
        source.display()
    );
    Ok(())
}

fn in_c(vm: &Vm, library: &Library, folder: &Path) -> Result<()> {
    let examples = checkout::dir().join("examples/c");
    let example = folder.join("memory");
    let statically = |cc: &mut Command| {
        cc.arg("-static").arg(library.archive());
    };
    compile(library, &examples.join("memory.c"), &example, statically)?;
    vm.push(&example, "/bin/memory-c")?;
    let address = format!("{START:#x}");
    shows_memory(&vm.run(&["memory-c", &address])?.ok()?)?;

    // Every function, with valid and with invalid arguments.
    let calls = folder.join("calls");
    let source = checkout::dir().join("driver/capi/tests/calls.c");
    compile(library, &source, &calls, statically)?;
    vm.push(&calls, "/bin/calls")?;
    let said = vm.run(&["calls", &address])?.ok()?;
    ensure!(
        said.stdout_text()?.contains("every call"),
        "{}",
        said.text()
    );

    under_valgrind(vm, library, &source, folder)
}

/// The same program under valgrind, which checks its use of memory: with the shared
/// library and this machine's C library, which the guest gets in a folder of its own.
fn under_valgrind(vm: &Vm, library: &Library, source: &Path, folder: &Path) -> Result<()> {
    let program = folder.join("calls-shared");
    let link = |cc: &mut Command| {
        cc.arg("-L").arg(&library.lib).arg("-llinpmem").args([
            "-Wl,--dynamic-linker=/host/ld-linux-x86-64.so.2",
            // For the library's own dependencies as well.
            "-Wl,--disable-new-dtags,-rpath,/host",
        ]);
    };
    compile(library, source, &program, link)?;
    vm.push(&program, "/bin/calls-shared")?;
    vm.push(&library.shared(), "/host/liblinpmem.so.0")?;
    let ldd = Command::new("ldd").arg(library.shared()).output()?;
    for word in String::from_utf8(ldd.stdout)?.split_whitespace() {
        let path = Path::new(word);
        if let (true, Some(name)) = (path.is_absolute(), path.file_name()) {
            vm.push(path, &format!("/host/{}", name.to_string_lossy()))?;
        }
    }
    let address = format!("{START:#x}");
    let said = vm.run(&["calls-shared", &address])?.ok()?;
    ensure!(
        said.stdout_text()?.contains("every call"),
        "{}",
        said.text()
    );

    let folder = Path::new("/usr/libexec/valgrind");
    let symbols = loader_symbols()?;
    let (true, Some(symbols)) = (folder.exists(), symbols) else {
        println!("SKIPPED valgrind: it needs the packages valgrind and libc6-dbg");
        return Ok(());
    };
    vm.push(&symbols, &symbols.to_string_lossy())?;
    for name in [
        "memcheck-amd64-linux",
        "default.supp",
        "vgpreload_core-amd64-linux.so",
        "vgpreload_memcheck-amd64-linux.so",
    ] {
        vm.push(&folder.join(name), &format!("/valgrind/{name}"))?;
    }
    let argv = [
        "/valgrind/memcheck-amd64-linux",
        "--error-exitcode=99",
        "--leak-check=full",
        "--show-leak-kinds=all",
        "/bin/calls-shared",
        &address,
    ];
    let run = vm
        .command(&argv)
        .env("VALGRIND_LIB", "/valgrind")
        .env("VALGRIND_LAUNCHER", argv[0])
        .timeout(Duration::from_secs(300));
    let said = run.run()?.ok()?.text();
    for words in [
        "ERROR SUMMARY: 0 errors",
        "no leaks are possible",
        "every call",
    ] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    // It has intercepted the allocations.
    ensure!(!said.contains("total heap usage: 0 allocs"), "{said}");
    Ok(())
}

/// The debug symbols of this machine's dynamic loader, without which valgrind does not
/// run: by build id, where debuggers look for them.
fn loader_symbols() -> Result<Option<PathBuf>> {
    let mut readelf = Command::new("readelf");
    let output = readelf
        .args(["-n", "/lib64/ld-linux-x86-64.so.2"])
        .output()?;
    let notes = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = notes
        .split_once("Build ID: ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.split_at_checked(2))
        .map(|(first, rest)| format!("/usr/lib/debug/.build-id/{first}/{rest}.debug"))
        .map(PathBuf::from);
    Ok(path.filter(|path| path.exists()))
}

fn in_rust(vm: &Vm) -> Result<()> {
    vm.push(
        &guest::build_example("linpmem", "memory")?,
        "/bin/memory-rust",
    )?;
    shows_memory(&vm.run(&["memory-rust", &format!("{START:#x}")])?.ok()?)
}

fn shows_memory(output: &Output) -> Result<()> {
    let said = output.stdout_text()?;
    let bytes: Vec<String> = planted(START, 8)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let line = format!("{START:#x}: {}\n", bytes.join(" "));
    ensure!(said.contains(&line), "{line} is not in {said}");
    ensure!(
        said.contains("address bits") && said.contains(": found"),
        "{said}"
    );
    Ok(())
}

/// The Python package as pip installs it from the checkout, in the Debian tree's Python.
fn in_python(vm: &Vm, library: &Library, folder: &Path) -> Result<()> {
    let cache = Cache::open()?;
    let tree = DebianTree::open(&cache)?;
    let site = folder.join("site");
    let mut pip = tree.command("python3", &[folder]);
    pip.args(["-m", "pip", "install", "--no-index", "--no-deps", "--quiet"])
        .args([
            "--no-build-isolation",
            "--root-user-action=ignore",
            "--disable-pip-version-check",
            "--target",
        ])
        .arg(&site)
        .arg(checkout::dir().join("driver/python"))
        .env("LINPMEM_LIBRARY", library.shared())
        .env("PYTHONPATH", cache.hatchling());
    let output = pip.output().context("running pip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pip: {said}");
    for entry in fs::read_dir(site.join("linpmem"))? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().context("no name")?.to_string_lossy();
            vm.push(&path, &format!("/site/linpmem/{name}"))?;
        }
    }
    interpreter(vm, &tree, folder)?;
    let test = checkout::dir().join("driver/python/tests/in_guest.py");
    vm.push(&test, "/site/in_guest.py")?;
    let run = vm
        .command(&[
            "/usr/bin/python3",
            "-S",
            "-B",
            "/site/in_guest.py",
            &START.to_string(),
        ])
        .env("PYTHONPATH", "/site")
        .timeout(Duration::from_secs(300));
    let said = run.run()?.ok()?;
    ensure!(
        said.stdout_text()?.contains("every call"),
        "{}",
        said.text()
    );
    Ok(())
}

/// Installs Python in a machine without a disk: the standard library goes into the
/// archive in which Python looks for it by default.
fn interpreter(vm: &Vm, tree: &DebianTree, folder: &Path) -> Result<()> {
    const COLLECT: &str = "\
import os, sys, sysconfig, zipfile, _ctypes
out = sys.argv[1]
lib = sysconfig.get_path('stdlib')
leave = {'test', 'idlelib', 'tkinter', 'ensurepip', 'dist-packages', 'site-packages',
         '__pycache__', 'lib-dynload', 'turtledemo', 'pydoc_data'}
with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as archive:
    for top, folders, files in os.walk(lib):
        folders[:] = [name for name in folders if name not in leave]
        for name in files:
            if name.endswith('.py'):
                path = os.path.join(top, name)
                archive.write(path, os.path.relpath(path, lib))
print(os.path.realpath(sys.executable))
print('%d%d' % sys.version_info[:2])
print(_ctypes.__file__)
";
    let archive = folder.join("python.zip");
    let mut collect = tree.command("python3", &[folder]);
    let output = collect.args(["-c", COLLECT]).arg(&archive).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "collecting Python: {said}");
    let text = String::from_utf8(output.stdout)?;
    let mut lines = text.lines();
    let mut line = || lines.next().map(str::to_owned).context("too few lines");
    let (python, version, ctypes) = (line()?, line()?, line()?);

    let inside = |path: &str| tree.outside(path);
    vm.push(&inside(&python), "/usr/bin/python3")?;
    vm.push(&archive, &format!("/usr/lib/python{version}.zip"))?;
    let name = ctypes.rsplit('/').next().context("no name")?;
    vm.push(&inside(&ctypes), &format!("/site/{name}"))?;
    for library in needed(
        tree,
        &[&python, &ctypes, "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"],
    )? {
        let from = fs::canonicalize(inside(&library)).unwrap_or_else(|_| inside(&library));
        vm.push(&from, &library)?;
    }
    Ok(())
}

/// The shared libraries that `files` of the tree need, and the loader.
fn needed(tree: &DebianTree, files: &[&str]) -> Result<Vec<String>> {
    let output = tree.command("ldd", &[]).args(files).output()?;
    let mut found: Vec<String> = String::from_utf8(output.stdout)?
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(str::to_owned)
        .collect();
    found.push("/lib/x86_64-linux-gnu/libgcc_s.so.1".to_owned());
    found.sort();
    found.dedup();
    let paths: Vec<PathBuf> = found.iter().map(PathBuf::from).collect();
    ensure!(paths.len() >= 3, "ldd says {found:?}");
    Ok(found)
}
