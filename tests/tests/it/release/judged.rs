// SPDX-License-Identifier: MIT OR Apache-2.0
//! What other people's checkers say of the files.

use super::files::{find, in_tree, made, output};
use super::fresh::Fresh;
use crate::contains::contains;
use anyhow::{Result, ensure};
use linpmem_testkit::cache::Cache;

#[test]
fn lintian_finds_no_error() -> Result<()> {
    let folder = made()?;
    let fresh = Fresh::of("sid")?;
    for (start, end) in [
        ("linpmem_", "_amd64.deb"),
        ("liblinpmem0_", "_amd64.deb"),
        ("liblinpmem-dev_", "_amd64.deb"),
        ("linpmem-dkms_", "_all.deb"),
    ] {
        let deb = fresh.take(&find(&folder, start, end)?)?;
        let said = fresh
            .command("lintian")
            .args(["--fail-on=error", "--allow-root"])
            .arg(deb)
            .output()?;
        let text = String::from_utf8_lossy(&said.stdout);
        println!("{text}");
        ensure!(
            said.status.success(),
            "{start}: {text}{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    Ok(())
}

#[test]
fn rpm_opens_its_package_and_rpmlint_finds_no_error() -> Result<()> {
    let fresh = Fresh::of("sid")?;
    let rpm = fresh.take(&find(&made()?, "linpmem-", ".x86_64.rpm")?)?;
    let listed = fresh.run("rpm", &["-qlp", &rpm])?;
    for path in ["/usr/bin/linpmem-dump", "/usr/share/man/man1/pmem.1.gz"] {
        ensure!(
            listed.lines().any(|line| line == path),
            "{path} is not in {listed}"
        );
    }
    contains(
        &fresh.run("rpm", &["-K", "--nosignature", &rpm])?,
        &["digests OK"],
    )?;
    fresh.shell(&format!(
        "mkdir /root/unpacked; cd /root/unpacked; rpm2cpio {rpm} | cpio -idm"
    ))?;
    let version = fresh.run("/root/unpacked/usr/bin/linpmem-dump", &["--version"])?;
    ensure!(version.starts_with("linpmem-dump "), "{version}");
    // rpm itself installs it and removes it again.
    fresh.run("rpm", &["--install", "--nodeps", &rpm])?;
    let verified = fresh.run("rpm", &["--verify", "--nodeps", "linpmem"])?;
    ensure!(verified.trim().is_empty(), "{verified}");
    fresh.run("rpm", &["--erase", "linpmem"])?;
    let gone = fresh.shell(
        "! test -e /usr/bin/linpmem-dump && ! test -e /usr/share/doc/linpmem && echo gone",
    )?;
    ensure!(gone == "gone\n");

    let said = fresh.command("rpmlint").arg(&rpm).output()?;
    let text = String::from_utf8_lossy(&said.stdout);
    println!("{text}");
    ensure!(
        text.contains("1 packages and 0 specfiles checked"),
        "{text}"
    );
    let errors: Vec<&str> = text.lines().filter(|line| line.contains(": E: ")).collect();
    // Static programs are what this package is for; what is signed are the sums of all files; and
    // the last two tags are ones that Fedora's packages have not had for years, and that the
    // crate `rpm` does not write.
    let meant = [
        "statically-linked-binary /usr/bin/",
        "no-signature",
        "no-group-tag",
        "no-packager-tag",
    ];
    let others = errors
        .iter()
        .filter(|line| !meant.iter().any(|fault| line.contains(fault)));
    let others: Vec<_> = others.collect();
    ensure!(others.is_empty(), "{others:?}");
    Ok(())
}

/// A program of the main tree's Python with the judges' packages.
fn python(script: &str, file: &std::path::Path) -> Result<String> {
    let mut python = in_tree("python3")?;
    python.env("PYTHONPATH", Cache::open()?.judges());
    output(python.args(["-c", script]).arg(file))
}

/// CycloneDX's own library, with the schema that forbids what it does not know.
#[test]
fn the_bill_of_materials_follows_the_schema() -> Result<()> {
    let script = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        text = open(sys.argv[1]).read()\n\
        check = JsonStrictValidator(SchemaVersion.V1_6).validate_str\n\
        assert check(text.replace('\"name\"', '\"nome\"')), 'a wrong one passes'\n\
        error = check(text)\n\
        sys.exit(str(error)) if error else print('valid')\n";
    let bom = find(&made()?, "linpmem-", "-linux-x86_64.cdx.json")?;
    ensure!(python(script, &bom)? == "valid\n");
    Ok(())
}

/// auditwheel reads the symbols by itself, and comes to the same name.
#[test]
fn auditwheel_agrees_on_the_platform() -> Result<()> {
    let wheel = find(&made()?, "linpmem-", "_x86_64.whl")?;
    let name = wheel
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let platform = name
        .trim_end_matches(".whl")
        .rsplit('-')
        .next()
        .unwrap_or_default();
    ensure!(platform.starts_with("manylinux_2_"), "{name}");
    let script = "import sys; from auditwheel.main import main; sys.argv[1:] = ['show', sys.argv[1]]; main()";
    let said = python(script, &wheel)?;
    println!("{said}");
    contains(&said, &["consistent with", &format!("\"{platform}\"")])
}
